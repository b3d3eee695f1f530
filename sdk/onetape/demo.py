"""The demonstration: the whole path on real data, in under a minute.

Ingests the five sample series into a catalog, backtests two example strategies over all of
them onto the tape, verifies the tape from its bytes, asks it what was held at an instant, traces
a fill to its data and code, reruns both runs byte for byte, writes a report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onetape.given import strategy
from onetape.market.catalog import Catalog
from onetape.market.dataset import Dataset
from onetape.market.samples import sample
from onetape.results.backtest import backtest
from onetape.results.rerun import rerun
from onetape.results.run import Run
from onetape.results.tape import open_tape
from onetape.results.trace import Trace
from onetape.run.fees import bps
from onetape.tape.audit import Verdict

if TYPE_CHECKING:
    from onetape.books.asof import AsOf

INSTRUMENTS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
STRATEGIES = ("sma_cross", "ema_cross")
CASH = 100_000
ASKED = "2008-10-10"  # the end of the worst week of that year
Step = Callable[[str], None]


@dataclass(frozen=True)
class Demo:
    """What the demonstration made."""

    runs: list[Run]
    tape: str
    verdict: Verdict
    asof: AsOf
    answer: dict[str, Any]
    trace: Trace
    rerun_identical: bool
    report: Path
    catalog: Path

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {
            "runs": [run.to_dict() for run in self.runs],
            "tape": self.tape,
            "verified": self.verdict.ok,
            "verified_events": self.verdict.events,
            "asof": self.answer,
            "rerun_identical": self.rerun_identical,
            "trace": self.trace.to_dict(),
            "catalog": str(self.catalog),
            "report": str(self.report),
        }


def demo(folder: Path, step: Step = lambda _: None, where: str | None = None) -> Demo:
    """Run the demonstration in `folder`; `step` is told what is being done.

    `where` is the tape as `ot.open_tape` takes it; None is the default one.
    """
    from onetape.results.page import reports

    folder.mkdir(parents=True, exist_ok=True)
    kept = _ingested(folder / "catalog", step)
    step("open the tape")
    with open_tape(where) as tape:
        runs: list[Run] = []
        for name in STRATEGIES:
            step(f"backtest {name} over {len(kept)} instruments, onto the tape")
            idea, terms = strategy(name), bps(10)
            runs.append(backtest(idea, kept, cash=CASH, fees=terms, progress=False, tape=tape))
        step("recompute the whole tape from its bytes")
        verdict = tape.verify(progress=False)
        step(f"ask the tape what was held on {ASKED}")
        book = tape.stream(runs[0].id)
        asof, said = tape.at(ASKED, book=book), repr(tape)
        answer = asof.to_dict()  # asked while the tape is open
        step("trace the last fill to its data and code")
        traced = tape.trace(tape.frame("fills", book=book)[-1], book=book)
    step("run both again and compare the tapes byte for byte")
    identical = all(rerun(run).identical for run in runs)
    step("write the report")
    report = reports(runs, folder / "report.html", "onetape demo")
    return Demo(runs, said, verdict, asof, answer, traced, identical, report, folder / "catalog")


def _ingested(path: Path, step: Step) -> list[Dataset]:
    catalog = Catalog(path)
    kept: list[Dataset] = []
    for name in INSTRUMENTS:
        step(f"ingest {name}")
        kept.append(catalog.ingest(sample(name), progress=False))
    return kept
