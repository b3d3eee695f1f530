# pyright: standard
"""Writing of the wire: one batch of one gateway, its bookmarks and its link, in one transaction.

Alone     the gateway's head is locked from the first look to the commit: of two processes that
          ship the same journal, one after the other looks at the bookmarks.
Once      what stands at or before a session's bookmark is there already, and is compared with
          what was sent: another message in its place is another journal's.
Numbered  a number seen before (a resend, a repeat, an operator who set the numbers back) gets the
          next copy. Only numbers at or below the highest of the epoch are looked for, one by one.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from onetape.errors import TapeConflict, TapeError, TapeUnavailable
from onetape.tape.wirelog_rows import (
    COLUMNS,
    WireRow,
    begin,
    chained,
    copied,
    head_of,
    key_of,
    month_of,
    packed,
)

HEAD = (
    """SELECT batch, n, recorded_ns, chain FROM onetape.wire_head WHERE gateway = %s FOR UPDATE"""
)
PUT_HEAD = """INSERT INTO onetape.wire_head VALUES (%s, 0, 0, 0, %s) ON CONFLICT DO NOTHING"""
MOVE_HEAD = """UPDATE onetape.wire_head SET batch = %s, n = %s, recorded_ns = %s, chain = %s
WHERE gateway = %s"""
PUT_SESSIONS = """INSERT INTO onetape.wire_session (gateway, session, journal)
SELECT %s, n, %s FROM unnest(%s::text[]) n ON CONFLICT DO NOTHING"""
MARKS = """SELECT s.session, s.id, coalesce(m.position, 0), coalesce(m.epoch, -1),
  coalesce(m.seq_in, 0), coalesce(m.seq_out, 0)
FROM onetape.wire_session s LEFT JOIN onetape.wire_mark m ON m.session_id = s.id
WHERE s.gateway = %s AND s.journal = %s AND s.session = ANY(%s)"""
MOVE_MARKS = """INSERT INTO onetape.wire_mark
SELECT * FROM unnest(%s::int4[], %s::int8[], %s::int8[], %s::int8[], %s::int8[])
ON CONFLICT (session_id) DO UPDATE SET (position, epoch, seq_in, seq_out)
  = (excluded.position, excluded.epoch, excluded.seq_in, excluded.seq_out)"""
# one by one, by the key: a planner that sees many keys would read whole months instead
TAKEN = """SELECT k.place, t.copy FROM unnest(%s::int8[], %s::int4[], %s::int8[], %s::bool[],
  %s::int8[]) AS k(place, session_id, epoch, inbound, seq)
CROSS JOIN LATERAL (SELECT w.copy FROM onetape.wire w WHERE w.session_id = k.session_id
  AND w.epoch = k.epoch AND w.inbound = k.inbound AND w.seq = k.seq
  ORDER BY w.copy DESC LIMIT 1) t"""
THERE = """SELECT k.place FROM unnest(%s::int8[], %s::int4[], %s::int8[], %s::bool[], %s::int8[],
  %s::int8[], %s::int8[], %s::bytea[]) AS k(place, session_id, epoch, inbound, seq, ts, at, raw)
CROSS JOIN LATERAL (SELECT FROM onetape.wire w WHERE w.session_id = k.session_id
  AND w.epoch = k.epoch AND w.inbound = k.inbound AND w.seq = k.seq AND w.ts = k.ts
  AND w.position = k.at AND w.raw = k.raw LIMIT 1) t"""
COPY = f"COPY onetape.wire ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
PUT_BATCH = "INSERT INTO onetape.wire_batch VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
MONTHS = "SELECT onetape.ensure_wire(%s)"


class Mark(NamedTuple):
    """How far a session's journal is kept, and the highest numbers of its last epoch."""

    id: int
    position: int
    epoch: int
    seq_in: int
    seq_out: int

    def fresh(self, row: WireRow) -> bool:
        """Tell whether a row's number can have no copies yet."""
        epoch, inbound, seq = key_of(row)
        if epoch != self.epoch:
            return epoch > self.epoch
        return seq > (self.seq_in if inbound else self.seq_out)

    def after(self, row: WireRow) -> Mark:
        """Return the mark with a row kept."""
        epoch, inbound, seq = key_of(row)
        if epoch < self.epoch:
            return self._replace(position=row.position)
        top_in, top_out = (self.seq_in, self.seq_out) if epoch == self.epoch else (0, 0)
        if inbound:
            return Mark(self.id, row.position, epoch, max(top_in, seq), top_out)
        return Mark(self.id, row.position, epoch, top_in, max(top_out, seq))


@dataclass(slots=True)
class Batch:
    """What is kept together; `since` and `upto` are bookmarks by session.

    `since`: where somebody believes that the database is; `upto`: where it is to be at least.
    """

    journal: str
    rows: list[WireRow] = field(default_factory=list[WireRow])
    since: dict[str, int] = field(default_factory=dict[str, int])
    upto: dict[str, int] = field(default_factory=dict[str, int])

    def ends(self) -> dict[str, int]:
        """Return the position after which each session goes on."""
        ends = dict(self.upto)
        for row in self.rows:
            ends[row.session] = max(row.position, ends.get(row.session, 0))
        return ends


class Writing:
    """Writes batches over one connection; what it knows of months dies with the connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._months: set[int] = set()

    def write(self, gateway: str, batch: Batch, now: int) -> int:
        """Keep a batch and move its bookmarks; return how many rows were not there yet.

        Raises what psycopg raises, TapeConflict where another journal's messages stand, and
        TapeUnavailable where the database is behind what the batch follows on.
        """
        rows = batch.rows
        self._room(rows)
        sessions = sorted(batch.ends())
        with self.connection.transaction(), self.connection.cursor(binary=True) as cursor:
            head = self._locked(cursor, gateway)
            marks = _marks(cursor, gateway, batch.journal, sessions)
            _follows(marks, batch.since)
            ordered = sorted(rows, key=lambda row: (marks[row.session].id, row.position))
            new = [row for row in ordered if row.position > marks[row.session].position]
            if len(new) < len(ordered):
                _there(cursor, ordered, marks)
            new = list(_once(new))
            if new:
                self._put(cursor, gateway, batch.journal, head, new, marks, now)
            _move(cursor, marks, _moved(marks, new, batch.upto))
        return len(new)

    def _room(self, rows: Sequence[WireRow]) -> None:
        """See to the months' partitions, before anything is locked."""
        months = {month_of(row.ts) for row in rows} - self._months
        if months:
            self.connection.execute(MONTHS, [sorted(months)])
            self._months |= months

    def _locked(self, cursor: Any, gateway: str) -> Any:
        found = cursor.execute(HEAD, [gateway]).fetchone()
        if found is None:
            cursor.execute(PUT_HEAD, [gateway, begin(gateway)])
            found = cursor.execute(HEAD, [gateway]).fetchone()
        return found

    def _put(
        self,
        cursor: Any,
        gateway: str,
        journal: str,
        head: Any,
        rows: Sequence[WireRow],
        marks: Mapping[str, Mark],
        now: int,
    ) -> None:
        batch, recorded = head[0] + 1, max(now, head[2] + 1)
        copies = _copies(cursor, rows, marks)
        made = [
            packed(row, marks[row.session].id, copy, batch)
            for row, copy in zip(rows, copies, strict=True)
        ]
        with cursor.copy(COPY) as copy:
            copy.write(copied(made))
        digest = hashlib.sha256()
        numbered = zip(rows, made, strict=True)
        for name, those in groupby(numbered, lambda one: one[0].session):
            digest.update(head_of(marks[name].id, gateway, name, journal))
            digest.update(b"".join(raw for _, raw in those))
        times = [row.ts for row in rows]
        link = (batch, len(rows), recorded, min(times), max(times))
        chain = chained(head[3], digest.digest(), *link)
        values = (recorded, len(rows), link[3], link[4], digest.digest(), chain)
        cursor.execute(PUT_BATCH, [gateway, batch, *values])
        cursor.execute(MOVE_HEAD, [batch, head[1] + len(rows), recorded, chain, gateway])


def _marks(cursor: Any, gateway: str, journal: str, sessions: list[str]) -> dict[str, Mark]:
    """Return the sessions' marks; those that are new get their number."""
    asked = [gateway, journal, sessions]
    found = cursor.execute(MARKS, asked).fetchall()
    if len(found) < len(sessions):
        cursor.execute(PUT_SESSIONS, asked)
        found = cursor.execute(MARKS, asked).fetchall()
    return {name: Mark(*rest) for name, *rest in found}


def _follows(marks: Mapping[str, Mark], since: Mapping[str, int]) -> None:
    """Raise TapeUnavailable where rows would be left out between a bookmark and a batch."""
    for session, position in since.items():
        if marks[session].position < position:
            raise TapeUnavailable(
                f"messages of {session} are kept up to position {marks[session].position} and "
                f"were up to {position}: the database was put back to an older state; ask for the "
                "bookmark and send again from there"
            )


def _once(rows: Sequence[WireRow]) -> Iterator[WireRow]:
    """Yield rows without those that were handed in twice; they are in order."""
    last: WireRow | None = None
    for row in rows:
        if last is not None and (row.session, row.position) == (last.session, last.position):
            if row._replace(copy=last.copy) != last:
                raise TapeError(f"two messages of {row.session} at position {row.position} found")
            continue
        last = row
        yield row


def _there(cursor: Any, rows: Sequence[WireRow], marks: Mapping[str, Mark]) -> None:
    """Raise TapeConflict for a row that its session's bookmark says is kept, and is not."""
    said = [row for row in rows if row.position <= marks[row.session].position]
    ids = [marks[row.session].id for row in said]
    keys = list(zip(*map(key_of, said), strict=True))
    beside = ([row.ts for row in said], [row.position for row in said], [row.raw for row in said])
    values = [list(range(len(said))), ids, *map(list, keys), *beside]
    found = {place for (place,) in cursor.execute(THERE, values).fetchall()}
    for place, row in enumerate(said):
        if place not in found:
            raise TapeConflict(
                f"wire/{row.gateway}/{row.session}",
                row.position - 1,
                marks[row.session].position,
                f"position {row.position} is not the message that is kept there: this is another "
                "journal of the same session, give it a name of its own with journal=",
            )


def _copies(cursor: Any, rows: Sequence[WireRow], marks: Mapping[str, Mark]) -> list[int]:
    """Return the copy of each row: what the caller says, or the next one that is free."""
    seen = [row for row in rows if not marks[row.session].fresh(row)]
    taken: dict[tuple[Any, ...], int] = defaultdict(lambda: -1)
    if seen:
        keys = {(marks[row.session].id, *key_of(row)) for row in seen}
        listed = list(keys)
        values = [list(range(len(listed))), *map(list, zip(*listed, strict=True))]
        for place, copy in cursor.execute(TAKEN, values).fetchall():
            taken[listed[place]] = copy
    made: list[int] = []
    for row in rows:
        key = (marks[row.session].id, *key_of(row))
        taken[key] = max(row.copy, taken[key] + 1)
        made.append(taken[key])
    return made


def _moved(
    marks: Mapping[str, Mark], rows: Sequence[WireRow], upto: Mapping[str, int]
) -> dict[str, Mark]:
    moved = dict(marks)
    for row in rows:
        moved[row.session] = moved[row.session].after(row)
    for name, position in upto.items():
        if position > moved[name].position:
            moved[name] = moved[name]._replace(position=position)
    return moved


def _move(cursor: Any, marks: Mapping[str, Mark], moved: Mapping[str, Mark]) -> None:
    changed = [mark for name, mark in moved.items() if mark != marks[name]]
    if changed:
        cursor.execute(MOVE_MARKS, list(map(list, zip(*changed, strict=True))))
