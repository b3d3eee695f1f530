"""What the door tells: one thing said of one order, before any dialect is chosen.

An `Entry` is an order as the door has told of it so far; a `Told` is the next thing, with the state
that it leads to. Both are kept in the door's log, so a killed door knows what it has said.

Units    as in the ports; `ts` is the venue's time in ns UTC.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from onetape.run.ports import CancelOrder, ModifyOrder, NewOrder, Side
from onetape_fix.door.words import CLOSED

ZERO = Decimal(0)
Numbers = tuple[Decimal, Decimal]


class Request(msgspec.Struct):
    """A message about an order: `kind` is D, G or F, `id` its ClOrdID, `seq` its MsgSeqNum."""

    kind: str
    id: str
    session: str
    seq: int
    orig: str = ""
    quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    done: bool = False


class Entry(msgspec.Struct):
    """An order as the door knows it. `id` is the world's, `client_id` the ClOrdID that counts now.

    `session` is "" where the order did not come by FIX.
    """

    id: str
    session: str
    client_id: str
    account: str
    instrument: str
    side: Side
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    expire_time: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    venue_order_id: str = ""
    status: str = "NEW"
    list_id: str = ""
    day: int = 0  # days since 1970 of its coming
    executions: dict[str, Numbers] = msgspec.field(default_factory=dict[str, Numbers])
    requests: list[Request] = msgspec.field(default_factory=list[Request])

    @property
    def filled(self) -> Decimal:
        """What its executions come to."""
        return sum((quantity for quantity, _ in self.executions.values()), ZERO)

    @property
    def average(self) -> Decimal:
        """Their average price; 0 where there is none."""
        filled = self.filled
        if not filled:
            return ZERO
        return sum((q * p for q, p in self.executions.values()), ZERO) / filled

    @property
    def closed(self) -> bool:
        """Whether nothing of it works any more."""
        return self.status in CLOSED

    @property
    def leaves(self) -> Decimal:
        """What of it still works."""
        return ZERO if self.closed else self.quantity - self.filled

    def new_order(self) -> NewOrder:
        """Return the order as the world is told of it."""
        return NewOrder(
            self.id, self.account, self.instrument, self.side, self.type, self.quantity,
            self.time_in_force, self.price, self.trigger_price, self.expire_time, self.post_only,
            self.reduce_only,
        )  # fmt: skip

    def modification(self, request: Request) -> ModifyOrder:
        """Return new terms of it as the world is told of them."""
        terms = (request.quantity, request.price, request.trigger_price)
        return ModifyOrder(self.id, self.venue_order_id or None, self.instrument, *terms)

    def cancelation(self) -> CancelOrder:
        """Return its cancel as the world is told of it."""
        return CancelOrder(self.id, self.venue_order_id or None, self.instrument)

    def pending(self, kind: str) -> Request | None:
        """Return its oldest request of a kind that has no answer yet."""
        return next((r for r in self.requests if r.kind == kind and not r.done), None)


class Order(msgspec.Struct, frozen=True):
    """An order's terms and state at the moment at which something was told."""

    id: str
    account: str
    instrument: str
    side: Side
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal | None
    trigger_price: Decimal | None
    expire_time: int | None
    post_only: bool
    reduce_only: bool
    status: str
    filled: Decimal
    leaves: Decimal
    average: Decimal
    list_id: str = ""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing said. `kind` is a key of `words.EXEC_OF`, or cancel_rejected, replace_rejected.

    `owner` is the session that the order came by, `asker` the one whose request is answered.
    """

    number: int
    kind: str
    exec_id: str
    owner: str
    asker: str
    client_id: str
    orig: str
    venue_order_id: str
    ts: int
    order: Order
    text: str = ""
    trade_id: str = ""
    last: Numbers | None = None
    commission: Decimal | None = None
    currency: str = ""
    liquidity: str = ""
    code: str = ""  # 103 or 102, where the reason has one


def order_of(entry: Entry) -> Order:
    """Return an entry's terms and state as they are now."""
    return Order(
        entry.id, entry.account, entry.instrument, entry.side, entry.type, entry.time_in_force,
        entry.quantity, entry.price, entry.trigger_price, entry.expire_time, entry.post_only,
        entry.reduce_only, entry.status, entry.filled, entry.leaves, entry.average, entry.list_id,
    )  # fmt: skip
