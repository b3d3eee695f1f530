"""What a drill kills: a venue in its own process, a database server, a session's processes.

SIGKILL, always: nothing is said, nothing is written, no connection is closed in order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

import psutil

from onetape.results.session_handle import Session
from onetape.run import processes
from onetape.run.folder import read_supervision
from onetape.tape.embedded import Server, serve

ACCOUNT = "DRILL"
CASH = "1000000"
PATIENCE_S = 60.0


def until[T](what: Callable[[], T], within: float = PATIENCE_S, named: str = "") -> T:
    """Return what `what` gives once it is true; AssertionError after `within` seconds."""
    end = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < end, f"it did not come to that in {within:g} s: {named}"
        time.sleep(0.01)
    return found


class Venue:
    """A simulated venue with a journal: killed, it comes back with all that it knew."""

    def __init__(self, folder: Path, seed: int = 7, rate: int = 60, **more: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.socket, self.journal = folder / "s", folder / "journal"
        generator = {"instruments": 2, "seconds": 3600, "rate": rate, "seed": seed, "size": 40}
        config = {
            "generator": generator, "speed": 1.0, "clock": "wall", "cash": {"USD": CASH},
            "fees": "bps:1", "heartbeat": 0.2, "journal": str(self.journal), **more,
        }  # fmt: skip
        self.turn = Lock()
        self._config = folder / "venue.json"
        self._config.write_text(json.dumps(config))
        self.start()

    @property
    def client(self) -> dict[str, Any]:
        """The config of a client."""
        accounts = [ACCOUNT]
        there = f"unix:{self.socket}"
        return {"address": there, "accounts": accounts, "heartbeat": 0.2, "timeout": 2.0}

    def start(self) -> None:
        """Start it, or start it again."""
        command = [sys.executable, "-m", "onetape_sim", "serve", str(self._config), "--socket"]
        self._process = subprocess.Popen(
            [*command, str(self.socket)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert "listens" in self._process.stdout.readline()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.communicate()

    def written(self) -> int:
        """Return how many bytes its journal has: a measure of what has happened."""
        return self.journal.stat().st_size if self.journal.exists() else 0


class Database:
    """A PostgreSQL server of our own, killed and revived on the same folder."""

    def __init__(self, folder: Path) -> None:
        self.server: Server = serve(folder)
        self.turn = Lock()
        self.down: list[list[int]] = []  # from and until when it was away, ns UTC

    def kill(self) -> None:
        """SIGKILL the postmaster and all its children."""
        pid = self.server.pid
        if pid is None:
            return
        main = psutil.Process(pid)
        every = [main, *main.children(recursive=True)]
        for process in every:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(every, timeout=30)
        self.down.append([time.time_ns(), 0])

    def start(self) -> None:
        """Start it again."""
        now = time.time_ns()
        self.server.revive(told=lambda _: None)
        if self.down and not self.down[-1][1]:
            self.down[-1][1] = now


def kill_trader(session: Session) -> bool:
    """SIGKILL the session's trader; False where none lives."""
    told = read_supervision(session.folder)
    if told is None or not processes.alive(told.trader_pid, told.trader_birth):
        return False
    os.kill(told.trader_pid, signal.SIGKILL)
    return True


def kill_supervisor(session: Session) -> bool:
    """SIGKILL the session's supervisor; False where none lives."""
    told = read_supervision(session.folder)
    if told is None or not processes.alive(told.pid, told.birth):
        return False
    os.kill(told.pid, signal.SIGKILL)
    until(lambda: not processes.alive(told.pid, told.birth), named="the supervisor's end")
    return True


def end_all(session: Session) -> None:
    """Leave no process of a session behind."""
    kill_supervisor(session)
    told = read_supervision(session.folder)
    if told is not None:
        processes.send(told.trader_pid, told.trader_birth, signal.SIGKILL, group=True)
