"""Ours: whose each order of the live sessions is and which still work, folded from the tape.

What a kill needs and no more: it is a list of whom to ask about, never evidence. An order is
durable on the tape before it is sent, so that one which a venue names and no session began is
nobody's here. Streams are read from the latest session back, and a session's trader and desk
are those of its `run.opened` (settings `trader`, `desk`, `account`) or of what was said beside.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from onetape.risk.kill import Scope
from onetape.tape import kinds
from onetape.tape.event import Event, decode
from onetape.tape.ledger import Entry
from onetape.tape.port import Tape

STREAM = "session/"
EXTERNAL = "EXTERNAL"  # the strategy of orders that were found at a venue
WORTH = (b'"kind":"order.', b'"kind":"run.opened"')
STALL_S = 1.0
FIRST = 4  # sessions that are read before all others
GONE = (kinds.OrderDenied, kinds.OrderRejected, kinds.OrderCanceled, kinds.OrderExpired)


class Whose(NamedTuple):
    """Who stands behind a session."""

    account: str = ""
    trader: str = ""
    desk: str = ""


class Own(Struct, gc=False):
    """One order of ours; `venue_order_id` is "" until the venue gave it one."""

    client_order_id: str
    instrument: str
    strategy: str
    quantity: Decimal
    account: str = ""
    trader: str = ""
    desk: str = ""
    venue_order_id: str = ""
    venue: str = ""  # not told by orders: whoever asks knows which venue he asks
    filled: Decimal = Decimal(0)
    gone: bool = False
    sent: bool = False  # for all the tape knows, it may be at a venue or on its way

    def take(self, fact: kinds.OrderFact) -> None:
        """Book one of its own events."""
        if isinstance(fact, kinds.OrderSubmitted | kinds.OrderAccepted | kinds.OrderFilled):
            self.account, self.sent = fact.account or self.account, True
        if isinstance(fact, kinds.OrderAccepted | kinds.OrderFilled):
            self.venue_order_id = fact.venue_order_id or self.venue_order_id
        if isinstance(fact, kinds.OrderFilled):
            self.filled += fact.quantity
            self.gone = self.gone or self.filled >= self.quantity
        elif isinstance(fact, kinds.OrderUpdated):
            self.quantity = fact.quantity
        elif isinstance(fact, GONE):
            self.gone = True


class Ours:
    """Every order of the sessions that was read, by id; safe to read from another thread."""

    def __init__(self, whose: Mapping[str, Whose] | None = None) -> None:
        self._whose: dict[str, Whose] = dict(whose or {})
        self._orders: dict[str, Own] = {}
        self._open: dict[str, Own] = {}  # those that are not gone
        self._early: dict[str, list[kinds.OrderFact]] = {}
        self._lock = threading.Lock()
        self.upto = 0  # the ledger's seq that everything was read to
        self.entries = 0  # read so far: tells that reading gets on

    def read(self, tape: Tape, on_group: Callable[[], None] = lambda: None) -> None:
        """Fold what is new on the tape; blocks. `on_group` is called after each group of sessions,
        the latest first. Raises TapeError where the tape cannot be read.
        """
        head = tape.head().seq
        streams = [name for name in tape.streams() if name.startswith(STREAM)]
        if self.upto:
            self._take(tape.read(self.upto, head, streams=streams) if streams else iter(()))
        else:
            for group in _groups(sorted(streams, key=_begun, reverse=True)):
                self._take(tape.read(0, head, streams=group))
                on_group()
        self.upto = head

    def get(self, client_order_id: str) -> Own | None:
        """Return an order of ours, None for one that no session began."""
        return self._orders.get(client_order_id)

    def working(self, scope: Scope, accounts: frozenset[str], venue: str) -> list[Own]:
        """Return those in scope that may be at a venue, of these accounts or of one not told."""
        with self._lock:
            every = list(self._open.values())
        return [
            own
            for own in every
            if (not own.account or own.account in accounts)
            and (scope == Scope("venue", venue) or scope.covers(own))
        ]

    def _take(self, entries: Iterator[Entry]) -> None:
        for entry in entries:
            self.entries += 1
            if any(mark in entry.payload for mark in WORTH):
                with self._lock:
                    self._book(entry.stream, decode(entry.payload))

    def _book(self, stream: str, event: Event) -> None:
        fact = event.fact
        if isinstance(fact, kinds.RunOpened):
            known = self._whose.get(stream, Whose())
            said = (known[at] or fact.settings.get(n, "") for at, n in enumerate(Whose._fields))
            self._whose[stream] = Whose(*said)
        elif isinstance(fact, kinds.OrderInitialized):
            self._begin(stream, fact)
        elif isinstance(fact, kinds.OrderFact):
            if (own := self._orders.get(fact.client_order_id)) is not None:
                own.take(fact)
                if own.gone:
                    self._open.pop(fact.client_order_id, None)
            else:  # a later session, read first, tells of an order that an earlier one began
                self._early.setdefault(fact.client_order_id, []).append(fact)

    def _begin(self, stream: str, fact: kinds.OrderInitialized) -> None:
        whose = self._whose.get(stream, Whose())
        told = [fact.details.get(name) or getattr(whose, name) for name in Whose._fields]
        account, trader, desk = map(str, told)
        known = self._orders.get(fact.client_order_id)
        if known is None:
            known = Own(fact.client_order_id, fact.instrument, fact.strategy, fact.quantity)
            known.account, known.trader, known.desk = account, trader, desk
            self._orders[fact.client_order_id] = known
            for early in self._early.pop(fact.client_order_id, ()):
                known.take(early)
            if not known.gone:
                self._open[fact.client_order_id] = known
        elif known.strategy == EXTERNAL:  # found at the venue later; here is who sent it
            known.strategy, known.trader, known.desk = fact.strategy, trader, desk


def _groups(streams: list[str]) -> Iterator[list[str]]:
    """Yield streams in groups that grow: the first are there at once, the rest soon."""
    size = FIRST
    while streams:
        yield streams[:size]
        streams, size = streams[size:], size * 8


def _begun(stream: str) -> str:
    """Return what sessions are sorted by: "session/NAME-20240108T093000-1a2b3c" -> the time."""
    parts = stream.rsplit("-", 2)
    return parts[1] if len(parts) == 3 else ""


# -- while a kill goes on, which does not wait for a database


def aside[T](work: Callable[[], T]) -> asyncio.Future[T]:
    """Do something that may block, in a thread that no process waits for when it ends."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(made: T | None, err: BaseException | None) -> None:
        if future.done():
            return
        if err is None:
            future.set_result(made)  # pyright: ignore[reportArgumentType]
        else:
            future.set_exception(err)
            future.exception()  # nobody may be left to ask

    def run() -> None:
        made, raised = None, None
        try:
            made = work()
        except BaseException as err:
            raised = err
        with suppress(RuntimeError):  # the loop ended meanwhile
            loop.call_soon_threadsafe(settle, made, raised)

    threading.Thread(target=run, name="aside", daemon=True).start()
    return future


class Reading:
    """Our own orders, as far as they could be read in time.

    whole    everything up to the last reading is known
    lost     the tape could not be read at all, or said nothing for `STALL_S`
    """

    def __init__(self, tape: Tape | None, whose: Mapping[str, Whose] | None = None) -> None:
        self.ours = Ours(whose)
        self.whole, self.lost, self.why = False, tape is None, "no tape is open"
        self._tape = tape
        self._some = asyncio.Event()
        self._first = asyncio.ensure_future(self._read()) if tape is not None else None
        if tape is None:
            self._some.set()
        self._again: asyncio.Task[None] | None = None

    async def some(self, seconds: float) -> None:
        """Return when the latest sessions were read, reading has failed, or that time is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._some.wait(), max(0.0, seconds))

    async def again(self, seconds: float) -> bool:
        """Read what is new; tell whether that was possible in time."""
        if self._tape is None or not self.whole:
            return False
        if self._again is None or self._again.done():
            self._again = asyncio.ensure_future(self._read())
        await asyncio.wait([self._again], timeout=max(0.0, seconds))
        return self._again.done() and self.whole

    async def _read(self) -> None:
        assert self._tape is not None
        tape, ours, loop = self._tape, self.ours, asyncio.get_running_loop()

        def read_some() -> None:
            with suppress(RuntimeError):  # the loop ended meanwhile
                loop.call_soon_threadsafe(self._some.set)

        self.whole = False
        work, seen = aside(lambda: ours.read(tape, read_some)), -1
        while not work.done() and ours.entries > seen:
            seen = ours.entries
            await asyncio.wait([work], timeout=STALL_S)
        if not work.done():
            self.lost, self.why = True, f"the tape said nothing for {STALL_S:g} s"
        elif (err := work.exception()) is not None:
            self.lost, self.why = True, str(err)
        else:
            self.whole, self.lost, self.why = True, False, ""
        self._some.set()
