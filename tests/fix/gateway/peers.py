"""Simulated counterparts of a gateway's sessions, in the test's own loop: each an acceptor on a
port of its own, which answers orders and remembers when it was last heard from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

from onetape_fix.gateway.hub import Gateway
from onetape_fix.gateway.line import Heard, Inbound, Sent
from onetape_fix.session import (
    Application,
    Checks,
    GatewayConfig,
    MemoryStore,
    Session,
    SessionConfig,
    Settings,
    SystemClock,
)
from onetape_fix.session.acceptor import Acceptor, by_comp_ids
from onetape_fix.session.transport import pulse

STAMP = "20260302-14:30:00.000"
FREE = ("127.0.0.1", 0)


class Timed(Session):
    """Remembers when bytes arrived (seconds, monotonic)."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.arrivals: list[float] = []

    def received(self, data: bytes) -> None:
        self.arrivals.append(time.monotonic())
        super().received(data)

    def widest(self, since: float) -> float:
        """The longest silence from a moment on, up to now."""
        times = [since, *(at for at in self.arrivals if at > since), time.monotonic()]
        return max(b - a for a, b in pairwise(times))


class Broker(Application):
    """Accepts every order, cancels what is to be canceled; keeps what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.answering = True

    def on_message(self, session, message) -> None:
        kind, order = message.type, message.get(11) or ""
        self.heard.append((kind, order))
        if not self.answering:
            return
        if kind == "D":
            session.send("8", report(order, "0", "0", message))
        elif kind == "F":
            session.send("8", report(order, "4", "4", message, before=message[41]))

    def ids(self, kind: str) -> list[str]:
        return [order for said, order in self.heard if said == kind]


def report(order: str, what: str, status: str, message, before: str = "", execution: str = ""):
    """The body of an execution report."""
    ids = [(37, f"V{before or order}"), (11, order)]
    if before:
        ids.append((41, before))
    terms = [(55, message[55]), (54, message[54]), (38, message.get(38) or "1")]
    filled = [(32, terms[2][1]), (31, "10")] if what == "F" else []
    left = "0" if status in "248C" else terms[2][1]
    execution = execution or f"E{what}{order}"
    return [*ids, (17, execution), (150, what), (39, status), *terms, *filled, (151, left),
            (14, "0"), (6, "0"), (60, STAMP)]  # fmt: skip


def order(name: str, quantity: str = "10") -> list[tuple[int, str]]:
    """The body of a new order."""
    return [(11, name), (55, "ABC"), (54, "1"), (38, quantity), (40, "1"), (60, STAMP)]


class Peers:
    """Acceptors by the name of the gateway's session."""

    def __init__(self, names: list[str], begin_string: str = "FIX.4.4") -> None:
        self.brokers = {name: Broker() for name in names}
        self.sessions: dict[str, Timed] = {}
        self.ports: dict[str, int] = {}
        self._begin = begin_string
        self._acceptors: dict[str, Acceptor] = {}
        self._pulse: asyncio.Task[None] | None = None
        for name in names:
            config = SessionConfig(
                begin_string=begin_string, sender=f"V-{name}", target=f"US-{name}",
                role="acceptor", listen=FREE, session_name=name, checks=Checks(dictionary=False),
            )  # fmt: skip
            store = MemoryStore(time.time_ns())
            broker = self.brokers[name]
            self.sessions[name] = Timed(config, None, store, broker, SystemClock())

    async def start(self, *names: str) -> None:
        for name in names or self.sessions:
            where = ("127.0.0.1", self.ports.get(name, 0))
            acceptor = Acceptor(where, by_comp_ids([self.sessions[name]]))
            await acceptor.start()
            self._acceptors[name], self.ports[name] = acceptor, acceptor.address[1]
        if self._pulse is None:
            self._pulse = asyncio.create_task(pulse(lambda: self.sessions.values(), 0.05))

    async def stop(self, *names: str) -> None:
        for name in names or list(self._acceptors):
            await self._acceptors.pop(name).stop()
        if not names and self._pulse is not None:
            self._pulse.cancel()

    def up(self) -> set[str]:
        return {name for name, session in self.sessions.items() if session.state == "up"}

    def config(self, name: str, folder: Path, **more) -> SessionConfig:
        """The gateway's side of a session."""
        usual = {"store": folder / "store", "reconnect": 0.2, "heartbeat": 30, "session_name": name}
        return SessionConfig(
            begin_string=self._begin, sender=f"US-{name}", target=f"V-{name}",
            hosts=(("127.0.0.1", self.ports[name]),), **(usual | more),
        )  # fmt: skip

    def text(self, folder: Path, heartbeat: int = 30, gateway: str = "", **ports: int) -> Path:
        """The gateway's side of all sessions, as a file; `ports` are other ones to dial."""
        lines = ["[DEFAULT]", f"BeginString={self._begin}", "ConnectionType=initiator",
                 f"HeartBtInt={heartbeat}", "ReconnectInterval=1", "LogonTimeout=2",
                 "FileStorePath=store", "NonStopSession=Y"]  # fmt: skip
        for name in self.sessions:
            port = ports.get(name, self.ports.get(name, 0))
            lines += ["[SESSION]", f"SessionName={name}", f"SenderCompID=US-{name}",
                      f"TargetCompID=V-{name}", "SocketConnectHost=127.0.0.1",
                      f"SocketConnectPort={port}"]  # fmt: skip
        path = folder / "gw.cfg"
        path.write_text("\n".join([*lines, "[GATEWAY]", "Socket=gw.sock", gateway, ""]))
        return path


@asynccontextmanager
async def holding(peers: Peers, folder: Path, keeper=None, clock=None, gateway=None, **more):
    """A gateway in this process with all of the peers' sessions."""
    await peers.start()
    configs = tuple(peers.config(name, folder, **more) for name in peers.sessions)
    where = gateway or GatewayConfig(socket=folder / "gw.sock")
    held = Gateway(Settings(sessions=configs, gateway=where), keeper=keeper, clock=clock)
    await held.start()
    try:
        yield held
    finally:
        await held.stop()
        await peers.stop()


async def until(true: Callable[[], object], seconds: float = 30.0, what: str = "") -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what or "it did not come to be"
        await asyncio.sleep(0.005)


def run(test: Callable[[], Awaitable[None]], seconds: float = 90.0) -> None:
    """Run a test's coroutine, for so long at most."""

    async def limited() -> None:
        async with asyncio.timeout(seconds):
            await test()

    asyncio.run(limited())


def reports(heard: list[Heard]) -> list[str]:
    """The ClOrdIDs of the reports that were heard."""
    return [one.message[11] for one in heard if isinstance(one, Inbound)]


def sent(heard: list[Heard]) -> list[tuple[str, str]]:
    """Ref and ClOrdID of what was told as sent."""
    return [(one.ref, one.message[11]) for one in heard if isinstance(one, Sent)]
