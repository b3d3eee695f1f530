"""Indicators against plain computations on the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onetape as ot

from .busy import bars, ticks
from .hand import daily

DATA = bars(60)
FRAME = DATA.frame()
CLOSE, HIGH, LOW = (FRAME[name].to_numpy().astype(float) for name in ("close", "high", "low"))


def series(make: Any, read: Any = float, data: Any = DATA) -> np.ndarray:
    """Return an indicator's value on each row, NaN before it is ready."""
    seen: list[float] = []

    class Watch(ot.Strategy):
        def on_start(self) -> None:
            self.line = make(self)

        def row(self, row: Any) -> None:
            seen.append(read(self.line))

        on_bar = on_quote = row

    ot.backtest(Watch, data)
    return np.array(seen)


def agree(got: np.ndarray, wanted: np.ndarray, ready: int) -> None:
    assert np.isnan(got[: ready - 1]).all(), "a value before it is ready"
    assert not np.isnan(got[ready - 1 :]).any(), "no value where there should be one"
    np.testing.assert_allclose(got[ready - 1 :], wanted[ready - 1 :], rtol=1e-9)


def ema(values: np.ndarray, period: int, alpha: float | None = None) -> np.ndarray:
    """Return an exponential average that begins with the mean of the first `period` values."""
    alpha = 2 / (period + 1) if alpha is None else alpha
    out = np.full(len(values), np.nan)
    out[period - 1] = values[:period].mean()
    for at in range(period, len(values)):
        out[at] = alpha * values[at] + (1 - alpha) * out[at - 1]
    return out


def rolling(values: np.ndarray, period: int, what: Any) -> np.ndarray:
    out = np.full(len(values), np.nan)
    for at in range(period - 1, len(values)):
        out[at] = what(values[at - period + 1 : at + 1])
    return out


def test_sma_is_the_mean_of_the_last_closes():
    agree(series(lambda s: s.sma(5)), rolling(CLOSE, 5, np.mean), 5)


def test_a_field_other_than_the_close_may_be_averaged():
    agree(series(lambda s: s.sma(4, field="high")), rolling(HIGH, 4, np.mean), 4)


def test_ema_begins_with_a_mean_and_goes_on_with_alpha_two_over_period_plus_one():
    agree(series(lambda s: s.ema(7)), ema(CLOSE, 7), 7)


def test_atr_is_wilders_average_of_true_ranges():
    before = np.concatenate(([CLOSE[0]], CLOSE[:-1]))
    true = np.maximum(HIGH, before) - np.minimum(LOW, before)
    true[0] = HIGH[0] - LOW[0]
    agree(series(lambda s: s.atr(5)), ema(true, 5, 1 / 5), 5)


def test_bollinger_bands_stand_population_deviations_from_the_mean_of_closes():
    mean, spread = rolling(CLOSE, 8, np.mean), rolling(CLOSE, 8, np.std)
    for name, wanted in (
        ("upper", mean + 2 * spread),
        ("middle", mean),
        ("lower", mean - 2 * spread),
    ):
        got = series(
            lambda s: s.bollinger(8, 2.0), lambda line, name=name: float(getattr(line, name))
        )
        agree(got, wanted, 8)


def test_macd_is_the_difference_of_two_emas_with_its_own_signal():
    line = ema(CLOSE, 4) - ema(CLOSE, 9)
    signal = np.concatenate((np.full(8, np.nan), ema(line[8:], 3)))
    for name, wanted in (("value", line), ("signal", signal), ("histogram", line - signal)):
        got = series(
            lambda s: s.macd(4, 9, 3),
            lambda m, name=name: float(m if name == "value" else getattr(m, name)),
        )
        agree(got, wanted, 11)


def test_rsi_is_wilders_average_gain_over_all_moves_from_0_to_100():
    steps = np.diff(CLOSE)
    gains, losses = ema(np.maximum(steps, 0), 6, 1 / 6), ema(np.maximum(-steps, 0), 6, 1 / 6)
    wanted = np.concatenate(([np.nan], 100 * gains / (gains + losses)))
    agree(series(lambda s: s.rsi(6)), wanted, 7)


def test_quotes_feed_indicators_with_their_mid():
    data = ticks(30)
    frame = data.frame()
    mid = (
        frame["bid_price"].to_numpy().astype(float) + frame["ask_price"].to_numpy().astype(float)
    ) / 2
    agree(series(lambda s: s.sma(4), data=data), rolling(mid, 4, np.mean), 4)


def test_a_line_crosses_only_on_the_row_where_it_does():
    data = daily([(c, c, c, c) for c in (10, 10, 10, 12, 13, 13, 9, 8)])
    said: list[tuple[bool, bool]] = []

    class Watch(ot.Strategy):
        def on_start(self) -> None:
            self.fast, self.slow = self.sma(1), self.sma(3)

        def on_bar(self, bar: Any) -> None:
            said.append((self.fast.crossed_above(self.slow), self.fast.crossed_below(self.slow)))

    ot.backtest(Watch, data)
    assert [at for at, (up, _) in enumerate(said) if up] == [3]
    assert [at for at, (_, down) in enumerate(said) if down] == [6]


def test_with_several_instruments_an_indicator_must_be_told_its_data():
    class Vague(ot.Strategy):
        def on_start(self) -> None:
            self.sma(3)

    with pytest.raises(ot.errors.OnetapeError, match="say which data this indicator is on"):
        ot.backtest(Vague, [DATA, bars(5, 2, "BBB.XNAS")])


def test_an_indicator_reads_only_the_data_it_is_on():
    other = bars(60, 9, "BBB.XNAS")
    seen: list[float] = []

    class Watch(ot.Strategy):
        def on_start(self) -> None:
            self.line = self.sma(2, on="BBB.XNAS")

        def on_bar(self, bar: Any) -> None:
            if self.instrument == "BBB.XNAS":
                seen.append(float(self.line))

    ot.backtest(Watch, [DATA, other])
    wanted = rolling(other.frame()["close"].to_numpy().astype(float), 2, np.mean)
    agree(np.array(seen), wanted, 2)
