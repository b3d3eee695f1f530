"""New terms while others are under way: the next request takes nothing back."""

from __future__ import annotations

from .desk import D, Desk


def test_a_second_request_keeps_what_the_first_that_is_under_way_asked_for() -> None:
    at = Desk()
    at.new(qty=100)
    at.report("0", t38=100)
    at.modify(quantity=50)
    at.modify(price="11")
    assert (at.last()[38], at.last()[44]) == (D(50), D(11))


def test_a_request_that_was_refused_is_not_kept() -> None:
    at = Desk()
    at.new(qty=100)
    at.report("0", t38=100)
    wire = at.modify(quantity=50)
    at.hear("9", {37: "V1", 11: wire, 41: "C1", 39: "0", 434: "2", 102: "2"})
    at.modify(price="11")
    assert at.last()[38] == 100
