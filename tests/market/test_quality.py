"""Quality: nothing found in clean data, injected faults found, however the source is cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

import onetape.market as market

from .feeds import MINUTE, START, minute_bars, quotes, trades

PAIR = market.fx("EUR/USD.SIM")
SHARE = market.equity("GOOG.XNAS")
PERPETUAL = market.crypto_perpetual("BTCUSDT-PERP.X", tick="0.01", size_increment="0.000001")


def found(frame: pl.DataFrame, instrument: market.Instrument) -> dict[str, int]:
    data = market.Dataset.from_frame(frame, instrument=instrument)
    return {f.kind: f.count for f in data.findings}


def with_row(frame: pl.DataFrame, at: int, **values: float) -> pl.DataFrame:
    here = pl.int_range(pl.len()) == at
    return frame.with_columns(
        pl.when(here).then(pl.lit(v)).otherwise(c).alias(c) for c, v in values.items()
    )


@pytest.mark.parametrize("seed", range(5))
def test_clean_data_has_no_findings(seed: int) -> None:
    assert found(quotes(100_000, seed), PAIR) == {}
    assert found(trades(20_000, seed), PERPETUAL) == {}
    assert found(minute_bars(20_000, seed), PERPETUAL) == {}
    assert not market.sample("EURUSD-ticks", seed=seed).findings


@pytest.mark.parametrize("at", [5_000, 65_534, 65_535, 65_536, 65_537])
def test_a_spike_is_found_also_at_the_edge_of_a_block(at: int) -> None:
    frame = quotes(70_000)
    bid = float(frame["bid"][at]) + 0.02
    spiked = with_row(frame, at, bid=round(bid, 5), ask=round(bid + 0.00005, 5))
    assert found(spiked, PAIR) == {"spike": 1}


def test_a_level_that_stays_is_no_spike() -> None:
    frame = quotes(10_000)
    here = pl.int_range(pl.len()) >= 5_000
    moved = frame.with_columns(
        pl.when(here).then((pl.col(c) + 0.02).round(5)).otherwise(c).alias(c)
        for c in ("bid", "ask")
    )
    assert found(moved, PAIR) == {}


def test_crossed_and_locked_quotes_are_counted() -> None:
    frame = quotes(1_000)
    bid = float(frame["bid"][10])
    spoiled = with_row(with_row(frame, 10, ask=bid), 20, ask=float(frame["bid"][20]) - 0.0001)
    assert found(spoiled, PAIR) == {"locked_quote": 1, "crossed_quote": 1}


@pytest.mark.parametrize("at", [100, 65_535])
def test_repeated_rows_are_counted_and_kept_for_ticks(at: int) -> None:
    frame = quotes(70_000)
    twice = pl.concat([frame[: at + 1], frame[at:]])
    data = market.Dataset.from_frame(twice, instrument=PAIR)
    assert {f.kind: f.count for f in data.findings} == {"duplicates": 1}
    assert data.rows == 70_001


def test_repeated_bars_are_counted_and_dropped() -> None:
    frame = minute_bars(100)
    data = market.Dataset.from_frame(pl.concat([frame, frame[50:60]]), instrument=PERPETUAL)
    assert {f.kind: f.count for f in data.findings} == {"duplicates": 10, "out_of_order": 1}
    clean = market.Dataset.from_frame(frame, instrument=PERPETUAL)
    assert data.fingerprint == clean.fingerprint


@pytest.mark.parametrize(("first", "last"), [(300, 301), (500, 530), (65_530, 65_540)])
def test_missing_minutes_are_a_gap(first: int, last: int) -> None:
    frame = minute_bars(70_000)
    holed = pl.concat([frame[:first], frame[last:]])
    assert found(holed, PERPETUAL) == {"gap": 1}


def test_a_silent_feed_is_a_gap_and_a_weekend_is_not() -> None:
    frame = quotes(20_000)
    later = pl.when(pl.int_range(pl.len()) >= 10_000)
    assert found(frame.with_columns(ts=later.then(pl.col("ts") + 60 * MINUTE).otherwise("ts")),
                 PAIR) == {"gap": 1}  # fmt: skip
    friday = START + 4 * 86_400 * 10**9 + 14 * 60 * MINUTE
    week = quotes(20_000, start=friday)
    late = week["ts"][10_000]
    shift = START + 6 * 86_400 * 10**9 + 22 * 60 * MINUTE - int(late)
    over = week.with_columns(ts=later.then(pl.col("ts") + shift).otherwise("ts"))
    assert found(over, PAIR) == {}


def test_nights_and_single_holidays_of_shares_are_no_gaps_but_a_lost_week_is() -> None:
    goog = market.sample("GOOG").frame()
    days = goog.select(time="ts_event", open="open", high="high", low="low", close="close",
                       volume="volume")  # fmt: skip
    plain = {f.kind: f.count for f in market.sample("GOOG").findings}
    holed = pl.concat([days[:500], days[505:]])
    again = market.Dataset.from_frame(holed, instrument=SHARE, step="1-DAY")
    assert {f.kind: f.count for f in again.findings}["gap"] == plain["gap"] + 1


@pytest.mark.parametrize("at", [1_000, 65_400])
def test_a_feed_that_hangs_is_stale(at: int) -> None:
    frame = quotes(70_000)
    hung = frame.with_columns(
        pl.when(pl.int_range(pl.len()).is_between(at, at + 700)).then(frame[c][at]).otherwise(c)
        .alias(c) for c in ("bid", "ask", "bid_size", "ask_size")
    )  # fmt: skip
    assert found(hung, PAIR).get("stale") == 1


def test_a_bar_whose_high_is_inside_is_found() -> None:
    frame = minute_bars(1_000)
    low = float(frame["low"][77])
    assert found(with_row(frame, 77, high=low - 0.01), PERPETUAL) == {"bar_shape": 1}


def test_findings_do_not_depend_on_how_the_source_is_cut(catalog: market.Catalog) -> None:
    frame = quotes(150_000)
    spoiled = with_row(frame, 70_000, ask=float(frame["bid"][70_000]) - 0.0001)
    spoiled = pl.concat([spoiled[:99_000], spoiled[98_999:]])
    whole = market.Dataset.from_frame(spoiled, instrument=PAIR).findings
    rng = np.random.default_rng(3)
    edges = [0, *sorted(rng.integers(0, 150_000, 20).tolist()), 150_001]
    pieces = (spoiled[a:b] for a, b in pairwise(edges))
    assert catalog.ingest(pieces, instrument=PAIR).findings == whole
    assert {f.kind for f in whole} == {"crossed_quote", "duplicates"}
