"""A listener's place in a session's journal: history first, then what happens, nothing twice.

While a listener keeps up, it is handed each record as it is made. Once it has no room it is
handed nothing more; when there is room again it reads on in the journal where it stood, in small
pieces, so that the loop is never held up and nothing piles up in memory, however long it slept.

Only application messages and session rejects are told; the rest is the session's own business. Of
the history, market data is left out: nobody acts on a price of yesterday, and a kill would wait
for a day of them to pass.
Units    positions of the journal; `ts` in ns UTC.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import msgspec

from onetape.errors import OnetapeError

if TYPE_CHECKING:
    from onetape_fix.session.store import Record, Store
    from onetape_fix.wire import Message

OWN = frozenset(("0", "1", "2", "4", "5", "A"))  # of the session; 3 tells of an order
GREETING = "UI"  # of our own simulated venue, once at a logon: it holds however old it is
PASSING = frozenset(("W", "X", "UX", "UH"))  # market data, and what paces it
# what came a second time is told, too: whether it was acted on then is not in the journal
TOLD = {"in": "in", "in_copy": "in", "out": "out"}
PIECE_S = 0.004  # of history at a time: 28 sessions may catch up at once
LOOK_EVERY = 16  # records between two looks at the clock


class Item(msgspec.Struct, frozen=True):
    """A recorded message on its way to a listener; `message` where somebody has read it."""

    way: str
    raw: bytes
    seq: int
    position: int
    ts: int
    replayed: bool = False
    ref: str = ""
    message: Message | None = None


class Ear(Protocol):
    """Where a listener's things go: a callback of this process, or a client's socket."""

    @property
    def roomy(self) -> bool:
        """False where nothing more should be handed over for now."""
        ...

    def tell(self, item: Item) -> None: ...

    def state(self, up: bool, detail: str, disabled: str) -> None: ...

    def alarm(self, code: str, text: str, detail: dict[str, object]) -> None: ...

    def kept(self, ref: str, msg_type: str, why: str) -> None:
        """Say that a message was not sent after all."""
        ...

    def caught(self) -> None:
        """Say that the history is told."""
        ...


class Listener:
    """One listener of one session."""

    __slots__ = (
        "_at", "_began", "_from", "_low", "_records", "_store", "_until", "ear", "gone", "live",
        "slow", "told_slow",
    )  # fmt: skip

    def __init__(self, store: Store, ear: Ear, since: int, oldest: int = 0) -> None:
        """Stand behind position `since`; -1 stands before all records not older than `oldest`."""
        self.ear = ear
        self.live = self.gone = self.slow = self.told_slow = False
        self._store = store
        self._at = max(since, 0)
        self._low = oldest if since < 0 else 0
        self._from = store.position
        self._records: Iterator[Record] | None = None
        self._until = 0
        self._began = False

    @property
    def behind(self) -> int:
        """Return how many records it has not been handed."""
        return 0 if self.live else max(self._store.position - self._at, 0)

    def start(self) -> None:
        """Begin to read; what is read is told from the loop's next turn on."""
        asyncio.get_running_loop().call_soon(self.pump)

    def offer(self, item: Item) -> bool:
        """Hand over what was recorded just now; False where it became slow by that."""
        if not self.live:
            return True
        if self.ear.roomy:
            self._at = item.position
            self.ear.tell(item)
            return True
        self.live, self.slow = False, True
        return False

    def pump(self) -> None:
        """Read on in the journal, for as long as there is room and the loop can spare."""
        if self.live or self.gone:
            return
        try:
            more = self._read()
        except OnetapeError as err:  # it cannot go on from here, and must not believe that it did
            self.gone = True
            self.ear.state(False, f"the journal cannot be read: {err}", "")
            return
        if more and self.ear.roomy and not self.gone:
            asyncio.get_running_loop().call_soon(self.pump)

    def _read(self) -> bool:
        """Tell one piece; True where there is more."""
        until, count = time.monotonic() + PIECE_S, 0
        while self.ear.roomy and not self.gone:
            record = self._next()
            if record is None:
                if self._at < self._store.position:
                    return True  # it grew while we read
                self._caught_up()
                return False
            self._at = record.position
            self._tell(record)
            count += 1
            if count % LOOK_EVERY == 0 and time.monotonic() > until:
                return True
        return False

    def _next(self) -> Record | None:
        if self._records is None:
            self._until = self._store.position
            self._records = iter(self._store.records(self._at))
        record = next(self._records, None)
        if record is None:
            self._records = None
            self._at = max(self._at, self._until)  # what is not kept any more is not waited for
        return record

    def _tell(self, record: Record) -> None:
        way = TOLD.get(record.kind)
        if way is None:
            return
        kind, replayed = type_of(record.raw), record.position <= self._from
        old = record.ts < self._low and kind != GREETING
        if old or kind in OWN or (replayed and kind in PASSING):
            return
        self.ear.tell(Item(way, record.raw, record.seq, record.position, record.ts, replayed))

    def _caught_up(self) -> None:
        self.live, self.slow = True, False
        if not self._began:
            self._began = True
            self.ear.caught()


def type_of(raw: bytes) -> str:
    """Return the type (35) of a verified message, which is its third field."""
    at = raw.find(b"\x0135=") + 4
    return raw[at : raw.find(b"\x01", at)].decode("latin-1") if at > 3 else ""
