"""Figures: how each statistic is computed, under the name that `definitions` gives it.

Every function returns the value, None where it is not defined, and the numbers it was made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

import msgspec
import numpy as np
import polars as pl

from onetape.books import ratios, returns
from onetape.books.exact import trimmed
from onetape.books.ratios import Floats
from onetape.books.trades import Trade

Figure = float | int | Decimal | None
Used = dict[str, object]
Answer = tuple[Figure, Used]


class Sample(msgspec.Struct, frozen=True):
    """What the statistics are computed from, prepared once."""

    equity: pl.DataFrame
    fine: returns.Path  # every row
    daily: returns.Path
    closed: tuple[Trade, ...]
    net: Floats  # of the closed trades
    gains: Floats  # their returns
    fills: pl.DataFrame | None
    periods: int
    risk_free: float  # per day
    own: Floats  # excess returns on the days shared with the benchmark
    other: Floats
    trials: tuple[int, float] | None


COMPUTED: dict[str, Callable[[Sample], Answer]] = {}


def computed(function: Callable[[Sample], Answer]) -> Callable[[Sample], Answer]:
    """Enter a function into COMPUTED under its own name."""
    COMPUTED[function.__name__] = function
    return function


def _spread(values: Floats) -> Used:
    return {"n": len(values), "mean": ratios.mean(values), "std": ratios.deviation(values)}


@computed
def final_equity(s: Sample) -> Answer:
    rows = len(s.equity)
    return (trimmed(s.equity["equity"][-1]) if rows else None), {"rows": rows}


@computed
def fees(s: Sample) -> Answer:
    if "commission" not in s.equity.columns or not len(s.equity):
        return None, {"rows": len(s.equity)}
    return trimmed(s.equity["commission"][-1]), {"rows": len(s.equity)}


@computed
def total_return(s: Sample) -> Answer:
    used: Used = {"n": len(s.daily.returns), "wealth": _last(s)}
    return (_last(s) - 1.0 if len(s.daily.returns) else None), used


def _last(s: Sample) -> float:
    return float(s.daily.wealth[-1]) if len(s.daily.wealth) else 1.0


@computed
def annual_return(s: Sample) -> Answer:
    used: Used = {"wealth": _last(s), "n": len(s.daily.returns), "P": s.periods}
    return ratios.annual_return(s.daily.returns, s.periods), used


@computed
def volatility(s: Sample) -> Answer:
    spread = ratios.deviation(s.daily.returns)
    value = None if spread is None else spread * math.sqrt(s.periods)
    return value, {**_spread(s.daily.returns), "P": s.periods}


@computed
def sharpe(s: Sample) -> Answer:
    excess = s.daily.returns - s.risk_free
    used = {**_spread(excess), "f": s.risk_free, "P": s.periods}
    return ratios.sharpe(excess, s.periods), used


@computed
def sortino(s: Sample) -> Answer:
    excess = s.daily.returns - s.risk_free
    down = ratios.downside(excess)
    used: Used = {"n": len(excess), "mean": ratios.mean(excess), "downside": down, "P": s.periods}
    return ratios.over(ratios.mean(excess), down, math.sqrt(s.periods)), used


@computed
def calmar(s: Sample) -> Answer:
    annual = ratios.annual_return(s.daily.returns, s.periods)
    worst = ratios.lowest(s.daily.drawdown)
    used: Used = {"annual_return": annual, "daily max_drawdown": worst}
    return ratios.over(annual, abs(worst or 0.0)), used


@computed
def omega(s: Sample) -> Answer:
    excess = s.daily.returns - s.risk_free
    above, below = float(excess[excess > 0].sum()), float(-excess[excess < 0].sum())
    return ratios.over(above, below), {"above": above, "below": below, "f": s.risk_free}


@computed
def max_drawdown(s: Sample) -> Answer:
    fall = s.fine.drawdown
    if not len(s.fine.returns):
        return None, {"rows": len(fall)}
    low = int(np.argmin(fall))
    peak = int(np.argmax(s.fine.wealth[: low + 1]))
    used: Used = {"peak": _when(s, peak), "low": _when(s, low), "rows": len(fall)}
    return ratios.lowest(fall), used


@computed
def max_drawdown_duration(s: Sample) -> Answer:
    found = ratios.longest_drawdown(s.fine.wealth, s.fine.times)
    if found is None:
        return None, {"rows": len(s.fine.wealth)}
    peak, end = found
    used: Used = {"peak": _when(s, peak), "back": _when(s, end)}
    return float(s.fine.times[end] - s.fine.times[peak]) / returns.DAY, used


def _when(s: Sample, row: int) -> str:
    return str(np.datetime64(int(s.fine.times[row]), "ns"))[:19]


@computed
def var_95(s: Sample) -> Answer:
    return ratios.quantile(s.daily.returns, 0.05), {"n": len(s.daily.returns)}


@computed
def es_95(s: Sample) -> Answer:
    edge = ratios.quantile(s.daily.returns, 0.05)
    if edge is None:
        return None, {"n": 0}
    tail = s.daily.returns[s.daily.returns <= edge]
    return ratios.mean(tail), {"var_95": edge, "days at or below": len(tail)}


@computed
def tail_ratio(s: Sample) -> Answer:
    high, low = ratios.quantile(s.daily.returns, 0.95), ratios.quantile(s.daily.returns, 0.05)
    value = None if high is None or low is None else ratios.over(abs(high), abs(low))
    return value, {"95%": high, "5%": low}


@computed
def skew(s: Sample) -> Answer:
    return ratios.moment(s.daily.returns, 3), _spread(s.daily.returns)


@computed
def kurtosis(s: Sample) -> Answer:
    full = ratios.moment(s.daily.returns, 4)
    return (None if full is None else full - 3.0), _spread(s.daily.returns)


@computed
def probabilistic_sharpe(s: Sample) -> Answer:
    excess = s.daily.returns - s.risk_free
    used = {**_spread(excess), "skew": ratios.moment(excess, 3), "g4": ratios.moment(excess, 4)}
    return ratios.probabilistic_sharpe(excess, 0.0), used


@computed
def deflated_sharpe(s: Sample) -> Answer:
    if s.trials is None:
        return None, {"trials": None}
    count, variance = s.trials
    hurdle = ratios.expected_best_sharpe(count, variance / s.periods)
    used: Used = {"N": count, "V per year": variance, "SR0 per day": hurdle}
    if hurdle is None:
        return None, used
    return ratios.probabilistic_sharpe(s.daily.returns - s.risk_free, hurdle), used


@computed
def exposure_time(s: Sample) -> Answer:
    if "gross_exposure" not in s.equity.columns or not len(s.equity):
        return None, {"rows": len(s.equity)}
    exposed = int((s.equity["gross_exposure"] > 0).sum())
    return exposed / len(s.equity), {"exposed rows": exposed, "rows": len(s.equity)}


@computed
def turnover(s: Sample) -> Answer:
    days = len(s.daily.returns)
    if s.fills is None or not days or s.fills["currency"].n_unique() > 1:
        return None, {"fills": None if s.fills is None else len(s.fills), "n": days}
    traded = float(s.fills["notional"].abs().sum() or 0)
    level = ratios.mean(s.equity["equity"].cast(pl.Float64).to_numpy())
    used: Used = {"traded": traded, "mean equity": level, "n": days, "P": s.periods}
    return ratios.over(traded, level, s.periods / days), used


@computed
def trades(s: Sample) -> Answer:
    return len(s.closed), {"closed": len(s.closed)}


@computed
def win_rate(s: Sample) -> Answer:
    wins = sum(trade.net > 0 for trade in s.closed)
    return ratios.over(wins, len(s.closed)), {"wins": wins, "trades": len(s.closed)}


@computed
def profit_factor(s: Sample) -> Answer:
    won, lost = float(s.net[s.net > 0].sum()), float(-s.net[s.net < 0].sum())
    return ratios.over(won, lost), {"won": won, "lost": lost}


@computed
def expectancy(s: Sample) -> Answer:
    return ratios.mean(s.net), {"sum of net": float(s.net.sum()), "trades": len(s.net)}


@computed
def sqn(s: Sample) -> Answer:
    mean, spread = ratios.mean(s.net), ratios.deviation(s.net)
    return ratios.over(mean, spread, math.sqrt(len(s.net))), _spread(s.net)


@computed
def best_trade(s: Sample) -> Answer:
    return (float(s.gains.max()) if len(s.gains) else None), {"trades": len(s.gains)}


@computed
def worst_trade(s: Sample) -> Answer:
    return ratios.lowest(s.gains), {"trades": len(s.gains)}


@computed
def avg_trade(s: Sample) -> Answer:
    return ratios.mean(s.gains), {"trades": len(s.gains)}


@computed
def beta(s: Sample) -> Answer:
    return ratios.beta(s.own, s.other), {"shared days": len(s.own), "f": s.risk_free}


@computed
def alpha(s: Sample) -> Answer:
    slope, own, other = ratios.beta(s.own, s.other), ratios.mean(s.own), ratios.mean(s.other)
    used: Used = {"beta": slope, "mean(r - f)": own, "mean(b - f)": other, "P": s.periods}
    if slope is None or own is None or other is None:
        return None, used
    return ratios.compounded(1.0 + own - slope * other, s.periods), used


@computed
def information_ratio(s: Sample) -> Answer:
    active = s.own - s.other
    return ratios.sharpe(active, s.periods), {**_spread(active), "P": s.periods}
