"""Definitions: what each statistic means, in one place, for people and for programs.

r is a daily return, f the daily risk-free rate (1 + risk_free)^(1/P) - 1, P periods_per_year,
n the number of daily returns, W the growth of one unit, b a benchmark's daily return. `std` is
the sample standard deviation (n - 1) unless said otherwise.
"""

from __future__ import annotations

import difflib
from typing import Literal

import msgspec

from onetape.errors import SettingsError

Unit = Literal["fraction", "ratio", "money", "days", "count"]
Better = Literal["higher", "lower", "neither"]


class Statistic(msgspec.Struct, frozen=True):
    """One number's definition. `better` says which way is good."""

    name: str
    formula: str
    convention: str
    source: str
    unit: Unit
    better: Better

    def text(self) -> str:
        """Return the definition, to be read by a person."""
        lines = [
            f"{self.name} ({self.unit}; better: {self.better})",
            f"  formula     {self.formula}",
        ]
        lines += [f"  convention  {self.convention}", f"  source      {self.source}"]
        return "\n".join(lines)


def definition(name: str) -> Statistic:
    """Return the definition of a statistic; an unknown name is answered with close ones."""
    found = STATISTICS.get(name)
    if found is None:
        close = difflib.get_close_matches(name, STATISTICS, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(STATISTICS)}"
        raise SettingsError(f"no statistic is named {name!r}; {hint}")
    return found


GIPS = "GIPS 2020, time-weighted return"
SHARPE = "Sharpe 1994, The Sharpe Ratio, J. Portfolio Management 21(1)"
SORTINO = "Sortino & van der Meer 1991, Downside Risk, J. Portfolio Management 17(4)"
CALMAR = "Young 1991, Calmar Ratio, Futures 20(1), here over the whole sample"
OMEGA = "Keating & Shadwick 2002, A Universal Performance Measure"
MAGDON = "Magdon-Ismail & Atiya 2004, Maximum Drawdown, Risk 17(10)"
VAR = "Jorion 2006, Value at Risk, historical simulation"
ES = "Acerbi & Tasche 2002, On the Coherence of Expected Shortfall"
THARP = "Tharp 2008, Definitive Guide to Position Sizing"
JENSEN = "Jensen 1968, The Performance of Mutual Funds, J. Finance 23(2)"
GRINOLD = "Grinold & Kahn 1999, Active Portfolio Management"
PSR = "Bailey & Lopez de Prado 2012, The Sharpe Ratio Efficient Frontier, J. Risk 15(2)"
DSR = "Bailey & Lopez de Prado 2014, The Deflated Sharpe Ratio, J. Portfolio Management 40(5)"
COMMON = "common practice"
OURS = "onetape"

_ROWS: tuple[tuple[str, str, str, str, Unit, Better], ...] = (
    ("final_equity", "last equity", "exact, in the base currency", OURS, "money", "higher"),
    ("total_return", "prod(1 + r) - 1", "deposits are not returns", GIPS, "fraction", "higher"),
    (
        "annual_return",
        "(1 + total_return)^(P / n) - 1",
        "compound (CAGR) over trading days, not calendar days; None when all is lost",
        COMMON,
        "fraction",
        "higher",
    ),
    ("volatility", "std(r) x sqrt(P)", "sample deviation, n - 1", COMMON, "fraction", "lower"),
    (
        "sharpe",
        "mean(r - f) / std(r - f) x sqrt(P)",
        "sample deviation; arithmetic mean; no correction for autocorrelation",
        SHARPE,
        "ratio",
        "higher",
    ),
    (
        "sortino",
        "mean(r - f) / sqrt(mean(min(r - f, 0)^2)) x sqrt(P)",
        "downside deviation over all days, target f; None without a day below it",
        SORTINO,
        "ratio",
        "higher",
    ),
    (
        "calmar",
        "annual_return / |max_drawdown|",
        "whole sample; drawdown on daily closes, as the return is",
        CALMAR,
        "ratio",
        "higher",
    ),
    (
        "omega",
        "sum(max(r - f, 0)) / sum(max(f - r, 0))",
        "threshold f; None without a day below it",
        OMEGA,
        "ratio",
        "higher",
    ),
    (
        "max_drawdown",
        "min(W / max of W so far - 1)",
        "on every row of the equity frame, so deeper than on daily closes; at or below zero",
        MAGDON,
        "fraction",
        "higher",
    ),
    (
        "max_drawdown_duration",
        "longest time from a peak until wealth is back at it, or until the end",
        "calendar days, on every row of the equity frame",
        COMMON,
        "days",
        "lower",
    ),
    (
        "var_95",
        "5% quantile of r",
        "historical, linear between order statistics; one day; a loss is negative",
        VAR,
        "fraction",
        "higher",
    ),
    (
        "es_95",
        "mean of r at or below var_95",
        "historical; one day; a loss is negative",
        ES,
        "fraction",
        "higher",
    ),
    (
        "tail_ratio",
        "|95% quantile of r| / |5% quantile of r|",
        "linear between order statistics",
        COMMON,
        "ratio",
        "higher",
    ),
    (
        "skew",
        "mean((r - mean)^3) / s^3",
        "population moments, no small-sample correction",
        COMMON,
        "ratio",
        "higher",
    ),
    (
        "kurtosis",
        "mean((r - mean)^4) / s^4 - 3",
        "excess: the normal has 0; population moments",
        COMMON,
        "ratio",
        "lower",
    ),
    (
        "probabilistic_sharpe",
        "Phi(SR sqrt(n - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2))",
        "chance that the true Sharpe is above zero; SR per day, g3 skew, g4 full kurtosis",
        PSR,
        "fraction",
        "higher",
    ),
    (
        "deflated_sharpe",
        "as probabilistic_sharpe against SR0 = sqrt(V) ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e)))",
        "N trials, V variance of their annualised Sharpes (divided by P), g Euler-Mascheroni; "
        "None without both",
        DSR,
        "fraction",
        "higher",
    ),
    (
        "exposure_time",
        "rows with gross exposure / rows",
        "by rows of the equity frame, not by time",
        COMMON,
        "fraction",
        "neither",
    ),
    (
        "turnover",
        "sum of |notional| / mean equity x P / n",
        "both sides counted, per year; None when fills are in several currencies",
        COMMON,
        "ratio",
        "lower",
    ),
    ("fees", "sum of commission", "exact, base currency, rebates subtract", OURS, "money", "lower"),
    ("trades", "number of closed trades", "open ones left out", OURS, "count", "neither"),
    (
        "win_rate",
        "closed trades with net > 0 / closed trades",
        "after commission; a flat trade is not a win",
        COMMON,
        "fraction",
        "higher",
    ),
    (
        "profit_factor",
        "sum of winning net / |sum of losing net|",
        "after commission; None without a loss",
        COMMON,
        "ratio",
        "higher",
    ),
    ("expectancy", "mean net per trade", "money, after commission", THARP, "money", "higher"),
    (
        "sqn",
        "sqrt(trades) x mean(net) / std(net)",
        "on money, not on multiples of risk; sample deviation; no cap at 100 trades",
        THARP,
        "ratio",
        "higher",
    ),
    ("best_trade", "max(net / entry value)", "after commission", OURS, "fraction", "higher"),
    ("worst_trade", "min(net / entry value)", "after commission", OURS, "fraction", "higher"),
    ("avg_trade", "mean(net / entry value)", "arithmetic mean", OURS, "fraction", "higher"),
    (
        "beta",
        "cov(r - f, b - f) / var(b - f)",
        "days that both have; None without a benchmark",
        JENSEN,
        "ratio",
        "neither",
    ),
    (
        "alpha",
        "(1 + mean(r - f) - beta mean(b - f))^P - 1",
        "compounded to a year; days that both have",
        JENSEN,
        "fraction",
        "higher",
    ),
    (
        "information_ratio",
        "mean(r - b) / std(r - b) x sqrt(P)",
        "annualised; sample deviation; days that both have",
        GRINOLD,
        "ratio",
        "higher",
    ),
)

STATISTICS: dict[str, Statistic] = {row[0]: Statistic(*row) for row in _ROWS}
