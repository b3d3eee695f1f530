"""Run: the immutable result of a backtest, everything in it a function of its tape.

Frames are polars, money and quantities exact decimals, times Datetime("ns", "UTC"); a `seq`
column leads from a row back to the tape. Nothing is computed before it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from onetape.books import performance, tables
from onetape.books import trades as round_trips
from onetape.books.cash import ledger
from onetape.books.figures import Sample
from onetape.books.trades import Trade
from onetape.books.valuation import equity as value
from onetape.errors import RunError, SettingsError
from onetape.market.dataset import Dataset, to_ns
from onetape.results import market
from onetape.results.denied import denied
from onetape.results.text import trimmed
from onetape.tape.kinds import AccountOpened, RunClosed
from onetape.tape.recording import Recording

if TYPE_CHECKING:
    from onetape.results.compare import Comparison
    from onetape.results.drift import Drift
    from onetape.results.moment import Moment
    from onetape.results.trace import Trace
    from onetape.run.spec import Spec


class Run:
    """What came out of `ot.backtest`.

    recording      the tape: every event, in order
    datasets       what was read, () when a loaded run's data is not at hand
    conventions    fill, fees, slippage, latency, account: how the figures came about
    warnings       what to know before believing them
    id             the stream that holds it on a durable tape; None when it is on none
    """

    def __init__(
        self,
        recording: Recording,
        datasets: tuple[Dataset, ...] = (),
        spec: Spec | None = None,
        id: str | None = None,
    ) -> None:
        self.recording = recording
        self.id = id
        self.datasets = datasets
        self.spec = spec
        self.opened = recording.opened

    # -- identity

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the canonical tape: the same code, data and settings give the same."""
        return self.recording.fingerprint

    @property
    def params(self) -> dict[str, Any]:
        """The strategy's parameters in force."""
        return dict(self.opened.params)

    @property
    def currency(self) -> str:
        """The currency that equity and statistics are in."""
        return self.opened.currency

    @property
    def conventions(self) -> dict[str, str]:
        """How fills, fees, slippage and latency were modelled."""
        shown = dict(self.opened.settings)
        shown["fill"] = f"{shown['fill']}: {shown.pop('fill_means')}"
        shown["latency"] = f"{int(shown.pop('latency_ns')) / 1e6:g} ms"
        shown.pop("strategy_path", None)
        return shown

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Synthetic data, quality findings, optimistic fills and refused orders, in words."""
        said = self._ended()
        for dataset in self.opened.datasets:
            if dataset.synthetic:
                said.append(f"{dataset.name} is SYNTHETIC data: no market ever traded so")
            said += [f"{dataset.name}: {finding}" for finding in dataset.findings]
        if self.opened.settings["fill"] == "this_close":
            said.append("fills at the close that the decision was made on are optimistic")
        for status in ("DENIED", "REJECTED"):
            count = self.orders.filter(pl.col("status") == status).height
            if count:
                said.append(f"{count} orders were {status.lower()}: see run.orders")
        unheard = self.orders.filter(pl.col("status") == "SUBMITTED").height
        if unheard:
            said.append(f"{unheard} orders were sent and never answered: see run.orders")
        if (geared := self._geared()) is not None:
            said.append(geared)
        if refused := self.denied.height:
            said.append(f"{refused} orders were refused by limits: see run.denied")
        return tuple(said)

    def _ended(self) -> list[str]:
        """Say when the run did not come to its end."""
        last = self.recording[-1].fact
        if not isinstance(last, RunClosed):
            return ["INCOMPLETE: the tape ends before the run did; the figures are of a part"]
        if last.status != "completed":
            return [f"{last.status.upper()}: {last.detail}; the figures are of a part"]
        return []

    def _geared(self) -> str | None:
        """Say when more was held than the account's leverage stands for."""
        opened = next((e.fact for e in self.recording.of_kind(AccountOpened)), None)
        if not self.datasets or not isinstance(opened, AccountOpened) or opened.type == "cash":
            return None
        if {info.currency for info in self.instruments.values()} != {self.currency}:
            return None  # may need rates that are not at hand; the equity frame tells
        gross = pl.col("gross_exposure").cast(pl.Float64)
        worth = pl.col("equity").cast(pl.Float64)
        most = self.equity.filter(worth > 0).select((gross / worth).max()).item()
        if most is None or most <= float(opened.leverage) * 1.05:  # prices move what was in order
            return None
        return (
            f"exposure reached {most:,.1f} times equity, leverage is {opened.leverage}: the "
            "simulated venue asks for margin only where the instrument says margin_init"
        )

    # -- frames

    @cached_property
    def fills(self) -> pl.DataFrame:
        """One row a fill: side, quantity, price, commission, ids."""
        return trimmed(tables.fills(self.recording, self.multipliers))

    @cached_property
    def orders(self) -> pl.DataFrame:
        """One row an order: terms, status, filled, average price."""
        return trimmed(tables.orders(self.recording))

    @cached_property
    def positions(self) -> pl.DataFrame:
        """One row after each fill or split: quantity, average price, realized."""
        return trimmed(tables.positions(self.recording, multipliers=self.multipliers))

    @cached_property
    def trades(self) -> pl.DataFrame:
        """One row a round trip: entry, exit, gross and net profit, duration."""
        return trimmed(tables.trades(self.round_trips))

    @cached_property
    def signals(self) -> pl.DataFrame:
        """One row for each signal that the strategy noted."""
        return tables.signals(self.recording)

    @cached_property
    def denied(self) -> pl.DataFrame:
        """One row for each order or change that a limit refused: what was seen and allowed."""
        return trimmed(denied(self.recording))

    @cached_property
    def cash(self) -> pl.DataFrame:
        """One row a movement of cash, with its reason and the balance after it."""
        margined = [name for name, info in self.instruments.items() if info.margined]
        return trimmed(tables.cash(ledger(self.recording, margined, self.multipliers)))

    @cached_property
    def round_trips(self) -> list[Trade]:
        """The trades as objects, exact."""
        return round_trips.trades(self.recording, multipliers=self.multipliers)

    @cached_property
    def _valued_trips(self) -> list[Trade]:
        """The trades with their money in the run's currency; prices are read only if they must."""
        if all(trip.currency == self.currency for trip in self.round_trips):
            return self.round_trips
        datasets = self.data()
        given = market.rates(datasets, market.marks(datasets, market.grid(datasets)))
        return market.in_currency(self.round_trips, self.currency, given)

    @cached_property
    def equity(self) -> pl.DataFrame:
        """Equity, cash, market value, exposure and drawdown on the data's own clock."""
        return self.equity_on()

    def equity_on(self, every: str | None = None) -> pl.DataFrame:
        """Return equity on a clock: "1s", "15m", "1h", "1d"; None chooses by the data."""
        lines = market.marks(self.data(), market.grid(self.data(), every))
        clock, rates = market.clock(lines), market.rates(self.data(), lines)
        # a base before the first order: what it earns by the first price is a return too
        clock = np.union1d(clock, [self.recording[0].ts_event])
        return trimmed(value(self.recording, lines, clock, self.currency, self.instruments, rates))

    @property
    def final_equity(self) -> Decimal:
        """Equity at the last price, exact."""
        return self.stats["final_equity"]  # type: ignore[return-value]

    # -- statistics

    @cached_property
    def _sample(self) -> Sample:
        return performance.sample(
            self.equity,
            self._valued_trips,
            self.fills if set(self.fills["currency"]) <= {self.currency} else None,
            periods_per_year=365 if market.trades_all_week(self.data()) else 252,
            tz=self.data()[0].tz,
        )

    @cached_property
    def stats(self) -> dict[str, Any]:
        """Every statistic by name; None where it is not defined. See `explain`."""
        return performance.figures(self._sample)

    def explain(self, name: str) -> str:
        """Return a statistic's formula, convention, source and the numbers it was made of."""
        return performance.explain(name, self._sample)

    def against(self, benchmark: Dataset | pl.DataFrame) -> dict[str, Any]:
        """Return the statistics with alpha, beta and information ratio against a benchmark."""
        level = benchmark
        if isinstance(benchmark, Dataset):
            times, prices = market.marks([benchmark], None)[benchmark.instrument.id]
            level = pl.DataFrame(
                {
                    "ts_event": pl.Series(times).cast(pl.Datetime("ns", "UTC")),
                    "level": [float(p) for p in prices],
                }
            )
        sample = performance.sample(
            self.equity,
            self._valued_trips,
            self.fills if set(self.fills["currency"]) <= {self.currency} else None,
            periods_per_year=self._sample.periods,
            benchmark=level,  # type: ignore[arg-type]
            tz=self.data()[0].tz,
        )
        return performance.figures(sample)

    # -- questions

    def at(self, when: str | date | datetime) -> Moment:
        """Return what was held, working and known at an instant (naive: the data's zone)."""
        from onetape.results.moment import moment

        ns = to_ns(when, self.opened.datasets[0].tz)
        assert ns is not None
        return moment(self, ns)

    def trace(self, row: Any) -> Trace:
        """Return where a number comes from: fill, order, decision, row, dataset, code.

        `row` is a row of one of the frames (a one-row frame or a dict), an event or a seq.
        """
        from onetape.results.trace import trace

        return trace(self, row)

    def drift(self, session: Run, **terms: Any) -> Drift:
        """Return why a live session did not earn what this backtest did; see `ot.drift`."""
        from onetape.results.drift import drift

        return drift(self, session, **terms)

    def __sub__(self, other: Run) -> Comparison:
        from onetape.results.compare import compare

        return compare(self, other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.recording == other.recording

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    # -- looks and files

    def __repr__(self) -> str:
        from onetape.results.text import brief

        return brief(self)

    def _repr_html_(self) -> str:
        from onetape.results.page import card

        return card(self)

    def tearsheet(self) -> Any:
        """Return an interactive page (a Panel object): equity, fills, months, trades."""
        from onetape.results.charts import tearsheet

        return tearsheet(self)

    def save(self, path: str | Path) -> Path:
        """Write the run: a .html path gets a self-contained offline report, any other the tape."""
        if Path(path).suffix in (".html", ".htm"):
            from onetape.results.page import report

            return report(self, Path(path))
        return self.recording.save(path)

    @classmethod
    def load(cls, path: str | Path, data: Any = ()) -> Run:
        """Read a saved run; `data` are the datasets it was made on, checked by fingerprint."""
        return cls(Recording.load(path)).on(data)

    def on(self, data: Any) -> Run:
        """Return this run with the datasets it was made on; SettingsError for any others."""
        listed = (data,) if isinstance(data, Dataset) else tuple(data)
        wanted = [d.fingerprint for d in self.opened.datasets]
        if listed and sorted(d.fingerprint for d in listed) != sorted(wanted):
            names = ", ".join(f"{d.name} ({d.fingerprint[:12]})" for d in self.opened.datasets)
            found = ", ".join(f"{d.name} ({d.fingerprint[:12]})" for d in listed)
            raise SettingsError(f"{found} found, the run's own data expected: {names}")
        pool = {d.fingerprint: d for d in listed}  # in the order of the run, however given
        kept = tuple(pool[fingerprint] for fingerprint in wanted) if listed else ()
        return Run(self.recording, kept, self.spec, self.id)

    def to_dict(self) -> dict[str, Any]:
        """Return fingerprint, statistics and conventions as plain JSON types."""
        return {
            "strategy": self.opened.strategy,
            "params": self.params,
            "fingerprint": self.fingerprint,
            "id": self.id,
            "events": len(self.recording),
            "datasets": [
                {"name": d.name, "fingerprint": d.fingerprint, "synthetic": d.synthetic}
                for d in self.opened.datasets
            ],
            "conventions": self.conventions,
            "warnings": list(self.warnings),
            "stats": {n: float(v) if isinstance(v, Decimal) else v for n, v in self.stats.items()},
        }

    # -- what the frames need

    @cached_property
    def instruments(self) -> Mapping[str, Any]:
        """What the books know of each instrument: multiplier, currency, margined or not."""
        return market.infos_of(self.opened.instruments)

    @property
    def multipliers(self) -> dict[str, Decimal]:
        """Units of the underlying per contract, by instrument."""
        return {name: info.multiplier for name, info in self.instruments.items()}

    def data(self) -> tuple[Dataset, ...]:
        """Return the datasets; RunError when a loaded run has none at hand."""
        if not self.datasets:
            names = ", ".join(d.name for d in self.opened.datasets)
            raise RunError(
                f"this run was loaded without its data, and prices are not on the tape: "
                f"load it with Run.load(path, data=[...]) naming {names}"
            )
        return self.datasets


def utc(ns: int) -> datetime:
    """Return ns UTC as a datetime, cut to microseconds."""
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).replace(
        microsecond=ns // 1_000 % 1_000_000
    )
