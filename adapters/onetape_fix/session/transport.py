"""Sessions on sockets: dialing out, and the pulse of all of them; `acceptor` is dialed.

A `Dialer` keeps one initiator connected while its schedule says so: its hosts one after the
other, each round after a longer wait with jitter. A connection that did not last counts as a
failure, so that a venue which turns us away is not hammered.

Loop     everything happens on the loop on which it was started.
Units    seconds, bytes.
Raises   nothing: troubles are told to `trouble` and stand in `last_error`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

from onetape.errors import SettingsError
from onetape_fix.session.application import Clock, SystemClock
from onetape_fix.session.connection import LIMIT, Connected, Connection, Trouble
from onetape_fix.session.settings import Address
from onetape_fix.session.tls import client_context
from onetape_fix.session.tls import trouble as in_words

FIRST = 0.5  # the wait after a first failure
STABLE = 15.0  # a connection that lasted so long was a good one
HURRY = 0.25  # after which the next address of a host's name is tried as well
LOOK = 60.0  # how often a schedule is looked at: clocks may be set
SECOND = 1_000_000_000

Sleep = Callable[[float], Awaitable[None]]


class Backoff:
    """How long to wait before the next attempt, seeded for tests."""

    __slots__ = ("_failures", "_longest", "_random")

    def __init__(self, longest: float, rng: random.Random | None = None) -> None:
        self._longest = longest
        self._random = rng or random.Random()
        self._failures = 0

    def again(self) -> None:
        """All went well: begin with short waits."""
        self._failures = 0

    def next(self) -> float:
        """The next wait: twice the last one, up to the longest, less up to a half by chance."""
        wait = min(FIRST * 2.0 ** min(self._failures, 30), self._longest)
        self._failures += 1
        return wait * (1.0 - self._random.random() / 2.0)


class Dialer:
    """Keeps an initiator connected; see the module."""

    def __init__(
        self,
        session: Connected,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        sleep: Sleep = asyncio.sleep,
        connect_timeout: float = 10.0,
        write_limit: int = LIMIT,
        trouble: Trouble | None = None,
    ) -> None:
        self.session = session
        self.attempts = 0
        self.connections = 0
        self.last_error = ""
        self.address: Address | None = None  # the one that is or was dialed last
        self.connection: Connection | None = None
        self._clock = clock or cast("Clock", SystemClock())
        self._backoff = Backoff(session.config.reconnect, rng)
        self._sleep = sleep
        self._timeout = connect_timeout
        self._limit = write_limit
        self._trouble = trouble
        self._host = 0
        self._trying: Connection | None = None
        self._now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether a connection is kept or sought."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Seek a connection from now on."""
        if not self.running:
            self._backoff.again()
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Seek none any more, and end the one that stands."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        connection = self._trying
        if connection is not None and connection.alive:
            connection.close()
            await connection.gone.wait()
        self.connection = self._trying = None

    def nudge(self) -> None:
        """Do not wait any longer before the next attempt."""
        self._now.set()

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate (DER) of the connection that stands."""
        found = None if self.connection is None else self.connection.extra("ssl_object")
        return None if found is None else cast("ssl.SSLObject", found).getpeercert(True)

    # -- within

    async def _run(self) -> None:
        while True:
            await self._until_due()
            lasted = await self._attempt()
            if lasted >= STABLE:
                self._backoff.again()
                self._host = 0
                await self._pause(self._backoff.next())
                continue
            self._host = (self._host + 1) % max(len(self.session.config.hosts), 1)
            if self._host == 0:  # all were tried
                await self._pause(self._backoff.next())

    async def _until_due(self) -> None:
        schedule = self.session.config.schedule
        while not schedule.inside(now := self._clock.now()):
            change = schedule.next_change(now)
            left = LOOK if change is None else (change - now) / SECOND
            await self._sleep(min(max(left, 0.01), LOOK))

    async def _pause(self, seconds: float) -> None:
        """Wait, unless nudged."""
        self._now.clear()
        loop = asyncio.get_running_loop()
        waits = [loop.create_task(self._now.wait()), asyncio.ensure_future(self._sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _attempt(self) -> float:
        """Connect and stay connected; how long that lasted, 0 where it failed."""
        self.attempts += 1
        try:
            connection = await self._connect()
        except Exception as err:  # whatever it is, it must not end the attempts
            host, port = self.address or ("no host", 0)
            said = f"cannot connect to {host}:{port}: {in_words(err)}"
            if said != self.last_error and self._trouble is not None:
                self._trouble(self.session, ConnectionError(said))
            self.last_error = said
            return 0.0
        self.connections += 1
        began = self._clock.monotonic()
        await connection.gone.wait()
        self.connection = None
        self.last_error = connection.why
        return self._clock.monotonic() - began

    async def _connect(self) -> Connection:
        config = self.session.config
        if not config.hosts:
            raise SettingsError("the session has no host; set SocketConnectHost")
        host, port = self.address = config.hosts[self._host % len(config.hosts)]
        how: dict[str, Any] = {}
        if config.tls is not None:  # read anew each time: certificates are renewed on disk
            how["ssl"] = client_context(config.tls)
            how["server_hostname"] = config.tls.server_name or host
            how["ssl_handshake_timeout"] = self._timeout
        if config.source is not None:
            how["local_addr"] = config.source
        connection = Connection(self.session, limit=self._limit, trouble=self._trouble)
        self._trying = connection
        async with asyncio.timeout(self._timeout):
            await asyncio.get_running_loop().create_connection(
                lambda: connection, host, port, happy_eyeballs_delay=HURRY, **how
            )
        self.connection = connection
        return connection


async def pulse(
    sessions: Callable[[], Iterable[Connected]], every: float = 0.1, trouble: Trouble | None = None
) -> None:
    """Tick all sessions, for ever; one that raises is told of and leaves the others alone."""
    while True:
        await asyncio.sleep(every)
        for session in list(sessions()):
            try:
                session.tick()
            except Exception as err:
                if trouble is None:
                    raise
                trouble(session, err)
