"""Ratios: pure functions of numpy returns. None means: not defined for these numbers."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

EULER = 0.5772156649015329  # Euler-Mascheroni
NOISE = 1e-12  # a spread below this share of the mean is rounding, not spread
NORMAL = NormalDist()


def mean(values: Floats) -> float | None:
    """Return the arithmetic mean."""
    return float(values.mean()) if len(values) else None


def lowest(values: Floats) -> float | None:
    """Return the smallest value."""
    return float(values.min()) if len(values) else None


def deviation(values: Floats) -> float | None:
    """Return the sample standard deviation; exactly zero when it is only rounding noise."""
    if len(values) < 2:
        return None
    spread = float(values.std(ddof=1))
    return spread if spread > NOISE * float(np.abs(values).max()) else 0.0


def downside(excess: Floats) -> float | None:
    """Return the root mean square of what fell short, over all days."""
    return math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2))) if len(excess) else None


def over(top: float | None, bottom: float | None, factor: float = 1.0) -> float | None:
    """Return top / bottom x factor; None when either is missing or bottom is zero."""
    return top / bottom * factor if top is not None and bottom else None


def quantile(values: Floats, share: float) -> float | None:
    """Return a quantile, linear between order statistics."""
    return float(np.quantile(values, share)) if len(values) else None


def moment(values: Floats, order: int) -> float | None:
    """Return the standardised central moment (population): 3 is skew, 4 full kurtosis."""
    if not deviation(values):
        return None
    centred = values - values.mean()
    return float(np.mean(centred**order) / np.mean(centred**2) ** (order / 2))


def compounded(growth: float, periods: float) -> float | None:
    """Return growth^periods - 1; None when nothing is left or it is beyond any number."""
    if growth <= 0:
        return None
    power = math.log(growth) * periods
    return math.expm1(power) if power < 700 else None


def annual_return(returns: Floats, periods: int) -> float | None:
    """Return the compound growth per year."""
    if not len(returns):
        return None
    return compounded(float(np.prod(1.0 + returns)), periods / len(returns))


def sharpe(excess: Floats, periods: int) -> float | None:
    """Return mean over sample deviation, annualised."""
    return over(mean(excess), deviation(excess), math.sqrt(periods))


def beta(own: Floats, other: Floats) -> float | None:
    """Return the slope of own on other excess returns."""
    if not deviation(other):
        return None
    centred = other - other.mean()
    return float(np.sum((own - own.mean()) * centred) / np.sum(centred**2))


def longest_drawdown(wealth: Floats, times: np.ndarray[Any, Any]) -> tuple[int, int] | None:
    """Return the rows of the peak and of the recovery (or the end) that lie furthest apart."""
    if len(wealth) < 2:
        return None
    at_peak = wealth >= np.maximum.accumulate(wealth)
    rows = np.arange(len(wealth))
    peaks = np.maximum.accumulate(np.where(at_peak, rows, 0))
    before = np.concatenate([[0], peaks[:-1]])  # the peak in force just before each row
    under = ~at_peak | np.concatenate([[False], ~at_peak[:-1]])
    lengths = np.where(under, times - times[before], 0)
    end = int(np.argmax(lengths))
    return int(before[end]), end


def probabilistic_sharpe(excess: Floats, hurdle: float) -> float | None:
    """Return the chance that the true Sharpe per period is above `hurdle`."""
    ratio, skew, full = over(mean(excess), deviation(excess)), moment(excess, 3), moment(excess, 4)
    if ratio is None or skew is None or full is None:
        return None
    variance = 1.0 - skew * ratio + (full - 1.0) / 4.0 * ratio**2
    if variance <= 0:
        return None
    return NORMAL.cdf((ratio - hurdle) * math.sqrt(len(excess) - 1) / math.sqrt(variance))


def expected_best_sharpe(trials: int, variance: float) -> float | None:
    """Return the best Sharpe per period to expect of `trials` variants without any skill."""
    if trials < 2 or variance < 0:
        return None
    first = NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - EULER) * first + EULER * second)
