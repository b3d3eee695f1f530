# pyright: standard
"""Workers: real processes that write to a tape, follow it or project it, until told or killed.

    python workers.py write URL FOLDER NAME BATCH      the next events of NAME's own streams
    python workers.py contend URL FOLDER NAME STREAM GOAL   one stream that others write to too
    python workers.py follow URL FOLDER NAME           note every seq that arrives
    python workers.py project URL                      keep the projections up to date

A worker stops when its input closes (`follow` once it has seen the seq that is written there)
and prints one line of JSON. What it was told is durable, it notes in FOLDER/NAME before it goes
on, one line each, so that a parent that killed it knows what had been acknowledged.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
RETRY_S = 0.02
ENDLESS = 10_000_000  # events that a writer could write
WAIT_S = 120.0


class Worker:
    """A worker process; `with` stops it at the end, `kill` ends it at once."""

    def __init__(self, *words: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "workers.py"), *map(str, words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.communicate()

    def stop(self, last_word: str = "") -> dict[str, Any]:
        """Let it finish what it does, and return what it said."""
        out, err = self.process.communicate(last_word, timeout=WAIT_S)
        if self.process.returncode:
            raise AssertionError(f"a worker failed: {err.strip().splitlines()[-3:]}")
        return json.loads(out.splitlines()[-1])

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self.process.poll() is None:
            if kind is None:
                self.stop()
            else:
                self.kill()


def wait_until(true: Callable[[], bool], what: str, within: float = WAIT_S) -> float:
    """Wait for a condition and return the seconds it took; AssertionError at the deadline."""
    begun = time.monotonic()
    while not true():
        if time.monotonic() - begun > within:
            raise AssertionError(f"waited {within:.0f} s in vain for: {what}")
        time.sleep(0.005)
    return time.monotonic() - begun


def noted(path: Path) -> list[list[Any]]:
    """Return what a worker noted, whole lines only."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]


class Notes:
    """A worker's own file: one line per fact, in the kernel's hands before the next step."""

    def __init__(self, folder: str, name: str) -> None:
        self.file = os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, *facts: object) -> None:
        """Add a line."""
        os.write(self.file, json.dumps(facts).encode() + b"\n")


def _told_to_stop() -> tuple[threading.Event, list[str]]:
    stop, said = threading.Event(), list[str]()

    def listen() -> None:
        said.append(sys.stdin.read())
        stop.set()

    threading.Thread(target=listen, daemon=True).start()
    return stop, said


def cuts(name: str, batch: int) -> Iterator[tuple[str, list[Any]]]:
    """Yield what the writer of that name writes, always the same."""
    import firm

    return firm.day(ENDLESS, 7, batch, name)


def write(url: str, folder: str, name: str, batch: str) -> dict[str, Any]:
    """Append batch after batch; what is not acknowledged is sent again until it is."""
    from onetape.errors import TapeUnavailable
    from onetape.tape.postgres import PostgresTape

    stop, _ = _told_to_stop()
    notes, tape = Notes(folder, name), PostgresTape(url)
    counts = {"appends": 0, "refused": 0, "in_doubt": 0, "repeated": 0}
    for stream, events in cuts(name, int(batch)):
        if stop.is_set():
            break
        while True:
            try:
                receipt = tape.append(stream, events)
            except TapeUnavailable as err:
                counts["refused"] += 1
                counts["in_doubt"] += err.in_doubt
                time.sleep(RETRY_S)
            else:
                break
        counts["appends"] += 1
        counts["repeated"] += receipt.repeated
        notes.add(stream, events[0].seq, events[-1].seq, receipt.first_seq, receipt.last_seq)
    tape.close()
    return counts


def contend(url: str, folder: str, name: str, stream: str, goal: str) -> dict[str, Any]:
    """Write to a stream that others write to as well, until it is long enough."""
    from onetape.errors import TapeConflict
    from onetape.tape.event import Event
    from onetape.tape.kinds import SignalNoted
    from onetape.tape.postgres import PostgresTape

    notes, tape = Notes(folder, name), PostgresTape(url)
    conflicts = version = 0
    while version < int(goal):
        at = time.time_ns()
        fact = SignalNoted(name, f"try {conflicts}", float(version + 1))
        try:
            receipt = tape.append(stream, [Event(version + 1, at, at, name, fact)])
        except TapeConflict as err:
            conflicts += 1
            version = max(err.found, tape.version(stream))
        else:
            version = receipt.version
            notes.add(stream, version, version, receipt.first_seq, receipt.last_seq)
    tape.close()
    return {"conflicts": conflicts}


def follow(url: str, folder: str, name: str) -> dict[str, Any]:
    """Follow from the start and note every seq; ends at the seq that the parent writes."""
    from onetape.errors import TapeUnavailable
    from onetape.tape.postgres import PostgresTape

    stop, said = _told_to_stop()
    notes, last, again = Notes(folder, name), 0, 0
    tape = PostgresTape(url)

    def enough() -> bool:
        return stop.is_set() and last >= int(said[0] or 0)

    while not enough():
        try:
            for entries in tape.follow(last, until=enough):
                notes.add([entry.seq for entry in entries])
                last = entries[-1].seq if entries else last
                if enough():
                    break
        except TapeUnavailable:
            again += 1
            time.sleep(RETRY_S)
    tape.close()
    return {"last": last, "begun_again": again}


def project(url: str) -> dict[str, Any]:
    """Keep the projections up to date until told to stop."""
    import tape_asof

    stop, _ = _told_to_stop()
    tape_asof.project(url, stop.is_set)
    return {}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "write": write,
    "contend": contend,
    "follow": follow,
    "project": project,
}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](*sys.argv[2:])))
