"""One thread that brings what was written to the disk, for all journals of the process.

Writing reaches the kernel, which survives the death of the process; this thread asks the kernel
for the disk, which survives the death of the machine. It waits a few milliseconds so that many
records go at once; and it has the kernel begin with all journals before it waits for the first,
so that they share the disk's work. Journals that nothing was written to cost nothing.

Units    seconds.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Protocol

PAUSE = 0.005  # between two rounds: each costs every other thread the interpreter for a while


class Syncable(Protocol):
    """What can be brought to the disk; it keeps its own troubles."""

    def push(self) -> None:
        """Have the kernel begin to bring what was written to the disk; does not wait or raise."""
        ...

    def sync(self) -> None:
        """Bring what was written so far to the disk; does not raise."""
        ...


class Syncer:
    """See the module; `shared` is the process's own."""

    def __init__(self, pause: float = PAUSE) -> None:
        self.rounds = 0
        self._pause = pause
        self._due: deque[Syncable] = deque()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, what: Syncable) -> None:
        """Bring `what` to the disk soon; from any thread, returns at once."""
        self._due.append(what)
        self._wake.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(self._pause)
            self._wake.clear()
            self.rounds += 1
            due = [self._due.popleft() for _ in range(len(self._due))]
            if len(due) > 1:
                for journal in due:
                    journal.push()
            for journal in due:
                journal.sync()


shared = Syncer()
