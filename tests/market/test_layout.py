"""The layout on disk, in both directions: ours read by the engine, the engine's read by us."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nautilus_trader.persistence import ParquetDataCatalog

import onetape.market as market
from onetape.errors import MarketDataError
from onetape.market import layout
from onetape.market.blocks import Block

from .feeds import minute_bars, quotes, trades

CASES = {
    "quotes": (market.fx("EUR/USD.SIM"), quotes()),
    "bars": (market.equity("GOOG.XNAS"), minute_bars()),
    "trades": (
        market.crypto_perpetual("BTCUSDT-PERP.X", tick="0.01", size_increment="0.000001"),
        trades(),
    ),
}


def query(theirs: ParquetDataCatalog, data: market.Dataset) -> list[object]:
    if data.kind == "quotes":
        return theirs.query_quote_ticks([data.instrument.id])
    if data.kind == "trades":
        return theirs.query_trade_ticks([data.instrument.id])
    return theirs.query_bars([data.bar_type])


def objects(data: market.Dataset) -> list[object]:
    return [o for b in data.batches(rows=300) for o in layout.to_objects(b)]


@pytest.mark.parametrize("kind", CASES)
def test_the_engine_reads_what_we_write(kind: str, tmp_path: Path) -> None:
    instrument, frame = CASES[kind]
    data = market.Catalog(tmp_path).ingest(frame, instrument=instrument)
    theirs = ParquetDataCatalog(str(tmp_path))
    assert query(theirs, data) == objects(data)
    assert [str(i.id) for i in theirs.instruments()] == [instrument.id]


@pytest.mark.parametrize("kind", CASES)
def test_we_read_what_the_engine_writes(kind: str, tmp_path: Path) -> None:
    instrument, frame = CASES[kind]
    data = market.Dataset.from_frame(frame, instrument=instrument)
    theirs = ParquetDataCatalog(str(tmp_path))
    write = {"quotes": "write_quote_ticks", "bars": "write_bars", "trades": "write_trade_ticks"}
    getattr(theirs, write[kind])(objects(data))
    folder = layout.folder(instrument, kind, data.bar_type)
    (path,) = (tmp_path / folder).glob("*.parquet")
    first, last = data.frame()["ts_init"].to_physical()[[0, -1]]
    assert path.name == layout.file_name(first, last)
    table = pq.read_table(path).combine_chunks()
    assert table.schema == layout.schema(instrument, kind, data.bar_type)
    assert table.schema.metadata == layout.schema(instrument, kind, data.bar_type).metadata
    theirs_block = layout.from_batch(table.to_batches()[0])
    ours = next(data.blocks())
    assert np.array_equal(theirs_block.ts, ours.ts)
    assert all(np.array_equal(a, b) for a, b in zip(theirs_block.values, ours.values, strict=True))
    assert theirs_block.ids == ours.ids


@given(
    values=st.lists(st.integers(-(2**62) + 1, 2**62 - 1), min_size=1, max_size=20),
    precision=st.integers(0, 16),
)
def test_every_scaled_integer_survives_the_decimals_on_disk(
    values: list[int], precision: int
) -> None:
    array = np.array(values, dtype=np.int64)
    fits = np.abs(array.astype(object)) * 10 ** (16 - precision) < 10**38
    array = array[fits.astype(bool)]
    wide = layout._widen(array, precision)
    assert np.array_equal(layout.narrow(wide, precision, "x"), array)
    for shown, value in zip(wide.to_pylist(), array.tolist(), strict=True):
        assert int(shown.scaleb(precision)) == value


def test_a_number_with_more_digits_than_promised_is_refused() -> None:
    wide = layout._widen(np.array([12345]), 5)
    with pytest.raises(MarketDataError, match="more than 2 decimals"):
        layout.narrow(wide, 2, "price")


def test_block_columns_match_the_schema() -> None:
    block = Block(np.arange(3), tuple(np.arange(3) for _ in range(4)))
    batch = layout.to_batch(block, layout.schema(CASES["quotes"][0], "quotes"))
    batch.validate(full=True)
    assert batch.schema.field("bid_price").nullable is False
