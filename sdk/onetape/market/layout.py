# pyright: standard
"""The engine's layout on disk: the one module that knows it.

Files lie in `data/quotes/<ID>/`, `data/trades/<ID>/` and `data/bars/<bar type>/`, named
`<first>_<last>.parquet` in ISO time with dashes. Prices and sizes are decimal128(38, 16), times
timestamp[ns, UTC]; the schema metadata names instrument, precisions and type.

Why      the layout is not documented by the engine, so it is kept here and proved in both
         directions by tests/market/test_layout.py; a new engine release is checked there.
Method   int64 * 10**k is written as two 64-bit halves, and read back by the exact division
         V / 10**k = (V >> k) * (5**-k mod 2**64): no loop, no float.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from onetape.errors import MarketDataError
from onetape.market.blocks import COLUMNS, SIDES, Block, Ints, ints
from onetape.market.instruments import Instrument

SCALE = 16
DECIMAL = pa.decimal128(38, SCALE)
TIME = pa.timestamp("ns", tz="UTC")
SIDE = pa.dictionary(pa.int8(), pa.string())
TYPE_NAMES = {"bars": "Bar", "quotes": "QuoteTick", "trades": "TradeTick"}


def bar_type(instrument: Instrument, step: str, price: str = "LAST") -> str:
    """Return the engine's name of a series of bars, as GOOG.XNAS-1-DAY-LAST-EXTERNAL."""
    return f"{instrument.id}-{step}-{price}-EXTERNAL"


def folder(instrument: Instrument, kind: str, bars: str | None = None) -> str:
    """Return the folder of a dataset below the catalog's root; slashes in ids are left out."""
    return f"data/{kind}/{(bars or instrument.id).replace('/', '')}"


def file_name(start: int, end: int) -> str:
    """Return the name of a file that holds rows from `start` to `end` (ns UTC, inclusive)."""
    return f"{_stamp(start)}_{_stamp(end)}.parquet"


def _stamp(ns: int) -> str:
    seconds, rest = divmod(ns, 1_000_000_000)
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%Y-%m-%dT%H-%M-%S}-{rest:09d}Z"


def schema(instrument: Instrument, kind: str, bars: str | None = None) -> pa.Schema:
    """Return the Arrow schema, metadata included; `bars` is the bar type where kind is bars."""
    fields = [pa.field(n, SIDE if n == "aggressor_side" else DECIMAL, False) for n in COLUMNS[kind]]
    if kind == "trades":
        fields.append(pa.field("trade_id", pa.string(), False))
    fields += [pa.field("ts_event", TIME, False), pa.field("ts_init", TIME, False)]
    metadata = {
        "instrument_id": instrument.id,
        "price_precision": str(instrument.price_precision),
        "size_precision": str(instrument.size_precision),
        "type_name": TYPE_NAMES[kind],
    }
    if bars:
        metadata["bar_type"] = bars
    return pa.schema(fields, metadata)


def to_batch(block: Block, schema: pa.Schema) -> pa.RecordBatch:
    """Return a block as one Arrow batch in the layout."""
    digits = {k: int(schema.metadata[k.encode()]) for k in ("price_precision", "size_precision")}
    arrays: list[pa.Array] = []
    for column, values in zip(schema, block.values, strict=False):
        if column.name == "aggressor_side":
            side = pa.array(values.astype(np.int8))
            arrays.append(pa.DictionaryArray.from_arrays(side, pa.array(SIDES)))
            continue
        sizes = "size" in column.name or column.name == "volume"
        precision = digits["size_precision" if sizes else "price_precision"]
        arrays.append(_widen(values, precision))
    if block.ids is not None:
        arrays.append(block.ids)
    times = pa.Array.from_buffers(TIME, block.rows, [None, pa.py_buffer(_contiguous(block.ts))])
    return pa.RecordBatch.from_arrays([*arrays, times, times], schema=schema)


def from_batch(batch: pa.RecordBatch) -> Block:
    """Return a batch of the layout as a block of scaled integers.

    Raises MarketDataError where a number has more digits than the metadata promise.
    """
    metadata = batch.schema.metadata or {}
    prices = int(metadata[b"price_precision"])
    sizes = int(metadata[b"size_precision"])
    values: list[Ints] = []
    ids: Any = None
    for name in batch.schema.names:
        column = batch.column(name)
        if name in ("ts_event", "ts_init"):
            continue
        if name == "trade_id":
            ids = column
        elif name == "aggressor_side":
            values.append(_sides(column))
        else:
            small = "size" in name or name == "volume"
            values.append(narrow(column, sizes if small else prices, name))
    ts = ints(batch.column("ts_event"))
    return Block(ts, tuple(values), ids)


def _sides(column: Any) -> Ints:
    names = column.dictionary.to_pylist()
    code = np.array([SIDES.index(n) for n in names] or [0], dtype=np.int64)
    return code[ints(column.indices.cast(pa.int64()))]


def _contiguous(values: Ints) -> Ints:
    return np.ascontiguousarray(values)


def _widen(values: Ints, precision: int) -> pa.Array:
    scale = 10 ** (SCALE - precision)
    out = np.empty((len(values), 2), dtype=np.int64)
    top = max(abs(int(values.max())), abs(int(values.min()))) if len(values) else 0
    np.multiply(values, np.int64(scale), out=out[:, 0])
    if top * scale < 2**63:
        np.right_shift(out[:, 0], 63, out=out[:, 1])
    else:
        low, high = values & 0xFFFFFFFF, values >> 32
        s_low, s_high = scale & 0xFFFFFFFF, scale >> 32
        carry = ((low.astype(np.uint64) * np.uint64(s_low)) >> np.uint64(32)).astype(np.int64)
        middle = high * s_low + carry + low * s_high
        out[:, 1] = high * s_high + (middle >> 32)
    return pa.Array.from_buffers(DECIMAL, len(values), [None, pa.py_buffer(out)])


def narrow(column: Any, precision: int, name: str) -> Ints:
    """Return a decimal128(38, 16) column as int64 in units of 10**-precision, exactly."""
    if column.type != DECIMAL:
        column = column.cast(DECIMAL)
    shift = SCALE - precision
    halves = np.frombuffer(column.buffers()[1], dtype=np.uint64)
    halves = halves[2 * column.offset : 2 * (column.offset + len(column))]
    low, high = halves[0::2], halves[1::2]
    if shift == 0:
        return low.astype(np.int64)
    quotient = (low >> np.uint64(shift)) | (high << np.uint64(64 - shift))
    inverse = pow(5**shift, -1, 2**64)
    values = (quotient * np.uint64(inverse)).astype(np.int64)
    if not np.array_equal(values.astype(np.uint64) * np.uint64(10**shift), low):
        raise MarketDataError(
            f"column {name!r} holds numbers with more than {precision} decimals, which its "
            "metadata do not allow. The file is damaged or was not written in this layout."
        )
    return values


def to_objects(batch: pa.RecordBatch | pa.Table) -> list[Any]:
    """Return the engine's own objects (Bar, QuoteTick or TradeTick) for a batch of the layout."""
    from nautilus_trader import persistence as p

    metadata = {k.decode(): v.decode() for k, v in (batch.schema.metadata or {}).items()}
    prices, sizes = int(metadata["price_precision"]), int(metadata["size_precision"])
    name = metadata["type_name"]
    if name == "Bar":
        wrangler: Any = p.BarDataWrangler(metadata["bar_type"], prices, sizes)
    else:
        kinds = {"QuoteTick": p.QuoteTickDataWrangler, "TradeTick": p.TradeTickDataWrangler}
        wrangler = kinds[name](metadata["instrument_id"], prices, sizes)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write(batch)
    return wrangler.process_record_batch_bytes(sink.getvalue().to_pybytes())
