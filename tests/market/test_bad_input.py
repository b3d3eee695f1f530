"""Bad input: each a clear error, and the catalog as it was."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import onetape.market as market
from onetape.errors import MarketDataError

from .feeds import START, minute_bars, quotes

PAIR = market.fx("EUR/USD.SIM")
SHARE = market.equity("GOOG.XNAS")


@pytest.fixture
def kept(catalog: market.Catalog) -> Iterator[market.Catalog]:
    """A catalog with one dataset, which must be the same after the test."""
    before = catalog.ingest(quotes(), instrument=PAIR, name="kept").fingerprint
    yield catalog
    assert catalog.datasets()["name"].to_list() == ["kept"]
    assert catalog.dataset("kept").content_hash() == before
    assert not list((Path(catalog.path) / "onetape/staging").iterdir())


def row(column: str, value: object, at: int = 500) -> pl.DataFrame:
    dtype = pl.String if isinstance(value, str) else pl.Float64
    new = pl.when(pl.int_range(pl.len()) == at).then(pl.lit(value, dtype)).otherwise(column)
    return quotes().with_columns(new.alias(column))


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pl.DataFrame({"x": [1], "y": [2]}), "cannot find the columns of bars, quotes or trades"),
        (quotes().drop("ts"), "no time among 'bid', 'ask'"),
        (quotes().drop("ask"), "cannot find the columns"),
        (quotes()[:0], "the source has no rows"),
        (row("bid", float("nan")), "bid_price has NaN or infinity in 1 rows, the first is row 500"),
        (row("bid", float("inf")), "NaN or infinity"),
        (row("bid", None), "bid_price has no value in 1 rows"),
        (row("ts", None), "1 rows have no time, the first is row 500"),
        (row("bid", "n/a"), "text instead of a number in 1 rows"),
        (row("bid", -1.1), "bid_price is negative or zero in 1 rows, the first at 2024-01-08"),
        (row("bid", 0.0), "negative or zero"),
        (row("ask_size", -1.0), "ask_size is negative"),
        (row("bid", 1e300), "more than can be kept exactly"),
        (quotes().with_columns(ts=pl.lit("yesterday")), "cannot read the time 'yesterday'"),
        (quotes().with_columns(ts=pl.lit(True)), "the time column is Boolean"),
        (quotes().with_columns(ts=pl.lit("2024-01-08")), "quotes need times"),
    ],
    ids=lambda v: v[:40] if isinstance(v, str) else "",
)
def test_a_spoiled_frame_is_refused(kept: market.Catalog, frame: pl.DataFrame, said: str) -> None:
    with pytest.raises(MarketDataError, match=said.replace("(", r"\(")):
        kept.ingest(frame, instrument=PAIR)


def test_mixed_time_zones_are_refused(kept: market.Catalog) -> None:
    for mixed in (["2024-01-08 09:30:00", "2024-01-08 09:31:00+00:00"],
                  ["2024-01-08 09:30:00+01:00", "2024-01-08 09:31:00"]):  # fmt: skip
        frame = pl.DataFrame({"time": mixed, "bid": [1.1, 1.1], "ask": [1.2, 1.2]})
        with pytest.raises(MarketDataError, match="mixed time zones"):
            kept.ingest(frame, instrument=PAIR)


def test_a_date_of_another_format_is_named(kept: market.Catalog) -> None:
    frame = minute_bars(2).with_columns(time=pl.Series(["2024-01-08", "09/01/2024"]))
    with pytest.raises(MarketDataError, match="09/01/2024"):
        kept.ingest(frame, instrument=SHARE)


def test_negative_prices_of_futures_are_kept_and_told(catalog: market.Catalog) -> None:
    own = market.future("CLK0.XNYM", tick="0.01", expiry="2020-04-21", multiplier=1_000)
    frame = minute_bars(100).with_columns(pl.col("open", "high", "low", "close") - 200)
    data = catalog.ingest(frame, instrument=own)
    assert {f.kind for f in data.findings} <= {"negative_price", "zero_price", "spike"}
    assert data.frame()["low"].min() < 0
    assert data.verify()


def test_a_missing_file_and_a_directory_are_named(kept: market.Catalog, tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="no file at"):
        kept.ingest(tmp_path / "none.csv", instrument=PAIR)
    with pytest.raises(MarketDataError, match=r"no file at .*\*.csv"):
        kept.ingest(str(tmp_path / "*.csv"), instrument=PAIR)
    with pytest.raises(MarketDataError, match=r"is a directory. Name its files with a glob"):
        kept.ingest(tmp_path, instrument=PAIR)
    with pytest.raises(MarketDataError, match="cannot ingest a int"):
        kept.ingest(42, instrument=PAIR)


def test_a_truncated_parquet_file_is_refused(kept: market.Catalog, tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    quotes().write_parquet(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(MarketDataError, match="not a whole Parquet file"):
        kept.ingest(path, instrument=PAIR)


def test_a_damaged_page_of_a_kept_file_is_noticed(catalog: market.Catalog) -> None:
    data = catalog.ingest(quotes(50_000), instrument=PAIR)
    (path,) = (Path(catalog.path) / "data/quotes/EURUSD.SIM").glob("*.parquet")
    spoiled = bytearray(path.read_bytes())
    spoiled[50_000:50_100] = b"\xff" * 100
    path.write_bytes(spoiled)
    with pytest.raises(MarketDataError, match="ingest it again"):
        data.verify()


def test_a_truncated_gzip_file_is_refused(kept: market.Catalog, tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "cut.csv.gz"
    body = quotes(50_000).write_csv().encode()
    path.write_bytes(gzip.compress(body)[:100_000])
    with pytest.raises(MarketDataError, match=r"cut\.csv\.gz"):
        kept.ingest(path, instrument=PAIR)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("ts,bid,ask\n", "has a header but no rows"),
        ("ts,bid,bid\n1,2,3\n", "names a column twice"),
        (f"ts,bid,ask\n{START},1.1,1.2\n{START},1.1\n", "cannot be read as CSV"),
        (f"ts,bid,ask\n{START},1.1,1.2\n" + "x" * 10_000_000, "cannot be read as CSV"),
        ("x" * 10_000_000, "no line end"),
    ],
    ids=["empty", "header", "twice", "ragged", "long line", "one line"],
)
def test_a_spoiled_csv_is_refused(
    kept: market.Catalog, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(MarketDataError, match=said):
        kept.ingest(path, instrument=PAIR)


@pytest.mark.parametrize("head", [b"", b"ts,bid,ask\n" + b"1704672000000000000,1.1,1.2\n" * 9_000])
def test_ten_gigabytes_of_nothing_are_refused_without_using_memory(
    kept: market.Catalog, tmp_path: Path, head: bytes
) -> None:
    path = tmp_path / "huge.csv"
    path.write_bytes(head)
    os.truncate(path, 10 * 10**9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MarketDataError, match=r"NUL bytes|cannot be read as CSV"):
        kept.ingest(path, instrument=PAIR)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300_000  # kB


def test_a_column_that_turns_to_text_late_is_refused(kept: market.Catalog, tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    body = quotes(20_000).write_csv()
    path.write_text(body + f"{START * 2},oops,1.2,1,1\n")
    with pytest.raises(MarketDataError, match="oops"):
        kept.ingest(path, instrument=PAIR)


@pytest.mark.parametrize("time", [9.9e18, -5, "2500-01-01 00:00:00", "1960-01-01 00:00:00"])
def test_times_that_cannot_be_kept_are_refused(kept: market.Catalog, time: object) -> None:
    frame = pl.DataFrame({"time": [time], "bid": [1.1], "ask": [1.2]})
    with pytest.raises(MarketDataError, match=r"1970 to 2261|no epoch"):
        kept.ingest(frame, instrument=PAIR)


def test_an_epoch_that_changes_its_unit_is_refused(kept: market.Catalog) -> None:
    early = pl.DataFrame({"time": [START // 10**9], "bid": [1.1], "ask": [1.2]})
    late = early.with_columns(time=pl.lit(START))
    with pytest.raises(MarketDataError, match="does not fit the epoch-s"):
        kept.ingest(iter([early, late]), instrument=PAIR)


def test_one_bar_alone_needs_its_step(kept: market.Catalog) -> None:
    with pytest.raises(MarketDataError, match="one bar alone"):
        kept.ingest(minute_bars(1), instrument=SHARE)
