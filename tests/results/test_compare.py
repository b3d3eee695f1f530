"""Two runs side by side: the same bytes, or where, in what and after what they part."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import onetape as ot


class Hold(ot.Strategy):
    size = ot.param(10)
    late = ot.param(0)

    def on_start(self) -> None:
        self.n = 0

    def on_bar(self, bar: Any) -> None:
        if self.n == 5 + self.late:
            self.target(self.size, why="hold")
        self.n += 1


def go(**params: Any) -> Any:
    return ot.backtest(Hold, ot.sample("FB"), params=params)


def test_equal_runs_have_no_difference():
    found = go() - go()
    assert not found
    assert found.identical
    assert found.first is None
    assert found.stats.height == 0
    assert "identical" in repr(found)


def test_another_parameter_is_named_with_the_first_event_that_it_changed():
    found = go() - go(size=12)
    assert found
    assert "size: 10 and 12" in repr(found)
    assert found.first.left.kind == "decision.made"
    assert "quantity" in found.first.fields
    one = found.stats.filter(pl.col("statistic") == "final_equity").row(0, named=True)
    assert one["difference"] == pytest.approx(one["left"] - one["right"])


def test_other_fees_part_at_the_first_fill():
    data = ot.sample("FB")
    found = ot.backtest(Hold, data) - ot.backtest(Hold, data, fees=ot.bps(20))
    assert found.first.left.kind == "order.filled"
    assert found.first.fields == ("commission",)
    assert [event.kind for event in found.first.causes][-1] == "decision.made"


def test_a_rerun_after_the_code_changed_says_so(monkeypatch):
    run = go()
    monkeypatch.setattr("onetape.run.opening.identity", lambda _s: ("0" * 64, None))
    again = ot.rerun(run)
    assert not again.identical
    assert "the code changed" in repr(again)


def test_a_longer_tape_differs_from_its_beginning():
    whole, short = go(), go(late=10_000)
    assert (whole - short).first is not None
    assert (short - whole).first is not None
