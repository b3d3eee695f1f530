"""A run: immutable, saved and loaded, run again, looked into at any moment."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

import onetape as ot
from onetape.errors import RunError, SettingsError, TapeError


class Cross(ot.Strategy):
    fast = ot.param(10, lo=2)
    slow = ot.param(20, lo=3)

    def on_start(self) -> None:
        self.f, self.s = self.sma(self.fast), self.sma(self.slow)

    def on_bar(self, bar: Any) -> None:
        if self.f.crossed_above(self.s):
            self.target(+10, why="fast over slow")
        elif self.f.crossed_below(self.s):
            self.target(-10, why="fast under slow")


@pytest.fixture(scope="module")
def run() -> Any:
    return ot.backtest(Cross, ot.sample("GOOG"), cash=10_000, fees=ot.bps(20))


def test_a_run_says_how_its_figures_came_about(run):
    assert run.params == {"fast": 10, "slow": 20}
    assert run.conventions["fill"].startswith("next_open: ")
    assert run.conventions["fees"] == "20 bps of notional on each fill"
    assert run.opened.versions["engine"].startswith("nautilus_trader ")
    assert run.opened.datasets[0].fingerprint == ot.sample("GOOG").fingerprint
    assert "class Cross" in run.opened.code
    assert run.fingerprint in repr(run)


def test_a_saved_run_loads_with_its_data_and_is_the_same(run, tmp_path):
    again = ot.Run.load(run.save(tmp_path / "cross.tape"), ot.sample("GOOG"))
    assert again == run
    assert hash(again) == hash(run)
    assert again.stats == run.stats
    assert again.equity.equals(run.equity)


def test_a_run_loaded_without_its_data_says_which_data_it_needs(run, tmp_path):
    bare = ot.Run.load(run.save(tmp_path / "cross.tape"))
    assert bare.fills.equals(run.fills)
    with pytest.raises(RunError, match=r"loaded without its data.*GOOG"):
        _ = bare.stats


def test_a_run_loaded_with_other_data_is_refused(run, tmp_path):
    path = run.save(tmp_path / "cross.tape")
    with pytest.raises(SettingsError, match="the run's own data expected: GOOG"):
        ot.Run.load(path, ot.sample("AAPL"))
    with pytest.raises(TapeError):
        ot.Run.load(tmp_path / "none.tape")


def test_a_loaded_run_can_be_run_again_and_is_identical(run, tmp_path):
    loaded = ot.Run.load(run.save(tmp_path / "cross.tape"), ot.sample("GOOG"))
    again = ot.rerun(loaded)
    assert again.identical, repr(again)
    assert "identical" in repr(again)


def test_a_tape_written_while_running_is_the_runs_own(tmp_path):
    run = ot.backtest(Cross, ot.sample("FB"), tape=tmp_path / "fb.tape")
    assert ot.Recording.load(tmp_path / "fb.tape") == run.recording


def test_at_an_instant_a_run_knows_what_had_happened_by_then_and_no_more(run):
    first, second = run.fills["ts_event"][0], run.fills["ts_event"][1]
    before = run.at(first.replace(hour=9, minute=0))
    assert before.positions.height == 0
    assert before.cash == {"USD": 10_000}
    between = run.at(second.replace(hour=9, minute=0))
    assert between.positions["quantity"].to_list() == [-10]
    paid = 10 * run.fills["price"][0] - run.fills["commission"][0]
    assert between.cash == {"USD": 10_000 + paid}


def test_the_end_of_the_equity_is_the_final_equity(run):
    assert run.equity["equity"][-1] == run.final_equity
    assert run.at("2013-03-02").equity == run.final_equity
    assert isinstance(run.final_equity, Decimal)


def test_each_row_of_a_frame_leads_back_to_the_tape(run):
    for row in run.fills.head(5).iter_rows(named=True):
        event = run.recording.seq(row["seq"])
        assert event.kind == "order.filled"
        assert event.fact.price == row["price"]
        assert run.recording.causes(row["seq"])[-1].fact.why.startswith("fast")


def test_start_and_end_give_the_run_of_the_slice():
    inside = {"start": "2008-01-01", "end": "2010-01-01"}
    sliced = ot.sample("GOOG").slice(**inside)
    assert ot.backtest(Cross, ot.sample("GOOG"), **inside) == ot.backtest(Cross, sliced)


def test_a_range_without_rows_is_told():
    with pytest.raises(ot.errors.EmptyRange):
        ot.backtest(Cross, ot.sample("GOOG"), start="2030-01-01")


def test_to_dict_is_plain_and_names_the_fingerprint(run):
    import json

    said = json.loads(json.dumps(run.to_dict()))
    assert said["fingerprint"] == run.fingerprint
    assert said["stats"]["final_equity"] == pytest.approx(float(run.final_equity))


def test_cash_in_a_second_currency_is_valued_before_its_first_rate() -> None:
    import datetime as dt

    import polars as pl

    days = [dt.date(2024, 1, d) for d in (2, 3, 4)]
    prices = {column: [10.0, 11.0, 12.0] for column in ("open", "high", "low")}
    shares = pl.DataFrame({"date": days, **prices})
    shares = shares.with_columns(close=pl.col("open"), volume=pl.lit(100))
    rates = shares.with_columns(pl.col("open", "high", "low", "close") / 10)
    data = [
        ot.Dataset.from_frame(shares, instrument=ot.equity("A.XNAS"), kind="bars", step="1-DAY"),
        ot.Dataset.from_frame(
            rates, instrument=ot.fx("EUR/USD.SIM"), kind="bars", step="1-DAY", stamp="open"
        ),
    ]

    class Nothing(ot.Strategy):
        pass

    run = ot.backtest(Nothing, data, cash={"USD": 100, "EUR": 50}, currency="USD")
    assert run.equity["equity"][0] == 150
    assert run.final_equity == 160
