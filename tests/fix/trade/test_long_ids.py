"""Ids of executions: they fit the tape, and what changes with each telling is no id."""

from __future__ import annotations

from onetape.run.ports import Filled, Notice

from .test_books_joined import Books

LONG = "123e4567-e89b-12d3-a456-426614174000"  # 36 characters
SIDES = ({54: "1", 37: "V1", 11: "C1", 1: "A"}, {54: "2", 37: "V2", 11: "C2", 1: "A"})


def test_the_ids_of_two_sides_fit_the_tape() -> None:
    said = Books().captured(LONG, *SIDES)
    ids = [each.trade_id for each in said if isinstance(each, Filled)]
    assert len(set(ids)) == 2
    assert max(map(len, ids)) <= 36


def test_a_side_of_a_long_id_is_the_execution_that_its_order_has() -> None:
    at = Books()
    at.new("C1")
    at.report("0")
    at.fill(LONG, 10, 10)
    ids = [each.trade_id for each in at.captured(LONG, *SIDES) if isinstance(each, Filled)]
    assert len(ids) == 1


def test_a_capture_without_an_execution_id_is_noticed_and_not_booked() -> None:
    said = Books().captured("0")
    assert [type(each) for each in said] == [Notice]
