"""The tape's benchmark, small: the work is done and every answer is right; nothing is timed."""

from __future__ import annotations

import json
from pathlib import Path

import measure
import pytest
from firm import OPEN, SESSION, day, plain_fold

from onetape.books.positions import positions
from onetape.tape.event import Event, encode

HERE = Path(__file__).parent
KEYS = {
    "append_events_per_s", "append_cpu_us_python", "append_cpu_us_server", "append_p50_ms",
    "append_p99_ms", "append_by_size", "single_append_quiet_p50_ms", "single_append_quiet_p99_ms",
    "projection_lag_p50_ms", "projection_lag_p99_ms", "asof_position_p50_ms",
    "asof_position_p99_ms", "asof_account_s", "asof_firm_s", "asof_checked", "asof_wrong",
    "verify_events_per_s", "rebuild_events_per_s", "bytes_per_event", "lost", "duplicated", "load",
    "cpus", "events", "fills", "synthetic", "seconds",
}  # fmt: skip


def test_a_small_run_loses_nothing_and_answers_as_the_plain_fold_does() -> None:
    pytest.importorskip("eventsourcing")
    pytest.importorskip("psycopg_pool")
    found = measure.benchmark(str(HERE / "bench_tape.py")).run(small=True)
    assert not KEYS - found.keys()
    assert found["lost"] == found["duplicated"] == found["asof_wrong"] == 0
    assert found["asof_checked"] >= 60
    assert found["synthetic"] is True
    assert found["peer"]["theirs_b100"]["events"] == found["peer"]["ours_b100"]["events"]
    json.dumps(found)


def test_the_synthetic_day_is_the_same_however_it_is_cut() -> None:
    def streams(chunk: int) -> dict[str, list[bytes]]:
        kept: dict[str, list[bytes]] = {}
        for stream, events in day(3_000, seed=4, chunk=chunk):
            kept.setdefault(stream, []).extend(encode(event) for event in events)
        return kept

    whole = streams(500)
    assert streams(7) == whole
    assert len(whole) == 12
    assert sum(map(len, whole.values())) == 3_000


def test_the_plain_fold_agrees_with_the_books_on_late_fills_voids_and_corrections() -> None:
    events = [event for _, part in day(24_000, seed=4) for event in part]
    placed = [
        Event(seq, e.ts_event, e.ts_init, e.stream, e.fact) for seq, e in enumerate(events, 1)
    ]
    kinds = {event.kind for event in events}
    assert {"order.voided", "order.canceled", "decision.made", "run.opened"} <= kinds
    assert any(e.kind == "order.filled" and e.ts_event < e.ts_init for e in events)
    for part in (1, 3, 4):
        true_at, known_at = OPEN + SESSION * part // 4, len(events) * part // 4
        told = [e for e in placed if e.ts_event <= true_at and e.seq <= known_at]
        sums: dict[tuple[str, str], list[object]] = {}
        for key, one in positions(told).items():
            line = sums.setdefault((key.account, key.instrument), [0, 0])
            line[0] += one.quantity  # type: ignore[operator]
            line[1] += one.realized - one.cost  # type: ignore[operator]
        plain = plain_fold(enumerate(events, 1), true_at, known_at)
        assert {pair: tuple(line) for pair, line in sums.items()} == dict(plain)
