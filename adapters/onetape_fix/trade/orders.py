"""The orders of one order session, as its wire has told of them. No clock, no sockets.

An order is called by our id (`name`, "" where somebody else sent it), by every ClOrdID of its
chain, and by the venue's id. What it filled is the sum of its executions here; CumQty of a report
is checked against it and never booked from.

Filled    cum + before = executions + unseen: `before` was filled under an earlier id of a chain
          made of cancels and new orders, `unseen` before anybody here listened.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

import msgspec

from onetape.run.ports import (
    Canceled,
    Expired,
    ModifyOrder,
    NewOrder,
    OrderStatus,
    Rejected,
    Side,
)
from onetape_fix.trade.words import CLOSED

ZERO = Decimal(0)
REMEMBERED = 20_000  # orders that ended
Kind = Literal["modify", "cancel", "replace", "leg"]


class Execution(msgspec.Struct):
    """One execution as it stands; a busted one has no quantity.

    `said`: it was reported, and not only answered to a question.
    """

    trade_id: str
    quantity: Decimal
    price: Decimal
    ts: int
    said: bool = True


class Ask(msgspec.Struct):
    """A request under way. "replace" is a cancel that a new order follows, "leg" that order.

    `name` is what the command called the order; `wire` the request's ClOrdID.
    """

    wire: str
    kind: Kind
    name: str
    instrument: str
    order: Order | None = None
    change: ModifyOrder | None = None


class Order(msgspec.Struct, kw_only=True, eq=False):
    """One order; `status` is "SENT" until the venue said something."""

    name: str
    wire: str
    account: str
    instrument: str
    side: Side = "BUY"
    type: str = "MARKET"
    force: str = "GTC"
    quantity: Decimal = ZERO
    price: Decimal | None = None
    trigger: Decimal | None = None
    expire: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    venue_id: str = ""
    status: str = "SENT"
    trades: dict[str, Execution] = msgspec.field(default_factory=dict[str, Execution])
    booked: Decimal = ZERO  # what its executions here come to; see `put`
    unseen: Decimal = ZERO
    before: Decimal = ZERO
    cum: Decimal = ZERO
    asks: dict[str, Ask] = msgspec.field(default_factory=dict[str, Ask])
    chain: list[str] = msgspec.field(default_factory=list[str])
    ts: int = 0
    reason: str = ""
    accepted: bool = False
    triggered: bool = False
    doubted: bool = False

    def put(self, trade: Execution) -> None:
        """Book an execution, or its new terms."""
        old = self.trades.get(trade.trade_id)
        self.booked += trade.quantity - (old.quantity if old is not None else ZERO)
        self.trades[trade.trade_id] = trade

    @property
    def filled(self) -> Decimal:
        """What is filled of it, as far as anybody here knows."""
        return self.booked + self.unseen

    @property
    def told(self) -> Decimal:
        """What the venue says is filled of it."""
        return self.cum + self.before

    @property
    def called(self) -> str:
        """What it is called in words for people."""
        return f"order {self.name or self.venue_id or self.wire}"

    @property
    def closed(self) -> bool:
        """Whether nothing of it works any more."""
        return self.status in CLOSED

    @property
    def last_wire(self) -> str:
        """The id that a further request follows: the last one that was not refused."""
        for wire, ask in reversed(self.asks.items()):
            if ask.kind == "modify":
                return wire
        return self.wire

    def wanted(self) -> tuple[Decimal, Decimal | None, Decimal | None]:
        """Return quantity, price and trigger as they will be once all that is asked for holds."""
        quantity, price, trigger = self.quantity, self.price, self.trigger
        for ask in self.asks.values():
            if ask.kind == "modify" and ask.change is not None:
                change = ask.change
                quantity = quantity if change.quantity is None else change.quantity
                price = price if change.price is None else change.price
                trigger = trigger if change.trigger_price is None else change.trigger_price
        return quantity, price, trigger

    def outgrown(self, wire: str, orig: str) -> bool:
        """Whether these are ids of an order before this one in a chain of cancels and orders."""
        return bool(self.before) and wire in self.chain and self.wire not in (wire, orig)

    def pending(self, *kinds: Kind) -> Ask | None:
        """Return its oldest request of these kinds."""
        return next((ask for ask in self.asks.values() if ask.kind in kinds), None)

    def status_now(self) -> OrderStatus:
        """Return it as the ports tell of an order."""
        status = self.status if self.status != "SENT" else "ACCEPTED"
        if status == "ACCEPTED" and self.filled:
            status = "PARTIALLY_FILLED"
        return OrderStatus(
            self.name, self.venue_id, self.account, self.instrument, self.side, self.type, status,
            self.quantity, self.filled, self.force, self.price, self.trigger,
            ts_event=self.ts, reason=self.reason,
        )  # fmt: skip


def order_of(new: NewOrder, wire: str) -> Order:
    """Return the order that a command begins."""
    return Order(
        name=new.client_order_id, wire=wire, account=new.account, instrument=new.instrument,
        side=new.side, type=new.type, force=new.time_in_force, quantity=new.quantity,
        price=new.price, trigger=new.trigger_price, expire=new.expire_time,
        post_only=new.post_only, reduce_only=new.reduce_only, chain=[wire],
    )  # fmt: skip


class OrderBook:
    """All orders of one session, found by any of their names."""

    def __init__(self) -> None:
        self._named: dict[str, Order] = {}
        self._wires: dict[str, Order] = {}
        self._venues: dict[str, Order] = {}
        self._ended: dict[int, Order] = {}
        self.asks: dict[str, Ask] = {}

    def __iter__(self) -> Iterator[Order]:
        """All orders, each once."""
        seen: dict[int, Order] = {}
        for order in (*self._named.values(), *self._venues.values(), *self._wires.values()):
            seen.setdefault(id(order), order)
        return iter(seen.values())

    def add(self, order: Order) -> Order:
        """Take an order in."""
        if order.name:
            self._named[order.name] = order
        for wire in (order.wire, *order.chain):
            if wire:
                self._wires[wire] = order
        self.at_venue(order, order.venue_id)
        return order

    def at_venue(self, order: Order, venue_id: str) -> None:
        """Learn what the venue calls an order."""
        if venue_id and venue_id != "NONE":
            order.venue_id = venue_id
            self._venues[venue_id] = order

    def drop(self, order: Order) -> None:
        """Forget an order that never left."""
        self._named.pop(order.name, None)
        for wire in order.chain:
            self._wires.pop(wire, None)

    def find(self, name: str, venue_id: str | None = None) -> Order | None:
        """Return the order of a command."""
        return self._named.get(name) or self._venues.get(venue_id or "")

    def on_wire(self, *wires: str | None) -> Order | None:
        """Return the order that one of these ClOrdIDs stands for."""
        for wire in wires:
            order = self._wires.get(wire or "")
            if order is not None:
                return order
        return None

    def at(self, venue_id: str | None) -> Order | None:
        """Return the order that the venue calls so."""
        return self._venues.get(venue_id or "")

    def ask(self, ask: Ask) -> Ask:
        """Take a request in."""
        self.asks[ask.wire] = ask
        if ask.order is not None:
            ask.order.asks[ask.wire] = ask
            ask.order.chain.append(ask.wire)
            self._wires[ask.wire] = ask.order
        return ask

    def answered(self, wire: str | None) -> Ask | None:
        """Take a request out, and return it."""
        ask = self.asks.pop(wire or "", None)
        if ask is not None and ask.order is not None:
            ask.order.asks.pop(ask.wire, None)
        return ask

    def unasked(self, wire: str) -> None:
        """Forget a request that never left."""
        ask = self.answered(wire)
        if ask is not None and ask.order is not None:
            ask.order.chain.remove(wire)
            self._wires.pop(wire, None)

    def working(self, account: str | None = None) -> list[Order]:
        """Return the orders that have not ended."""
        return [o for o in self if not o.closed and account in (None, "", o.account)]

    def over(
        self, order: Order, status: str, reason: str, ts: int
    ) -> list[Canceled | Expired | Rejected]:
        """End an order as an answer of the venue says; return what tells so. A filled one ends by
        its executions."""
        if order.closed or status not in ("CANCELED", "EXPIRED", "REJECTED"):
            return []
        order.status, order.reason = status, reason
        self.ended(order)
        head = (order.name, order.venue_id, order.instrument, ts)
        if status == "EXPIRED":
            return [Expired(*head)]
        was = Canceled if status == "CANCELED" or order.filled else Rejected
        return [was(*head, reason)]

    def ended(self, order: Order) -> None:
        """Remember an order that ended for a while: late fills and repeats come after it."""
        self._ended[id(order)] = order
        while len(self._ended) > REMEMBERED:
            self._forget(self._ended.pop(next(iter(self._ended))))

    def _forget(self, order: Order) -> None:
        self._named.pop(order.name, None)
        self._venues.pop(order.venue_id, None)
        for wire in (order.wire, *order.chain):
            self._wires.pop(wire, None)
            self.asks.pop(wire, None)
