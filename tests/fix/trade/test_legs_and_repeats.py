"""Reports that are easily taken for what they are not: legs of a spread, and a repeat refused."""

from __future__ import annotations

import pytest

from onetape.run.ports import Filled, Notice, Rejected

from .desk import Desk


def test_a_leg_of_a_spread_is_no_execution_of_the_spread() -> None:
    at = Desk()
    at.new()
    at.report("0")
    assert at.fill("L1", 30, 30, "55", t442="2") == []
    assert at.fill("L2", 30, 30, "45", t442="2") == []
    (whole,) = at.fill("S1", 30, 30, "10", t442="3")
    assert isinstance(whole, Filled)
    assert (whole.trade_id, whole.price) == ("S1", 10)


def test_a_refused_repeat_does_not_end_the_order_it_repeats() -> None:
    at = Desk()
    at.new()
    told = at.report("8", t103="6", t37="NONE", t58="duplicate ClOrdID")
    assert [type(each) for each in told] == [Notice]
    assert at.doubtful == ["C1"]
    at.fill("E1", 30, 30)
    assert at.kinds().count("Filled") == 1


def test_where_nobody_can_be_asked_a_refusal_is_one() -> None:
    at = Desk(supported=frozenset(("D", "F", "8")))
    at.new()
    (told,) = at.report("8", t103="6", t37="NONE")
    assert isinstance(told, Rejected)


@pytest.mark.parametrize("reason", ["0", "3", "99"])
def test_another_refusal_ends_an_order(reason: str) -> None:
    at = Desk()
    at.new()
    (told,) = at.report("8", t103=reason, t37="NONE")
    assert isinstance(told, Rejected)
