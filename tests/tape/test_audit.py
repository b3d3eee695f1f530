"""Audit: an untouched tape is clean, whatever is touched is named, anchors tell of a rewrite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onetape.errors import BrokenTape, SettingsError, TapeError
from onetape.tape import proof as proofs
from onetape.tape.anchors import FileAnchors, anchors
from onetape.tape.ledger import chained
from onetape.tape.postgres import PostgresTape
from onetape.tape.server import connect

from .stories import deposits, fill


@pytest.fixture
def tape(database: str) -> Iterator[PostgresTape]:
    made = PostgresTape(database)
    for at in range(6):  # six batches, of which the third is large enough for COPY
        made.append("a", deposits(100 if at == 2 else 5, first=made.version("a") + 1))
        made.append("b", [fill(made.version("b") + 1)])
    yield made
    made.close()


@pytest.fixture
def touch(database: str) -> Iterator[Any]:
    """Do as a superuser what the triggers forbid."""
    connection = connect(database)

    def run(sql: str) -> None:
        connection.execute("SET session_replication_role = replica")
        connection.execute(sql)

    yield run
    connection.close()


def test_an_untouched_tape_is_clean_and_says_how_much_was_checked(tape: PostgresTape) -> None:
    verdict = tape.verify()
    assert verdict
    assert (verdict.events, verdict.batches) == (131, 12)
    assert verdict.chain == tape.head().chain.hex()
    assert "131 events in 12 batches" in repr(verdict)


@pytest.mark.parametrize(
    ("sql", "batch", "seq", "says"),
    [
        ("UPDATE onetape.event SET payload = convert_to(replace(convert_from(payload, 'UTF8'),"
         " '\"amount\":\"1\"', '\"amount\":\"9\"'), 'UTF8') WHERE seq = 50", 5, 50, "its id"),
        ("UPDATE onetape.event SET payload = '\\x7b7d' WHERE seq = 7", 3, 7, "no event"),
        ("UPDATE onetape.event SET ts_event = ts_event + 1 WHERE seq = 50", 5, 50, "ts_event"),
        ("UPDATE onetape.event SET account_id = 0 WHERE seq = 8", 3, 8, "account"),
        ("DELETE FROM onetape.event WHERE seq = 60", 5, 60, "gone"),
        ("DELETE FROM onetape.event WHERE seq = 131", 12, 131, "gone"),
        ("UPDATE onetape.batch SET recorded_ns = recorded_ns - 1 WHERE batch_id = 4", 4, 0,
         "its chain"),
        ("UPDATE onetape.batch SET root = chain WHERE batch_id = 5", 5, 0, "one of the events"),
        ("DELETE FROM onetape.batch WHERE batch_id = 12", 11, 0, "the head says"),
        ("DELETE FROM onetape.batch WHERE batch_id = 6", 7, 0, "batch 6 from seq 113"),
        ("UPDATE onetape.dimension SET key = 'B' WHERE kind = 'account'", 1, 0, "names"),
        ("UPDATE onetape.stream SET book = 'live' WHERE key = 'b'", 2, 0, "names"),
        ("UPDATE onetape.batch SET writer_id = 99 WHERE batch_id = 4", 4, 0, "its chain"),
        ("INSERT INTO onetape.batch SELECT -1, 3, 3, 1, writer_id, root, named, chain"
         " FROM onetape.batch WHERE batch_id = 1", -1, 0, "not on the chain"),
        ("INSERT INTO onetape.dimension VALUES (900, 'account', 'B', 77)", 77, 0, "no such batch"),
        ("DELETE FROM onetape.stream_head WHERE stream_id = 1", 12, 0, "lost its head"),
        ("UPDATE onetape.ledger_head SET last_stream = 9", 12, 0, "time and names"),
        ("INSERT INTO onetape.archive_segment VALUES (1, 5, 1, 1, 'x', '', '', '{}', 1);"
         "INSERT INTO onetape.segment_dropped VALUES (1, 1, 'x', 'x')", 12, 1, "and stand"),
        ("UPDATE onetape.ledger_head SET last_seq = 130", 12, 0, "the head says"),
        ("UPDATE onetape.stream_head SET version = 3", 12, 0, "says version 3"),
        ("INSERT INTO onetape.event SELECT 132, stream_id, 999, ts_event, ts_init, cause,"
         " source_id, calculation_id, account_id, instrument_id, kind_id, format,"
         " gen_random_uuid(), payload FROM onetape.event WHERE seq = 131",
         12, 132, "after the head"),
    ],
)  # fmt: skip
def test_whatever_a_superuser_touches_is_named(
    tape: PostgresTape, touch: Any, sql: str, batch: int, seq: int, says: str
) -> None:
    touch(sql)
    verdict = tape.verify()
    assert not verdict
    assert "TOUCHED" in repr(verdict)
    told = [(one.batch, one.seq) for one in verdict.findings if says in one.what]
    assert (batch, seq) in told, verdict


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(seq=st.integers(1, 131), at=st.integers(0, 60), bit=st.integers(0, 7))
def test_any_flipped_bit_of_any_payload_is_found(
    tape: PostgresTape, touch: Any, seq: int, at: int, bit: int
) -> None:
    flip = (
        f"UPDATE onetape.event SET payload = set_byte(payload, {at}, get_byte(payload, {at}) # "
        f"{1 << bit}) WHERE seq = {seq}"
    )
    touch(flip)
    found = {one.seq for one in tape.verify().findings}
    touch(flip)
    assert seq in found


def rewrite_the_end(touch: Any, tape: PostgresTape) -> None:
    """Cut the last batch off and write another, with a chain that fits: only an anchor can tell."""
    head = tape.head()
    touch("DELETE FROM onetape.event WHERE seq = 131")
    touch("DELETE FROM onetape.batch WHERE batch_id = 12")
    touch(
        "UPDATE onetape.stream_head SET version = version - 1, last_seq = 124 WHERE last_seq = 131"
    )
    touch(
        "UPDATE onetape.ledger_head SET last_seq = 130, last_batch = 11, chain ="
        " (SELECT chain FROM onetape.batch WHERE batch_id = 11)"
    )
    other = PostgresTape(tape.url)
    other.append("b", [fill(6, quantity=99)])
    assert other.head()[:2] == head[:2]
    other.close()


def test_a_consistent_rewrite_is_found_by_the_anchor_alone(
    tape: PostgresTape, touch: Any, tmp_path: Path
) -> None:
    place = tmp_path / "anchors.jsonl"
    tape.anchor(place)
    assert tape.verify(place).anchors == 1
    rewrite_the_end(touch, tape)
    assert tape.verify()  # the database alone is consistent
    verdict = tape.verify(place)
    assert not verdict
    assert (verdict.findings[0].batch, verdict.findings[0].seq) == (12, 131)
    assert "rewritten" in verdict.findings[0].what


def test_an_anchor_of_more_than_is_there_or_of_another_ledger_is_told(
    tape: PostgresTape, touch: Any, tmp_path: Path
) -> None:
    place = FileAnchors(tmp_path / "anchors.jsonl")
    made = tape.anchor(place)
    place.publish(msgspec.structs.replace(made, batch=40, seq=900))
    place.publish(msgspec.structs.replace(made, ledger="someone else's"))
    told = [one.what for one in tape.verify(place).findings]
    assert any("is not there" in what for what in told)
    assert any("is of ledger someone else's, another" in what for what in told)


def test_the_nightly_audit_begins_at_a_trusted_anchor(tape: PostgresTape, tmp_path: Path) -> None:
    made = tape.anchor(tmp_path / "anchors.jsonl")
    tape.append("a", deposits(4, first=tape.version("a") + 1))
    verdict = tape.verify(tmp_path / "anchors.jsonl", since=made)
    assert verdict
    assert (verdict.events, verdict.batches) == (4, 1)


def test_a_damaged_anchor_file_and_an_unknown_plug_in_say_so(
    tape: PostgresTape, tmp_path: Path
) -> None:
    place = tmp_path / "anchors.jsonl"
    tape.anchor(place)
    place.write_bytes(place.read_bytes()[:-20])
    tape.anchor(place)  # a torn line does not swallow the next
    with pytest.raises(TapeError, match=r"line 1 of .*anchors.jsonl is no anchor"):
        tape.verify(place)
    with pytest.raises(TapeError, match="cannot be read"):
        tape.verify(tmp_path / "none")
    with pytest.raises(SettingsError, match="no anchors of scheme 'notary'"):
        anchors("notary:example")


def test_an_empty_tape_is_clean_and_has_nothing_to_anchor(database: str, tmp_path: Path) -> None:
    with PostgresTape(database) as tape:
        assert tape.verify()
        with pytest.raises(TapeError, match="nothing to anchor"):
            tape.anchor(tmp_path / "anchors.jsonl")


@pytest.mark.parametrize("seq", [1, 6, 50, 112, 131])
def test_an_event_is_proven_from_a_file_with_no_database(
    tape: PostgresTape, tmp_path: Path, seq: int
) -> None:
    anchor = tape.anchor(tmp_path / "anchors.jsonl")
    tape.append("a", deposits(1, first=tape.version("a") + 1))
    saved = tape.prove(seq).save(tmp_path / "event.proof")
    proof = proofs.Proof.load(saved)
    told = proofs.check(proof, anchor.chain)
    assert told == next(iter(tape.read(seq - 1, seq))).event
    assert proof.anchored_ns == anchor.anchored_ns
    assert "published" in repr(proof)


def test_a_proof_of_anything_else_is_refused(tape: PostgresTape, tmp_path: Path) -> None:
    anchor = tape.anchor(tmp_path / "anchors.jsonl")
    proof = tape.prove(50)
    plain = json.loads(proof.save(tmp_path / "p").read_bytes())
    changes: dict[str, Any] = {
        "payload": proof.payload.replace('"amount":"1"', '"amount":"9"'),
        "seq": 51,
        "header": "00" + proof.header[2:-2] + "00",
        "path": list(proof.path[:-1]),
        "before": "00" * 32,
        "links": plain["links"][:-1],
        "stream": "live",
    }
    for name, value in changes.items():
        other = msgspec.convert({**plain, name: value}, proofs.Proof)
        with pytest.raises(BrokenTape):
            proofs.check(other, anchor.chain)
    for chain in ("ab" * 32, ""):
        with pytest.raises(BrokenTape, match="was published"):
            proofs.check(proof, chain)
    first = plain["links"][0]
    cut = [first[0] + first[1][:2], first[1][2:], *first[2:]]  # the same bytes, cut elsewhere
    for links in ([], [cut, *plain["links"][1:]]):
        with pytest.raises(BrokenTape, match="not well formed"):
            proofs.check(msgspec.convert({**plain, "links": links}, proofs.Proof), anchor.chain)
    with pytest.raises(TapeError, match="no event 132"):
        tape.prove(132)
    assert chained(b"", b"", b"", 1, 1, 1, 1) != chained(b"", b"", b"", 1, 1, 1, 2)
