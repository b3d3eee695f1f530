"""Orders as the simulated venue holds them, and the ladders in which they wait.

A ladder is one side of a book: orders by price, at one price in the order of their coming.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from onetape.run.ports import NewOrder, OrderStatus

ZERO = Decimal(0)
MARKETABLE = frozenset(("MARKET", "STOP_MARKET", "MARKET_IF_TOUCHED"))
CONDITIONAL = frozenset(("STOP_MARKET", "STOP_LIMIT", "MARKET_IF_TOUCHED", "LIMIT_IF_TOUCHED"))
TOUCHED = frozenset(("MARKET_IF_TOUCHED", "LIMIT_IF_TOUCHED"))
PRICED = frozenset(("LIMIT", "STOP_LIMIT", "LIMIT_IF_TOUCHED"))
TYPES = frozenset(("MARKET", "LIMIT")) | CONDITIONAL
WORKING = frozenset(("ACCEPTED", "TRIGGERED", "PARTIALLY_FILLED"))


class Order(msgspec.Struct):
    """One order; `place` is its rank in time, `status` as in `ports.OrderStatus`.

    "NEW" is an order that the venue has not said anything about yet.
    """

    new: NewOrder
    venue_order_id: str
    place: int
    quantity: Decimal
    price: Decimal | None
    trigger_price: Decimal | None
    status: str = "NEW"
    filled: Decimal = ZERO
    cost: Decimal = ZERO  # sum of quantity x price over the fills
    triggered: bool = False
    maker: bool = False
    ts: int = 0
    expire_time: int | None = None
    reason: str = ""

    @property
    def id(self) -> str:
        return self.new.client_order_id

    @property
    def buys(self) -> bool:
        return self.new.side == "BUY"

    @property
    def leaves(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def working(self) -> bool:
        return self.status in WORKING

    @property
    def waits_for_trigger(self) -> bool:
        return self.new.type in CONDITIONAL and not self.triggered

    def told(self, offset: int = 0) -> OrderStatus:
        """Return the order as it is reported."""
        new, some = self.new, self.filled > 0
        return OrderStatus(
            client_order_id=new.client_order_id,
            venue_order_id=self.venue_order_id,
            account=new.account,
            instrument=new.instrument,
            side=new.side,
            type=new.type,
            status=self.status,
            quantity=self.quantity,
            filled=self.filled,
            time_in_force=new.time_in_force,
            price=self.price,
            trigger_price=self.trigger_price,
            average_price=self.cost / self.filled if some else None,
            ts_event=self.ts + offset,
            reason=self.reason,
        )


class Ladder:
    """Orders of one side by price, first come first served at each; iteration is best first."""

    def __init__(self, highest_first: bool) -> None:
        self._highest_first = highest_first
        self._prices: list[Decimal] = []  # rising
        self._levels: dict[Decimal, list[Order]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._levels.values()))

    def __bool__(self) -> bool:
        return bool(self._prices)

    def __iter__(self) -> Iterator[Order]:
        for price in reversed(self._prices) if self._highest_first else self._prices:
            yield from self._levels[price]

    @property
    def best(self) -> Decimal | None:
        """The price that is first in line; None when nothing waits."""
        if not self._prices:
            return None
        return self._prices[-1 if self._highest_first else 0]

    def add(self, price: Decimal, order: Order) -> None:
        """Put an order behind the others of its price."""
        level = self._levels.get(price)
        if level is None:
            insort(self._prices, price)
            self._levels[price] = [order]
        else:
            level.append(order)

    def remove(self, price: Decimal, order: Order) -> None:
        """Take an order out; nothing happens where it is not there."""
        level = self._levels.get(price)
        if level is None:
            return
        level[:] = [each for each in level if each is not order]
        if not level:
            del self._levels[price]
            del self._prices[bisect_left(self._prices, price)]
