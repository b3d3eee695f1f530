"""A busy strategy: on every quote it does something, so that a kill always meets orders on their
way: market orders, limits in and beside the market, new terms, cancels."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from nautilus_trader.model import ClientOrderId, Price

import onetape as ot

TICK = Decimal("0.01")


class Churn(ot.Strategy):
    """Trades without end and to no end, within `most` units either way."""

    most = ot.param(40)

    def on_start(self) -> None:
        self.n = 0
        self.resting: list[str] = []

    def on_quote(self, quote: Any) -> None:
        self.n += 1
        self.resting = [name for name in self.resting if not self.over(name)]
        bid, ask = quote.bid_price.as_decimal(), quote.ask_price.as_decimal()
        long = self.position() > 0
        if self.n % 3 == 0:
            (self.sell if long else self.buy)(1 + self.n % 4, why=f"row {self.n}")
        if self.n % 4 == 1:  # now in the market, now beside it, now far away
            off = (self.n % 5 - 1) * TICK
            made = (
                self.buy(2, limit=bid - off) if self.n % 8 == 1 else self.sell(2, limit=ask + off)
            )
            self.resting.append(made)
        if self.n % 5 == 0:
            self.anew(bid, ask)
        if len(self.resting) > 6:
            self.cancel(self.resting.pop(0))

    def over(self, name: str) -> bool:
        """Tell whether an order has ended, or was denied before it was one."""
        order = self.cache.order(ClientOrderId(name))
        return order is None or order.is_closed

    def anew(self, bid: Decimal, ask: Decimal) -> None:
        """Give the youngest order that works new terms."""
        for name in reversed(self.resting):
            order = self.cache.order(ClientOrderId(name))
            if order is not None and order.is_open:
                price = bid - 2 * TICK if order.is_buy else ask + 2 * TICK
                if price != order.price.as_decimal():
                    self.modify_order(order.client_order_id, price=Price.from_str(f"{price:.2f}"))
                return
