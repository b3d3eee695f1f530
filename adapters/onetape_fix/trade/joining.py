"""Drop copies and clearing, joined with the order session: the same fill from all books once.

Whichever book tells first books the fill. Each book's word is remembered by execution; what one has
and another has not after `grace` seconds is a Difference, and so are terms that differ. A book that
is not up, or was not when the fill came, is not held to it.
Orders      a copy tells the fate of orders that others sent; of our own it tells the fills only.
"""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal

import msgspec

from onetape.run.ports import Difference, Notice
from onetape_fix.trade.executions import Executions, Said
from onetape_fix.trade.reading import Execution, digest

REMEMBERED = 50_000  # executions that were compared
EXECUTED = frozenset(("fill", "bust", "correct"))
ORDERS = "orders"  # the order session's own book
Terms = tuple[Decimal, Decimal]


class _Seen(msgspec.Struct):
    """What the books say of one execution; `since` is when the first did (seconds)."""

    since: float
    terms: dict[str, Terms]
    held: frozenset[str]  # the books that have to tell it, too
    told: frozenset[str] = frozenset()


class Joined:
    """See the module. `books` come and go by `up` and `down`; times are of one steady clock."""

    def __init__(self, executions: Executions, grace: float = 5.0) -> None:
        self._executions, self._grace = executions, grace
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._open: OrderedDict[str, None] = OrderedDict()  # not told by all books yet
        self._up: set[str] = set()

    def up(self, book: str) -> None:
        """A book tells from here on."""
        self._up.add(book)

    def down(self, book: str) -> None:
        """A book tells nothing for now: it is not held to what comes meanwhile."""
        self._up.discard(book)
        for seen in self._seen.values():
            seen.held -= {book}

    def copied(self, book: str, read: Execution, at: float) -> list[Said]:
        """Take an execution report of a copy in."""
        if read.what == "status":
            return []
        if read.what in EXECUTED:
            read = self._known_as(read)
            said = self.note(book, read, at)
            return said + self._booked(read)
        order = self._executions.order(read)
        return self._executions.take(read) if not order.name else []

    def note(self, book: str, read: Execution, at: float) -> list[Said]:
        """Remember a book's word on an execution, and compare it with the others'."""
        if len(self._up | {book}) < 2 and read.exec_id not in self._seen:
            return []
        key = read.exec_ref if read.what != "fill" else read.exec_id
        if not key or read.last is None:
            return []
        if read.what == "bust":
            self._open.pop(key, None)
            return []
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = _Seen(at, {}, frozenset(self._up | {book}))
            self._open[key] = None
            while len(self._seen) > REMEMBERED:
                self._open.pop(self._seen.popitem(last=False)[0], None)
        if read.what == "correct":
            seen.terms.clear()  # the other books will say so, too, each in its time
        seen.terms[book] = read.last
        return self._differ(key, seen, book)

    def late(self, at: float) -> list[Said]:
        """Return what some book has, and another has not although it had time to tell."""
        said: list[Said] = []
        for key in list(self._open):
            seen = self._seen[key]
            missing = seen.held - seen.terms.keys()
            if missing and at - seen.since < self._grace:
                break  # those behind it are younger
            del self._open[key]
            said += [self._missing(key, seen, book) for book in sorted(missing)]
        return said

    @property
    def waiting(self) -> bool:
        """Whether some execution is not told by all books yet."""
        return bool(self._open)

    # -- within

    def _known_as(self, read: Execution) -> Execution:
        """A side of a two-sided report may be an execution that its order has without the side."""
        order = self._executions.book.on_wire(read.wire) or self._executions.book.at(read.venue_id)
        plain, dot, side = read.exec_id.rpartition(".")
        if order is None or not dot or side not in "12345":
            return read
        named = {digest(name): name for name in order.trades} | {n: n for n in order.trades}
        if plain not in named:
            return read
        ref = read.exec_ref.removesuffix(f".{side}")
        return msgspec.structs.replace(read, exec_id=named[plain], exec_ref=named.get(ref, ref))

    def _booked(self, read: Execution) -> list[Said]:
        if read.what == "fill" and (read.last is None or not read.exec_id):
            return [Notice("critical", "fill_unreadable", f"a copy of {read.venue_id or '?'}")]
        return self._executions.take(read)

    def _differ(self, key: str, seen: _Seen, book: str) -> list[Said]:
        mine = seen.terms[book]
        if book in seen.told:
            return []
        said: list[Said] = []
        for other, terms in seen.terms.items():
            for what, ours, theirs in zip(("quantity", "price"), terms, mine, strict=True):
                if ours != theirs:
                    seen.told |= {book}
                    said.append(Difference(what, key, f"{ours} ({other})", f"{theirs} ({book})"))
        return said

    def _missing(self, key: str, seen: _Seen, book: str) -> Difference:
        other, (quantity, price) = next(iter(seen.terms.items()))
        told = f"{quantity} @ {price} ({other})"
        if book == ORDERS:
            return Difference("missing_here", key, f"nothing ({book})", told)
        return Difference("missing_there", key, told, f"nothing ({book})")
