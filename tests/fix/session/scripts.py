"""Runs acceptance scripts (.def) against a session behind a real socket.

A line is one letter, perhaps the number of a connection and a comma, and a body:
i CONNECT / DISCONNECT   what we do            I   a message that we send
e DISCONNECT             what must happen      E   the message that must come, field by field
`<TIME>` and `<TIME+n>` stand for the time in UTC; BodyLength and CheckSum are added where absent.
Times and the checksum are compared by their shape, everything else as it stands, in its order.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from onetape_fix.session import Application, MemoryStore, Session, SessionConfig, Unsupported
from onetape_fix.session.acceptor import Acceptor, by_comp_ids
from onetape_fix.session.transport import pulse
from onetape_fix.spec import Dictionary, Rules, load
from onetape_fix.wire import HEADER_TAGS, Message, checksum

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("FIX_SHARED", ROOT.parent / "shared")) / "fix"
LINE = re.compile(rb"([IEie])(?:(\d),)?(.*)", re.DOTALL)
TIME = re.compile(rb"<TIME([+-]\d+)?>")
STAMP = re.compile(r"\d{8}-\d\d:\d\d:\d\d(\.\d{3,9})?")
SHAPES = {10: re.compile(r"\d{3}"), 42: STAMP, 52: STAMP, 60: STAMP, 122: STAMP}
PATIENCE = 12.0  # seconds, as the scripts' own clock counts them

VERSIONS = {
    "fix42": ("FIX.4.2", "TW42", ("FIX42",), ""),
    "fix44": ("FIX.4.4", "TW44", ("FIX44",), ""),
    "fix50sp2": ("FIXT.1.1", "TW50SP2", ("FIXT11", "FIX50SP2"), "9"),
}


class ScriptFailed(AssertionError):
    """What came is not what the script says."""


def dictionary(name: str) -> Dictionary:
    return load(SHARED / "dictionaries" / f"{name}.xml")


def is_plain(tag: int) -> bool:
    return tag not in HEADER_TAGS and tag != 10


class Echo(Application):
    """Sends orders and security definitions back; knows nothing else."""

    def __init__(self) -> None:
        self.orders: set[str] = set()

    def on_logon(self, session: Session) -> None:
        self.orders.clear()

    def on_message(self, session: Session, message: Message) -> None:
        if message.type == "3":
            return
        if message.type not in ("D", "d"):
            raise Unsupported
        again = message.get(97) == "Y"
        if message.type == "D":
            order = message[11]
            if again and order in self.orders:
                return
            self.orders.add(order)
        body = [field for field in message.fields if is_plain(field[0])]
        session.send(message.type, body, [(97, "Y")] if again else ())


class QuickClock:
    """Real time for what is written, seconds that pass faster for what is waited for."""

    def __init__(self, speed: float) -> None:
        self.speed = speed

    def now(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic() * self.speed


class Peer:
    """The script's side of one connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: float
    ) -> None:
        self.reader, self.writer, self.patience = reader, writer, patience

    async def message(self) -> bytes:
        try:
            async with asyncio.timeout(self.patience):
                head = await self.reader.readuntil(b"\x019=")
                length = await self.reader.readuntil(b"\x01")
                rest = await self.reader.readexactly(int(length[:-1]) + 7)
                return head + length + rest
        except TimeoutError:
            raise ScriptFailed("nothing came") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise ScriptFailed("the connection was closed, a message expected") from None

    async def end(self) -> None:
        try:
            async with asyncio.timeout(self.patience):
                data = await self.reader.read(65_536)
        except TimeoutError:
            raise ScriptFailed("the connection stays open") from None
        except ConnectionError:
            return
        if data:
            raise ScriptFailed(f"the connection's end expected, got {shown(data)}")


def shown(data: bytes) -> str:
    return data.decode("latin-1").replace("\x01", "|")


def completed(body: bytes) -> bytes:
    """The body with the time, a length and a checksum filled in where they are missing."""

    def stamp(match: re.Match[bytes]) -> bytes:
        moment = datetime.now(UTC) + timedelta(seconds=int(match[1] or 0))
        return moment.strftime("%Y%m%d-%H:%M:%S").encode()

    body = TIME.sub(stamp, body)
    begin = re.match(rb"8=[^\x01]*\x01", body)
    if begin is None:
        return body
    opening, rest = begin[0], body[begin.end() :]
    end = re.search(rb"\x0110=[^\x01]*\x01?$", rest)
    foot = b""
    if end is not None:
        rest, foot = rest[: end.start() + 1], rest[end.start() + 1 :]
    if not re.search(rb"(?:^|\x01)9=", rest):
        opening += b"9=%d\x01" % len(rest)
    return opening + rest + (foot or b"10=%03d\x01" % checksum(opening + rest))


def compare(expected: bytes, found: bytes) -> None:
    """Raise ScriptFailed where a message is not the expected one."""
    wanted = [field.partition(b"=") for field in expected.split(b"\x01") if field]
    got = [field.partition(b"=") for field in found.split(b"\x01") if field]
    alike = len(wanted) == len(got)
    for (tag, _, value), (its_tag, _, its_value) in zip(wanted, got, strict=False):
        shape = SHAPES.get(int(tag))
        same = shape.fullmatch(its_value.decode()) if shape else value == its_value
        alike = alike and tag == its_tag and bool(same)
    if not alike:
        raise ScriptFailed(f"\n expected {shown(expected)}\n      got {shown(found)}")


async def walk(path: Path, port: int, patience: float) -> None:
    """Do what a script says, line by line."""
    peers: dict[bytes, Peer] = {}
    try:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            step = LINE.fullmatch(line)
            if step is None:
                assert not line.strip() or line.startswith(b"#"), line
                continue
            what, which, body = step[1], step[2] or b"1", step[3]
            try:
                if (what, body) == (b"i", b"CONNECT"):
                    pair = await asyncio.open_connection("127.0.0.1", port)
                    peers[which] = Peer(*pair, patience)
                else:
                    await do(peers[which], what, completed(body))
            except ScriptFailed as failed:
                raise ScriptFailed(f"line {number}: {failed}") from None
    finally:
        for peer in peers.values():
            peer.writer.close()


async def do(peer: Peer, what: bytes, body: bytes) -> None:
    if what == b"I":
        peer.writer.write(body)
    elif what == b"E":
        compare(body, await peer.message())
    elif (what, body) == (b"e", b"DISCONNECT"):
        await peer.end()
    elif (what, body) == (b"i", b"DISCONNECT"):
        peer.writer.close()
    else:
        raise ScriptFailed(f"no such step: {shown(what + body)}")


async def run(path: Path, speed: float = 1.0) -> None:
    """Run one script against a session of its own, behind a port of its own."""
    begin, target, names, applies = VERSIONS[path.parent.name]
    config = SessionConfig(
        begin_string=begin,
        sender="ISLD",
        target=target,
        role="acceptor",
        default_appl_ver=applies,
        reset_on_logon=True,
        sorted_body=True,
        test_request_id="TEST",
    )
    rules = Rules(*map(dictionary, names), lenient=frozenset())
    session = Session(config, rules, MemoryStore(), Echo(), QuickClock(speed))
    acceptor = Acceptor(("127.0.0.1", 0), by_comp_ids([session]))
    await acceptor.start()
    beating = asyncio.create_task(pulse(lambda: [session], 0.05))
    try:
        await walk(path, acceptor.address[1], PATIENCE / min(speed, 2.0))
    finally:
        beating.cancel()
        await acceptor.stop()
