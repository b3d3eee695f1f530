"""B3: 1,000,000 quotes and a light handler, which turns +/-10 shares every 1,000 quotes.

python tests/benchmarks/bench_b3.py [rounds] [small]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import series
import sides
from measure import ENGINE, OURS, Contestant, Work, command_line, contest
from nautilus_trader.model import InstrumentId, OrderSide, Quantity
from nautilus_trader.trading import Strategy as EngineStrategy

import onetape as ot

EVERY, SIZE = 1_000, 10
NAME = "AAA.SIM"
ID = InstrumentId.from_str(NAME)


class Flip(ot.Strategy):
    """Ours."""

    def on_start(self) -> None:
        self.seen, self.wanted = 0, -SIZE

    def on_quote(self, quote: Any) -> None:
        self.seen += 1
        if self.seen % EVERY == 0:
            self.wanted = -self.wanted
            self.target(self.wanted)


class Plain(EngineStrategy):
    """The engine's."""

    def on_start(self) -> None:
        self.seen, self.wanted, self.held = 0, -SIZE, 0
        self.subscribe_quotes(ID)

    def on_quote(self, quote: Any) -> None:
        self.seen += 1
        if self.seen % EVERY == 0:
            self.wanted = -self.wanted
            gap, self.held = self.wanted - self.held, self.wanted
            side = OrderSide.BUY if gap > 0 else OrderSide.SELL
            self.submit_order(self.order_factory.market(ID, side, Quantity.from_int(abs(gap))))


def _data(small: bool) -> tuple[list[ot.Dataset], dict[str, Any]]:
    frame = series.quotes(3, 20_000 if small else 1_000_000)
    return [series.dataset(NAME, frame)], {NAME: frame["bid"][-1]}


def _ours(strategy: Any) -> Any:
    return lambda small: sides.ours(strategy, *_data(small))


def _engine(small: bool) -> Work:
    return sides.engine(Plain, *_data(small))


def _engine_whole(small: bool) -> Work:
    return sides.engine(Plain, *_data(small), chunk=sides.WHOLE)


CONTESTANTS = [
    Contestant(OURS, _ours(Flip)),
    Contestant(ENGINE, _engine),
    Contestant("engine, all rows at once", _engine_whole),
    Contestant(
        "engine strategy in onetape",
        _ours(Plain),
        note="the engine's plain strategy, run and recorded by ours",
    ),
]


def run(rounds: int = 3, peers: bool = True, small: bool = False) -> dict[str, Any]:
    """Return the figures of `rounds` rounds; `small` is a smoke run."""
    return contest(__file__, CONTESTANTS, rounds, peers, small)


if __name__ == "__main__":
    command_line(run)
