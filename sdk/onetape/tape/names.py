# pyright: standard
"""Names: the numbers under which the ledger keeps texts - streams, accounts, instruments, feeds.

A number is given once, under the ledger's lock, and never changes, so a process may remember it
for ever; one that a failed transaction gave is unlearnt. The first use of a name is part of the
batch that made it (`ledger.digest`), so that a renamed account is found by `verify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from onetape.tape.draft import Draft, fitting
from onetape.tape.ledger import HEADER, Named

KINDS = ("source", "calculation", "account", "instrument", "kind")
PLACE = {kind: Draft._fields.index(kind) for kind in KINDS}

STREAMS = "SELECT id, key, book FROM onetape.stream WHERE key = ANY(%b::text[])"
DIMENSIONS = """SELECT d.id, d.kind, d.key FROM onetape.dimension d
JOIN unnest(%b::text[], %b::text[]) AS w(kind, key) ON w.kind = d.kind AND w.key = d.key"""
PUT_DIMENSIONS = """INSERT INTO onetape.dimension
SELECT * FROM unnest(%b::int4[], %b::text[], %b::text[], %b::int8[])"""
PUT_STREAMS = """INSERT INTO onetape.stream
SELECT * FROM unnest(%b::int8[], %b::text[], %b::text[], %b::int8[])"""


class Names:
    """What one process knows of the ledger's names."""

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self.streams: dict[str, tuple[int, str]] = {}  # key: number, book
        self.ids: dict[str, dict[str | None, int]] = {kind: {None: 0} for kind in KINDS}
        self.ids["writer"] = {}

    def headers(self, seq: int, stream: int, drafts: Sequence[Draft]) -> list[bytes]:
        """Return the headers of drafts from `seq` on; KeyError when a text has no number yet."""
        source, calculation, account, instrument, kind = (self.ids[name] for name in KINDS)
        pack = HEADER.pack
        made: list[bytes] = []
        for version, ts, init, cause, src, calc, acc, ins, tag, form, uid, _ in drafts:
            ids = (source[src], calculation[calc], account[acc], instrument[ins], kind[tag])
            made.append(pack(seq, stream, version, ts, init, cause, *ids, form, uid))
            seq += 1
        return made


class Naming:
    """The names that one transaction gives, with the ledger's lock held."""

    def __init__(self, names: Names, cursor: Any, last_dimension: int, last_stream: int) -> None:
        self.names, self._cursor = names, cursor
        self.last_dimension, self.last_stream = last_dimension, last_stream
        self.dimensions: list[Named] = []
        self.streams: list[Named] = []
        self._unused: set[str] = set()  # streams that are begun once an event is placed

    def meet(self, asked: Iterable[str]) -> bool:
        """Learn the streams that this process has not met; tell if there are any."""
        unmet = {key for key in asked if key not in self.names.streams}
        if not unmet:
            return False
        for number, key, book in self._cursor.execute(STREAMS, (list(unmet),)).fetchall():
            self.names.streams[key] = (number, book)
            unmet.discard(key)
        self._unused = unmet
        return True

    def stream(self, key: str, book: str) -> tuple[int, str]:
        """Return a stream's number and book; of one not begun, 0 and what `book` makes it."""
        if key in self._unused:
            return 0, book or key
        return self.names.streams[key]

    def begin(self, key: str, book: str = "") -> int:
        """Return a stream's number, given now when it is new."""
        if key in self._unused:
            self.last_stream += 1
            self._unused.discard(key)
            new = Named(self.last_stream, "stream", key, book or key)
            self.streams.append(new)
            self.names.streams[key] = (new.id, new.book)
        return self.names.streams[key][0]

    def writer(self) -> int:
        """Return the number of this process as a writer."""
        known = self.names.ids["writer"]
        if self.names.writer not in known:
            self._name([("writer", self.names.writer)])
        return known[self.names.writer]

    def headers(self, seq: int, key: str, book: str, drafts: Sequence[Draft]) -> list[bytes]:
        """Return the headers of a stream's drafts, every text numbered.

        Raises TapeError, with nothing named, for a text that cannot be.
        """
        try:
            return self.names.headers(seq, self.names.streams[key][0], drafts)
        except KeyError:
            wanted: dict[Any, None] = dict.fromkeys(
                (kind, draft[PLACE[kind]]) for draft in drafts for kind in KINDS
            )
            new = [(k, t) for k, t in wanted if t not in self.names.ids[k]]
            for kind, text in new:
                fitting(kind, text)
            if new:
                self._name(new)
            return self.names.headers(seq, self.begin(key, book), drafts)

    def _name(self, wanted: list[tuple[str, str]]) -> None:
        kinds, keys = [k for k, _ in wanted], [t for _, t in wanted]
        found = self._cursor.execute(DIMENSIONS, (kinds, keys)).fetchall()
        numbers = {(kind, key): number for number, kind, key in found}
        for kind, key in wanted:
            number = numbers.get((kind, key))
            if number is None:
                self.last_dimension += 1
                number = self.last_dimension
                self.dimensions.append(Named(number, kind, key))
            self.names.ids[kind][key] = number

    @property
    def given(self) -> list[Named]:
        """Everything that was named, in the order in which `digest` takes it."""
        return self.dimensions + self.streams

    def put(self, batch: int) -> None:
        """Write what was named, as part of `batch`."""
        if dims := self.dimensions:
            values = ([d.id for d in dims], [d.kind for d in dims], [d.key for d in dims])
            self._cursor.execute(PUT_DIMENSIONS, (*values, [batch] * len(dims)))
        if streams := self.streams:
            values = ([s.id for s in streams], [s.key for s in streams], [s.book for s in streams])
            self._cursor.execute(PUT_STREAMS, (*values, [batch] * len(streams)))

    def unlearn(self) -> None:
        """Forget what was named: the transaction failed."""
        for one in self.dimensions:
            self.names.ids[one.kind].pop(one.key, None)
        for one in self.streams:
            self.names.streams.pop(one.key, None)
