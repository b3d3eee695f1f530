"""The verbs of research: `backtest` and `rerun`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from onetape.market.dataset import Dataset
from onetape.results.run import Run
from onetape.risk.limitbook import LimitBook
from onetape.risk.rungs import Ladder

if TYPE_CHECKING:
    from onetape.results.tape import Tape

RUN = "run/"
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
    limits: LimitBook | str | Path | None = None,
    ladder: Ladder | Sequence[str] | None = None,
    tape: Tape | str | Path | None = None,
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
    limits     ot.limits(...) or a limits file: every order is judged by them before it leaves,
               each judgement is recorded, and run.denied shows what was refused
    ladder     what is done by itself as losses grow: ["loss 1000: halt", ...], see risk.ladder
    tape       an open tape (or its URL) that the run is written to while it goes on, or a file
               to save the recording to at the end
    progress   a progress bar; None shows one on a terminal for long runs
    chunk      rows in memory at a time; the result does not depend on it

    Raises SettingsError for an argument that does not fit, EmptyRange when the range holds no
    rows, StrategyError when the strategy's own code raised.
    """
    from onetape.results.tape import tape_of
    from onetape.run.backtest import execute
    from onetape.run.spec import specify
    from onetape.run.spool import Spool

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
        ladder=ladder,
        progress=progress,
        chunk=chunk,
    )
    durable = tape_of(tape)
    spool = Spool(durable, run_id(strategy)) if durable is not None else None
    run = Run(execute(spec, spool), spec.datasets, spec, spool and spool.stream)
    if tape is not None and durable is None:
        run.recording.save(tape)  # type: ignore[arg-type]
    return run


def run_id(strategy: Any) -> str:
    """Return the stream that a new run is written to: strategy, UTC time, six random digits."""
    listed: list[Any] = list(strategy) if isinstance(strategy, list | tuple) else [strategy]  # pyright: ignore[reportUnknownArgumentType]
    kinds = [one if isinstance(one, type) else type(one) for one in listed]
    name = "+".join(kind.__name__ for kind in kinds)
    return f"{RUN}{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"
