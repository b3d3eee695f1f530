# pyright: standard
"""Proof of the wire: a gateway's batches computed again, from the rows as they stand.

What it finds   a row that was changed, taken away, added, moved to another session, or renamed
                with its session; a batch or a link that does not follow from the one before.
What it cannot  who may write to every table can write all of it anew, links too. That is seen
                where the chain was sealed on the tape: a seal is an event as any other, covered by
                the tape's own `verify` and its anchors. `seals` are compared here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from onetape.tape.wirelog_rows import WireRow, begin, chained, head_of, packed

PAGE = 20_000  # rows read at a time
SHOWN = 20  # troubles
HEAD = "SELECT batch, n, chain FROM onetape.wire_head WHERE gateway = %s"
BATCHES = """SELECT batch, n, recorded_ns, ts_lo, ts_hi, digest, chain FROM onetape.wire_batch
WHERE gateway = %s AND batch > %s ORDER BY batch LIMIT 1000"""
SESSIONS = "SELECT id, session, journal FROM onetape.wire_session WHERE gateway = %s ORDER BY id"
COUNT = "SELECT count(*) FROM onetape.wire WHERE session_id = ANY(%s)"
STRAY = """SELECT count(*) FROM onetape.wire w
WHERE NOT EXISTS (SELECT FROM onetape.wire_session s WHERE s.id = w.session_id)"""
ROWS = """SELECT batch, session_id, copy, epoch, CASE WHEN inbound THEN 'in' ELSE 'out' END, seq,
  ts, msg_type, possdup, coalesce(client_order_id, ''), coalesce(venue_order_id, ''),
  coalesce(exec_id, ''), raw, position
FROM onetape.wire WHERE batch BETWEEN %s AND %s AND ts BETWEEN %s AND %s AND session_id = ANY(%s)
ORDER BY batch, session_id, position"""


class Seal(NamedTuple):
    """What an event on the tape says of a gateway's chain."""

    batch: int
    rows: int
    chain: bytes


class WireVerdict(NamedTuple):
    """What came of computing a gateway's chain again; true where all is as it was written."""

    gateway: str
    batches: int
    rows: int
    seals: int  # that were compared
    sealed: int  # the last batch that the tape itself vouches for
    trouble: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written."""
        return not self.trouble

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        said = f"wire of {self.gateway}: {self.rows:,} messages in {self.batches:,} batches"
        if self.trouble:
            return f"{said}; NOT as written: {'; '.join(self.trouble)}"
        return f"{said}, as written; sealed on the tape up to batch {self.sealed}"


class _Batch(NamedTuple):
    batch: int
    n: int
    recorded: int
    lo: int
    hi: int
    digest: bytes
    chain: bytes


def verified(
    connection: Any,
    gateway: str,
    seals: Sequence[Seal] = (),
    told: Callable[[int], None] = lambda _: None,
) -> WireVerdict:
    """Compute a gateway's digests and chain again; `told` gets the count of rows now and then."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return _verified(connection, gateway, seals, told)


def _verified(
    connection: Any, gateway: str, seals: Sequence[Seal], told: Callable[[int], None]
) -> WireVerdict:
    cursor = connection.cursor(binary=True)
    heads = {
        number: head_of(number, gateway, name, journal)
        for number, name, journal in cursor.execute(SESSIONS, [gateway]).fetchall()
    }
    wanted: dict[int, list[Seal]] = {}
    for seal in seals:
        wanted.setdefault(seal.batch, []).append(seal)
    trouble: list[str] = []
    chain, last, rows = begin(gateway), 0, 0
    for some in _pages(cursor, gateway):
        computed = _digests(cursor, some, heads)
        for one in some:
            if one.batch != last + 1:
                trouble.append(f"batch {last + 1} is missing")
            count, digest = computed.get(one.batch, (0, b""))
            if count != one.n or digest != one.digest:
                trouble.append(f"batch {one.batch}: {count} messages other than the {one.n} kept")
            link = (one.batch, one.n, one.recorded, one.lo, one.hi)
            chain = chained(chain, one.digest, *link)
            if chain != one.chain:
                trouble.append(f"batch {one.batch} does not follow from the one before")
                chain = one.chain
            last, rows = one.batch, rows + one.n
            _sealed(wanted, one, rows, trouble)
        told(rows)
    trouble += _ends(cursor, gateway, heads, (last, rows, chain))
    trouble += [f"batch {number} was sealed and is missing" for number in sorted(wanted)]
    sealed = max((seal.batch for seal in seals), default=0)
    return WireVerdict(gateway, last, rows, len(seals), sealed, tuple(trouble[:SHOWN]))


def _sealed(wanted: dict[int, list[Seal]], one: _Batch, rows: int, trouble: list[str]) -> None:
    found = (rows, one.chain)
    if any((seal.rows, seal.chain) != found for seal in wanted.pop(one.batch, ())):
        trouble.append(f"batch {one.batch} is another one than the tape's seal says")


def _ends(cursor: Any, gateway: str, heads: dict[int, bytes], found: tuple[Any, ...]) -> list[str]:
    """Return what is wrong with the head and with rows beside the batches."""
    trouble: list[str] = []
    head = cursor.execute(HEAD, [gateway]).fetchone() or (0, 0, begin(gateway))
    if tuple(head) != found:
        trouble.append(f"the head stands at batch {head[0]} with {head[1]} messages")
    count = cursor.execute(COUNT, [list(heads)]).fetchone()[0]
    if count != found[1]:
        trouble.append(f"{count} messages found where the batches hold {found[1]}")
    stray = cursor.execute(STRAY).fetchone()[0]
    if stray:
        trouble.append(f"{stray} messages belong to no session")
    return trouble


def _pages(cursor: Any, gateway: str) -> Iterator[list[_Batch]]:
    """Yield batches that together hold a page of rows, or one that alone holds more."""
    last = 0
    while found := [_Batch(*row) for row in cursor.execute(BATCHES, [gateway, last]).fetchall()]:
        some: list[_Batch] = []
        for one in found:
            if some and sum(each.n for each in some) + one.n > PAGE:
                yield some
                some = []
            some.append(one)
        yield some
        last = found[-1].batch


def _digests(
    cursor: Any, some: Sequence[_Batch], heads: dict[int, bytes]
) -> dict[int, tuple[int, bytes]]:
    """Return, for each batch, how many rows there are and their digest."""
    lo, hi = min(one.lo for one in some), max(one.hi for one in some)
    asked = [some[0].batch, some[-1].batch, lo, hi, list(heads)]
    found = cursor.execute(ROWS, asked).fetchall()
    made: dict[int, tuple[int, bytes]] = {}
    for batch, those in groupby(found, lambda row: row[0]):
        digest, count = hashlib.sha256(), 0
        for session, rows in groupby(those, lambda row: row[1]):
            digest.update(heads[session])
            for _, _, copy, epoch, direction, seq, *rest in rows:
                row = WireRow("", "", epoch, direction, seq, copy, *rest)
                digest.update(packed(row, session, copy, batch))
                count += 1
        made[batch] = (count, digest.digest())
    return made
