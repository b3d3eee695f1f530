"""Being dialed: one address for many sessions.

Which session a connection belongs to is told by its Logon; a stranger has little time and few
bytes to say it, and there may be only so many of them. The session itself decides whether the
Logon will do.

Loop     everything happens on the loop on which it was started.
Units    seconds, bytes.
Raises   SettingsError from `Acceptor.start` where the address cannot be had, or TLS is not whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from onetape.errors import SettingsError
from onetape_fix.session.connection import LIMIT, Connected, Connection, Trouble, tune
from onetape_fix.session.settings import Address, Tls
from onetape_fix.session.tls import server_context
from onetape_fix.session.tls import trouble as in_words
from onetape_fix.wire import Framer, Garbled, Message, parse

Lookup = Callable[[Message], Connected | None]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a peer may take: time and bytes before its Logon, bytes that wait for it later."""

    logon_timeout: float = 10.0
    logon_size: int = 16 << 10
    write_limit: int = LIMIT
    strangers: int = 256  # connections without a Logon


class Acceptor:
    """Listens for many sessions; see the module."""

    def __init__(
        self,
        address: Address,
        lookup: Lookup,
        *,
        tls: Tls | None = None,
        limits: Limits | None = None,
        trouble: Trouble | None = None,
        turned_away: Callable[[str], None] | None = None,
    ) -> None:
        self.address = address
        self.refused = 0
        self.limits = limits or Limits()
        self._lookup, self._tls = lookup, tls
        self._trouble, self._turned_away = trouble, turned_away
        self._server: asyncio.Server | None = None
        self._strangers: set[_Stranger] = set()
        self._connections: set[Connection] = set()

    async def start(self) -> None:
        """Listen; `address` then has the port that was found free where 0 was asked for."""
        host, port = self.address
        context = None if self._tls is None else server_context(self._tls)
        patience = None if context is None else self.limits.logon_timeout
        try:
            server = self._server = await asyncio.get_running_loop().create_server(
                lambda: _Stranger(self), host, port, ssl=context, ssl_handshake_timeout=patience
            )
        except OSError as err:
            raise SettingsError(
                f"cannot listen on {host}:{port}: {err.strerror}; end what listens there, or"
                " set another SocketAcceptPort or SocketAcceptAddress"
            ) from None
        self.address = (host, server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more, and end the connections."""
        if self._server is None:
            return
        self._server.close()
        for stranger in list(self._strangers):
            stranger.turn_away("the acceptor stops", count=False)
        connections = list(self._connections)
        for connection in connections:
            connection.close()
        for connection in connections:
            await connection.gone.wait()
        self._server = None

    @property
    def waiting(self) -> int:
        """Connections that have not said who they are."""
        return len(self._strangers)

    # -- what its connections tell

    def arrived(self, stranger: _Stranger) -> bool:
        """Whether one more may wait."""
        self._strangers.add(stranger)
        return len(self._strangers) <= self.limits.strangers

    def left(self, stranger: _Stranger, why: str) -> None:
        """One has gone; `why` is "" where it is a stranger no more."""
        self._strangers.discard(stranger)
        if why:
            self.refused += 1
            if self._turned_away is not None:
                self._turned_away(why)

    def session_of(self, message: Message) -> Connected | None:
        """The session that a Logon is for."""
        return self._lookup(message)

    def serve(self, session: Connected) -> Connection:
        """The connection of a session that was found."""
        connection = _Accepted(session, limit=self.limits.write_limit, trouble=self._trouble)
        connection.held = self._connections
        self._connections.add(connection)
        return connection


class _Accepted(Connection):
    held: set[Connection] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.held is not None:
            self.held.discard(self)


class _Stranger(asyncio.Protocol):
    """A connection whose session is not known yet."""

    def __init__(self, acceptor: Acceptor) -> None:
        self._acceptor = acceptor
        self._framer = Framer(acceptor.limits.logon_size)
        self._heard = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        tune(transport.get_extra_info("socket"))
        wait = self._acceptor.limits.logon_timeout
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(wait, self.turn_away, f"no Logon within {wait:g} s")
        if not self._acceptor.arrived(self):
            self.turn_away("too many connections without a Logon")

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        self._heard += data
        found = self._framer.feed(data)
        if found:
            self._first(found[0])
        elif len(self._heard) > self._acceptor.limits.logon_size:
            self.turn_away(f"no Logon within {len(self._heard)} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._gone(f"left without a Logon{'' if exc is None else f' ({in_words(exc)})'}")

    def turn_away(self, why: str, count: bool = True) -> None:
        transport = self._transport
        if transport is not None:
            peer = transport.get_extra_info("peername")
            self._gone(f"{peer[0] if peer else 'a peer'}: {why}" if count else "")
            transport.abort()

    def _first(self, piece: bytes | Garbled) -> None:
        """The first whole message says whose connection this is."""
        if isinstance(piece, Garbled):
            return self.turn_away("what came first is not FIX")
        try:
            message = parse(piece)
        except Garbled:
            return self.turn_away("what came first is not FIX")
        if message.type != "A":
            return self.turn_away("what came first is not a Logon")
        try:
            session = self._acceptor.session_of(message)
        except Exception as err:  # a lookup of somebody else's making
            return self.turn_away(f"the lookup of the session failed: {err!r}")
        if session is None:
            said = f"{message.get(49)}->{message.get(56)} in {message.get(8)}"
            return self.turn_away(f"no session here for {said}")
        if session.state != "down":  # its own bytes only may reach it
            return self.turn_away(f"{session.name} is connected already")
        transport = cast("asyncio.Transport", self._transport)
        self._gone("")
        connection = self._acceptor.serve(session)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        return connection.data_received(bytes(self._heard))

    def _gone(self, why: str) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._acceptor.left(self, why)


def by_comp_ids(sessions: Sequence[Connected]) -> Lookup:
    """Finds the acceptor of a Logon: by version and CompIDs, the nearest SubIDs first.

    Of several that differ in their qualifier only, one that is down is taken.
    """

    def lookup(message: Message) -> Connected | None:
        found: list[tuple[int, bool, Connected]] = []
        for session in sessions:
            config = session.config
            named = (message.get(8), message.get(56), message.get(49))
            if named != (config.begin_string, config.sender, config.target):
                continue
            subs = ((config.sender_sub, message.get(57)), (config.target_sub, message.get(50)))
            if all(not ours or ours == theirs for ours, theirs in subs):
                found.append((sum(bool(o) for o, _ in subs), session.state == "down", session))
        return max(found, key=lambda one: one[:2])[2] if found else None

    return lookup


def shared(sessions: Sequence[Connected]) -> dict[Address, list[Connected]]:
    """Acceptors by the address that they listen on; SettingsError where their TLS differs."""
    found: dict[Address, list[Connected]] = {}
    for session in sessions:
        address = session.config.listen
        if session.config.role != "acceptor" or address is None:
            continue
        there = found.setdefault(address, [])
        if there and there[0].config.tls != session.config.tls:
            raise SettingsError(
                f"{there[0].name} and {session.name} share {address[0]}:{address[1]} and differ in"
                " TLS; set it in [DEFAULT], or give one another SocketAcceptPort"
            )
        there.append(session)
    return found
