"""The live path's benchmark, small: both legs send the same orders, no quote is lost; not timed."""

from __future__ import annotations

import json
from pathlib import Path

import measure
import pytest

HERE = Path(__file__).parent
KEYS = {
    "tape_p50_us", "tape_p99_us", "at_once_p50_us", "at_once_p99_us", "durability_p50_us",
    "cpu_us_per_quote", "tape_cpu_us_per_order", "at_once_cpu_us_per_order", "soak_cpu_share",
    "soak_lag_us", "soak_order_us", "soak_rss_start_mb", "soak_rss_settled_mb", "soak_rss_end_mb",
    "soak_rss_growth_mb_per_hour", "load", "cpus", "synthetic",
}  # fmt: skip


@pytest.mark.slow
def test_a_small_run_sends_the_same_orders_with_and_without_a_tape_and_loses_no_quote() -> None:
    found = measure.benchmark(str(HERE / "bench_live.py")).run(small=True)
    assert not KEYS - found.keys()
    assert found["agrees"] is True
    assert found["orders"] >= 10
    assert found["soak_quotes"] == 800
    assert found["soak_drops"] == 0
    assert found["soak_orders"] >= 5
    json.dumps(found)
