"""The verbs of research: `backtest` and `rerun`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from onetape.market.dataset import Dataset
from onetape.results.run import Run
from onetape.risk.limits import Limits

Number = int | float | str | Decimal
When = str | date | datetime | None


def backtest(  # noqa: PLR0913 - each argument is a convention of the run, named where it is used
    strategy: Any,
    data: Dataset | Iterable[Dataset],
    *,
    cash: Number | Mapping[str, Number] = 100_000,
    currency: str = "USD",
    fees: Any = None,
    fill: Literal["next_open", "this_close", "next_close", "intrabar", "book"] | None = None,
    latency: float | timedelta = 0,
    slippage: Any = None,
    account: Literal["margin", "cash"] | Number = "margin",
    start: When = None,
    end: When = None,
    params: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    tape: str | Path | None = None,
    progress: bool | None = None,
    chunk: int = 32_768,
) -> Run:
    """Run a strategy over market data and return what happened.

    strategy   a subclass of ot.Strategy or of the engine's Strategy, an instance, or a list
    data       one dataset or several: instruments, bars, quotes and trades may be mixed
    cash       starting cash, a number in `currency` or amounts by currency
    currency   the currency of equity and statistics
    fees       None (free), ot.bps(20), ot.per_share("0.005", min=1), ot.maker_taker(-1, 5)
    fill       when orders made on a bar trade: next_open (the default for bars), this_close,
               next_close, intrabar; quotes and trades fill by the book
    latency    seconds (or timedelta) from sending an order to the venue's having it
    slippage   None or ot.ticks(n): market orders fill n ticks worse
    account    "margin" (may sell short), "cash", or a leverage such as 4
    start, end half-open range; a date is local midnight of the data's zone
    params     parameters by name, checked against their bounds
    limits     ot.limits(...): orders beyond them are refused and recorded
    tape       file to save the recording to
    progress   a progress bar; None shows one on a terminal for long runs
    chunk      rows in memory at a time; the result does not depend on it

    Raises SettingsError for an argument that does not fit, EmptyRange when the range holds no
    rows, StrategyError when the strategy's own code raised.
    """
    from onetape.run.backtest import execute
    from onetape.run.spec import specify

    spec = specify(
        strategy,
        data,
        cash=cash,
        currency=currency,
        fees=fees,
        fill=fill,
        latency=latency,
        slippage=slippage,
        account=account,
        start=start,
        end=end,
        params=params,
        limits=limits,
        progress=progress,
        chunk=chunk,
    )
    run = Run(execute(spec), spec.datasets, spec)
    if tape is not None:
        run.recording.save(tape)
    return run
