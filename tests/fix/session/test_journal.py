"""The journal: what it keeps, whom it refuses, and when it lets go."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onetape.errors import SettingsError
from onetape_fix.session.journal import DAY, Journal
from onetape_fix.session.store import MemoryStore, Record, StoreError

SESSION = "FIX.4.4:US->THEM:quotes/1"
D = b"8=FIX.4.4\x019=1\x0135=D\x0111=a\x0110=000\x01"
HEARTBEAT = b"8=FIX.4.4\x019=1\x0135=0\x0110=000\x01"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path, SESSION, ts=5)
    yield made
    made.close()


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def files(journal: Journal) -> list[str]:
    return sorted(path.name for path in journal.folder.glob("*.journal"))


# -- what is kept


def test_a_message_that_moves_the_number_on_is_one_record(journal: Journal) -> None:
    assert journal.received(1, D, 10, advance=True) == 1
    assert journal.received(9, D, 11, advance=False) == 2
    assert (journal.next_in, journal.position) == (2, 2)
    assert list(journal.records()) == [Record(1, "in", 1, 10, D), Record(2, "in_copy", 9, 11, D)]


def test_only_application_messages_are_resent_and_only_the_first_of_each(journal: Journal) -> None:
    journal.sent(1, HEARTBEAT, 1)
    journal.sent(2, D, 2)
    journal.sent(2, D + b"again", 3, copy=True)
    journal.sent(3, D.replace(b"11=a", b"554=hunter2"), 4)
    assert list(journal.outbound(1, 9)) == [(2, D, 2)]
    assert journal.next_out == 4


def test_a_message_that_held_a_secret_is_never_resent_masked(journal: Journal) -> None:
    journal.sent(1, D.replace(b"35=D\x0111=a", b"35=BE\x01925=hunter2"), 1)
    assert list(journal.outbound(1, 1)) == []
    assert b"925=***" in next(journal.records()).raw


def test_a_number_that_was_set_back_is_resent_as_it_was_sent_last(journal: Journal) -> None:
    for seq in (1, 2, 3):
        journal.sent(seq, D, seq)
    journal.set_out(2, 9)
    assert [seq for seq, _, _ in journal.outbound(1, 9)] == [1]
    journal.sent(2, D + b"new", 10)
    assert list(journal.outbound(1, 9)) == [(1, D, 1), (2, D + b"new", 10)]


def test_a_reset_begins_an_epoch_and_the_position_goes_on(journal: Journal) -> None:
    journal.sent(1, D, 1)
    journal.received(1, D, 2, advance=True)
    journal.reset(99)
    assert (journal.next_in, journal.next_out, journal.epoch) == (1, 1, 99)
    assert journal.position == 3
    assert list(journal.outbound(1, 9)) == []
    assert [record.kind for record in journal.records()] == ["out", "in", "reset"]
    assert len(files(journal)) == 2


def test_resends_and_records_reach_over_many_segments(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SESSION, limit=2_000)
    for seq in range(1, 201):
        journal.sent(seq, D + b"%d" % seq, seq)
    assert len(files(journal)) > 5
    assert [seq for seq, _, _ in journal.outbound(57, 163)] == list(range(57, 164))
    assert [record.position for record in journal.records(150)] == list(range(151, 201))
    journal.close()
    journal = Journal(tmp_path, SESSION, limit=2_000)
    assert [seq for seq, _, _ in journal.outbound(57, 163)] == list(range(57, 164))
    journal.close()


def test_messages_may_be_sent_while_others_are_resent(journal: Journal) -> None:
    for seq in range(1, 50):
        journal.sent(seq, D, seq)
    seen = []
    for seq, raw, _ in journal.outbound(1, 49):
        journal.sent(seq, raw, 1, copy=True)
        journal.sent(journal.next_out, D, 1)
        seen.append(seq)
    assert seen == list(range(1, 50))


def test_a_message_of_a_megabyte_is_kept_whole(journal: Journal) -> None:
    large = D + b"58=" + b"y" * (1 << 20) + b"\x01"
    journal.sent(1, large, 1)
    journal.sent(2, D, 2)
    assert [raw for _, raw, _ in journal.outbound(1, 2)] == [large, D]


def test_another_thread_reads_all_records_while_they_are_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SESSION, limit=20_000)
    seen: list[int] = []

    def read() -> None:
        end = time.monotonic() + 30
        while len(seen) < 3_000 and time.monotonic() < end:
            seen.extend(r.position for r in journal.records(seen[-1] if seen else 0))

    reader = threading.Thread(target=read)
    reader.start()
    for seq in range(1, 3_001):
        journal.sent(seq, D, seq)
        if seq % 1_000 == 0:
            journal.note("a thousand", seq)
            journal.set_out(seq + 1, seq)
    reader.join()
    assert seen[:3_000] == list(range(1, 3_001))
    journal.close()


def test_what_is_written_is_on_the_disk_a_moment_later_by_one_thread_for_all(
    tmp_path: Path,
) -> None:
    journals = [Journal(tmp_path, f"FIX.4.4:US->T{n}") for n in range(28)]
    for journal in journals:
        journal.sent(1, D, 1)
    until(lambda: all(journal.synced == 1 for journal in journals))
    assert sum(thread.name == "journal-sync" for thread in threading.enumerate()) == 1
    for journal in journals:
        journal.close()


def test_always_means_that_a_record_is_on_the_disk_when_the_call_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SESSION, sync="always")
    assert journal.sent(1, D, 1) == journal.synced
    journal.reset(5)
    assert journal.synced == 2
    journal.close()


def test_records_end_where_they_ended_when_they_were_asked_for(journal: Journal) -> None:
    journal.sent(1, D, 1)
    records, resends = journal.records(), journal.outbound(1, 9)
    journal.sent(2, D, 2)
    assert [record.seq for record in records] == [1]
    assert [seq for seq, _, _ in resends] == [1]


def test_a_number_beyond_all_numbers_does_no_harm(journal: Journal) -> None:
    journal.received(10**30, D, 1, advance=False)
    assert next(journal.records()).raw == D
    assert journal.next_in == 1


def test_the_store_in_memory_keeps_the_last_few_and_counts_all() -> None:
    store = MemoryStore(limit=10)
    for seq in range(1, 101):
        store.sent(seq, D, seq)
    assert (store.position, store.next_out) == (100, 101)
    assert [seq for seq, _, _ in store.outbound(1, 100)] == list(range(91, 101))
    assert [record.position for record in store.records()] == list(range(91, 101))
    assert [record.position for record in store.records(97)] == [98, 99, 100]
    assert list(store.records(100)) == []


# -- whom it refuses


def test_a_second_holder_is_told_who_the_first_is(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"held by process {os.getpid()}"):
        Journal(tmp_path, SESSION)


def test_a_second_process_is_refused_too(journal: Journal, tmp_path: Path) -> None:
    told = (
        "import sys; from pathlib import Path; from onetape_fix.session.journal import Journal;"
        "Journal(Path(sys.argv[1]), sys.argv[2])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", told, str(tmp_path), SESSION], capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert f"held by process {os.getpid()}" in ran.stderr


def test_the_store_of_another_session_is_refused(journal: Journal, tmp_path: Path) -> None:
    journal.sent(1, D, 1)
    journal.close()
    other = Journal(tmp_path, "FIX.4.2:X->Y")
    other.close()
    for path in other.folder.glob("*.journal"):
        path.unlink()
    for path in journal.folder.glob("*.journal"):
        path.rename(other.folder / path.name)
    with pytest.raises(SettingsError, match=r"journal of session .*quotes/1, expected FIX\.4\.2"):
        Journal(tmp_path, "FIX.4.2:X->Y")


def test_a_refused_opening_lets_go_of_the_lock(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SESSION)
    journal.sent(1, D, 1)
    journal.close()
    path = journal.folder / files(journal)[0]
    data = path.read_bytes()
    path.write_bytes(b"x" + data[1:])
    with pytest.raises(StoreError, match="damaged at byte 0"):
        Journal(tmp_path, SESSION)
    path.write_bytes(data)
    Journal(tmp_path, SESSION).close()


def test_damage_before_whole_records_is_refused_and_repaired_only_when_told(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path, SESSION)
    for seq in range(1, 11):
        journal.sent(seq, D, seq)
    journal.close()
    path = journal.folder / files(journal)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"damaged at byte \d+ and whole records follow"):
        Journal(tmp_path, SESSION)
    with pytest.raises(StoreError):  # and nothing was changed by trying
        Journal(tmp_path, SESSION)
    journal = Journal(tmp_path, SESSION, repair=True)
    assert 1 < journal.next_out < 11
    assert journal.cut > 0
    assert path.with_suffix(".cut").stat().st_size == journal.cut
    journal.close()


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SESSION)
    journal.close()
    journal.close()
    with pytest.raises(StoreError, match="is closed"):
        journal.sent(1, D, 1)


def test_its_files_are_the_owners_alone(journal: Journal) -> None:
    journal.sent(1, D, 1)
    assert stat.S_IMODE(journal.folder.stat().st_mode) == 0o700
    for path in journal.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_disk_that_fails_a_sync_stops_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, SESSION, sync="always")
    journal.sent(1, D, 1)

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("onetape_fix.session.shelf.os.fdatasync", fail)
    with pytest.raises(StoreError, match="cannot be brought to the disk: Input/output error"):
        journal.sent(2, D, 2)
    monkeypatch.undo()
    with pytest.raises(StoreError, match="Input/output error"):
        journal.sent(3, D, 3)
    with pytest.raises(StoreError):
        journal.close()
    journal = Journal(tmp_path, SESSION)
    assert journal.next_out in (2, 3)  # in doubt until it is opened again
    journal.close()


# -- when it lets go


def test_old_segments_go_and_the_position_of_what_is_left_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SESSION, keep=2.0)
    for day in range(1, 8):
        journal.sent(1, D, day * DAY)
        journal.reset(day * DAY + 1)
    assert journal.oldest > 1
    assert [record.position for record in journal.records()] == list(range(journal.oldest, 15))
    assert {record.ts // DAY for record in journal.records()} == {4, 5, 6, 7}
    journal.close()
    journal = Journal(tmp_path, SESSION, keep=2.0)
    assert journal.position == 14
    journal.close()


def test_an_epoch_that_outlives_what_is_kept_resends_the_rest(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SESSION, keep=1.0, limit=500)
    for day in range(1, 40):
        journal.sent(day, D, day * DAY)
    resent = [seq for seq, _, _ in journal.outbound(1, 39)]
    assert resent == list(range(resent[0], 40))
    assert resent[0] > 20
    journal.close()
