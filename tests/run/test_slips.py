"""Ordinary slips in what is asked get our own words, before anything runs."""

from __future__ import annotations

import math
from typing import Any

import pytest

import onetape as ot


class Nothing(ot.Strategy):
    fast = ot.param(10, lo=1, hi=20)

    def on_bar(self, bar: Any) -> None:
        self.signal("gap", math.nan)


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"fees": 20}, r"ot\.bps"),
        ({"slippage": 1}, r"ot\.ticks"),
        ({"limits": {"max_position": 1}}, r"ot\.limits"),
        ({"params": {"fast": "x"}}, "int expected"),
    ],
)
def test_a_wrong_argument_says_what_is_expected(terms: dict[str, Any], says: str) -> None:
    with pytest.raises(ot.errors.SettingsError, match=says):
        ot.backtest(Nothing, ot.sample("FB"), **terms)


def test_no_strategy_and_the_same_data_twice_are_refused() -> None:
    with pytest.raises(ot.errors.SettingsError, match="no strategy"):
        ot.backtest([], ot.sample("FB"))
    with pytest.raises(ot.errors.SettingsError, match="twice"):
        ot.backtest(Nothing, [ot.sample("FB"), ot.sample("FB")])


def test_half_a_tick_is_refused() -> None:
    with pytest.raises(ot.errors.SettingsError, match="whole number"):
        ot.ticks(1.5)  # type: ignore[arg-type]


def test_a_signal_that_is_not_ready_is_not_kept_and_stops_nothing() -> None:
    run = ot.backtest(Nothing, ot.sample("FB"))
    assert run.signals.height == 0


def test_a_tape_that_cannot_be_written_says_where(tmp_path: Any) -> None:
    with pytest.raises(ot.errors.TapeError, match="folder"):
        ot.backtest(Nothing, ot.sample("FB"), tape=tmp_path)


def test_a_run_without_a_rate_can_still_be_read() -> None:
    run = ot.backtest(Nothing, ot.sample("FB"), currency="EUR", cash={"USD": 1_000})
    assert "no statistics" in repr(run)
