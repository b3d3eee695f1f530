"""One strategy, two worlds: what a backtest makes of a day's quotes, a live session makes too.

The session trades at the simulated venue, on the same quotes, with no latency in either world.
"""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from run.hand import quotes
from run.live.desk import Desk, Live, again

import onetape as ot
from onetape.tape.recording import Recording
from onetape_strategies.ema_cross import EmaCross


def day(name: str, seed: int, rows: int) -> Any:
    """Return a day of quotes of one share: a walk on the tick grid, around it a spread."""
    draw, mid, out = random.Random(seed), 10_000, []
    for n in range(rows):
        mid += draw.choice((-4, -2, -1, 0, 1, 2, 4))
        spread = draw.choice((1, 2, 3))
        sizes = (draw.choice((50, 100, 400)), draw.choice((50, 100, 400)))
        out.append((n * 30 + draw.random(), mid / 100, (mid + spread) / 100, *sizes))
    return quotes(out, name)


def orders(recording: Recording) -> list[tuple[Any, ...]]:
    """Return (kind, order, side, quantity, price) of each order event; orders are numbered."""
    found: list[tuple[Any, ...]] = []
    known: dict[str, tuple[int, str]] = {}
    for event in recording:
        if event.kind.startswith("order."):
            fact: Any = event.fact
            if event.kind == "order.initialized":
                known[fact.client_order_id] = (len(known), fact.side)
            terms = (getattr(fact, name, None) for name in ("quantity", "price"))
            found.append((event.kind, *known[fact.client_order_id], *terms))
    return found


def by_order(recording: Recording) -> dict[int, list[tuple[Any, ...]]]:
    """Return the same for each order by itself."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for event in orders(recording):
        found.setdefault(event[1], []).append(event)
    return found


def both(strategy: type, datasets: list[Any], **params: Any) -> tuple[Any, Live]:
    """Return a backtest and a live session of one strategy on the same data."""
    desk = Desk(datasets=datasets, cash={"USD": "100000"})
    live = desk.session(strategy(**params))
    run = ot.backtest(strategy(**params), datasets, cash=100_000)
    return run, live


def test_the_ema_cross_does_the_same_in_a_backtest_and_live() -> None:
    datasets = [day("AAA.XNAS", 1, 780), day("BBB.XNAS", 2, 780)]
    run, live = both(EmaCross, datasets, fast=5, slow=20)
    wanted = orders(run.recording)
    assert len(wanted) > 100
    assert orders(live.recording) == wanted
    assert again(live, EmaCross(fast=5, slow=20)) is None


def test_the_ema_cross_ends_with_the_same_money_in_both_worlds() -> None:
    datasets = [day("AAA.XNAS", 3, 300), day("BBB.XNAS", 4, 300)]
    run, live = both(EmaCross, datasets, fast=5, slow=20)
    assert live.equity() == Decimal(str(run.final_equity))


class Everything(ot.Strategy):
    """Brackets, then limits and stops, and cancels of what did not trade.

    In turn: beside a bracket, the engine's own simulated venue makes the exits smaller as soon as
    another order reduces the holding, which no other venue does.
    """

    def on_start(self) -> None:
        self.n = 0

    def on_quote(self, quote: Any) -> None:
        self.n += 1
        mid = Decimal(str(quote.bid_price))
        tenth = Decimal("0.10")
        match self.n % 80:
            case 1 if not self.position():
                self.bracket("buy", 10, stop_loss=mid - tenth, take_profit=mid + tenth)
            case 41:
                self.buy(5, limit=mid - tenth / 2)
            case 45:
                self.sell(5, stop=mid - tenth)
            case 51:
                self.sell(5, limit=mid + tenth / 2)
            case 31 | 71:
                self.cancel()
            case 35 | 75:
                self.close()


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_limits_stops_and_brackets_come_out_alike_order_by_order(seed: int) -> None:
    run, live = both(Everything, [day("AAA.XNAS", seed, 600)])
    wanted = by_order(run.recording)
    assert len(wanted) > 30
    assert {"order.filled", "order.canceled"} <= {e[0] for es in wanted.values() for e in es}
    for order, events in by_order(live.recording).items():
        assert (order, events) == (order, wanted[order])
    assert len(by_order(live.recording)) == len(wanted)
    assert again(live, Everything) is None
