"""Following: the tape's control streams, as they are written, into a running session.

States, limits, kills and overrides are facts on streams of their own, written by whoever may. A
session takes over what stands when it begins, and hears of the rest as it comes; each becomes an
input of the session, so that its own stream tells what it knew when it decided.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator

from onetape.tape.kinds import AnyFact, Fact
from onetape.tape.kinds_live import KillMoved, LimitsSet, OverrideGranted, RiskMoved
from onetape.tape.ledger import Entry
from onetape.tape.port import Tape

STREAMS = ("risk", "limits", "kill")
FOLLOWED = (RiskMoved, LimitsSet, KillMoved, OverrideGranted)
AGAIN_S = 1.0
GATHER_S = 0.05  # between two looks: the tape carries this session's own events too, a page at once
_log = logging.getLogger(__name__)


def standing(tape: Tape) -> tuple[list[AnyFact], int]:
    """Return the facts of the control streams that still matter, and the ledger's seq by then.

    Of each scope's states and of each kill the last word matters, of limits the last that were
    set, of overrides all: they end by themselves.
    """
    head = tape.head().seq
    last: dict[object, AnyFact] = {}
    for stream in STREAMS:
        if not tape.version(stream):
            continue
        for event in tape.recording(stream):
            fact = event.fact
            if isinstance(fact, FOLLOWED):
                last[_about(fact)] = fact
    return list(last.values()), head


def _about(fact: AnyFact) -> object:
    match fact:
        case RiskMoved():
            return ("state", fact.scope)
        case KillMoved():
            return ("kill", fact.kill, fact.venue)
        case LimitsSet():
            return "limits"
        case _:
            return fact


class Following:
    """A thread that reads on from a ledger seq; `hear` is called on the loop."""

    def __init__(self, tape: Tape, after: int, hear: Callable[[Fact], None]) -> None:
        self._tape, self._after, self._hear = tape, after, hear
        self._loop = asyncio.get_running_loop()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="following", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; the thread goes with its next look."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                for batch in self._tape.follow(self._after, until=self._ended.is_set):
                    self._take(batch)
            except Exception as err:  # whatever it is: we read on from where we were
                if self._loop.is_closed():  # so is the session
                    return
                _log.warning("the control streams cannot be read now: %s", err)
                self._ended.wait(AGAIN_S)

    def _take(self, batch: list[Entry]) -> None:
        for fact in _worth(batch):
            self._loop.call_soon_threadsafe(self._hear, fact)
        self._after = batch[-1].seq
        self._ended.wait(GATHER_S)


def _worth(batch: list[Entry]) -> Iterator[AnyFact]:
    for entry in batch:
        if entry.stream in STREAMS:
            fact = entry.event.fact
            if isinstance(fact, FOLLOWED):
                yield fact
