"""A door for a test, and somebody at it who speaks FIX byte by byte."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

import onetape as ot
from onetape.run.ports import Quote
from onetape_fix.door.server import Door, opened
from onetape_fix.session import SessionConfig, Settings
from onetape_fix.wire import Encoder, Framer, Message, format_utc, parse

D = Decimal
START = 1_704_726_000_123_456_789
AAA = ot.equity("AAA.SIM", session=None, tz="UTC")
BBB = ot.equity("BBB.SIM", session=None, tz="UTC")
LISTED = [msgspec.to_builtins(AAA), msgspec.to_builtins(BBB)]
PATIENCE = 10.0


def quote(bid: Any, ask: Any, size: Any = 1_000, ts: int = START, name: str = "AAA.SIM") -> Quote:
    return Quote(name, ts, D(bid), D(ask), D(size), D(size))


def config(
    target: str = "CLIENT", begin: str = "FIX.4.4", profile: str = "generic44", **more: Any
) -> SessionConfig:
    """An acceptor's session; `target` is who dials it."""
    made: dict[str, Any] = {
        "begin_string": begin,
        "sender": "VENUE",
        "target": target,
        "role": "acceptor",
        "session_name": target,
        "listen": ("127.0.0.1", 0),
        "persist": False,
        "profile": profile,
        "timestamp_digits": 9 if begin == "FIX.4.4" or begin == "FIXT.1.1" else 3,
        "default_appl_ver": "9" if begin == "FIXT.1.1" else "",
        "extra": {"Account": "A"},
    }
    return SessionConfig(**{**made, **more})


@asynccontextmanager
async def door(*sessions: SessionConfig, **world: Any) -> AsyncIterator[Door]:
    """A door whose world lists AAA and BBB and has a quote of AAA."""
    given: dict[str, Any] = {"instruments": LISTED, "fees": "bps:1", **world}
    socket = given.pop("socket", None)
    shown = given.pop("shown", True)
    async with opened(Settings(sessions=sessions or (config(),)), given, socket) as made:
        if shown:
            show(made, quote("10.00", "10.02"))
        yield made


def show(door: Door, row: Any) -> None:
    """Let the market move."""
    world = door.world
    world.core.at(max(row.ts_event, world.player.now))
    world.core.row(row)
    world.flush()


class Client:
    """An initiator that does only what it is told; `heard` are all messages, in order."""

    def __init__(self, config: SessionConfig, port: int) -> None:
        self.config = config
        self.port = port
        self.encoder = Encoder(config.begin_string, [(49, config.target), (56, config.sender)])
        self.heard: list[Message] = []
        self.broken: list[Any] = []
        self.raw = b""
        self.seq = 1
        self.gone = False
        self.repeats = False  # whether a ResendRequest is answered
        self.sent: dict[int, tuple[str, Any]] = {}
        self._more = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def connect(self) -> Client:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.gone = False
        self._task = asyncio.create_task(self._listen(reader))
        return self

    async def log_on(self, *more: tuple[int, Any], beat: int = 30, wait: bool = True) -> Client:
        if self._writer is None:
            await self.connect()
        body: list[tuple[int, Any]] = [(98, "0"), (108, beat)]
        if self.config.default_appl_ver:
            body.append((1137, self.config.default_appl_ver))
        before = len(self.of("A"))
        self.send("A", [*body, *more])
        if wait:
            await self.until(lambda: len(self.of("A")) > before)
        return self

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        framer = Framer()
        while True:
            try:
                data = await reader.read(65_536)
            except ConnectionError:
                data = b""
            if not data:
                self.gone = True
                self._more.set()
                return
            self.raw += data
            for piece in framer.feed(data):
                if isinstance(piece, bytes):
                    self.heard.append(parse(piece))
                    if self.repeats and self.heard[-1].type == "2":
                        self.repeat(int(self.heard[-1][7]))
                else:
                    self.broken.append(piece)
            self._more.set()

    def send(self, kind: str, body: Any, *, seq: int | None = None, header: Any = ()) -> bytes:
        number = self.seq if seq is None else seq
        self.sent.setdefault(number, (kind, body))
        raw = self.encoder.encode(kind, number, format_utc(_now(), 6), body, header)
        if seq is None:
            self.seq += 1
        self.write(raw)
        return raw

    def repeat(self, first: int) -> None:
        """Send what was sent from a number on again; a gap fill stands for what is admin."""
        for number in range(first, self.seq):
            kind, body = self.sent[number]
            header = [(43, "Y"), (122, "20260101-00:00:00")]
            if kind in "0125A":
                kind, body = "4", [(123, "Y"), (36, number + 1)]
            self.send(kind, body, seq=number, header=header)

    def write(self, raw: bytes) -> None:
        assert self._writer is not None
        self._writer.write(raw)

    def of(self, kind: str) -> list[Message]:
        return [message for message in self.heard if message.type == kind]

    def reports(self, client_id: str | None = None) -> list[Message]:
        return [m for m in self.of("8") if client_id in (None, m.get(11))]

    async def until(self, done: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not done():
                self._more.clear()
                if done():
                    return
                await self._more.wait()

    async def get(self, kind: str, count: int = 1) -> Message:
        """Wait for the nth message of a kind and return it."""
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]

    async def report(self, client_id: str, exec_type: str) -> Message:
        def found() -> list[Message]:
            return [m for m in self.reports(client_id) if m.get(150) == exec_type]

        await self.until(found)
        return found()[-1]

    async def ping(self) -> None:
        """Wait until all that was sent has been dealt with."""
        name = f"PING{self.seq}"
        self.send("1", [(112, name)])
        await self.until(lambda: any(m.get(112) == name for m in self.of("0")))

    async def leave(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=PATIENCE)
        self._writer = None

    # -- orders

    def order(self, client_id: str, side: str = "1", qty: Any = 5, **more: Any) -> list[Any]:
        """The body of a new order; a market order unless `price` is given."""
        price = more.pop("price", None)
        tags = {1: "A", 40: "1" if price is None else "2", 59: "1", **more.pop("tags", {})}
        body: list[Any] = [(11, client_id)]
        if self.config.begin_string == "FIX.4.2":
            body.append((21, "1"))
        body += [(55, more.get("symbol", "AAA")), (207, "SIM"), (54, side)]
        body += [(60, format_utc(_now(), 3)), (38, D(qty))]
        if price is not None:
            body.append((44, D(price)))
        return [*body, *((tag, value) for tag, value in tags.items() if value is not None)]

    def buy(self, client_id: str, qty: Any = 5, **more: Any) -> None:
        self.send("D", self.order(client_id, "1", qty, **more))

    def sell(self, client_id: str, qty: Any = 5, **more: Any) -> None:
        self.send("D", self.order(client_id, "2", qty, **more))

    def cancel(self, client_id: str, orig: str, **more: Any) -> None:
        body = [(41, orig), (11, client_id), (55, "AAA"), (207, "SIM"), (54, "1")]
        self.send("F", [*body, (60, format_utc(_now(), 3)), *more.get("fields", ())])

    def replace(self, client_id: str, orig: str, qty: Any, price: Any = None) -> None:
        body = self.order(client_id, "1", qty, price=price)
        self.send("G", [(41, orig), *body])


def _now() -> int:
    import time

    return time.time_ns()


@asynccontextmanager
async def client(made: Door, name: str = "CLIENT", **more: Any) -> AsyncIterator[Client]:
    """Somebody who is logged on."""
    session = made.session(name)
    person = Client(session.config, made.addresses[name][1])
    try:
        yield await person.log_on(**more)
    finally:
        await person.leave()


@asynccontextmanager
async def at_door(*sessions: SessionConfig, **world: Any) -> AsyncIterator[tuple[Door, Client]]:
    """A door and the client of its first session."""
    async with door(*sessions, **world) as made, client(made, made.sessions[0].name) as person:
        yield made, person


def folder() -> tempfile.TemporaryDirectory[str]:
    """A short path, for unix sockets."""
    return tempfile.TemporaryDirectory(prefix="fd")


def values(message: Message, *tags: int) -> tuple[str | None, ...]:
    return tuple(message.get(tag) for tag in tags)


__all__ = ["AAA", "START", "Client", "D", "Path", "at_door", "client", "config", "door", "values"]
