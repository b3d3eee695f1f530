"""Samples and corporate actions: real days, real splits, and a market that says it is made up."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import onetape as ot
import onetape.market as market
from onetape.errors import MarketDataError, SettingsError, UnknownDataset
from onetape.market.actions import derive


def day(action: market.Split | market.Dividend) -> str:
    return datetime.fromtimestamp(action.ts / 1e9, UTC).date().isoformat()


def splits(name: str) -> list[tuple[str, Decimal]]:
    return [(day(a), a.ratio) for a in market.sample(name).actions if isinstance(a, market.Split)]


def dividends(name: str) -> dict[str, Decimal]:
    actions = market.sample(name).actions
    return {day(a): a.amount for a in actions if isinstance(a, market.Dividend)}


@pytest.mark.parametrize(
    ("name", "rows", "first"),
    [
        ("GOOG", 2148, "2004-08-19"), ("AAPL", 3270, "2000-03-01"), ("FB", 196, "2012-05-18"),
        ("IBM", 3270, "2000-03-01"), ("MSFT", 3270, "2000-03-01"),
    ],
)  # fmt: skip
def test_a_sample_holds_its_days(name: str, rows: int, first: str) -> None:
    data = market.sample(name)
    assert (data.rows, data.start.date().isoformat(), data.step) == (rows, first, "1-DAY")
    assert data.end.date() == date(2013, 3, 1)
    assert data.source[0]["type"] == "bokeh_sampledata"
    assert len(data.source[0]["files"][0]["sha256"]) == 64
    assert not data.synthetic
    assert data.verify()
    assert not {f.kind for f in data.findings} - {"gap", "off_tick"}


def test_the_splits_of_apple_and_microsoft_are_found_and_no_others() -> None:
    assert splits("AAPL") == [("2000-06-21", Decimal(2)), ("2005-02-28", Decimal(2))]
    assert splits("MSFT") == [("2003-02-18", Decimal(2))]
    assert splits("IBM") == splits("GOOG") == splits("FB") == []


def test_dividends_are_within_a_few_cents_of_those_declared() -> None:
    assert list(dividends("AAPL")) == ["2012-08-09", "2012-11-07", "2013-02-07"]
    assert all(abs(d - Decimal("2.65")) < Decimal("0.11") for d in dividends("AAPL").values())
    assert len(dividends("IBM")) == 52
    assert abs(dividends("IBM")["2012-08-08"] - Decimal("0.85")) <= Decimal("0.01")
    assert abs(dividends("MSFT")["2004-11-15"] - Decimal("3.08")) <= Decimal("0.15")
    assert dividends("GOOG") == dividends("FB") == {}


def test_an_action_falls_on_the_open_of_its_day_before_the_first_trade() -> None:
    split = market.sample("AAPL").actions[1]
    assert datetime.fromtimestamp(split.ts / 1e9, UTC) == datetime(2005, 2, 28, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize("name", ["AAPL", "MSFT", "IBM", "GOOG", "FB"])
def test_adjusting_gives_the_returns_of_the_adjusted_close(name: str) -> None:
    import importlib.util
    from pathlib import Path

    origin = importlib.util.find_spec("bokeh_sampledata").origin
    frame = pl.read_csv(Path(origin).parent / "_data" / "stocks.csv.gz")
    theirs = frame.filter(pl.col("Ticker") == name)["Adj Close"].to_numpy()
    ours = market.sample(name).frame("all")["close"].to_numpy()
    ratio = (ours / ours[-1]) / (theirs / theirs[-1])
    assert np.abs(np.diff(np.log(ratio))).max() < 2.5e-3
    assert np.abs(ratio - 1).max() < 0.01


def test_adjusting_for_splits_scales_volume_against_price() -> None:
    raw, adjusted = market.sample("AAPL").frame(), market.sample("AAPL").frame("splits")
    assert float(raw["close"][0]) / adjusted["close"][0] == pytest.approx(4)
    assert adjusted["volume"][0] / float(raw["volume"][0]) == pytest.approx(4)
    assert adjusted["close"][-1] == float(raw["close"][-1])
    with pytest.raises(SettingsError, match='expected None, "splits" or "all"'):
        market.sample("AAPL").frame("dividends")  # type: ignore[arg-type]
    with pytest.raises(MarketDataError, match="only bars can be adjusted"):
        market.sample("EURUSD-ticks").frame("all")


def test_rounding_noise_of_an_adjusted_close_makes_no_dividend() -> None:
    rng = np.random.default_rng(2)
    close = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.02, 500))), 2)
    factor = np.where(np.arange(500) < 300, 0.5 * (1 - 0.5 / close[299]), 1.0)
    factor[200:300] = 1 - 0.5 / close[299]
    close[:200] = np.round(close[:200] * 2, 2)
    adjusted = np.round(close * factor, 2)
    days = [date.fromordinal(738_000 + i) for i in range(500)]
    found = derive(days, close, adjusted, market.equity("X.XNAS"))
    assert [type(a).__name__ for a in found] == ["Split", "Dividend"]
    assert found[0].ratio == 2  # type: ignore[union-attr]
    assert abs(found[1].amount - Decimal("0.5")) <= Decimal("0.02")  # type: ignore[union-attr]


def test_an_unknown_sample_suggests_those_alike() -> None:
    with pytest.raises(UnknownDataset, match="Did you mean GOOG"):
        market.sample("GOOGL")
    assert market.samples() == ["GOOG", "AAPL", "FB", "IBM", "MSFT", "EURUSD-ticks"]


def test_the_made_up_market_says_so_everywhere() -> None:
    data = market.sample("EURUSD-ticks", rows=1_000)
    assert data.synthetic
    assert "SYNTHETIC" in data.name
    assert "SYNTHETIC" in repr(data)
    assert "SYNTHETIC" in data._repr_html_()
    assert data.source[0]["seed"] == 7


def test_the_made_up_market_is_the_same_for_a_seed_and_another_for_another() -> None:
    a, b, c = (market.sample("EURUSD-ticks", seed=s, rows=2_000) for s in (7, 7, 8))
    assert a.fingerprint == b.fingerprint != c.fingerprint
    assert a.fingerprint[:16] == "87b57b7e507afc4c"
    with pytest.raises(SettingsError, match="rows is 0"):
        market.sample("EURUSD-ticks", rows=0)


def test_the_made_up_market_has_weekdays_and_spreads_of_a_tenth_to_one_and_a_half_pips() -> None:
    frame = market.sample("EURUSD-ticks", rows=1_000_000).frame()
    assert frame["ts_event"].dt.weekday().max() <= 5
    assert frame["ts_event"].is_sorted()
    pips = ((frame["ask_price"] - frame["bid_price"]).cast(float) * 10_000).round(3)
    assert (pips.min(), pips.max()) == (0.1, 1.5)
    days = frame["ts_event"].dt.date().unique().sort().to_list()
    assert any((b - a).days == 3 for a, b in pairwise(days))


def test_a_sample_goes_into_a_catalog_with_its_source_actions_and_findings(tmp_path: Path) -> None:
    sample = ot.sample("AAPL")
    kept = ot.Catalog(tmp_path).ingest(sample)
    again = ot.Catalog(tmp_path).ingest(sample)
    assert kept.fingerprint == again.fingerprint == sample.fingerprint
    assert kept.source[0]["files"] == sample.source[0]["files"]
    assert kept.actions == sample.actions
    assert {f.kind: f.count for f in kept.findings} == {f.kind: f.count for f in sample.findings}


def test_a_source_that_does_not_say_whose_it_is_needs_an_instrument(tmp_path: Path) -> None:
    with pytest.raises(ot.errors.SettingsError, match="instrument="):
        ot.Catalog(tmp_path).ingest(ot.sample("AAPL").frame())
