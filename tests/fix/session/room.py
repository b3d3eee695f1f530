"""A session without sockets: a clock that the test moves, a peer that the test speaks for, and two
sessions joined by a line that loses and cuts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from onetape_fix.session import Alarm, Application, Journal, MemoryStore, Session, SessionConfig
from onetape_fix.session.store import Store
from onetape_fix.spec import Rules
from onetape_fix.wire import Body, Encoder, Framer, Message, format_utc, parse

NOON = 1_767_614_400_000_000_000  # Monday, 5 January 2026, 12:00 UTC
SECOND = 1_000_000_000
Role = Literal["initiator", "acceptor"]
ROLES: tuple[Role, ...] = ("initiator", "acceptor")


class HandClock:
    """Stands still until the test moves it."""

    def __init__(self) -> None:
        self.ns = NOON

    def now(self) -> int:
        return self.ns

    def monotonic(self) -> float:
        return (self.ns - NOON) / SECOND

    def move(self, seconds: float) -> None:
        self.ns += round(seconds * SECOND)


class Wire:
    """A link that keeps what is written to it."""

    def __init__(self) -> None:
        self.written: deque[bytes] = deque()
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed, "written to a link that was closed"
        self.written.append(data)

    def close(self) -> None:
        self.closed = True


class Listener(Application):
    """Remembers everything; fails where the test wants it to."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.recorded: list[tuple[Message, int]] = []
        self.alarms: list[Alarm] = []
        self.ups = 0
        self.downs: list[str] = []
        self.raises: Exception | None = None
        self.turns_away: str | None = None
        self.keeps_back: set[str] = set()
        self.asks = True
        self.logon_fields: Body = ()

    def logon_body(self, session: Session) -> Body:
        return self.logon_fields

    def check_logon(self, session: Session, message: Message) -> str | None:
        return self.turns_away

    def on_logon(self, session: Session) -> None:
        self.ups += 1

    def on_logout(self, session: Session, why: str) -> None:
        self.downs.append(why)

    def on_message(self, session: Session, message: Message) -> None:
        self.heard.append(message)
        if self.raises is not None:
            raise self.raises

    def on_recorded(self, session: Session, message: Message, position: int) -> None:
        self.recorded.append((message, position))

    def on_alarm(self, session: Session, alarm: Alarm) -> None:
        self.alarms.append(alarm)

    def may_resend(self, session: Session, seq: int, message: Message) -> bool:
        return message.type not in self.keeps_back

    def may_ask(self, session: Session) -> bool:
        return self.asks

    @property
    def codes(self) -> list[str]:
        return [alarm.code for alarm in self.alarms]

    @property
    def orders(self) -> list[str]:
        """The ClOrdIDs heard, in their order."""
        return [message.get(11, "") for message in self.heard]


class Desk:
    """One session, whose peer is spoken for by the test."""

    def __init__(
        self, role: Role = "initiator", *, rules: Rules | None = None, **settings: Any
    ) -> None:
        begin = settings.pop("begin_string", "FIX.4.4")
        self.store: Store = settings.pop("kept", None) or MemoryStore()
        self.config = SessionConfig(
            begin_string=begin, sender="US", target="THEM", role=role, **settings
        )
        self.clock = HandClock()
        self.app = Listener()
        self.session = Session(self.config, rules, self.store, self.app, self.clock)
        self.wire = Wire()
        self.peer = Encoder(begin, [(49, "THEM"), (56, "US")])
        self.seq = 1  # the peer's next number

    # -- the peer

    def raw(self, kind: str, body: Body = (), seq: int = 0, **more: Any) -> bytes:
        """A message of the peer. `header`, `sent` (seconds from now) are possible."""
        header: Sequence[tuple[int, str | int]] = more.get("header", ())
        stamp = format_utc(self.clock.now() + round(more.get("sent", 0) * SECOND), 3)
        stamp = str(dict(header).get(52, stamp))
        header = [field for field in header if field[0] != 52]
        return self.peer.encode(kind, seq, stamp, body, header)

    def says(self, kind: str, body: Body = (), seq: int | None = None, **more: Any) -> None:
        """The peer sends a message: with its next number, or the one given."""
        if seq is None:
            seq, self.seq = self.seq, self.seq + 1
        else:
            self.seq = max(self.seq, seq + 1)
        self.session.received(self.raw(kind, body, seq, **more))

    def repeats(self, kind: str, body: Body = (), seq: int = 0) -> None:
        """The peer sends an earlier message again, as it should."""
        first = format_utc(self.clock.now() - SECOND, 3)
        self.says(kind, body, seq, header=[(43, "Y"), (122, first)])

    def order(self, name: str, seq: int | None = None, **more: Any) -> None:
        self.says("D", [(11, name), (55, "XYZ"), (54, "1"), (38, 100), (40, "1")], seq, **more)

    # -- the session

    def connect(self) -> None:
        self.wire = Wire()
        self.session.connected(self.wire)

    def cut(self) -> None:
        self.session.disconnected("the line was cut", self.wire)

    def log_on(self, heartbeat: int = 30, *, more: Body = (), seq: int | None = None) -> None:
        """Both Logons; what was written for it is taken away."""
        self.connect()
        self.says("A", [(98, "0"), (108, heartbeat), *more], seq)
        assert self.session.state == "up", self.app.alarms
        self.wire.written.clear()

    def got(self) -> list[Message]:
        """What the session has written since."""
        found = [parse(raw) for raw in self.wire.written]
        self.wire.written.clear()
        return found

    def kinds(self) -> list[str]:
        return [message.type for message in self.got()]

    def wait(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass, with ticks."""
        end = self.clock.ns + round(seconds * SECOND)
        while self.clock.ns < end:
            self.clock.ns = min(self.clock.ns + round(step * SECOND), end)
            self.session.tick()


class Pair:
    """Two sessions, an initiator and an acceptor, on one clock. Either may be killed: only its
    store is left then, and a new session is made of it."""

    def __init__(self, *, folder: Path | None = None, **settings: Any) -> None:
        self.clock = HandClock()
        self.folder = folder
        self.stores: dict[Role, Store] = {}
        for role in ROLES:
            self.stores[role] = MemoryStore() if folder is None else Journal(folder, role)
        self.apps: dict[Role, Listener] = {role: Listener() for role in ROLES}
        self.settings = settings
        self.sessions: dict[Role, Session] = {}
        self.wires: dict[Role, Wire] = {}
        for role in ROLES:
            self.make(role)

    def make(self, role: Role) -> None:
        names = ("US", "THEM") if role == "initiator" else ("THEM", "US")
        config = SessionConfig(
            begin_string="FIX.4.4", sender=names[0], target=names[1], role=role, **self.settings
        )
        app, store = self.apps[role], self.stores[role]
        self.sessions[role] = Session(config, None, store, app, self.clock)

    def kill(self, role: Role) -> None:
        """The process is gone at once; the other hears that the line is gone."""
        if self.folder is not None:
            self.stores[role].close()
            self.stores[role] = Journal(self.folder, role)
        self.make(role)
        self.wires.pop(role, None)
        self.cut()

    def cut(self) -> None:
        """The line is cut: what is on its way is lost."""
        for role, wire in list(self.wires.items()):
            self.sessions[role].disconnected("cut", wire)
        self.wires.clear()

    def connect(self) -> None:
        self.cut()
        self.wires = {role: Wire() for role in ROLES}
        for role in reversed(ROLES):
            self.sessions[role].connected(self.wires[role])

    @property
    def up(self) -> bool:
        return all(session.state == "up" for session in self.sessions.values())

    def carry(self, role: Role, *, lose: bool = False) -> bool:
        """Bring one message of a side over to the other; `lose`: it does not arrive."""
        wire = self.wires.get(role)
        other: Role = "acceptor" if role == "initiator" else "initiator"
        if wire is None:
            return False
        if not wire.written:
            if wire.closed:
                self.cut()
            return False
        raw = wire.written.popleft()
        if not lose:
            self.sessions[other].received(raw)
        return True

    def settle(self, seconds: float = 0.0) -> None:
        """Carry until nothing moves any more, then let time pass and carry again."""
        end = self.clock.ns + round(seconds * SECOND)
        while True:
            while sum(self.carry(role) for role in ROLES):
                pass
            if self.clock.ns >= end:
                return
            self.clock.move(0.5)
            for session in self.sessions.values():
                session.tick()


def frames(data: bytes) -> list[bytes]:
    return [piece for piece in Framer().feed(data) if isinstance(piece, bytes)]
