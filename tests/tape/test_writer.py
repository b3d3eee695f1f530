"""The writer: it tells at once that it cannot write, it bounds what waits, it loses nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from onetape.errors import BrokenTape, TapeError, TapeForbidden, TapeUnavailable
from onetape.tape import kinds
from onetape.tape import writer as writers
from onetape.tape.draft import drafts, event_id
from onetape.tape.embedded import serve
from onetape.tape.event import Event, encode
from onetape.tape.postgres import PostgresTape
from onetape.tape.server import connect

from .stories import deposits, fill


def eventually(true: Callable[[], Any], within: float = 20.0) -> bool:
    until = time.monotonic() + within
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def cut(url: str) -> None:
    """End every other connection to the database."""
    with connect(url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_cut_connection_is_told_at_once_and_the_same_events_go_through_after(
    database: str,
) -> None:
    with PostgresTape(database) as tape:
        tape.append("a", deposits(3))
        cut(database)
        events = deposits(2, first=4)
        with pytest.raises(TapeUnavailable):
            tape.append("a", events)
        assert tape.health().state == "unavailable"
        assert tape.append("a", events).version == 5
        assert tape.health().state == "ready"
        assert tape.verify()


def test_a_patient_writer_does_not_bother_anybody_with_a_cut_connection(database: str) -> None:
    with PostgresTape(database, patience=20) as tape:
        for at in range(1, 9):
            cut(database)
            tape.append("a", deposits(1, first=at))
        assert tape.version("a") == 8
        assert tape.verify()


def test_a_server_that_is_gone_is_told_to_all_who_wait(place: Path) -> None:
    server = serve(place)
    tape = PostgresTape(server.url)
    tape.append("a", deposits(1))
    server.stop()
    waiting = [tape.submit(f"s{n}", deposits(5)) for n in range(5)]
    for one in waiting:
        with pytest.raises(TapeUnavailable):
            one.result(timeout=30)
    assert tape.health().state == "unavailable"
    assert tape.health().waiting == 0
    tape.close()


def test_what_waits_is_bounded_and_seen(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "LIMIT", 50)
    with PostgresTape(database) as tape, connect(database, autocommit=False) as other:
        tape.append("a", deposits(1))
        other.execute("SELECT 1 FROM onetape.ledger_head FOR UPDATE")  # nobody can append now
        done = threading.Event()

        def write() -> None:
            sent = [tape.submit(f"s{n}", deposits(20)) for n in range(4)]
            assert [one.result(30).version for one in sent] == [20] * 4
            done.set()

        thread = threading.Thread(target=write)
        thread.start()
        assert eventually(lambda: tape.health().waiting == 40)
        assert not done.is_set()
        other.rollback()
        thread.join(30)
        assert done.is_set()
        assert tape.health().waiting == 0
        assert tape.health().blocked_s > 0


def test_a_login_that_may_not_write_says_so(database: str) -> None:
    with PostgresTape(database) as tape:
        tape.append("a", deposits(1))
        reader = writers.Writer(lambda: connect(database, role="onetape_reader"))
        request = writers.Request("a", "", drafts("a", deposits(1, first=2)))
        with pytest.raises(TapeForbidden):
            reader.submit(request).result(30)
        reader.close()
        assert tape.version("a") == 1


def test_the_writers_role_is_enough_to_append(database: str) -> None:
    PostgresTape(database).close()
    writer = writers.Writer(lambda: connect(database, role="onetape_writer"))
    for first in (1, 101):
        request = writers.Request("a", "", drafts("a", deposits(100, first=first)))
        assert writer.submit(request).result(30).version == first + 99
    writer.close()


def test_the_recorded_time_rises_whatever_the_clock_says(database: str) -> None:
    times = iter([10**18, 10**18 - 3600 * 10**9, 10**18 - 3600 * 10**9, 10**18 + 5])
    with PostgresTape(database, clock=lambda: next(times)) as tape:
        recorded = [tape.append("a", deposits(1, first=n)).recorded for n in range(1, 5)]
        assert recorded == [10**18, 10**18 + 1, 10**18 + 2, 10**18 + 5]
        assert tape.verify()


def test_batches_end_where_partitions_end(database: str) -> None:
    with connect(database) as connection:
        listed = "SELECT inhrelid::regclass::text FROM pg_inherits"
        for (name,) in connection.execute(
            listed + " WHERE inhparent = 'event'::regclass"
        ).fetchall():
            connection.execute(f"DROP TABLE {name}")
        connection.execute("SELECT onetape.ensure_partitions(300, 100)")
    with PostgresTape(database, partition=100) as tape:
        tape.append("a", deposits(30))
        tape.append("a", deposits(250, first=31))
        assert tape.verify()
        assert [entry.version for entry in tape.read()] == list(range(1, 281))
    with connect(database) as connection:
        asked = "SELECT seq_lo, seq_hi FROM onetape.batch ORDER BY batch_id"
        assert connection.execute(asked).fetchall() == [(1, 30), (31, 100), (101, 200), (201, 280)]


def test_an_event_has_the_same_id_wherever_it_is_sent_from() -> None:
    one, two = fill(1), fill(2)
    assert drafts("a", [one])[0].event_id == event_id("a", one.ts_init, encode(one))
    assert drafts("a", [one])[0].event_id == drafts("a", [one, two])[0].event_id
    assert drafts("a", [one])[0].event_id != drafts("b", [one])[0].event_id
    made = drafts("a", [one])[0].event_id
    assert (made[6] >> 4, made[8] >> 6) == (7, 2)  # UUID version 7, RFC 9562's variant


def test_a_tape_is_of_the_process_that_opened_it(database: str) -> None:
    with PostgresTape(database) as tape:
        tape.append("a", deposits(1))
        child = os.fork()
        if child == 0:
            try:
                tape.append("a", deposits(1, first=2))
            except TapeUnavailable:
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert tape.append("a", deposits(1, first=2)).version == 2


def test_a_hole_in_the_log_stops_a_reader_and_names_the_event(database: str) -> None:
    with PostgresTape(database) as tape:
        tape.append("a", deposits(9))
        with connect(database) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("DELETE FROM onetape.event WHERE seq = 5")
        with pytest.raises(BrokenTape, match="seq 5"):
            list(tape.read())


def test_a_name_that_cannot_be_kept_is_refused_and_hinders_nobody_beside_it(database: str) -> None:
    with PostgresTape(database) as tape, connect(database, autocommit=False) as other:
        tape.append("a", deposits(1))
        other.execute("SELECT 1 FROM onetape.ledger_head FOR UPDATE")  # so that all go together
        first = tape.submit("b", deposits(1))
        long = tape.submit("c", deposits(1, account="x" * 5_000))
        good = tape.submit("d", deposits(60, account="new"))
        assert eventually(lambda: tape.health().waiting == 62)
        other.rollback()
        assert first.result(30).version == 1
        assert good.result(30).version == 60
        with pytest.raises(TapeError, match="of 5000 bytes found"):
            long.result(30)
        for name in ("", "s" * 5_000, "a\x00b", "\ud800"):
            with pytest.raises(TapeError, match="stream"):
                tape.append(name, deposits(1))
        assert tape.streams() == ["a", "b", "d"]
        assert tape.verify()


def test_a_number_that_json_cannot_keep_is_refused(database: str) -> None:
    with PostgresTape(database) as tape:
        event = Event(1, 1, 1, "s", kinds.SignalNoted("S", "mean", float("nan")))
        with pytest.raises(TapeError, match=r"signal.noted with value nan found"):
            tape.append("a", [event])
        assert tape.head().seq == 0


def test_a_new_streams_book_is_that_of_its_first_events_whatever_comes_with_them(
    database: str,
) -> None:
    with PostgresTape(database) as tape, connect(database, autocommit=False) as other:
        other.execute("SELECT 1 FROM onetape.ledger_head FOR UPDATE")
        ahead = tape.submit("z", deposits(1))
        first = tape.submit("s", deposits(3), book="live")
        then = tape.submit("s", deposits(3, first=4))
        assert eventually(lambda: tape.health().waiting == 7)
        other.rollback()
        assert [one.result(30).version for one in (ahead, first, then)] == [1, 3, 6]
        assert {entry.book for entry in tape.read(streams=["s"])} == {"live"}


def test_who_gives_up_waiting_does_not_hinder_the_others(database: str) -> None:
    with PostgresTape(database) as tape, connect(database, autocommit=False) as other:
        other.execute("SELECT 1 FROM onetape.ledger_head FOR UPDATE")
        sent = [tape.submit(f"s{n}", deposits(1)) for n in range(4)]
        assert not sent[1].cancel()  # what is handed in is not taken back
        other.rollback()
        assert [one.result(30).version for one in sent] == [1, 1, 1, 1]


def test_events_that_wait_when_the_interpreter_ends_are_written(database: str) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from stories import deposits\n"
        "from onetape.tape.postgres import PostgresTape\n"
        "tape = PostgresTape(sys.argv[1])\n"
        "sent = [tape.submit(f's{n}', deposits(500)) for n in range(40)]\n"
    )
    asked = [sys.executable, "-c", code, database, str(Path(__file__).parent)]
    subprocess.run(asked, check=True, timeout=60)
    with PostgresTape(database) as tape:
        assert tape.head().seq == 20_000
        assert tape.verify()


def test_a_huge_append_goes_through_small_partitions_and_too_many_are_refused(
    database: str,
) -> None:
    with connect(database) as connection:
        listed = "SELECT inhrelid::regclass::text FROM pg_inherits"
        for (name,) in connection.execute(
            listed + " WHERE inhparent = 'event'::regclass"
        ).fetchall():
            connection.execute(f"DROP TABLE {name}")
        with pytest.raises(psycopg.Error, match="larger ones expected"):
            connection.execute("SELECT onetape.ensure_partitions(1000000, 1)")
        connection.execute("SELECT onetape.ensure_partitions(300, 1000)")
    with PostgresTape(database, partition=1_000) as tape:
        assert tape.append("a", deposits(30_000)).version == 30_000
        assert tape.verify().batches == 30
