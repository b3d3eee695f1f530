# pyright: standard
"""Worked: the orders that were working at an instant, folded from their own events.

An order can have been working only if one of its events is not after the instant, and it is not
known to have ended by then; the others are left out by the projected rows, without a look at
the log. A split rescales what works, so the splits of the instruments are among the events. An
order whose first events came with later times begins with its earliest one. Asked for an account,
the answer is the orders that had told their account by then.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from onetape.books import tables
from onetape.books.orders import orders
from onetape.books.past import Instant, fetch, sifted
from onetape.tape.event import Event
from onetape.tape.kinds import OrderFact, OrderInitialized

# The looks into the log are for orders whose events stand in another order than their times.
CANDIDATES = """SELECT o.client_order_id, o.instrument, o.seqs FROM onetape_books.orders o
WHERE o.book = %(book)b AND o.seq <= %(known)b
  AND (%(account)b::text IS NULL OR o.account IS NULL OR o.account = %(account)b)
  AND (%(instrument)b::text IS NULL OR o.instrument = %(instrument)b)
  AND (o.ts_init <= %(true)b OR EXISTS (SELECT FROM onetape.event e
       WHERE e.seq = ANY(o.seqs) AND e.seq <= %(known)b AND e.ts_event <= %(true)b)
       OR EXISTS (SELECT FROM onetape_books.action a JOIN onetape.event e ON e.seq = a.fill_seq
       WHERE a.book = o.book AND a.instrument = o.instrument AND a.kind = 'void'
       AND a.seq = ANY(o.seqs) AND a.fill_seq <= %(known)b AND e.ts_event <= %(true)b))
  AND (o.status NOT IN ('FILLED', 'CANCELED', 'EXPIRED', 'DENIED', 'REJECTED')
       OR o.seqs[cardinality(o.seqs)] > %(known)b OR o.ts_last > %(true)b
       OR EXISTS (SELECT FROM onetape.event e
       WHERE e.seq = ANY(o.seqs) AND e.ts_event > %(true)b))"""
# An order's row names its voids and not the fills that they took back.
ACTIONS = """SELECT kind, seq, fill_seq FROM onetape_books.action
WHERE book = %(book)b AND kind IN ('split', 'void') AND instrument = ANY(%(instruments)b::text[])"""


def working(
    connection: Any, book: str, account: str | None, instrument: str | None, instant: Instant
) -> pl.DataFrame:
    """Return the orders that worked at an instant, as `tables.orders` shows them."""
    asked = {
        "book": book,
        "account": account,
        "instrument": instrument,
        "known": instant.known_at,
        "true": instant.true_at,
    }
    cursor = connection.cursor(binary=True)
    rows = cursor.execute(CANDIDATES, asked).fetchall()
    asked["instruments"] = sorted({row[1] for row in rows})
    places = {seq for row in rows for seq in row[2]}
    if rows:
        for kind, seq, fill in cursor.execute(ACTIONS, asked).fetchall():
            if kind == "split":
                places.add(seq)
            elif seq in places:
                places.add(fill)
    known = [seq for seq in places if seq <= instant.known_at]
    events = begun(fetch(connection, known), instant)
    is_open = [
        name
        for name, order in orders(events).items()
        if order.is_open and account in (None, order.account)
    ]
    found = tables.orders(events).filter(pl.col("client_order_id").is_in(is_open))
    return found.sort("seq")


def begun(events: list[Event], instant: Instant) -> list[Event]:
    """Return the events that count at an instant, with the beginning of each order in it."""
    earliest: dict[str, int] = {}
    for event in events:
        if isinstance(fact := event.fact, OrderFact):
            name = fact.client_order_id
            earliest[name] = min(event.ts_event, earliest.get(name, event.ts_event))
    counted: list[Event] = []
    for event in events:
        fact, ts = event.fact, event.ts_event
        if isinstance(fact, OrderInitialized):
            ts = earliest[fact.client_order_id]
        if ts <= instant.true_at and event.seq <= instant.known_at:
            counted.append(event)
    return sifted(counted)
