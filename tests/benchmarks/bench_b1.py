"""B1: SMA 20/50 cross, long or short 10 shares, of 50 shares over 2,520 daily bars, one account.

    python tests/benchmarks/bench_b1.py [rounds] [small] [nopeers]

All trade at the close of the bar that was handled, but for `onetape next_open`. Averages of whole
cents are equal or at least 1e-4 apart; a tie, which floats would break at random, counts as short.
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
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model import BarType, InstrumentId, OrderSide, Quantity
from nautilus_trader.trading import Strategy as EngineStrategy

import onetape as ot

FAST, SLOW, SIZE, TIE = 20, 50, 10, 1e-6


class Cross(ot.Strategy):
    """Ours: a new target when an instrument's averages change places."""

    def on_start(self) -> None:
        self.lines = {
            name: (self.sma(FAST, on=name), self.sma(SLOW, on=name)) for name in self.instruments
        }
        self.wanted = dict.fromkeys(self.instruments, 0)

    def on_bar(self, bar: Any) -> None:
        name = self.instrument
        fast, slow = self.lines[name]
        if slow.value is None:
            return
        wanted = SIZE if fast.value - slow.value > TIE else -SIZE
        if wanted != self.wanted[name]:
            self.wanted[name] = wanted
            self.target(wanted)


class Plain(EngineStrategy):
    """The engine's: the same with what the engine gives."""

    names: tuple[str, ...] = ()

    def on_start(self) -> None:
        self.lines: dict[Any, Any] = {}
        self.wanted: dict[Any, int] = {}
        for name in self.names:
            key = InstrumentId.from_str(name)
            bars = BarType.from_str(f"{name}-1-DAY-LAST-EXTERNAL")
            lines = SimpleMovingAverage(FAST), SimpleMovingAverage(SLOW)
            for line in lines:
                self.register_indicator_for_bars(bars, line)
            self.subscribe_bars(bars)
            self.lines[key], self.wanted[key] = lines, 0

    def on_bar(self, bar: Any) -> None:
        key = bar.bar_type.instrument_id
        fast, slow = self.lines[key]
        if not slow.initialized:
            return
        wanted = SIZE if fast.value - slow.value > TIE else -SIZE
        gap = wanted - self.wanted[key]
        if gap:
            self.wanted[key] = wanted
            side = OrderSide.BUY if gap > 0 else OrderSide.SELL
            size = Quantity.from_int(abs(gap))
            self.submit_order(self.order_factory.market(key, side, size))


def _frames(small: bool) -> dict[str, Any]:
    return series.daily(5, 400) if small else series.daily(50, 2_520)


def _data(small: bool) -> tuple[list[ot.Dataset], dict[str, Any]]:
    frames = _frames(small)
    last = {name: frame["close"][-1] for name, frame in frames.items()}
    return [series.dataset(name, frame, "1-DAY") for name, frame in frames.items()], last


def _ours(strategy: Any, fill: str) -> Any:
    return lambda small: sides.ours(strategy, *_data(small), fill=fill)


def _engine(small: bool) -> Work:
    data, last = _data(small)
    Plain.names = tuple(last)
    return sides.engine(Plain, data, last)


def _peer(make: Any) -> Any:
    return lambda small: make(_frames(small), "sma", FAST, SLOW, SIZE)


CONTESTANTS = [
    Contestant(OURS, _ours(Cross, "this_close")),
    Contestant(ENGINE, _engine),
    Contestant(
        "onetape next_open",
        _ours(Cross, "next_open"),
        like="onetape next_open",
        note="twice the rows: a quote at each bar's open",
    ),
    Contestant(
        "backtesting.py",
        _peer(peers.backtesting_py),
        peer=True,
        note="knows one instrument: a book of its own for each, gains summed",
    ),
    Contestant("backtrader", _peer(peers.backtrader), peer=True),
    Contestant("vectorbt", _peer(peers.vectorbt), peer=True, note="vectorised, compiled before"),
]


def run(rounds: int = 3, peers: bool = True, small: bool = False) -> dict[str, Any]:
    """Return the figures of `rounds` rounds; `small` is a smoke run."""
    return contest(__file__, CONTESTANTS, rounds, peers, small)


if __name__ == "__main__":
    command_line(run)
