"""Sessions for tests: folders with a spec, supervised by real processes that end with the test."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from onetape.run import processes
from onetape.run.folder import (
    LOG,
    Endpoint,
    LiveSpec,
    Watch,
    make,
    read_status,
    read_supervision,
)

STAND_IN = Path(__file__).with_name("stand_in.py")
SUPERVISOR = (sys.executable, str(STAND_IN))
QUICK = Watch(stuck_s=0.4, start_s=20, halt_s=0.3, stop_s=20, backoff_s=0.02, restarts=3)
NUMBERS = count(1)


def spec(**terms: Any) -> LiveSpec:
    sim = Endpoint("sim")
    given = {
        "session": f"Cross-20240108T093000-{next(NUMBERS):06x}",
        "strategy": "onetape_strategies.ema_cross:EmaCross",
        "strategy_name": "EmaCross",
        "venue": sim,
        "feed": sim,
        "account": "A1",
        "limits": "{}",
        "tape": "",
        "watch": QUICK,
        "path": tuple(sys.path),
    }
    return LiveSpec(**{**given, **terms})


def begun(**terms: Any) -> Path:
    """Return the folder of a session whose supervisor was started."""
    folder = make(spec(**terms))
    supervised(folder)
    return folder


def supervised(folder: Path) -> int:
    return processes.detached((*SUPERVISOR, str(folder)), folder / LOG, folder)


def until[T](what: Callable[[], T], within: float = 30.0) -> T:
    """Return what `what` gives once it is true."""
    end = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)
    return found


def state(folder: Path, *wanted: str) -> str:
    status = read_status(folder)
    return status.state if status is not None and status.state in wanted else ""


def ended(folder: Path) -> bool:
    told = read_supervision(folder)
    return told is not None and not processes.alive(told.pid, told.birth)


def log(folder: Path) -> str:
    return (folder / LOG).read_text()


def end_all(folder: Path) -> None:
    """End the supervisor of a session, then its trader."""
    while (told := read_supervision(folder)) is not None:
        processes.send(told.pid, told.birth, signal.SIGKILL)
        until(lambda told=told: not processes.alive(told.pid, told.birth))
        again = read_supervision(folder)
        if again == told:
            processes.send(told.trader_pid, told.trader_birth, signal.SIGKILL, group=True)
            until(lambda told=told: not processes.alive(told.trader_pid, told.trader_birth))
            return
