"""What goes over a gateway's socket: frames of msgpack, each behind its length.

A frame is four bytes (its length, big-endian) and one tagged struct. What is written within one
turn of the loop leaves in one piece. `Framed.roomy` is False while the other side does not read;
nobody here waits for it: what is not told is read from the journal when there is room again.

Units    `ts` in ns UTC; `raw` is a whole FIX message as on the wire.
Raises   nothing towards the loop: a frame that cannot be read closes the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast, override

import msgspec

LENGTH = 4
LIMIT = 32 << 20  # bytes of a frame; a FIX message is at most 8 MiB
HIGH, LOW = 1 << 20, 1 << 18  # bytes waiting for a client, before it counts as slow and after


class Frame(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Base of everything on the socket."""


# -- from a client


class Open(Frame, frozen=True):
    """Hear a session from behind position `since`; `line` is the client's number for it."""

    line: int
    session: str
    since: int


class Shut(Frame, frozen=True):
    line: int


class Post(Frame, frozen=True):
    """A message to be sent; decimals as text, groups as lists of bodies. `at` is when it was
    posted (ns UTC), 0 where that is not told."""

    line: int
    msg_type: str
    body: list[Any]
    ref: str = ""
    at: int = 0


class Ask(Frame, frozen=True):
    """Something to be answered: see `control`."""

    id: int
    what: str
    args: dict[str, Any]


# -- from the gateway


class Opened(Frame, frozen=True):
    """The line is there; or it is not, and why: `trouble` as in `Answer`."""

    line: int
    name: str = ""
    duties: list[str] = []
    profile: str = ""
    data_tags: list[int] = []
    trouble: str = ""
    detail: str = ""


class Told(Frame, frozen=True):
    """A recorded message: `way` is "in" or "out"."""

    line: int
    way: str
    raw: bytes
    seq: int
    position: int
    ts: int
    replayed: bool = False
    ref: str = ""


class Kept(Frame, frozen=True):
    """A message that was not sent: the caller keeps it."""

    line: int
    ref: str
    msg_type: str
    why: str


class State(Frame, frozen=True):
    line: int
    up: bool
    detail: str
    disabled: str  # why no orders are let out; "" where they are


class Alarmed(Frame, frozen=True):
    line: int
    code: str
    text: str
    detail: dict[str, Any]


class Caught(Frame, frozen=True):
    """The history is told."""

    line: int


class Answer(Frame, frozen=True):
    """`trouble` is "settings", "unavailable", "venue" or "": the family of the error."""

    id: int
    result: Any = None
    trouble: str = ""
    detail: str = ""


class Beat(Frame, frozen=True):
    """The gateway's loop is turning."""


ToGateway = Open | Shut | Post | Ask
ToClient = Opened | Told | Kept | State | Alarmed | Caught | Answer | Beat

_encode = msgspec.msgpack.Encoder(enc_hook=str).encode


class Framed(asyncio.Protocol):
    """One end of a connection; `heard` gets whole frames of the types given."""

    def __init__(
        self,
        types: Any,
        heard: Callable[[Framed, Any], None],
        lost: Callable[[Framed], None],
        roomy: Callable[[Framed], None] | None = None,
    ) -> None:
        self._decode = msgspec.msgpack.Decoder(types).decode
        self._heard, self._lost, self._again = heard, lost, roomy
        self._in = bytearray()
        self._out: list[bytes] = []
        self._waiting = 0
        self._paused = False
        self._transport: asyncio.Transport | None = None
        self.trouble = ""  # why we closed the connection

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def roomy(self) -> bool:
        """True where one more frame may be posted without piling up."""
        return not self._paused and self._waiting < HIGH

    @property
    def waiting(self) -> int:
        """Return the bytes that the other side has not taken yet."""
        kept = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._waiting + kept

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH, LOW)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._out.clear()
        self._lost(self)

    @override
    def pause_writing(self) -> None:
        self._paused = True

    @override
    def resume_writing(self) -> None:
        self._paused = False
        if self._again is not None:
            self._again(self)

    @override
    def data_received(self, data: bytes) -> None:
        self._in += data
        try:
            for frame in self._frames():
                self._heard(self, frame)
        except msgspec.MsgspecError as err:
            self.trouble = f"a frame that cannot be read: {err}"
            self.close()

    def _frames(self) -> list[Any]:
        found: list[Any] = []
        at, end = 0, len(self._in)
        view = memoryview(self._in)
        try:
            while at + LENGTH <= end:
                size = int.from_bytes(view[at : at + LENGTH])
                if size > LIMIT:
                    raise msgspec.MsgspecError(f"{size} bytes announced, {LIMIT} at most expected")
                if at + LENGTH + size > end:
                    break
                found.append(self._decode(view[at + LENGTH : at + LENGTH + size]))
                at += LENGTH + size
        finally:
            view.release()
        del self._in[:at]
        return found

    def post(self, frame: Frame) -> None:
        """Write a frame with others of this turn of the loop; nothing where nobody is there."""
        if not self.open:
            return
        raw = _encode(frame)
        if not self._out:
            asyncio.get_running_loop().call_soon(self.flush)
        self._out.append(len(raw).to_bytes(LENGTH) + raw)
        self._waiting += len(raw)

    def flush(self) -> None:
        """Write what was posted."""
        out, self._out = self._out, []
        full, self._waiting = self._waiting >= HIGH, 0
        if out and self._transport is not None:
            self._transport.write(b"".join(out))
        if full and not self._paused and self.open and self._again is not None:
            self._again(self)  # the system took it all: there is no other call that says so

    def close(self) -> None:
        """Write what was posted and hang up."""
        self.flush()
        if self._transport is not None:
            self._transport.close()


def plain(body: Any) -> list[Any]:
    """Return a body with its decimals as FIX writes them, so that it can go over the socket."""
    return [[tag, _plain(value)] for tag, value in body]


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list):
        return [plain(row) for row in cast("list[Any]", value)]
    return value
