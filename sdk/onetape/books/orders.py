"""Orders: what became of each order, folded from its events.

Status    by the table in `lifecycle`: what races make of an order, which events are odd, and that
          an order is FILLED when something is filled and nothing is left.
Odd       an event that the table does not expect, an execution beyond the order's quantity: booked
          as it says, and listed in `oddities`. Nothing that a venue says is refused or dropped.
External  an order whose events come without its beginning was made elsewhere. Its `type` says
          EXTERNAL; `side` is "" until a fill tells it; its quantity is what is known of it, from
          its updates and fills. A beginning that comes later gives it its terms.
Voids     a voided fill is as if it had never been; the void stays among the order's events. An
          external order of which nothing but voids is left is CANCELED.
Repeats   an execution that is told again while it stands says nothing new and is left out.
Splits    a working order rescales: quantities x ratio, prices / ratio, value unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from onetape.books.exact import ZERO, exactly
from onetape.books.lifecycle import BACK, MOVES, TERMINAL, rested, settled
from onetape.errors import BrokenTape
from onetape.tape import kinds
from onetape.tape.event import Event
from onetape.tape.kinds import (
    OrderFact,
    OrderFilled,
    OrderInitialized,
    OrderUpdated,
    OrderVoided,
    SplitApplied,
)

EXTERNAL = "EXTERNAL"
TOLD: dict[type, tuple[str, ...]] = {  # what an event tells of its order, when it says it
    kinds.OrderSubmitted: ("account",),
    kinds.OrderAccepted: ("account", "venue_order_id"),
    kinds.OrderDenied: ("reason",),
    kinds.OrderRejected: ("reason",),
    kinds.OrderModifyRejected: ("reason",),
    kinds.OrderCancelRejected: ("reason",),
    kinds.OrderVoided: ("reason",),
}


class Oddity(NamedTuple):
    """An event that the order's state did not expect, and why."""

    seq: int
    why: str


class Order(Struct, gc=False):
    """One order once the event at `seqs[-1]` is booked."""

    client_order_id: str
    instrument: str
    strategy: str
    side: str  # BUY or SELL; "" while an external order has not told it
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
    oddities: tuple[Oddity, ...] = ()  # by this fold; tables keep them as findings

    @property
    def is_open(self) -> bool:
        return self.status not in TERMINAL

    @property
    def external(self) -> bool:
        """Whether its beginning is not known: it was made by somebody else."""
        return self.type == EXTERNAL

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
        was = self.status
        move = MOVES[was][kind]  # pyright: ignore[reportArgumentType]
        more = kind is OrderFilled and self._fill(event.seq, fact)  # pyright: ignore
        if kind is OrderUpdated:
            self._update(fact)  # pyright: ignore[reportArgumentType]
        elif kind is OrderInitialized:
            self._begin(fact)  # pyright: ignore[reportArgumentType]
        elif kind in TOLD:
            self._told(fact)
        if not move.legal and not more and not self.external:
            self._odd(event.seq, f"{event.kind} while {was}")
        status = self.resting if move.to == BACK else move.to
        status = self.status = settled(status, self.filled, self.quantity)
        self.resting = rested(self.resting, status, fact)  # pyright: ignore[reportArgumentType]
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
        for name in TOLD[type(fact)]:
            value = getattr(fact, name)
            if value:
                setattr(self, name, value)

    def _odd(self, seq: int, why: str) -> None:
        self.oddities = (*self.oddities, Oddity(seq, f"order {self.client_order_id}: {why}"))

    def _begin(self, fact: OrderInitialized) -> None:
        """Take the terms of a beginning that came after other events; those that stand rule."""
        if not self.external:
            return
        self.strategy, self.side, self.type = fact.strategy, fact.side, fact.type
        self.time_in_force, self.quantity = fact.time_in_force, fact.quantity
        self.price, self.trigger_price = fact.price, fact.trigger_price

    def _update(self, fact: OrderUpdated) -> None:
        self.quantity = max(fact.quantity, self.filled) if self.external else fact.quantity
        if fact.price is not None:
            self.price = fact.price
        if fact.trigger_price is not None:
            self.trigger_price = fact.trigger_price

    def _fill(self, seq: int, fill: OrderFilled) -> bool:
        """Count an execution; say whether more is filled now than was wanted."""
        filled = self.filled + fill.quantity
        currency, paid = fill.commission_currency, self.commission
        fee = paid.get(currency, ZERO) + fill.commission
        self.commission = {**paid, currency: fee}
        self.filled, self.filled_value = filled, self.filled_value + fill.quantity * fill.price
        self.account = fill.account
        self.venue_order_id = fill.venue_order_id or self.venue_order_id
        if self.external:
            self.side = self.side or fill.side
            self.quantity = max(self.quantity, filled)
            return False
        if filled <= self.quantity:
            return False
        over = f"trade {fill.trade_id} fills {filled - self.quantity} more than"
        self._odd(seq, f"{over} the {self.quantity} wanted")
        return True


class OrderBook:
    """All orders while a fold runs: the one place where their events are booked."""

    def __init__(self) -> None:
        self.by_id: dict[str, Order] = {}
        self._working: dict[str, set[str]] = {}  # ids by instrument: a split need not search

    def begin(self, event: Event, fact: OrderInitialized) -> Order:
        """Begin an order; one that is there already takes it as one of its events."""
        known = self.by_id.get(fact.client_order_id)
        if known is None:
            order = _begun(event, fact)
        else:
            order = copy(known)
            order.take(event)
        self.place(order)
        return order

    def take(self, event: Event, fact: OrderFact) -> Order:
        """Book an order's own event; an order that never began is taken as an external one."""
        order = self.by_id.get(fact.client_order_id)
        if order is None:
            order = _found(event, fact)
            order.take(event)
            self.place(order)
            return order
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
    """Return every order by its client_order_id, in the order in which they began.

    Raises BrokenTape when `seq` does not rise.
    """
    book = OrderBook()
    for event in _told(events):
        fact = event.fact
        if isinstance(fact, OrderInitialized):
            book.begin(event, fact)
        elif isinstance(fact, OrderFact):
            book.take(event, fact)
        elif isinstance(fact, SplitApplied):
            book.split(event, fact)
    return book.by_id


def _told(events: Iterable[Event]) -> list[Event]:
    """Return the events without voided fills, repeated executions, and voids of what is not there.

    The last two are what tables put aside too, where money could not be told; see `standing`.
    """
    kept: dict[int, Event] = {}
    stands: dict[tuple[str, str], int] = {}
    last = 0
    for event in events:
        seq, fact = event.seq, event.fact
        if seq <= last:
            raise BrokenTape(seq, f"it follows seq {last}; expected rising numbers, each once")
        last = seq
        if isinstance(fact, OrderFilled):
            if stands.setdefault((fact.client_order_id, fact.trade_id), seq) != seq:
                continue
        elif isinstance(fact, OrderVoided):
            gone = stands.pop((fact.client_order_id, fact.trade_id), None)
            if gone is None:
                continue
            del kept[gone]
        kept[seq] = event
    return list(kept.values())


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


def _found(event: Event, fact: OrderFact) -> Order:
    """Return an external order before the first of its events that is known."""
    name, kind = fact.client_order_id, kinds.tag_of(type(fact))
    why = f"order {name} has no order.initialized before its {kind}: taken as an external order"
    return Order(
        client_order_id=name,
        instrument=fact.instrument,
        strategy=fact.strategy,
        side="",
        type=EXTERNAL,
        time_in_force="",
        quantity=ZERO,
        ts_init=event.ts_event,
        ts_last=event.ts_event,
        seqs=(),
        status="CANCELED" if isinstance(fact, OrderVoided) else "INITIALIZED",
        oddities=(Oddity(event.seq, why),),
    )
