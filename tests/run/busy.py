"""A strategy that does a little of everything, and datasets that share their times."""

from __future__ import annotations

from typing import Any

import onetape as ot

from .hand import daily, days, quotes, trades


class Busy(ot.Strategy):
    """Trades by what it sees, on every row, with every kind of order and a timer."""

    size = ot.param(3)

    def on_start(self) -> None:
        self.n = 0
        self.mean = self.sma(3, on=self.instruments[0])
        self.clock.set_timer_ns("check", 7_000_000_000_000, None, None, self.check)

    def check(self, event: Any) -> None:
        self.signal("timer", event.ts_event % 97, instrument=self.instruments[0])
        if self.n % 4 == 1:
            self.target(0, instrument=self.instruments[0], why="timer")

    def row(self, row: Any) -> None:
        self.n += 1
        self.signal("n", self.n)
        name = self.instruments[self.n % len(self.instruments)]
        if self.n % 3 == 0:
            self.target(self.size * (-1) ** self.n, instrument=name, why=f"row {self.n}")
        if self.n % 5 == 0:
            self.buy(1, limit=99, instrument=name)
        if self.n % 7 == 0:
            self.sell(1, stop=98, instrument=name)
        if self.n % 8 == 0:
            self.bracket("buy", 2, stop_loss=90, take_profit=130, instrument=name)
        if self.n % 11 == 0:
            self.cancel(instrument=name)

    on_bar = on_quote = on_trade = row

    def on_order_filled(self, event: Any) -> None:
        self.signal("held", float(self.position(str(event.instrument_id))))

    def on_stop(self) -> None:
        self.close(self.instruments[0], why="end")


def prices(count: int, seed: int) -> list[tuple[float, float, float, float]]:
    """Return a wandering market of bars, whole prices near 100."""
    state, out, last = seed, [], 100
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2**31
        opened = last + state // 7 % 5 - 2
        last = max(80, min(120, opened + state // 1009 % 9 - 4))
        out.append((opened, max(opened, last) + state // 77 % 3, min(opened, last) - 2, last))
    return out


def bars(count: int, seed: int = 1, name: str = "AAA.XNAS", skip: int = 0) -> Any:
    """Return daily bars; with `skip`, each such day is left out."""
    on = [d for at, d in enumerate(days(count * 2)) if not skip or at % skip][:count]
    return daily(prices(count, seed), name, on)


def ticks(count: int, seed: int = 1, name: str = "AAA.XNAS", every: float = 600) -> Any:
    """Return quotes `every` seconds."""
    rows = [
        (at * every, p[2], p[2] + 1, 1 + at % 5, 2 + at % 3)
        for at, p in enumerate(prices(count, seed))
    ]
    return quotes(rows, name)


def prints(count: int, seed: int = 1, name: str = "CCC.XNAS", every: float = 600) -> Any:
    """Return trades `every` seconds."""
    return trades([(at * every, p[3], 5) for at, p in enumerate(prices(count, seed))], name)


def data(kind: str, count: int = 40) -> list[Any]:
    """Return the datasets of a case by name."""
    cases = {
        "bars": lambda: [bars(count)],
        "quotes": lambda: [ticks(count)],
        "two bars": lambda: [bars(count), bars(count, 2, "BBB.XNAS", skip=3)],
        "mixed": lambda: [
            ticks(count),
            prints(count),
            bars(max(2, count // 20), 3, "BBB.XNAS"),
            ticks(count, 4, "DDD.XNAS"),
        ],
    }
    return cases[kind]()
