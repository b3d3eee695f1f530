"""The wire between a simulated venue's process and its clients.

Frames   four bytes of length (big-endian), then one JSON message of the ports' tagged kinds, or
         one of those below. One connection carries a venue and a feed, so that what is sent
         before `Handled` arrives before it, and reports before the row that follows them.
Doors    unix sockets (mode 0600) and loopback addresses only: there is no sign-in.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from onetape.errors import SettingsError
from onetape.run.ports import (
    AnyReport,
    AnyRow,
    CancelOrder,
    FeedSignal,
    MassCancel,
    Message,
    ModifyOrder,
    NewOrder,
    Subscription,
    VenueState,
)

LONGEST = 16 << 20  # bytes in a frame
DEEPEST = 64 << 20  # bytes that may wait for a client that does not read


class Ask(Message, frozen=True):
    """A question; its answer carries the same `id`."""

    id: int
    what: str
    text: str = ""
    number: int = 0
    about: MassCancel | Subscription | None = None
    args: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class Answer(Message, frozen=True):
    """An answer: JSON, or what went wrong (`trouble` venue, unavailable or settings)."""

    id: int
    result: msgspec.Raw = msgspec.Raw(b"null")
    trouble: str = ""
    detail: str = ""


class Beat(Message, frozen=True):
    """Still there; `of` is venue or feed."""

    of: str


class Handled(Message, frozen=True):
    """The client's feed is done with the last row."""


ToVenue = NewOrder | ModifyOrder | CancelOrder | Ask | Handled
FromVenue = AnyReport | VenueState | AnyRow | FeedSignal | Answer | Beat


class Place(NamedTuple):
    """Where a venue listens: a unix socket, or a loopback address and port."""

    path: str | None
    host: str = ""
    port: int = 0


def place(address: str) -> Place:
    """Return where `address` is; SettingsError unless it is a unix socket or loopback."""
    if address.startswith("unix:"):
        return Place(str(Path(address[5:]).expanduser()))
    host, _, port = address.rpartition(":")
    try:
        local = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local or not port.isdigit():
        raise SettingsError(
            f'address {address!r} found, "unix:/path.sock" or a loopback address with a port, '
            'such as "127.0.0.1:7001", expected: a simulated venue has no sign-in'
        )
    return Place(None, host.strip("[]"), int(port))


_encoder = msgspec.json.Encoder()


class Framed(asyncio.Protocol):
    """One end of a connection; `heard` is called with each message, `lost` once at the end."""

    def __init__(
        self, kinds: Any, heard: Callable[[Framed, Any], None], lost: Callable[[Framed], None]
    ) -> None:
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kinds)
        self._heard, self._lost = heard, lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    @property
    def open(self) -> bool:
        """Whether something can be posted."""
        return self._transport is not None and not self._transport.is_closing()

    def post(self, message: Message) -> None:
        """Hand a message to the wire; nothing happens where it is gone."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        raw = _encoder.encode(message)
        transport.write(len(raw).to_bytes(4, "big") + raw)
        if transport.get_write_buffer_size() > DEEPEST:
            transport.abort()  # a client that reads nothing must not eat the memory

    def close(self) -> None:
        """Hang up, once all that was posted has left."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= 4:
            size = int.from_bytes(buffer[at : at + 4], "big")
            if size > LONGEST:
                self._abort()
                return
            if len(buffer) - at - 4 < size:
                break
            try:
                message = self._decoder.decode(bytes(buffer[at + 4 : at + 4 + size]))
            except msgspec.MsgspecError:
                self._abort()  # not one of ours: nothing after it can be trusted
                return
            at += 4 + size
            self._heard(self, message)
        del buffer[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        del exc  # however it ended, it is over
        self._lost(self)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
