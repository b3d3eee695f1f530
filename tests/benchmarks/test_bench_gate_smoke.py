"""The gate's benchmark, small: the orders work, decisions of both kinds fall; nothing is timed."""

from __future__ import annotations

import json
from pathlib import Path

import measure

HERE = Path(__file__).parent
KEYS = {
    "decide_p50_us", "decide_p99_us", "decide_cpu_us", "whole_p50_us", "whole_p99_us",
    "whole_orders", "load", "cpus", "checks",
}  # fmt: skip


def test_a_small_run_decides_on_two_hundred_open_orders_and_denies_some() -> None:
    found = measure.benchmark(str(HERE / "bench_gate.py")).run(small=True)
    assert not KEYS - found.keys()
    assert found["open_orders"] >= 200
    assert found["checks"] >= 29
    assert found["whole_orders"] >= 100
    assert 0 < found["denied"] < found["decisions"] // 2
    json.dumps(found)
