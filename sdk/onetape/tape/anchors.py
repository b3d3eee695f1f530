"""Anchors: the ledger's chain published outside the database.

Whoever owns a database can rewrite its end consistently: events, batches and head. Only what
was published before, where he cannot reach, tells. An anchor is that: batch, seq and chain of a
ledger at a time. `FileAnchors` appends one JSON line each to a file, which belongs on another
volume under another user; a signed or remote place is anything with the same two methods, found
by an entry point of group "onetape.anchors" under the scheme of its address ("rfc3161:...").
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

import msgspec

from onetape.errors import SettingsError, TapeError


class Anchor(msgspec.Struct, frozen=True):
    """A published place of a ledger; `chain` in hex, `anchored_ns` in ns UTC."""

    ledger: str
    batch: int
    seq: int
    chain: str
    anchored_ns: int


class Anchors(Protocol):
    """A place outside the database where anchors are published."""

    def publish(self, anchor: Anchor) -> str:
        """Publish an anchor; return where it stands."""
        ...

    def published(self) -> Sequence[Anchor]:
        """Return all anchors in the order in which they were published."""
        ...


class FileAnchors:
    """An append-only file, one JSON object a line."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()

    def publish(self, anchor: Anchor) -> str:
        """Append the anchor and wait until the disk has it.

        Raises TapeError when the place cannot be written to.
        """
        line = msgspec.json.encode(anchor) + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                if os.fstat(fd).st_size and not self.path.read_bytes().endswith(b"\n"):
                    line = b"\n" + line  # a torn line stays as it is and is told by `published`
                written = os.write(fd, line)
                os.fsync(fd)
                if written != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(fd)
        except OSError as err:
            raise TapeError(f"anchor file {self.path} cannot be written ({err})") from err
        return str(self.path)

    def published(self) -> list[Anchor]:
        """Return the anchors in the file.

        Raises TapeError when a line is no anchor, naming it.
        """
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError as err:
            raise TapeError(
                f"anchor file {self.path} cannot be read ({err}); `anchor` makes one"
            ) from err
        found: list[Anchor] = []
        for at, line in enumerate(lines, 1):
            try:
                found.append(msgspec.json.decode(line, type=Anchor))
            except msgspec.MsgspecError as err:
                raise TapeError(f"line {at} of {self.path} is no anchor: {err}") from err
        return found


def anchors(where: str | Path | Anchors) -> Anchors:
    """Return the place that `where` names: a file, or scheme:address of a plug-in."""
    if isinstance(where, Path):
        return FileAnchors(where)
    if not isinstance(where, str):
        return where
    scheme, colon, address = where.partition(":")
    known = {point.name: point for point in entry_points(group="onetape.anchors")}
    if colon and scheme in known:
        return known[scheme].load()(address)
    if colon and "/" not in scheme and len(scheme) > 1:
        listed = ", ".join(sorted(known)) or "none"
        raise SettingsError(f"no anchors of scheme {scheme!r}; known: {listed}, or a file's path")
    return FileAnchors(where)
