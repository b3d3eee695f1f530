# pyright: standard
"""Bars built from ticks: by time, by number of ticks, by volume or by notional value.

Method   Quotes give the mid price (rounded half to even on the tick) and the sum of both sizes;
         trades give price and size. A time bar holds start < ts <= close, is stamped with its
         close, and is left out where nothing was quoted. Tick, volume and value bars close with
         the tick that reaches the amount and take it whole; an unfinished last bar is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa

from onetape.errors import EmptyRange, MarketDataError
from onetape.market import layout
from onetape.market.blocks import Block, Ints, joined
from onetape.market.fingerprint import fingerprint, header
from onetape.market.times import step_ns

if TYPE_CHECKING:
    from onetape.market.dataset import Dataset


def built(data: Dataset, step: str) -> Dataset:
    """Return bars of `step` built from the ticks of `data`; see `Dataset.bars`."""
    from onetape.market.dataset import Dataset, Memory

    if data.kind == "bars":
        raise MarketDataError("bars are built from quotes or trades; this dataset is bars already.")
    length = step_ns(step)
    ticks = joined(list(data.blocks()))
    price, size = _price_and_size(ticks, data)
    if length is not None:
        ends, stamps = _by_time(ticks.ts, length)
    else:
        ends = _by_amount(price, size, step, data)
        stamps = ticks.ts[ends - 1]
        if len(stamps) > 1:  # ticks of one time may close several bars: one bar a time
            last = np.append(stamps[1:] != stamps[:-1], True)
            ends, stamps = ends[last], stamps[last]
    if not len(ends):
        raise EmptyRange(f"{data.name} holds too little for one bar of {step}.")
    starts = np.concatenate([[0], ends[:-1]])
    used = slice(0, int(ends[-1]))
    block = Block(
        stamps,
        (
            price[starts],
            np.maximum.reduceat(price[used], starts),
            np.minimum.reduceat(price[used], starts),
            price[ends - 1],
            np.add.reduceat(size[used], starts),
        ),
    )
    kind = "MID" if data.kind == "quotes" else "LAST"
    schema = layout.schema(data.instrument, "bars", layout.bar_type(data.instrument, step, kind))
    table = pa.Table.from_batches([layout.to_batch(block, schema)])
    head = header(data.instrument, "bars", step, "close", data.actions)
    lineage = {"type": "bars", "of": data.name, "fingerprint": data.fingerprint}
    card = msgspec.structs.replace(
        data._card, name=f"{data.name}-{step}", kind="bars", step=step, price=kind, stamp="close",
        rows=block.rows, start=int(stamps[0]), end=int(stamps[-1]), findings=(), files=(),
        inferred={}, source=(lineage,), fingerprint=fingerprint(head, [block]),
    )  # fmt: skip
    return Dataset(card, Memory(table))


def _price_and_size(ticks: Block, data: Dataset) -> tuple[Ints, Ints]:
    if data.kind == "trades":
        return ticks.values[0], ticks.values[1]
    bid, ask, bid_size, ask_size = ticks.values
    tick = int(data.instrument.tick.scaleb(data.instrument.price_precision))
    twice = (bid + ask) // tick
    half, odd = twice // 2, twice % 2
    return (half + (odd & half)) * tick, bid_size + ask_size


def _by_time(ts: Ints, length: int) -> tuple[Ints, Ints]:
    closes = -(-ts // length) * length
    ends = np.append(np.flatnonzero(closes[1:] != closes[:-1]) + 1, len(ts))
    return ends, closes[ends - 1]


def _by_amount(price: Ints, size: Ints, step: str, data: Dataset) -> Ints:
    count, unit = step.split("-")
    own = data.instrument
    if unit == "TICK":
        return np.arange(int(count), len(price) + 1, int(count))
    amount = size.astype(np.float64) / 10.0**own.size_precision
    if unit == "VALUE":
        amount = amount * price / 10.0**own.price_precision * float(own.multiplier)
    total = np.cumsum(amount)
    ends: list[int] = []
    at, reached = 0, 0.0
    while True:
        at = int(np.searchsorted(total, reached + int(count) * (1 - 1e-12)))
        if at >= len(total):
            return np.array(ends, dtype=np.int64)
        ends.append(at + 1)
        reached = float(total[at])
