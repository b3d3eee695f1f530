# pyright: standard
"""The reader: events in the ledger's order, live and archived alike, once each.

The ledger is gapless, so a reader asks for ranges and can tell at once when one is short.
Followers are woken by NOTIFY, which is a hint only: behind it stands a poll, so that a lost
wake-up costs a quarter of a second and never an event.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from onetape.errors import BrokenTape, TapeUnavailable
from onetape.tape.append import CHANNEL
from onetape.tape.ledger import Entry
from onetape.tape.server import translated

PAGE = 20_000
POLL_S = 0.25
SPARSE = 10  # events of the ledger for each one of the streams asked for
RETRY_S = 0.2

ROWS = """SELECT seq, stream_id, version, payload FROM onetape.event
WHERE seq > %b AND seq <= %b ORDER BY seq"""
BATCHES = """SELECT seq_hi, recorded_ns FROM onetape.batch
WHERE seq_lo > coalesce((SELECT max(seq_lo) FROM onetape.batch WHERE seq_lo <= %b), 0) - 1
AND seq_lo <= %b ORDER BY seq_lo"""
RECORDED = """SELECT w.seq, b.recorded_ns FROM unnest(%b::int8[]) AS w(seq)
CROSS JOIN LATERAL (SELECT recorded_ns FROM onetape.batch WHERE seq_lo <= w.seq
ORDER BY seq_lo DESC LIMIT 1) b ORDER BY w.seq"""
STREAM_ROWS = """SELECT seq, stream_id, version, payload FROM onetape.event
WHERE stream_id = ANY(%b::int8[]) AND seq > %b AND seq <= %b ORDER BY seq"""
STREAMS = "SELECT id, key, book FROM onetape.stream WHERE id = ANY(%b::int8[])"
LAST = "SELECT last_seq FROM onetape.ledger_head"
FIRST_LIVE = "SELECT coalesce(max(seq_hi), 0) FROM onetape.archive_segment"


class Reader:
    """Reads one ledger over a connection of its own."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._streams: dict[int, tuple[str, str]] = {}

    def read(self, after: int, upto: int | None, streams: Sequence[int] = ()) -> Iterator[Entry]:
        """Yield entries with after < seq <= upto; only those of `streams` when some are named."""
        import psycopg

        try:
            yield from self._read(after, upto, streams)
        except psycopg.Error as err:
            raise translated(err, "reading the tape") from err

    def _read(self, after: int, upto: int | None, streams: Sequence[int]) -> Iterator[Entry]:
        self._streams = {}  # another server may answer than last time
        with self._connect() as connection:
            cursor = connection.cursor(binary=True)
            last = cursor.execute(LAST).fetchone()[0]
            end: int = last if upto is None else min(upto, last)
            archived: int = min(cursor.execute(FIRST_LIVE).fetchone()[0], end)
            if after < archived:
                yield from self._archived(cursor, after, archived, streams)
                after = archived
            if streams:
                yield from self._of_streams(connection, after, end, streams)
                return
            while after < end:
                page = self.page(cursor, after, min(after + PAGE, end))
                yield from page
                after = page[-1].seq

    def page(self, cursor: Any, after: int, upto: int) -> list[Entry]:
        """Return the live entries with after < seq <= upto, all of which must be there."""
        import psycopg

        try:
            rows = cursor.execute(ROWS, (after, upto), prepare=True).fetchall()
        except psycopg.InternalError as err:
            damaged = "a page of the log is damaged: run verify to see where"
            raise BrokenTape(after + 1, f"{damaged} ({str(err).splitlines()[0]})") from err
        if len(rows) != upto - after:
            moved = min(cursor.execute(FIRST_LIVE).fetchone()[0], upto)
            if moved > after:  # archived since this reader began: the file has them now
                return list(self._archived(cursor, after, moved, ()))
            seen = {row[0] for row in rows}
            gone = next(seq for seq in range(after + 1, upto + 1) if seq not in seen)
            raise BrokenTape(gone, "the event is not in the log: run verify, restore from a backup")
        return self._entries(cursor, rows, after, upto)

    def _of_streams(
        self, connection: Any, after: int, upto: int, streams: Sequence[int]
    ) -> Iterator[Entry]:
        with connection.transaction(), connection.cursor(name="streams", binary=True) as rows:
            rows.itersize = PAGE
            rows.execute(STREAM_ROWS, (list(streams), after, upto))
            with self._connect() as beside:
                cursor = beside.cursor(binary=True)
                # the cursor keeps the log from being archived from here on, not before
                moved = min(cursor.execute(FIRST_LIVE).fetchone()[0], upto)
                if moved > after:
                    yield from self._archived(cursor, after, moved, streams)
                while some := rows.fetchmany(PAGE):
                    yield from self._entries(cursor, some, some[0][0] - 1, some[-1][0])

    def _archived(
        self, cursor: Any, after: int, upto: int, streams: Sequence[int]
    ) -> Iterator[Entry]:
        from onetape.tape.archive import rows, segments

        wanted = set(streams)
        for segment in segments(cursor.connection):
            if segment.seq_hi <= after or segment.seq_lo > upto:
                continue
            some: list[Any] = []
            for row in rows(segment.uri, after, upto):
                if not wanted or row.stream_id in wanted:
                    some.append((row.seq, row.stream_id, row.version, row.payload))
                if len(some) >= PAGE:
                    yield from self._entries(cursor, some, some[0][0] - 1, some[-1][0])
                    some = []
            if some:
                yield from self._entries(cursor, some, some[0][0] - 1, some[-1][0])

    def _entries(self, cursor: Any, rows: list[Any], after: int, upto: int) -> list[Entry]:
        known = self._streams
        unmet = {row[1] for row in rows} - known.keys()
        if unmet:
            for number, key, book in cursor.execute(STREAMS, (list(unmet),)).fetchall():
                known[number] = (key, book)
        if upto - after > SPARSE * len(rows):  # there may be a batch for each event between
            wanted = [row[0] for row in rows]
            batches = cursor.execute(RECORDED, (wanted,), prepare=True).fetchall()
        else:
            batches = cursor.execute(BATCHES, (after + 1, upto), prepare=True).fetchall()
        ends = [end for end, _ in batches]
        entries: list[Entry] = []
        end, recorded = 0, 0
        for seq, number, version, payload in rows:
            if seq > end:
                at = bisect_left(ends, seq)
                if at == len(batches):
                    raise BrokenTape(seq, "no batch holds the event: run verify")
                end, recorded = batches[at]
            key, book = known[number]
            entries.append(Entry(seq, recorded, key, version, book, payload))
        return entries

    def follow(self, after: int, until: Callable[[], bool]) -> Iterator[list[Entry]]:
        """Yield entries after `after` as they are committed; reconnects for as long as it takes."""
        archived = self._archived_upto()
        if after < archived:
            page: list[Entry] = []
            for entry in self.read(after, archived):
                page.append(entry)
                if len(page) >= PAGE:
                    yield page
                    after, page = page[-1].seq, []
            if page:
                yield page
                after = page[-1].seq
        while not until():
            try:
                for page in self._followed(after, until):
                    yield page
                    after = page[-1].seq
            except TapeUnavailable:
                time.sleep(RETRY_S)  # the server is away; `until` decides how long to wait

    def _archived_upto(self) -> int:
        with self._connect() as connection:
            return connection.execute(FIRST_LIVE).fetchone()[0]

    def _followed(self, after: int, until: Callable[[], bool]) -> Iterator[list[Entry]]:
        import psycopg

        connection, self._streams = self._connect(), {}
        try:
            connection.execute(f"LISTEN {CHANNEL}")
            cursor = connection.cursor(binary=True)
            while not until():
                try:
                    last = cursor.execute(LAST, prepare=True).fetchone()[0]
                    if last < after:
                        ends = f"the ledger ends at {last}: was it restored from a backup?"
                        raise BrokenTape(after, f"was followed up to here, {ends}")
                    page = self.page(cursor, after, min(after + PAGE, last)) if last > after else []
                    if not page:
                        for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                            pass
                except psycopg.OperationalError as err:
                    raise TapeUnavailable(f"following the tape: {err}") from err
                if page:
                    after = page[-1].seq
                    yield page
        finally:
            with suppress(Exception):
                connection.close()
