"""The drills: kill -9 of trader, venue, database and supervisor at seeded moments of a session.

    python tests/benchmarks/bench_drills.py [--rounds N] [--first SEED] [--workers N]

Each run is a session of a busy strategy at a simulated venue in a process of its own, on a real
PostgreSQL; one to three kills, at seeded moments by time or by what has happened (tests/drills).
Afterwards venue, projected tables and a plain fold of the tape are held against each other.

held         runs after which all three agreed, nothing was left working and the tape verified
lost         executions, orders or ends of orders that the venue knows and the tape does not
doubled      what stands on the tape twice, or reached the venue twice
mismatched   all else that did not agree; `failed` has the words, by seed
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from drills.drill import Outcome
from drills.many import Many
from gauges import scratch

SHM = Path("/dev/shm")


def run(
    rounds: int = 100, small: bool | None = None, first: int = 1_000, workers: int = 3
) -> dict[str, Any]:
    """Do the drills of `rounds` seeds from `first` on, some at a time; return the sums."""
    rounds = 3 if small else rounds
    begun, load = time.monotonic(), os.getloadavg()
    before = os.environ.get("ONETAPE_HOME")
    with scratch(str(SHM) if SHM.is_dir() else None) as folder, _bar(rounds) as bar:
        os.environ["ONETAPE_HOME"] = str(folder)
        try:
            with Many(folder, min(workers, rounds)) as many:
                drilled = many.begin(range(first, first + rounds), lambda one: _tell(bar, one))
                outcomes = [one.result() for one in drilled.values()]
        finally:
            os.environ.pop("ONETAPE_HOME")
            if before is not None:
                os.environ["ONETAPE_HOME"] = before
    return _summed(outcomes) | {
        "seconds": round(time.monotonic() - begun, 1),
        "workers": workers,
        "load": [round(one, 2) for one in (load[0], os.getloadavg()[0])],
        "cpus": os.cpu_count(),
        "synthetic": True,
    }


def _summed(outcomes: list[Outcome]) -> dict[str, Any]:
    found = [one.findings for one in outcomes]
    return {
        "runs": len(outcomes),
        "held": sum(one.held for one in found),
        "orders": sum(one.orders for one in found),
        "fills": sum(one.fills for one in found),
        "lost": sum(len(one.lost) for one in found),
        "doubled": sum(len(one.doubled) for one in found),
        "mismatched": sum(len(one.mismatched) for one in found),
        "restarts": sum(one.restarts for one in outcomes),
        "kills": dict(Counter(kill.victim for one in outcomes for kill in one.kills)),
        "failed": {one.seed: str(one.findings) for one in outcomes if not one.findings.held},
    }


def _tell(bar: Any, outcome: Outcome) -> None:
    if not outcome.findings.held:
        print(f"seed {outcome.seed}: {outcome.findings}", file=sys.stderr, flush=True)
    bar.update(1)


def _bar(steps: int) -> Any:
    from tqdm.std import tqdm

    return tqdm(total=steps, disable=not sys.stderr.isatty(), leave=False, file=sys.stderr)


def main() -> None:
    """Serve the command line and print one JSON line."""
    parser = argparse.ArgumentParser(description="Kill parts of live sessions and compare books.")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1_000, help="the first seed")
    parser.add_argument("--workers", type=int, default=3, help="drills at a time")
    asked = parser.parse_args()
    print(json.dumps(run(asked.rounds, None, asked.first, asked.workers), default=str))


if __name__ == "__main__":
    main()
