"""The line: a live session's events on their way to the durable tape, and what is there already.

Law      an order leaves for a venue only once its intent is durable: `durable(seq)` is waited on.
Down     a tape that cannot write is tried again with the same events until it can; meanwhile
         `down` is set and the gate refuses. Events are recognized by the tape, so that sending
         them again is safe.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

from onetape.errors import TapeUnavailable
from onetape.tape.event import Event
from onetape.tape.ledger import Receipt

PAUSE_S = 0.2
CHUNK = 2_048


class Writes(Protocol):
    """What a line needs of a tape."""

    def submit(self, stream: str, events: Sequence[Event], *, book: str = "") -> Future[Receipt]:
        """Hand events to the writer."""
        ...


class Line:
    """One session's way to its tape; lives on one asyncio loop."""

    def __init__(
        self, tape: Writes, stream: str, book: str, moved: Callable[[bool, str], None]
    ) -> None:
        self._tape, self._stream, self._book, self._moved = tape, stream, book, moved
        self._gathered: list[Event] = []
        self._sent: deque[tuple[list[Event], asyncio.Future[Receipt]]] = deque()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._mending: asyncio.Task[None] | None = None
        self.durable_to = 0
        self.broken: BaseException | None = None  # it can never be written: a conflict

    @property
    def down(self) -> bool:
        """Whether the tape cannot write now."""
        return self._mending is not None or self.broken is not None

    @property
    def behind(self) -> int:
        """How many events are not durable yet."""
        return len(self._gathered) + sum(len(events) for events, _ in self._sent)

    def take(self, events: Sequence[Event]) -> None:
        """Take the stream's next events."""
        self._gathered += events
        if len(self._gathered) >= CHUNK:
            self.send()

    def send(self) -> None:
        """Hand everything gathered to the tape's writer."""
        if not self._gathered or self.down:
            return
        events, self._gathered = self._gathered, []
        self._submit(events)

    async def durable(self, seq: int) -> None:
        """Return once the events up to `seq` are durable; raises what can never be mended."""
        self.send()
        if self.durable_to >= seq:
            return
        if self.broken is not None:
            raise self.broken
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((seq, done))
        await done

    async def close(self) -> None:
        """Wait until everything is durable."""
        self.send()
        last = self._last()
        if last:
            await self.durable(last)

    def _last(self) -> int:
        if self._gathered:
            return self._gathered[-1].seq
        return self._sent[-1][0][-1].seq if self._sent else self.durable_to

    def _submit(self, events: list[Event]) -> None:
        loop = asyncio.get_running_loop()
        written = self._tape.submit(self._stream, events, book=self._book)
        future = asyncio.wrap_future(written, loop=loop)
        self._sent.append((events, future))
        future.add_done_callback(self._settle)

    def _settle(self, _: object) -> None:
        if self._mending is not None:  # it sends all of them again, in order
            return
        if self._mending is not None:  # what fails behind a lost write is sent again with it
            for _, future in self._sent:
                if future.done() and not future.cancelled():
                    future.exception()
            return
        while self._sent and self._sent[0][1].done():
            events, future = self._sent[0]
            if future.cancelled():
                return
            error = future.exception()
            if error is not None:
                self._trouble(error)
                return
            self._sent.popleft()
            self._reached(events[-1].seq)

    def _reached(self, seq: int) -> None:
        self.durable_to = seq
        while self._waiting and self._waiting[0][0] <= seq:
            _, done = self._waiting.popleft()
            if not done.done():
                done.set_result(None)

    def _trouble(self, error: BaseException) -> None:
        if not isinstance(error, TapeUnavailable):
            self.broken = error
            self._moved(True, str(error))
            for _, done in self._waiting:
                if not done.done():
                    done.set_exception(error)
            self._waiting.clear()
        elif self._mending is None:
            self._mending = asyncio.get_running_loop().create_task(self._mend(str(error)))

    async def _mend(self, why: str) -> None:
        """Send everything that is not durable once more, in order, until it is."""
        self._moved(True, why)
        while self._sent:
            events = self._sent[0][0]
            try:
                await asyncio.wrap_future(self._tape.submit(self._stream, events, book=self._book))
            except TapeUnavailable:
                await asyncio.sleep(PAUSE_S)
                continue
            except Exception as err:
                self._mending = None
                self._trouble(err)
                return
            self._sent.popleft()
            self._reached(events[-1].seq)
        self._mending = None
        self._moved(False, "")
        self.send()
