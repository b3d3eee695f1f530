"""Strategies whose orders stay where they are: many limits far from the market; a bracket."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import onetape as ot

from .churn import TICK


class Rests(ot.Strategy):
    """Places so many bids far below the market at its first quote, and then waits."""

    many = ot.param(60)

    def on_start(self) -> None:
        self.sent = False

    def on_quote(self, quote: Any) -> None:
        if self.sent:
            return
        self.sent = True
        price = quote.bid_price.as_decimal() - Decimal(20)
        for number in range(self.many):
            self.buy(1 + number % 5, limit=price - number * TICK)


class Waits(ot.Strategy):
    """Does nothing by itself: orders come from persons."""

    def on_quote(self, quote: Any) -> None:
        pass


class Brackets(ot.Strategy):
    """Enters once with a stop far below and a target that the market is at already."""

    def on_start(self) -> None:
        self.sent = False

    def on_quote(self, quote: Any) -> None:
        if self.sent:
            return
        self.sent = True
        bid = quote.bid_price.as_decimal()
        self.bracket("BUY", 2, stop_loss=bid - 20, take_profit=bid + TICK)
