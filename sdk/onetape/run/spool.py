"""The spool: a run's events on their way to a durable tape, while the run goes on.

The run never waits for the disk: chunks are handed to the tape's writer as they fill, and the
end of the run waits for the last one. A tape that cannot write for a while is tried again with
the same events, which is safe (they are recognized); after `PATIENCE_S` the run stops.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from onetape.errors import TapeUnavailable
from onetape.tape.event import Event
from onetape.tape.ledger import Receipt

CHUNK = 4_096
SOON_S = 0.5  # after which fewer go too
PATIENCE_S = 30.0
PAUSE_S = 0.2


class Writes(Protocol):
    """What a spool needs of a tape."""

    def submit(self, stream: str, events: Sequence[Event], *, book: str = "") -> Future[Receipt]:
        """Hand events to the writer."""
        ...


class Spool:
    """Hands one stream's events to a tape in chunks."""

    def __init__(self, tape: Writes, stream: str, book: str = "") -> None:
        self.stream = stream
        self._tape, self._book = tape, book
        self._gathered: list[Event] = []
        self._due = 0.0  # the first events, which tell that a run began, go at once
        self._sent: deque[tuple[list[Event], Future[Receipt]]] = deque()

    def take(self, events: Sequence[Event]) -> None:
        """Take the stream's next events.

        Raises what the tape raised for earlier ones.
        """
        self._gathered += events
        if len(self._gathered) >= CHUNK or time.monotonic() >= self._due:
            self._send()
            while self._sent and self._sent[0][1].done():
                self._settle()

    def close(self) -> None:
        """Hand over the rest and wait until everything is durable."""
        if self._gathered:
            self._send()
        while self._sent:
            self._settle()

    def _send(self) -> None:
        chunk, self._gathered = self._gathered, []
        self._due = time.monotonic() + SOON_S
        self._sent.append((chunk, self._tape.submit(self.stream, chunk, book=self._book)))

    def _settle(self) -> None:
        try:
            self._sent[0][1].result()
        except TapeUnavailable:
            self._again()
            return
        self._sent.popleft()

    def _again(self) -> None:
        """Send everything that is not durable once more, in order, until it is."""
        until = time.monotonic() + PATIENCE_S
        while self._sent:
            try:
                self._tape.submit(self.stream, self._sent[0][0], book=self._book).result()
                self._sent.popleft()
            except TapeUnavailable:
                if time.monotonic() > until:
                    raise
                time.sleep(PAUSE_S)
