"""This process's connection to a gateway: one for all its lines, and for its questions.

Lines of one loop to one socket share it, so that what many sessions say in one turn of the loop
comes in one piece. Each line has a number on it; a frame for a number that has left is dropped.
It begins with the first line and ends with the last; when it is lost, each line is told.

Raises   VenueUnavailable where no gateway answers, VenueError and SettingsError as it says.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from onetape.errors import OnetapeError, SettingsError, VenueError, VenueUnavailable
from onetape_fix.gateway.frames import Answer, Ask, Beat, Framed, Shut, ToClient

ANSWER_S = 30.0
TROUBLE: dict[str, type[OnetapeError]] = {
    "settings": SettingsError,
    "unavailable": VenueUnavailable,
    "venue": VenueError,
}


class Hearer(Protocol):
    """A line, as its connection sees it."""

    def heard(self, frame: ToClient) -> None:
        """Take a frame of this line."""
        ...

    def lost(self, connection: Connection) -> None:
        """The connection is gone."""
        ...


class Connection:
    """One connection to a gateway; see the module."""

    def __init__(self, path: Path | str) -> None:
        self._path = str(path)
        self._hearers: dict[int, Hearer] = {}
        self._numbers = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._asked = 0
        self._starting: asyncio.Task[None] | None = None
        self.wire: Framed | None = None
        self.beat = 0.0  # by the loop's clock, when the gateway said something last

    async def start(self) -> None:
        """Connect; VenueUnavailable where nobody answers."""
        loop = asyncio.get_running_loop()
        try:
            _, wire = await loop.create_unix_connection(self._made, self._path)
        except OSError as err:
            raise VenueUnavailable(
                f"no gateway answers at {self._path} ({err.strerror or err}); onetape fix start "
                "CONFIG starts one"
            ) from err
        self.wire, self.beat = wire, loop.time()

    async def ask(self, what: str, args: dict[str, Any], timeout: float = ANSWER_S) -> Any:
        """Return what the gateway answers."""
        wire = self.wire
        if wire is None or not wire.open:
            raise VenueUnavailable(f"no connection to the gateway at {self._path}")
        self._asked += 1
        asked = self._asked
        waiting = self._waiting[asked] = asyncio.get_running_loop().create_future()
        try:
            wire.post(Ask(asked, what, args))
            return await asyncio.wait_for(waiting, timeout)
        except TimeoutError:
            raise VenueUnavailable(f"the gateway did not answer {what} in {timeout:g} s") from None
        finally:
            del self._waiting[asked]

    def close(self) -> None:
        """Hang up."""
        if self.wire is not None:
            self.wire.close()

    # -- lines

    async def join(self, hearer: Hearer) -> int:
        """Give a line a number, once the connection stands; see `start`."""
        self._numbers += 1
        number = self._numbers
        self._hearers[number] = hearer
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self.start())
        try:
            await asyncio.shield(self._starting)
        except BaseException:
            self.leave(number)
            raise
        return number

    def leave(self, number: int) -> None:
        """Let a line go; with the last one the connection ends."""
        if self._hearers.pop(number, None) is None:
            return
        if self.wire is not None and self.wire.open:
            self.wire.post(Shut(number))
        if not self._hearers:
            if self._starting is not None:
                self._starting.cancel()  # where it is done that does nothing
            self.close()
            here = _JOINT.get(asyncio.get_running_loop(), {})
            if here.get(self._path) is self:
                del here[self._path]

    @property
    def usable(self) -> bool:
        """Whether a line may join: it stands with others, or is about to."""
        if self.wire is not None:
            return self.wire.open and bool(self._hearers)
        return self._starting is not None and not self._starting.done()

    # -- within

    def _made(self) -> Framed:
        return Framed(ToClient, self._take, self._gone)

    def _take(self, _: Framed, frame: ToClient) -> None:
        self.beat = asyncio.get_running_loop().time()
        if isinstance(frame, Answer):
            self._answered(frame)
        elif not isinstance(frame, Beat):
            hearer = self._hearers.get(frame.line)
            if hearer is not None:
                hearer.heard(frame)

    def _answered(self, frame: Answer) -> None:
        waiting = self._waiting.get(frame.id)
        if waiting is None or waiting.done():
            return
        if frame.trouble:
            waiting.set_exception(TROUBLE.get(frame.trouble, VenueError)(frame.detail))
        else:
            waiting.set_result(frame.result)

    def _gone(self, _: Framed) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(VenueUnavailable("the gateway hung up before it answered"))
        for hearer in list(self._hearers.values()):
            hearer.lost(self)


_JOINT: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Connection]] = WeakKeyDictionary()


def joint(path: str) -> Connection:
    """Return this loop's connection to a socket; `join` it before anything is awaited."""
    here = _JOINT.setdefault(asyncio.get_running_loop(), {})
    found = here.get(path)
    if found is None or not found.usable:
        found = here[path] = Connection(path)
    return found
