"""Charts: what is drawn is what the frames say."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import onetape as ot
from onetape.results import charts


class Cross(ot.Strategy):
    def on_start(self):
        self.f, self.s = self.sma(10), self.sma(30)

    def on_bar(self, bar):
        if self.f.crossed_above(self.s):
            self.target(+10)
        elif self.f.crossed_below(self.s):
            self.target(-10)


class Never(ot.Strategy):
    pass


@pytest.fixture(scope="module")
def run():
    return ot.backtest(Cross, ot.sample("AAPL"), cash=50_000, fees=ot.bps(5))


@pytest.fixture(scope="module")
def drawn(run):
    return charts.figures(run)


def glyphs(figure, kind):
    return [r for r in figure.renderers if type(r.glyph).__name__ == kind]


def test_every_chart_is_drawn(drawn):
    assert list(drawn) == ["equity", "drawdown", "fills AAPL.XNAS", "sharpe", "returns"]


def test_equity_ends_at_the_final_equity_and_drawdown_reaches_its_statistic(run, drawn):
    money = glyphs(drawn["equity"], "Line")[0].data_source.data["equity"]
    assert money[-1] == pytest.approx(float(run.final_equity))
    depth = run.equity["drawdown"].min()
    area = drawn["drawdown"].renderers[0].data_source.data
    assert min(np.min(v) for v in area.values() if np.asarray(v).dtype.kind == "f") == depth


def test_every_fill_is_a_triangle_at_its_price_up_for_buys(run, drawn):
    marks = {
        r.glyph.marker: r.data_source.data for r in glyphs(drawn["fills AAPL.XNAS"], "Scatter")
    }
    for side, marker in (("BUY", "triangle"), ("SELL", "inverted_triangle")):
        prices = run.fills.filter(pl.col("side") == side)["price"].cast(pl.Float64).to_list()
        assert list(marks[marker]["price"]) == pytest.approx(prices)


def test_charts_over_time_share_one_axis(drawn):
    assert drawn["drawdown"].x_range is drawn["equity"].x_range
    assert drawn["fills AAPL.XNAS"].x_range is drawn["equity"].x_range


def test_times_are_those_of_the_exchange_and_its_axis_says_so(drawn):
    figure = drawn["fills AAPL.XNAS"]
    assert figure.xaxis[0].axis_label == "New York time"
    assert charts.local([0], "America/New_York").dt.hour()[0] == 19  # midnight UTC


def test_drawing_leaves_the_caller_s_own_plotting_library_chosen(run):
    import holoviews as hv

    before = hv.Store.current_backend
    hv.Store.current_backend = "matplotlib"
    try:
        assert "equity" in charts.figures(run)
        assert hv.Store.current_backend == "matplotlib"
    finally:
        hv.Store.current_backend = before


def test_splits_are_marked_on_the_price(drawn):
    from bokeh.models import Label

    labels = drawn["fills AAPL.XNAS"].select({"type": Label})
    assert "split 2:1" in {label.text for label in labels}


def test_the_returns_drawn_are_all_the_days(run, drawn):
    counted = sum(np.sum(r.data_source.data["top"]) for r in drawn["returns"].renderers)
    assert counted == len(run._sample.daily.returns)


def test_rolling_sharpe_ends_at_the_ratio_of_its_last_window(run):
    from onetape.results.page_data import WINDOW, rolling_sharpe

    last = run._sample.daily.returns[-WINDOW:]
    expected = last.mean() / last.std(ddof=1) * 252**0.5
    assert rolling_sharpe(run)["sharpe"][-1] == pytest.approx(expected)


def test_the_tear_sheet_builds_as_one_panel_column(run):
    import panel as pn

    sheet = run.tearsheet()
    assert isinstance(sheet, pn.Column)
    assert len(sheet.select(pn.pane.Bokeh)) == 5
    text = "".join(pane.object for pane in sheet.select(pn.pane.HTML))
    assert run.fingerprint in text
    assert "Statistics" in text


def test_a_run_without_trades_or_data_has_a_tear_sheet(tmp_path):
    idle = ot.backtest(Never, ot.sample("FB"))
    assert list(charts.figures(idle)) == ["equity", "drawdown", "fills FB.XNAS"]
    loaded = ot.Run.load(idle.save(tmp_path / "idle.tape"))
    assert charts.figures(loaded) == {}
    assert len(loaded.tearsheet()) > 3
