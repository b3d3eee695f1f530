# pyright: standard
"""Cache: which rows a batch needs that are not in memory, and what to let go of.

A projector that began with the ledger's first event has met everything itself: what it has not
met stands in no table, and need not be asked for. One that was started again asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from onetape.books.lifecycle import TERMINAL
from onetape.books.load import Wanted
from onetape.books.state import Books
from onetape.tape import kinds
from onetape.tape.event import Event
from onetape.tape.kinds import DividendPaid, OrderFact, OrderFilled, SplitApplied
from onetape.tape.ledger import Entry

LINES, ORDERS, SHELVES, RUNS = 200_000, 100_000, 500, 20_000
SEEN = 3_000_000
ORDER_KINDS = frozenset(kind for kind in kinds.BY_TAG.values() if issubclass(kind, OrderFact))


class Cache:
    """What of the tables stands in memory. `fresh` says that the tables are empty."""

    def __init__(self, books: Books, fresh: bool) -> None:
        self.books = books
        self._fresh = fresh  # nothing was let go of either
        self._seen: set[tuple[str, str]] | None = set() if fresh else None

    def wanted(self, pairs: Iterable[tuple[Entry, Event | None]]) -> Wanted:
        """Return what these events touch and the books do not hold."""
        wanted = Wanted()
        shelves, runs = self.books.shelves, self.books.runs
        for entry, event in pairs:
            book = entry.book
            shelf = shelves.get(book)
            if shelf is None:
                shelf = self.books.shelf(book)
                wanted.books.add(book)
            if entry.version > 1 and entry.stream not in runs:
                wanted.streams.add(entry.stream)
            if event is None:
                continue
            fact = event.fact
            kind = type(fact)
            if kind in ORDER_KINDS:
                name = fact.client_order_id  # pyright: ignore
                if name not in shelf.orders.by_id and name not in shelf.executions.of:
                    wanted.orders.add((book, name))
            if kind is OrderFilled or kind is DividendPaid or kind is SplitApplied:
                owner: Any = (fact.account, fact.instrument)  # pyright: ignore
                if owner not in shelf.lines:
                    wanted.lines.add((book, *owner))
                if kind is SplitApplied:
                    wanted.splits.add((book, owner[1]))
        return self._asked(wanted)

    def _asked(self, wanted: Wanted) -> Wanted:
        orders, seen = wanted.orders, self._seen
        if seen is not None:
            wanted.orders = orders & seen
            seen |= orders
            if len(seen) > SEEN:
                self._seen = None
        return Wanted(orders=wanted.orders) if self._fresh else wanted

    def trim(self) -> None:
        """Let go of what is beyond the bounds; everything was written before."""
        books = self.books
        if len(books.runs) > RUNS:
            self._fresh = False
            books.runs.clear()
        lines = sum(len(shelf.lines) for shelf in books.shelves.values())
        if lines > LINES or len(books.shelves) > SHELVES:
            self._fresh = False
            books.shelves.clear()
        if sum(len(shelf.orders.by_id) for shelf in books.shelves.values()) > ORDERS:
            self._trim_orders(TERMINAL)
        if sum(len(shelf.orders.by_id) for shelf in books.shelves.values()) > ORDERS:
            self._fresh = False
            self._trim_orders(None)

    def _trim_orders(self, statuses: frozenset[str] | None) -> None:
        for shelf in self.books.shelves.values():
            orders = shelf.orders.by_id
            done = [o for o, one in orders.items() if statuses is None or one.status in statuses]
            for name in done:
                shelf.orders.forget(name)
            kept = shelf.executions.of
            shelf.executions.of = {name: of for name, of in kept.items() if name in orders}
