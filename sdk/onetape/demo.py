"""The demonstration: the whole path on real data, in under a minute.

Ingests the five sample series into a catalog, backtests two example strategies over all of
them, traces a fill to its data and code, reruns a run byte for byte, writes a report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onetape.given import strategy
from onetape.market.catalog import Catalog
from onetape.market.dataset import Dataset
from onetape.market.samples import sample
from onetape.results.backtest import backtest
from onetape.results.rerun import rerun
from onetape.results.run import Run
from onetape.results.trace import Trace
from onetape.run.fees import bps

INSTRUMENTS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
STRATEGIES = ("sma_cross", "ema_cross")
CASH = 100_000
Step = Callable[[str], None]


@dataclass(frozen=True)
class Demo:
    """What the demonstration made."""

    runs: list[Run]
    trace: Trace
    rerun_identical: bool
    report: Path
    catalog: Path

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {
            "runs": [run.to_dict() for run in self.runs],
            "rerun_identical": self.rerun_identical,
            "trace": self.trace.to_dict(),
            "catalog": str(self.catalog),
            "report": str(self.report),
        }


def demo(folder: Path, step: Step = lambda _: None) -> Demo:
    """Run the demonstration in `folder`; `step` is told what is being done."""
    from onetape.results.page import reports

    folder.mkdir(parents=True, exist_ok=True)
    kept = _ingested(folder / "catalog", step)
    runs: list[Run] = []
    for name in STRATEGIES:
        step(f"backtest {name} over {len(kept)} instruments")
        run = backtest(strategy(name), kept, cash=CASH, fees=bps(10), progress=False)
        run.save(folder / f"{name}.onetape")
        runs.append(run)
    step("trace the last fill to its data and code")
    traced = runs[0].trace(runs[0].fills[-1])
    step("run both again and compare the tapes byte for byte")
    identical = all(rerun(run).identical for run in runs)
    step("write the report")
    report = reports(runs, folder / "report.html", "onetape demo")
    return Demo(runs, traced, identical, report, folder / "catalog")


def _ingested(path: Path, step: Step) -> list[Dataset]:
    catalog = Catalog(path)
    kept: list[Dataset] = []
    for name in INSTRUMENTS:
        step(f"ingest {name}")
        kept.append(catalog.ingest(sample(name), progress=False))
    return kept
