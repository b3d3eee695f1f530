# pyright: standard
"""Load: what a batch touches and the books do not hold, fetched from the tables.

One query for each table and batch, whatever the number of keys. Loading what is not in the
tables places nothing: it begins with its first event.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, LiteralString

import msgspec
from psycopg import Connection
from psycopg.sql import SQL, Composed, Identifier

from onetape.books.orders import Order
from onetape.books.places import Line, Purse, Run, Slot
from onetape.books.positions import Holding, Key, Notes
from onetape.books.schema import schema_of
from onetape.books.state import Books, Shelf
from onetape.books.trades import Running
from onetape.books.valuation import InstrumentInfo

Row = tuple[Any, ...]
_running = msgspec.json.Decoder(Running)

INSTRUMENTS = """
SELECT book, instrument, multiplier, currency, margined FROM {s}.instrument
WHERE book = ANY(%s)"""
PURSES = """
SELECT book, account, currency, balance, realized, commission, dividends, deposits,
       market_value, unrealized, seq, ts_event
FROM {s}.cash_balance WHERE book = ANY(%s)"""
SPLITS = """
SELECT book, instrument, seq FROM {s}.action WHERE book = ANY(%s) AND kind = 'split'
ORDER BY seq"""
FILLS = """
SELECT h.seq FROM {s}.position_history h JOIN {s}.position_key k ON k.id = h.key_id
WHERE k.book = %s AND k.account = %s AND k.instrument = %s AND h.event = 'fill'"""
ACTIONS = """
SELECT seq, kind, fill_seq FROM {s}.action
WHERE book = %s AND account = %s AND instrument = %s"""
LINES = """
SELECT book, account, instrument, price, quantity, cost, net, seq, ts_event
FROM {s}.exposure JOIN unnest(%s::text[], %s::text[], %s::text[]) AS w(book, account, instrument)
USING (book, account, instrument)"""
SLOTS = """
SELECT k.id, k.book, k.account, k.instrument, k.strategy, k.currency, k.multiplier, k.margined,
       p.quantity, p.cost, p.realized, p.last_price, p.commission, p.commissions, p.opened_seq,
       p.fills, p.seq, p.ts_event
FROM unnest(%s::text[], %s::text[], %s::text[]) AS w(book, account, instrument)
JOIN {s}.position_key k USING (book, account, instrument) JOIN {s}.position p ON p.key_id = k.id
ORDER BY k.id"""
OPEN = "SELECT key_id, state FROM {s}.trade WHERE key_id = ANY(%s) AND open"
ORDER = """
SELECT book, client_order_id, instrument, strategy, side, type, time_in_force, quantity, ts_init,
       ts_last, seqs, status, resting, filled, filled_value, price, trigger_price, account,
       venue_order_id, reason, commissions, trade_ids, fill_seqs
FROM {s}.orders """
ORDERS = ORDER + (
    "JOIN unnest(%s::text[], %s::text[]) AS w(book, client_order_id) USING (book, client_order_id)"
)
WORKING = (
    ORDER
    + """
JOIN unnest(%s::text[], %s::text[]) AS w(book, instrument) USING (book, instrument)
WHERE status NOT IN ('FILLED', 'CANCELED', 'EXPIRED', 'DENIED', 'REJECTED')"""
)
EXECUTIONS = """
SELECT book, client_order_id, trade_id, seq FROM {s}.execution
JOIN unnest(%s::text[], %s::text[]) AS w(book, client_order_id) USING (book, client_order_id)"""
RUNS = """
SELECT stream, book, strategy, mode, code_hash, params::text, opened_seq, opened_ns, status,
       last_seq, closed_seq, events, fills, fingerprint
FROM {s}.run WHERE stream = ANY(%s)"""


class Wanted(msgspec.Struct):
    """What a batch touches and the books do not hold."""

    books: set[str] = set()
    lines: set[tuple[str, str, str]] = set()
    orders: set[tuple[str, str]] = set()
    splits: set[tuple[str, str]] = set()  # book and instrument
    streams: set[str] = set()

    def any(self) -> bool:
        """Whether anything is wanted."""
        return bool(self.books or self.lines or self.orders or self.splits or self.streams)


class Loader:
    """Reads the rows of one generation back into books."""

    def __init__(self, connection: Connection[Any], generation: int) -> None:
        self.connection = connection
        self.schema = Identifier(schema_of(generation))

    def load(self, books: Books, wanted: Wanted) -> None:
        """Place what is wanted and known."""
        if wanted.books:
            self._shelves(books, sorted(wanted.books))
        if wanted.lines:
            self._lines(books, sorted(wanted.lines))
        if wanted.orders:
            self._orders(books, sorted(wanted.orders))
        if wanted.splits:
            for row in self._all(WORKING, *_columns(sorted(wanted.splits), 2)):
                if row[1] not in books.shelf(row[0]).orders.by_id:
                    _place_order(books.shelf(row[0]), row)
        if wanted.streams:
            for row in self._all(RUNS, sorted(wanted.streams)):
                books.runs[row[0]] = Run(*row[:13], head=bytes.fromhex(row[13]))

    def seqs(self, book: str, account: str, instrument: str) -> list[int]:
        """Return what stands of an account's fills, splits and dividends in an instrument."""
        found = {seq for (seq,) in self._all(FILLS, book, account, instrument)}
        actions = self._all(ACTIONS, book, account, instrument)
        found |= {seq for seq, kind, _ in actions if kind != "void"}
        return sorted(found - {gone for _, kind, gone in actions if kind == "void"})

    def _shelves(self, books: Books, names: list[str]) -> None:
        for name in names:
            books.shelf(name)
        for book, instrument, *what in self._all(INSTRUMENTS, names):
            books.shelf(book).know(instrument, InstrumentInfo(*what))
        for book, instrument, seq in self._all(SPLITS, names):
            books.shelf(book).splits.setdefault(instrument, []).append(seq)
        for row in self._all(PURSES, names):
            books.shelf(row[0]).purses[row[1], row[2]] = Purse(*row)

    def _lines(self, books: Books, wanted: list[tuple[str, str, str]]) -> None:
        asked = _columns(wanted, 3)
        for book, account, instrument, *what in self._all(LINES, *asked):
            shelf = books.shelf(book)
            line = Line(
                book, account, instrument, shelf.infos[instrument], [], None, *what, written=True
            )
            shelf.lines[account, instrument] = line
        placed: dict[int, tuple[Shelf, Slot]] = {}
        for row in self._all(SLOTS, *asked):
            shelf = books.shelf(row[1])
            slot, holding = _slot(row)
            shelf.place(slot, holding)
            placed[slot.id] = shelf, slot
        for key_id, state in self._all(OPEN, list(placed)):
            shelf, slot = placed[key_id]
            shelf.blotter.place(slot.key, [_running.decode(state)])

    def _orders(self, books: Books, wanted: list[tuple[str, str]]) -> None:
        missing = set(wanted)
        for row in self._all(ORDERS, *_columns(wanted, 2)):
            missing.discard((row[0], row[1]))
            _place_order(books.shelf(row[0]), row)
        if missing:
            for book, order, trade_id, seq in self._all(EXECUTIONS, *_columns(sorted(missing), 2)):
                books.shelf(book).executions.of.setdefault(order, {})[trade_id] = seq

    def _all(self, query: LiteralString, *asked: object) -> Iterable[Row]:
        text: Composed = SQL(query).format(s=self.schema)
        return self.connection.execute(text, asked).fetchall()


def _columns(rows: list[tuple[str, ...]], width: int) -> list[list[str]]:
    return [[row[place] for row in rows] for place in range(width)]


def _slot(row: Row) -> tuple[Slot, Holding]:
    number, book, account, instrument, strategy, currency, multiplier, margined = row[:8]
    quantity, cost, realized, price, paid, others, opened, fills, seq, ts = row[8:]
    commission = _decimals(others) if others else ({currency: paid} if fills else {})
    notes = Notes(currency, commission, None, seq, fills)
    key = Key(account, instrument, strategy)
    slot = Slot(number, book, key, multiplier, margined, notes, price, ts, written=True)
    return slot, Holding(quantity, cost, realized, opened)


def _place_order(shelf: Shelf, row: Row) -> None:
    fields: list[Any] = [*row[1:10], tuple(row[10]), *row[11:20], _decimals(row[20] or {})]
    shelf.orders.place(Order(*fields))
    if row[21]:
        shelf.executions.of[row[1]] = dict(zip(row[21], row[22], strict=True))


def _decimals(by_currency: dict[str, str]) -> Any:
    from decimal import Decimal

    return {currency: Decimal(amount) for currency, amount in by_currency.items()}
