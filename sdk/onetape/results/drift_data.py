"""What two runs read, row by row: where their data differ, and the last prices of both.

Rows are compared by their own time and all their values, for what both runs read of an instrument.
What a session received (`data.kept`) is preferred to what it was opened with. Where the rows of
either are not at hand, fingerprints are compared, and no difference is put down to data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from onetape.books.exact import EXACT, ONE
from onetape.errors import MarketDataError
from onetape.results.drift_orders import Done, Story
from onetape.results.found import datasets_of
from onetape.tape.kinds import DatasetRef
from onetape.tape.kinds_live import DataKept

if TYPE_CHECKING:
    from onetape.market.dataset import Dataset
    from onetape.results.run import Run

FINE = Decimal("1e-12")  # of a rate that is the inverse of a price
PRICES = {"bars": ["close"], "quotes": ["bid_price", "ask_price"], "trades": ["price"]}
Series = tuple[str, str, str | None]  # instrument, kind, step
Times = np.ndarray[Any, np.dtype[np.int64]]


class Data:
    """The data of two runs.

    notes   in words, where they differ
    last    the last price of each instrument, of the run's data before the other's
    """

    def __init__(self, run: Run, other: Run) -> None:
        left, right = _refs(run), _refs(other)
        self.datasets = (_at_hand(run, left), _at_hand(other, right))
        self.notes: list[str] = []
        self._apart: dict[str, Times] = {}
        self._closes: dict[str, Times] = {}  # of bars: a fill within one rests on the whole bar
        self._compare(left, right)

    @property
    def last(self) -> dict[str, Decimal]:
        """The last price of each instrument: a bar's close, a quote's mid, a trade's price."""
        found: dict[str, Decimal] = {}
        for datasets in reversed(self.datasets):
            for one in sorted(datasets, key=lambda d: d.kind == "bars"):
                found[one.instrument.id] = _last(one)
        return found

    @property
    def instruments(self) -> list[Any]:
        """Every instrument of either."""
        return [one.instrument for datasets in self.datasets for one in datasets]

    def differs(self, order: Done, at: Sequence[int] | None = None) -> bool:
        """Whether rows differ up to an order's decision, or in the rows at the times `at`."""
        times = self._apart.get(order.instrument)
        if times is None or not len(times):
            return False
        if at is None:
            return bool(times[0] <= order.decided)
        asked: Times = np.array(at, dtype=np.int64)
        closes = self._closes.get(order.instrument)
        if closes is not None:
            places = np.searchsorted(closes, asked).clip(0, len(closes) - 1)
            asked = np.concatenate([asked, closes[places]])
        return bool(np.isin(asked, times).any())

    def _compare(self, left: Sequence[DatasetRef], right: Sequence[DatasetRef]) -> None:
        prints = [{ref.fingerprint for ref in refs} for refs in (left, right)]
        if prints[0] == prints[1]:
            return
        both = [_by_series(datasets) for datasets in self.datasets]
        if not both[0] or not both[1]:
            self.notes.append("the runs' data differ by their fingerprints; rows are not at hand")
            return
        for series in sorted(both[0].keys() & both[1].keys(), key=str):
            one, two = both[0][series], both[1][series]
            if one.fingerprint == two.fingerprint:
                continue
            times = _apart(one, two)
            name = series[0]
            known = self._apart.get(name)
            self._apart[name] = times if known is None else np.union1d(known, times)
            if one.kind == "bars":
                self._closes[name] = np.union1d(_times(one.scan()), _times(two.scan()))
            self.notes.append(
                f"{name}: {len(times):,} times differ between {one.name} ({one.rows:,} rows) and "
                f"{two.name} ({two.rows:,} rows)"
            )


def _refs(run: Run) -> tuple[DatasetRef, ...]:
    kept = [event.fact for event in run.recording.of_kind(DataKept)]
    refs = tuple(_ref(fact) for fact in kept if isinstance(fact, DataKept))
    return refs or run.opened.datasets


def _ref(fact: DataKept) -> DatasetRef:
    return DatasetRef(
        name=fact.dataset,
        instrument=fact.instrument,
        data=fact.data,
        step=None,
        fingerprint=fact.fingerprint,
        range=(fact.first, fact.last),
        rows=fact.rows,
        tz="UTC",
        stamp="close",
        source={},
    )


def _at_hand(run: Run, refs: tuple[DatasetRef, ...]) -> tuple[Dataset, ...]:
    wanted = {ref.fingerprint for ref in refs}
    if run.datasets and {one.fingerprint for one in run.datasets} == wanted:
        return run.datasets
    return datasets_of(msgspec.structs.replace(run.opened, datasets=refs)) or run.datasets


def _by_series(datasets: Sequence[Dataset]) -> dict[Series, Dataset]:
    return {(one.instrument.id, one.kind, one.step): one for one in datasets}


def _apart(one: Dataset, two: Dataset) -> Times:
    """Return the times of rows that only one of two datasets has, ascending."""
    left, right = (each.scan().drop("ts_init").collect() for each in (one, two))
    names = left.columns
    alone = [
        frame.join(against, on=names, how="anti", nulls_equal=True).select("ts_event")
        for frame, against in ((left, right), (right, left))
    ]
    return np.unique(_times(pl.concat(alone).lazy()))


def _times(rows: pl.LazyFrame) -> Times:
    return rows.select("ts_event").collect()["ts_event"].dt.timestamp("ns").to_numpy()


def _last(dataset: Dataset) -> Decimal:
    columns = PRICES[dataset.kind]
    row = dataset.scan().select(columns).tail(1).collect().row(0)
    return sum(row, Decimal(0)) / len(row)


def rates_of(currency: str, data: Data, left: Story, right: Story) -> Mapping[str, Decimal]:
    """Return what one unit of every currency that occurs is worth, at the last prices.

    Raises MarketDataError where one has no rate among the data.
    """
    wanted: set[str] = set()
    for told in (left, right):
        wanted |= {code for one in told.orders for code in one.fees}
        wanted |= told.dividends.keys() | set(told.currencies.values())
    found = {currency: ONE}
    last = data.last if wanted - {currency} else {}
    for one in data.instruments if last else ():
        if one.kind == "fx":
            price = last[one.id]
            if one.currency == currency:
                found[one.base_currency or ""] = price
            elif one.base_currency == currency:
                found[one.currency] = EXACT.quantize(1 / price, FINE)
    if missing := sorted(wanted - found.keys()):
        raise MarketDataError(
            f"no rate from {missing[0]} to {currency} among the runs' data; expected a dataset of "
            f"{missing[0]}/{currency}: give the runs their data with run.on([...])"
        )
    return found
