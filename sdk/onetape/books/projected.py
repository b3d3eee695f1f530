# pyright: standard
"""Projected: how far the tables of the books have come, and instants as places of the ledger.

`known_at` is a place, or a recorded time: then the last batch recorded at or before it counts.
Text is ISO 8601; without a zone it is UTC. `true_at` is ns UTC, or a time likewise.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from onetape.errors import SettingsError, TapeError, TapeUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

When = int | str | datetime | None
BOOKMARK = """SELECT p.generation, p.seq, h.last_seq,
  coalesce((SELECT b.seq_hi FROM onetape.batch b WHERE b.recorded_ns <= %b
            ORDER BY b.recorded_ns DESC LIMIT 1), 0)
FROM onetape.ledger_head h
LEFT JOIN onetape.projection p ON p.name = 'books' AND p.state = 'live'"""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FRACTION = re.compile(r"(\.\d+)")
SECOND = 1_000_000_000


class Bookmark(NamedTuple):
    """The generation that people read, how far it has come, and the end of the ledger."""

    generation: int
    seq: int
    head: int
    known: int  # the last place recorded at or before the time that was asked for


def bookmark(connection: Any, recorded: int = 0) -> Bookmark:
    """Return how far the projected books are; TapeError when there are none."""
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(BOOKMARK, (recorded,), prepare=True).fetchone()
    if row is None or row[0] is None:
        raise TapeError("no projected books found on this tape; let its projector catch up first")
    return Bookmark(*row)


def nanoseconds(when: int | str | datetime, name: str) -> int:
    """Return a time as ns UTC; SettingsError when it is none."""
    if isinstance(when, bool):
        raise SettingsError(f"{name}={when!r} found; expected {TIMES}")
    if isinstance(when, int):
        return when
    rest = 0
    if isinstance(when, str):
        text = FRACTION.search(when)
        digits = text.group(1)[1:] if text else ""
        if len(digits) > 6:  # datetime keeps microseconds, the tape keeps nanoseconds
            rest = int(digits[6:9].ljust(3, "0"))
            when = when.replace(f".{digits}", f".{digits[:6]}")
        try:
            when = datetime.fromisoformat(when)
        except ValueError as err:
            raise SettingsError(f"{name}={when!r} found; expected {TIMES}") from err
    if not isinstance(when, datetime):
        raise SettingsError(f"{name}={when!r} found; expected {TIMES}")
    zoned = when if when.tzinfo else when.replace(tzinfo=UTC)
    gone = zoned - EPOCH
    return (gone.days * 86_400 + gone.seconds) * SECOND + gone.microseconds * 1_000 + rest


TIMES = "ns UTC as int, a datetime, or ISO text such as '2026-03-02T14:32:00Z'"


def written(ns: int) -> str:
    """Return ns UTC as ISO text, with as many digits of the second as are needed."""
    seconds, rest = divmod(ns, SECOND)
    digits = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{_second(seconds)}{digits.ljust(4, '0') if digits else ''}Z"


@lru_cache(4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ")[:19]


@contextmanager
def opened(where: Any) -> Iterator[Any]:
    """Give a connection: the one that is given, or one of its own to a URL."""
    if not isinstance(where, str):
        if where.closed:
            raise TapeUnavailable("the tape was closed before this was asked; ask while it is open")
        yield where
        return
    from onetape.tape.server import connect

    with connect(where) as connection:
        yield connection
