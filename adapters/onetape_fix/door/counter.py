"""One session's side of the desk: what arrives on it, what it is told, in its dialect.

It is the session's application. A message is dealt with before it is counted, so what the world
has done because of it stands in the world's journal by then; what the session has to be told waits
here while it is not logged on, in order, and is told after its next logon under new numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from onetape_fix.door import copies, faults, reports
from onetape_fix.door.dialect import FIX42, dialect_of, plain
from onetape_fix.door.listing import Listing
from onetape_fix.door.marketdata import MarketData
from onetape_fix.door.orders import Orders
from onetape_fix.door.peculiar import Peculiar, accounts_of
from onetape_fix.door.queries import Queries
from onetape_fix.door.seat import Seat
from onetape_fix.door.told import Told
from onetape_fix.door.venue import DoorWorld
from onetape_fix.profiles import Profile
from onetape_fix.session import (
    Alarm,
    Application,
    NotLoggedOn,
    Rejected,
    Session,
    SessionConfig,
    StoreError,
    Unsupported,
)
from onetape_fix.spec import Rules
from onetape_fix.wire import Body, Message, Value

LONGEST = 100_000  # things told that wait for a session that is away
ORDERS = frozenset(("D", "G", "F", "q", "H", "AF", "E"))
QUERIES = frozenset(("AD", "AN", "BB"))
MARKET = frozenset(("V", "x", "c", "e", "g"))
PACE = frozenset(("UB", "UH"))
UNANSWERED = frozenset(("3", "j", "AR", "AT", "AU", "P", "Q", "B", "BF", "f", "h"))
REQUESTS = frozenset(("D", "G", "F", "q", "E"))
BY_DUTY = {
    "order": ORDERS | QUERIES | {"x", "c", "e", "g"},
    "marketdata": MARKET,
    "dropcopy": QUERIES | {"H", "AF"},
    "clearing": QUERIES,
}


class Counter(Application):
    """See the module. `alarms` gathers what the session alarmed of, the last ones first."""

    def __init__(
        self, config: SessionConfig, ways: Profile, rules: Rules | None, world: DoorWorld
    ) -> None:
        self.config = config
        self.world = world
        self.wrong = faults.Wrong()
        dialect = dialect_of(config, ways, rules, world.core.instruments)
        accounts = accounts_of(config)
        self.seat = Seat(config.name, world, dialect, self.say, accounts, config.target)
        self.orders = Orders(self.seat)
        self.market = MarketData(self.seat)
        self.listing = Listing(self.seat)
        self.peculiar = Peculiar(config, ways, self.seat)
        self.waiting: deque[Told] = deque(maxlen=LONGEST)
        self.alarms: deque[Alarm] = deque(maxlen=100)
        self.session: Session | None = None
        self._first: dict[str, Told] = {}
        self._turned: list[Told] = []
        self._telling = False
        self._served = self._serves()

    @property
    def name(self) -> str:
        """See Hearer."""
        return self.config.name

    @property
    def duties(self) -> frozenset[str]:
        """What the session is for."""
        return self.config.duties

    @property
    def up(self) -> bool:
        """Whether it can be told something now."""
        return self.session is not None and self.session.state == "up" and not self.world.silent

    def _serves(self) -> dict[str, Callable[[Message], None]]:
        """Return what is done with each type that this session may send."""
        everything = self.orders.done | Queries(self.seat).done | self.market.done
        everything |= self.listing.done
        own = self.seat.dialect.own
        allowed = {"U2"} | (MARKET | PACE if own else frozenset[str]())
        for duty in self.duties:
            allowed |= BY_DUTY[duty]
        if not own:
            allowed &= self.peculiar.ways.supported | {"U2", "g", "E"}
        everything["U2"] = self.peculiar.recover
        return {kind: act for kind, act in everything.items() if kind in allowed}

    # -- what arrives

    def check_logon(self, session: Session, message: Message) -> str | None:
        """See Application: the world's refusal, faults, the profile's ways, the credentials."""
        refuse = self.wrong.next(faults.RefuseLogon)
        if refuse is not None:
            return refuse.text
        if self.world.refusing:
            return "the simulated venue refuses connections for now"
        return self.peculiar.objection(message, session.clock.monotonic())

    def on_logon(self, session: Session) -> None:
        """See Application."""
        self.session = session
        if self.seat.dialect.own:
            self._introduce()
        if self._served.keys() & {"V"}:
            self.market.open()
        self.world.start()
        self.drain()

    def on_logout(self, session: Session, why: str) -> None:  # noqa: ARG002
        """See Application."""
        self.market.close()
        self.listing.watched.clear()
        off = self.wrong.lasting(faults.CancelOnDisconnect) is not None
        if off or self.world.config.cancel_on_disconnect or self.peculiar.cancels:
            self.orders.cancel_own("disconnect")

    def on_message(self, session: Session, message: Message) -> None:
        """See Application."""
        kind = message.type
        if kind in UNANSWERED:
            return
        act = self._served.get(kind)
        if act is None:
            raise Unsupported
        if kind not in PACE:
            limit = self.wrong.lasting(faults.Throttle)
            if self.peculiar.too_fast(session.clock.monotonic(), limit):
                session.logout("message rate limit exceeded")
                return
        if kind in REQUESTS and self._turned_away(session, message):
            return
        act(message)

    def _turned_away(self, session: Session, message: Message) -> bool:
        reject = self.wrong.next(faults.Reject3)
        if reject is not None:
            raise Rejected(reject.reason, reject.text, reject.tag)
        reject = self.wrong.next(faults.RejectJ)
        if reject is None:
            return False
        body: list[tuple[int, Value]] = [(45, message.seq), (372, message.type)]
        if message.get(11):
            body.append((379, message[11]))
        session.send("j", [*body, (380, reject.reason), (58, plain(reject.text))])
        return True

    def on_alarm(self, session: Session, alarm: Alarm) -> None:  # noqa: ARG002
        """See Application."""
        self.alarms.appendleft(alarm)

    def may_resend(self, session: Session, seq: int, message: Message) -> bool:  # noqa: ARG002
        """See Application."""
        return self.wrong.lasting(faults.GapFill) is None and self.peculiar.ways.resend == "full"

    def may_ask(self, session: Session) -> bool:  # noqa: ARG002
        """See Application."""
        return self.peculiar.ways.resend != "none"

    # -- what is told

    def wants(self, told: Told) -> bool:
        """See Hearer."""
        may = self.seat.may(told.order.account)
        if "order" in self.duties:
            if self.name in (told.owner, told.asker):
                return True
            if not told.owner and may and told.kind not in reports.REJECTS:
                return True
        if "dropcopy" in self.duties:
            return may and told.kind not in reports.REJECTS
        return "clearing" in self.duties and may and told.kind in copies.TRANSACTIONS

    def give(self, told: Told) -> None:
        """See Hearer."""
        order = told.order.id
        if told.kind == "new" and self.wrong.next(faults.FillFirst) is not None:
            self._first[order] = told
            return
        late = self._first.pop(order, None)
        for each in (told, late):
            if each is None:
                continue
            count = self.wrong.lasting(faults.Unordered)
            if count is not None and self.wrong.next(faults.Unordered) is not None:
                self._turned.append(each)
                if len(self._turned) < count.count:
                    continue
                self.waiting.extend(reversed(self._turned))
                self._turned.clear()
            else:
                self.waiting.append(each)
        self.drain()

    def drain(self) -> None:
        """Tell what waits, while somebody hears it."""
        if self._telling:
            return
        self._telling = True
        try:
            while self.waiting and self.up:
                told = self.waiting[0]
                self._tell(told)
                if self.waiting and self.waiting[0] is told:
                    self.waiting.popleft()
                self.world.desk.sent(self.name, told)
        except (NotLoggedOn, StoreError):
            return  # what waits is told after the next logon
        finally:
            self._telling = False

    def _tell(self, told: Told) -> None:
        session = self.session
        assert session is not None
        for msg_type, body in self._messages(told):
            session.send(msg_type, body)
            if told.kind == "fill" and self.wrong.next(faults.Repeat) is not None:
                session.send(msg_type, body)

    def _messages(self, told: Told) -> list[tuple[str, Body]]:
        found: list[tuple[str, Body]] = []
        captures = "clearing" in self.duties and self.seat.dialect.version != FIX42
        if not captures or self.duties & {"order", "dropcopy"}:
            msg_type, body = reports.rendered(told, self.seat.dialect)
            found.append((msg_type, self.wrong.reported(body) if msg_type == "8" else body))
        if captures:
            captured = copies.captured(told, self.seat.dialect)
            if captured is not None:
                found.append(("AE", self.wrong.reported(captured)))
        return found

    def say(self, msg_type: str, body: Body) -> None:
        """Answer, or pass on a row; nobody hears it while the venue is silent or alone."""
        if not self.up or self.session is None:
            return
        try:
            self.session.send(msg_type, body)
        except NotLoggedOn:
            return

    def _introduce(self) -> None:
        """Say what kind of venue this is (UI), as our own dialect does after each logon."""
        world = self.world
        told: dict[str, object] = {
            "name": world.config.name,
            "now": world.player.now,
            "replayed": world.config.clock == "rows",
            "paced": world.player.stepped,
            "synthetic": world.synthetic,
            "heartbeat": world.config.heartbeat,
        }
        self.say("UI", [(58, msgspec.json.encode(told).decode())])

    # -- faults that need the session

    def begin(self, fault: faults.Fault) -> None:
        """Begin a fault of this session."""
        self.wrong.set(fault)
        session = self.session
        if isinstance(fault, faults.Pending):
            self.orders.pends = fault.on
        elif isinstance(fault, faults.News):
            self.news(fault.headline, fault.text)
        elif isinstance(fault, faults.Alien):
            self.say(fault.type, [(58, "nobody knows this type")])
        elif session is None:
            return
        elif isinstance(fault, faults.Logout):
            session.logout(fault.text)
        elif isinstance(fault, faults.Reset):
            session.reset()
        elif isinstance(fault, faults.Skip):
            session.set_out(session.store.next_out + fault.by)

    def news(self, headline: str, text: str) -> None:
        """Send News (35=B)."""
        lines: list[Body] = [[(58, plain(text))]]
        body: Body = [(148, plain(headline)), (33, lines)]
        self.say("B", self.seat.dialect.trimmed("B", body))
