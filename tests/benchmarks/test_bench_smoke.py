"""Each benchmark, small: ours and the engine alone must do the same work; nothing is timed."""

from __future__ import annotations

from pathlib import Path

import measure
import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", ["bench_b1", "bench_b2", "bench_b3"])
def test_ours_and_the_engine_alone_send_the_same_orders_and_end_with_the_same_equity(
    name: str,
) -> None:
    found = measure.benchmark(str(HERE / f"{name}.py")).run(rounds=1, peers=False, small=True)
    by_name = {c["name"]: c for c in found["contestants"]}
    ours, engine = by_name[measure.OURS], by_name[measure.ENGINE]
    for what in ("orders", "final_equity", "fills"):
        assert ours[what] == engine[what]
    assert found["orders"] >= 20
    assert all(c["agrees"] for c in found["contestants"]), found["contestants"]


def test_no_ratio_is_shown_where_the_work_was_not_the_same() -> None:
    def did(equity: str, cpu: float) -> dict[str, object]:
        return {
            "cpu_s": cpu, "wall_s": cpu, "peak_mb": 1, "start_mb": 1, "load": [0.0, 0.0],
            "orders": 1, "final_equity": equity, "fills": None, "extra": None,
        }  # fmt: skip

    peer = measure.Contestant("peer", lambda _: measure.Work(lambda: None, lambda _: None))  # type: ignore[arg-type,return-value]
    row = measure._row(peer, [did("10.01", 2.0)], [did("10.00", 1.0)])
    assert row["ratio"] is None
    assert row["reason"] == "final_equity 10.01, expected 10.00"
    assert measure._row(peer, [did("10.00", 2.0)], [did("10.00", 1.0)])["ratio"] == 2.0
