"""Kill: 1,000 working orders at a simulated venue in a process of its own, with no session alive.

Out      from the call of `kill` until the last request was handed to the socket with nothing left
         in its buffer; halting the scope on PostgreSQL (durable) is part of it.
Gone     until the result says KILLED, less the 0.3 s for which a venue has to name nothing.
Ways     `mass`: the venue has a mass cancel. `single`: it has none, each order is canceled.
         `strategy`: single cancels of one strategy's orders, which only the tape can tell.
         `no tape`: as `single`, with a database that answers nothing at all.
Shell    a fresh process that kills by mass cancel: from its start to its end, imports included.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from run.counterparty import session
from run.simulated import GOOG, Simulated, simulated

from onetape.run.killing import How, kill
from onetape.run.ports import CancelOrder, MassCancel
from onetape.tape.embedded import serve
from onetape.tape.event import Event
from onetape.tape.kinds import OrderCanceled
from onetape.tape.memory import MemoryTape
from onetape.tape.postgres import PostgresTape

ROUNDS, QUIET_S, LIMIT_S = 20, 0.3, 1.0
WAYS = {"mass": "firm", "single": "firm", "strategy": "strategy:Cross", "no tape": "firm"}
SHELL = """
import sys
from onetape.results.control import kill
from onetape.tape.postgres import PostgresTape
url, address = sys.argv[1:]
venue = {"adapter": "sim", "config": {"address": address, "accounts": ["A"]}, "accounts": ["A"]}
made = kill("firm", "bench", who="bench", venues=[venue], tape=lambda: PostgresTape(url))
sys.exit(0 if made.done else 1)
"""


class Hanging(MemoryTape):
    """A database that answers nothing, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    def version(self, stream: str) -> int:
        self.free.wait()
        return super().version(stream)

    head = version  # type: ignore[assignment]  # neither is answered


class Timed:
    """A venue whose requests are timed; without `mass` it knows no mass cancel."""

    def __init__(self, venue: Any, mass: bool) -> None:
        self._venue, self._mass = venue, mass
        self.last, self.requests, self.waited = 0.0, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    def cancel(self, order: CancelOrder) -> None:
        self._venue.cancel(order)
        self._out()

    async def mass_cancel(self, scope: MassCancel) -> int | None:
        if not self._mass:
            return None
        asked = asyncio.ensure_future(self._venue.mass_cancel(scope))
        await asyncio.sleep(0)  # it runs up to its answer
        self._out()
        return await asyncio.shield(asked)

    def _out(self) -> None:
        self.last, self.requests = time.perf_counter(), self.requests + 1
        self.waited = max(self.waited, _buffered(self._venue))


def _buffered(venue: Any) -> int:
    """Return the bytes that the socket has not taken yet; 0 where that cannot be seen."""
    wire = getattr(getattr(venue, "_link", None), "_wire", None)
    transport = getattr(wire, "_transport", None) or getattr(wire, "transport", None)
    return transport.get_write_buffer_size() if transport is not None else 0


def _booked(tape: Any, stream: str, orders: list[str]) -> None:
    """Record the cancels, as a session that is started again would."""
    first = tape.version(stream) + 1
    gone = [OrderCanceled(one, GOOG, "Cross") for one in orders]
    events = [Event(seq, seq, seq, stream, fact) for seq, fact in enumerate(gone, first)]
    tape.append(stream, events)


def _one(there: Simulated, tape: Any, way: str, orders: list[str], spool: Path) -> dict[str, Any]:
    venue = Timed(there.venue(), way == "mass")
    begun = time.perf_counter()
    made = asyncio.run(
        kill(tape, {"SIM": venue}, WAYS[way], "bench", "bench", accounts=["A"],
             how=How(spool=spool, quiet_s=QUIET_S))
    )  # fmt: skip
    return {
        "out_ms": (venue.last - begun) * 1e3,
        "gone_ms": (made.seconds - QUIET_S) * 1e3,
        "requests": venue.requests,
        "buffered": venue.waited,
        "killed": made.done and not there.working(),
        "expected": 1 if way == "mass" else len(orders),
    }


def _way(way: str, rounds: int, count: int, url: str) -> dict[str, Any]:
    runs: list[dict[str, Any]] = []
    for turn in range(rounds):
        with tempfile.TemporaryDirectory() as folder, simulated(Path(folder)) as there:
            orders = [f"{way[:2]}-{turn}-{n}" for n in range(count)]
            there.place(orders)
            with _tape(way, url) as tape:
                at = list(WAYS).index(way) * rounds + turn  # sessions begin one after another
                key = f"Cross-20240108T{at // 60:04d}{at % 60:02d}-{at:06x}"
                if way != "no tape":
                    session(tape, orders, key=key)
                runs.append(_one(there, tape, way, orders, Path(folder) / "unrecorded"))
                if way != "no tape":
                    _booked(tape, f"session/{key}", orders)
    return {
        "out_ms": _figures([one["out_ms"] for one in runs]),
        "gone_ms": _figures([one["gone_ms"] for one in runs]),
        "requests": min(one["requests"] for one in runs),
        "socket_buffer_bytes": max(one["buffered"] for one in runs),
        "killed": sum(one["killed"] for one in runs),
        "rounds": rounds,
        "ok": all(
            one["killed"] and one["requests"] >= one["expected"] and one["out_ms"] < LIMIT_S * 1e3
            for one in runs
        ),
    }


@contextmanager
def _tape(way: str, url: str) -> Iterator[Any]:
    if way == "no tape":
        hanging = Hanging()
        yield hanging
        hanging.free.set()
        return
    with PostgresTape(url) as tape:
        yield tape


def _shell(rounds: int, count: int, url: str) -> dict[str, Any]:
    taken: list[float] = []
    for turn in range(rounds):
        with tempfile.TemporaryDirectory() as folder, simulated(Path(folder)) as there:
            there.place([f"S-{turn}-{n}" for n in range(count)])
            begun = time.perf_counter()
            command = [sys.executable, "-c", SHELL, url, there.config["address"]]
            subprocess.run(command, check=True)
            taken.append((time.perf_counter() - begun) * 1e3)
    return _figures(taken)


def _figures(values: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1), "max": round(max(values), 1)}


def run(rounds: int = ROUNDS, small: bool = False) -> dict[str, Any]:
    """Return the figures of `rounds` kills in each way; `small` is a smoke run."""
    count, rounds = (50, 1) if small else (1_000, rounds)

    with tempfile.TemporaryDirectory(prefix="onetape-bench-") as folder:
        Path(folder).chmod(0o711)
        with serve(Path(folder) / "tape") as server:
            ways = {way: _way(way, rounds, count, server.url) for way in WAYS}
            shell = _shell(min(rounds, 5), count, server.url)
    return {
        "orders": count,
        "out_p99_ms": max(one["out_ms"]["p99"] for one in ways.values()),
        "limit_ms": LIMIT_S * 1e3,
        "ok": all(one["ok"] for one in ways.values()),
        "ways": ways,
        "shell_ms": shell,
        "small": small,
    }


if __name__ == "__main__":
    words = sys.argv[1:]
    asked = next((int(word) for word in words if word.isdigit()), ROUNDS)
    print(json.dumps(run(asked, small="small" in words), indent=1))
