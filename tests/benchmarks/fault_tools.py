# pyright: standard
"""What fault cases share: how an outcome is told, and how a tape is held against what was acked."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import firm
from workers import cuts, noted

from onetape.tape.event import Event, encode
from onetape.tape.kinds import SignalNoted

UNNAMED = """SELECT count(*) FROM onetape.event e
WHERE NOT EXISTS (SELECT 1 FROM onetape.stream s WHERE s.id = e.stream_id)
OR EXISTS (SELECT 1 FROM unnest(ARRAY[e.source_id, e.calculation_id, e.account_id,
  e.instrument_id, e.kind_id]) AS n(id)
  WHERE n.id <> 0 AND NOT EXISTS (SELECT 1 FROM onetape.dimension d WHERE d.id = n.id))"""
OTHERS = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
AND backend_type = 'client backend'"""

Found = dict[str, Any]


def outcome(did: str, wrong: Sequence[str] = (), **counts: Any) -> Found:
    """Return a case's result; whatever is listed in `wrong` makes it fail."""
    zeros = {"acked": 0, "present": 0, "lost": 0, "duplicated": 0, "skipped": 0}
    counts = zeros | counts
    bad = [f"{name} {counts[name]}" for name in ("lost", "duplicated", "skipped") if counts[name]]
    bad += [one for one in wrong if one]
    return {"did": did, **counts, "verdict": f"FAILED: {'; '.join(bad)}" if bad else "held"}


def told(wrong: bool, what: str) -> str:
    """Return `what` when something is wrong."""
    return what if wrong else ""


@contextlib.contextmanager
def superuser(url: str) -> Generator[Any]:
    """Give a connection that no trigger stops."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def troubles(tape: Any, anchors: Path | None = None) -> list[str]:
    """Return what `verify` finds, one text each."""
    return [str(one) for one in tape.verify(anchors).findings]


def audited(tape: Any, acked: Iterable[Sequence[Any]]) -> Found:
    """Compare what was acknowledged ([stream, first version, last version, ...]) with the tape."""
    entries = list(tape.read())
    places = Counter((entry.stream, entry.version) for entry in entries)
    versions = Counter(entry.stream for entry in entries)
    wanted = {(line[0], at) for line in acked for at in range(line[1], line[2] + 1)}
    ids = {bytes(entry.payload) for entry in entries}
    with superuser(tape.url) as connection:
        unnamed = connection.execute(UNNAMED).fetchone()[0]
        known = connection.execute("SELECT count(DISTINCT event_id) FROM onetape.event").fetchone()
    twice = max(len(entries) - len(places), len(entries) - known[0])
    gaps = [s for s, n in versions.items() if any((s, at) not in places for at in range(1, n + 1))]
    head = tape.head().seq
    wrong = [
        told(bool(gaps), f"streams with gaps: {gaps[:3]}"),
        told([entry.seq for entry in entries] != list(range(1, head + 1)), "the ledger has gaps"),
        told(unnamed > 0, f"{unnamed} events name texts that the tape does not hold"),
        *troubles(tape),
    ]
    return {
        "acked": len(wanted), "present": len(places), "lost": len(wanted - places.keys()),
        "duplicated": twice, "distinct_payloads": len(ids), "wrong": wrong,
    }  # fmt: skip


def unlike(tape: Any, name: str, batch: int) -> str:
    """Return how what a writer left differs from what it was to write, if it does."""
    there: dict[str, list[bytes]] = {}
    for entry in tape.read():
        there.setdefault(entry.stream, []).append(entry.payload)
    left = {stream: len(raws) for stream, raws in there.items() if f"/{name}/" in stream}
    for stream, events in cuts(name, batch):
        if not any(left.values()):
            return ""
        for event in events:
            if left.get(stream, 0):
                left[stream] -= 1
                if there[stream][event.seq - 1] != encode(event):
                    return f"{stream} version {event.seq} is not what was sent"
    return ""


def notes_of(folder: Path, names: Iterable[str]) -> list[list[Any]]:
    """Return what the workers of those names were told is durable."""
    return [line for name in names for line in noted(folder / name)]


def filled(tape: Any, events: int = 600, chunk: int = 50, label: str = "day") -> list[list[Any]]:
    """Append a small synthetic day and return what was acknowledged."""
    acked: list[list[Any]] = []
    for stream, part in firm.day(events, 1, chunk, label):
        receipt = tape.append(stream, part, book=firm.BOOK)
        acked.append([stream, part[0].seq, part[-1].seq, receipt.first_seq, receipt.last_seq])
    return acked


def signal(seq: int, name: str = "probe", value: float = 0.0) -> Event:
    """Return a small event."""
    return Event(seq, firm.OPEN + seq, firm.OPEN + seq, name, SignalNoted(name, "n", value))
