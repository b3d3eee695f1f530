# pyright: standard
"""The durable tape: append, latency, verify, projections, as-of, on a server of its own.

    python tests/benchmarks/bench_tape.py [--events N] [--seconds S] [--rate R] [--only a,b] ...

Data      SYNTHETIC: a generated firm day (see firm.py). It is appended by one process in parts
          of 500 events of one venue's session, as fast as the tape takes them.
Server    the embedded one in a folder of its own, with the product's own settings, stopped and
          removed at the end.
CPU       per event; the generator's is taken out of Python's, `append_events_per_s` still pays
          for it, as it runs beside the writer in one interpreter.
Latency   single appends. `append_*`: 2,000 a second are offered, whether or not the last are
          answered, and time counts from when an event was due. `single_append_quiet_*`: one
          after the other, nothing else asked of the server.
Lag       from when an event was due until the projection's bookmark, as another connection
          sees it (asked every 2 ms), has passed it; the projector is a process of its own.
Checks    before any figure: every event is read back and equals the generator's, in the order
          acknowledged (`lost`, `duplicated`), `verify` finds nothing, and every as-of answer
          equals a plain fold (`asof_wrong`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from time import perf_counter, thread_time, time_ns
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import firm
import tape_asof
import tape_peer
from gauges import (
    Load,
    Stages,
    Watch,
    filesystem,
    millis,
    offered,
    own_cpu,
    scratch,
    server_cpu,
)
from workers import Worker

from onetape.tape.event import encode
from onetape.tape.kinds import OrderFilled

SECTIONS = ("append", "single", "open", "verify", "rebuild", "asof", "lag", "peer")
PROBES = tape_peer.BESIDE


class Plan(NamedTuple):
    """How much of everything."""

    events: int = 120_000
    chunk: int = 500
    waiting: int = 64  # parts handed over and not yet answered
    singles: int = 400
    rate: float = 2_000.0
    seconds: float = 5.0
    lag_rate: float = 5_000.0
    lag_seconds: float = 4.0
    questions: int = 1_000
    wide: int = 3  # questions for an account and for the firm
    peer: int = 10_000
    seed: int = 1
    only: tuple[str, ...] = SECTIONS
    where: str | None = None


SMALL = Plan(
    events=2_400, chunk=100, singles=20, rate=500.0, seconds=0.4, lag_rate=1_000.0,
    lag_seconds=0.4, questions=60, wide=1, peer=240,
)  # fmt: skip


class Bench:
    """A tape on a server of its own, what was put there, and what was found."""

    def __init__(self, plan: Plan, tape: Any, server: Any, stages: Stages) -> None:
        self.plan, self.tape, self.server, self.stages = plan, tape, server, stages
        self.found: dict[str, Any] = {}
        self.firsts: list[int] = []  # the ledger seq of each part of the day
        self.probes = 0  # events appended beside the day

    def day(self) -> Iterator[tuple[str, list[Any]]]:
        """Give the day's parts, always the same."""
        return firm.day(self.plan.events, self.plan.seed, self.plan.chunk)

    def numbered(self) -> Iterator[firm.Numbered]:
        """Give the day's events with their places in the ledger."""
        for first, (_, events) in zip(self.firsts, self.day(), strict=True):
            yield from enumerate(events, first)

    def append(self) -> None:
        """Append the day as fast as it goes."""
        plan, tape, pid = self.plan, self.tape, self.server.pid
        waiting: deque[Any] = deque()
        self.marks = [(0, time_ns())]
        wal = self._wal()
        server, client, made = server_cpu(pid), own_cpu(), 0.0
        begun = perf_counter()
        parts = self.day()
        while True:
            before = thread_time()
            part = next(parts, None)
            made += thread_time() - before
            if part is None:
                break
            waiting.append((tape.submit(part[0], part[1], book=firm.BOOK), len(part[1])))
            if len(waiting) >= plan.waiting:
                self._take(*waiting.popleft())
        while waiting:
            self._take(*waiting.popleft())
        wall = perf_counter() - begun
        client, server = own_cpu() - client - made, server_cpu(pid) - server
        self.found |= {
            "append_events_per_s": round(plan.events / wall),
            "append_cpu_us_python": round(client / plan.events * 1e6, 2),
            "append_cpu_us_server": round(server / plan.events * 1e6, 2),
            "append_cpu_us_generator": round(made / plan.events * 1e6, 2),
            "append_by_size": self._by_tenths(),
        }
        self._sizes(wal)

    def _take(self, future: Any, count: int) -> None:
        receipt = future.result()
        self.firsts.append(receipt.first_seq)
        sent, recorded = self.marks[-1][0] + count, receipt.recorded
        if recorded == self.marks[-1][1]:
            self.marks.pop()
        self.marks.append((sent, recorded))
        if len(self.firsts) % 100 == 0:
            self.stages.tell(f"append {sent:,} of {self.plan.events:,}")

    def _by_tenths(self) -> list[int]:
        """Return events per second in each tenth, from the recorded times of the groups."""
        import numpy as np

        counts, times = zip(*self.marks, strict=True)
        tenths = np.linspace(0, self.plan.events, 11)
        at = np.interp(tenths, counts, [(one - times[0]) / 1e9 for one in times])
        return [round(self.plan.events / 10 / max(1e-9, b - a)) for a, b in pairwise(at)]

    def _wal(self) -> int:
        asked = "SELECT pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_catalog.pg_lsn"
        return int(self._one(asked))

    def _one(self, asked: str) -> Any:
        from onetape.tape.server import connect

        with connect(self.server.url) as connection:
            found = connection.execute(asked.encode())
            row = found.fetchone() if found.description else None
        return row[0] if row else None

    def _sizes(self, wal: int) -> None:
        parts = "pg_catalog.pg_partition_tree('onetape.event') t"
        heap = f"SELECT sum(pg_catalog.pg_table_size(t.relid)) FROM {parts} WHERE t.isleaf"
        index = f"SELECT sum(pg_catalog.pg_indexes_size(t.relid)) FROM {parts} WHERE t.isleaf"
        events = self.plan.events
        self.found["bytes_per_event"] = {
            "heap": round(int(self._one(heap)) / events),
            "index": round(int(self._one(index)) / events),
            "wal": round((self._wal() - wal) / events),
        }

    def check(self) -> None:
        """Read everything back and compare it with what was sent."""
        wrong, fills, payload = 0, 0, 0
        self.pairs: dict[firm.Pair, int] = {}
        entries = self.tape.read(0, self.plan.events)
        for (seq, event), entry in zip(self.numbered(), entries, strict=False):
            raw = encode(event)
            payload += len(raw)
            wrong += entry.seq != seq or entry.payload != raw or entry.version != event.seq
            fact = event.fact
            if isinstance(fact, OrderFilled):
                fills += 1
                pair = fact.account, fact.instrument
                self.pairs[pair] = self.pairs.get(pair, 0) + 1
        head = self.tape.head().seq
        versions = sum(self.tape.version(stream) for stream in firm.streams())
        self.found |= {
            "lost": wrong + max(0, self.plan.events - versions),
            "duplicated": max(0, head - self.plan.events),
            "fills": fills,
            "pairs": len(self.pairs),
            "payload_bytes": round(payload / self.plan.events),
        }

    def single(self) -> None:
        """Append one event after the other, once the append before it is on the disk."""
        self._one("CHECKPOINT")
        waits: list[float] = []
        for stream, events in firm.day(self.plan.singles, 2, 1, "single"):
            begun = perf_counter()
            self.tape.append(stream, events, book=PROBES)
            waits.append(perf_counter() - begun)
        self.probes += self.plan.singles
        self.found |= {
            "single_append_quiet_p50_ms": millis(waits, 0.5),
            "single_append_quiet_p99_ms": millis(waits, 0.99),
        }

    def _offer(self, label: str, rate: float, seconds: float) -> Load:
        count = int(rate * seconds)
        events = self._told(label, count, firm.day(count, 3, 1, label))
        load = offered(events, rate, lambda one: self.tape.submit(*one, book=PROBES))
        self.probes += count
        if load.failures:
            raise AssertionError(f"{len(load.failures)} appends failed: {load.failures[0]}")
        return load

    def _told[T](self, label: str, count: int, things: Iterator[T]) -> Iterator[T]:
        for number, thing in enumerate(things):
            if number % 5_000 == 0:
                self.stages.tell(f"{label} {number:,} of {count:,}")
            yield thing

    def open(self) -> None:
        """Append singly under an offered load."""
        plan = self.plan
        waits = self._offer("open", plan.rate, plan.seconds).latencies
        self.found |= {
            "append_p50_ms": millis(waits, 0.5),
            "append_p99_ms": millis(waits, 0.99),
            "append_max_ms": millis(waits, 1.0),
            "offered_per_s": plan.rate,
            "offered_s": plan.seconds,
            "offered_events": len(waits),
        }

    def lag(self) -> None:
        """Append at a rate and see how far behind the projection's bookmark is."""
        from onetape.tape.server import connect

        plan = self.plan
        with connect(self.server.url) as eyes, Worker("project", self.server.url):
            look = Watch(lambda: tape_asof.bookmark(eyes))
            try:
                first = self._offer("lag-first", 100.0, 0.12)  # the projector is up and at the end
                if not look.reached(max(first.last_seq), 300.0):
                    raise AssertionError(f"the projection stands at {look.seen[-1:]}")
                load = self._offer("lag", plan.lag_rate, plan.lag_seconds)
                last = max(load.last_seq)
                if not look.reached(last, 120.0):
                    raise AssertionError(f"the projection never came to seq {last}")
            finally:
                look.stop()
        times, seqs = zip(*look.seen, strict=True)
        waits = [
            times[bisect_left(seqs, seq)] - due
            for due, seq in zip(load.due, load.last_seq, strict=True)
        ]
        self.found |= {
            "projection_lag_p50_ms": millis(waits, 0.5),
            "projection_lag_p99_ms": millis(waits, 0.99),
            "projection_lag_rate": plan.lag_rate,
            "projection_lag_events": len(waits),
        }

    def _metered(self, name: str, work: Callable[[], Any]) -> Any:
        """Do work over the whole ledger; note events per second and CPU per event."""
        events, pid = self.tape.head().seq, self.server.pid
        server, client, begun = server_cpu(pid), own_cpu(), perf_counter()
        did = work()
        wall, client = perf_counter() - begun, own_cpu() - client
        server = server_cpu(pid) - server
        self.found |= {
            f"{name}_events_per_s": round(events / wall),
            f"{name}_cpu_us_python": round(client / events * 1e6, 2),
            f"{name}_cpu_us_server": round(server / events * 1e6, 2),
        }
        return did

    def verify(self) -> None:
        """Recompute everything from the bytes."""
        verdict = self._metered("verify", lambda: self.tape.verify(progress=False))
        self.found["verify_clean"] = verdict.ok

    def rebuild(self) -> None:
        """Build all projections from nothing, then again beside the first and switch."""
        url = self.server.url
        self._metered("project", lambda: tape_asof.catch_up(url))
        self._metered("rebuild", lambda: tape_asof.rebuild(url))
        begun = perf_counter()
        self.found["snapshots_taken_after"] = tape_asof.snapshots(url)
        self.found["snapshots_s"] = round(perf_counter() - begun, 2)
        self.found["parked"] = len(tape_asof.parked(url))

    def asof(self) -> None:
        """Ask at random and compare every answer with the plain fold."""
        plan = self.plan
        asked = tape_asof.Questions.drawn(
            self.pairs, plan.events, plan.questions, plan.wide, plan.seed
        )
        self.found |= tape_asof.answered(self.server.url, asked, self.numbered)

    def peer(self) -> None:
        """Put the peer beside it."""
        url, pid = self.server.url, self.server.pid
        self.found["peer"] = tape_peer.compared(self.tape, url, pid, self.plan.peer)


def measured(plan: Plan) -> dict[str, Any]:
    """Run the sections of a plan on a server of its own."""
    from onetape.tape.embedded import serve
    from onetape.tape.postgres import PostgresTape

    chosen = [name for name in SECTIONS if name in plan.only]
    base = ["append", "check", *(["rebuild"] if {"asof", "lag"} & {*chosen} else [])]
    steps = list(dict.fromkeys([*base[:2], *(n for n in SECTIONS if n in {*chosen, *base})]))
    before = os.getloadavg()
    with scratch(plan.where) as folder, _bar(len(steps)) as bar:
        if filesystem(folder) == "tmpfs":
            raise SystemExit(f"{folder} is in memory; name a folder on a disk with --where")
        stages = Stages(bar)
        with serve(folder / "tape") as server:
            tape = PostgresTape(server.url)
            try:
                bench = Bench(plan, tape, server, stages)
                for step in steps:
                    with stages(step):
                        getattr(bench, step)()
                with stages("last verify"):
                    if (
                        not tape.verify(progress=False).ok
                        or tape.head().seq < plan.events + bench.probes
                    ):
                        raise AssertionError("the tape does not verify after the run")
            finally:
                tape.close()
        disk = filesystem(folder)
    return {
        **bench.found,
        "load": [round(one, 2) for one in (before[0], os.getloadavg()[0])],
        "cpus": os.cpu_count(),
        "events": plan.events,
        "synthetic": True,
        "disk": disk,
        "sections": chosen,
        "seconds": stages.seconds,
    }


def _bar(steps: int) -> Any:
    from tqdm.std import tqdm

    return tqdm(total=steps, disable=not sys.stderr.isatty(), leave=False, file=sys.stderr)


def run(
    events: int | None = None, small: bool | None = None, peers: bool | None = None
) -> dict[str, Any]:
    """Return the figures, flat and ready for JSON; about a minute by default.

    `small` is a smoke run of a few thousand events; `peers` False leaves the peer out.
    """
    plan = SMALL if small else Plan()
    if events:
        plan = plan._replace(events=events)
    if peers is False or not tape_peer.installed():
        plan = plan._replace(only=tuple(name for name in SECTIONS if name != "peer"))
    return measured(plan)


def main() -> None:
    """Serve the command line and print one JSON object."""
    parser = argparse.ArgumentParser(description="Measure the durable tape (synthetic data).")
    for name, kind in (("events", int), ("chunk", int), ("seconds", float), ("rate", float),
                       ("lag-rate", float), ("lag-seconds", float), ("singles", int),
                       ("questions", int), ("wide", int), ("peer", int), ("seed", int),
                       ("where", str)):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--only", help=f"some of {','.join(SECTIONS)}")
    parser.add_argument("--small", action="store_true")
    told = vars(parser.parse_args())
    small, only = told.pop("small"), told.pop("only")
    if only:
        told["only"] = tuple(only.split(","))
    elif not tape_peer.installed():
        told["only"] = tuple(name for name in SECTIONS if name != "peer")
    plan = (SMALL if small else Plan())._replace(**{k: v for k, v in told.items() if v is not None})
    print(json.dumps(measured(plan), indent=1))


if __name__ == "__main__":
    main()
