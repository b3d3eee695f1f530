"""The lines of a process: a venue and a feed of one session share one, so that what is sent in an
order arrives in it.

A line is opened with the first that attaches and left with the last. A gateway "inside" this
process is started and stopped likewise; one that is a process of its own goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from weakref import WeakKeyDictionary

from onetape.errors import OnetapeError, VenueUnavailable
from onetape_fix.gateway.hub import Gateway
from onetape_fix.gateway.line import ALL, Heard, Inbound, Line, LineAlarm, LineState, Live
from onetape_fix.gateway.process import died, ensure, running
from onetape_fix.gateway.remote import RemoteLine
from onetape_fix.session.settings import Settings, read
from onetape_fix.wire import Body

Hear = Callable[[Heard], None]
LOOKS = 20
REVIVE_S = (0.2, 30.0)  # the shortest and the longest wait before a killed gateway is started
GREETING = "UI"  # our own simulated venue's word about itself, kept for whoever comes later


class Shared:
    """One session's line in this process, and all who hear it."""

    def __init__(self, lines: Lines, name: str) -> None:
        self.name = name
        self.greeting: str | None = None
        self.up = False
        self._lines = lines
        self._line: Line | None = None
        self._heard: list[Hear] = []
        self._live = asyncio.Event()
        self._moved = asyncio.Event()
        self._detail = "it was never logged on"
        self._lock = asyncio.Lock()

    async def attach(self, hear: Hear, since: int | None = ALL) -> None:
        """Let somebody hear; `since` None wants no history. Returns once the history is told."""
        async with self._lock:
            if self._line is None or since is not None:
                await self._open(hear, ALL if since is None else since)
            else:
                self._heard.append(hear)

    async def _open(self, hear: Hear, since: int) -> None:
        opened = self._line
        if opened is None:
            opened = await self._lines.line(self.name)
        self._line = opened
        self._heard.append(hear)
        self._live.clear()
        try:
            await opened.open(self._hear, since)
            await self._live.wait()
        except BaseException:
            await self._leave(hear)
            raise

    async def until_up(self, seconds: float) -> None:
        """Wait until the session is logged on; VenueUnavailable where it is not in time."""
        try:
            async with asyncio.timeout(seconds):
                while not self.up:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise VenueUnavailable(
                f"the session {self.name} is not logged on after {seconds:g} s: {self._detail}. "
                "onetape fix status tells more"
            ) from None

    def send(self, msg_type: str, body: Body, ref: str = "") -> None:
        """Hand a message to the session; VenueError where it cannot leave."""
        if self._line is None:
            raise VenueUnavailable(f"the line to {self.name} is not open; connect() first")
        self._line.send(msg_type, body, ref)

    async def detach(self, hear: Hear) -> None:
        """Let somebody go."""
        async with self._lock:
            await self._leave(hear)

    async def _leave(self, hear: Hear) -> None:
        if hear in self._heard:
            self._heard.remove(hear)
        line = self._line
        if self._heard or line is None:
            return
        self._line, self.up, self.greeting = None, False, None
        await line.close()
        await self._lines.left(self.name)

    def _hear(self, heard: Heard) -> None:
        if isinstance(heard, LineState):
            if heard.up and not self.up:
                self.greeting = None  # this logon has one of its own
            self.up, self._detail = heard.up, heard.detail or self._detail
            self._moved.set()
            if not heard.up:
                self._lines.revive()
        elif isinstance(heard, LineAlarm) and not self.up:
            self._detail = heard.text  # why it does not come up
        elif isinstance(heard, Inbound) and heard.message.type == GREETING:
            self.greeting = heard.message.get(58)
        for hear in list(self._heard):
            hear(heard)
        if isinstance(heard, Live):
            self._live.set()


class Lines:
    """The sessions of one .cfg file, as one loop uses them."""

    def __init__(self, path: Path, how: str) -> None:
        self._path, self._how = path, how
        self._shared: dict[str, Shared] = {}
        self._used: set[str] = set()
        self._gateway: Gateway | None = None
        self._starting = asyncio.Lock()
        self._reviving: asyncio.Task[None] | None = None

    def shared(self, name: str) -> Shared:
        """Return a session's line."""
        return self._shared.setdefault(name, Shared(self, name))

    async def line(self, name: str) -> Line:
        """Return a new line to a session, its gateway being started where it is not up."""
        async with self._starting:
            self._used.add(name)
            if self._how == "process":
                socket = await asyncio.to_thread(ensure, self._path)
                return RemoteLine(socket, name)
            if self._gateway is None:
                settings: Settings = read(self._path)
                gateway = Gateway(settings)
                await gateway.start()
                self._gateway = gateway
            return self._gateway.line(name)

    def revive(self) -> None:
        """Start the gateway's process again where it was killed; one that was stopped stays so."""
        if self._how == "process" and (self._reviving is None or self._reviving.done()):
            self._reviving = asyncio.get_running_loop().create_task(self._revived())

    async def _revived(self) -> None:
        wait, longest = REVIVE_S
        socket = read(self._path).gateway.socket
        for _ in range(LOOKS):  # one that is about to die holds its lock for a moment longer
            if not self._used or any(each.up for each in self._shared.values()):
                return
            if await asyncio.to_thread(died, socket):
                with suppress(OnetapeError):  # it says in its log what is in the way
                    await asyncio.to_thread(ensure, self._path)
            elif not await asyncio.to_thread(running, socket):
                return  # it was stopped
            await asyncio.sleep(wait)
            wait = min(wait * 2, longest)

    async def left(self, name: str) -> None:
        """A session is not used any more: a gateway in this process ends with its last one."""
        async with self._starting:
            self._used.discard(name)
            gateway = self._gateway
            if gateway is not None and not self._used:
                self._gateway = None
                await gateway.stop()


_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], Lines]] = (
    WeakKeyDictionary()
)


def lines_of(path: str, how: str) -> Lines:
    """Return the lines to the sessions of a .cfg file on the running loop."""
    found = _lines.setdefault(asyncio.get_running_loop(), {})
    where = Path(path).expanduser().absolute()
    key = (str(where), how)
    if key not in found:
        found[key] = Lines(where, how)
    return found[key]
