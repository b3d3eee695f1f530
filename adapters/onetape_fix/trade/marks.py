"""How far a session's journal was passed on: the bookmark of a process that may be killed.

What stands behind it was emitted a while ago; what comes after it is emitted again, so that
nothing is missed and some is said twice, which the ports allow. The while is for whoever heard it:
he may be killed before he has written it down.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from pathlib import Path

SAVE_S = 5.0  # between two looks
BEHIND_S = 30.0  # that what is written stays behind what was emitted


class Mark:
    """One session's bookmark; `at` is None where there never was one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.keeps = True  # False: who only visits passes nothing on, so the mark stays
        self.at: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._steps: deque[tuple[float, int]] = deque()  # (time of the loop, position then)
        if path is not None:
            self.at = _read(path)

    def move(self, position: int) -> None:
        """Say that everything up to a position was passed on; written a while after."""
        if self.at is None or position > self.at:
            first, self.at = self.at is None, position
            if first:  # without one, what comes after a kill would be taken for the past
                self.save()
            elif self._timer is None and self._path is not None:
                self._later()

    def restart(self, position: int) -> None:
        """Begin at a position of another journal."""
        self.at = position
        self.save()

    def _later(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nobody to wake us up: then at once
            self.save()
        else:
            self._timer = loop.call_later(SAVE_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write what was passed on long enough ago."""
        self._timer, now = None, loop.time()
        steps, old = self._steps, None
        if self.at is not None and (not steps or steps[-1][1] != self.at):
            steps.append((now, self.at))
        while steps and steps[0][0] <= now - BEHIND_S:
            old = steps.popleft()[1]
        if old is not None:
            self._write(old)
        if steps:
            self._later()

    def save(self) -> None:
        """Write down where it is: whoever heard it is done with it."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._steps.clear()
        if self.at is not None:
            self._write(self.at)

    def _write(self, position: int) -> None:
        if self._path is not None and self.keeps:
            with suppress(OSError):  # at worst more is told twice
                beside = self._path.with_suffix(".mark-new")
                beside.write_text(str(position), encoding="ascii")
                beside.replace(self._path)


def _read(path: Path) -> int | None:
    """None where there is none; of a torn one nothing is known, and all is told again."""
    try:
        return int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return 0
