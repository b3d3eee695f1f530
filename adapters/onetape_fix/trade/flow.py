"""The flow of one order session: what is heard on its line becomes reports, in order.

History   told on attaching builds the order book; what this process, or the one before it, has
          passed on already is not said again (`marks`).
Doubt     an order whose CumQty is not what was booked is asked for after `settle` seconds: its
          status, then its executions. What still differs is a Difference.
Failing   a message that cannot be mapped is a critical Notice, and the venue is said to be silent
          and back, so that the session's books are compared with the venue's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from onetape.errors import VenueError
from onetape.run.ports import AnyReport, AnyWord, Notice, OrderStatus, VenueState
from onetape_fix.gateway.line import Heard, Inbound, LineAlarm, LineState, Live, Refused, Sent
from onetape_fix.profiles import Profile, SymbolMap
from onetape_fix.session.settings import SessionConfig
from onetape_fix.trade import orders as o
from onetape_fix.trade.asking import Asking
from onetape_fix.trade.capture import acknowledged, sides
from onetape_fix.trade.executions import Executions, Leave, Said
from onetape_fix.trade.history import History
from onetape_fix.trade.ids import Ids
from onetape_fix.trade.joining import ORDERS, Joined
from onetape_fix.trade.marks import Mark
from onetape_fix.trade.outgoing import Outgoing
from onetape_fix.trade.queries import Questions
from onetape_fix.trade.reading import execution
from onetape_fix.trade.rejects import Rejects
from onetape_fix.wire import Message, parse_utc
from onetape_fix.wire import tags as t

LEG = "2"  # 442: one leg of an order that has several
Emit = Callable[[AnyReport | AnyWord], None]
DOUBTFUL = frozenset(
    ("reset", "gap_filled_over", "seq_too_low", "seq_ahead", "no_resend", "journal_lost")
)
NOT_TAKEN = frozenset(("rejected", "application", "store"))  # it came, and nobody took it in
LEVELS = {"lenient": "info", "skew": "warning", "stale_order": "warning", "throttled": "warning"}
UNSOLICITED = 325  # Y: told without being asked, though a request is named


class Flow:
    """See the module. `send` hands a message to the session's line."""

    def __init__(
        self,
        session: SessionConfig,
        profile: Profile,
        symbols: SymbolMap,
        currency: Callable[[str], str],
        folder: Path | None,
        grace: float = 5.0,
    ) -> None:
        named = "".join(c if c.isalnum() or c in "-_." else "_" for c in session.name)
        self.profile, self.symbols = profile, symbols
        self.ids = Ids(profile.ids, None if folder is None else folder / f"{named}.ids")
        self.mark = Mark(None if folder is None else folder / f"{named}.heard")
        self.book = o.OrderBook()
        self.executions = Executions(self.book, profile, self.ids, currency)
        self.rejects = Rejects(self.executions, symbols)
        digits = max(profile.digits, session.timestamp_digits) if session.timestamp_digits else 0
        self.outgoing = Outgoing(self.book, profile, symbols, self.ids, digits=digits)
        self.asking = Asking(self.executions, profile, symbols, digits)
        self.questions = Questions(time.time_ns())
        self.joined = Joined(self.executions, grace)
        self.history = History(self.book, self.ids, symbols, profile.replace)
        self.executions.leg = lambda order, ask: self.outgoing.leg(order, ask, time.time_ns())
        self.send: Callable[[Leave], None] = lambda _: None
        self.doubted: Callable[[], None] = lambda: None
        self._ttl = session.order_ttl
        self._emit: Emit | None = None
        self._held: list[Said] = []
        self._floor = self.mark.at  # up to there everything was passed on before
        self._at = 0  # up to there everything was heard
        self._unsaid: list[Said] = []  # of the history, until it is known to be of this journal
        self._up = False

    # -- who hears

    def begin(self, emit: Emit, *, up: bool = True) -> None:
        """Say that we are connected, and from here on everything; `up`: the session still is."""
        self._emit, self._up = emit, True
        self._floor = self.mark.at or 0
        self.joined.up(ORDERS)
        emit(VenueState("connected"))
        held, self._held = self._held, []
        self.say(held)
        if not up:  # it was lost while we connected
            self._moved(LineState(False, "the session was lost while this venue connected"))
        if self._at:
            self.mark.move(self._at)

    def end(self) -> None:
        """Say nothing any more."""
        self._emit, self._up = None, False
        self._floor = self.mark.at
        self.joined.down(ORDERS)
        self.questions.lost("the session was left")
        self.mark.save()

    def say(self, said: list[Said]) -> None:
        """Emit, or send on, what was told."""
        for each in said:
            if isinstance(each, Leave):
                self._leave(each)
            elif self._emit is None:
                self._held.append(each)
            else:
                self._emit(each)
        if self.executions.doubtful:
            self.doubted()

    def _leave(self, leave: Leave) -> None:
        try:
            self.send(leave)
        except VenueError as err:
            self.say(self.rejects.lost(leave.ref, str(err), time.time_ns()))

    # -- what is heard

    def hear(self, heard: Heard) -> None:
        """Take in what the line says; never raises: a line that fails to be heard is lost."""
        try:
            self._hear(heard)
        except Exception as err:  # what could not be mapped must not be passed over in silence
            told = f"{type(heard).__name__} could not be taken in: {type(err).__name__}: {err}"
            self.say([Notice("critical", "unmapped", told)])
            self.unsure(told)

    def _hear(self, heard: Heard) -> None:
        match heard:
            case Inbound():
                self._inbound(heard)
            case Sent():
                self._sent(heard)
            case Refused():
                self.lost(heard.ref, f"it has not left: {heard.why}")
            case LineState():
                self._moved(heard)
            case LineAlarm():
                self._alarm(heard)
            case Live():
                self._caught_up()

    def _inbound(self, heard: Inbound) -> None:
        floor = self._floor
        fresh = not heard.replayed or (floor is not None and heard.position > floor)
        said = self.read(heard.message, heard.ts, replayed=heard.replayed)
        if self._old(heard):
            said = [each for told in said for each in self._kept_back(told)]
        if fresh:
            self.say(said)
        else:  # it was said before; what had to leave because of it has left
            self.executions.doubtful.clear()
            if floor is not None:
                self._unsaid += [each for each in said if not isinstance(each, Leave)]
        self._passed(heard.position)

    def _old(self, heard: Inbound) -> bool:
        """Tell whether something happened too long ago for an order to leave because of it."""
        if heard.replayed:
            return True
        try:
            first = parse_utc(heard.message.get(t.ORIG_SENDING_TIME, ""))
        except ValueError:
            return False
        return self._ttl is not None and heard.ts - first > self._ttl * 1e9

    def _kept_back(self, told: Said) -> list[Said]:
        if not isinstance(told, Leave):
            return [told]
        return self.rejects.lost(told.ref, "the cancel was heard of too late", time.time_ns())

    def read(self, message: Message, ts: int, *, replayed: bool = False) -> list[Said]:
        """Return what a message of the venue tells; "" answers go to their questions."""
        if self.questions.take(message):
            return []
        match message.type:
            case "8" if message.get(t.MULTI_LEG_REPORTING_TYPE) == LEG:
                return []  # the order's own report (442=3) tells the whole of it
            case "8":
                read = execution(message, self.profile, self.symbols, ts)
                said = self.executions.take(read)
                return said if replayed else said + self.joined.note(ORDERS, read, _steady())
            case "9":
                return self.rejects.cancel_reject(message, ts)
            case "3" | "j":
                return self._rejected(message, ts)
            case "AE":
                late = t.TRADE_REQUEST_ID in message and message.get(UNSOLICITED) != "Y"
                return [] if replayed or late else self.captured("capture", message, ts)
            case "B":
                level = "warning" if self.profile.warns_by_news else "info"
                return [Notice(level, "news", f"{message.get(t.HEADLINE, '')} {_text(message)}")]
            case "h":
                return [Notice("info", "session_status", f"340={message.get(t.TRAD_SES_STATUS)}")]
            case _:
                return []

    def captured(self, book: str, message: Message, ts: int) -> list[Said]:
        """Take a trade capture report in that nobody asked for."""
        said: list[Said] = []
        for read in sides(message, self.profile, self.symbols, ts):
            said += self.joined.copied(book, read, _steady())
        return said

    def acknowledge(self, message: Message) -> Leave | None:
        """Return the acknowledgement of a trade capture report, where the broker wants one."""
        wanted = "AR" in self.profile.supported and message.get(t.PREVIOUSLY_REPORTED) != "Y"
        return Leave("AR", acknowledged(message), "") if wanted else None

    def _rejected(self, message: Message, ts: int) -> list[Said]:
        ref = self.rejects.ref_of(message)
        why = _text(message) or f"35={message.type}"
        if self.questions.refused(ref, why):
            return []
        said = self.rejects.rejected(message, ts)
        return said or [self.rejects.about(message)]

    def _sent(self, heard: Sent) -> None:
        self.rejects.sent(heard.seq, heard.ref or _ref(heard.message))
        if heard.replayed or not heard.ref:
            self.history.take(heard.message)
        self._passed(heard.position)

    def _passed(self, position: int) -> None:
        """Heard up to there; what nobody could be told yet is not behind the bookmark."""
        self._at = position
        if self._emit is not None:
            self.mark.move(position)

    def _caught_up(self) -> None:
        """The history is told. One that ends before our bookmark is another journal's."""
        unsaid, self._unsaid = self._unsaid, []
        if self.mark.at is not None and self._at < self.mark.at and unsaid:
            told = f"the journal ends at {self._at}, {self.mark.at} was told: it is another one"
            self.mark.restart(0)
            self._floor = 0
            self.say([Notice("critical", "journal_lost", f"{told}; all of it is told"), *unsaid])

    def lost(self, ref: str, why: str) -> None:
        """What was handed over has not left."""
        if not self.questions.refused(ref, why):
            self.say(self.rejects.lost(ref, why, time.time_ns()))

    def _moved(self, state: LineState) -> None:
        if state.up == self._up or self._emit is None:
            return
        self._up = state.up
        if state.up:
            self.joined.up(ORDERS)
            self._emit(VenueState("connected", "again"))
        else:
            self.joined.down(ORDERS)
            self.questions.lost(f"the session is down: {state.detail}")
            self._emit(VenueState("disconnected", state.detail))

    def _alarm(self, alarm: LineAlarm) -> None:
        if alarm.code == "reset":
            self.rejects.began_anew()
        if alarm.code == "journal_lost":
            self._floor = 0
            self.mark.restart(0)
        if alarm.code == "stale_order":
            self._stale(str(alarm.detail.get("client_order_id", "")), alarm.text)
        level = LEVELS.get(
            alarm.code, "critical" if alarm.code in DOUBTFUL | NOT_TAKEN else "warning"
        )
        self.say([Notice(level, alarm.code, alarm.text)])
        if level == "critical":
            self.unsure(alarm.text)

    def _stale(self, wire: str, why: str) -> None:
        """A request was not sent again: new terms are refused, an order is asked for."""
        order = self.book.on_wire(wire)
        if wire in self.book.asks:
            self.lost(wire, why)
        elif order is not None and not order.accepted and not order.closed:
            self.executions.doubtful[id(order)] = order

    def unsure(self, why: str) -> None:
        """Have the session compare its books with the venue's before anything new leaves."""
        if self._emit is not None and self._up:
            self._emit(VenueState("silent", why))
            self._emit(VenueState("connected", f"after: {why}"))


class Doubts:
    """Asks for orders that do not add up, a while after they stopped doing so."""

    def __init__(
        self,
        flow: Flow,
        wait: float,
        ask: Callable[[o.Order], Awaitable[OrderStatus | None]],
        fills: Callable[[o.Order], Awaitable[list[Said]]],
    ) -> None:
        self._flow, self._wait, self._ask, self._fills = flow, wait, ask, fills
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """There are orders in doubt."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Ask no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def _run(self) -> None:
        doubtful = self._flow.executions.doubtful
        while doubtful:
            await asyncio.sleep(self._wait)
            for order in list(doubtful.values()):
                await self._resolve(order)

    async def _resolve(self, order: o.Order) -> None:
        flow = self._flow
        named = order.name or order.venue_id
        told = f"order {named}: the venue says {order.told} is filled, {order.filled} was reported"
        if order.accepted:
            flow.say([Notice("warning", "cum_qty", f"{told}; it is asked")])
        answer: OrderStatus | None = None
        try:
            answer = await self._ask(order)
            if answer is None and not order.accepted:
                why = "it was too old to be sent again, and the venue does not have it"
                flow.say(flow.rejects.lost(order.wire, why, time.time_ns()))
        except VenueError as err:  # who cannot be asked has not said that there is none
            flow.say([Notice("warning", "cum_qty", f"order {named}: {err}")])
        try:
            if order.told != order.filled:
                flow.say(await self._fills(order))
        except VenueError as err:
            flow.say([Notice("warning", "cum_qty", f"order {named}: {err}")])
        if answer is not None:
            over = flow.book.over(order, answer.status, answer.reason, answer.ts_event)
            flow.say(list(over))
        flow.say(flow.executions.settle(order))


def _ref(message: Message) -> str:
    return message.get(t.CL_ORD_ID, "")


def _text(message: Message) -> str:
    return " ".join(value for tag, value in message.fields if tag == t.TEXT)


def _steady() -> float:
    return time.monotonic()
