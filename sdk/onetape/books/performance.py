"""Performance: the statistics of a run, each with the numbers it was made of.

A figure that is not defined for the sample is None, never NaN and never infinite. What each
name means stands in `definitions`; `explain` puts the definition and the numbers together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from onetape.books import returns
from onetape.books.definitions import STATISTICS, definition
from onetape.books.figures import COMPUTED, Figure, Sample, Used
from onetape.books.trades import Trade
from onetape.errors import SettingsError


def sample(  # noqa: PLR0913 - each argument is a convention that changes the figures
    equity: pl.DataFrame,
    trades: Sequence[Trade] = (),
    fills: pl.DataFrame | None = None,
    *,
    periods_per_year: int = 252,
    risk_free: float = 0.0,
    benchmark: pl.DataFrame | None = None,
    tz: str = "UTC",
    trials: tuple[int, float] | None = None,
) -> Sample:
    """Return the prepared inputs of every statistic.

    `risk_free` is a yearly rate. `benchmark` has `ts_event` and one level column. `trials` is
    how many variants were tried and the variance of their annualised Sharpe ratios.
    """
    if periods_per_year < 1:
        raise SettingsError(f"periods_per_year is {periods_per_year}; expected 252 or 365")
    daily = returns.daily(equity, tz)
    closed = tuple(trade for trade in trades if not trade.is_open)
    own, other = (np.zeros(0), np.zeros(0))
    if benchmark is not None:
        own, other = returns.beside(daily, benchmark, tz)
    free = (1.0 + risk_free) ** (1.0 / periods_per_year) - 1.0
    return Sample(
        equity=equity,
        fine=returns.path(equity),
        daily=daily,
        closed=closed,
        net=np.array([float(trade.net) for trade in closed]),
        gains=np.array([trade.return_fraction for trade in closed]),
        fills=fills,
        periods=periods_per_year,
        risk_free=free,
        own=own - free,
        other=other - free,
        trials=trials,
    )


def statistics(  # noqa: PLR0913 - each argument is a convention that changes the figures
    equity: pl.DataFrame,
    trades: Sequence[Trade] = (),
    fills: pl.DataFrame | None = None,
    *,
    periods_per_year: int = 252,
    risk_free: float = 0.0,
    benchmark: pl.DataFrame | None = None,
    tz: str = "UTC",
    trials: tuple[int, float] | None = None,
) -> dict[str, Figure]:
    """Return every statistic by name, None where it is not defined."""
    inputs = sample(
        equity,
        trades,
        fills,
        periods_per_year=periods_per_year,
        risk_free=risk_free,
        benchmark=benchmark,
        tz=tz,
        trials=trials,
    )
    return figures(inputs)


def figures(inputs: Sample) -> dict[str, Figure]:
    """Return every statistic of a sample by name."""
    return {name: figure(name, inputs)[0] for name in STATISTICS}


def figure(name: str, inputs: Sample) -> tuple[Figure, Used]:
    """Return one statistic and the numbers it was made of."""
    definition(name)
    value, used = COMPUTED[name](inputs)
    if isinstance(value, float) and not math.isfinite(value):
        value = None
    return value, used


def explain(name: str, inputs: Sample | None = None) -> str:
    """Return what a statistic means and, given a sample, the numbers it was made of."""
    text = definition(name).text()
    if inputs is None:
        return text
    value, used = figure(name, inputs)
    shown = "not defined here" if value is None else _shown(value)
    numbers = "\n".join(f"    {key} = {_shown(one)}" for key, one in used.items())
    return f"{text}\n  value       {shown}\n  from\n{numbers}"


def _shown(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
