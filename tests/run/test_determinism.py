"""The same code, data and terms give the same bytes: twice, elsewhere, and in any chunks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onetape as ot

from .busy import Busy, data

TESTS = Path(__file__).parents[1]
CASES = [
    ("bars", "next_open"),
    ("bars", "this_close"),
    ("bars", "next_close"),
    ("bars", "intrabar"),
    ("two bars", "next_open"),
    ("two bars", "this_close"),
    ("two bars", "next_close"),
    ("two bars", "intrabar"),
    ("quotes", None),
    ("mixed", "next_open"),
]


def go(kind: str, fill: Any, **more: Any) -> Any:
    return ot.backtest(Busy, data(kind), fill=fill, fees=ot.bps(3), **more)


@pytest.mark.parametrize(("kind", "fill"), CASES)
def test_two_runs_give_the_same_bytes(kind, fill):
    first, second = go(kind, fill), go(kind, fill)
    assert first.fills.height > 5
    assert first.recording.raws == second.recording.raws
    assert first == second
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(("kind", "fill"), CASES)
def test_a_rerun_is_identical(kind, fill):
    again = ot.rerun(go(kind, fill))
    assert again.identical, repr(again)


@pytest.mark.parametrize(("kind", "fill"), CASES)
def test_rows_at_a_time_do_not_matter(kind, fill):
    whole = go(kind, fill)
    for chunk in (1, 3, 20):
        chunked = go(kind, fill, chunk=chunk)
        assert chunked == whole, f"chunk={chunk}: {chunked - whole}"


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(["bars", "two bars", "quotes", "mixed"]),
    fill=st.sampled_from(["next_open", "this_close", "next_close", "intrabar"]),
    chunk=st.integers(1, 60),
    count=st.integers(2, 30),
    latency=st.sampled_from([0, 1.5, 700]),
)
def test_any_chunking_of_any_market_gives_the_same_bytes(kind, fill, chunk, count, latency):
    fill = None if kind == "quotes" else fill
    terms: dict[str, Any] = {"fill": fill, "latency": latency}
    whole = ot.backtest(Busy, data(kind, count), **terms)
    assert ot.backtest(Busy, data(kind, count), chunk=chunk, **terms) == whole


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from run.test_determinism import go
for kind, fill in {cases!r}:
    print(go(kind, fill).fingerprint)
"""


@pytest.mark.parametrize("seed", ["0", "1", "4294967295"])
def test_other_processes_with_other_hash_seeds_give_the_same_bytes(seed):
    cases = [("bars", "next_open"), ("two bars", "intrabar"), ("mixed", "next_open")]
    script = SCRIPT.format(tests=str(TESTS), cases=cases)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [go(kind, fill).fingerprint for kind, fill in cases]
    assert done.stderr == ""


def test_another_parameter_gives_another_tape_and_the_comparison_says_which():
    first, second = go("bars", "next_open"), go("bars", "next_open", params={"size": 4})
    assert first != second
    assert "size: 3 and 4" in repr(first - second)


def test_times_of_the_tape_never_lie_outside_the_data():
    for kind, fill in CASES:
        run = go(kind, fill)
        times = [event.ts_event for event in run.recording]
        assert times[0] == min(times), (kind, fill)
        assert times[-1] == max(times), (kind, fill)


@pytest.mark.parametrize("kind", ["two bars", "mixed"])
def test_several_strategies_see_each_row_in_their_own_order_every_time(kind):
    given = [Busy(size=1), Busy(size=2), Busy(size=3), Busy(size=4)]
    whole = ot.backtest(given, data(kind), fill="next_open")
    for chunk in (250_000, 1, 5):
        assert ot.backtest(given, data(kind), fill="next_open", chunk=chunk) == whole
    noted = [e.fact.strategy for e in whole.recording.of_kind("signal.noted") if e.fact.name == "n"]
    assert [name[-3:] for name in noted] == ["000", "001", "002", "003"] * (len(noted) // 4)
