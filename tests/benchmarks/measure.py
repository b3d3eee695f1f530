"""Measure contestants, each round in a process of its own, and say whether they did the same work.

CPU     seconds of user and system time of the timed section alone (getrusage), all threads.
Memory  `peak_mb` is the process's maximum resident set up to the end of the timed section;
        `start_mb` what it was before, with the library and the data loaded.
Work    two contestants agree when the number of orders, the final equity and (where fills can
        be listed) the time, instrument, side, size and price of every fill are the same. A
        ratio is shown only for one that agrees with the raw engine.
Order   rounds are interleaved, and every other round runs in reverse, so that a slow minute of
        the machine falls on all.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

OURS, ENGINE = "onetape", "engine"
CENT = Decimal("0.01")


class Outcome(NamedTuple):
    """What a contestant did; `fills` is a digest, None where it cannot list them."""

    orders: int
    equity: Decimal
    fills: str | None = None
    extra: dict[str, Any] | None = None


class Work(NamedTuple):
    """`run` is timed, its result goes to `check`, which is not."""

    run: Callable[[], Any]
    check: Callable[[Any], Outcome]


class Contestant(NamedTuple):
    """`prepare(small)` makes the data and returns the work; the first of a like wins a ratio."""

    name: str
    prepare: Callable[[bool], Work]
    like: str = ENGINE  # whose fills these should equal
    peer: bool = False
    rounds: int | None = None  # fewer than asked, for the slow
    note: str = ""


def digest(fills: Iterable[tuple[int, str, str, Any, Any]]) -> str:
    """Return a hash of (time, instrument, side, size, price) of fills, in order of time."""
    lines = sorted(f"{t} {i} {s} {Decimal(q):f} {Decimal(p):f}" for t, i, s, q, p in fills)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def contest(
    path: str, contestants: list[Contestant], rounds: int, peers: bool, small: bool
) -> dict[str, Any]:
    """Run all contestants of the benchmark in file `path` and return the figures."""
    chosen = [c for c in contestants if peers or not c.peer]
    seen: dict[str, list[dict[str, Any]]] = {c.name: [] for c in chosen}
    before = os.getloadavg()
    for turn in range(rounds):
        for one in chosen if turn % 2 == 0 else chosen[::-1]:
            if turn < (one.rounds or rounds):
                seen[one.name].append(_child(path, one.name, small))
    rows = [_row(c, seen[c.name], seen[c.like]) for c in chosen]
    ours = next(r for r in rows if r["name"] == OURS)
    return {
        "cpu_s": ours.get("cpu_s"),
        "wall_s": ours.get("wall_s"),
        "ratio_to_engine": ours.get("ratio"),
        "ratios_to_engine": _paired(seen[OURS], seen[ENGINE]),
        "peak_mb": ours.get("peak_mb"),
        "orders": ours.get("orders"),
        "final_equity": ours.get("final_equity"),
        "load": [round(x, 2) for x in (before[0], os.getloadavg()[0])],
        "cpus": os.cpu_count(),
        "rounds": rounds,
        "small": small,
        "contestants": rows,
    }


def _child(path: str, name: str, small: bool) -> dict[str, Any]:
    command = [sys.executable, __file__, path, name, "small" if small else "full"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"failed": said[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def _row(one: Contestant, runs: list[dict[str, Any]], base: list[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": one.name, "peer": one.peer}
    if one.note:
        row["note"] = one.note
    failed = [r["failed"] for r in runs if "failed" in r]
    if failed or not runs:
        reason = failed[0] if failed else "not run"
        return row | {"agrees": False, "ratio": None, "reason": f"not available: {reason}"}
    cpu = [r["cpu_s"] for r in runs]
    row |= {
        "cpu_s": round(median(cpu), 3),
        "cpu_s_min": min(cpu),
        "cpu_s_max": max(cpu),
        "wall_s": round(median(r["wall_s"] for r in runs), 3),
        "peak_mb": max(r["peak_mb"] for r in runs),
        "start_mb": max(r["start_mb"] for r in runs),
        "load": [max(r["load"][at] for r in runs) for at in (0, 1)],
        "rounds": len(runs),
    }
    row |= {n: runs[0][n] for n in ("orders", "final_equity", "fills", "extra") if runs[0][n]}
    reason = _difference(runs[0], base[0] if base else {"failed": "not run"})
    row["agrees"], row["ratio"] = reason is None, None
    if reason is None:
        row["ratio"] = round(median(cpu) / median(r["cpu_s"] for r in base), 3)
        row["ratio_to"] = one.like
    else:
        row["reason"] = reason
    return row


def _difference(run: dict[str, Any], base: dict[str, Any]) -> str | None:
    if "failed" in base:
        return f"nothing to compare with: {base['failed']}"
    names = ["final_equity"]
    if run["fills"] and base["fills"]:
        names = ["orders", "final_equity", "fills"]
    apart = [f"{n} {run[n]}, expected {base[n]}" for n in names if run[n] != base[n]]
    return "; ".join(apart) or None


def _paired(ours: list[dict[str, Any]], base: list[dict[str, Any]]) -> list[float]:
    pairs = zip(ours, base, strict=False)
    return [round(a["cpu_s"] / b["cpu_s"], 3) for a, b in pairs if "cpu_s" in a and "cpu_s" in b]


def timed(work: Work) -> dict[str, Any]:
    """Do the work once and return its figures."""
    gc.collect()
    load, start_mb = os.getloadavg()[0], _peak_mb()
    wall, cpu = time.perf_counter(), _cpu()
    result = work.run()
    cpu, wall = _cpu() - cpu, time.perf_counter() - wall
    peak = _peak_mb()
    done = work.check(result)
    return {
        "cpu_s": round(cpu, 4),
        "wall_s": round(wall, 4),
        "start_mb": start_mb,
        "peak_mb": peak,
        "load": [round(x, 2) for x in (load, os.getloadavg()[0])],
        "orders": done.orders,
        "final_equity": str(Decimal(done.equity).quantize(CENT)),
        "fills": done.fills,
        "extra": done.extra,
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def benchmark(path: str) -> Any:
    """Return the benchmark module at `path`."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # inspect needs it to find a strategy's source
    spec.loader.exec_module(module)
    return module


def main(path: str, name: str, size: str) -> None:
    """Be the child: measure one contestant and print its figures as JSON."""
    found = next(c for c in benchmark(path).CONTESTANTS if c.name == name)
    print(json.dumps(timed(found.prepare(size == "small"))))


def command_line(run: Callable[..., dict[str, Any]]) -> None:
    """Serve `python bench_x.py [rounds] [small] [nopeers]`."""
    words = sys.argv[1:]
    rounds = next((int(w) for w in words if w.isdigit()), 3)
    found = run(rounds, peers="nopeers" not in words, small="small" in words)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:4])
