"""Orders: what became of each order, folded from its events.

Status   as the engine names it; a pending update or cancel ends in the status before it.
Voids    a voided fill is as if it had never been; the void stays among the order's events.
Splits   a working order rescales: quantities x ratio, prices / ratio, value unchanged.
Raises   BrokenTape when an order's events come without its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from decimal import Decimal

from msgspec import Struct

from onetape.books.exact import ZERO, exactly
from onetape.books.standing import standing
from onetape.errors import BrokenTape
from onetape.tape import kinds
from onetape.tape.event import Event
from onetape.tape.kinds import (
    OrderCancelRejected,
    OrderFact,
    OrderFilled,
    OrderInitialized,
    OrderModifyRejected,
    OrderUpdated,
    SplitApplied,
)

TERMINAL = frozenset({"FILLED", "CANCELED", "EXPIRED", "DENIED", "REJECTED"})
PENDING = frozenset({"PENDING_UPDATE", "PENDING_CANCEL"})
ENDED = TERMINAL | PENDING  # a partial fill does not change these
TOLD: dict[type, tuple[str, ...]] = {  # what an event tells of its order, when it says it
    kinds.OrderSubmitted: ("account",),
    kinds.OrderAccepted: ("account", "venue_order_id"),
    kinds.OrderDenied: ("reason",),
    kinds.OrderRejected: ("reason",),
    kinds.OrderVoided: ("reason",),
}
STATUS: dict[type, str] = {
    kinds.OrderSubmitted: "SUBMITTED",
    kinds.OrderAccepted: "ACCEPTED",
    kinds.OrderDenied: "DENIED",
    kinds.OrderRejected: "REJECTED",
    kinds.OrderEmulated: "EMULATED",
    kinds.OrderReleased: "RELEASED",
    kinds.OrderTriggered: "TRIGGERED",
    kinds.OrderPendingUpdate: "PENDING_UPDATE",
    kinds.OrderPendingCancel: "PENDING_CANCEL",
    kinds.OrderCanceled: "CANCELED",
    kinds.OrderExpired: "EXPIRED",
}


class Order(Struct, gc=False):
    """One order once the event at `seqs[-1]` is booked."""

    client_order_id: str
    instrument: str
    strategy: str
    side: kinds.Side
    type: str
    time_in_force: str
    quantity: Decimal
    ts_init: int
    ts_last: int
    seqs: tuple[int, ...]
    status: str = "INITIALIZED"
    resting: str = "INITIALIZED"  # the status that a pending request falls back to
    filled: Decimal = ZERO
    filled_value: Decimal = ZERO  # sum of quantity x price, multiplier excluded
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    account: str | None = None
    venue_order_id: str | None = None
    reason: str = ""
    commission: dict[str, Decimal] = {}

    @property
    def is_open(self) -> bool:
        return self.status not in TERMINAL

    @property
    @exactly
    def left(self) -> Decimal:
        """What is still to be filled."""
        return self.quantity - self.filled

    @property
    @exactly
    def average_price(self) -> Decimal | None:
        """The average price of its fills; None without one."""
        return self.filled_value / self.filled if self.filled else None

    @exactly
    def after(self, event: Event) -> Order:
        """Return the order with one of its own events booked."""
        new = copy(self)
        new.take(event)
        return new

    @exactly
    def split(self, event: Event, ratio: Decimal) -> Order:
        """Return a working order once each unit became `ratio` units."""
        new = copy(self)
        new.rescale(event, ratio)
        return new

    def take(self, event: Event) -> None:
        """Book one of the order's own events here, in the exact context of the caller."""
        fact = event.fact
        kind = type(fact)
        if kind is OrderFilled:
            self._fill(fact)  # pyright: ignore[reportArgumentType]
        elif kind is OrderUpdated:
            self._update(fact)  # pyright: ignore[reportArgumentType]
        elif kind is OrderModifyRejected or kind is OrderCancelRejected:
            self.status, self.reason = self.resting, fact.reason  # pyright: ignore
        else:
            status = STATUS.get(kind)
            if status is not None:
                self.status = status
                if status not in PENDING:
                    self.resting = status
            self._told(fact)
        self.ts_last = event.ts_event
        self.seqs = (*self.seqs, event.seq)

    def rescale(self, event: Event, ratio: Decimal) -> None:
        """Book a split here: each unit became `ratio` units."""
        self.quantity *= ratio
        self.filled *= ratio
        self.price = self.price and self.price / ratio
        self.trigger_price = self.trigger_price and self.trigger_price / ratio
        self.ts_last = event.ts_event
        self.seqs = (*self.seqs, event.seq)

    def _told(self, fact: object) -> None:
        for name in TOLD.get(type(fact), ()):
            value = getattr(fact, name)
            if value:
                setattr(self, name, value)

    def _update(self, fact: OrderUpdated) -> None:
        self.quantity = fact.quantity
        if fact.price is not None:
            self.price = fact.price
        if fact.trigger_price is not None:
            self.trigger_price = fact.trigger_price
        self.status = self.resting

    def _fill(self, fill: OrderFilled) -> None:
        filled = self.filled + fill.quantity
        done = filled >= self.quantity
        currency, paid = fill.commission_currency, self.commission
        fee = paid.get(currency, ZERO) + fill.commission
        self.commission = {**paid, currency: fee}
        self.filled, self.filled_value = filled, self.filled_value + fill.quantity * fill.price
        self.account = fill.account
        self.venue_order_id = fill.venue_order_id or self.venue_order_id
        self.resting = "FILLED" if done else "PARTIALLY_FILLED"
        if done or self.status not in ENDED:
            self.status = self.resting


class OrderBook:
    """All orders while a fold runs: the one place where their events are booked."""

    def __init__(self) -> None:
        self.by_id: dict[str, Order] = {}
        self._working: dict[str, set[str]] = {}  # ids by instrument: a split need not search

    def begin(self, event: Event, fact: OrderInitialized) -> Order:
        """Begin an order."""
        order = _begun(event, fact)
        self.place(order)
        return order

    def take(self, event: Event, fact: OrderFact) -> Order:
        """Book an order's own event; BrokenTape when the order never began."""
        order = self.by_id.get(fact.client_order_id)
        if order is None:
            why = f"order {fact.client_order_id} has no order.initialized before it"
            raise BrokenTape(event.seq, f"{why}; fold from the start of the tape")
        was = order.status
        order.take(event)
        if order.status != was:
            self._note(order)
        return order

    def split(self, event: Event, fact: SplitApplied) -> list[Order]:
        """Rescale the account's working orders; return them."""
        changed: list[Order] = []
        for name in sorted(self._working.get(fact.instrument, ())):
            order = self.by_id[name]
            if order.account is None or order.account == fact.account:
                order.rescale(event, fact.ratio)
                changed.append(order)
        return changed

    def place(self, order: Order) -> None:
        """Take over an order folded earlier, instead of one that stands here."""
        self.by_id[order.client_order_id] = order
        self._note(order)

    def forget(self, client_order_id: str) -> None:
        """Let go of an order: it can be placed again."""
        order = self.by_id.pop(client_order_id)
        self._working.get(order.instrument, set[str]()).discard(client_order_id)

    def _note(self, order: Order) -> None:
        working = self._working.get(order.instrument)
        if order.status in TERMINAL:
            if working:
                working.discard(order.client_order_id)
        elif working is None:
            self._working[order.instrument] = {order.client_order_id}
        else:
            working.add(order.client_order_id)


@exactly
def orders(events: Iterable[Event]) -> dict[str, Order]:
    """Return every order by its client_order_id, in the order in which they began."""
    book = OrderBook()
    for event in standing(events):
        fact = event.fact
        if isinstance(fact, OrderInitialized):
            book.begin(event, fact)
        elif isinstance(fact, OrderFact):
            book.take(event, fact)
        elif isinstance(fact, SplitApplied):
            book.split(event, fact)
    return book.by_id


def _begun(event: Event, fact: OrderInitialized) -> Order:
    return Order(
        client_order_id=fact.client_order_id,
        instrument=fact.instrument,
        strategy=fact.strategy,
        side=fact.side,
        type=fact.type,
        time_in_force=fact.time_in_force,
        quantity=fact.quantity,
        ts_init=event.ts_event,
        ts_last=event.ts_event,
        seqs=(event.seq,),
        price=fact.price,
        trigger_price=fact.trigger_price,
    )
