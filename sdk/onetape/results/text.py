"""Plain words and numbers for people: the `repr` of a run, money, shares of one."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from onetape.errors import OnetapeError

if TYPE_CHECKING:
    import polars as pl

    from onetape.results.run import Run

SCALES = (2, 4, 6, 8, 12, 18)
COUNTED = {"quantity", "filled"}  # units, not money: no cents are shown when there are none
PERCENT = {
    "total_return", "annual_return", "volatility", "max_drawdown", "var_95", "es_95", "win_rate",
    "exposure_time",
    "best_trade",
    "worst_trade",
    "avg_trade",
    "probabilistic_sharpe",
}  # fmt: skip
MONEY = {"final_equity", "fees", "expectancy"}
SHOWN = (
    "final_equity", "total_return", "annual_return", "volatility", "sharpe", "sortino", "calmar",
    "max_drawdown", "win_rate", "profit_factor", "trades", "fees",
)  # fmt: skip


def trimmed(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose decimals have no more digits than they need: 2, 4, ... 18."""
    import polars as pl

    smaller: dict[str, pl.DataType] = {}
    for name, kind in frame.schema.items():
        if isinstance(kind, pl.Decimal) and kind.scale > 2:
            column = frame[name].drop_nulls()
            for scale in (0, *SCALES) if name in COUNTED else SCALES:
                if scale >= kind.scale or (column.cast(pl.Decimal(38, scale)) == column).all():
                    smaller[name] = pl.Decimal(38, min(scale, kind.scale))
                    break
    return frame.cast(smaller)  # type: ignore[arg-type]


def shown(name: str, value: Any, currency: str = "") -> str:
    """Return a statistic as a person writes it; a dash when it is not defined."""
    if value is None:
        return "–"
    if name in PERCENT:
        return f"{float(value) * 100:,.2f} %"
    if name in MONEY:
        return f"{Decimal(value):,.2f} {currency}".strip()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{float(value):,.2f}"


def label(name: str) -> str:
    """Return a statistic's name for display."""
    return name.replace("_95", " 95 %").replace("_", " ")


def title(run: Run) -> str:
    """Return strategy, parameters and data in one line."""
    params = ", ".join(f"{name}={value}" for name, value in run.params.items())
    data = ", ".join(d.instrument for d in run.opened.datasets[:6])
    more = f" and {len(run.opened.datasets) - 6} more" if len(run.opened.datasets) > 6 else ""
    return f"{run.opened.strategy}({params}) on {data}{more}"


def brief(run: Run) -> str:
    """Return the plain text form of a run."""
    lines = [title(run)]
    stats: dict[str, Any] = {}
    if run.datasets:
        try:
            stats = run.stats
        except OnetapeError as err:  # a run must be readable even where it has no worth
            lines.append(f"  no statistics: {err}")
    if stats:
        pairs = [(label(n), shown(n, stats[n], run.currency)) for n in SHOWN]
        for left, right in zip(pairs[::2], pairs[1::2], strict=True):
            lines.append(f"  {left[0]:<16}{left[1]:>18}    {right[0]:<16}{right[1]:>18}")
    lines += [f"  {name:<16}{said}" for name, said in run.conventions.items()]
    lines += [f"  ! {warning}" for warning in run.warnings]
    if run.id:
        lines.append(f"  {'id':<16}{run.id}")
    lines.append(f"  {'fingerprint':<16}{run.fingerprint} ({len(run.recording):,} events)")
    return "\n".join(lines)
