"""Strategies that a desk should survive: one throws, one loops for ever, one floods the venue,
and one in whose process the wall clock jumps."""

from __future__ import annotations

import time
from typing import Any

import onetape as ot

from .churn import TICK, Churn

HOUR = 3_600_000_000_000
FLOOD = 10_000


class Throws(Churn):
    """Trades, then raises."""

    def on_quote(self, quote: Any) -> None:
        super().on_quote(quote)
        if self.n == 60:
            raise ValueError("what I wanted was not there")


class Loops(Churn):
    """Trades, then does not give the loop back."""

    def on_quote(self, quote: Any) -> None:
        super().on_quote(quote)
        while self.n >= 60:
            self.n += 1


class Floods(ot.Strategy):
    """Sends ten thousand orders at its first quote."""

    def on_start(self) -> None:
        self.sent = False

    def on_quote(self, quote: Any) -> None:
        if self.sent:
            return
        self.sent = True
        price = quote.bid_price.as_decimal() - 5
        for number in range(FLOOD):  # each with other terms: none is another's repeat
            self.buy(1 + number % 100, limit=price - number // 100 * TICK)


class Jumps(Churn):
    """Trades while its machine's clock is set back by an hour."""

    def on_quote(self, quote: Any) -> None:
        super().on_quote(quote)
        if self.n == 40:
            real = time.time_ns
            time.time_ns = lambda: real() - HOUR


class Waits(ot.Strategy):
    """Does nothing by itself: orders come from persons."""

    def on_quote(self, quote: Any) -> None:
        pass
