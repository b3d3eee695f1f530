"""Recording: the events of one run or one day, in order, provable and comparable.

A Recording is immutable. It keeps the canonical bytes and decodes them when asked, so that
a large one costs little until it is looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

import msgspec

from onetape.errors import BrokenTape, TapeError
from onetape.tape import file
from onetape.tape.event import Event, decode, encode, head_of
from onetape.tape.kinds import AnyFact, Fact, RunOpened, tag_of

if TYPE_CHECKING:
    import polars as pl

OUTER = ("ts_event", "ts_init", "stream", "cause", "lineage", "version")
BRIEF = 400  # characters of an event in a difference


class Recording(Sequence[Event]):
    """An ordered, gapless sequence of events with `seq` 1..n.

    Raises BrokenTape when the events do not follow one another.
    """

    def __init__(self, raws: Sequence[bytes]) -> None:
        self._raws = tuple(raws)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Recording:
        """Build a recording from events; checks their order."""
        kept = list(events)
        _in_order(kept)
        made = cls([encode(event) for event in kept])
        made.__dict__["_events"] = tuple(kept)
        return made

    @cached_property
    def _events(self) -> tuple[Event, ...]:
        events = tuple(decode(raw) for raw in self._raws)
        _in_order(events)
        return events

    def __len__(self) -> int:
        return len(self._raws)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Event, ...]: ...
    def __getitem__(self, index: int | slice) -> Event | tuple[Event, ...]:
        return self._events[index]

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recording) and self._raws == other._raws

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"Recording({len(self):,} events, fingerprint {self.fingerprint[:12]})"

    @property
    def raws(self) -> tuple[bytes, ...]:
        """The canonical bytes of each event, in order."""
        return self._raws

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 chain head over all canonical bytes, in hex: equal tapes, equal text."""
        return head_of(self._raws).hex()

    def seq(self, seq: int) -> Event:
        """Return the event with that `seq`."""
        if not 1 <= seq <= len(self):
            raise TapeError(f"no event with seq {seq}: this recording holds 1 to {len(self)}")
        return self._events[seq - 1]

    def of_kind(self, *kinds: str | type[Fact]) -> Iterator[Event]:
        """Yield events of the kinds, given as tags ("order.filled") or classes."""
        tags = {kind if isinstance(kind, str) else tag_of(kind) for kind in kinds}
        return (event for event in self._events if event.kind in tags)

    def between(self, start: int | None = None, end: int | None = None) -> Iterator[Event]:
        """Yield events with start <= ts_event < end, in ns UTC."""
        return (
            event
            for event in self._events
            if (start is None or event.ts_event >= start) and (end is None or event.ts_event < end)
        )

    def causes(self, seq: int) -> list[Event]:
        """Return the event and its chain of causes, the event itself first."""
        chain = [self.seq(seq)]
        while (cause := chain[-1].cause) is not None:
            chain.append(self.seq(cause))
        return chain

    @cached_property
    def opened(self) -> RunOpened:
        """The run's first fact: code, parameters, data and conventions."""
        if self._raws and isinstance(fact := decode(self._raws[0]).fact, RunOpened):
            return fact
        raise TapeError("this recording does not begin with run.opened: it is not a run's tape")

    def frame(self, *kinds: str | type[Fact]) -> pl.DataFrame:
        """Return the events as one polars frame: seq, times, kind, stream, cause, payload."""
        import polars as pl

        chosen = list(self.of_kind(*kinds)) if kinds else list(self._events)
        return pl.DataFrame(
            {
                "seq": [e.seq for e in chosen],
                "ts_event": [e.ts_event for e in chosen],
                "ts_init": [e.ts_init for e in chosen],
                "kind": [e.kind for e in chosen],
                "stream": [e.stream for e in chosen],
                "cause": [e.cause for e in chosen],
                "payload": [msgspec.json.encode(e.fact).decode() for e in chosen],
            },
            schema={
                "seq": pl.Int64,
                "ts_event": pl.Datetime("ns", "UTC"),
                "ts_init": pl.Datetime("ns", "UTC"),
                "kind": pl.String,
                "stream": pl.String,
                "cause": pl.Int64,
                "payload": pl.String,
            },
        )

    def save(self, path: str | Path) -> Path:
        """Write one Parquet file, whole or not at all; return its path."""
        file.save(self._raws, self.fingerprint, Path(path))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read a saved recording and check it against the fingerprint it was saved with.

        Raises TapeError when the file is no recording, BrokenTape when it was changed.
        """
        raws, fingerprint = file.load(Path(path))
        loaded = cls(raws)
        if loaded.fingerprint != fingerprint:
            raise BrokenTape(0, f"{path} was changed after it was saved: fingerprints differ")
        return loaded


def _in_order(events: Sequence[Event]) -> None:
    for at, event in enumerate(events, 1):
        if event.seq != at:
            raise BrokenTape(event.seq, f"found where seq {at} was expected")
        if event.cause is not None and not 0 < event.cause < at:
            raise BrokenTape(at, f"its cause {event.cause} is not an earlier event")


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where two tapes part; an absent event is None."""

    seq: int
    left: Event | None
    right: Event | None
    fields: tuple[str, ...]
    causes: tuple[Event, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"the tapes part at seq {self.seq}"
            + (f" in {', '.join(self.fields)}" if self.fields else "")
        ]
        for name, event in (("left ", self.left), ("right", self.right)):
            lines.append(f"  {name} {_brief(event)}")
        lines += [f"  caused by {_brief(event)}" for event in self.causes]
        return "\n".join(lines)


def _brief(event: Event | None) -> str:
    if event is None:
        return "(no such event)"
    said = msgspec.json.encode(event.fact).decode()
    short = said if len(said) <= BRIEF else said[:BRIEF] + "…"
    return f"#{event.seq} {event.kind} at {event.ts_event} {event.stream}: {short}"


def first_difference(left: Recording, right: Recording, start: int = 1) -> Difference | None:
    """Return where two recordings first differ, from seq `start` on; None when nowhere."""
    pairs = itertools.zip_longest(left.raws[start - 1 :], right.raws[start - 1 :])
    for at, (a, b) in enumerate(pairs, start):
        if a != b:
            one = left.seq(at) if a is not None else None
            two = right.seq(at) if b is not None else None
            causes = left.causes(at)[1:] if one else right.causes(at)[1:]
            return Difference(at, one, two, _fields(one, two), tuple(causes))
    return None


def _fields(left: Event | None, right: Event | None) -> tuple[str, ...]:
    if left is None or right is None:
        return ()
    if left.kind != right.kind:
        return ("kind",)
    outer = [n for n in OUTER if getattr(left, n) != getattr(right, n)]
    return tuple(outer + _fact_fields(left.fact, right.fact))


def _fact_fields(left: AnyFact, right: AnyFact) -> list[str]:
    return [n for n in left.__struct_fields__ if getattr(left, n) != getattr(right, n)]
