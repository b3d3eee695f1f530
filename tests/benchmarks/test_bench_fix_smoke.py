"""The FIX bench and its drills at their smallest: they run, check what they measured and print the
fields that are promised. The figures themselves mean nothing at this size."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import bench_fix
import bench_fixdrills
import fix_codec

PROMISED = {
    "cpu_us_per_message", "parse_us", "encode_us", "roundtrip_p50_us", "roundtrip_p99_us",
    "sessions", "rss_mb", "peer", "load", "cpus", "synthetic",
}  # fmt: skip


def test_the_bench_prints_what_it_promises() -> None:
    told = json.loads(json.dumps(bench_fix.run(small=True, peers=False)))

    assert told.keys() >= PROMISED
    assert told["sessions"] == 4
    assert told["orders"] * 3 == told["reports"] == 4 * 15 * 3
    assert 0 < told["parse_us"] < 1_000
    assert 0 < told["roundtrip_p50_us"] <= told["roundtrip_p99_us"]


def test_the_report_that_is_read_has_the_fields_of_the_target() -> None:
    assert fix_codec.report().count(b"\x01") == 22


def test_two_kills_lose_nothing_and_book_nothing_twice() -> None:
    told = bench_fixdrills.run(runs=2, small=True)

    assert sum(told["kills"].values()) == 2, told
    assert told["lost_orders"] == told["lost_reports"] == 0, told
    assert told["failed"] == {}, told


def test_figures_of_work_that_was_not_done_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = bench_fix.Asked(bench_fix._arguments().parse_args(["--small", "--no-peers"]))
    monkeypatch.setattr(asked, "warm", 0)  # the load is not told of it by `--warm 0` alone
    program = [sys.executable, "-c", 'print(\'{"orders": 60, "reports": 180}\')']

    with pytest.raises(bench_fix.Checked):
        bench_fix.loaded(asked, program, tmp_path, paced=False)
