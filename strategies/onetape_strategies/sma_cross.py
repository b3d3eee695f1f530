"""SMA cross: long while the fast average is above the slow one, short while below."""

from __future__ import annotations

from typing import Any

import onetape as ot


class SmaCross(ot.Strategy):
    """Turn at each crossing of two simple moving averages; holds +/- `size` units."""

    fast = ot.param(10, lo=2, hi=500)
    slow = ot.param(20, lo=3, hi=1000)
    size = ot.param(10, lo=1)

    def on_start(self) -> None:
        self.lines = {
            name: (self.sma(self.fast, on=name), self.sma(self.slow, on=name))
            for name in self.instruments
        }

    def on_bar(self, bar: Any) -> None:
        fast, slow = self.lines[self.instrument]
        if fast.crossed_above(slow):
            self.target(+self.size, why="fast over slow")
        elif fast.crossed_below(slow):
            self.target(-self.size, why="fast under slow")
