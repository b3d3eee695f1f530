"""Recordings: in order, saved whole or not at all, refused when changed, compared by event."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onetape as ot
from onetape.errors import BrokenTape, TapeError
from onetape.tape import kinds
from onetape.tape.event import Event, encode
from onetape.tape.recording import Recording, first_difference

D = Decimal


def events(count: int = 6, amount: int = 1) -> list[Event]:
    made: list[Event] = []
    for seq in range(1, count + 1):
        fact = kinds.CashDeposited("A", "USD", D(amount if seq == 4 else 1))
        made.append(Event(seq, seq * 10, seq * 10, "account/A", fact, seq - 1 or None))
    return made


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return Recording.of(events()).save(tmp_path / "a.tape")


def test_a_saved_recording_loads_as_it_was(saved):
    assert Recording.load(saved) == Recording.of(events())
    assert Recording.load(saved).fingerprint == Recording.of(events()).fingerprint


def test_a_run_saved_and_loaded_keeps_its_fills_and_fingerprint(tmp_path):
    class Hold(ot.Strategy):
        def on_bar(self, bar: Any) -> None:
            self.target(10)

    run = ot.backtest(Hold, ot.sample("FB"), tape=tmp_path / "run.tape")
    again = ot.Run.load(tmp_path / "run.tape", ot.sample("FB"))
    assert again == run
    assert again.fills.equals(run.fills)
    assert again.final_equity == run.final_equity


def test_an_empty_recording_can_be_kept(tmp_path):
    assert len(Recording.load(Recording([]).save(tmp_path / "none"))) == 0


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_file_with_any_bit_changed_is_refused_or_says_the_same(saved, data, tmp_path):
    whole = saved.read_bytes()
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    other = tmp_path / "changed"
    other.write_bytes(changed)
    try:
        loaded = Recording.load(other)
    except TapeError:
        return
    assert loaded == Recording.of(events())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_file_cut_short_is_refused(saved, data, tmp_path):
    whole = saved.read_bytes()
    other = tmp_path / "half"
    other.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(TapeError):
        Recording.load(other)


def test_a_file_rewritten_with_other_events_is_refused(saved):
    table = pq.read_table(saved)
    raws = table.column("raw").to_pylist()
    raws[3] = encode(events(amount=1_000_000)[3])
    kept = table.set_column(1, "raw", [raws]).replace_schema_metadata(table.schema.metadata)
    pq.write_table(kept, saved)
    with pytest.raises(BrokenTape, match="changed after it was saved"):
        Recording.load(saved)


def test_a_parquet_file_of_something_else_says_so(tmp_path):
    ot.sample("FB").frame().write_parquet(tmp_path / "prices.parquet")
    with pytest.raises(TapeError, match=r"no format mark.*expected onetape.recording/1"):
        Recording.load(tmp_path / "prices.parquet")


def test_a_missing_file_is_a_tape_error(tmp_path):
    with pytest.raises(TapeError, match="nothing"):
        Recording.load(tmp_path / "nothing")


def test_a_save_that_fails_leaves_the_old_file_and_no_other(saved, monkeypatch):
    before = saved.read_bytes()

    def full(_table: Any, where: Any, **_: Any) -> None:
        Path(where).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(TapeError, match="no space") as told:
        Recording.of(events(3)).save(saved)
    assert isinstance(told.value.__cause__, OSError)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_events_out_of_order_or_with_a_later_cause_are_refused():
    with pytest.raises(BrokenTape, match="seq 3"):
        Recording.of([events()[0], events()[2]])
    late = Event(1, 0, 0, "s", events()[0].fact, cause=1)
    with pytest.raises(BrokenTape, match="not an earlier event"):
        Recording.of([late])
    with pytest.raises(BrokenTape):
        list(Recording([encode(events()[1])]))
    with pytest.raises(BrokenTape, match="not an earlier event"):
        list(Recording([encode(late)]))


def test_a_recording_is_sliced_by_seq_time_and_kind():
    tape = Recording.of(events())
    assert tape.seq(3).seq == 3
    assert [e.seq for e in tape.between(20, 40)] == [2, 3]
    assert [e.seq for e in tape.of_kind("cash.deposited")] == [1, 2, 3, 4, 5, 6]
    assert [e.seq for e in tape.of_kind(kinds.OrderFilled)] == []
    assert [e.seq for e in tape.causes(4)] == [4, 3, 2, 1]
    assert tape.frame()["seq"].to_list() == [1, 2, 3, 4, 5, 6]
    with pytest.raises(TapeError, match="holds 1 to 6"):
        tape.seq(7)
    with pytest.raises(TapeError, match=r"does not begin with run\.opened"):
        _ = tape.opened


def test_the_first_difference_names_its_seq_its_fields_and_its_causes():
    one, two = Recording.of(events()), Recording.of(events(amount=2))
    found = first_difference(one, two)
    assert found is not None
    assert (found.seq, found.fields) == (4, ("amount",))
    assert [e.seq for e in found.causes] == [3, 2, 1]
    assert "seq 4 in amount" in str(found)
    assert first_difference(one, Recording.of(events())) is None


def test_a_tape_that_goes_on_differs_where_the_other_ends():
    found = first_difference(Recording.of(events(5)), Recording.of(events(6)))
    assert found is not None
    assert (found.seq, found.left) == (6, None)
    assert "(no such event)" in str(found)


@given(st.integers(1, 6), st.sampled_from(["ts_event", "ts_init", "stream", "version"]))
def test_whatever_differs_in_an_event_is_named(seq, field):
    changed = events()
    value = "other" if field == "stream" else 99
    import msgspec

    changed[seq - 1] = msgspec.structs.replace(changed[seq - 1], **{field: value})
    found = first_difference(Recording.of(events()), Recording.of(changed))
    assert found is not None
    assert (found.seq, found.fields) == (seq, (field,))


def test_equal_recordings_are_one_key():
    assert len({Recording.of(events()), Recording.of(events())}) == 1
    assert Recording.of(events()) != Recording.of(events(5))
