# pyright: standard
"""FIX drills: kill -9 of the gateway or of the simulated broker under load, then both accounts.

    python tests/benchmarks/bench_fixdrills.py [--runs KILLS] [--first SEED] [--sessions N]
                                               [--each KILLS] [--victims gateway broker both client]

Each drill: a simulated broker's process, a gateway's process with 28 sessions, a client's process
that trades through it, one order on its way in each session at all times. At moments that the seed
says (by work done, so a slow machine is killed at like moments) gateway, broker or both die by
SIGKILL and are started again on their own journals; after the last kill all orders must come to
their end. Then the broker's records are held against the client's: every order that stands in our
journal reached the broker, every report that the broker sent was booked.

lost         orders or reports that one side wrote down and the other never saw
repeated     what came more than once (at-least-once); booked once, by ClOrdID and ExecID
unflagged    of these: how many came without the mark of a possible duplicate
strange      what arrived and nobody sent
breaks       orders that were given up after an alarm
failed       drills that lost something or did not come to their end, by seed, in words
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

from fix.interop.drill import Drilled, Ours, gateway_drill
from gauges import scratch

VICTIMS = ("gateway", "broker", "both")
EACH = 5  # kills in a drill
ORDERS = 12  # of each session, for a kill


def run(
    runs: int = 100,
    small: bool | None = None,
    first: int = 7_000,
    sessions: int = 28,
    each: int = EACH,
    victims: tuple[str, ...] = VICTIMS,
) -> dict[str, Any]:
    """Do as many drills as make `runs` kills, from seed `first` on; return the sums."""
    if small:
        runs, sessions, each = min(runs, 3), 4, 3
    begun, load = time.monotonic(), os.getloadavg()
    drilled: list[Drilled] = []
    with scratch() as folder, _bar(runs) as bar:
        left, seed = runs, first
        while left > 0:
            kills = min(each, left)
            one = gateway_drill(
                Ours, folder / str(seed), seed, sessions=sessions,
                orders=ORDERS * (kills + 1), kills=kills, victims=victims,
            )  # fmt: skip
            drilled.append(one)
            left, seed = left - kills, seed + 1
            _tell(bar, one)
    return _summed(drilled) | {
        "sessions": sessions,
        "seconds": round(time.monotonic() - begun, 1),
        "load": [round(one, 2) for one in (load[0], os.getloadavg()[0])],
        "cpus": os.cpu_count(),
        "synthetic": True,
    }


def _summed(drilled: list[Drilled]) -> dict[str, Any]:
    found = [one.account for one in drilled]
    kills: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    for one in drilled:
        kills.update(one.kills)
        alarms.update(one.account.alarms)
    return {
        "drills": len(drilled),
        "kills": dict(kills),
        "held": sum(_held(one) for one in drilled),
        "orders": sum(one.orders for one in found),
        "reports": sum(one.reports for one in found),
        "lost_orders": sum(len(one.lost_orders) for one in found),
        "lost_reports": sum(len(one.lost_reports) for one in found),
        "repeated_orders": sum(one.repeated_orders for one in found),
        "repeated_reports": sum(one.repeated_reports for one in found),
        "unflagged_orders": sum(one.unflagged_orders for one in found),
        "unflagged_reports": sum(one.unflagged_reports for one in found),
        "strange": sum(len(one.strange) for one in found),
        "breaks": sum(len(one.breaks) for one in found),
        "alarms": dict(alarms),
        "failed": {one.seed: _words(one) for one in drilled if not _held(one)},
    }


def _held(one: Drilled) -> bool:
    return one.finished and one.account.whole


def _words(one: Drilled) -> str:
    return f"finished: {one.finished}; {one.account}; {one.said}"


def _tell(bar: Any, one: Drilled) -> None:
    if not _held(one):
        print(f"seed {one.seed}: {_words(one)}", file=sys.stderr, flush=True)
    bar.update(sum(one.kills.values()))


def _bar(steps: int) -> Any:
    from tqdm.std import tqdm

    return tqdm(total=steps, disable=not sys.stderr.isatty(), leave=False, file=sys.stderr)


def main() -> None:
    """Serve the command line and print one JSON line."""
    asked = argparse.ArgumentParser(description="Kill gateways and brokers; compare accounts.")
    asked.add_argument("--runs", type=int, default=100, help="kills in all")
    asked.add_argument("--first", type=int, default=7_000, help="the first seed")
    asked.add_argument("--sessions", type=int, default=28)
    asked.add_argument("--each", type=int, default=EACH, help="kills in one drill")
    asked.add_argument(
        "--victims", nargs="+", default=VICTIMS, choices=(*VICTIMS, "client"),
    )  # fmt: skip
    asked.add_argument("--small", action="store_true")
    told = asked.parse_args()
    sums = run(told.runs, told.small, told.first, told.sessions, told.each, tuple(told.victims))
    print(json.dumps(sums, default=str))


if __name__ == "__main__":
    main()
