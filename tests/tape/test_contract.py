"""The Tape port's promises, kept alike by the tape in memory and the tape on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onetape.errors import BrokenTape, TapeConflict, TapeError, TapeUnavailable
from onetape.tape.event import encode
from onetape.tape.memory import MemoryTape
from onetape.tape.port import Tape
from onetape.tape.postgres import PostgresTape
from onetape.tape.recording import Recording

from .stories import deposits, fill


@pytest.fixture(params=["memory", "postgres"])
def tape(request: pytest.FixtureRequest) -> Iterator[Any]:
    made: Any = (
        MemoryTape()
        if request.param == "memory"
        else PostgresTape(request.getfixturevalue("database"))
    )
    yield made
    made.close()


def test_an_append_returns_its_places_and_the_stream_holds_the_very_bytes(tape: Tape) -> None:
    first = tape.append("run/a", deposits(3))
    second = tape.append("run/b", deposits(2, amount=7))
    assert (first.first_seq, first.last_seq, first.version) == (1, 3, 3)
    assert (second.first_seq, second.last_seq, second.version) == (4, 5, 2)
    assert second.recorded > first.recorded
    assert tape.recording("run/a") == Recording.of(deposits(3))
    assert tape.recording("run/a").fingerprint == Recording.of(deposits(3)).fingerprint
    assert tape.streams() == ["run/a", "run/b"]
    assert [tape.version(s) for s in ("run/a", "run/b", "run/c")] == [3, 2, 0]


def test_readers_get_every_event_once_in_the_ledgers_order(tape: Tape) -> None:
    for at in range(1, 6):
        tape.append("a", deposits(2, first=2 * at - 1))
        tape.append("b", deposits(1, first=at))
    entries = list(tape.read())
    assert [entry.seq for entry in entries] == list(range(1, 16))
    assert [entry.stream for entry in entries[:6]] == ["a", "a", "b", "a", "a", "b"]
    assert [entry.seq for entry in tape.read(4, 7)] == [5, 6, 7]
    assert [entry.version for entry in tape.read(streams=["b"])] == [1, 2, 3, 4, 5]
    recorded = [entry.recorded for entry in entries]
    assert recorded == sorted(recorded)
    assert list(tape.read(tape.head().seq)) == []


def test_an_entry_gives_the_event_as_written_and_as_placed_in_the_ledger(tape: Tape) -> None:
    tape.append("a", deposits(4))
    tape.append("b", [fill(1)])
    entry = list(tape.read())[-1]
    assert entry.event == fill(1)
    assert (entry.placed.seq, entry.placed.stream) == (5, "b")
    assert entry.placed.fact == fill(1).fact
    assert entry.payload == encode(fill(1))


def test_a_stream_belongs_to_its_own_book_unless_it_says_whose(tape: Tape) -> None:
    tape.append("run/a", deposits(1))
    tape.append("session/x", deposits(1), book="live")
    tape.append("session/x", deposits(1, first=2))
    assert [entry.book for entry in tape.read()] == ["run/a", "live", "live"]
    with pytest.raises(TapeError, match="book live; book paper found"):
        tape.append("session/x", deposits(1, first=3), book="paper")


def test_a_writer_that_comes_second_is_told_both_versions(tape: Tape) -> None:
    tape.append("limits", deposits(3))
    with pytest.raises(TapeConflict, match="version 3, version 1 expected") as told:
        tape.append("limits", deposits(1, first=2, amount=99))
    assert (told.value.stream, told.value.expected, told.value.found) == ("limits", 1, 3)
    with pytest.raises(TapeConflict, match="version 3, version 5 expected"):
        tape.append("limits", deposits(1, first=6))
    assert tape.version("limits") == 3


def test_what_is_sent_again_is_recognized_and_not_written_twice(tape: Tape) -> None:
    once = tape.append("a", deposits(5))
    again = tape.append("a", deposits(5))
    assert again.repeated
    assert again[:5] == once[:5]
    part = tape.append("a", deposits(7))  # five of them are there already
    assert (part.first_seq, part.last_seq, part.repeated) == (1, 7, False)
    assert tape.head().seq == 7


def test_events_that_do_not_follow_one_another_are_refused_whole(tape: Tape) -> None:
    with pytest.raises(BrokenTape, match="where 2 was expected"):
        tape.append("a", [deposits(1)[0], deposits(1, first=3)[0]])
    with pytest.raises(BrokenTape, match="not an earlier event"):
        tape.append("a", [fill(1).__class__(1, 0, 0, "s", fill(1).fact, cause=1)])
    with pytest.raises(TapeError, match="no events"):
        tape.append("a", [])
    assert tape.head().seq == 0


def test_a_stream_that_is_not_there_gets_the_closest_names(tape: Tape) -> None:
    tape.append("run/momentum-1", deposits(1))
    with pytest.raises(TapeError, match="run/momentum-1"):
        tape.recording("run/momentum-2")


def test_a_closed_tape_takes_no_more(tape: Tape) -> None:
    tape.append("a", deposits(1))
    tape.close()
    with pytest.raises(TapeUnavailable, match="closed"):
        tape.append("a", deposits(1, first=2))


def test_a_follower_gets_what_was_there_and_what_comes_then(tape: Tape) -> None:
    tape.append("a", deposits(3))
    seen: list[int] = []
    arrived = threading.Event()

    def follow() -> None:
        for entries in tape.follow(1, until=arrived.is_set):
            seen.extend(entry.seq for entry in entries)
            if seen[-1] >= 60:
                arrived.set()

    reader = threading.Thread(target=follow)
    reader.start()
    for at in range(4, 61):
        tape.append("a", deposits(1, first=at))
    assert arrived.wait(30)
    reader.join(10)
    assert seen == list(range(2, 61))


def test_many_threads_write_their_own_streams_and_nothing_is_lost(tape: Tape) -> None:
    def write(name: str) -> None:
        for at in range(1, 21):
            tape.append(name, deposits(1, first=at, account=name))

    threads = [threading.Thread(target=write, args=(f"s{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = list(tape.read())
    assert [entry.seq for entry in entries] == list(range(1, 121))
    for n in range(6):
        assert tape.recording(f"s{n}") == Recording.of(deposits(20, account=f"s{n}"))


def test_of_many_writers_on_one_stream_each_version_has_one_winner(tape: Tape) -> None:
    wins: list[int] = []
    lock = threading.Lock()

    def write(name: int) -> None:
        while (at := tape.version("one")) < 25:
            try:
                tape.append("one", deposits(1, first=at + 1, amount=name))
            except TapeConflict:
                continue
            with lock:
                wins.append(at + 1)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == list(range(1, len(wins) + 1))
    assert len(tape.recording("one")) == len(wins) >= 25


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 70), st.booleans()), max_size=12
    )
)
def test_both_tapes_give_the_same_for_any_history(
    steps: list[tuple[str, int, bool]], pg_server: Any, template: str, database: str
) -> None:
    memory, durable = MemoryTape(), PostgresTape(database)
    base = durable.head().seq
    name = f"{base}"  # the database is shared by the examples: streams are their own
    for stream, count, again in steps:
        first = memory.version(name + stream) + 1
        events = deposits(count, first=first)
        for tape in (memory, durable):
            tape.append(name + stream, events)
            if again:
                assert tape.append(name + stream, events).repeated
    told = [(e.seq + base, e.stream, e.version, e.payload) for e in memory.read()]
    assert [(e.seq, e.stream, e.version, e.payload) for e in durable.read(base)] == told
    assert durable.verify()
    durable.close()
