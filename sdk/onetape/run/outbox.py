"""The outbox: messages to the venue, in order, each once its intent is durable on the tape.

Commands of one session leave one after another; what waits for the disk holds nothing else up
than what comes behind it. A message that may no longer leave (a halt came between, the tape
cannot be written) is told to whoever gave it, never dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from onetape.errors import OnetapeError
from onetape.run.line import Line
from onetape.run.loud import loud

PATIENCE_S = 1.0  # that an order may wait for the disk: a late one trades at another price


class Parcel(NamedTuple):
    """A message: after which event it may leave, how it is sent, who hears that it was not."""

    seq: int
    send: Callable[[], None]
    refused: Callable[[str], None]
    may: Callable[[], str]  # "" or why it may no longer leave
    patient: bool = False  # a cancel: it leaves in any case, once it has waited


class Outbox:
    """Sends parcels; `idle` tells whether all have left."""

    def __init__(
        self,
        line: Line,
        patience: float = PATIENCE_S,
        failed: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._line, self._patience = line, patience
        self._parcels: deque[tuple[Parcel, float]] = deque()  # until when it may wait
        self._more = asyncio.Event()
        self._task = loud(self._run(), failed)
        self.sent = 0

    def put(self, parcel: Parcel) -> None:
        """Take a parcel."""
        until = asyncio.get_running_loop().time() + self._patience
        self._parcels.append((parcel, until))
        self._line.send()
        self._more.set()

    @property
    def waiting(self) -> int:
        """How many have not left."""
        return len(self._parcels)

    async def close(self) -> None:
        """Send what waits, then end."""
        while self._parcels and not self._task.done():
            await asyncio.sleep(0.005)
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            while not self._parcels:
                self._more.clear()
                await self._more.wait()
            parcel, until = self._parcels[0]
            why = await self._ready(parcel, until)
            self._parcels.popleft()
            self._leave(parcel, why)

    async def _ready(self, parcel: Parcel, until: float) -> str:
        late = f"the tape could not be written for {self._patience} s: it never left"
        if not parcel.patient and asyncio.get_running_loop().time() > until:
            return late  # it stood behind one that waited: the market has moved on
        if self._line.durable_to >= parcel.seq:
            return ""
        try:
            async with asyncio.timeout_at(until):
                await self._line.durable(parcel.seq)
        except TimeoutError:
            # a cancel can only take risk away: it does not wait for a tape that is gone
            return "" if parcel.patient else late
        except OnetapeError as err:
            return "" if parcel.patient else f"the tape cannot be written ({err}): it never left"
        return ""

    def _leave(self, parcel: Parcel, why: str) -> None:
        try:
            why = why or parcel.may()
        except Exception as err:  # who cannot tell whether it may leave does not let it leave
            why = f"GATE_ERROR: {type(err).__name__}: {err}"
        if why:
            parcel.refused(why)
            return
        try:
            parcel.send()
            self.sent += 1
        except Exception as err:  # an adapter's own trouble ends in a rejection, never in silence
            parcel.refused(f"it could not be sent: {type(err).__name__}: {err}")
