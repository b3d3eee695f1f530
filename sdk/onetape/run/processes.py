"""Processes: told apart for sure, and started so that they outlive the one that asked.

Birth    A pid is given again after its process ended. With the moment of birth, counted by the
         kernel from its own start, and the kernel's start itself, a process is named for ever;
         no clock that a person may set is part of it.
Zombies  A process that ended and was not waited for is dead.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from onetape.errors import RunError

PROC = Path("/proc")


def birth(pid: int) -> str:
    """Return what tells a living process from every other of the same pid; "" when it is dead."""
    if not (PROC / "self/stat").exists():
        return _told(pid)
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"{_boot()}:{fields[19]}"


def alive(pid: int, born: str) -> bool:
    """Tell whether just this process still runs."""
    return bool(pid and born) and birth(pid) == born


def detached(
    command: Sequence[str], log: Path, cwd: Path, environment: Mapping[str, str] | None = None
) -> int:
    """Start a program away from this process, its group and its terminal; return its pid.

    It is nobody's child here: a host that ends, or ends its children, leaves it alone.
    """
    script = '"$@" </dev/null >>"$ONE_LOG" 2>&1 & echo $!'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *command], cwd=cwd, stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {}), "ONE_LOG": str(log)},
        capture_output=True, text=True, check=False, start_new_session=True, umask=0o077,
    )  # fmt: skip
    if done.returncode:
        raise RunError(f"{command[0]} could not be started: {done.stderr.strip()}")
    return int(done.stdout)


def send(pid: int, born: str, what: signal.Signals, *, group: bool = False) -> None:
    """Send a signal to just this process (or to its group), to nobody when it is dead."""
    if alive(pid, born):
        with suppress(ProcessLookupError):
            os.killpg(pid, what) if group else os.kill(pid, what)


@cache
def _boot() -> str:
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return ""


def _told(pid: int) -> str:
    import psutil

    try:
        one = psutil.Process(pid)
        return "" if one.status() == psutil.STATUS_ZOMBIE else f"{one.create_time():.2f}"
    except psutil.Error:
        return ""
