"""Pages: what a person is shown, and that it needs nothing but itself."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import onetape as ot
from onetape.books.definitions import STATISTICS
from onetape.errors import SettingsError
from onetape.results import page, page_parts, svg

# what a browser would fetch: anything but text inside a script
FETCHED = re.compile(
    r"""<(?:link|iframe|img|script|object|embed|source)\b[^>]*\b(?:src|href|data)\s*=
      |@import|url\(\s*['"]?(?!data:|\#)[a-z/.]""",
    re.IGNORECASE | re.VERBOSE,
)


class Cross(ot.Strategy):
    fast = ot.param(10)
    slow = ot.param(30)

    def on_start(self):
        self.f, self.s = self.sma(self.fast), self.sma(self.slow)

    def on_bar(self, bar):
        if self.f.crossed_above(self.s):
            self.target(+10, why="fast over slow")
        elif self.f.crossed_below(self.s):
            self.target(-10, why="fast under slow")


class Each(ot.Strategy):
    def on_bar(self, bar):
        name = str(bar.bar_type.instrument_id)
        self.target(1 if bar.close > bar.open else -1, instrument=name)


class Never(ot.Strategy):
    note = ot.param("<script>alert('x')</script>")


class Busy(ot.Strategy):
    def on_start(self):
        self.seen = 0

    def on_quote(self, quote):
        self.seen += 1
        if self.seen % 50 == 0:
            self.target(1_000 if self.seen % 100 else -1_000)


@pytest.fixture(scope="module")
def run():
    return ot.backtest(Cross, ot.sample("GOOG"), cash=10_000, fees=ot.bps(20))


@pytest.fixture(scope="module")
def idle():
    return ot.backtest(Never, ot.sample("GOOG"), cash=10_000)


@pytest.fixture(scope="module")
def loaded(run, tmp_path_factory):
    return ot.Run.load(run.save(tmp_path_factory.mktemp("tapes") / "run.tape"))


def without_scripts(text: str) -> str:
    return re.sub(r"(<script\b[^>]*>).*?</script>", r"\1", text, flags=re.DOTALL)


def test_the_card_holds_no_script_and_no_outside_address(run):
    text = page.card(run)
    assert "<script" not in text
    assert "http" not in text
    assert "javascript:" not in text
    assert not re.search(r"\son\w+=", text)
    assert not FETCHED.search(text)


def test_the_card_is_what_a_notebook_shows(run):
    assert run._repr_html_() == page.card(run)


def test_the_card_shows_each_figure_with_its_formula(run):
    text = page.card(run)
    assert f"{run.final_equity:,.2f}" in text
    assert STATISTICS["sharpe"].formula in text
    assert run.fingerprint in text
    assert "20 bps" in text
    assert "fast=10" in text


def test_the_card_escapes_what_users_wrote(idle):
    text = page.card(idle)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_the_card_says_synthetic_and_shows_times_of_day():
    made = ot.backtest(Busy, ot.sample("EURUSD-ticks", rows=5_000), cash=100_000)
    text = page.card(made)
    assert "SYNTHETIC DATA" in text
    assert "is SYNTHETIC data: no market ever traded so" in text
    assert "UTC" in text


def test_the_card_of_many_rows_and_fills_stays_small_and_quick():
    made = ot.backtest(Busy, ot.sample("EURUSD-ticks"), cash=1_000_000)
    assert made.fills.height > 1_500
    assert made.equity.height > 1_000
    began = time.perf_counter()
    text = page.card(made)
    assert len(text) < 200_000
    assert time.perf_counter() - began < 5


def test_a_million_points_are_thinned_without_losing_an_extreme():
    times = np.arange(1_000_000, dtype=np.int64) * 1_000_000_000
    values = np.sin(times / 1e13)
    values[654_321], values[123_456] = 9.0, -9.0
    at, kept = svg.thin(times, values)
    assert len(at) <= 2 * svg.COLUMNS + 2
    assert kept.max() == 9.0
    assert kept.min() == -9.0
    assert (np.diff(at) > 0).all()
    assert (at[0], at[-1]) == (times[0], times[-1])
    assert len(svg.equity(times, values + 10, values * 0, "UTC")) < 60_000


def test_of_several_instruments_the_most_traded_is_drawn_and_named():
    both = ot.backtest(Each, [ot.sample("FB"), ot.sample("GOOG").slice("2012-01-01")])
    counts = dict(both.fills.group_by("instrument").len().iter_rows())
    text = page.card(both)
    most = max(counts, key=lambda name: counts[name])
    assert f"{most}: {counts[most]:,} fills, the most traded of 2 instruments" in text
    assert "By instrument" in page_parts.instruments(both)


def test_a_run_without_trades_has_a_card_and_a_report(idle, tmp_path):
    assert "no fills" in page.card(idle)
    text = page.report(idle, tmp_path / "idle.html").read_text()
    assert "No trades" in text
    assert "nothing was filled" in text


def test_a_run_loaded_without_its_data_says_why_there_is_no_equity(loaded, tmp_path):
    text = page.card(loaded)
    assert "loaded without its data" in text
    assert "<svg" not in text
    assert loaded.fingerprint in text
    assert "Where a number comes from" in page.report(loaded, tmp_path / "run.html").read_text()


def test_many_warnings_are_folded_with_the_worst_in_sight():
    five = [ot.sample(name) for name in ("GOOG", "AAPL", "FB", "IBM", "MSFT")]
    text = page_parts.warnings(ot.backtest(Never, five, fill="this_close"))
    assert text.index("optimistic") < text.index("off_tick") < text.index("<details>")


def test_the_report_is_one_file_that_fetches_nothing(run, tmp_path):
    path = page.report(run, tmp_path / "new" / "report.html")
    text = path.read_text()
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]
    assert not FETCHED.search(without_scripts(text))
    assert "http" not in re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)
    assert len(text) < 8_000_000


def test_the_report_holds_every_section_and_every_statistic(run, tmp_path):
    text = page.report(run, tmp_path / "report.html").read_text()
    for section in (
        "Equity and drawdown", "Fills on price", "Monthly returns", "Rolling Sharpe ratio",
        "Daily returns", "Trades", "Statistics", "Where a number comes from", "Conventions",
    ):  # fmt: skip
        assert f"<h3>{section}" in text
    for one in STATISTICS.values():
        assert page_parts.name_of(one.name) in text
    assert "run.trace(run.fills[-1])" in text
    assert run.fingerprint in text


def test_a_report_that_fails_leaves_the_old_file_as_it_was(run, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("before")

    def full(self, target):
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        page.report(run, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_several_runs_stand_side_by_side_in_one_file(run, idle, loaded, tmp_path):
    path = page.reports([run, idle, loaded], tmp_path / "all.html", "Two <ideas>")
    text = path.read_text()
    assert "Two &lt;ideas&gt;" in text
    assert "Side by side" in text
    assert text.count("<section") == 3
    assert text.count("Bokeh.Panel") <= 1
    assert not FETCHED.search(without_scripts(text))


def test_reports_of_nothing_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="one or more expected"):
        page.reports([], tmp_path / "none.html")


def test_saving_to_html_writes_the_report(run, tmp_path):
    assert run.save(tmp_path / "run.html").read_text().startswith("<!doctype html>")


def test_months_compound_to_their_year_and_years_to_the_whole(run):
    from onetape.results.page_data import months

    whole = 1.0
    for _, row, year in months(run):
        product = 1.0
        for month in row:
            product *= 1 + (month or 0)
        assert product == pytest.approx(1 + year)
        whole *= product
    assert whole == pytest.approx(1 + run.stats["total_return"])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2.5, 5, 7.5, 10]), (95, 131, [100, 110, 120, 130]), (3, 3, [3])],
)
def test_axes_have_round_values(low, high, expected):
    assert svg.steps(low, high, 4) == pytest.approx(expected)


def test_axis_values_have_the_digits_that_tell_them_apart():
    assert svg.amount(12_500, 2_500) == "12,500"
    assert svg.amount(1.0975, 0.0025) == "1.0975"
    assert svg.amount(-0.5, 0.25) == "−0.50"


def test_instants_on_an_axis_are_round_in_the_exchange_s_zone():
    start = int(pl.Series(["2012-03-01T14:30"]).str.to_datetime(time_unit="ns")[0].timestamp())
    moments = svg.moments(start * svg.SECOND, (start + 6 * 3600) * svg.SECOND, "America/New_York")
    assert moments[0][1] == "10:00"
    assert all(name.endswith(("00", "30")) for _, name in moments)


def test_a_figure_is_shown_by_the_unit_of_its_definition():
    from onetape.results.page_data import figure

    assert figure("best_trade", 0.5, "USD") == "50.00 %"
    assert figure("max_drawdown", -0.1234) == "−12.34 %"
    assert figure("final_equity", Decimal("1234567.891"), "USD") == "1,234,567.89 USD"
    assert figure("sharpe", None) == "–"
    assert figure("trades", 1234) == "1,234"


def test_importing_onetape_and_printing_a_run_import_no_plotting_library():
    code = """
import sys, onetape as ot
class Never(ot.Strategy): pass
run = ot.backtest(Never, ot.sample("FB"))
repr(run); run._repr_html_()
loud = {"bokeh", "panel", "holoviews", "hvplot", "matplotlib"} & set(sys.modules)
assert not loud, loud
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
