"""Archive: closed partitions become proved files, whatever happens on the way."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.errors import BrokenTape, TapeError, TapeForbidden, TapeUnavailable
from onetape.tape import merkle
from onetape.tape.archive import archive, batches, check, rows, segments
from onetape.tape.ledger import COLUMNS, leaf
from onetape.tape.postgres import PostgresTape
from onetape.tape.segment import GROUP, Growing, leaves, schema
from onetape.tape.server import connect

from .partitions import small
from .stories import deposits, fill

STEP = 50  # events in a partition of these tapes


@pytest.fixture
def tape(database: str) -> Iterator[PostgresTape]:
    """176 events: three closed partitions and a bit."""
    small(database, STEP, 400)
    made = PostgresTape(database, partition=STEP)
    for at in range(8):
        made.append("a", deposits(60 if at == 2 else 15, first=made.version("a") + 1))
        made.append("b", [fill(made.version("b") + 1)])
    made.append("b", [fill(made.version("b") + 1)])
    made.append("a", deposits(2, first=made.version("a") + 1))
    yield made
    made.close()


def live(url: str) -> list[str]:
    with connect(url) as connection:
        asked = """SELECT inhrelid::regclass::text FROM pg_inherits
            WHERE inhparent = 'onetape.event'::regclass ORDER BY 1"""
        return [name for (name,) in connection.execute(asked).fetchall()]


def tables(url: str) -> set[str]:
    with connect(url) as connection:
        asked = """SELECT relname::text FROM pg_class WHERE relkind = 'r'
            AND relnamespace = 'onetape'::regnamespace AND relname LIKE 'event\\_0%'"""
        return {name for (name,) in connection.execute(asked).fetchall()}


def known(url: str) -> list[Any]:
    with connect(url) as connection:
        return segments(connection)


def flip(path: Path, at: int) -> None:
    told = bytearray(path.read_bytes())
    told[at] ^= 1
    path.write_bytes(bytes(told))


def test_what_was_read_before_archiving_is_read_after_it(
    tape: PostgresTape, tmp_path: Path
) -> None:
    before, chain, story = list(tape.read()), tape.head().chain, tape.recording("b")
    made = archive(tape.url, tmp_path)
    assert [(one.seq_lo, one.seq_hi) for one in made] == [(1, 50), (51, 100), (101, 150)]
    assert list(tape.read()) == before
    assert list(tape.read(after=40, upto=120)) == before[40:120]
    assert tape.recording("b") == story
    verdict = tape.verify()
    assert verdict
    assert (verdict.events, verdict.chain) == (len(before), chain.hex())


def test_a_tape_is_written_on_after_archiving(tape: PostgresTape, tmp_path: Path) -> None:
    archive(tape.url, tmp_path, drop=True)
    for _ in range(3):
        tape.append("a", deposits(40, first=tape.version("a") + 1))
    again = archive(tape.url, tmp_path, drop=True)
    assert again[0].seq_lo == 151
    assert tape.verify()
    assert [entry.seq for entry in tape.read()] == list(range(1, tape.head().seq + 1))


def test_those_who_append_meanwhile_lose_nothing(tape: PostgresTape, tmp_path: Path) -> None:
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            tape.append("c", deposits(7, first=tape.version("c") + 1))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [one for _ in range(5) for one in archive(tape.url, tmp_path, drop=True)]
    finally:
        done.set()
        writer.join()
    assert len(found) >= 3
    assert [entry.seq for entry in tape.read()] == list(range(1, tape.head().seq + 1))
    assert tape.verify()


def test_a_segment_says_what_it_holds_and_its_root_is_that_of_its_batches(
    tape: PostgresTape, tmp_path: Path
) -> None:
    first = archive(tape.url, tmp_path)[0]
    with connect(tape.url) as connection:
        roots = connection.execute(
            "SELECT root, recorded_ns FROM onetape.batch WHERE seq_hi <= 50 ORDER BY seq_lo"
        ).fetchall()
        assert first == segments(connection)[0]
    assert first.root == merkle.root([root for root, _ in roots])
    assert (first.t_lo, first.t_hi) == (roots[0][1], roots[-1][1])
    assert first.kinds == ("cash.deposited", "order.filled")
    assert first.sha256 == hashlib.sha256(first.path.read_bytes()).digest()
    told = pq.read_schema(first.path)
    assert told.names == list(COLUMNS)
    assert told.metadata[b"format"] == b"onetape.segment/1"
    assert told.metadata[b"root"].decode() == first.root.hex()
    assert (told.metadata[b"seq_lo"], told.metadata[b"seq_hi"]) == (b"1", b"50")
    assert told.metadata[b"first_batch"] == b"1"


def test_rows_of_a_segment_hash_to_the_leaves_that_were_recorded(
    tape: PostgresTape, tmp_path: Path
) -> None:
    first = archive(tape.url, tmp_path)[0]
    some = list(rows(first.uri, 10, 20))
    assert [row.seq for row in some] == list(range(11, 21))
    assert [leaf(row) for row in some] == [
        one for batch in batches(first.uri, 10, 20) for one in leaves(batch)
    ]


def test_archiving_twice_does_nothing_the_second_time(tape: PostgresTape, tmp_path: Path) -> None:
    assert len(archive(tape.url, tmp_path)) == 3
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert archive(tape.url, tmp_path) == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept


def test_only_what_was_recorded_before_a_time_is_archived(
    tape: PostgresTape, tmp_path: Path
) -> None:
    with connect(tape.url) as connection:
        found = connection.execute("SELECT recorded_ns FROM onetape.batch WHERE seq_hi = 100")
        end = found.fetchone()[0]  # type: ignore[index]
    assert [one.seq_hi for one in archive(tape.url, tmp_path, before=end)] == [50]
    assert [one.seq_hi for one in archive(tape.url, tmp_path, before=end + 1)] == [100]


def test_an_open_partition_is_left_alone(tape: PostgresTape, tmp_path: Path) -> None:
    archive(tape.url, tmp_path)
    assert live(tape.url)[0] == f"event_{151:019}"


def test_detached_tables_stay_until_a_later_call_drops_them(
    tape: PostgresTape, tmp_path: Path
) -> None:
    names = {f"event_{lo:019}" for lo in (1, 51, 101)}
    archive(tape.url, tmp_path)
    assert names <= tables(tape.url)
    with (
        connect(tape.url) as connection,
        pytest.raises(Exception, match="the tape is never changed"),
    ):
        connection.execute(f"DELETE FROM onetape.event_{1:019}")
    assert archive(tape.url, tmp_path, drop=True) == []
    assert not names & tables(tape.url)
    assert tape.verify()


def test_a_detached_table_is_not_dropped_when_its_file_was_touched(
    tape: PostgresTape, tmp_path: Path
) -> None:
    first = archive(tape.url, tmp_path)[0]
    flip(first.path, 200)
    with pytest.raises(BrokenTape, match=first.path.name):
        archive(tape.url, tmp_path, drop=True)
    assert f"event_{1:019}" in tables(tape.url)


def test_a_flipped_bit_anywhere_in_a_file_is_found(tape: PostgresTape, tmp_path: Path) -> None:
    first = archive(tape.url, tmp_path)[0]
    size = first.path.stat().st_size
    with connect(tape.url) as connection:
        for at in range(0, size, size // 150):
            flip(first.path, at)
            with pytest.raises(TapeError, match=first.path.name):
                check(connection, first)
            flip(first.path, at)
        check(connection, first)


def test_a_forged_file_is_named_with_its_batch_and_nothing_is_detached(
    tape: PostgresTape, tmp_path: Path
) -> None:
    first = archive(tape.url, tmp_path / "true")[0]
    table = pq.read_table(first.path)
    forged = table.column("payload").to_pylist()
    forged[37] = forged[37].replace(b'"amount":"1"', b'"amount":"9"')
    at = table.column_names.index("payload")
    table = table.set_column(at, table.schema.field("payload"), pa.array(forged, pa.binary()))
    pq.write_table(table, first.path, row_group_size=GROUP)
    with connect(tape.url) as connection, pytest.raises(BrokenTape) as told:
        check(connection, first)
    assert told.value.seq <= 38
    assert "batch" in str(told.value)
    assert str(first.path) in str(told.value)


def test_a_file_of_another_tape_under_the_same_name_is_refused_and_nothing_is_detached(
    tape: PostgresTape, tmp_path: Path
) -> None:
    archive(tape.url, tmp_path)
    for _ in range(3):
        tape.append("a", deposits(40, first=tape.version("a") + 1))
    wrong = tmp_path / f"events_{151:019}_{200:019}.parquet"
    wrong.write_bytes((tmp_path / f"events_{1:019}_{50:019}.parquet").read_bytes())
    held = live(tape.url)
    with pytest.raises(BrokenTape, match=wrong.name):
        archive(tape.url, tmp_path)
    assert live(tape.url) == held
    assert len(known(tape.url)) == 3
    wrong.unlink()
    assert archive(tape.url, tmp_path)[0].seq_lo == 151


def test_a_row_that_was_changed_in_the_table_is_not_archived(
    tape: PostgresTape, tmp_path: Path
) -> None:
    with connect(tape.url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE onetape.event SET ts_event = ts_event + 1 WHERE seq = 77")
    with pytest.raises(BrokenTape) as told:
        archive(tape.url, tmp_path)
    assert 51 <= told.value.seq <= 77
    assert [one.seq_hi for one in known(tape.url)] == [50]
    assert len(live(tape.url)) >= 2


def test_a_batch_across_a_partition_is_refused(tape: PostgresTape, tmp_path: Path) -> None:
    with connect(tape.url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM onetape.batch WHERE seq_lo = 51")
        connection.execute("UPDATE onetape.batch SET seq_hi = seq_hi + 9 WHERE seq_hi = 50")
    with pytest.raises(BrokenTape, match="crosses an end of the partition"):
        archive(tape.url, tmp_path)
    assert known(tape.url) == []


KILLED = """
import os, sys
from pathlib import Path
from onetape.tape import archive as room, segment
url, folder, point = sys.argv[1:]
def die(*_, **__): os.kill(os.getpid(), 9)
if point == "writing":
    segment.settle = die
    Path.replace = die
elif point == "named":
    segment.settle = die
elif point == "checked":
    room._let_go = die
elif point == "between":
    then, count = room._let_go, []
    def once(*given, **named):
        if count: die()
        count.append(1)
        then(*given, **named)
    room._let_go = once
room.archive(url, folder, drop=True)
"""


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("writing", marks=pytest.mark.slow),
        "named",
        pytest.param("checked", marks=pytest.mark.slow),
        "between",
    ],
)
def test_killed_at_any_point_and_run_again_the_end_is_the_same(
    tape: PostgresTape, tmp_path: Path, point: str
) -> None:
    before = list(tape.read())
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tape.url, str(tmp_path), point], check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert list(tape.read()) == before
    archive(tape.url, tmp_path, drop=True)
    assert [one.seq_hi for one in known(tape.url)] == [50, 100, 150]
    assert len(list(tmp_path.iterdir())) == 3
    assert not {f"event_{lo:019}" for lo in (1, 51, 101)} & tables(tape.url)
    assert list(tape.read()) == before
    assert tape.verify()


def test_who_does_not_own_the_log_may_not_archive(tape: PostgresTape, tmp_path: Path) -> None:
    role = "archive_stranger"
    with connect(tape.url) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA onetape TO {role}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA onetape TO {role}")
    try:
        with pytest.raises(TapeForbidden, match=f"{role} does not own the log"):
            archive(as_user(tape.url, role), tmp_path)
    finally:
        with connect(tape.url) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")
    assert not list(tmp_path.iterdir())


def as_user(url: str, user: str) -> str:
    from psycopg.conninfo import make_conninfo

    return make_conninfo(url, user=user)


def test_a_log_that_stays_locked_is_not_waited_for_without_end(
    tape: PostgresTape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onetape.tape.archive.TRIES", 2)
    monkeypatch.setattr("onetape.tape.archive.DETACH_MS", 50)
    with connect(tape.url, autocommit=False) as left_open:
        left_open.execute("SELECT count(*) FROM onetape.event")
        with pytest.raises(TapeUnavailable, match="pg_stat_activity"):
            archive(tape.url, tmp_path)
    assert len(archive(tape.url, tmp_path)) == 3


def test_a_place_that_cannot_be_written_is_named(tape: PostgresTape, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TapeError, match="cannot be written"):
        archive(tape.url, tmp_path / "file" / "under")


def test_a_segment_that_is_not_there_is_named(tape: PostgresTape, tmp_path: Path) -> None:
    first = archive(tape.url, tmp_path, drop=True)[0]
    os.replace(first.path, tmp_path / "elsewhere")  # noqa: PTH105
    with pytest.raises(TapeError, match=first.path.name):
        list(tape.read(upto=10))


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=40))
def test_a_tree_that_grows_has_the_root_of_the_whole(told: list[bytes]) -> None:
    assert Growing(told).root == merkle.root(told)


def test_the_columns_of_a_segment_are_those_of_the_ledger() -> None:
    assert tuple(schema().names) == COLUMNS
