"""How far a session's journal was passed on: the bookmark of a process that may be killed.

What stands behind it was emitted; what comes after it is emitted again, so that nothing is missed
and some is said twice, which the ports allow.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

SAVE_S = 0.2


class Mark:
    """One session's bookmark; `at` is None where there never was one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.keeps = True  # False: who only visits passes nothing on, so the mark stays
        self.at: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        if path is not None:
            self.at = _read(path)

    def move(self, position: int) -> None:
        """Say that everything up to a position was passed on; written shortly after."""
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
            self._timer = loop.call_later(SAVE_S, self.save)

    def save(self) -> None:
        """Write it down."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if self._path is not None and self.at is not None and self.keeps:
            with suppress(OSError):  # at worst more is told twice
                beside = self._path.with_suffix(".mark-new")
                beside.write_text(str(self.at), encoding="ascii")
                beside.replace(self._path)


def _read(path: Path) -> int | None:
    """None where there is none; of a torn one nothing is known, and all is told again."""
    try:
        return int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return 0
