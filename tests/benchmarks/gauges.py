# pyright: standard
"""Gauges: the server's CPU, percentiles, an offered load that does not wait, a server of one's own.

CPU      user and system seconds of the postmaster and of all that it ever started: the living
         ones are asked, those that ended are in what their parent reaped.
Load     open loop: each event has the moment at which it was due, latency counts from there, and
         a late sender sends at once. A stall is therefore felt by all that were due meanwhile.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil

TOP = 60.0  # s that answers may take after the last was sent


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that `part` (0 to 1) of the values do not exceed; nan of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def millis(values: Sequence[float], part: float) -> float:
    """Return a percentile of seconds in milliseconds."""
    return round(percentile(values, part) * 1e3, 3)


def postmaster(data: str | Path) -> int:
    """Return the process id of the server on a data folder."""
    return int((Path(data) / "postmaster.pid").read_text().splitlines()[0])


def server_cpu(pid: int) -> float:
    """Return the CPU seconds that the server used so far, ended children included."""
    used = 0.0
    main = psutil.Process(pid)
    for process in (main, *main.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            spent = process.cpu_times()
            used += spent.user + spent.system + spent.children_user + spent.children_system
    return used


def own_cpu() -> float:
    """Return the CPU seconds of this process, all threads."""
    return time.process_time()


class Stages:
    """Wall seconds by stage; `with stages("append"):` adds one."""

    def __init__(self, bar: Any = None) -> None:
        self.seconds: dict[str, float] = {}
        self.bar = bar

    def tell(self, said: str) -> None:
        """Show how far a stage is, where somebody looks."""
        if self.bar is not None:
            self.bar.set_description(said)

    @contextlib.contextmanager
    def __call__(self, name: str) -> Generator[None]:
        self.tell(name)
        begun = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begun
            self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 2)
            if self.bar is not None:
                self.bar.update(1)


class Load:
    """An offered load: when each thing was due and done (`time.perf_counter`), and its place.

    Plain arrays: ten minutes of it must not give the collector a million objects to walk.
    """

    def __init__(self) -> None:
        self.due, self.done, self.last_seq = array("d"), array("d"), array("q")
        self.failures: list[str] = []

    @property
    def latencies(self) -> list[float]:
        """Seconds from the moment at which each was due."""
        return [done - due for due, done in zip(self.due, self.done, strict=True)]


def offered[T](things: Iterable[T], rate: float, send: Callable[[T], Future[Any]]) -> Load:
    """Send things at `rate` per second, whatever becomes of them; `send` should not wait.

    What has no answer after a minute counts as a failure.
    """
    clock, load = time.perf_counter, Load()
    left, guard, all_done = [1], threading.Lock(), threading.Event()

    def finished() -> None:
        with guard:
            left[0] -= 1
            if not left[0]:
                all_done.set()

    def told(number: int) -> Callable[[Future[Any]], None]:
        def note(future: Future[Any]) -> None:
            load.done[number] = clock()
            failure = future.exception()
            if failure is None:
                load.last_seq[number] = future.result().last_seq
            else:
                load.failures.append(f"{type(failure).__name__}: {failure}")
            finished()

        return note

    begun = clock() + 0.05
    for number, thing in enumerate(things):
        due = begun + number / rate
        while (early := due - clock()) > 0:
            time.sleep(early)
        with guard:
            left[0] += 1
        load.due.append(due)
        load.done.append(due + TOP)
        load.last_seq.append(0)
        send(thing).add_done_callback(told(number))
    finished()
    if not all_done.wait(TOP):
        load.failures.append(f"{left[0]} had no answer after {TOP:.0f} s")
    return load


class Watch:
    """A thread that looks at a rising number and remembers when it saw each new value."""

    def __init__(self, look: Callable[[], int], every: float = 0.002) -> None:
        self.look, self.every = look, every
        self.seen: list[tuple[float, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        last = -1
        while not self._stop.wait(self.every):
            value = self.look()
            if value > last:
                self.seen.append((time.perf_counter(), value))
                last = value

    def reached(self, value: int, within: float) -> bool:
        """Wait until the number is `value` or more."""
        until = time.perf_counter() + within
        while time.perf_counter() < until:
            if self.seen and self.seen[-1][1] >= value:
                return True
            time.sleep(0.005)
        return False

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()


@contextlib.contextmanager
def scratch(where: str | None = None) -> Generator[Path]:
    """Give a folder on a real disk that is removed at the end."""
    base = where or tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="onetape-bench-", dir=base))
    folder.chmod(0o755)  # the server may run as another user
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def filesystem(path: Path) -> str:
    """Return the type of the filesystem that a path is on, such as ext4."""
    best = ("", "unknown")
    for part in psutil.disk_partitions(all=True):
        inside = path.resolve().is_relative_to(part.mountpoint)
        if inside and len(part.mountpoint) > len(best[0]):
            best = (part.mountpoint, part.fstype)
    return best[1]
