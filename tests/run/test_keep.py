"""What a session received, as today's dataset."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onetape.market as market
from onetape.errors import RunError
from onetape.market.dataset import Dataset
from onetape.run.keep import FRAME_NS, FRAME_ROWS, Keep, recover
from onetape.run.kept import frames, logs, stamps_of
from onetape.run.ports import Bar, Quote, Trade
from onetape.tape.kinds_live import DataKept

D = Decimal
DAY = 1_704_412_800_000_000_000  # 2024-01-05
SESSION = "EmaCross-20240105T090000-1f0c2a"
SHARE = market.equity("AAA.SIM")
OTHER = market.equity("BBB.SIM")
NAME = "AAA.SIM-quotes-20240105-1f0c2a"


def quote(n: int, name: str = "AAA.SIM", ago: int = 0) -> Quote:
    bid = D("100.00") + D(n % 50) / 100
    return Quote(name, DAY + n * 1000 - ago, bid, bid + D("0.02"), D(100 + n % 7), D(200), n)


def trade(n: int, side: Any = "BUY") -> Trade:
    return Trade("AAA.SIM", DAY + n * 1000, D("100.01"), D(5), side, f"T{n}")


def bar(n: int) -> Bar:
    prices = (D("100.00"), D("101.00"), D("99.00"), D("100.50"))
    return Bar("AAA.SIM", DAY + n * 60_000_000_000, "1-MINUTE", *prices, D(1000))


@pytest.fixture
def catalog(tmp_path: Path) -> market.Catalog:
    return market.Catalog(tmp_path / "catalog")


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    return Keep(tmp_path / "session", SESSION, "sim", [SHARE, OTHER])


def told(keep: Keep, *rows: Any, late: int = 7) -> Keep:
    for row in rows:
        keep.take(row, row.ts_event + late)
    return keep


def rows_of(dataset: Dataset) -> list[tuple[Any, ...]]:
    frame = dataset.frame().with_columns(pl.col("ts_event", "ts_init").dt.timestamp("ns"))
    return frame.rows()


def test_what_was_received_is_a_dataset_of_the_day(keep, catalog):
    (fact,) = told(keep, *[quote(n) for n in range(10)]).close(catalog)
    dataset = catalog.dataset(NAME)
    assert fact == DataKept(NAME, "AAA.SIM", "quotes", dataset.fingerprint, 10, DAY + 7, DAY + 9007)
    assert dataset.verify()
    source = dataset.source[0]
    assert (source["session"], source["feed"], source["rows"]) == (SESSION, "sim", 10)


def test_the_venues_time_and_the_sessions_stamp_are_kept_apart_and_exact(keep, catalog):
    rows = [quote(3, ago=900), quote(4, ago=5000), quote(5)]  # the second was stamped out of order
    for n, row in enumerate(rows):
        keep.take(row, DAY + 10_000 + n)
    keep.close(catalog)
    assert rows_of(catalog.dataset(NAME)) == [
        (r.ts_event, DAY + 10_000 + n, r.bid, r.ask, r.bid_size, r.ask_size)
        for n, r in enumerate(rows)
    ]


def test_the_stamps_can_be_held_against_the_source(keep, catalog):
    told(keep, *[quote(n) for n in range(10)]).close(catalog)
    dataset = catalog.dataset(NAME)
    assert stamps_of(dataset) == dataset.source[0]["stamps"]


def test_the_engine_gets_the_stamp_as_the_time_of_receipt(keep, catalog):
    told(keep, quote(1), quote(2)).close(catalog)
    (batch,) = catalog.dataset(NAME).batches()
    ticks = market.layout.to_objects(batch)
    assert [(t.ts_event, t.ts_init) for t in ticks] == [
        (DAY + 1000, DAY + 1007), (DAY + 2000, DAY + 2007),
    ]  # fmt: skip


def test_rows_kept_have_the_fingerprint_of_the_same_rows_from_a_file(keep, catalog):
    rows = [quote(n) for n in range(70_000)]
    (fact,) = told(keep, *rows).close(catalog)
    frame = pl.DataFrame(
        {
            "ts_event": [r.ts_event for r in rows],
            "bid": [r.bid for r in rows],
            "ask": [r.ask for r in rows],
            "bid_size": [r.bid_size for r in rows],
            "ask_size": [r.ask_size for r in rows],
        }
    )
    assert Dataset.from_frame(frame, instrument=SHARE).fingerprint == fact.fingerprint
    assert fact.rows == 70_000
    assert stamps_of(catalog.dataset(NAME)) == catalog.dataset(NAME).source[0]["stamps"]


def test_each_instrument_and_kind_of_data_is_a_dataset_of_its_own(keep, catalog):
    rows = [quote(1), quote(2, "BBB.SIM"), trade(3), bar(1), quote(4 + 60_000_000)]
    facts = told(keep, *rows).close(catalog)
    assert [(f.instrument, f.data, f.rows) for f in facts] == [
        ("AAA.SIM", "quotes", 2), ("BBB.SIM", "quotes", 1), ("AAA.SIM", "trades", 1),
        ("AAA.SIM", "bars", 1),
    ]  # fmt: skip
    assert catalog.dataset("AAA.SIM-1-MINUTE-20240105-1f0c2a").step == "1-MINUTE"


def test_merged_by_stamp_the_datasets_are_what_the_session_saw(keep, catalog):
    rows = [quote(n, ("AAA.SIM", "BBB.SIM")[n % 2], ago=n % 3) for n in range(20)]
    for n, row in enumerate(rows):
        keep.take(row, DAY + n)
    facts = keep.close(catalog)
    seen = sorted(
        (row[1], fact.instrument, row[0])
        for fact in facts
        for row in rows_of(catalog.dataset(fact.dataset))
    )
    assert seen == [(DAY + n, row.instrument, row.ts_event) for n, row in enumerate(rows)]


def test_trades_keep_their_side_and_id(keep, catalog):
    told(keep, trade(1), trade(2, "SELL"), trade(3, None)).close(catalog)
    frame = catalog.dataset("AAA.SIM-trades-20240105-1f0c2a").frame()
    assert frame["aggressor_side"].to_list() == ["BUY", "SELL", "NO_AGGRESSOR"]
    assert frame["trade_id"].to_list() == ["T1", "T2", "T3"]


def test_a_number_finer_than_the_tick_is_rounded_and_found(keep, catalog):
    odd = Quote("AAA.SIM", DAY, D("100.005"), D("100.02"), D(1), D(1))
    told(keep, odd).close(catalog)
    dataset = catalog.dataset(NAME)
    assert dataset.frame()["bid_price"].to_list() == [D("100.00")]
    assert [(f.kind, f.count) for f in dataset.findings] == [("off_tick", 1)]


def test_stamps_must_rise(keep):
    keep.take(quote(5), DAY + 9)
    with pytest.raises(RunError, match="later than"):
        keep.take(quote(6), DAY + 9)


def test_a_row_of_an_unknown_instrument_is_refused_until_it_is_told(keep, catalog):
    row = quote(1, "CCC.SIM")
    with pytest.raises(RunError, match=r"CCC\.SIM"):
        keep.take(row, DAY + 1)
    keep.know(market.equity("CCC.SIM"))
    assert told(keep, row).close(catalog)[0].instrument == "CCC.SIM"


def test_rows_are_written_once_there_are_enough_or_they_waited_enough(keep):
    (path,) = logs(keep.folder)
    told(keep, *[quote(n) for n in range(FRAME_ROWS - 1)])
    assert kept_rows(path) == 0
    told(keep, quote(FRAME_ROWS))
    assert kept_rows(path) == FRAME_ROWS
    keep.take(quote(FRAME_ROWS + 1), DAY + 2 * FRAME_NS)
    keep.tick(DAY + 2 * FRAME_NS + FRAME_NS // 2)
    assert kept_rows(path) == FRAME_ROWS
    keep.tick(DAY + 3 * FRAME_NS)
    assert kept_rows(path) == FRAME_ROWS + 1


def kept_rows(path: Path) -> int:
    return sum(getattr(frame, "rows", 0) for frame in frames(path))


def test_closing_without_a_row_keeps_nothing(keep, catalog):
    assert keep.close(catalog) == ()
    assert catalog.datasets().height == 0


def test_closing_again_says_the_same_and_leaves_no_frames(keep, catalog):
    facts = told(keep, quote(1)).close(catalog)
    assert keep.close(catalog) == facts == recover(keep.folder.parent, catalog)
    assert logs(keep.folder) == []


def test_a_session_that_goes_on_after_it_was_closed_keeps_a_second_part(keep, catalog):
    (first,) = told(keep, quote(1), quote(2)).close(catalog)
    again = Keep(keep.folder.parent, SESSION, "sim", [SHARE])
    facts = told(again, quote(3)).close(catalog)
    assert facts == (first, facts[1])
    assert facts[1].dataset == f"{NAME}-2"
    assert [catalog.dataset(one.dataset).rows for one in facts] == [2, 1]


def test_frames_that_are_in_the_catalog_already_are_not_taken_twice(keep, catalog):
    told(keep, quote(1), quote(2)).flush()
    (path,) = logs(keep.folder)
    raw = path.read_bytes()
    facts = keep.close(catalog)
    path.write_bytes(raw)  # as when the process ended before it was removed
    assert recover(keep.folder.parent, catalog) == facts
    assert (catalog.datasets().height, logs(keep.folder)) == (1, [])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_a_full_disk_is_told_and_does_not_stop_trading(keep, catalog):
    told(keep, quote(1)).flush()
    with Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), keep._file.fileno())
    told(keep, *[quote(n) for n in range(2, 5)]).flush()
    told(keep, quote(9))
    assert "No space left" in keep.failed
    assert keep.lost >= 1
    assert [fact.rows for fact in keep.close(catalog)] == [1]


def test_what_a_catalog_cannot_take_stays_for_later(keep, tmp_path):
    told(keep, quote(1))
    (tmp_path / "closed").mkdir()
    blocked = market.Catalog(tmp_path / "closed")
    (tmp_path / "closed" / "onetape").write_text("in the way")
    with pytest.raises(NotADirectoryError):
        keep.close(blocked)
    (fact,) = recover(keep.folder.parent, market.Catalog(tmp_path / "open"))
    assert fact.rows == 1


DIES = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.run.test_keep import FRAME_ROWS, OTHER, SESSION, SHARE, quote
from onetape.run.keep import Keep
keep = Keep(Path(sys.argv[1]), SESSION, "sim", [SHARE, OTHER])
for n in range(2 * FRAME_ROWS + 100):
    keep.take(quote(n), quote(n).ts_event)
os.kill(os.getpid(), 9)
"""


def test_a_killed_session_leaves_all_but_its_last_moment(tmp_path, catalog):
    root = Path(__file__).resolve().parents[2]
    folder = tmp_path / "killed"
    ended = subprocess.run(
        [sys.executable, "-c", DIES, str(folder), str(root)], check=False, cwd=root
    )
    assert ended.returncode == -9
    again = Keep(folder, SESSION, "sim", [SHARE])  # started again: it goes on in a file of its own
    again.take(quote(10_000), quote(10_000).ts_event)
    again.flush()
    (fact,) = recover(folder, catalog)
    assert fact.rows == 2 * FRAME_ROWS + 1
    assert catalog.dataset(fact.dataset).verify()


@settings(max_examples=40, deadline=None)
@given(
    cut=st.integers(0, 40_000), flip=st.booleans(), sizes=st.lists(st.integers(1, 60), max_size=8)
)
def test_of_a_torn_file_whole_frames_are_kept_and_nothing_else(tmp_path_factory, cut, flip, sizes):
    folder = tmp_path_factory.mktemp("torn")
    keep, number, ends = Keep(folder, SESSION, "sim", [SHARE]), 0, [0]
    for size in sizes:
        for _ in range(size):
            number += 1
            keep.take(quote(number), quote(number).ts_event)
        keep.flush()
        ends.append(number)
    (path,) = logs(keep.folder)
    raw = path.read_bytes()
    at = cut % (len(raw) + 1)
    if flip and at < len(raw):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x40]) + raw[at + 1 :])
    else:
        os.truncate(path, at)
    catalog = market.Catalog(folder / "catalog")
    facts = recover(folder, catalog)
    rows = rows_of(catalog.dataset(facts[0].dataset)) if facts else []
    assert len(rows) in ends
    assert [row[0] for row in rows] == [quote(n).ts_event for n in range(1, len(rows) + 1)]
