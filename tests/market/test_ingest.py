"""Ingest: what is inferred from a source, and how its times and numbers are read."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onetape.market as market
from onetape.errors import MarketDataError

from .feeds import MINUTE, START, minute_bars, quotes, real, trades

PAIR = market.fx("EUR/USD.SIM")
SHARE = market.equity("GOOG.XNAS")


def stamped(times: list[object], **more: object) -> pl.DataFrame:
    n = len(times)
    return pl.DataFrame({"time": times, "bid": [1.1] * n, "ask": [1.2] * n, **more}, strict=False)


AT = datetime(2024, 1, 8, 9, 30, 15, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "time",
    [
        "2024-01-08T09:30:15.250Z",
        "2024-01-08 09:30:15.25",
        "2024-01-08 04:30:15.250-05:00",
        "2024-01-08T11:30:15.250000000+02:00",
        "20240108 093015250",
        "20240108-093015250000",
        1_704_706_215_250,
        1_704_706_215_250_000,
        1_704_706_215_250_000_000,
        "1704706215250",
        1_704_706_215.25,
        AT,
        AT.replace(tzinfo=None),
    ],
    ids=str,
)
def test_every_common_form_of_time_is_the_same_instant(time: object) -> None:
    data = market.Dataset.from_frame(stamped([time]), instrument=PAIR)
    assert data.start == AT


def test_a_naive_time_is_read_in_the_zone_asked_for_else_the_instruments() -> None:
    frame = stamped(["2024-07-08 09:30:00"])
    assert market.Dataset.from_frame(frame, instrument=PAIR, tz="Asia/Tokyo").start.hour == 0
    data = market.Dataset.from_frame(frame, instrument=SHARE)
    assert data.start.hour == 13
    assert "naive, read in America/New_York" in data.inferred["time"]
    in_utc = market.Dataset.from_frame(frame.rename({"time": "timestamp_utc"}), instrument=SHARE)
    assert in_utc.start.hour == 9


def test_an_hour_that_the_clocks_repeat_or_skip_is_refused() -> None:
    for time in ("2024-11-03 01:30:00", "2024-03-10 02:30:00"):
        with pytest.raises(MarketDataError, match='say tz="UTC"'):
            market.Dataset.from_frame(stamped([time]), instrument=SHARE)


def test_date_and_time_in_two_columns_are_one_time() -> None:
    frame = stamped(["09:30:00"]).insert_column(0, pl.Series("date", ["2024-01-08"]))
    assert market.Dataset.from_frame(frame, instrument=PAIR).start.hour == 9


def test_a_daily_bar_closes_with_the_session_or_at_midnight() -> None:
    days = ["2024-01-08", "2024-01-09", "2024-07-08"]
    frame = pl.DataFrame({"Date": days, "O": [1.0] * 3, "H": [2.0] * 3, "L": [1.0] * 3,
                          "C": [1.5] * 3, "Vol": [3] * 3})  # fmt: skip
    data = market.Dataset.from_frame(frame, instrument=SHARE, step="1-DAY")
    assert data.frame()["ts_event"].dt.hour().to_list() == [21, 21, 20]
    assert data.bar_type == "GOOG.XNAS-1-DAY-LAST-EXTERNAL"
    assert "session close 16:00" in data.inferred["time"]
    around = market.Dataset.from_frame(frame, instrument=PAIR, step="1-DAY")
    assert around.start == datetime(2024, 1, 9, tzinfo=UTC)


def test_bars_stamped_with_their_open_are_moved_to_their_close() -> None:
    frame = minute_bars(50)
    opened = frame.with_columns(pl.col("time").dt.offset_by("-1m"))
    data = market.Dataset.from_frame(opened, instrument=SHARE, stamp="open")
    closed = market.Dataset.from_frame(frame, instrument=SHARE)
    assert data.frame().equals(closed.frame())
    assert data.stamp == "open"
    assert "moved by 1-MINUTE" in data.inferred["stamp"]


@pytest.mark.parametrize(
    ("seconds", "step"),
    [
        (1, "1-SECOND"),
        (300, "5-MINUTE"),
        (14_400, "4-HOUR"),
        (86_400, "1-DAY"),
        (604_800, "1-WEEK"),
    ],
)
def test_the_step_of_bars_is_their_most_common_distance(seconds: int, step: str) -> None:
    frame = minute_bars(50)
    ts = pl.Series("time", START + np.arange(50) * seconds * 10**9)
    assert market.Dataset.from_frame(frame.with_columns(ts), instrument=PAIR).step == step


def test_prices_become_exact_decimals_on_the_tick() -> None:
    frame = stamped([START, START + 1]).with_columns(bid=pl.Series([1.1, 0.1 + 0.2]))
    got = market.Dataset.from_frame(frame, instrument=PAIR).frame()["bid_price"]
    assert got.to_list() == [Decimal("1.1"), Decimal("0.3")]


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=50), st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_a_price_on_the_tick_is_kept_to_the_last_digit(ticks: list[int], digits: int) -> None:
    own = market.fx("EUR/USD.SIM", tick=Decimal(1).scaleb(-digits))
    exact = [Decimal(t).scaleb(-digits) for t in ticks]
    frame = pl.DataFrame({"time": [START] * len(ticks), "bid": [float(d) for d in exact],
                          "ask": exact})  # fmt: skip
    kept = market.Dataset.from_frame(frame, instrument=own).frame()
    assert kept["bid_price"].to_list() == exact
    assert kept["ask_price"].to_list() == exact


def test_a_few_prices_off_the_tick_are_rounded_and_told_most_are_refused() -> None:
    frame = quotes(100)
    one = frame.with_columns(
        ask=pl.when(pl.int_range(pl.len()) == 7).then(pl.col("ask") + 0.000004).otherwise("ask")
    )
    data = market.Dataset.from_frame(one, instrument=PAIR)
    (found,) = (f for f in data.findings if f.kind == "off_tick")
    assert found.count == 1
    with pytest.raises(MarketDataError, match=r"Perhaps the tick is 0.00001"):
        market.Dataset.from_frame(frame, instrument=market.fx("EUR/USD.SIM", tick="0.001"))


def test_a_tick_that_is_no_power_of_ten_is_kept_to_its_multiples() -> None:
    own = market.future("ESH4.XCME", tick="0.25", multiplier=50, expiry="2024-03-15")
    frame = minute_bars(100).with_columns((pl.col("open", "high", "low", "close") * 25).round(2))
    assert not market.Dataset.from_frame(frame, instrument=own).findings
    odd = frame.with_columns(high=pl.when(pl.int_range(pl.len()) == 3).then(pl.col("high") + 0.1)
                             .otherwise("high"))  # fmt: skip
    (found,) = market.Dataset.from_frame(odd, instrument=own).findings
    assert (found.kind, found.count) == ("off_tick", 1)


def test_trades_know_their_aggressor_however_it_is_written(perpetual: market.Instrument) -> None:
    frame = trades(4).drop("side", "trade_id")
    sides = frame.with_columns(side=pl.Series(["B", "sell", "S", "none"]))
    got = market.Dataset.from_frame(sides, instrument=perpetual).frame()
    assert got["aggressor_side"].to_list() == ["BUY", "SELL", "SELL", "NO_AGGRESSOR"]
    maker = frame.with_columns(isBuyerMaker=pl.Series([True, False, True, False]))
    got = market.Dataset.from_frame(maker, instrument=perpetual).frame()
    assert got["aggressor_side"].to_list() == ["SELL", "BUY", "SELL", "BUY"]


def test_missing_trade_ids_are_the_time_and_the_place_within_it(
    perpetual: market.Instrument,
) -> None:
    frame = trades(4).drop("trade_id").with_columns(timestamp=pl.Series([START] * 3 + [START + 5]))
    ids = market.Dataset.from_frame(frame, instrument=perpetual).frame()["trade_id"].to_list()
    assert ids == [f"{START}-0", f"{START}-1", f"{START}-2", f"{START + 5}-0"]


def test_missing_sizes_of_quotes_are_assumed_and_told() -> None:
    data = market.Dataset.from_frame(stamped([START]), instrument=PAIR)
    assert data.frame()["bid_size"].to_list() == [1_000_000]
    assert data.inferred["bid_size"] == "1000000 assumed"
    assert [f.kind for f in data.findings] == ["assumed_size"]


def test_what_was_inferred_is_shown() -> None:
    data = market.Dataset.from_frame(minute_bars(), instrument=SHARE)
    assert "step 1-MINUTE" in repr(data)
    assert "read as: step" in data._repr_html_()


def test_rows_out_of_order_are_sorted_and_told(catalog: market.Catalog) -> None:
    frame = quotes(300_000)
    mixed = pl.concat([frame[200_000:], frame[:200_000].reverse()])
    data = catalog.ingest(mixed, instrument=PAIR)
    whole = market.Dataset.from_frame(frame, instrument=PAIR)
    assert data.fingerprint == whole.fingerprint
    assert [f.kind for f in data.findings] == ["out_of_order"]
    assert market.Dataset.from_frame(mixed, instrument=PAIR).fingerprint == whole.fingerprint


def test_every_kind_of_source_gives_the_same_dataset(tmp_path: Path) -> None:
    frame = minute_bars(500)
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    frame[:200].write_csv(tmp_path / "part-1.csv")
    frame[200:].write_csv(tmp_path / "part-2.csv")
    want = market.Dataset.from_frame(frame, instrument=SHARE).fingerprint
    parts = [tmp_path / "part-1.csv", tmp_path / "part-2.csv"]
    for source in (
        frame.lazy(), frame.to_arrow(), iter([frame[:7], frame[7:]]), tmp_path / "a.csv",
        str(tmp_path / "a.parquet"), tmp_path / "a.csv.gz", tmp_path / "part-*.csv", parts,
    ):  # fmt: skip
        assert market.Dataset.from_frame(source, instrument=SHARE).fingerprint == want  # type: ignore[arg-type]


def test_the_source_is_kept_with_its_hash(catalog: market.Catalog, tmp_path: Path) -> None:
    minute_bars(50).write_csv(tmp_path / "a.csv")
    data = catalog.ingest(tmp_path / "a.csv", instrument=SHARE)
    (source,) = catalog.dataset(data.name).source
    assert source["rows"] == 50
    assert source["files"][0]["file"] == "a.csv"
    assert len(source["files"][0]["sha256"]) == 64


def test_real_dollar_yen_ticks(catalog: market.Catalog) -> None:
    own = market.fx("USD/JPY.SIM", tick="0.001")
    data = catalog.ingest(real("usdjpy-ticks.csv"), instrument=own)
    assert (data.rows, data.start.year) == (1_000, 2013)
    assert {f.kind for f in data.findings} == {"assumed_size", "locked_quote"}


def test_real_quotes_without_a_header_need_a_mapping(catalog: market.Catalog) -> None:
    path = real("quote_tick_data.csv")
    with pytest.raises(MarketDataError, match="mapping="):
        catalog.ingest(path, instrument=PAIR)
    data = catalog.ingest(path, instrument=PAIR, mapping={"time": 0, "bid": 1, "ask": 2})
    assert data.rows == 9_500
    assert data.start == datetime(2020, 1, 1, 17, 0, 0, 65_000, tzinfo=UTC)


def test_real_minute_bars_of_a_euro_future(catalog: market.Catalog) -> None:
    own = market.future("6EH4.XCME", tick="0.00005", multiplier=125_000, expiry="2024-03-18")
    path = real("6EH4.XCME_1min_bars_20240101_20240131.csv.gz")
    data = catalog.ingest(path, instrument=own, stamp="open")
    assert (data.step, data.start.minute) == ("1-MINUTE", 2)
    assert data.verify()


def test_real_bitcoin_quotes_and_trades(
    catalog: market.Catalog, perpetual: market.Instrument
) -> None:
    both = [catalog.ingest(real(f"btcusdt-{kind}.parquet"), instrument=perpetual)
            for kind in ("quotes", "trades")]  # fmt: skip
    assert [(d.kind, d.rows) for d in both] == [("quotes", 451), ("trades", 2_001)]
    assert not [f for d in both for f in d.findings if f.severity == "error"]


def test_the_minute_of_the_feeds_is_a_minute() -> None:
    assert MINUTE == 60 * 10**9


def test_a_csv_column_of_whole_numbers_may_turn_to_fractions_late(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    frame = minute_bars(20_000).with_columns(
        pl.col("time").to_physical(), pl.lit(10**8).alias("volume")
    )
    path.write_text(frame.write_csv() + f"{START + 20_001 * MINUTE},200,200,200,200,1.5\n")
    own = market.crypto_perpetual("BTCUSDT-PERP.X", tick="0.01", size_increment="0.1")
    data = market.Dataset.from_frame(path, instrument=own)  # type: ignore[arg-type]
    assert data.frame()["volume"][-1] == Decimal("1.5")


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_epochs_under_a_name_of_ones_own_keep_their_last_digit(tmp_path: Path, unit: int) -> None:
    frame = pl.DataFrame({"Zeit": [START // unit + 1], "bid": [1.1], "ask": [1.2]})
    frame.write_csv(tmp_path / "a.csv")
    data = market.Dataset.from_frame(tmp_path / "a.csv", instrument=PAIR, mapping={"time": "Zeit"})  # type: ignore[arg-type]
    assert data.frame()["ts_event"].to_physical().to_list() == [(START // unit + 1) * unit]


def test_ids_in_a_csv_stay_text(tmp_path: Path, perpetual: market.Instrument) -> None:
    trades(5).with_columns(trade_id=pl.Series(range(5))).write_csv(tmp_path / "t.csv")
    data = market.Dataset.from_frame(tmp_path / "t.csv", instrument=perpetual)  # type: ignore[arg-type]
    assert data.frame()["trade_id"].to_list() == ["0", "1", "2", "3", "4"]


def test_bars_that_repeat_and_go_back_come_out_sorted_once(
    catalog: market.Catalog, perpetual: market.Instrument
) -> None:
    frame = minute_bars(150_000)
    pieces = [frame[:100], frame[90:100_000], frame[110_000:], frame[100_000:110_000], frame[5:9]]
    data = catalog.ingest(pl.concat(pieces), instrument=perpetual)
    whole = market.Dataset.from_frame(frame, instrument=perpetual)
    assert data.fingerprint == whole.fingerprint
    assert data.verify()
    counts = {f.kind: f.count for f in data.findings}
    assert counts["duplicates"] == 14
