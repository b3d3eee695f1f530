"""The wire log: every message once, in whole batches, with bookmarks that never run ahead."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onetape.errors import SettingsError, TapeConflict, TapeError, TapeUnavailable
from onetape.tape.embedded import Server
from onetape.tape.postgres import PostgresTape
from onetape.tape.server import connect
from onetape.tape.wirelog import WireAlarm, WireAsked, WireLog, WireMoved, WireRow, stream_of

from .wires import SECOND, T0, US, message, messages

LIGHT = """
import sys
import onetape.tape.wirelog
print(*sorted({"polars", "psycopg", "nautilus_trader", "alembic", "pyarrow"} & set(sys.modules)))
"""
OTHER = "FIX.4.4:US->OTHER"


@pytest.fixture
def log(database: str) -> Iterator[WireLog]:
    """A wire log on a fresh database."""
    made = WireLog.open(database)
    yield made
    made.close()


def test_what_was_appended_is_read_as_it_was_in_the_order_of_time(log: WireLog) -> None:
    rows = messages(5) + messages(5, session=OTHER)
    assert log.append(rows) == 10
    told = list(log.read())
    assert sorted(told, key=lambda row: (row.session, row.position)) == sorted(
        rows, key=lambda row: (row.session, row.position)
    )
    assert [row.ts for row in told] == sorted(row.ts for row in rows)


def test_a_batch_that_is_sent_again_adds_nothing(log: WireLog) -> None:
    assert log.append(messages(5)) == 5
    assert log.append(messages(5)) == 0
    assert log.append(messages(5, first=3)) == 2
    assert [row.position for row in log.read()] == [1, 2, 3, 4, 5, 6, 7]


def test_a_bookmark_moves_with_its_messages_and_over_what_is_no_message(log: WireLog) -> None:
    assert log.bookmark("gw", US) == 0
    log.append(messages(5), upto={("gw", US): 9, ("gw", OTHER): 4})
    assert (log.bookmark("gw", US), log.bookmark("gw", OTHER)) == (9, 4)
    assert log.append([], upto={("gw", US): 7}) == 0
    assert log.bookmark("gw", US) == 9
    assert log.append([]) == 0
    log.append([message(10)])
    assert log.bookmark("gw", US) == 10
    assert log.bookmark("elsewhere", US) == 0


def test_a_database_that_went_back_is_noticed_before_messages_are_left_out(
    database: str, log: WireLog
) -> None:
    log.append(messages(5), upto={("gw", US): 9})
    with connect(database) as connection:  # as if a copy had been put back
        connection.execute("UPDATE wire_mark SET position = 5")
    for _ in range(2):
        with pytest.raises(TapeUnavailable, match=r"up to position 5 and were up to 9.*older"):
            log.append(messages(2, first=10))
    assert log.bookmark("gw", US) == 5
    assert log.append(messages(6, first=6)) == 6


def test_a_batch_with_one_message_that_is_refused_leaves_nothing(log: WireLog) -> None:
    log.append(messages(2))
    twice = [message(3), message(4), message(4, raw=b"another")]
    with pytest.raises(TapeError, match=r"two messages of .* at position 4"):
        log.append(twice)
    assert len(list(log.read())) == 2
    assert log.bookmark("gw", US) == 2
    assert log.append([message(3), message(3), message(4)]) == 2


def test_another_journal_of_the_same_session_is_refused_until_it_is_named(log: WireLog) -> None:
    log.append(messages(5))
    strange = [message(n, epoch=T0 + 1, raw=b"new") for n in (1, 2)]
    with pytest.raises(TapeConflict, match="another journal"):
        log.append(strange)
    assert log.append(strange, journal="2") == 2
    assert log.append(strange, journal="2") == 0
    assert (log.bookmark("gw", US), log.bookmark("gw", US, journal="2")) == (5, 2)
    assert len(list(log.read(US))) == 7


def test_a_number_that_comes_again_gets_the_next_copy(log: WireLog) -> None:
    log.append([message(1), message(2), message(3, seq=2, possdup=True)])
    log.append([message(4, seq=2, possdup=True), message(5, seq=1, copy=1)])
    log.append([message(6, seq=2, direction="out"), message(7, seq=2, epoch=T0 + SECOND)])
    log.append([message(8, seq=2)])  # of the epoch before
    told = [(row.direction, row.epoch, row.seq, row.copy) for row in log.read()]
    assert told == [
        ("in", T0, 1, 0), ("in", T0, 2, 0), ("in", T0, 2, 1), ("in", T0, 2, 2), ("in", T0, 1, 1),
        ("out", T0, 2, 0), ("in", T0 + SECOND, 2, 0), ("in", T0, 2, 3),
    ]  # fmt: skip


def test_a_number_that_comes_again_in_another_month_is_a_copy_too(log: WireLog) -> None:
    later = T0 + 40 * 86_400 * SECOND
    log.append([message(1, seq=7)])
    log.append([message(2, seq=7, ts=later)])
    assert [row.copy for row in log.read()] == [0, 1]
    with connect(log._where) as connection:  # pyright: ignore[reportPrivateUsage]
        asked = "SELECT tableoid::regclass::text FROM wire ORDER BY ts"
        assert [name for (name,) in connection.execute(asked)] == ["wire_202607", "wire_202608"]


def test_a_month_begins_and_ends_in_utc_to_the_nanosecond(log: WireLog) -> None:
    begin = 1_782_864_000 * SECOND  # 2026-07-01 00:00 UTC
    december = 1_798_761_599 * SECOND + 999_999_999
    log.append([
        message(1, ts=begin - 1), message(2, ts=begin), message(3, ts=december),
        message(4, ts=december + 1), message(5, ts=0),
    ])  # fmt: skip
    with connect(log._where) as connection:  # pyright: ignore[reportPrivateUsage]
        asked = "SELECT position, tableoid::regclass::text FROM wire ORDER BY position"
        told = dict(connection.execute(asked).fetchall())
    months = ("202606", "202607", "202612", "202701", "197001")
    assert told == {place: f"wire_{month}" for place, month in enumerate(months, 1)}


def test_what_a_counterpart_sends_is_kept_whatever_it_is(log: WireLog) -> None:
    ids = {"client_order_id": "a\x00b", "venue_order_id": "\xff\x80" * 50_000, "exec_id": "\ud800"}
    raw = bytes(range(256)) * 4_000
    rows = [
        message(1, seq=10**30, raw=raw, msg_type="\x00\x01" * 300, **ids),
        message(2, seq=-(10**30), raw=b"", client_order_id="", venue_order_id="", exec_id=""),
        message(3, seq=10**31),
    ]
    assert log.append(rows) == 3
    assert log.append(rows) == 0
    told = list(log.read())
    assert [row.raw for row in told] == [raw, b"", rows[2].raw]
    assert told[0].client_order_id == "a\ufffdb"
    assert len(told[0].venue_order_id) == 200
    assert told[1].client_order_id == ""
    assert [row.copy for row in told] == [0, 0, 1]
    assert log.verify("gw")[0].ok


def test_a_row_that_no_journal_can_hold_is_refused_with_what_is_wrong(log: WireLog) -> None:
    for wrong in (
        message(1, direction="both"), message(1, position=0), message(1, ts=-1),
        message(1, session=""), message(1, gateway="g" * 300), message(1, ts=10**20),
    ):  # fmt: skip
        with pytest.raises(TapeError, match="found"):
            log.append([wrong])
    assert list(log.read()) == []


def test_messages_are_found_by_session_time_type_direction_and_ids(log: WireLog) -> None:
    log.append([*messages(9), message(10, msg_type="D", direction="out", exec_id="")])
    log.append(messages(3, session=OTHER))

    def places(**asked: object) -> list[int]:
        return [row.position for row in log.read(US, **asked)]  # type: ignore[arg-type]

    assert places(since=T0 + 3 * SECOND, until=T0 + 5 * SECOND) == [3, 4]
    assert places(types="D") == places(direction="out") == [10]
    assert places(orders="C4") == places(orders="V4") == places(execution="E4") == [4]
    assert places(orders=["C4", "V6"], limit=1) == [4]
    assert places(gateway="gw", limit=2) == [1, 2]
    assert len(list(log.read(gateway="gw"))) == 13
    with pytest.raises(TapeError, match=r"no session 'FIX.4.4:US->TEM'.*US->THEM"):
        next(log.read("FIX.4.4:US->TEM"))
    with pytest.raises(SettingsError, match="orderz= found"):
        next(log.read(US, orderz="C4"))
    with pytest.raises(SettingsError, match="in or out"):
        next(log.read(US, direction="both"))


def test_a_frame_has_the_same_columns_with_and_without_rows(log: WireLog) -> None:
    log.append(messages(3))
    full, empty = log.frame(US), log.frame(US, since=2 * T0)
    assert full.schema == empty.schema
    assert (full.height, empty.height) == (3, 0)
    assert full["raw"].to_list() == [row.raw for row in messages(3)]
    assert str(full["ts"][0]) == "2026-07-01 10:00:01+00:00"


def test_importing_the_wire_log_costs_little() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_two_that_ship_the_same_journal_keep_every_message_once(database: str) -> None:
    rows, failed = messages(400), list[BaseException]()

    def ship() -> None:
        log = WireLog.open(database)
        try:
            for at in range(0, 400, 10):
                log.append(rows[at : at + 25])
        except BaseException as err:
            failed.append(err)
        finally:
            log.close()

    threads = [threading.Thread(target=ship) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    log = WireLog.open(database)
    assert failed == []
    assert list(log.read()) == rows
    assert log.verify("gw")[0].ok
    log.close()


def test_a_database_that_is_away_delays_and_loses_nothing(pg_server: Server) -> None:
    log = WireLog.open("postgresql://postgres@127.0.0.1:1/none?connect_timeout=2")
    for call in (
        lambda: log.append(messages(1)), lambda: log.bookmark("gw", US),
        lambda: log.append_facts("wire/gw", [(1, WireMoved("gw", US, "up"))]),
        lambda: list(log.read()), lambda: log.seal("gw"), log.verify,
    ):  # fmt: skip
        with pytest.raises(TapeUnavailable):
            call()
    log.close()
    assert "127.0.0.1" in repr(log)
    with pytest.raises(SettingsError, match="URL or a folder"):
        WireLog.open(5)  # type: ignore[arg-type]


def test_a_connection_that_was_cut_is_made_again_and_nobody_notices(
    database: str, log: WireLog
) -> None:
    log.append(messages(3))
    log.append_facts("wire/gw", [(3, WireMoved("gw", US, "up"))])
    for first in (4, 7, 10):
        with connect(database) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert log.append_facts("wire/gw", [(first, WireMoved("gw", US, "up"))]) == 1
        assert log.append(messages(3, first=first)) == 3
    assert list(log.read()) == messages(12)


# -- events


def test_events_are_recorded_once_each_however_often_they_are_sent(
    database: str, log: WireLog
) -> None:
    stream = stream_of("gw")
    first = [(T0, WireMoved("gw", US, "up")), (T0 + 5, WireAsked("gw", US, "reset", "ann"))]
    assert log.append_facts(stream, first) == 2
    assert log.append_facts(stream, first) == 0
    alarm = WireAlarm("gw", US, "seq_too_low", "34=3 found, 9 expected")
    assert log.append_facts(stream, [*first[1:], (T0 + 9, alarm), (T0 + 9, alarm)]) == 1
    again = WireLog.open(database)
    assert again.append_facts(stream, [*first, (T0 - 7, alarm)]) == 1
    again.close()
    assert log.append_facts(stream, [(T0 - 7, alarm), (T0 + 10, alarm)]) == 1
    assert log.append_facts(stream, []) == 0
    tape = PostgresTape(database)
    events = [entry.event for entry in tape.read(streams=[stream])]
    assert [(event.seq, event.ts_event) for event in events] == [
        (1, T0), (2, T0 + 5), (3, T0 + 9), (4, T0 - 7), (5, T0 + 10),
    ]  # fmt: skip
    assert events[0].fact == first[0][1]
    assert {entry.book for entry in tape.read(streams=[stream])} == {"control"}
    tape.close()


def test_events_are_recorded_again_where_an_older_database_was_put_back(
    database: str, log: WireLog, pg_server: Server
) -> None:
    facts = [(T0 + n, WireMoved("gw", US, "up", str(n))) for n in range(4)]
    log.append_facts("wire/gw", facts[:1])
    name = database.split("?")[0].rpartition("/")[2]
    log.close()
    with connect(pg_server.url) as connection:
        connection.execute(f"CREATE DATABASE {name}_old TEMPLATE {name}")  # type: ignore[arg-type]
        assert log.append_facts("wire/gw", facts[:3]) == 2
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
        connection.execute(f"ALTER DATABASE {name}_old RENAME TO {name}")  # type: ignore[arg-type]
    assert log.append_facts("wire/gw", facts) == 3
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (4,)


def test_several_may_write_events_of_one_stream(database: str) -> None:
    logs = [WireLog.open(database) for _ in range(3)]
    facts = [(T0 + n, WireMoved("gw", US, "up", str(n))) for n in range(20)]

    def ship(log: WireLog) -> None:
        for at in range(0, 20, 2):
            log.append_facts("wire/gw", facts[at : at + 3])

    threads = [threading.Thread(target=ship, args=[log]) for log in logs]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with connect(database) as connection:
        asked = "SELECT count(*), count(DISTINCT ts_event) FROM event"
        assert connection.execute(asked).fetchone() == (20, 20)
    for log in logs:
        log.close()


# -- laws


@dataclass
class Journal:
    """A journal in memory: what a gateway would ship, and how far it believes it is."""

    rows: list[WireRow] = field(default_factory=list[WireRow])
    taken: dict[tuple[int, str, int], int] = field(default_factory=dict[tuple[int, str, int], int])

    def write(self, direction: str, seq: int, epoch: int) -> None:
        place = len(self.rows) + 1
        key = (epoch, direction, seq)
        self.taken[key] = self.taken.get(key, -1) + 1
        made = message(place, direction=direction, seq=seq, epoch=epoch, copy=self.taken[key])
        self.rows.append(made)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["in", "out"]), st.integers(1, 4), st.integers(T0, T0 + 1)),
        st.tuples(st.just("ship"), st.integers(0, 6), st.integers(1, 5)),
    ),
    max_size=40,
)


def test_whatever_is_written_and_however_it_is_shipped_all_is_there_once_and_numbered(
    database: str,
) -> None:
    log, count = WireLog.open(database), iter(range(1_000))

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(STEPS)
    def law(steps: list[tuple[str, int, int]]) -> None:
        session, journal = f"S{next(count)}", Journal()

        def ship(back: int, size: int) -> None:
            at = max(0, log.bookmark("gw", session) - back)
            some = journal.rows[at : at + size]
            # who ships need not know the copies
            log.append([row._replace(session=session, copy=0) for row in some])

        for what, one, other in steps:
            if what == "ship":
                ship(one, other)
            else:
                journal.write(what, one, other)
        while log.bookmark("gw", session) < len(journal.rows):
            ship(2, 7)
        if journal.rows:
            assert list(log.read(session)) == [
                row._replace(session=session) for row in journal.rows
            ]

    law()
    assert log.verify()[0].ok
    log.close()
