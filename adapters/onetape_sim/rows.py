"""Where a world's rows come from: datasets, or a seeded generator.

Rows come in order of time; at one time in the order of the datasets. A bar is followed by the
venue alone when it opens (`Opened`), and by everybody when it closes.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from onetape.errors import MarketDataError, SettingsError, UnknownDataset
from onetape.market import Catalog, Dataset, Instrument, equity, sample
from onetape.market.blocks import SIDES, Block
from onetape.run.ports import AnyRow, Bar, Quote, Side, Trade
from onetape_sim.config import Config, Generator

NS = 1_000_000_000
SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400, "WEEK": 604_800}

_given: dict[str, Dataset] = {}


class Opened(NamedTuple):
    """A bar opens at a price; only the venue sees it."""

    instrument: str
    ts_event: int
    price: Decimal


Item = AnyRow | Opened


class Source(NamedTuple):
    """What there is, and how to read it from the beginning; `streams` are (instrument, data,
    step) as in subscriptions."""

    instruments: tuple[Instrument, ...]
    streams: frozenset[tuple[str, str, str | None]]
    read: Callable[[], Iterator[Item]]
    synthetic: bool = True  # whether no market ever traded so


def put(name: str, dataset: Dataset) -> None:
    """Let configs in this process name `dataset` in their `data`."""
    _given[name] = dataset


def source(config: Config) -> Source:
    """Return the rows that a config names; UnknownDataset, SettingsError where there are none."""
    more = listed(config)
    if config.generator is not None:
        return _generated(config.generator, more)
    datasets = [_sliced(_dataset(name, config), config) for name in config.names]
    instruments = {i.id: i for i in (*more, *(d.instrument for d in datasets))}
    streams = frozenset((d.instrument.id, d.kind, d.step) for d in datasets)
    synthetic = any(d.synthetic for d in datasets)
    return Source(tuple(instruments.values()), streams, lambda: _merged(datasets), synthetic)


def listed(config: Config) -> tuple[Instrument, ...]:
    """Return the instruments that a config lists itself; SettingsError where one is none."""
    return tuple(_instrument(dict(each)) for each in config.instruments)


def _instrument(said: dict[str, object]) -> Instrument:
    try:
        return msgspec.convert(said, Instrument, strict=False)
    except msgspec.ValidationError as err:
        raise SettingsError(f"an instrument of the config does not fit: {err}") from None


def _dataset(name: str, config: Config) -> Dataset:
    if name in _given:
        return _given[name]
    if config.samples:
        return sample(name)
    if config.catalog:
        return Catalog(config.catalog).dataset(name)
    raise UnknownDataset(
        f"no dataset {name!r} in this process. Name a catalog (catalog=...), say samples=true, "
        "or give the dataset itself with onetape_sim.put(name, dataset)."
    )


def _sliced(dataset: Dataset, config: Config) -> Dataset:
    if config.start is None and config.end is None:
        return dataset
    return dataset.slice(config.start, config.end)


# -- datasets


def _merged(datasets: list[Dataset]) -> Iterator[Item]:
    if len(datasets) == 1:
        return _rows(datasets[0])
    return heapq.merge(*(_rows(d) for d in datasets), key=lambda row: row.ts_event)


def _rows(dataset: Dataset) -> Iterator[Item]:
    makers = {"quotes": _quotes, "trades": _trades, "bars": _bars}
    maker = makers.get(dataset.kind)
    if maker is None:
        raise MarketDataError(f"{dataset.name} holds {dataset.kind}; quotes, trades, bars expected")
    return maker(dataset)


class _Exact(dict[int, Decimal]):
    """Scaled integers as decimals, each made once."""

    def __init__(self, digits: int) -> None:
        super().__init__()
        self._digits = digits

    def __missing__(self, scaled: int) -> Decimal:
        if len(self) > 100_000:
            self.clear()
        made = self[scaled] = Decimal(scaled).scaleb(-self._digits)
        return made


def _columns(block: Block) -> Iterator[tuple[int, ...]]:
    return zip(block.ts.tolist(), *(v.tolist() for v in block.values), strict=True)


def _quotes(dataset: Dataset) -> Iterator[Item]:
    name = dataset.instrument.id
    price, size = _exact(dataset.instrument)
    count = 0
    for block in dataset.blocks(rows=8_192):
        for ts, bid, ask, bid_size, ask_size in _columns(block):
            count += 1
            yield Quote(name, ts, price[bid], price[ask], size[bid_size], size[ask_size], count)


def _trades(dataset: Dataset) -> Iterator[Item]:
    name = dataset.instrument.id
    price, size = _exact(dataset.instrument)
    sides: tuple[Side | None, ...] = (None, "BUY", "SELL")
    assert len(sides) == len(SIDES)
    count = 0
    for block in dataset.blocks(rows=8_192):
        ids: list[str] = block.ids.to_pylist()
        for (ts, at, units, side), trade_id in zip(_columns(block), ids, strict=True):
            count += 1
            yield Trade(name, ts, price[at], size[units], sides[side], trade_id, count)


def _bars(dataset: Dataset) -> Iterator[Item]:
    instrument, step = dataset.instrument, dataset.step or ""
    price, size = _exact(instrument)
    before = 0
    for count, (ts, *values) in enumerate(
        (row for block in dataset.blocks(rows=8_192) for row in _columns(block)), 1
    ):
        opened, high, low, close = (price[value] for value in values[:4])
        begins = min(max(opens(instrument, step, ts), before) + 1, ts)
        yield Opened(instrument.id, begins, opened)
        volume = size[values[4]]
        yield Bar(instrument.id, ts, step, opened, high, low, close, volume, count)
        before = ts


def opens(instrument: Instrument, step: str, closes: int) -> int:
    """Return when the bar that closes at `closes` begins (ns UTC); 0 where its step has no time."""
    count, _, unit = step.partition("-")
    if unit == "DAY" and instrument.session is not None:
        local = datetime.fromtimestamp(closes // NS, UTC).astimezone(ZoneInfo(instrument.tz))
        hour, minute = (int(part) for part in instrument.session[0].split(":"))
        return int(local.replace(hour=hour, minute=minute, second=0).timestamp()) * NS
    return closes - int(count) * SECONDS[unit] * NS if unit in SECONDS else 0


def _exact(instrument: Instrument) -> tuple[_Exact, _Exact]:
    return _Exact(instrument.price_precision), _Exact(instrument.size_precision)


# -- the generator


def _generated(said: Generator, more: tuple[Instrument, ...]) -> Source:
    known = {i.id: i for i in more}
    given = said.instruments
    names = given if not isinstance(given, int) else tuple(f"GEN{n:03}.SIM" for n in range(given))
    if not names or said.rate <= 0 or said.seconds <= 0 or said.spread < 1 or said.size < 1:
        raise SettingsError(f"{said} found; instruments, rate, seconds, spread and size above zero")
    made = tuple(
        known.get(name) or equity(name, tick=said.tick, session=None, tz="UTC") for name in names
    )
    streams = frozenset((name, "quotes", None) for name in names)
    return Source(
        (*made, *(i for i in more if i.id not in names)), streams, lambda: walk(said, made)
    )


def walk(said: Generator, instruments: tuple[Instrument, ...]) -> Iterator[Quote]:
    """Yield made-up quotes; the same on every machine, since only integers are drawn."""
    draw = random.Random(said.seed)
    start = int(datetime.fromisoformat(said.start).replace(tzinfo=UTC).timestamp()) * NS
    gap = max(1, int(NS / said.rate))
    exact = {i.id: _Exact(i.price_precision) for i in instruments}
    ticks = {i.id: int(i.tick.scaleb(i.price_precision)) for i in instruments}
    mids = {i.id: int(said.price / i.tick) for i in instruments}
    counts = dict.fromkeys(mids, 0)
    for at in range(int(said.rate * said.seconds)):
        name = instruments[draw.randrange(len(instruments))].id
        mids[name] = mid = max(mids[name] + draw.randrange(3) - 1, said.spread + 1)
        counts[name] += 1
        bid = mid - draw.randrange(said.spread)
        price, tick = exact[name], ticks[name]
        yield Quote(
            name,
            start + at * gap + draw.randrange(gap),
            price[bid * tick],
            price[(bid + 1 + draw.randrange(said.spread)) * tick],
            Decimal(1 + draw.randrange(said.size)),
            Decimal(1 + draw.randrange(said.size)),
            counts[name],
        )
