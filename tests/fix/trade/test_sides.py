"""Sides as the wire has them: a side that is not known is never taken for a buy."""

from __future__ import annotations

import pytest

from onetape.run.ports import Filled, Notice

from .desk import Desk


@pytest.mark.parametrize(
    ("side", "told"), [("5", "SELL"), ("6", "SELL"), ("H", "SELL"), ("3", "BUY")]
)
def test_short_exempt_and_undisclosed_sales_are_sales(side: str, told: str) -> None:
    (said,) = Desk().report("F", "HAND", t54=side, t32=10, t31=10, t14=10, t39="1")
    assert isinstance(said, Filled)
    assert said.side == told


@pytest.mark.parametrize("side", ["7", "8", None])
def test_a_fill_of_nobody_knows_which_side_is_noticed_and_not_booked(side: str | None) -> None:
    said = Desk().report("F", "HAND", t54=side, t32=10, t31=10, t14=10, t39="1")
    assert [type(each) for each in said if not isinstance(each, Notice)] == []
    assert "fill_unreadable" in [each.code for each in said]
