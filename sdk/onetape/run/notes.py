"""Notes: facts on the control streams, where several people and processes write at once.

Streams   "kill", "risk", "limits"; book "control". An event's time is when it was noted.
Decided   `record` reads a stream, lets the caller decide on it, and appends only where nobody
          else wrote meanwhile; else it reads and decides again.
Not waited for   `Notes` writes from a thread of its own. What the tape does not take in time goes
          to a file beside (one JSON line for each fact, fsynced) and is put on the tape by
          `absorb`, at its place in time (`ts_event`), once, by whoever comes next.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path

import msgspec

from onetape.errors import BrokenTape, TapeConflict
from onetape.tape.event import Event
from onetape.tape.kinds import AnyFact
from onetape.tape.port import Tape

KILL, RISK, LIMITS = "kill", "risk", "limits"
BOOK = "control"
TRIES = 100
PAUSE_S = 0.1


class Noted(msgspec.Struct, frozen=True):
    """A fact, the stream that it belongs to and the time when it became one."""

    stream: str
    ts: int
    fact: AnyFact


Decide = Callable[[list[Event]], Sequence[Noted]]


def noted(stream: str, fact: AnyFact) -> Noted:
    """Return a fact as of now."""
    return Noted(stream, time.time_ns(), fact)


def events(tape: Tape, stream: str) -> list[Event]:
    """Return a stream's events in order; none where the stream never began."""
    if not tape.version(stream):
        return []
    found = [entry.event for entry in tape.read(streams=[stream])]
    return sorted(found, key=lambda event: event.seq)


def facts(tape: Tape, stream: str) -> list[AnyFact]:
    """Return a stream's facts in order."""
    return [event.fact for event in events(tape, stream)]


def record(tape: Tape, stream: str, decide: Decide) -> list[Event]:
    """Append what `decide` makes of a stream's events; return what was appended.

    Raises what `decide` raises, TapeUnavailable, and TapeConflict where others wrote first a
    hundred times in a row.
    """
    for turn in range(TRIES):
        known = events(tape, stream)
        made = [
            Event(len(known) + place, one.ts, max(one.ts, time.time_ns()), stream, one.fact)
            for place, one in enumerate(decide(known), 1)
        ]
        if not made:
            return []
        try:
            tape.append(stream, made, book=BOOK)
        except TapeConflict:
            if turn == TRIES - 1:
                raise
            continue
        return made
    return []


def unless_there(some: Iterable[Noted]) -> Decide:
    """Return a decision to append facts that the stream does not have yet."""
    wanted = list(some)

    def decide(known: list[Event]) -> list[Noted]:
        there = {(event.ts_event, msgspec.json.encode(event.fact)) for event in known}
        return [one for one in wanted if (one.ts, msgspec.json.encode(one.fact)) not in there]

    return decide


def absorb(tape: Tape, folder: Path) -> int:
    """Put the facts of all files in `folder` on the tape, then remove the files; return how many.

    Safe to repeat, and for several processes at once. Raises BrokenTape for a file that is none
    of ours, TapeUnavailable where the tape cannot be written: the files then stay.
    """
    count = 0
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:  # another process was faster
            continue
        try:
            kept = [msgspec.json.decode(line, type=Noted) for line in lines]
        except msgspec.MsgspecError as err:
            raise BrokenTape(0, f"{path} holds no facts ({err}); look at it, move it away") from err
        for stream in dict.fromkeys(one.stream for one in kept):
            of_it = [one for one in kept if one.stream == stream]
            count += len(record(tape, stream, unless_there(of_it)))
        path.unlink(missing_ok=True)
    return count


class Notes:
    """Facts on their way to the control streams, in order; nobody waits longer than he likes."""

    def __init__(self, tape: Tape | None) -> None:
        self._tape = tape
        self._pending: deque[tuple[Noted, Future[None]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None
        self.trouble = "no tape is open" if tape is None else ""

    def take(self, one: Noted) -> Future[None]:
        """Take the next fact; the future is done once it is durable."""
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()
        with self._changed:
            self._pending.append((one, done))
            self._changed.notify_all()
            if self._thread is None and self._tape is not None:
                # a daemon: a database that hangs must not keep the process from ending
                self._thread = threading.Thread(target=self._work, name="notes", daemon=True)
                self._thread.start()
        return done

    @property
    def left(self) -> list[Noted]:
        """What is not known to be durable."""
        with self._changed:
            return [one for one, _ in self._pending]

    def close(self) -> None:
        """Try no more; what is left stays in `left`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def keep(self, path: Path) -> bool:
        """Write what is left to a file, or remove it where nothing is; tell whether some is."""
        left = self.left
        if not left:
            path.unlink(missing_ok=True)
            return False
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(msgspec.json.encode(one) + b"\n" for one in left)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        return True

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._pending and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                one, done = self._pending[0]
            if not self._written(one):
                with self._changed:
                    self._changed.wait(PAUSE_S)
                continue
            with self._changed:
                self._pending.popleft()
            done.set_result(None)

    def _written(self, one: Noted) -> bool:
        assert self._tape is not None
        try:
            record(self._tape, one.stream, unless_there([one]))
        except Exception as err:  # whatever the database says: it is tried again, kept and told
            self.trouble = str(err) or repr(err)
            return False
        self.trouble = ""
        return True
