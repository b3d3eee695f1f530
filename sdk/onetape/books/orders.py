"""Orders: what became of each order, folded from its events.

Status   as the engine names it; a pending update or cancel ends in the status before it.
Voids    a voided fill is as if it had never been; the void stays among the order's events.
Splits   a working order rescales: quantities x ratio, prices / ratio, value unchanged.
Raises   BrokenTape when an order's events come without its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from onetape.books.exact import ZERO, exactly
from onetape.books.standing import voided
from onetape.errors import BrokenTape
from onetape.tape import kinds
from onetape.tape.event import Event
from onetape.tape.kinds import OrderFact, OrderFilled, OrderInitialized, OrderUpdated, SplitApplied

TERMINAL = frozenset({"FILLED", "CANCELED", "EXPIRED", "DENIED", "REJECTED"})
PENDING = frozenset({"PENDING_UPDATE", "PENDING_CANCEL"})
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


class Order(Struct, frozen=True):
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
        fact = event.fact
        seen = {"ts_last": event.ts_event, "seqs": (*self.seqs, event.seq)}
        if isinstance(fact, OrderFilled):
            return replace(self, **seen, **self._filled(fact))
        if isinstance(fact, OrderUpdated):
            price = self.price if fact.price is None else fact.price
            trigger = self.trigger_price if fact.trigger_price is None else fact.trigger_price
            new = {"quantity": fact.quantity, "price": price, "trigger_price": trigger}
            return replace(self, **seen, **new, status=self.resting)
        if isinstance(fact, kinds.OrderModifyRejected | kinds.OrderCancelRejected):
            return replace(self, **seen, status=self.resting, reason=fact.reason)
        status = STATUS.get(type(fact), self.status)
        resting = self.resting if status in PENDING else status
        told = {
            name: getattr(fact, name)
            for name in ("account", "venue_order_id", "reason")
            if getattr(fact, name, None)
        }
        return replace(self, **seen, **told, status=status, resting=resting)

    @exactly
    def split(self, event: Event, ratio: Decimal) -> Order:
        """Return a working order once each unit became `ratio` units."""
        return replace(
            self,
            quantity=self.quantity * ratio,
            filled=self.filled * ratio,
            price=self.price and self.price / ratio,
            trigger_price=self.trigger_price and self.trigger_price / ratio,
            ts_last=event.ts_event,
            seqs=(*self.seqs, event.seq),
        )

    def _filled(self, fill: OrderFilled) -> dict[str, object]:
        filled = self.filled + fill.quantity
        paid = dict(self.commission)
        currency = fill.commission_currency
        paid[currency] = paid.get(currency, ZERO) + fill.commission
        done = filled >= self.quantity
        resting = "FILLED" if done else "PARTIALLY_FILLED"
        ended = self.status in TERMINAL or self.status in PENDING
        return {
            "filled": filled,
            "filled_value": self.filled_value + fill.quantity * fill.price,
            "commission": paid,
            "account": fill.account,
            "venue_order_id": fill.venue_order_id or self.venue_order_id,
            "resting": resting,
            "status": self.status if ended and not done else resting,
        }


def orders(events: Iterable[Event]) -> dict[str, Order]:
    """Return every order by its client_order_id, in the order in which they began."""
    kept = list(events)
    gone = voided(kept)
    book: dict[str, Order] = {}
    working: dict[str, set[str]] = {}  # ids by instrument, so that a split need not search
    for event in kept:
        fact = event.fact
        if event.seq in gone:
            continue
        if isinstance(fact, OrderInitialized):
            book[fact.client_order_id] = _begun(event, fact)
            working.setdefault(fact.instrument, set()).add(fact.client_order_id)
        elif isinstance(fact, OrderFact):
            order = book[fact.client_order_id] = _known(book, event.seq, fact).after(event)
            if not order.is_open:
                working[order.instrument].discard(order.client_order_id)
        elif isinstance(fact, SplitApplied):
            for name in sorted(working.get(fact.instrument, ())):
                if book[name].account in (None, fact.account):
                    book[name] = book[name].split(event, fact.ratio)
    return book


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


def _known(book: dict[str, Order], seq: int, fact: OrderFact) -> Order:
    order = book.get(fact.client_order_id)
    if order is None:
        why = f"order {fact.client_order_id} has no order.initialized before it"
        raise BrokenTape(seq, f"{why}; fold from the start of the tape")
    return order
