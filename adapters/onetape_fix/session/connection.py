"""One TCP connection of a session: what a session knows as its link.

Bytes go both ways without being looked at. A peer that does not read is cut off when more waits
for it than `limit`; before that, resends wait until it reads. A peer that has vanished is found
by the session's heartbeats, and by the system's own keep-alive should those be off.

A session whose code raises is cut off with its error told (`trouble`): the next logon repeats
what was not counted. Nothing here raises.

Units    seconds, bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Protocol, cast

from onetape_fix.session.application import Link
from onetape_fix.session.settings import SessionConfig
from onetape_fix.session.tls import trouble as in_words

LIMIT = 4 << 20
LINGER = 5.0  # for what was written last, such as a Logout, to leave
KEEP_ALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}

Trouble = Callable[["Connected", BaseException], None]


class Connected(Protocol):
    """What a connection asks of a session."""

    config: SessionConfig
    wake: Callable[[], None] | None

    @property
    def name(self) -> str:
        """What the session is called."""
        ...

    @property
    def state(self) -> str:
        """down, logon, up or logout."""
        ...

    def connected(self, link: Link) -> None:
        """A connection stands."""
        ...

    def received(self, data: bytes) -> None:
        """Bytes arrived."""
        ...

    def disconnected(self, why: str, link: Link | None = None) -> None:
        """The connection is gone."""
        ...

    def tick(self) -> None:
        """Time has passed."""
        ...


class Connection(asyncio.Protocol):
    """See the module."""

    def __init__(
        self, session: Connected, *, limit: int = LIMIT, trouble: Trouble | None = None
    ) -> None:
        self.session = session
        self.gone = asyncio.Event()
        self.why = ""
        self._limit = limit
        self._trouble = trouble
        self._transport: asyncio.Transport | None = None
        self._full = False
        self._woken = self._waking = False
        self._cut: asyncio.TimerHandle | None = None

    # -- as a link

    def write(self, data: bytes) -> None:
        """Hand bytes to the connection; a peer that lets too many wait is cut off."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        if self._full and (waiting := transport.get_write_buffer_size()) > self._limit:
            self.abort(f"the peer does not read: {waiting} bytes waited for it")

    def close(self) -> None:
        """End the connection once what was written has left, or after a few seconds."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self.why = self.why or "closed by us"
        transport.close()
        self._cut = asyncio.get_running_loop().call_later(LINGER, transport.abort)

    def abort(self, why: str) -> None:
        """End the connection now."""
        if self._transport is not None:
            self.why = self.why or why
            self._transport.abort()

    @property
    def alive(self) -> bool:
        """Whether it stands, or is being ended."""
        return self._transport is not None

    @property
    def waiting(self) -> int:
        """Bytes that the peer has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def extra(self, name: str) -> object:
        """What the transport knows, such as `peername` or `ssl_object`."""
        return None if self._transport is None else self._transport.get_extra_info(name)

    # -- as a protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(self._limit // 4)
        tune(transport.get_extra_info("socket"))
        self.session.wake = self._wake
        self._safely(lambda: self.session.connected(self))

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        try:
            self.session.received(data)
        except Exception as err:
            self._failed(err)

    def eof_received(self) -> bool:
        """The peer says no more: neither do we."""
        self.why = self.why or "the peer closed the connection"
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._cut is not None:
            self._cut.cancel()
        if not self.why:
            self.why = "the peer closed the connection" if exc is None else in_words(exc)
        self._transport = None
        if self.session.wake == self._wake:
            self.session.wake = None
        self._safely(lambda: self.session.disconnected(self.why, self))
        self.gone.set()

    def pause_writing(self) -> None:
        """The peer is slow: resends wait."""
        self._full = True

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._full = False
        if self._woken:
            self._woken = False
            self._wake()

    # -- within

    def _wake(self) -> None:
        """The session has more to do at once: after what else is due, when there is room."""
        if self._full:
            self._woken = True
        elif not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        self._waking = False
        if self._transport is not None:
            self._safely(self.session.tick)

    def _safely(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as err:
            self._failed(err)

    def _failed(self, err: Exception) -> None:
        self.abort(f"the session failed: {in_words(err)}")
        if self._trouble is not None:
            self._trouble(self.session, err)


def tune(sock: socket.socket | None) -> None:
    """No waiting for full packets, and dead peers are noticed."""
    if sock is None:
        return
    with contextlib.suppress(OSError):  # not every system knows every option
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE.items():
            option = getattr(socket, name, None)
            if option is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
