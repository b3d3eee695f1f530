"""Limits by name, from a file, and what is on its way until it is filled or has ended."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.errors import SettingsError
from onetape.risk.exposure import Exposure
from onetape.risk.limitbook import LimitBook, dumps
from onetape.risk.limits import limits, limits_of


def test_limits_by_name_are_the_firms_and_what_is_not_named_is_not_tried() -> None:
    allowed = limits(max_order_quantity=100, max_order_notional="5000.50", restricted=["A.X"])
    assert isinstance(allowed, LimitBook)
    assert allowed.absent == "allow"
    assert {(rule.scope, rule.name) for rule in allowed.rules} == {
        ("firm", "max_order_quantity"),
        ("firm", "max_order_notional"),
        ("firm", "restricted"),
    }
    said = allowed.describe()
    assert "max_order_quantity=100" in said
    assert "max_order_notional=5000.50" in said


@pytest.mark.parametrize("wrong", [0, -1, "NaN", "Infinity", "ten"])
def test_a_limit_that_is_not_positive_is_refused(wrong: object) -> None:
    with pytest.raises(SettingsError, match="positive"):
        limits(max_position=wrong)  # type: ignore[arg-type]


def test_a_name_that_is_nearly_right_says_what_was_meant() -> None:
    with pytest.raises(SettingsError, match="did you mean max_position"):
        limits(max_positon=5)


def test_limits_are_given_by_name_by_book_or_by_file(tmp_path: Path) -> None:
    made = limits(max_position=5)
    path = tmp_path / "limits.toml"
    path.write_text(dumps(made))
    assert limits_of(made) is made
    assert limits_of(path) == limits_of(str(path)) == made
    assert limits_of(None) is None
    with pytest.raises(SettingsError, match="limits file"):
        limits_of(5)


@given(st.lists(st.integers(-50, 50).filter(bool), max_size=20))
def test_what_is_on_its_way_counts_until_it_is_filled_or_ended(sizes: list[int]) -> None:
    exposure = Exposure()
    key = ("S", "A.X")
    for at, size in enumerate(sizes):
        exposure.sent(f"O{at}", *key, Decimal(size))
    assert exposure.expected(*key) == sum(sizes)
    for at, size in enumerate(sizes):
        if at % 2:
            exposure.ended(f"O{at}")
        else:
            exposure.filled(f"O{at}", key, Decimal(size))
    assert exposure.expected(*key) == sum(sizes[::2]) == exposure.held[key]


def test_a_partial_fill_leaves_the_rest_on_its_way() -> None:
    exposure = Exposure()
    exposure.sent("O", "S", "A.X", Decimal(10))
    exposure.filled("O", ("S", "A.X"), Decimal(4))
    assert exposure.expected("S", "A.X") == 10
    assert exposure.net("A.X") == 4
