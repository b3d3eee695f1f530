"""Done for the day: an order that comes back tomorrow has not expired."""

from __future__ import annotations

import pytest

from .desk import Desk


@pytest.mark.parametrize(("force", "kinds"), [("GTC", ["Filled"]), ("DAY", ["Filled", "Expired"])])
def test_a_fill_that_ends_the_day_ends_an_order_of_the_day_only(
    force: str, kinds: list[str]
) -> None:
    at = Desk()
    at.new(time_in_force=force)
    at.report("0")
    said = at.fill("E1", 10, 10, t39="3", t151=0)
    assert [type(each).__name__ for each in said] == kinds


@pytest.mark.parametrize(("force", "status"), [("GTC", "PARTIALLY_FILLED"), ("DAY", "EXPIRED")])
def test_an_answer_says_of_an_order_that_comes_back_that_it_works(force: str, status: str) -> None:
    at = Desk()
    at.new(time_in_force=force)
    at.report("0")
    at.fill("E1", 10, 10)
    body = {37: "V1", 11: "C1", 17: "0", 150: "I", 39: "3", 55: "AAA", 207: "X", 54: "1"}
    told = at.flow.asking.status_in(at.message("8", body | {38: 30, 14: 10, 151: 0}))
    assert told is not None
    assert told.status == status
