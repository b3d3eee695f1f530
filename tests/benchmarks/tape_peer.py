# pyright: standard
"""The peer: `eventsourcing` (PyPI) on the same server, its PostgreSQL recorder as it comes.

The peer gets the bytes of the same synthetic events ready made, one stream per venue, so that it
is measured on recording alone: nothing is encoded, hashed or indexed by its user. It records
(originator_id, originator_version, topic, state, notification_id) under two unique indexes, and
takes an exclusive table lock per append, so that readers miss nothing. It records no cause, no
lineage, no ids of events, no account or instrument to look up by, no recorded time and nothing
that would show a later change. One of its settings (POSTGRES_ENABLE_DB_FUNCTIONS) leaves the lock
out and is faster; what readers then miss is counted (`peer_reader_missed`), its speed is not shown.

Ours does its whole protocol in the same closed loop: encoding, ids, lineage, dimensions, stream
heads, Merkle root and chain, gapless order.
"""

from __future__ import annotations

import importlib.util
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import firm
from gauges import millis, own_cpu, server_cpu

from onetape.tape.event import Event, encode

THEIRS = (
    "originator_id, originator_version, topic, state, notification_id; no cause, no lineage, no "
    "event id, no time, no chain; order by an exclusive table lock"
)
OURS = (
    "canonical bytes, gapless ledger order, stream version, cause, lineage, account, instrument, "
    "kind, event id, recorded time, Merkle root per batch, chain"
)
DATABASE = "peer"
BESIDE = "paper"  # a book of its own, so that the day's answers stay
SPACE = uuid.UUID("6f6e6574-6170-4565-a265-70656572aaaa")

Cut = tuple[str, list[Event]]


def installed() -> bool:
    """Return whether the peer is there."""
    return all(importlib.util.find_spec(name) for name in ("eventsourcing", "psycopg_pool"))


def recorder(url: str, functions: bool = False) -> tuple[Any, Any]:
    """Return the peer's factory and application recorder in a fresh database of the server."""
    import psycopg
    from eventsourcing.persistence import InfrastructureFactory
    from eventsourcing.utils import Environment
    from psycopg.conninfo import conninfo_to_dict

    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {DATABASE}")
    told = conninfo_to_dict(url)
    env = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": DATABASE,
        "POSTGRES_HOST": str(told.get("host") or ""),
        "POSTGRES_PORT": str(told.get("port") or "5432"),
        "POSTGRES_USER": str(told.get("user") or "postgres"),
        "POSTGRES_PASSWORD": str(told.get("password") or "none"),
    }
    if functions:
        env["POSTGRES_ENABLE_DB_FUNCTIONS"] = "y"
    factory: Any = InfrastructureFactory.construct(Environment("peer", env))
    return factory, factory.application_recorder()


def stored(cuts: Iterable[Cut]) -> Iterator[list[Any]]:
    """Yield the same events as the peer's stored events."""
    from eventsourcing.persistence import StoredEvent

    for stream, events in cuts:
        who = uuid.uuid5(SPACE, stream)
        yield [StoredEvent(who, e.seq, e.kind, encode(e)) for e in events]


def closed_loop(
    batches: Sequence[Any], append: Callable[[Any], object], sizes: Sequence[int], pid: int
) -> dict[str, float]:
    """Append one batch after another and return rate, CPU per event and latencies."""
    latencies: list[float] = []
    events = sum(sizes)
    server, client, begun = server_cpu(pid), own_cpu(), time.perf_counter()
    last = begun
    for batch in batches:
        append(batch)
        now = time.perf_counter()
        latencies.append(now - last)
        last = now
    wall = time.perf_counter() - begun
    client, server = own_cpu() - client, server_cpu(pid) - server
    return _figures(events, wall, client, server, latencies)


def _figures(
    events: int, wall: float, client: float, server: float, latencies: Sequence[float]
) -> dict[str, float]:
    return {
        "events": events,
        "events_per_s": round(events / wall),
        "cpu_us_python": round(client / events * 1e6, 1),
        "cpu_us_server": round(server / events * 1e6, 1),
        "p50_ms": millis(latencies, 0.5),
        "p99_ms": millis(latencies, 0.99),
    }


def together(
    lines: Sequence[Sequence[Any]], append: Callable[[Any], object], pid: int
) -> dict[str, float]:
    """As `closed_loop`, with one thread for each line of single events."""
    events = sum(len(line) for line in lines)

    def work(line: Sequence[Any]) -> list[float]:
        waits: list[float] = []
        for batch in line:
            begun = time.perf_counter()
            append(batch)
            waits.append(time.perf_counter() - begun)
        return waits

    server, client, begun = server_cpu(pid), own_cpu(), time.perf_counter()
    with ThreadPoolExecutor(len(lines)) as pool:
        waits = [wait for line in pool.map(work, lines) for wait in line]
    wall = time.perf_counter() - begun
    client, server = own_cpu() - client, server_cpu(pid) - server
    return _figures(events, wall, client, server, waits)


def compared(tape: Any, url: str, pid: int, events: int, seed: int = 5) -> dict[str, Any]:
    """Return both sides' figures for appends of 1 and of 100 events, in turn, same content."""
    found: dict[str, Any] = {"peer": f"eventsourcing {_version()}", "theirs": THEIRS, "ours": OURS}
    factory, application = recorder(url)
    try:
        for size in (1, 100):
            count = max(size * 12, events if size > 1 else events // 10)
            label = f"peer-{size}"
            cuts = list(firm.day(count, seed, chunk=size, label=label))
            sizes = [len(part) for _, part in cuts]
            theirs = list(stored(cuts))
            found[f"theirs_b{size}"] = closed_loop(theirs, application.insert_events, sizes, pid)
            found[f"ours_b{size}"] = closed_loop(
                cuts, lambda cut: tape.append(cut[0], cut[1], book=BESIDE), sizes, pid
            )
            found[f"payload_bytes_b{size}"] = round(
                sum(len(one.state) for part in theirs for one in part) / count
            )
        found |= _at_once(tape, application, pid, max(96, events // 5), seed)
    finally:
        factory.close()
    gap = max(12, events // 50)
    found["peer_reader_missed"] = {
        "default": missed(url, False, gap), "db_functions": missed(url, True, gap)
    }  # fmt: skip
    return found


def _at_once(tape: Any, application: Any, pid: int, events: int, seed: int) -> dict[str, Any]:
    """Return the figures of twelve threads, each appending single events of its own stream."""
    lines: dict[str, list[Cut]] = {}
    for stream, part in firm.day(events, seed, 1, "peer-threads"):
        lines.setdefault(stream, []).append((stream, part))
    ours = list(lines.values())
    theirs = [[batch for cut in line for batch in stored([cut])] for line in ours]
    return {
        "theirs_12_threads_b1": together(theirs, application.insert_events, pid),
        "ours_12_threads_b1": together(
            ours, lambda cut: tape.append(cut[0], cut[1], book=BESIDE), pid
        ),
    }


def missed(url: str, functions: bool, batches: int, writers: int = 6) -> dict[str, int]:
    """Count what a reader that tails the peer's log never got while several wrote to it."""
    factory, application = recorder(url, functions)
    done = threading.Event()
    seen: set[int] = set()

    def read() -> None:
        last = 0
        while True:
            ended = done.is_set()  # asked before reading: the last look comes after the last write
            got = application.select_notifications(start=last + 1, limit=2_000)
            seen.update(one.id for one in got)
            last = max([last, *(one.id for one in got)])
            if ended and not got:
                return

    def write(number: int) -> int:
        cuts = firm.day(batches * 5, 5, 5, f"gap-{number}")
        return sum(len(application.insert_events(part) or ()) for part in stored(cuts))

    try:
        with ThreadPoolExecutor(writers + 1) as pool:
            reader = pool.submit(read)
            written = sum(pool.map(write, range(writers)))
            done.set()
            reader.result()
    finally:
        factory.close()
    return {"written": written, "missed": written - len(seen)}


def _version() -> str:
    from importlib.metadata import version

    return version("eventsourcing")
