"""Void: what a venue took back, refolded from the events that stand.

A fill's account and instrument are folded anew, with the fill and without it, by the same
`Books` in scratch copies; what differs is put in place of what stood: the key's holding and
trades, dividends paid on what was not held, profit realized at another cost, the order.
Nothing is asked of the tables: what was written before is corrected when the changes are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from onetape.books.cash import CashEntry
from onetape.books.exact import ZERO
from onetape.books.orders import Order, OrderBook
from onetape.books.places import Line, Paid, Slot, Void
from onetape.books.positions import Key, Notes
from onetape.books.state import Books, Shelf
from onetape.tape.event import Event
from onetape.tape.kinds import OrderFact, OrderFilled, OrderInitialized, SplitApplied

Rows = list[tuple[int, CashEntry]]


def take_back(
    books: Books, book: str, event: Event, gone: tuple[int, OrderFilled], held: Sequence[Event]
) -> None:
    """Book a void of a fill, given with its seq.

    `held` are the events of its account and instrument that stood until now, the fill among
    them: fills, splits, dividends.
    """
    seq, fact = gone
    shelf = books.shelf(book)
    line = shelf.lines[fact.account, fact.instrument]
    stood = _folded(held, shelf, line)
    stands = _folded([one for one in held if one.seq != seq], shelf, line)
    _replace(books, line, event, gone, stands.shelf(book))
    before = [(one.line, one.entry) for one in stood.changes.cash if one.entry.seq >= seq]
    after = [one for one in stands.changes.cash if one.entry.seq >= seq]
    slot = shelf.slots[Key(fact.account, fact.instrument, fact.strategy)]
    told = books.changes
    told.ended = [one for one in told.ended if one[0] is not slot]
    told.ended += [(slot, one) for other, one in stands.changes.ended if other.key == slot.key]
    _correct_cash(books, shelf, event, before, after, slot, fact)


def refold_order(events: Sequence[Event]) -> Order:
    """Return an order from its own events and the splits of its instrument."""
    book = OrderBook()
    for event in events:
        fact = event.fact
        if isinstance(fact, OrderInitialized):
            book.begin(event, fact)
        elif isinstance(fact, OrderFact):
            book.take(event, fact)
        elif isinstance(fact, SplitApplied):
            book.split(event, fact)
    (order,) = book.by_id.values()
    return order


def _folded(events: Sequence[Event], shelf: Shelf, line: Line) -> Books:
    scratch = Books()
    scratch.shelf(shelf.name).know(line.instrument, line.info)
    for event in events:
        scratch.book(event, shelf.name)
    return scratch


def _replace(
    books: Books, line: Line, event: Event, gone: tuple[int, OrderFilled], fresh: Shelf
) -> None:
    seq, fact = gone
    shelf = books.shelf(line.book)
    key = Key(fact.account, fact.instrument, fact.strategy)
    slot, before, after = shelf.slots[key], shelf.holding(key), fresh.holding(key)
    found = fresh.slots.get(key)
    slot.notes = found.notes if found else Notes(slot.notes.currency, {}, None, event.seq)
    slot.last_price = found.last_price if found else ZERO
    holdings = {one.key: shelf.holding(one.key) for one in line.slots} | {key: after}
    running = {one.key: shelf.blotter.running.get(one.key, ()) for one in line.slots}
    running[key] = fresh.blotter.running.get(key, ())
    shelf.holdings.forget(line.account, line.instrument)
    shelf.blotter.forget(line.account, line.instrument)
    slots, line.slots = line.slots, []
    for one in slots:
        shelf.place(one, holdings[one.key])
        shelf.blotter.place(one.key, running[one.key])
    again = fresh.lines.get((line.account, line.instrument))
    line.price = again.price if again else ZERO
    if line.seqs is not None:
        line.seqs.remove(seq)
    books.touch_line(line, event)
    books.act(shelf, event, line.account, line.instrument, "void", seq)
    gained = after.realized - before.realized
    if gained:
        owner = (line.book, line.account, line.info.currency or "")
        books.purse(*owner, event.seq, event.ts_event).realized += gained
    books.move(slot, event, "void", (after.quantity - before.quantity, fact.price), after)


def _correct_cash(
    books: Books,
    shelf: Shelf,
    event: Event,
    before: Rows,
    after: Sequence[Paid],
    slot: Slot,
    fact: OrderFilled,
) -> None:
    stand = {(one.line, one.entry) for one in after}
    retired = [one for one in before if one not in stand]
    stood = set(before)
    entered = [one for one in after if (one.line, one.entry) not in stood]
    stale: dict[tuple[str, str, str], int] = {}
    for sign, rows in ((-1, [one for _, one in retired]), (1, [one.entry for one in entered])):
        for entry in rows:
            owner = (shelf.name, entry.account, entry.currency)
            purse = books.purse(*owner, event.seq, event.ts_event)
            purse.tally(entry.reason, sign * entry.amount)
            stale[owner] = min(entry.seq, stale.get(owner, entry.seq))
    written = [one for one in retired if not _retire(books, shelf.name, one, event.seq)]
    execution = (shelf.name, fact.client_order_id, fact.trade_id)
    told = books.changes
    told.executions = [one for one in told.executions if one[:3] != execution]
    told.voids.append(Void(event.seq, slot, execution, written, entered, stale))


def _retire(books: Books, book: str, row: tuple[int, CashEntry], seq: int) -> bool:
    """Retire a row that is not written yet; False when it must be sought in the table."""
    line, entry = row
    told = books.changes
    for void in reversed(told.voids):
        for one in void.entered:
            if one.void_seq is None and one.book == book and (one.line, one.entry) == row:
                one.void_seq = seq
                return True
    place = bisect_left(told.cash, entry.seq, key=lambda one: one.entry.seq)
    while place < len(told.cash) and told.cash[place].entry.seq == entry.seq:
        one = told.cash[place]
        if one.line == line:
            one.void_seq = seq
            return True
        place += 1
    return False
