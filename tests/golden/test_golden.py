"""Golden tapes: what was once recorded stays readable, with its fingerprint, for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

import onetape as ot
from onetape.tape.event import decode, encode

from .make import dataset

HERE = Path(__file__).parent
KEPT = {  # file: fingerprint, events, final equity; never edited, only added to
    "01.tape": ("190203fea9ae78962c63421d2d405f69de19258c8f20a4a296d58a429cc3f385", 54, 10_024),
}


def test_every_golden_tape_is_entered_here():
    assert {path.name for path in HERE.glob("*.tape")} == set(KEPT)


@pytest.mark.parametrize("name", KEPT)
def test_a_golden_tape_loads_with_its_fingerprint(name):
    tape = ot.Recording.load(HERE / name)
    assert (tape.fingerprint, len(tape)) == KEPT[name][:2]
    assert [event.seq for event in tape] == list(range(1, len(tape) + 1))


@pytest.mark.parametrize("name", KEPT)
def test_the_books_of_a_golden_tape_come_out_as_they_did(name):
    run = ot.Run.load(HERE / name, dataset())
    assert run.final_equity == KEPT[name][2]
    assert run.fills.height == 3
    assert run.orders.height > 5


@pytest.mark.parametrize("name", KEPT)
def test_events_of_todays_version_are_written_as_they_were(name):
    for raw in ot.Recording.load(HERE / name).raws:
        if b'"version":1' in raw:
            assert encode(decode(raw)) == raw
