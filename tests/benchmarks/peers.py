"""Other people's tools on the same bars, trading at the close that was seen, without fees.

Each takes the bars by instrument, the kind of average ("sma" or "ema"), its two lengths and the
size of the position, makes its own frames first, and is timed from there to its final equity.
An import that fails makes the contestant "not available", with the reason.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from measure import Outcome, Work
from series import pandas_ohlc

CASH = 10_000_000
TIE = {"sma": 1e-6, "ema": 0.0}  # see bench_b1


def _average(values: Any, kind: str, length: int, least: int) -> Any:
    """Return an average from `least` values on; an EMA starts at the mean of its first `length`."""
    import pandas as pd

    line = pd.Series(values)
    if kind == "sma":
        return line.rolling(length, min_periods=least).mean()
    seeded = line.copy()
    seeded.iloc[: length - 1] = float("nan")
    seeded.iloc[length - 1] = line.iloc[:length].mean()
    smooth = seeded.ewm(span=length, adjust=False).mean()
    smooth.iloc[least - 1 : length - 1] = 0.0
    return smooth


def backtesting_py(frames: Any, kind: str, fast: int, slow: int, size: int) -> Work:
    """backtesting.py: one instrument a book; `trade_on_close` fills at the close seen."""
    import warnings

    from backtesting import Backtest, Strategy

    warnings.simplefilter("ignore")

    def average(values: Any, length: int) -> Any:
        # the library calls `next` from the bar after the first value: so one value early
        return _average(values, kind, length, length - 1)

    class Reversal(Strategy):
        def init(self) -> None:
            self.fast = self.I(average, self.data.Close, fast)
            self.slow = self.I(average, self.data.Close, slow)
            self.wanted = self.sent = 0

        def next(self) -> None:
            wanted = size if self.fast[-1] - self.slow[-1] > TIE[kind] else -size
            gap = wanted - self.wanted
            if gap:
                self.wanted = wanted
                self.sent += 1
                (self.buy if gap > 0 else self.sell)(size=abs(gap))

    data = [pandas_ohlc(f) for f in frames.values()]

    def run() -> list[Any]:
        return [
            Backtest(d, Reversal, cash=CASH, commission=0, trade_on_close=True).run() for d in data
        ]

    def check(done: list[Any]) -> Outcome:
        gains = sum(Decimal(str(round(s["Equity Final [$]"] - CASH, 4))) for s in done)
        return Outcome(sum(s["_strategy"].sent for s in done), CASH + Decimal(gains))

    return Work(run, check)


def backtrader(frames: Any, kind: str, fast: int, slow: int, size: int) -> Work:
    """backtrader with cheat-on-close and its own averages."""
    import warnings

    warnings.simplefilter("ignore")
    import backtrader as bt

    made = bt.ind.SMA if kind == "sma" else bt.ind.EMA

    class Reversal(bt.Strategy):
        def __init__(self) -> None:
            self.pairs = [(d, made(d, period=fast), made(d, period=slow)) for d in self.datas]
            self.wanted = dict.fromkeys(self.datas, 0)
            self.sent = 0

        def next(self) -> None:
            if len(self) < slow:
                return
            for data, quick, late in self.pairs:
                wanted = size if quick[0] - late[0] > TIE[kind] else -size
                gap = wanted - self.wanted[data]
                if gap:
                    self.wanted[data] = wanted
                    self.sent += 1
                    (self.buy if gap > 0 else self.sell)(data=data, size=abs(gap))

    data = [pandas_ohlc(f) for f in frames.values()]

    def run() -> tuple[Any, Any]:
        brain = bt.Cerebro(stdstats=False)
        brain.broker.setcash(CASH)
        brain.broker.set_coc(True)
        for each in data:
            brain.adddata(bt.feeds.PandasData(dataname=each))
        brain.addstrategy(Reversal)
        return brain.run()[0], brain.broker.getvalue()

    def check(done: tuple[Any, Any]) -> Outcome:
        return Outcome(done[0].sent, Decimal(str(round(done[1], 4))))

    return Work(run, check)


def _lines(vbt: Any, close: Any, kind: str, length: int) -> Any:
    """Return vectorbt's own SMA; its EMA starts at the first value, so ours is given instead."""
    if kind == "sma":
        return vbt.MA.run(close, length).ma.to_numpy()
    return close.apply(_average, kind=kind, length=length, least=length).to_numpy()


def vectorbt(frames: Any, kind: str, fast: int, slow: int, size: int) -> Work:
    """vectorbt: target amounts at closes in one group that shares cash; compiled beforehand."""
    import numpy as np
    import pandas as pd
    import vectorbt as vbt

    closes = pd.DataFrame({name: pandas_ohlc(f)["Close"] for name, f in frames.items()})

    def book(close: Any) -> tuple[int, float]:
        quick, late = _lines(vbt, close, kind, fast), _lines(vbt, close, kind, slow)
        wanted = np.where(quick - late > TIE[kind], size, -size).astype(float)
        before = np.vstack((np.full((1, wanted.shape[1]), np.nan), wanted[:-1]))
        before[:slow] = np.nan
        wanted[: slow - 1] = np.nan
        sent = np.where(wanted == before, np.nan, wanted)
        done = vbt.Portfolio.from_orders(
            close, size=sent, size_type="targetamount", init_cash=CASH, cash_sharing=True,
            group_by=True, freq="1min",
        )  # fmt: skip
        return int(done.orders.count()), float(done.final_value())

    book(closes.iloc[: 4 * slow])

    def run() -> tuple[int, float]:
        return book(closes)

    return Work(run, lambda done: Outcome(done[0], Decimal(str(round(done[1], 4)))))
