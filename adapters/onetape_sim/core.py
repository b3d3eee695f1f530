"""The simulated venue's core: commands and rows in, reports out. No clock, no sockets, no chance.

Whoever drives it says the time: `at` before each command or row. What it has to say gathers in
`ledger.out` as (account, report), in order.

Not here      contingent orders, trailing stops, auctions (AT_THE_OPEN, AT_THE_CLOSE), margin:
              an order is never refused for want of cash.
Halts         a halted instrument refuses new orders and matches nothing; cancels go through.
DAY           ends at the session's end of the order's local day, or at local midnight.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from onetape.market import Instrument
from onetape.run.ports import (
    AnyRow,
    Bar,
    Busted,
    CancelOrder,
    CancelRejected,
    Corrected,
    Expired,
    MassCancel,
    ModifyOrder,
    ModifyRejected,
    NewOrder,
    Quote,
    Rejected,
)
from onetape_sim.book import Book
from onetape_sim.fees import Fees
from onetape_sim.ledger import Ledger
from onetape_sim.matching import Matcher, would_take
from onetape_sim.orders import CONDITIONAL, PRICED, TYPES, Order

ZERO = Decimal(0)
PLENTY = Decimal(1_000_000_000)  # units offered along a bar: it fills any size
FORCES = frozenset(("GTC", "DAY", "IOC", "FOK", "GTD"))


class Core:
    """All books and accounts of one simulated venue."""

    def __init__(
        self,
        fees: Fees,
        cash: dict[str, Decimal],
        self_match: str = "skip",
        accounts: Iterable[str] = (),
    ) -> None:
        self.books: dict[str, Book] = {}
        self.instruments: dict[str, Instrument] = {}
        self.ledger = Ledger(self.instruments, cash)
        self._matcher = Matcher(self.ledger, fees, self_match)
        self._accounts = frozenset(accounts)
        self._ends: list[tuple[int, int, Order]] = []  # a heap: when orders expire

    def list(self, instrument: Instrument) -> None:
        """Let an instrument be traded."""
        if instrument.id not in self.books:
            self.instruments[instrument.id] = instrument
            self.books[instrument.id] = Book(instrument)

    def at(self, ts: int) -> None:
        """Say what time it is (ns UTC); it never goes back."""
        self.ledger.now = max(ts, self.ledger.now)

    def resume(self) -> None:
        """Put the working orders of a restored ledger into their books."""
        for order in sorted(self.ledger.working.values(), key=lambda o: o.place):
            self.books[order.new.instrument].add(order)
            self._let_expire(order)
        for order in self.ledger.orders.values():
            if order.status == "NEW":
                self.books[order.new.instrument].waiting.append(order)

    # -- rows

    def row(self, row: AnyRow) -> None:
        """Take in a row: the street moves, resting orders trade."""
        self.at(row.ts_event)
        book = self.books[row.instrument]
        if isinstance(row, Quote):
            self._street(book, (row.bid, row.bid_size), (row.ask, row.ask_size), "quote")
        elif isinstance(row, Bar):
            self._walk(book, row)
        else:
            both = (row.price, row.size)
            self._street(book, both, both, "trade")
        self._expire()

    def opened(self, instrument: str, price: Decimal, ts: int) -> None:
        """Take in that a bar opens: orders that waited for it meet its price."""
        self.at(ts)
        book = self.books[instrument]
        book.closed = False
        self._street(book, (price, PLENTY), (price, PLENTY), "open")
        waiting, book.waiting = book.waiting, []
        for order in waiting:
            self._matcher.enter(book, order)
            self._let_expire(order)

    def _street(
        self, book: Book, bid: tuple[Decimal, Decimal], ask: tuple[Decimal, Decimal], kind: str
    ) -> None:
        place = self.ledger.next_place()
        book.bid.set(*bid, place)
        book.ask.set(*ask, place)
        book.basis = (kind, self.ledger.now)
        if not book.halted:
            self._matcher.match(book)

    def _walk(self, book: Book, bar: Bar) -> None:
        """Walk a closed bar for resting orders, then wait for the next one to open."""
        up_first = bar.high - bar.open <= bar.open - bar.low
        points = (bar.high, bar.low) if up_first else (bar.low, bar.high)
        book.walking = True
        for price in (*points, bar.close):
            self._street(book, (price, PLENTY), (price, PLENTY), "bar")
        book.walking = False
        book.bid.clear()
        book.ask.clear()
        book.closed = True

    # -- commands

    def submit(self, new: NewOrder) -> None:
        """Take in an order."""
        ledger = self.ledger
        if new.client_order_id in ledger.orders:
            about = (new.client_order_id, "", new.instrument, ledger.now)
            ledger.tell(new.account, Rejected(*about, "duplicate client_order_id"))
            return
        place = ledger.next_place()
        listed = self.instruments.get(new.instrument)
        terms = (new.quantity, new.price, new.trigger_price)
        order = Order(
            new, f"V-{place}", place, *(terms if listed is None else snug(listed, *terms)),
            ts=ledger.now, expire_time=new.expire_time,
        )  # fmt: skip
        ledger.keep(order)
        reason = self._amiss(order)
        if reason:
            self._matcher.reject(order, reason)
            return
        book = self.books[new.instrument]
        if new.time_in_force == "DAY":
            order.expire_time = end_of_day(book.instrument, ledger.now)
        if book.closed:
            book.waiting.append(order)
            return
        self._matcher.enter(book, order)
        self._let_expire(order)

    def modify(self, change: ModifyOrder) -> None:
        """Take in new terms of a working order."""
        order = self._order(change)
        if order is None or not order.working:
            self._refuse_modify(change, f"Order {change.client_order_id} not found")
            return
        book = self.books[order.new.instrument]
        reason = self._amiss_then(book, order, change)
        if reason:
            self._refuse_modify(change, reason)
            return
        quantity = order.quantity if change.quantity is None else change.quantity
        price = order.price if change.price is None else change.price
        trigger = order.trigger_price if change.trigger_price is None else change.trigger_price
        moved = price != order.price or trigger != order.trigger_price or quantity > order.quantity
        if moved:
            book.remove(order)
            order.place = self.ledger.next_place()
        terms = snug(book.instrument, quantity, price, trigger)
        order.quantity, order.price, order.trigger_price = terms
        self._matcher.updated(order)
        if moved:
            self._place_again(book, order)

    def _place_again(self, book: Book, order: Order) -> None:
        if not order.waits_for_trigger and book.crossed(order, self._matcher.own):
            order.maker = False  # and it stays a taker, as in the backtest engine
            self._matcher.fill_limit(book, order)
        if order.working:
            book.add(order)

    def cancel(self, told: CancelOrder) -> None:
        """Cancel one order."""
        order = self._order(told)
        if order is None or not (order.working or order.status == "NEW"):
            reason = f"Order {told.client_order_id} not found"
            if order is not None:
                reason = f"Order {order.id} is {order.status}"
            self._tell_all(told, CancelRejected(*self._of(told), reason))
            return
        self._cancel(order, "")

    def mass_cancel(self, scope: MassCancel, reason: str = "mass cancel") -> int:
        """Cancel all working orders of a scope; return how many there were."""
        mine = [
            o
            for o in (*self.ledger.working.values(), *self._waiting())
            if o.new.account == scope.account and scope.instrument in (None, o.new.instrument)
        ]
        for order in mine:
            self._cancel(order, reason)
        return len(mine)

    def halt(self, instrument: str | None, on: bool) -> None:
        """Halt one instrument, or all; or let them go on, resting orders first."""
        for name in [instrument] if instrument else list(self.books):
            book = self.books[name]
            book.halted = on
            if not on:
                self._matcher.match(book)

    def bust(self, trade_id: str, reason: str) -> None:
        """Take an execution back; KeyError where there is none of that id."""
        fill = self.ledger.fills[trade_id]
        about = (fill.client_order_id, fill.venue_order_id, fill.instrument, self.ledger.now)
        report = Busted(*about, trade_id, reason)
        self.ledger.take_back(trade_id, report)
        self.ledger.tell(fill.account, report)

    def correct(self, trade_id: str, quantity: Decimal | None, price: Decimal | None) -> None:
        """Change an execution's terms; KeyError where there is none of that id."""
        fill = self.ledger.fills[trade_id]
        about = (fill.client_order_id, fill.venue_order_id, fill.instrument, self.ledger.now)
        now = (quantity or fill.quantity, price or fill.price)
        report = Corrected(*about, trade_id, *now)
        self.ledger.take_back(trade_id, report)
        self.ledger.tell(fill.account, report)

    # -- within

    def _cancel(self, order: Order, reason: str) -> None:
        book = self.books[order.new.instrument]
        book.waiting[:] = [each for each in book.waiting if each is not order]
        self._matcher.cancel(book, order, reason)

    def _waiting(self) -> list[Order]:
        return [order for book in self.books.values() for order in book.waiting]

    def _order(self, told: CancelOrder | ModifyOrder) -> Order | None:
        return self.ledger.orders.get(told.client_order_id)

    def _of(self, told: CancelOrder | ModifyOrder) -> tuple[str, str, str, int]:
        order = self._order(told)
        theirs = told.venue_order_id or ""
        venue_order_id = theirs if order is None else order.venue_order_id
        return told.client_order_id, venue_order_id, told.instrument, self.ledger.now

    def _refuse_modify(self, change: ModifyOrder, reason: str) -> None:
        self._tell_all(change, ModifyRejected(*self._of(change), reason))

    def _tell_all(
        self, told: CancelOrder | ModifyOrder, report: CancelRejected | ModifyRejected
    ) -> None:
        order = self._order(told)  # of an order that nobody knows, everybody is told
        self.ledger.tell("" if order is None else order.new.account, report)

    def _let_expire(self, order: Order) -> None:
        if order.expire_time is not None and order.working:
            heapq.heappush(self._ends, (order.expire_time, order.place, order))

    def _expire(self) -> None:
        while self._ends and self._ends[0][0] <= self.ledger.now:
            order = heapq.heappop(self._ends)[2]
            if not order.working:
                continue
            self.books[order.new.instrument].remove(order)
            order.status, order.ts = "EXPIRED", self.ledger.now
            self.ledger.keep(order)
            about = (order.id, order.venue_order_id, order.new.instrument, self.ledger.now)
            self.ledger.tell(order.new.account, Expired(*about))

    def _amiss(self, order: Order) -> str:
        """Return why an order cannot be taken; "" when it can."""
        new = order.new
        book = self.books.get(new.instrument)
        if book is None:
            return f"unknown instrument {new.instrument}"
        if self._accounts and new.account not in self._accounts:
            return f"unknown account {new.account}"
        if book.halted:
            return f"{new.instrument} is halted"
        if new.type not in TYPES:
            return f"order type {new.type} is not supported"
        if new.time_in_force not in FORCES:
            return f"time in force {new.time_in_force} is not currently supported"
        if new.time_in_force == "GTD" and (new.expire_time or 0) <= self.ledger.now:
            return f"GTD needs an expire_time after now ({self.ledger.now})"
        if new.type in PRICED and new.price is None:
            return f"{new.type} needs a price"
        if new.type in CONDITIONAL and new.trigger_price is None:
            return f"{new.type} needs a trigger price"
        if new.reduce_only and not self._matcher.room(order):
            return f"Reduce-only order {order.id} would have increased position"
        return off_grid(book.instrument, new.quantity, new.price, new.trigger_price)

    def _amiss_then(self, book: Book, order: Order, change: ModifyOrder) -> str:
        """Return why an order's terms cannot be changed; "" when they can."""
        if change.quantity is not None and change.quantity <= order.filled:
            return f"quantity {change.quantity} is not above what is filled, {order.filled}"
        quantity = order.quantity if change.quantity is None else change.quantity
        wrong = off_grid(book.instrument, quantity, change.price, change.trigger_price)
        if wrong:
            return wrong
        then = Order(
            order.new, "", 0, quantity,
            order.price if change.price is None else change.price,
            order.trigger_price if change.trigger_price is None else change.trigger_price,
            triggered=order.triggered,
        )  # fmt: skip
        if then.waits_for_trigger:
            touched = change.trigger_price is not None and book.reached(then)
            return f"trigger {then.trigger_price} is in the market" if touched else ""
        if order.new.post_only and book.crossed(then, self._matcher.own):
            return would_take(book, then)
        return ""


def snug(
    instrument: Instrument, quantity: Decimal, price: Decimal | None, trigger: Decimal | None
) -> tuple[Decimal, Decimal | None, Decimal | None]:
    """Return an order's terms with the instrument's digits, where they fit."""
    units, ticks = Decimal(1).scaleb(-instrument.size_precision), instrument.price_precision
    fine = Decimal(1).scaleb(-ticks)
    return (
        _with_digits(quantity, units),
        None if price is None else _with_digits(price, fine),
        None if trigger is None else _with_digits(trigger, fine),
    )


def _with_digits(value: Decimal, unit: Decimal) -> Decimal:
    try:
        made = value.quantize(unit)
    except InvalidOperation:  # not finite, or far too large: refused with its own digits
        return value
    return made if made == value else value


def off_grid(
    instrument: Instrument, quantity: Decimal, price: Decimal | None, trigger: Decimal | None
) -> str:
    """Return what does not fit the instrument's increments; "" when all does."""
    if not quantity.is_finite() or quantity <= 0 or quantity % instrument.size_increment:
        return f"quantity {quantity} is not a positive multiple of {instrument.size_increment}"
    for name, value in (("price", price), ("trigger price", trigger)):
        if value is not None and (not value.is_finite() or value % instrument.tick):
            return f"{name} {value} is not a multiple of the tick {instrument.tick}"
    return ""


def end_of_day(instrument: Instrument, now: int) -> int:
    """Return when a DAY order of `now` ends (ns UTC)."""
    zone = ZoneInfo(instrument.tz)
    local = datetime.fromtimestamp(now // 1_000_000_000, UTC).astimezone(zone)
    end = local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    if instrument.session is not None:
        hour, minute = (int(part) for part in instrument.session[1].split(":"))
        close = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
        end = close if close > local else end
    return int(end.timestamp()) * 1_000_000_000
