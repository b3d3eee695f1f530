"""Answers that come when nobody waits for them any more: they are no news."""

from __future__ import annotations

from .desk import Desk

AE = {571: "T1", 487: "0", 17: "OLD", 55: "AAA", 207: "X", 32: 10, 31: 10, 75: "20240108",
      60: "20240108-15:00:00", 552: [[(54, "1"), (37, "V9"), (1, "A")]]}  # fmt: skip


def test_an_execution_that_was_asked_for_too_long_ago_is_not_booked_as_a_new_one() -> None:
    at = Desk()
    assert at.hear("AE", {568: "Q1", **AE}) == []


def test_one_that_nobody_asked_for_is() -> None:
    at = Desk()
    assert [type(each).__name__ for each in at.hear("AE", AE)] == ["Filled"]
    other = AE | {17: "NEW", 571: "T2"}
    assert [type(each).__name__ for each in at.hear("AE", {568: "Q", 325: "Y", **other})] == [
        "Filled"
    ]
