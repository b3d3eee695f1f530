# pyright: standard
"""Past: the events that stood at an instant in both times, taken from the log by their places.

An instant is a pair: what had happened at `true_at` (ns UTC, against `ts_event`), as far as the
ledger knew it at `known_at` (its seq). The answer to any question at an instant is the fold, in
the ledger's order, of the events with ts_event <= true_at and seq <= known_at.

Some of these events lean on others that are not among them, and still fold:
Voids       one whose fill is not among the events takes nothing back and is left out.
Corrections a fill under a trade id that stands already, because the void between the two is not
            among the events, stands instead of it: a venue never means both.
Beginnings  an order begins with the earliest time of any of its events: venues' clocks differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from onetape.errors import BrokenTape
from onetape.tape.event import Event, decode
from onetape.tape.kinds import OrderFilled, OrderVoided

FOREVER = 2**63 - 1
PAYLOADS = "SELECT seq, payload FROM onetape.event WHERE seq = ANY(%b::int8[]) ORDER BY seq"
PAIRS = """
WITH pair AS (SELECT unnest(%(accounts)s::text[]) AS account,
                     unnest(%(instruments)s::text[]) AS instrument)
SELECT h.seq FROM pair
JOIN onetape_books.position_key k
  ON k.book = %(book)s AND k.account = pair.account AND k.instrument = pair.instrument
JOIN onetape_books.position_history h ON h.key_id = k.id
WHERE h.seq <= %(known)s AND h.ts_event <= %(true)s
UNION
SELECT a.seq FROM pair
JOIN onetape_books.action a
  ON a.book = %(book)s AND a.instrument = pair.instrument AND a.account = pair.account
WHERE a.seq <= %(known)s AND a.ts_event <= %(true)s
"""


class Instant(NamedTuple):
    """A point in both times; everything up to and including it counts."""

    true_at: int = FOREVER
    known_at: int = FOREVER


class Pair(NamedTuple):
    """What an account does in an instrument, over all strategies."""

    account: str
    instrument: str


def placed(seq: int, payload: bytes) -> Event:
    """Return an event under its place in the ledger, for folds over several streams."""
    told = decode(bytes(payload))
    return Event(seq, told.ts_event, told.ts_init, told.stream, told.fact, None, told.lineage)


def fetch(connection: Any, seqs: Sequence[int]) -> list[Event]:
    """Return the events at these places, in order, from the log and from its archive.

    Raises BrokenTape when one of them is in neither.
    """
    cursor = connection.cursor(binary=True)
    found = dict(cursor.execute(PAYLOADS, (list(seqs),)).fetchall()) if seqs else {}
    missing = sorted(set(seqs) - found.keys())
    if missing:
        found |= _archived(connection, missing)
    return [placed(seq, found[seq]) for seq in sorted(found)]


def of_pairs(connection: Any, book: str, pairs: Iterable[Pair], instant: Instant) -> list[Event]:
    """Return the fills, splits, dividends and voids of each pair at an instant, sifted."""
    listed = sorted(set(pairs))
    asked = {
        "book": book,
        "accounts": [pair.account for pair in listed],
        "instruments": [pair.instrument for pair in listed],
        "known": instant.known_at,
        "true": instant.true_at,
    }
    seqs = [row[0] for row in connection.execute(PAIRS, asked).fetchall()] if listed else []
    return sifted(fetch(connection, seqs))


def sifted(events: Iterable[Event]) -> list[Event]:
    """Return the events that fold: see the rules for voids and corrections above."""
    kept: dict[int, Event] = {}
    stands: dict[tuple[str, str], int] = {}
    for event in events:
        fact = event.fact
        if isinstance(fact, OrderFilled):
            replaced = stands.pop((fact.client_order_id, fact.trade_id), None)
            if replaced is not None:
                del kept[replaced]
            stands[fact.client_order_id, fact.trade_id] = event.seq
        elif isinstance(fact, OrderVoided):
            taken = stands.pop((fact.client_order_id, fact.trade_id), None)
            if taken is None:
                continue
        kept[event.seq] = event
    return list(kept.values())


def _archived(connection: Any, missing: Sequence[int]) -> dict[int, bytes]:
    from onetape.tape.archive import rows, segments

    wanted = set(missing)
    found: dict[int, bytes] = {}
    for segment in segments(connection):
        here = [seq for seq in missing if segment.seq_lo <= seq <= segment.seq_hi]
        if here:
            some = rows(segment.uri, here[0] - 1, here[-1])
            found |= {row.seq: bytes(row.payload) for row in some if row.seq in wanted}
    if len(found) != len(missing):
        gone = next(seq for seq in missing if seq not in found)
        raise BrokenTape(gone, "the event is in no log and no archive; run verify")
    return found
