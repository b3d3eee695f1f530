"""Limits: pure, only what is set is tried, a refusal says what was seen."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.errors import SettingsError
from onetape.risk.exposure import Exposure
from onetape.risk.limits import decide, limits

amounts = st.integers(-1_000, 1_000).map(Decimal)


@given(amounts, amounts, amounts)
def test_without_limits_everything_passes(signed: Decimal, held: Decimal, worst: Decimal) -> None:
    assert decide(limits(), signed, abs(signed) * 10, held, worst) is None


@given(amounts, amounts, st.integers(1, 500))
def test_an_order_that_passes_stays_within_its_limit_or_only_reduces(
    signed: Decimal, held: Decimal, most: int
) -> None:
    breach = decide(limits(max_position=most), signed, Decimal(0), held, held)
    after = held + signed
    reduces = abs(after) <= abs(held) and held * after >= 0
    assert (breach is None) == (abs(after) <= most or reduces)


def test_a_refusal_names_limit_observed_and_threshold() -> None:
    allowed = limits(max_order_quantity=100, max_order_notional="5000.50")
    flat = Decimal(0)
    breach = decide(allowed, Decimal(-101), Decimal(1), flat, flat)
    assert breach == ("max_order_quantity", Decimal(101), Decimal(100))
    breach = decide(allowed, Decimal(10), Decimal("5000.51"), flat, flat)
    assert breach == ("max_order_notional", Decimal("5000.51"), Decimal("5000.50"))
    assert allowed.describe() == "max_order_quantity=100, max_order_notional=5000.50"


def test_a_limit_on_notional_refuses_while_no_price_is_known() -> None:
    allowed = limits(max_order_notional=100)
    assert decide(allowed, Decimal(1), None, Decimal(0), Decimal(0)) is not None


@pytest.mark.parametrize("wrong", [0, -1, "NaN", "Infinity", "ten"])
def test_a_limit_that_is_not_positive_is_refused(wrong: object) -> None:
    with pytest.raises(SettingsError, match="positive"):
        limits(max_position=wrong)  # type: ignore[arg-type]


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
