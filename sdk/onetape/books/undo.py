# pyright: standard
"""Undo: the events that a void makes necessary, and the rows of the past that it corrects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.sql import SQL, Identifier

from onetape.books.places import Void
from onetape.books.schema import schema_of
from onetape.books.state import Books
from onetape.books.void import refold_order
from onetape.tape.event import Event
from onetape.tape.kinds import OrderVoided
from onetape.tape.ledger import Entry
from onetape.tape.port import Tape

RETIRE = """
UPDATE {s}.cash c SET void_seq = w.void_seq, balance = NULL
FROM unnest(%s::int8[], %s::text[], %s::text[], %s::text[], %s::int8[], %s::int4[])
  AS w(void_seq, book, account, currency, seq, line)
WHERE c.book = w.book AND c.account = w.account AND c.currency = w.currency AND c.seq = w.seq
AND c.line = w.line AND c.void_seq IS NULL"""
BALANCE = """
UPDATE {s}.cash c SET balance = told.balance FROM (
  SELECT seq, line, coalesce((
      SELECT balance FROM {s}.cash WHERE book = %(book)s AND account = %(account)s
      AND currency = %(currency)s AND seq < %(first)s AND void_seq IS NULL
      ORDER BY seq DESC, line DESC LIMIT 1), 0)
    + sum(amount) OVER (ORDER BY seq, line) AS balance
  FROM {s}.cash WHERE book = %(book)s AND account = %(account)s AND currency = %(currency)s
  AND seq >= %(first)s AND void_seq IS NULL) told
WHERE c.book = %(book)s AND c.account = %(account)s AND c.currency = %(currency)s
AND c.seq = told.seq AND c.line = told.line AND c.void_seq IS NULL AND c.balance <> told.balance"""
FORGET = """
DELETE FROM {s}.execution e USING unnest(%s::text[], %s::text[], %s::text[])
  AS w(book, client_order_id, trade_id)
WHERE (e.book, e.client_order_id, e.trade_id) = (w.book, w.client_order_id, w.trade_id)"""
TRADES = "DELETE FROM {s}.trade WHERE key_id = ANY(%s)"
EVENTS = "SELECT seq, payload FROM onetape.event WHERE seq = ANY(%s)"


class Source:
    """Single events of the tape by their seq: by SQL where the log is in the same database."""

    def __init__(self, tape: Tape, connect: Callable[[], Any] | None) -> None:
        self._tape, self._connect, self._connection = tape, connect, None

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()

    def events(self, seqs: list[int]) -> list[Event]:
        """Return the events at rising `seqs`, each numbered by the ledger."""
        found: dict[int, Event] = {}
        if self._connect is not None:
            if self._connection is None:
                self._connection = self._connect()
            rows = self._connection.cursor(binary=True).execute(EVENTS, (seqs,)).fetchall()
            found = {seq: Entry(seq, 0, "", 0, "", payload).placed for seq, payload in rows}
        missing = [seq for seq in seqs if seq not in found]
        if missing:
            wanted = set(missing)
            for entry in self._tape.read(missing[0] - 1, missing[-1]):
                if entry.seq in wanted:
                    found[entry.seq] = entry.placed
        return [found[seq] for seq in seqs]


def redo_order(books: Books, book: str, event: Event, gone: int, source: Source) -> None:
    """Fold the order of a void anew, without the fill at `gone`."""
    shelf, fact = books.shelf(book), event.fact
    order = shelf.orders.by_id.get(fact.client_order_id) if isinstance(fact, OrderVoided) else None
    if order is None:
        return
    splits = shelf.splits.get(order.instrument, ())
    seqs = {seq for seq in splits if seq > order.seqs[0]} | set(order.seqs)
    refolded = refold_order([*source.events(sorted(seqs - {gone, event.seq})), event])
    if refolded.seqs[0] != order.seqs[0]:  # an external order began with the fill that is gone
        books.changes.again.add((book, refolded.client_order_id))
    shelf.orders.place(refolded)
    books.changes.orders[book, refolded.client_order_id] = refolded


def before(connection: Connection[Any], generation: int, voids: Sequence[Void]) -> None:
    """Take away what voids made wrong, before new rows are written."""
    retired = [
        (void.seq, void.execution[0], entry.account, entry.currency, entry.seq, line)
        for void in voids
        for line, entry in void.retired
    ]
    _do(connection, generation, RETIRE, [list(one) for one in zip(*retired, strict=True)])
    _do(connection, generation, TRADES, [[void.slot.id for void in voids]])
    gone = zip(*(void.execution for void in voids), strict=True)
    _do(connection, generation, FORGET, [list(one) for one in gone])


def after(connection: Connection[Any], generation: int, voids: Sequence[Void]) -> None:
    """Bring balances right again, once new rows are written."""
    first: dict[tuple[str, str, str], int] = {}
    for void in voids:
        for owner, seq in void.stale.items():
            first[owner] = min(seq, first.get(owner, seq))
    for (book, account, currency), seq in sorted(first.items()):
        owner = {"book": book, "account": account, "currency": currency, "first": seq}
        _do(connection, generation, BALANCE, owner)


def _do(connection: Connection[Any], generation: int, query: LiteralString, asked: Any) -> None:
    if asked:
        schema = Identifier(schema_of(generation))
        connection.execute(SQL(query).format(s=schema), asked)
