"""The supervised trader: its process, its pulse, and what it said last."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from onetape.run.folder import LOG, Status, Watch, read_spec
from onetape.run.processes import alive, birth, send

LINES, BYTES = 40, 16_384  # of a log's end that are shown
TURN_S = 1.0  # at most counted between two looks


class Child:
    """A trader: one that was started here, or one that another supervisor left behind."""

    def __init__(
        self,
        pid: int,
        born: str,
        own: subprocess.Popen[bytes] | None = None,
        log: Path | None = None,
    ) -> None:
        self.pid = pid
        self.birth = born
        self._own = own
        self._log = log
        self._since = log.stat().st_size if log is not None and log.exists() else 0

    @classmethod
    def started(cls, command: Sequence[str], folder: Path) -> Child:
        """Start a trader in a session and group of its own; what it says goes to the log."""
        spec = read_spec(folder)
        there = spec.cwd and Path(spec.cwd).is_dir()
        log = folder / LOG
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        since = os.fstat(descriptor).st_size
        try:
            own = subprocess.Popen(
                command, cwd=spec.cwd if there else folder, stdin=subprocess.DEVNULL,
                stdout=descriptor, stderr=descriptor, start_new_session=True, umask=0o077,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(spec.path)},
            )  # fmt: skip
        finally:
            os.close(descriptor)
        made = cls(own.pid, birth(own.pid), own, log)
        made._since = since
        return made

    @property
    def code(self) -> int:
        """How it ended: 0 or more its own exit code, less the signal; 0 where nobody knows."""
        return self._own.poll() or 0 if self._own is not None else 0

    def ended(self) -> bool:
        """Tell whether it has ended."""
        if self._own is not None:
            return self._own.poll() is not None
        return not alive(self.pid, self.birth)

    def epitaph(self) -> str:
        """Return how it ended in words."""
        if self.code < 0:
            return f"was ended by {signal.Signals(-self.code).name}"
        return f"ended with exit code {self.code}" if self._own is not None else "ended"

    def said(self) -> str:
        """Return the end of what it said."""
        return tail(self._log.parent, self._since) if self._log is not None else ""

    def send(self, what: signal.Signals, *, group: bool = False) -> None:
        """Send a signal, to its whole group where its own children are meant too."""
        send(self.pid, self.birth, what, group=group)


class Pulse:
    """Tells a trader whose heartbeat stands still.

    Counted is the time between our own looks, a second at most for each: where this process did
    not run either (a suspended machine), nothing is held against the trader.
    """

    def __init__(self, watch: Watch, pid: int) -> None:
        self._watch = watch
        self._pid = pid
        self._last = -1
        self._looked: float | None = None
        self._silence = 0.0

    def silent(self, status: Status | None, now: float) -> bool:
        """Tell, at a look, whether it has been silent for too long; `now` is monotonic."""
        passed = 0.0 if self._looked is None else min(now - self._looked, TURN_S)
        self._looked = now
        own = status if status is not None and status.pid == self._pid else None
        beat = own.heartbeat if own is not None else -1
        self._silence = 0.0 if beat != self._last else self._silence + passed
        self._last = beat
        begins = own is None or own.state in ("starting", "reconciling")
        return self._silence > (self._watch.start_s if begins else self._watch.stuck_s)


def tail(folder: Path, since: int = 0) -> str:
    """Return the last lines of a session's log, at most what was written after byte `since`."""
    log = folder / LOG
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(since, log.stat().st_size - BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-LINES:])
