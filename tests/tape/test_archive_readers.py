"""Readers and the audit beside an archive: nothing is missed, what was dropped is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onetape.tape import reader
from onetape.tape.archive import archive
from onetape.tape.postgres import PostgresTape
from onetape.tape.retention import drop_expired
from onetape.tape.server import connect

from .test_archive import tape  # noqa: F401
from .test_retention import kept  # noqa: F401


def test_a_reader_that_began_before_archiving_gets_every_event(
    tape: PostgresTape,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "PAGE", 7)
    before = list(tape.read())
    reading, following = tape.read(), tape.follow(0)
    first = [next(reading) for _ in range(5)]
    got = list(next(following))
    archive(tape.url, tmp_path, drop=True)
    assert first + list(reading) == before
    while len(got) < len(before):
        got += next(following)
    assert got == before


def test_a_stream_that_is_archived_while_it_is_being_asked_for_is_whole(
    tape: PostgresTape,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = list(tape.read(streams=["b"]))
    asked = reader.Reader._of_streams

    def late(self: Any, *given: Any) -> Any:
        archive(tape.url, tmp_path, drop=True)
        return asked(self, *given)

    monkeypatch.setattr(reader.Reader, "_of_streams", late)
    assert list(tape.read(streams=["b"])) == before


def test_what_retention_dropped_is_said_and_its_roots_are_still_proved(kept: str) -> None:  # noqa: F811
    drop_expired(kept, dry_run=False)
    with PostgresTape(kept) as tape_left:
        verdict = tape_left.verify()
        assert (verdict.ok, verdict.dropped) == (True, 20)
        assert "the roots of 20 events that were dropped" in repr(verdict)
        with connect(kept) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("UPDATE onetape.batch SET root = sha256(root) WHERE batch_id = 1")
        assert not tape_left.verify()
