"""The catalog: ingesting twice, overlapping, disagreeing, crashing, elsewhere than on disk."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nautilus_trader.persistence import ParquetDataCatalog

import onetape.market as market
from onetape.errors import (
    Conflict,
    MarketDataError,
    SettingsError,
    SpoiledData,
    UnknownDataset,
)

from .feeds import minute_bars, quotes, trades

PAIR = market.fx("EUR/USD.SIM")
SHARE = market.equity("GOOG.XNAS")


def files(catalog: market.Catalog) -> dict[str, bytes]:
    root = Path(catalog.path)
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_same_content_twice_adds_nothing_and_says_so(catalog: market.Catalog) -> None:
    first = catalog.ingest(quotes(), instrument=PAIR)
    before = files(catalog)
    again = catalog.ingest(quotes(), instrument=PAIR)
    assert again.fingerprint == first.fingerprint
    assert "already kept" in again.inferred["ingest"]
    assert files(catalog) == before


def test_rows_that_follow_are_added_and_the_first_file_stays(catalog: market.Catalog) -> None:
    frame = quotes(2_000)
    catalog.ingest(frame[:1_200], instrument=PAIR)
    before = files(catalog)
    both = catalog.ingest(frame[1_200:], instrument=PAIR)
    whole = market.Dataset.from_frame(frame, instrument=PAIR)
    assert (both.rows, both.fingerprint) == (2_000, whole.fingerprint)
    assert all(files(catalog)[p] == b for p, b in before.items() if p.endswith("parquet"))
    assert len(both.source) == 2


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(1, 299), back=st.integers(0, 300), seed=st.integers(0, 9))
def test_overlapping_pieces_that_agree_make_the_whole(
    tmp_path_factory: pytest.TempPathFactory, cut: int, back: int, seed: int
) -> None:
    catalog = market.Catalog(tmp_path_factory.mktemp("catalog"))
    frame = quotes(300, seed)
    catalog.ingest(frame[:cut], instrument=PAIR)
    data = catalog.ingest(frame[max(0, cut - back) :], instrument=PAIR)
    assert data.fingerprint == market.Dataset.from_frame(frame, instrument=PAIR).fingerprint
    theirs = ParquetDataCatalog(catalog.path).query_quote_ticks([PAIR.id])
    assert len(theirs) == data.rows == 300
    assert data.verify()


def test_a_hole_is_filled_by_a_later_ingest(catalog: market.Catalog) -> None:
    frame = minute_bars(600)
    holed = pl.concat([frame[:200], frame[400:]])
    catalog.ingest(holed, instrument=SHARE, step="1-MINUTE")
    data = catalog.ingest(frame[150:450], instrument=SHARE, step="1-MINUTE")
    assert data.fingerprint == market.Dataset.from_frame(frame, instrument=SHARE).fingerprint
    assert data.frame()["ts_event"].is_sorted()


def test_overlapping_rows_that_disagree_are_a_conflict_and_change_nothing(
    catalog: market.Catalog,
) -> None:
    frame = minute_bars(300)
    catalog.ingest(frame[:200], instrument=SHARE)
    before = files(catalog)
    other = frame[100:].with_columns(volume=pl.col("volume") + 7)
    with pytest.raises(Conflict, match=r"2024-01-08T01:41:00.* volume=\d+, new .*volume=\d+"):
        catalog.ingest(other, instrument=SHARE)
    assert files(catalog) == before


def test_two_bars_of_one_time_that_differ_are_a_conflict(catalog: market.Catalog) -> None:
    frame = minute_bars(50)
    twice = pl.concat([frame, frame[20:21].with_columns(volume=pl.lit(1, pl.Int64))])
    with pytest.raises(Conflict, match="two bars close at 2024-01-08T00:21"):
        catalog.ingest(twice, instrument=SHARE)
    assert files(catalog) == {}


def test_a_second_dataset_of_the_same_instrument_lies_apart(catalog: market.Catalog) -> None:
    catalog.ingest(minute_bars(100), instrument=SHARE)
    other = catalog.ingest(minute_bars(100, seed=2), instrument=SHARE, name="vendor-b")
    assert catalog.datasets()["name"].to_list() == ["GOOG.XNAS-1-MINUTE", "vendor-b"]
    assert other.verify()
    assert catalog.dataset("GOOG.XNAS-1-MINUTE").verify()
    bars = ParquetDataCatalog(catalog.path).query_bars([other.bar_type])
    assert len(bars) == 100
    apart = ParquetDataCatalog(f"{catalog.path}/onetape/named/vendor-b")
    assert len(apart.query_bars([other.bar_type])) == 100


def test_a_dataset_is_found_by_name_or_fingerprint_and_listed(catalog: market.Catalog) -> None:
    data = catalog.ingest(quotes(), instrument=PAIR)
    assert catalog.dataset("EURUSD.SIM-quotes").fingerprint == data.fingerprint
    assert catalog.dataset(data.fingerprint[:8]).name == data.name
    assert catalog.datasets().select("instrument", "rows").rows() == [("EUR/USD.SIM", 1_000)]
    with pytest.raises(UnknownDataset, match=r"there are EURUSD.SIM-quotes"):
        catalog.dataset("EURUSD-quotes")


def test_a_removed_dataset_leaves_no_rows(catalog: market.Catalog) -> None:
    catalog.ingest(quotes(), instrument=PAIR)
    catalog.remove("EURUSD.SIM-quotes")
    assert catalog.datasets().is_empty()
    assert not ParquetDataCatalog(catalog.path).query_quote_ticks([PAIR.id])
    with pytest.raises(UnknownDataset, match="the catalog is empty"):
        catalog.remove("EURUSD.SIM-quotes")


def test_a_catalog_in_memory_keeps_the_same_promises() -> None:
    catalog = market.Catalog("memory://promises")
    frame = trades(3_000)
    own = market.crypto_perpetual("BTCUSDT-PERP.X", tick="0.01", size_increment="0.000001")
    catalog.ingest(frame[:2_000], instrument=own)
    data = catalog.ingest(frame[2_000:], instrument=own)
    whole = market.Dataset.from_frame(frame, instrument=own)
    assert data.fingerprint == whole.fingerprint
    assert data.frame().equals(whole.frame())
    part = data.slice("2024-01-08T00:05", "2024-01-08T00:10")
    assert part.frame().equals(whole.slice("2024-01-08T00:05", "2024-01-08T00:10").frame())
    with pytest.raises(Conflict):
        catalog.ingest(frame[100:200].with_columns(size=pl.lit(1.0)), instrument=own)
    catalog.remove(data.name)
    assert catalog.datasets().is_empty()


def test_a_changed_file_is_noticed(catalog: market.Catalog) -> None:
    data = catalog.ingest(quotes(), instrument=PAIR)
    (path,) = (Path(catalog.path) / "data/quotes/EURUSD.SIM").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MarketDataError, match="changed or cut"):
        data.verify()
    path.unlink()
    with pytest.raises(MarketDataError, match="is gone"):
        data.verify()


CRASH = """
    import os, sys
    import onetape.market as market
    from onetape.market import catalog as module
    sys.path.insert(0, {tests!r})
    from market_feeds import quotes

    def die(place):
        if place == {place!r}:
            os._exit(9)

    def source():
        frame = quotes(200_000, seed=2)
        yield frame[:150_000]
        if {place!r} == "reading":
            os._exit(9)
        yield frame[150_000:]

    module._fault = die
    market.Catalog({path!r}).ingest(source(), instrument=market.fx("EUR/USD.SIM"))
"""


@pytest.mark.parametrize("place", ["reading", "before manifest", "after manifest"])
@pytest.mark.parametrize("empty", [True, False], ids=["new", "overlapping"])
def test_a_killed_ingest_leaves_the_old_content_or_the_new(
    tmp_path: Path, place: str, empty: bool
) -> None:
    catalog = market.Catalog(tmp_path / "catalog")
    frame = quotes(200_000, seed=2)
    if not empty:
        old = catalog.ingest(frame[:1_000], instrument=PAIR)
    feeds = Path(__file__).with_name("feeds.py").read_text()
    (tmp_path / "market_feeds.py").write_text(feeds)
    script = textwrap.dedent(CRASH).format(place=place, path=catalog.path, tests=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    if place == "after manifest":
        assert catalog.dataset("EURUSD.SIM-quotes").rows == 200_000
    elif empty:
        assert catalog.datasets().is_empty()
    else:
        assert catalog.dataset("EURUSD.SIM-quotes").fingerprint == old.fingerprint
        assert catalog.dataset("EURUSD.SIM-quotes").verify()
    data = catalog.ingest(frame, instrument=PAIR)
    assert data.fingerprint == market.Dataset.from_frame(frame, instrument=PAIR).fingerprint
    assert len(ParquetDataCatalog(catalog.path).query_quote_ticks([PAIR.id])) == 200_000
    assert not list((Path(catalog.path) / "onetape/staging").iterdir())


def test_an_ingest_that_was_overtaken_by_another_changes_nothing(catalog: market.Catalog) -> None:
    def source():
        yield quotes(1_000)
        market.Catalog(catalog.path).ingest(quotes(500, seed=3), instrument=PAIR)

    with pytest.raises(Conflict, match="changed by another ingest"):
        catalog.ingest(source(), instrument=PAIR)
    assert catalog.dataset("EURUSD.SIM-quotes").rows == 500
    assert len(ParquetDataCatalog(catalog.path).query_quote_ticks([PAIR.id])) == 500


def test_a_source_that_raises_leaves_the_catalog_as_it_was(catalog: market.Catalog) -> None:
    def source():
        yield quotes(100_000)
        raise RuntimeError("the line went dead")

    with pytest.raises(RuntimeError, match="the line went dead"):
        catalog.ingest(source(), instrument=PAIR)
    assert files(catalog) == {}


def test_strict_refuses_findings_and_keeps_nothing(catalog: market.Catalog) -> None:
    frame = quotes().with_columns(
        ask=pl.when(pl.col("ts").rank() == 500).then(1.0).otherwise("ask")
    )
    with pytest.raises(SpoiledData, match="1 crossed_quote") as caught:
        catalog.ingest(frame, instrument=PAIR, strict=True)
    assert caught.value.findings
    assert files(catalog) == {}
    assert catalog.ingest(frame, instrument=PAIR).findings


def test_arguments_of_the_wrong_kind_say_what_to_type(catalog: market.Catalog) -> None:
    with pytest.raises(SettingsError, match=r"ot.equity\("):
        catalog.ingest(quotes(), instrument="GOOG")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match='expected "close" or "open"'):
        catalog.ingest(minute_bars(), instrument=SHARE, stamp="middle")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="quotes have no step"):
        catalog.ingest(quotes(), instrument=PAIR, step="1-DAY")
    with pytest.raises(SettingsError, match="without slashes"):
        catalog.ingest(quotes(), instrument=PAIR, name="../x")
    with pytest.raises(SettingsError, match="expected an IANA name"):
        catalog.ingest(quotes(), instrument=PAIR, tz="Nowhere/X")
    with pytest.raises(MarketDataError, match="mapping key 'zeit' is none of ours"):
        catalog.ingest(quotes(), instrument=PAIR, mapping={"zeit": "ts"})
    with pytest.raises(SettingsError, match="cannot be written"):
        market.Catalog("/proc/none").ingest(quotes(), instrument=PAIR)
    catalog.ingest(minute_bars(), instrument=SHARE, name="a")
    with pytest.raises(MarketDataError, match="is kept with stamp 'close'"):
        catalog.ingest(minute_bars(), instrument=SHARE, name="a", stamp="open")


def test_actions_given_later_join_the_dataset(catalog: market.Catalog) -> None:
    first = catalog.ingest(minute_bars(), instrument=SHARE)
    split = market.Split(1_704_672_000_000_000_000, ratio=2)  # type: ignore[arg-type]
    data = catalog.ingest(minute_bars(), instrument=SHARE, actions=[split])
    assert data.actions == (split,)
    assert data.fingerprint != first.fingerprint
    assert data.verify()
    assert catalog.ingest(minute_bars(), instrument=SHARE).fingerprint == data.fingerprint


def test_corrected_terms_are_not_dropped_in_silence(catalog: market.Catalog) -> None:
    rows = minute_bars()
    future = {"tick": "0.01", "expiry": "2030-01-01"}
    catalog.ingest(rows, instrument=market.future("F.XCME", **future), name="f")
    with pytest.raises(MarketDataError, match="instrument"):
        catalog.ingest(rows, instrument=market.future("F.XCME", multiplier=50, **future), name="f")


def test_a_name_is_never_a_pattern() -> None:
    catalog = market.Catalog("memory://patterns")
    for name in ("abc", "abd"):
        catalog.ingest(minute_bars(), instrument=SHARE, name=name)
    with pytest.raises(SettingsError, match="plain name"):
        catalog.ingest(minute_bars(), instrument=SHARE, name="a*")
    assert catalog.datasets()["name"].to_list() == ["abc", "abd"]
    catalog.remove("abc")
    assert catalog.datasets()["name"].to_list() == ["abd"]
