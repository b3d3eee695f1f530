"""The door's log: what it knows of orders beside the world, and what it told whom.

JSON lines behind a world's journal (`<journal>.fix`): entries as they now are, things told, and how
far each session has been told. A line is written before anything goes out because of it; a file
that ends within a line is read up to there. Like the world's journal it survives the death of the
process, not that of the machine.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import msgspec

from onetape_fix.door.told import Entry, Told


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """What changed at once; `sent` is a session and the number of the last thing told it."""

    entry: Entry | None = None
    told: Told | None = None
    sent: tuple[str, int] | None = None


class Kept(msgspec.Struct):
    """What a log holds."""

    entries: dict[str, Entry] = msgspec.field(default_factory=dict[str, Entry])
    told: deque[Told] = msgspec.field(default_factory=deque[Told])
    sent: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    number: int = 0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)


class Log:
    """A file that is appended to; see the module."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).expanduser()
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    def restore(self, sessions: Iterable[str]) -> Kept:
        """Return what the log holds; of what was told, only what a session has yet to hear."""
        kept = Kept(sent=dict.fromkeys(sessions, 0))
        whole = 0
        with self._path.open("rb") as lines:
            for raw in lines:
                if not raw.endswith(b"\n"):
                    break  # killed while writing: nothing came of it
                whole += len(raw)
                _take(kept, _decoder.decode(raw))
        os.ftruncate(self._file, whole)
        least = min(kept.sent.values(), default=kept.number)
        while kept.told and kept.told[0].number <= least:
            kept.told.popleft()
        return kept

    def keep(self, entry: Entry | None, told: Told | None = None) -> None:
        """Write an entry as it now is, and what is told of it."""
        self._write(Line(entry, told))

    def mark(self, session: str, number: int) -> None:
        """Write how far a session has been told."""
        self._write(Line(sent=(session, number)))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, line: Line) -> None:
        os.write(self._file, _encoder.encode(line) + b"\n")


def _take(kept: Kept, line: Line) -> None:
    if line.entry is not None:
        kept.entries[line.entry.id] = line.entry
    if line.told is not None:
        kept.told.append(line.told)
        kept.number = line.told.number
    if line.sent is not None and line.sent[0] in kept.sent:
        kept.sent[line.sent[0]] = line.sent[1]
