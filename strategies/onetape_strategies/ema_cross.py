"""EMA cross: own a share of equity while the fast average is above the slow one."""

from __future__ import annotations

from typing import Any

import onetape as ot


class EmaCross(ot.Strategy):
    """Long only: hold `weight` of equity in each instrument while its trend is up."""

    fast = ot.param(20, lo=2, hi=500)
    slow = ot.param(60, lo=3, hi=1000)
    weight = ot.param(0.18, lo=0.0, hi=1.0)

    def on_start(self) -> None:
        self.lines = {
            name: (self.ema(self.fast, on=name), self.ema(self.slow, on=name))
            for name in self.instruments
        }

    def on_bar(self, bar: Any) -> None:
        self._follow()

    def on_quote(self, quote: Any) -> None:
        self._follow()

    def _follow(self) -> None:
        fast, slow = self.lines[self.instrument]
        if fast.crossed_above(slow):
            self.signal("trend", float(fast) / float(slow) - 1)
            self.target(weight=self.weight, why="trend turned up")
        elif fast.crossed_below(slow):
            self.signal("trend", float(fast) / float(slow) - 1)
            self.close(why="trend turned down")
