"""Retention: nothing goes before its class allows, nothing that is held goes at all."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onetape.errors import SettingsError, TapeError, TapeForbidden
from onetape.tape import kinds
from onetape.tape.archive import archive, segments
from onetape.tape.event import Event
from onetape.tape.postgres import PostgresTape
from onetape.tape.retention import (
    DAY,
    classes,
    drop_expired,
    due,
    hold,
    holds,
    release,
    set_class,
    standings,
)
from onetape.tape.server import connect

from .partitions import small
from .stories import deposits, fill

STEP = 10  # events in a partition
YEAR = 365 * DAY
AGES = (9, 8, 6, 4, 2, 1)  # years ago at which each segment was recorded


def signal(seq: int) -> Event:
    return Event(seq, seq * 10, seq * 10, "s", kinds.SignalNoted("S", "momentum", 0.5, "GOOG"))


def decision(seq: int, instrument: str | None) -> Event:
    return Event(seq, seq * 10, seq * 10, "d", kinds.DecisionMade("S", "buy", instrument))


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def kept(database: str, tmp_path: Path) -> Iterator[str]:
    """Six archived segments of 10 events, recorded AGES years ago, each of its own kinds."""
    small(database, STEP, 200)
    clock = Clock()
    with PostgresTape(database, clock=clock, partition=STEP) as tape:
        told: list[tuple[str, list[Event]]] = [
            ("cash A", deposits(10)),
            ("s", [signal(n) for n in range(1, 11)]),
            ("fills", [fill(n, instrument="GOOG") for n in range(1, 11)]),
            ("cash B", deposits(10, account="B")),
            ("d", [decision(n, None if n == 3 else "MSFT") for n in range(1, 11)]),
            ("s", [signal(n) for n in range(11, 21)]),
            ("end", deposits(2)),
        ]
        for years, (stream, events) in zip((*AGES, 0), told, strict=True):
            clock.now = time.time_ns() - years * YEAR
            tape.append(stream, events)
    archive(database, tmp_path, drop=True)
    with connect(database) as connection:
        assert [one.kinds for one in segments(connection)] == [
            ("cash.deposited",),
            ("signal.noted",),
            ("order.filled",),
            ("cash.deposited",),
            ("decision.made",),
            ("signal.noted",),
        ]
    return database


def now_due(url: str, now: int | None = None) -> list[int]:
    with connect(url) as connection:
        return [one.seq_lo for one in due(connection, now)]


def files(folder: Path) -> list[int]:
    return sorted(int(path.name.split("_")[1]) for path in folder.glob("*.parquet"))


def test_the_defaults_cover_every_kind_of_fact_and_say_what_they_rest_on(database: str) -> None:
    with connect(database) as connection:
        rules = classes(connection)
    uncovered = [tag for tag in kinds.BY_TAG if not any(rule.covers(tag) for rule in rules)]
    assert uncovered == []
    assert all("counsel" in rule.basis for rule in rules)
    days = {rule.name: rule.days for rule in rules}
    assert min(days["orders"], days["decisions"], days["risk"], days["cash"]) >= 7 * 365
    assert min(days["signals"], days["personal"]) >= 5 * 365


def test_what_is_due_is_what_its_longest_class_lets_go(kept: str) -> None:
    assert now_due(kept) == [1, 11]  # cash of 9 years, signals of 8
    assert now_due(kept, time.time_ns() + 2 * YEAR) == [1, 11, 21]
    assert now_due(kept, time.time_ns() - 2 * YEAR) == [11]
    assert now_due(kept, time.time_ns() + 20 * YEAR) == [1, 11, 21, 31, 41, 51]


def test_a_dry_run_drops_nothing(kept: str, tmp_path: Path) -> None:
    assert [one.seq_lo for one in drop_expired(kept)] == [1, 11]
    assert files(tmp_path) == [1, 11, 21, 31, 41, 51]


def test_dropping_takes_the_file_and_keeps_the_proof(kept: str, tmp_path: Path) -> None:
    gone = drop_expired(kept, dry_run=False)
    assert [one.seq_lo for one in gone] == [1, 11]
    assert files(tmp_path) == [21, 31, 41, 51]
    with connect(kept) as connection:
        told = {one.seq_lo: one for one in segments(connection)}
        assert told[1].dropped is not None
        assert told[21].dropped is None
        batches = connection.execute("SELECT count(*) FROM onetape.batch WHERE seq_hi <= 20")
        assert batches.fetchone() == (2,)
        why = connection.execute("SELECT why, dropped_by FROM onetape.segment_dropped").fetchall()
        assert "class cash ran out" in why[0][0]
        with pytest.raises(Exception, match="the tape is never changed"):
            connection.execute("DELETE FROM onetape.segment_dropped")
    assert drop_expired(kept, dry_run=False) == []


def test_a_segment_that_is_kept_is_refused_with_the_class_and_the_day(kept: str) -> None:
    with pytest.raises(TapeError, match=r"class orders keeps it until 20\d\d-\d\d-\d\d"):
        drop_expired(kept, only=[21], dry_run=False)
    with pytest.raises(TapeError, match="there are 1, 11, 21"):
        drop_expired(kept, only=[2])


def test_a_held_segment_is_refused_with_the_hold(kept: str, tmp_path: Path) -> None:
    placed = hold(kept, "Smith v. Firm", account="A")
    with pytest.raises(TapeError, match=rf"hold {placed.id} \(Smith v. Firm; account A\)"):
        drop_expired(kept, only=[1], dry_run=False)
    assert [one.seq_lo for one in drop_expired(kept, dry_run=False)] == [11]
    release(kept, placed.id, "counsel")
    assert [one.seq_lo for one in drop_expired(kept, dry_run=False)] == [1]
    assert files(tmp_path) == [21, 31, 41, 51]


def test_a_time_that_has_not_come_drops_nothing(kept: str, tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="has not come yet"):
        drop_expired(kept, now=time.time_ns() + 30 * YEAR, dry_run=False)
    assert len(files(tmp_path)) == 6


def test_a_kind_that_no_class_covers_is_kept_without_end(kept: str) -> None:
    set_class(kept, "cash", ["account.*"], 1, "a slip")
    assert now_due(kept, time.time_ns() + 100 * YEAR) == [11, 21, 41, 51]
    with pytest.raises(TapeError, match=r"no retention class covers cash\.deposited"):
        drop_expired(kept, only=[1])


def test_a_class_that_was_changed_counts_and_what_it_was_stays_on_record(kept: str) -> None:
    set_class(kept, "signals", ["signal.*"], 10 * 365, "house rule 12")
    assert now_due(kept) == [1]
    with connect(kept) as connection:
        asked = "SELECT days FROM onetape.retention_class WHERE name = 'signals' ORDER BY days"
        assert [days for (days,) in connection.execute(asked).fetchall()] == [1827, 3650]


SCOPED: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 11, 21, 31, 41, 51]),
    ({"account": "A"}, [1, 21, 41]),  # a decision that names no account may be A's
    ({"account": "B"}, [31, 41]),
    ({"instrument": "GOOG"}, [11, 21, 41, 51]),  # the third decision names no instrument
    ({"instrument": "MSFT"}, [41]),
    ({"stream": "s"}, [11, 51]),
    ({"stream": "s", "account": "A"}, []),
    ({"account": "A", "instrument": "GOOG"}, [21, 41]),
    ({"account": "misspelled"}, [1, 11, 21, 31, 41, 51]),
    ({"since": 0, "until": 60}, [1, 11, 21, 31, 41]),  # ts_event, though recorded later
    ({"since": 110, "until": 120, "stream": "s"}, [51]),
]


def test_a_hold_touches_what_its_scope_names(kept: str) -> None:
    for scope, held in SCOPED:
        placed = hold(kept, "matter", **scope)
        with connect(kept) as connection:
            found = [one.segment.seq_lo for one in standings(connection) if one.holds]
        assert (scope, found) == (scope, held)
        release(kept, placed.id, "counsel")


def test_a_hold_over_a_time_touches_what_was_recorded_then(kept: str) -> None:
    now = time.time_ns()
    hold(kept, "matter", since=now - 5 * YEAR, until=now - 3 * YEAR)
    with connect(kept) as connection:
        assert [one.segment.seq_lo for one in standings(connection) if one.holds] == [31]


def test_a_file_that_cannot_be_read_counts_as_held(kept: str, tmp_path: Path) -> None:
    hold(kept, "matter", account="B")
    path = next(tmp_path.glob(f"events_{11:019}_*"))
    path.write_bytes(b"not a segment")
    assert now_due(kept) == [1]


def test_a_hold_is_released_once_and_never_changed(kept: str) -> None:
    placed = hold(kept, "matter", who="counsel")
    assert placed.placed_by == "counsel"
    done = release(kept, placed.id, "judge")
    assert (done.released_by, done.reason) == ("judge", "matter")
    with pytest.raises(TapeError, match="released by judge; in force: none"):
        release(kept, placed.id, "somebody")
    with connect(kept) as connection:
        assert holds(connection) == []
        assert holds(connection, released=True) == [done]
        for change in (
            "UPDATE onetape.legal_hold SET reason = 'x'",
            "UPDATE onetape.legal_hold SET released_ns = NULL, released_by = NULL",
            "DELETE FROM onetape.legal_hold",
            "TRUNCATE onetape.legal_hold",
        ):
            with pytest.raises(Exception, match=r"never changed"):
                connection.execute(change)


def test_a_hold_that_means_nothing_is_refused(database: str) -> None:
    refused: list[tuple[str, dict[str, Any]]] = [
        ("", {}),
        ("matter", {"accounts": "A"}),
        ("matter", {"account": ""}),
        ("matter", {"since": 1.5}),
        ("matter", {"since": 5, "until": 5}),
    ]
    for reason, scope in refused:
        with pytest.raises(SettingsError):
            hold(database, reason, **scope)


def test_who_does_not_own_the_log_may_neither_hold_nor_drop(kept: str) -> None:
    from psycopg.conninfo import make_conninfo

    role = "retention_stranger"
    with connect(kept) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA onetape TO {role}")
    try:
        for call in (hold, drop_expired):
            with pytest.raises(TapeForbidden, match="does not own the log"):
                call(make_conninfo(kept, user=role), *(["matter"] if call is hold else []))
    finally:
        with connect(kept) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def test_killed_between_the_record_and_the_file_the_next_call_ends_it(
    kept: str, tmp_path: Path
) -> None:
    code = """
import os, sys
from onetape.tape import retention
retention._unlink = lambda _: os.kill(os.getpid(), 9)
retention.drop_expired(sys.argv[1], dry_run=False)
"""
    done = subprocess.run([sys.executable, "-c", code, kept], check=False)
    assert done.returncode == -9
    assert len(files(tmp_path)) == 6
    drop_expired(kept, dry_run=False)
    assert files(tmp_path) == [21, 31, 41, 51]


PATTERNS = st.sampled_from(["*", "cash.*", "order.*", "signal.*", "decision.made", "o*", "risk.*"])
RULES = st.dictionaries(
    st.sampled_from(["orders", "decisions", "risk", "cash", "signals", "personal", "new"]),
    st.tuples(st.lists(PATTERNS, max_size=3), st.integers(0, 4000)),
    max_size=5,
)
SCOPES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "stream": st.sampled_from(["cash A", "s", "fills", "cash B", "d", "none such"]),
            "since": st.integers(0, 300),
        },
    ),
    max_size=2,
)
STREAMS = ("cash A", "s", "fills", "cash B", "d", "s")


def expected(
    told: list[Any], rules: dict[str, Any], scopes: list[dict[str, Any]], now: int
) -> list[int]:
    """Say plainly what may go at `now`: all kinds covered, all classes out, no hold near."""
    may: list[int] = []
    for one, stream in zip(told, STREAMS, strict=True):
        days = [
            d
            for kind in one.kinds
            for p, d in rules.values()
            if any(fnmatchcase(kind, x) for x in p)
        ]
        held = any(scope.get("stream", stream) in (stream, "none such") for scope in scopes)
        if days and now >= one.t_hi + max(days) * DAY and not held:
            may.append(one.seq_lo)
    return may


def test_nothing_is_dropped_before_its_class_allows_whatever_classes_holds_and_times(
    kept: str, tmp_path: Path
) -> None:
    with connect(kept) as connection:
        told = segments(connection)
        standing = {rule.name: (list(rule.kinds), rule.days) for rule in classes(connection)}

    @settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(RULES, SCOPES, st.integers(-3000, 4000), st.booleans())
    def law(
        changed: dict[str, Any], scopes: list[dict[str, Any]], ahead: int, released: bool
    ) -> None:
        rules = standing | {name: (p, days) for name, (p, days) in changed.items()}
        for name, (patterns, days) in changed.items():
            set_class(kept, name, patterns, days, "drawn")
        placed = [hold(kept, "drawn", **scope) for scope in scopes]
        if released:
            for one in placed:
                release(kept, one.id, "drawn")
        now = time.time_ns() + ahead * DAY
        right = expected(told, rules, [] if released else scopes, now)
        with connect(kept) as connection:
            assert [one.seq_lo for one in due(connection, now)] == right
        assert [one.seq_lo for one in drop_expired(kept, now=now)] == right
        for one in [] if released else placed:
            release(kept, one.id, "drawn")
        for name in changed:
            patterns, days = standing.get(name, ([], 0))
            set_class(kept, name, patterns, days, "drawn")

    law()
    assert len(files(tmp_path)) == 6
    assert all(a.t_hi < b.t_lo for a, b in pairwise(told))
