"""What operators have decided about sessions: trading disabled, logged out. It outlives the
process: a gateway that is started again does not let orders out that somebody has stopped.

A small JSON file beside the journals, written whole and renamed into place.
Raises   SettingsError where the file is there and cannot be read: nothing is guessed then.
         VenueError where it cannot be written: the decision holds in this process all the same.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from onetape.errors import SettingsError, VenueError


class Decision(msgspec.Struct, frozen=True):
    """Who decided it, why, and when (ns UTC)."""

    who: str
    why: str
    ts: int

    def __str__(self) -> str:
        return f"{self.why} ({self.who})" if self.why else f"by {self.who}"


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """What holds for one session; None where nobody decided anything."""

    disabled: Decision | None = None
    out: Decision | None = None


USUAL = Standing()


class Standings:
    """All sessions' standings, in memory and in the file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._kept: dict[str, Standing] = {}
        if path is not None and path.exists():
            try:
                self._kept = msgspec.json.decode(path.read_bytes(), type=dict[str, Standing])
            except (OSError, msgspec.MsgspecError) as err:
                raise SettingsError(
                    f"{path} says which sessions are disabled and cannot be read ({err}); look at "
                    "it, or remove it and disable again what has to be"
                ) from err

    def of(self, session: str) -> Standing:
        """Return what holds for a session."""
        return self._kept.get(session, USUAL)

    def set(self, session: str, standing: Standing) -> None:
        """Let a standing hold; it is on disk when this returns."""
        self._kept[session] = standing
        if standing == USUAL:
            del self._kept[session]
        if self._path is None:
            return
        new = self._path.with_suffix(".new")
        try:
            new.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
                file.write(msgspec.json.encode(self._kept))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as err:
            raise VenueError(
                f"it holds for {session} as long as this process lives, and could not be written "
                f"to {self._path}: {err}"
            ) from err
