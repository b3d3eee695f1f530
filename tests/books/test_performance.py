"""The statistics: worked examples, refusals, and agreement with another library."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onetape.books import returns, tables
from onetape.books.definitions import STATISTICS
from onetape.books.figures import COMPUTED
from onetape.books.performance import explain, sample, statistics
from onetape.books.ratios import expected_best_sharpe
from onetape.books.trades import trades
from onetape.books.valuation import equity
from onetape.errors import SettingsError

from .tapes import DAY, D, Tape, clock, line


def curve(*levels: float, step: float = 1.0, deposits: list[float] | None = None) -> pl.DataFrame:
    """Return an equity frame with one level every `step` days."""
    times = pl.Series("ts_event", [int(i * step * DAY) for i in range(len(levels))], dtype=pl.Int64)
    frame = pl.DataFrame(
        {
            "ts_event": times.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"),
            "equity": pl.Series([D(str(level)) for level in levels], dtype=pl.Decimal(38, 18)),
        }
    )
    return frame if deposits is None else frame.with_columns(deposits=pl.Series(deposits))


def noisy(seed: int, n: int = 500, drift: float = 0.0004) -> tuple[pl.DataFrame, np.ndarray]:
    levels = 1e5 * np.cumprod(1 + np.random.default_rng(seed).normal(drift, 0.01, n))
    levels = np.round(levels, 6)
    return curve(*levels.tolist()), levels[1:] / levels[:-1] - 1


def test_every_definition_is_computed_and_every_figure_defined():
    assert set(COMPUTED) == set(STATISTICS) == set(statistics(curve(1, 2)))


def test_a_worked_example_of_four_returns():
    found = statistics(curve(100, 110, 99, 99, 108.9))
    assert found["final_equity"] == D("108.9")
    assert found["total_return"] == pytest.approx(0.089)
    assert found["annual_return"] == pytest.approx(1.089 ** (252 / 4) - 1)
    spread = math.sqrt((0.075**2 + 0.125**2 + 0.025**2 + 0.075**2) / 3)
    assert found["volatility"] == pytest.approx(spread * math.sqrt(252))
    assert found["sharpe"] == pytest.approx(0.025 / spread * math.sqrt(252))
    assert found["sortino"] == pytest.approx(0.025 / math.sqrt(0.1**2 / 4) * math.sqrt(252))
    assert found["omega"] == pytest.approx(2)
    assert found["max_drawdown"] == pytest.approx(-0.1)
    assert found["max_drawdown_duration"] == 3
    assert found["var_95"] == pytest.approx(-0.1 + 0.15 * 0.1)
    assert found["es_95"] == pytest.approx(-0.1)


def test_a_year_of_365_days_changes_what_is_annual():
    found = statistics(curve(100, 110, 99, 99, 108.9), periods_per_year=365)
    assert found["annual_return"] == pytest.approx(1.089 ** (365 / 4) - 1)


def test_a_deposit_is_not_a_return():
    found = statistics(curve(100, 110, 210, deposits=[100, 100, 200]))
    assert found["total_return"] == pytest.approx(0.1)


def test_days_end_at_their_last_row_in_the_asked_zone():
    frame = curve(100, 101, 102, 103, 104, step=0.5)
    assert returns.daily(frame).returns == pytest.approx([0.01, 103 / 101 - 1, 104 / 103 - 1])
    tokyo = returns.daily(frame, "Asia/Tokyo").returns  # noon UTC is 21:00, midnight 09:00
    assert tokyo == pytest.approx([0.01, 103 / 101 - 1, 104 / 103 - 1])
    assert len(returns.daily(frame, "America/New_York").returns) == 2


def test_drawdown_is_measured_on_every_row_and_returns_by_day():
    found = statistics(curve(100, 50, 100, 100, step=0.5))
    assert found["max_drawdown"] == pytest.approx(-0.5)
    assert found["max_drawdown_duration"] == 1


def test_an_unfinished_drawdown_lasts_until_the_end():
    assert statistics(curve(100, 90, 101, 95, 94, 93))["max_drawdown_duration"] == 3


def test_trade_figures_by_hand():
    tape = Tape().deposit(10_000)
    for price in (110, 95, 130):
        tape.fill(10, 100, 1).fill(-10, price, 1)
    made = trades(tape.fill(1, 100).events)
    found = statistics(curve(10_000, 10_344), made, tables.fills(tape.events))
    assert found["trades"] == 3
    assert found["win_rate"] == pytest.approx(2 / 3)
    assert found["profit_factor"] == pytest.approx((98 + 298) / 52)
    assert found["expectancy"] == pytest.approx(344 / 3)
    nets = np.array([98, -52, 298])
    assert found["sqn"] == pytest.approx(math.sqrt(3) * nets.mean() / nets.std(ddof=1))
    assert found["best_trade"] == pytest.approx(0.298)
    assert found["worst_trade"] == pytest.approx(-0.052)
    assert found["avg_trade"] == pytest.approx(344 / 3 / 1000)
    traded = 3 * 1000 + 1100 + 950 + 1300 + 100
    assert found["turnover"] == pytest.approx(traded / 10_172 * 252)


def test_fees_and_exposure_come_from_the_equity_frame_exactly():
    tape = Tape().deposit(1000).on(1).fill(1, 100, "0.1").on(3).fill(-1, 100, "0.2")
    frame = equity(tape.events, {"GOOG": line((1, 100))}, clock(0, 1, 2, 3), "USD")
    found = statistics(frame)
    assert (found["fees"], found["final_equity"]) == (D("0.3"), D("999.7"))
    assert found["exposure_time"] == 0.5


def test_what_is_not_defined_is_none():
    for frame in (curve(), curve(100), curve(100, 100, 100), curve(0, 0)):
        found = statistics(frame)
        for name in ("sharpe", "sortino", "calmar", "omega", "profit_factor", "win_rate", "beta"):
            assert found[name] is None, name


def test_a_constant_gain_has_no_sharpe_although_floats_disagree():
    assert statistics(curve(*(100 * 1.001**i for i in range(50))))["sharpe"] is None


def test_ruin_has_no_annual_return():
    found = statistics(curve(100, 50, 0, 0))
    assert found["total_return"] == -1
    assert found["annual_return"] is None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(-50, 500).map(lambda x: round(x, 3)), max_size=12))
def test_no_figure_is_ever_nan_or_infinite(levels):
    for name, value in statistics(curve(*levels), benchmark=curve(1, 2, 1, 3)).items():
        assert value is None or math.isfinite(value), name


def test_the_probabilistic_sharpe_of_the_paper():
    # Bailey & Lopez de Prado 2014, numerical example: N = 100, V = 1/2 a year, 1250 days,
    # annual Sharpe 2.5, skew -3, kurtosis 10 give SR0 = 0.1132 and a deflated Sharpe of 0.9004
    hurdle = expected_best_sharpe(100, 0.5 / 250)
    assert hurdle == pytest.approx(0.1132, abs=5e-5)
    ratio = 2.5 / math.sqrt(250)
    spread = math.sqrt(1 + 3 * ratio + 9 / 4 * ratio**2)
    value = NormalDist().cdf((ratio - (hurdle or 0)) * math.sqrt(1249) / spread)
    assert value == pytest.approx(0.9004, abs=5e-4)


def test_the_probabilistic_sharpe_by_hand():
    r = np.array([0.1, -0.1, 0.0, 0.1])
    ratio = r.mean() / r.std(ddof=1)
    c = r - r.mean()
    skew, full = (c**3).mean() / (c**2).mean() ** 1.5, (c**4).mean() / (c**2).mean() ** 2
    z = ratio * math.sqrt(3) / math.sqrt(1 - skew * ratio + (full - 1) / 4 * ratio**2)
    found = statistics(curve(100, 110, 99, 99, 108.9))
    assert found["probabilistic_sharpe"] == pytest.approx(NormalDist().cdf(z))
    assert found["skew"] == pytest.approx(skew)
    assert found["kurtosis"] == pytest.approx(full - 3)


def test_a_trade_that_earns_nothing_is_not_a_win():
    made = trades(Tape().fill(1, 100).fill(-1, 100).fill(1, 100).fill(-1, 101).events)
    assert statistics(curve(100, 101), made)["win_rate"] == 0.5


def test_more_trials_deflate_the_sharpe():
    frame, _ = noisy(3, drift=0.001)
    few = statistics(frame, trials=(10, 0.5))["deflated_sharpe"]
    many = statistics(frame, trials=(1000, 0.5))["deflated_sharpe"]
    plain = statistics(frame)["probabilistic_sharpe"]
    assert isinstance(few, float)
    assert isinstance(many, float)
    assert isinstance(plain, float)
    assert many < few < plain


def test_figures_agree_with_empyrical():
    other = pytest.importorskip("empyrical")
    frame, r = noisy(1)
    bench, b = noisy(2)
    found = statistics(frame, benchmark=bench)
    agreed = {
        "total_return": other.cum_returns_final(r),
        "annual_return": other.annual_return(r),
        "volatility": other.annual_volatility(r),
        "sharpe": other.sharpe_ratio(r),
        "sortino": other.sortino_ratio(r),
        "calmar": other.calmar_ratio(r),
        "omega": other.omega_ratio(r),
        "max_drawdown": other.max_drawdown(r),
        "var_95": other.value_at_risk(r),
        "es_95": other.conditional_value_at_risk(r),
        "tail_ratio": other.tail_ratio(r),
        "beta": other.beta(r, b),
        "alpha": other.alpha(r, b),
        # theirs is not annualised
        "information_ratio": other.excess_sharpe(r, b) * math.sqrt(252),
    }
    for name, value in agreed.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


def test_the_risk_free_rate_is_yearly_here_and_daily_in_empyrical():
    other = pytest.importorskip("empyrical")
    frame, r = noisy(1)
    free = 1.03 ** (1 / 252) - 1
    assert statistics(frame, risk_free=0.03)["sharpe"] == pytest.approx(other.sharpe_ratio(r, free))


def test_intraday_drawdown_is_where_we_part_from_empyrical():
    other = pytest.importorskip("empyrical")
    frame = curve(100, 60, 100, 100, 105, step=0.5)
    theirs = other.max_drawdown(returns.daily(frame).returns)
    assert theirs == pytest.approx(-0.4)  # the first day closed there
    ours = statistics(curve(100, 100, 60, 100, 105, step=0.5))
    assert ours["max_drawdown"] == pytest.approx(-0.4)
    assert ours["calmar"] is None


def test_the_benchmark_is_matched_by_day():
    frame, _ = noisy(1)
    bench, _ = noisy(2)
    part = sample(frame, benchmark=bench.head(101))
    assert len(part.own) == len(part.other) == 100


def test_a_benchmark_of_another_shape_is_refused():
    with pytest.raises(SettingsError, match="expected ts_event and one level"):
        statistics(curve(1, 2), benchmark=pl.DataFrame({"a": [1], "b": [2]}))


def test_explain_tells_formula_convention_source_and_the_numbers():
    text = explain("sharpe", sample(curve(100, 110, 99, 99, 108.9)))
    for part in ("mean(r - f) / std(r - f) x sqrt(P)", "Sharpe 1994", "n = 4", "P = 252"):
        assert part in text
    assert "value" not in explain("sharpe")
    assert "not defined here" in explain("omega", sample(curve(100, 110)))


def test_every_statistic_can_be_explained_with_and_without_numbers():
    inputs = sample(noisy(1)[0])
    for name in STATISTICS:
        assert name in explain(name)
        assert name in explain(name, inputs)


def test_an_unknown_name_is_answered_with_close_ones():
    with pytest.raises(SettingsError, match="did you mean sharpe"):
        explain("sharp")


@pytest.mark.parametrize("dtype", [pl.Date, pl.Datetime("us"), pl.Datetime("ns", "UTC")])
def test_a_benchmark_may_be_dated_or_timed(dtype):
    frame = curve(100, 101, 103)
    times = pl.Series([0, DAY, 2 * DAY]).cast(pl.Datetime("ns")).alias("ts_event")
    when = (
        times.dt.replace_time_zone("UTC")
        if dtype == pl.Datetime("ns", "UTC")
        else times.cast(dtype)
    )
    bench = pl.DataFrame({"ts_event": when, "close": [100, 101, 103]})
    assert statistics(frame, benchmark=bench)["beta"] == pytest.approx(1)
