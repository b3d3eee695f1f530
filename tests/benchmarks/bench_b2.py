"""B2: EMA 10/20 reversal of +/-10 shares over 1,000,000 one-minute bars of one share.

    python tests/benchmarks/bench_b2.py [rounds] [small] [nopeers]

All trade at the close of the bar that was handled (`fill="this_close"`, the engine's own way),
but for `onetape next_open`, which shows what our default convention costs: a quote is put before
each bar and orders wait for it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import peers
import series
import sides
from measure import ENGINE, OURS, Contestant, Work, command_line, contest
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model import BarType, OrderSide, Quantity
from nautilus_trader.trading import Strategy as EngineStrategy

import onetape as ot

FAST, SLOW, SIZE = 10, 20, 10
NAME = "AAA.SIM"
BARS = BarType.from_str(f"{NAME}-1-MINUTE-LAST-EXTERNAL")


class Reversal(ot.Strategy):
    """Ours: a new target when the averages change places."""

    def on_start(self) -> None:
        self.fast, self.slow = self.ema(FAST), self.ema(SLOW)
        self.wanted = 0

    def on_bar(self, bar: Any) -> None:
        if self.slow.value is None:
            return
        wanted = SIZE if self.fast.value > self.slow.value else -SIZE
        if wanted != self.wanted:
            self.wanted = wanted
            self.target(wanted)


class EveryBar(ot.Strategy):
    """Ours, written more simply: a target at every bar, which does nothing when it is held."""

    def on_start(self) -> None:
        self.fast, self.slow = self.ema(FAST), self.ema(SLOW)

    def on_bar(self, bar: Any) -> None:
        if self.slow.ready:
            self.target(SIZE if self.fast > self.slow else -SIZE)


class Plain(EngineStrategy):
    """The engine's: the same with what the engine gives, its indicators fed by itself."""

    def on_start(self) -> None:
        self.fast, self.slow = ExponentialMovingAverage(FAST), ExponentialMovingAverage(SLOW)
        self.register_indicator_for_bars(BARS, self.fast)
        self.register_indicator_for_bars(BARS, self.slow)
        self.subscribe_bars(BARS)
        self.wanted = 0

    def on_bar(self, bar: Any) -> None:
        if not self.slow.initialized:
            return
        wanted = SIZE if self.fast.value > self.slow.value else -SIZE
        if wanted != self.wanted:
            gap = wanted - self.wanted
            self.wanted = wanted
            side = OrderSide.BUY if gap > 0 else OrderSide.SELL
            size = Quantity.from_int(abs(gap))
            self.submit_order(self.order_factory.market(bar.bar_type.instrument_id, side, size))


def _rows(small: bool) -> int:
    return 20_000 if small else 1_000_000


def _data(small: bool) -> tuple[list[ot.Dataset], dict[str, Any]]:
    frame = series.minutes(_rows(small))
    return [series.dataset(NAME, frame, "1-MINUTE")], {NAME: frame["close"][-1]}


def _ours(strategy: Any, fill: str) -> Any:
    return lambda small: sides.ours(strategy, *_data(small), fill=fill)


def _engine(small: bool) -> Work:
    return sides.engine(Plain, *_data(small))


def _engine_whole(small: bool) -> Work:
    return sides.engine(Plain, *_data(small), chunk=sides.WHOLE)


def _peer(make: Any) -> Any:
    return lambda small: make({NAME: series.minutes(_rows(small))}, "ema", FAST, SLOW, SIZE)


CONTESTANTS = [
    Contestant(OURS, _ours(Reversal, "this_close")),
    Contestant(ENGINE, _engine),
    Contestant("engine, all rows at once", _engine_whole),
    Contestant(
        "engine strategy in onetape",
        _ours(Plain, "this_close"),
        note="the engine's plain strategy, run and recorded by ours",
    ),
    Contestant(
        "onetape, target at every bar",
        _ours(EveryBar, "this_close"),
        note="the shortest way to write it",
    ),
    Contestant(
        "onetape next_open",
        _ours(Reversal, "next_open"),
        like="onetape next_open",
        note="twice the rows: a quote at each bar's open",
    ),
    Contestant("backtesting.py", _peer(peers.backtesting_py), peer=True, rounds=1),
    Contestant("backtrader", _peer(peers.backtrader), peer=True, rounds=1),
    Contestant("vectorbt", _peer(peers.vectorbt), peer=True, note="vectorised, compiled before"),
]


def run(rounds: int = 3, peers: bool = True, small: bool = False) -> dict[str, Any]:
    """Return the figures of `rounds` rounds; `small` is a smoke run."""
    return contest(__file__, CONTESTANTS, rounds, peers, small)


if __name__ == "__main__":
    command_line(run)
