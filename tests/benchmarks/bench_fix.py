# pyright: standard
"""FIX: CPU per message, round trips, the codec, memory; the PyPI `quickfix` in the same run.

    python tests/benchmarks/bench_fix.py [--only codec|load|pace|memory ...] [--rounds N] [--small]
        [--sessions N] [--orders N] [--seconds S] [--no-peers] [--broker ours|quickfix]

Data      SYNTHETIC: limit orders of one instrument, each answered by New, a partial fill and a
          fill from an acceptor in another process, FIX 4.4 over 127.0.0.1.
load      28 sessions, one order on its way in each; validation by the data dictionary and the
          journal are on. `cpu_us_per_message`: of the initiators' process, all threads.
pace      560 messages a second over all sessions: order to first report, p50 and p99.
codec     an execution report of 22 fields read, a new order written.
memory    resident MB of a gateway's process (`python -m onetape_fix gateway`) with its sessions
          logged on, after orders went through each.
peer      quickfix, where it is installed (QUICKFIX_PYTHON): an initiator of it under the
          same load at the same kind of broker, in turn with ours, round by round.
Checks    before any figure: both sent as many orders as asked, heard three reports for each, and
          the broker counted the same.
Rounds    medians over rounds; all processes share this machine's cores, so wall clock is a
          limit of the machine, CPU is the engine's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import fix_codec
import fix_memory
from fix.interop.counterparts import Broker, QuickFix
from fix.interop.drill import Ours
from gauges import scratch

HERE = Path(__file__).parent
PARTS = ("codec", "load", "pace", "memory")
RATE = 560  # messages a second
MESSAGES = 4  # of an order
SUMMED = (
    "cpu_us_per_message", "messages_per_s", "roundtrip_p50_us", "roundtrip_p99_us",
    "roundtrip_max_us", "cpu_share", "rss_mb",
)  # fmt: skip


class Asked:
    """How much is to be measured."""

    def __init__(self, told: argparse.Namespace) -> None:
        small = told.small
        self.sessions = told.sessions or (4 if small else 28)
        self.orders = told.orders or (15 if small else 500)
        self.seconds = told.seconds or (0.5 if small else 10.0)
        self.rounds = told.rounds or (1 if small else 3)
        self.warm = 3 if small else 30
        self.only = tuple(told.only or PARTS)
        self.broker: type[Broker] = QuickFix if told.broker == "quickfix" else Ours
        self.peer = "" if told.no_peers else QuickFix.interpreter()


class Checked(AssertionError):
    """The work that was measured is not the work that was asked for."""


def sides(asked: Asked) -> dict[str, list[str]]:
    """Return the programs that load, by name."""
    found = {"ours": [sys.executable, str(HERE / "fix_load.py")]}
    if asked.peer:
        found["quickfix"] = [asked.peer, str(HERE / "fix_peer.py")]
    return found


def loaded(asked: Asked, program: list[str], folder: Path, paced: bool) -> dict[str, Any]:
    """Load a fresh broker once; return the figures once both sides' counts agree."""
    broker = asked.broker(folder, asked.sessions)
    how = ["--orders", str(asked.orders)]
    if paced:
        how = ["--rate", str(RATE / MESSAGES), "--seconds", str(asked.seconds)]
    broker.start()
    try:
        ran = subprocess.run(
            [*program, "--port", str(broker.port), "--store", str(folder / "store"),
             "--sessions", str(asked.sessions), "--warm", str(asked.warm), *how],
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
    finally:
        broker.end(None)
    if ran.returncode:
        raise AssertionError(f"{program} ended with {ran.returncode}: {ran.stderr[-2_000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    meant = int(RATE / MESSAGES * asked.seconds) if paced else asked.orders * asked.sessions
    warm = asked.warm * asked.sessions
    records = broker.records()
    distinct = len({one for one, _ in records.orders})
    met = [
        found["orders"], found["reports"] // 3, len(records.orders) - warm,
        len(records.reports) // 3 - warm, distinct - warm,
    ]  # fmt: skip
    if met != [meant] * len(met):
        raise Checked(f"{meant} orders were meant; sent, answered, heard, told, apart: {met}")
    return found


def rounds(asked: Asked, folder: Path, paced: bool, bar: Any) -> dict[str, dict[str, Any]]:
    """Load with each side in turn, some rounds; return medians by side."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides(asked)}
    for at in range(asked.rounds):
        for name, program in sides(asked).items():
            place = folder / f"{'pace' if paced else 'load'}-{name}-{at}"
            found[name].append(loaded(asked, program, place, paced))
            bar.update(1)
    return {
        name: {key: round(statistics.median(one[key] for one in runs), 2) for key in SUMMED}
        | {"orders": runs[0]["orders"], "reports": runs[0]["reports"]}
        for name, runs in found.items()
    }


def measured(asked: Asked) -> dict[str, Any]:
    """Measure what is asked for and return the figures."""
    before = os.getloadavg()[0]
    begun = time.monotonic()
    figures: dict[str, Any] = {"sessions": asked.sessions}
    peer: dict[str, Any] = {}
    steps = asked.rounds * len(sides(asked)) * len({"load", "pace"} & set(asked.only))
    with scratch() as folder, _bar(steps) as bar:
        if "codec" in asked.only:
            figures |= fix_codec.measured(asked.rounds == 1)
        if "load" in asked.only:
            by = rounds(asked, folder, False, bar)
            figures |= _of(by["ours"], "cpu_us_per_message", "messages_per_s", "orders", "reports")
            if "quickfix" in by:
                peer |= _of(by["quickfix"], "cpu_us_per_message", "messages_per_s", "orders",
                            "reports", "rss_mb")  # fmt: skip
        if "pace" in asked.only:
            by = rounds(asked, folder, True, bar)
            paced = ("roundtrip_p50_us", "roundtrip_p99_us", "roundtrip_max_us")
            figures |= _of(by["ours"], *paced)
            figures["paced_cpu_us_per_message"] = by["ours"]["cpu_us_per_message"]
            if "quickfix" in by:
                peer |= _of(by["quickfix"], *paced)
                peer["paced_cpu_us_per_message"] = by["quickfix"]["cpu_us_per_message"]
        if "memory" in asked.only:
            figures |= fix_memory.measured(folder / "memory", asked.sessions)
    return figures | {
        "peer": {"quickfix": peer} if peer else {},
        "broker": asked.broker.__name__.lower(),
        "rate": RATE,
        "rounds": asked.rounds,
        "seconds": round(time.monotonic() - begun, 1),
        "load": [round(one, 2) for one in (before, os.getloadavg()[0])],
        "cpus": os.cpu_count(),
        "synthetic": True,
    }


def _of(found: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: found[name] for name in names}


def _bar(steps: int) -> Any:
    from tqdm.std import tqdm

    return tqdm(total=steps, disable=not sys.stderr.isatty(), leave=False, file=sys.stderr)


def run(
    rounds: int | None = None,
    peers: bool | None = None,
    small: bool = False,
    events: int | None = None,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Serve `onetape bench fix`; `events`: orders of each session, `seconds`: of the paced part."""
    told = _arguments().parse_args([])
    told.rounds, told.small, told.orders, told.seconds = rounds, small, events, seconds
    told.no_peers = peers is False
    return measured(Asked(told))


def _arguments() -> argparse.ArgumentParser:
    asked = argparse.ArgumentParser(description="Measure FIX sessions (synthetic data).")
    asked.add_argument("--only", nargs="+", choices=PARTS)
    asked.add_argument("--small", action="store_true")
    asked.add_argument("--rounds", type=int)
    asked.add_argument("--sessions", type=int)
    asked.add_argument("--orders", type=int, help="of each session, saturated")
    asked.add_argument("--seconds", type=float, help="of the paced part")
    asked.add_argument("--no-peers", action="store_true")
    asked.add_argument("--broker", choices=("ours", "quickfix"), default="ours")
    return asked


def main() -> None:
    """Serve the command line and print one JSON line."""
    print(json.dumps(measured(Asked(_arguments().parse_args()))))


if __name__ == "__main__":
    main()
