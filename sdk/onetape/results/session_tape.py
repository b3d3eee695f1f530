# pyright: standard
"""What a session has put on the tape so far: each question reads only what is new."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from onetape.books import tables
from onetape.books.words import told
from onetape.results import market
from onetape.results.text import trimmed
from onetape.tape.event import Event
from onetape.tape.kinds import RunOpened

if TYPE_CHECKING:
    from onetape.tape.port import Tape

EVENTS = pl.Schema(
    {
        "seq": pl.Int64(),
        "ts_event": pl.Datetime("ns", "UTC"),
        "ts_init": pl.Datetime("ns", "UTC"),
        "kind": pl.String(),
        "says": pl.String(),
    }
)
QUIET = (None, "", (), {})  # values that say nothing


class Recorded:
    """The events of one session, read on as they come.

    A trader that was started again writes a stream of its own: "session/ID", then "session/ID-r2"
    and so on. A `seq` counts in its stream, so the frames name it where there is more than one.
    """

    def __init__(self, tape: Tape, stream: str) -> None:
        self._tape = tape
        self._stream = stream
        self._events: dict[str, list[Event]] = {}
        self._seq = 0  # of the ledger

    def streams(self) -> list[str]:
        """Return the session's streams on the tape, one for each start, in order."""
        again = f"{self._stream}-r"
        return [
            key
            for key in self._tape.streams()
            if key == self._stream or (key.startswith(again) and key[len(again) :].isdigit())
        ]

    def all(self) -> dict[str, list[Event]]:
        """Return the events that are recorded by now, by stream."""
        streams = self.streams()  # a session that has just begun has none
        for entry in self._tape.read(self._seq, streams=streams) if streams else ():
            self._events.setdefault(entry.stream, []).append(entry.event)
            self._seq = entry.seq
        return self._events

    def orders(self) -> pl.DataFrame:
        """Return one row an order."""
        return self._framed(tables.orders)

    def fills(self) -> pl.DataFrame:
        """Return one row a fill."""

        def frame(events: list[Event]) -> pl.DataFrame:
            opened = next((e.fact for e in events if isinstance(e.fact, RunOpened)), None)
            infos = market.infos_of(opened.instruments) if opened is not None else {}
            return tables.fills(events, {name: i.multiplier for name, i in infos.items()})

        return self._framed(frame)

    def events(self, n: int | None, since: int | None) -> pl.DataFrame:
        """Return the last `n` events, or those of the last stream with a seq beyond `since`."""
        last = list(self.all().values())[-1:]
        found = last[0] if last else []
        if since is not None:
            found = [event for event in found if event.seq > since]
        elif n is not None:
            found = found[len(found) - min(n, len(found)) :]
        rows = [(e.seq, e.ts_event, e.ts_init, e.kind, says(e.fact)) for e in found]
        return pl.DataFrame(rows, schema=EVENTS, orient="row")

    def _framed(self, frame: Callable[[list[Event]], pl.DataFrame]) -> pl.DataFrame:
        told = self.all()
        if len(told) < 2:
            return trimmed(frame(next(iter(told.values()), [])))
        parts = [
            frame(events).with_columns(pl.lit(name).alias("stream"))
            for name, events in told.items()
        ]
        return trimmed(pl.concat(parts))


def says(fact: Any) -> str:
    """Return a fact in one line: in words where there are some, else its fields."""
    words = told(fact, "")
    if words:
        return words.rstrip(", ")
    fields = msgspec.structs.asdict(fact)
    return ", ".join(f"{name} {value}" for name, value in fields.items() if value not in QUIET)
