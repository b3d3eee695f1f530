"""Datasets: slices, batches, fingerprints, bars built from ticks."""

from __future__ import annotations

import pickle
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onetape.market as market
from onetape.errors import EmptyRange, MarketDataError
from onetape.market.blocks import Block, even
from onetape.market.fingerprint import fingerprint

from .feeds import MINUTE, START, minute_bars, quotes, trades

PAIR = market.fx("EUR/USD.SIM")
SHARE = market.equity("GOOG.XNAS")
QUOTES = market.Dataset.from_frame(quotes(2_000), instrument=PAIR)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 200_000), max_size=6))
def test_a_fingerprint_does_not_depend_on_how_rows_are_cut(cuts: list[int]) -> None:
    ts = np.arange(200_000, dtype=np.int64)
    ids = pa.array([str(i % 7) for i in range(200_000)])
    whole = Block(ts, (ts * 3, ts % 5, ts % 3), ids)
    edges = [0, *sorted(cuts), 200_000]
    pieces = [whole.cut(a, b) for a, b in pairwise(edges)]
    assert fingerprint(b"h", pieces) == fingerprint(b"h", [whole])
    assert [b.rows for b in even(pieces)] == [65_536, 65_536, 65_536, 3_392]


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 1_999), max_size=4))
def test_a_fingerprint_does_not_depend_on_files(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    catalog = market.Catalog(tmp_path_factory.mktemp("catalog"))
    edges = sorted({0, *cuts, 2_000})
    for a, b in pairwise(edges):
        data = catalog.ingest(quotes(2_000)[a:b], instrument=PAIR)
    assert data.fingerprint == QUOTES.fingerprint


def test_a_fingerprint_tells_apart_rows_instrument_step_stamp_and_actions() -> None:
    frame = minute_bars(100)
    made = [
        market.Dataset.from_frame(frame, instrument=SHARE),
        market.Dataset.from_frame(frame[:99], instrument=SHARE),
        market.Dataset.from_frame(frame, instrument=market.equity("GOOG.XNYS")),
        market.Dataset.from_frame(frame, instrument=SHARE, step="2-MINUTE"),
        market.Dataset.from_frame(frame, instrument=SHARE, stamp="open"),
        market.Dataset.from_frame(frame, instrument=SHARE, actions=(market.Split(1, Decimal(2)),)),
        market.Dataset.from_frame(
            frame.with_columns(volume=pl.col("volume") + 1), instrument=SHARE
        ),
    ]
    assert len({d.fingerprint for d in made}) == len(made)


def test_a_fingerprint_is_the_same_for_ever() -> None:
    frame = pl.DataFrame({"ts": [START, START + 1], "bid": [1.1, 1.2], "ask": [1.3, 1.4],
                          "bid_size": [1.0, 2.0], "ask_size": [3.0, 4.0]})  # fmt: skip
    data = market.Dataset.from_frame(frame, instrument=PAIR)
    assert data.fingerprint == data.content_hash()
    assert data.fingerprint[:16] == "e81dc8cfba016d1a"


@settings(max_examples=30, deadline=None)
@given(at=st.integers(START, START + 2_000 * 10**9))
def test_two_slices_at_any_time_partition_the_rows(at: int) -> None:
    when = datetime.fromtimestamp(at // 10**9, UTC)
    parts = []
    for span in ((None, when), (when, None)):
        try:
            parts.append(QUOTES.slice(*span))
        except EmptyRange:
            continue
    assert sum(p.rows for p in parts) == QUOTES.rows
    assert pl.concat([p.frame() for p in parts]).equals(QUOTES.frame())
    for part in parts:
        assert part.parent_fingerprint == QUOTES.fingerprint
        assert part.rows == part.frame().height == sum(b.num_rows for b in part.batches())


def test_a_date_is_local_midnight_and_as_end_leaves_that_day_out() -> None:
    goog = market.sample("GOOG")
    part = goog.slice("2012-05-18", date(2012, 5, 22))
    assert part.frame()["ts_event"].dt.date().to_list() == [date(2012, 5, 18), date(2012, 5, 21)]
    again = part.slice(datetime(2012, 5, 21, tzinfo=UTC))
    assert again.rows == 1
    assert again.parent_fingerprint == goog.fingerprint
    assert again.range is not None
    assert again.fingerprint != goog.fingerprint


def test_an_empty_or_unreadable_range_says_what_there_is() -> None:
    with pytest.raises(EmptyRange, match="It runs from 2004-08-19"):
        market.sample("GOOG").slice("1999-01-01", "2000-01-01")
    with pytest.raises(MarketDataError, match="cannot read the time 'May'"):
        market.sample("GOOG").slice("May")


def test_a_slice_of_files_equals_a_slice_of_memory(catalog: market.Catalog) -> None:
    frame = quotes(200_000)
    kept = catalog.ingest(frame, instrument=PAIR)
    memory = market.Dataset.from_frame(frame, instrument=PAIR)
    a, b = (d.slice("2024-01-08T06:00", "2024-01-09T18:30:00.5") for d in (kept, memory))
    assert a.rows == b.rows > 1_000
    assert a.frame().equals(b.frame())
    assert a.fingerprint == b.fingerprint
    assert (a.start, a.end) == (b.start, b.end)


def test_batches_come_in_order_within_the_asked_times_and_size(catalog: market.Catalog) -> None:
    data = catalog.ingest(quotes(200_000), instrument=PAIR)
    low, high = START + 10**13, START + 10**14
    batches = list(data.batches(low, high, rows=10_000))
    assert max(b.num_rows for b in batches) <= 10_000
    ts = pa.concat_arrays([b["ts_init"] for b in batches]).cast(pa.int64()).to_numpy()
    assert low <= ts[0] <= ts[-1] < high
    assert np.all(np.diff(ts) >= 0)
    assert len(ts) == data.slice(datetime.fromtimestamp(low / 1e9, UTC),
                                 datetime.fromtimestamp(high / 1e9, UTC)).rows  # fmt: skip


def test_columns_are_plain_exact_and_in_utc() -> None:
    schema = QUOTES.scan().collect_schema()
    names = ["ts_event", "ts_init", "bid_price", "ask_price", "bid_size", "ask_size"]
    assert schema.names() == names
    assert schema["ts_init"] == pl.Datetime("ns", "UTC")
    assert schema["bid_price"] == pl.Decimal(38, 16)


def test_minute_bars_hold_the_ticks_up_to_their_close(perpetual: market.Instrument) -> None:
    data = market.Dataset.from_frame(trades(5_000), instrument=perpetual)
    bars = data.bars("1-MINUTE")
    assert bars.bar_type == "BTCUSDT-PERP.BINANCE-1-MINUTE-LAST-EXTERNAL"
    ticks = data.frame().with_columns(
        close_ts=pl.col("ts_event").dt.offset_by("-1ns").dt.truncate("1m").dt.offset_by("1m")
    )
    want = ticks.group_by("close_ts", maintain_order=True).agg(
        pl.col("price").first().alias("open"), pl.col("price").max().alias("high"),
        pl.col("price").min().alias("low"), pl.col("price").last().alias("close"),
        pl.col("size").sum().alias("volume"),
    )  # fmt: skip
    got = bars.frame()
    assert got["ts_event"].to_list() == want["close_ts"].to_list()
    for name in ("open", "high", "low", "close", "volume"):
        assert got[name].to_list() == want[name].to_list()
    assert got["volume"].sum() == data.frame()["size"].sum()


def test_bars_by_ticks_volume_and_value_close_when_the_amount_is_reached(
    perpetual: market.Instrument,
) -> None:
    data = market.Dataset.from_frame(trades(5_000), instrument=perpetual)
    assert data.bars("100-TICK").rows <= 50
    assert min(data.bars("50-VOLUME").frame()["volume"]) >= 50
    value = data.bars("1000000-VALUE").frame()
    assert (value["volume"].cast(float) * value["high"].cast(float)).min() >= 1_000_000
    with pytest.raises(EmptyRange, match="too little"):
        data.bars("1000000-TICK")


def test_bars_of_quotes_are_of_the_mid() -> None:
    bars = QUOTES.bars("1-MINUTE")
    assert bars.bar_type == "EUR/USD.SIM-1-MINUTE-MID-EXTERNAL"
    assert not bars.synthetic
    first = QUOTES.frame().row(0, named=True)
    mid = (first["bid_price"] + first["ask_price"]) / 2
    assert abs(bars.frame()["open"][0] - mid) <= Decimal("0.000005")
    assert bars.verify()
    assert (bars.start.timestamp() * 1e9) % MINUTE == 0


def test_bars_of_bars_and_unknown_steps_are_refused() -> None:
    with pytest.raises(MarketDataError, match="is bars already"):
        market.sample("GOOG").bars("1-WEEK")
    with pytest.raises(MarketDataError, match="expected one of"):
        QUOTES.bars("5-PARSEC")
    with pytest.raises(MarketDataError, match="step is '5min'"):
        QUOTES.bars("5min")


def test_importing_the_market_does_not_import_the_engine() -> None:
    code = "import sys, onetape.market; print(*(m for m in sys.modules if 'nautilus' in m "
    code += "or m in ('pyarrow.parquet', 'fsspec', 'pandas', 'tqdm')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_dataset_does_not_change_and_travels_between_processes(catalog: market.Catalog) -> None:
    with pytest.raises(AttributeError, match="does not change"):
        QUOTES.rows = 3
    kept = catalog.ingest(quotes(2_000), instrument=PAIR)
    assert pickle.loads(pickle.dumps(kept)) == pickle.loads(pickle.dumps(QUOTES)) == kept
