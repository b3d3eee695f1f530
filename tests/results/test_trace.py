"""Trace: every number leads back to rows, data and code; a moment is the tape up to then."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest

import onetape as ot
from onetape.results.trace import Trace


class Turn(ot.Strategy):
    """Turn at each crossing of two averages."""

    fast = ot.param(5)
    slow = ot.param(15)

    def on_start(self) -> None:
        self.f, self.s = self.sma(self.fast), self.sma(self.slow)

    def on_bar(self, bar: object) -> None:
        if self.f.crossed_above(self.s):
            self.signal("gap", float(self.f) - float(self.s))
            self.target(+10, why="fast over slow")
        elif self.f.crossed_below(self.s):
            self.target(-10, why="fast under slow")


@pytest.fixture(scope="module")
def run() -> ot.Run:
    return ot.backtest(Turn, ot.sample("MSFT").slice("2002-06-03", "2004-06-01"), fees=ot.bps(5))


def titles(node: Trace) -> list[str]:
    """Return the titles of a tree, first branch first."""
    return [node.title, *[title for below in node.rests_on for title in titles(below)]]


def test_a_fill_leads_through_order_and_decision_to_row_data_file_and_code(run: ot.Run) -> None:
    row = run.fills.row(3, named=True)
    tree = run.trace(row)
    kinds = [title.split(" ")[0] for title in titles(tree)]
    assert kinds == [
        "fill", "order.submitted", "order.initialized", "decision.made",
        "bars", "dataset", "file", "code", "parameters",
    ]  # fmt: skip
    text = repr(tree)
    assert f"{row['price'].normalize():f}" in text
    assert "fast" in text
    assert run.datasets[0].fingerprint[:16] in text
    assert run.opened.code_hash[:16] in text


def test_the_row_that_a_trace_shows_is_the_one_that_the_decision_saw(run: ot.Run) -> None:
    decision = next(e for e in run.recording if e.kind == "decision.made")
    assert decision.lineage is not None
    at = pl.lit(decision.lineage.ts).cast(pl.Datetime("ns", "UTC"))
    bar = run.datasets[0].scan().filter(pl.col("ts_event") == at).collect().row(0, named=True)
    assert f"close {bar['close'].normalize():f}" in repr(run.trace(decision))


@pytest.mark.parametrize("frame", ["fills", "orders", "positions", "trades", "signals", "equity"])
def test_a_row_of_any_frame_can_be_traced_to_a_dataset(run: ot.Run, frame: str) -> None:
    table: pl.DataFrame = getattr(run, frame)
    assert "dataset" in titles(run.trace(table[table.height // 2]))


def test_an_event_and_its_seq_give_the_same_trace(run: ot.Run) -> None:
    event = run.recording[-2]
    assert repr(run.trace(event)) == repr(run.trace(event.seq))


def test_what_is_no_row_is_refused_with_what_to_try(run: ot.Run) -> None:
    for wrong in ("yesterday", {"price": 1}, None):
        with pytest.raises(ot.errors.SettingsError, match="expected"):
            run.trace(wrong)
    with pytest.raises(ot.errors.SettingsError, match="one expected"):
        run.trace(run.fills)
    with pytest.raises(ot.errors.TapeError, match="holds 1 to"):
        run.trace(10_000_000)


def test_a_trace_without_the_data_at_hand_names_the_dataset_by_its_hash(
    run: ot.Run, tmp_path: object
) -> None:
    loaded = ot.Run(run.recording)
    text = repr(loaded.trace(loaded.fills[-1]))
    assert "not at hand" in text
    assert run.datasets[0].fingerprint[:16] in text


def test_a_moment_is_what_the_fills_before_it_left(run: ot.Run) -> None:
    for when in ("2002-09-03", "2003-02-18", "2004-05-28"):
        moment = run.at(when)
        before = run.fills.filter(pl.col("ts_event").dt.timestamp("ns") <= moment.ts)
        signed = Decimal(0)
        splits = list(run.recording.of_kind("action.split"))
        for row in before.iter_rows(named=True):
            units = row["quantity"] if row["side"] == "BUY" else -row["quantity"]
            for split in splits:
                if row["seq"] < split.seq and split.ts_event <= moment.ts:
                    units *= split.fact.ratio  # type: ignore[union-attr]
            signed += units
        held = moment.positions["quantity"].sum() if moment.positions.height else 0
        assert Decimal(str(held)) == signed
        assert moment.equity is not None


def test_before_the_first_fill_there_is_cash_and_nothing_else(run: ot.Run) -> None:
    moment = run.at("2002-06-05")
    assert moment.positions.height == 0
    assert moment.cash == {"USD": Decimal(100_000)}
    assert "cash 100,000.00 USD" in repr(moment)


def test_a_run_explains_every_statistic_it_shows(run: ot.Run) -> None:
    for name in run.stats:
        text = run.explain(name)
        assert "formula" in text
        assert "source" in text
    with pytest.raises(ot.errors.SettingsError, match="sharpe"):
        run.explain("sharp")


def test_against_itself_the_market_has_beta_one(run: ot.Run) -> None:
    class Hold(ot.Strategy):
        def on_bar(self, bar: object) -> None:
            self.target(100)

    data = ot.sample("GOOG").slice("2006-01-01", "2007-01-01")
    held = ot.backtest(Hold, data, cash=0, fill="this_close").against(data)
    assert held["beta"] is None or held["beta"] > 0
    rich = ot.backtest(Hold, data, cash="43000", fill="this_close").against(data)
    assert rich["beta"] == pytest.approx(1.0, abs=0.05)
