"""What cannot be booked as it stands is never passed over in silence."""

from __future__ import annotations

import pytest

from onetape.run.ports import Notice, VenueState
from onetape_fix.gateway.line import LineAlarm

from .desk import Desk


def desk() -> Desk:
    at = Desk()
    at.new()
    at.report("0")
    at.fill("E1", 10, 10)
    return at


@pytest.mark.parametrize("what", ["H", "G"])
def test_a_bust_or_correction_of_nobody_knows_what_is_noticed(what: str) -> None:
    said = desk().report(what, t17="B1", t19=None, t32=10, t31=9, t14=10, t39="1")
    assert [(type(each), each.level) for each in said] == [(Notice, "critical")]


def test_a_correction_without_its_terms_is_noticed() -> None:
    said = desk().report("G", t17="B1", t19="E1", t14=10, t39="1")
    assert [type(each) for each in said] == [Notice]


@pytest.mark.parametrize("code", ["rejected", "application", "store"])
def test_a_message_that_never_came_to_us_has_the_books_compared(code: str) -> None:
    at = Desk()
    before = len(at.said)
    at.tell(LineAlarm(code, "35=8 was turned away"))
    states = [each.state for each in at.said[before:] if isinstance(each, VenueState)]
    assert states == ["silent", "connected"]
