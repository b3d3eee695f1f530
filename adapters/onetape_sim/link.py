"""The connection of a client to a simulated venue's process.

A venue and a feed of one process and address share one: what is sent before `handled` arrives
before it. When it is lost it is made again, with a growing wait (0.05 s to 2 s); orders stay where
they are meanwhile, and what was reported in between must be asked for.

States   VenueState connected, silent (no beat for three heartbeats), disconnected; FeedSignal
         live, stale, closed for the feed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from onetape.errors import SettingsError, VenueError, VenueUnavailable
from onetape.run.ports import (
    AnyReport,
    AnyRow,
    FeedSignal,
    Report,
    Row,
    Subscription,
    VenueState,
)
from onetape_sim.config import Config
from onetape_sim.wire import Answer, Ask, Beat, Framed, FromVenue, Place, place

SHORTEST, LONGEST = 0.05, 2.0  # seconds between two attempts to connect
TROUBLES = {"unavailable": VenueUnavailable, "settings": SettingsError, "venue": VenueError}
TellVenue = Callable[[AnyReport | VenueState], None]
TellFeed = Callable[[AnyRow | FeedSignal], None]


class Link:
    """One connection, shared by a venue and a feed; see the module."""

    def __init__(self, config: Config, where: Place) -> None:
        self.config = config
        self.tell_venue: TellVenue | None = None
        self.tell_feed: TellFeed | None = None
        self.subscribed: list[Subscription] = []
        self.begun = False
        self.beat = config.heartbeat  # as the venue says it beats
        self._where = where
        self._wire: Framed | None = None
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._count = 0
        self._beats = {"venue": 0.0, "feed": 0.0}
        self._quiet: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()

    @property
    def open(self) -> bool:
        """Whether the connection stands."""
        return self._wire is not None and self._wire.open

    async def start(self) -> None:
        """Connect, unless that is done; VenueUnavailable where nobody is there."""
        if self._task is not None and not self._task.done():
            if not self.open:
                raise VenueUnavailable(f"the simulated venue at {self._said} is not there; waiting")
            return
        await self._connect()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def leave(self) -> None:
        """Hang up once neither venue nor feed needs the connection."""
        if self.tell_venue is not None or self.tell_feed is not None:
            return
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._wire is not None:
            self._wire.close()
            await self._gone.wait()

    def post(self, message: Any) -> None:
        """Hand a command to the wire; VenueError where nothing can leave."""
        if self._wire is None or not self._wire.open:
            raise VenueError(
                f"not connected to the simulated venue at {self._said}: nothing has left"
            )
        self._wire.post(message)

    async def ask(self, what: str, kind: Any = None, **more: Any) -> Any:
        """Ask and return the answer as `kind`; VenueUnavailable where none comes."""
        if self._wire is None or not self._wire.open:
            raise VenueUnavailable(f"not connected to the simulated venue at {self._said}")
        self._count += 1
        number = self._count
        waiting = self._asked[number] = asyncio.get_running_loop().create_future()
        self._wire.post(Ask(number, what, **more))
        try:
            async with asyncio.timeout(self.config.timeout):
                answer = await waiting
        except TimeoutError:
            raise VenueUnavailable(
                f"the simulated venue did not answer {what!r} within {self.config.timeout} s"
            ) from None
        finally:
            self._asked.pop(number, None)
        if answer.trouble:
            raise TROUBLES.get(answer.trouble, VenueError)(answer.detail)
        return msgspec.json.decode(answer.result, type=kind)

    # -- within

    @property
    def _said(self) -> str:
        return self.config.address or ""

    async def _connect(self) -> None:
        loop, (path, host, port) = asyncio.get_running_loop(), self._where
        self._gone.clear()
        try:
            if path is not None:
                _, wire = await loop.create_unix_connection(self._framed, path)
            else:
                _, wire = await loop.create_connection(self._framed, host, port)
        except OSError as err:
            self._gone.set()
            raise VenueUnavailable(
                f"nobody answers at {self._said}: {err}. Start the simulated venue there "
                "(python -m onetape_sim serve)."
            ) from None
        self._wire = wire
        self._quiet.clear()
        self._beats = dict.fromkeys(self._beats, loop.time())

    def _framed(self) -> Framed:
        return Framed(FromVenue, self._heard, self._lost)

    def _heard(self, _wire: Framed, message: Any) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(message, Row | FeedSignal):
            self._alive("feed", now)
            if self.tell_feed is not None:
                self.tell_feed(message)  # pyright: ignore[reportArgumentType]
        elif isinstance(message, Report):
            self._alive("venue", now)
            if self.tell_venue is not None:
                self.tell_venue(message)  # pyright: ignore[reportArgumentType]
        elif isinstance(message, Answer):
            waiting = self._asked.get(message.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        elif isinstance(message, Beat):
            self._alive(message.of, now)

    def _alive(self, of: str, now: float) -> None:
        self._beats[of] = now
        if of in self._quiet:
            self._quiet.discard(of)
            self._say(of, "connected" if of == "venue" else "live", "it is heard again")

    def _lost(self, wire: Framed) -> None:
        if wire is not self._wire:
            return
        self._wire = None
        self._gone.set()
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(VenueUnavailable("the simulated venue hung up"))
        self._say("venue", "disconnected", "the connection was lost")
        self._say("feed", "closed", "the connection was lost")

    def _say(self, of: str, state: str, detail: str) -> None:
        if of == "venue" and self.tell_venue is not None:
            self.tell_venue(VenueState(state, detail))
        elif of == "feed" and self.tell_feed is not None:
            self.tell_feed(FeedSignal(state, None, 0, detail))

    async def _watch(self) -> None:
        """Notice silence, and connect again when the connection is lost."""
        wait = SHORTEST
        while True:
            try:
                async with asyncio.timeout(self.config.heartbeat):
                    await self._gone.wait()
            except TimeoutError:
                self._notice()
                continue
            await asyncio.sleep(wait)
            try:
                await self._connect()
                await self._log_on()
                wait = SHORTEST
            except VenueError:  # still not there, or gone again
                if self._wire is not None:
                    self._wire.close()
                wait = min(wait * 2, LONGEST)

    def _notice(self) -> None:
        now = asyncio.get_running_loop().time()
        for of, beat in self._beats.items():
            if now - beat > 3 * max(self.beat, self.config.heartbeat) and of not in self._quiet:
                self._quiet.add(of)
                self._say(of, "silent" if of == "venue" else "stale", "no heartbeat")

    async def _log_on(self) -> None:
        """Be again what the venue and the feed were on the old connection."""
        if self.tell_venue is not None:
            await self.ask("connect", dict[str, Any], args={"accounts": self.config.accounts})
            self._say("venue", "connected", "again")
        if self.tell_feed is not None:
            await self.ask("feed_connect", dict[str, Any])
            self._say("feed", "live", "again")
            for wanted in self.subscribed:
                await self.ask("subscribe", about=wanted)
            if self.begun:
                await self.ask("begin")


_links: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[object, ...], Link]] = (
    WeakKeyDictionary()
)


def link_of(config: Config) -> Link:
    """Return the connection that configs with this address share on the running loop."""
    where = place(config.address or "")
    links = _links.setdefault(asyncio.get_running_loop(), {})
    return links.setdefault((where, config.accounts), Link(config, where))
