"""A desk for tests: one simulated market and one tape, where sessions trade one after another.

A session lives in this process and on one loop of its own; rows come stepped, so that nothing is
waited for but what has to happen. `at` does something before a row, counted from 0 over the desk's
whole life: a fault, a person's word, a halt, the end.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import count
from typing import Any

import onetape as ot
import onetape_sim as sim
from onetape.risk.limitbook import LimitBook, book, to_json
from onetape.run import ports
from onetape.run.again import Script
from onetape.run.asked import Asked
from onetape.run.folder import Endpoint, LiveSpec, Wanted
from onetape.run.given_again import Row
from onetape.run.reconcile import Outcome
from onetape.run.trader import Trader
from onetape.tape.memory import MemoryTape
from onetape.tape.recording import Difference, Recording, first_difference
from run.hand import quotes

D = Decimal
AAA = "AAA.XNAS"
NUMBERS = count(1)
OPEN = book([], "allow")
RISING = tuple((n, 100 + n, 101 + n, 1_000, 1_000) for n in range(12))
LEVEL = tuple((n, 100, 101, 1_000, 1_000) for n in range(12))
Act = Callable[[Any], object]
__all__ = ["AAA", "LEVEL", "OPEN", "RISING", "D", "Desk", "Live", "Outcome", "again", "lived"]


class Alone:
    """A lease that nobody else wants; `before` is the stream of who had it last."""

    def __init__(self, before: str = "") -> None:
        self._before = before

    def take(self) -> str:
        return self._before

    def held(self) -> bool:
        return True

    def release(self) -> None:
        pass


class Steps:
    """A feed as it comes, with things to do before some of its rows."""

    def __init__(self, inner: Any, at: Mapping[int, Act], rows: int = 0) -> None:
        self._inner, self._at, self.rows = inner, at, rows
        self.session: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def connect(self, emit: Callable[[Any], None]) -> None:
        def hear(said: Any) -> None:
            if isinstance(said, ports.Row):
                self._at.get(self.rows, lambda _: None)(self.session)
                self.rows += 1
            if self.session.awaited is None or not isinstance(said, ports.Row):
                emit(said)
            else:  # the feed is paced: nothing comes before this row was handled
                self._waiting = asyncio.ensure_future(self._once(said, emit))

        await self._inner.connect(hear)

    async def _once(self, said: Any, emit: Callable[[Any], None]) -> None:
        awaited, self.session.awaited = self.session.awaited, None
        while not awaited():
            await asyncio.sleep(0.001)
        emit(said)


class Live(Trader):
    """A session that keeps what it was given, so that it can be made again."""

    feed: Any
    recording: Recording
    ended_as = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows: list[Row] = []
        self.asked = Asked(self).handlers()
        self.answers: list[Any] = []
        self.awaited: Callable[[], bool] | None = None

    def _open(self) -> None:
        super()._open()
        received = self.kernel.kept

        def kept(row: ports.AnyRow, stamp: int) -> None:
            self.rows.append(Row(stamp, row))
            received(row, stamp)

        self.kernel.kept = kept

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Have the row that is about to come wait until something is done."""
        self.awaited = done

    def ask(self, what: str, **said: Any) -> None:
        """Say something at its door; what is answered, or raised, is kept."""
        try:
            answer = self.asked[what]({"who": "Ada", **said})
        except ot.errors.OnetapeError as err:
            answer = err
        if asyncio.iscoroutine(answer):
            task = asyncio.ensure_future(answer)
            self.answers.append(task)
        else:
            self.answers.append(answer)

    # -- what was recorded

    def kinds(self, order: str | None = None) -> list[str]:
        """Return the kinds of its events, of one order where one is named."""
        return [e.kind for e in self.recording if order in (None, _order(e))]

    def facts(self, kind: str) -> list[Any]:
        """Return the facts of one kind."""
        return [e.fact for e in self.recording.of_kind(kind)]

    @property
    def orders(self) -> dict[str, list[str]]:
        """The kinds of each order's events, without "order.", by its id."""
        found: dict[str, list[str]] = {}
        for event in self.recording:
            if event.kind.startswith("order."):
                found.setdefault(event.fact.client_order_id, []).append(event.kind[6:])
        return found

    @property
    def lives(self) -> list[list[str]]:
        """The kinds of each order's events, in the order in which they were made."""
        return list(self.orders.values())

    @property
    def held(self) -> Decimal:
        """What all fills and busts come to in AAA."""
        return self.carried.held(AAA)


class Desk:
    """See the module; `venue` may wrap the simulated venue."""

    def __init__(
        self,
        rows: Sequence[tuple[Any, ...]] = RISING,
        *,
        datasets: Sequence[Any] = (),
        tape: Any = None,
        wraps: Callable[[Any], Any] = lambda venue: venue,
        **world: Any,
    ) -> None:
        self.name = f"live-{next(NUMBERS)}"
        self.datasets = list(datasets) or [quotes(rows)]
        names = [f"{self.name}-{n}" for n in range(len(self.datasets))]
        for name, dataset in zip(names, self.datasets, strict=True):
            sim.put(name, dataset)
        self.config = {"world": self.name, "data": names, "cash": {"USD": "1000000"}, **world}
        self.tape = MemoryTape() if tape is None else tape
        self.wraps, self.before, self.rows = wraps, "", 0
        self.venue = sim.venue(self.config)
        self.world = self.venue.world
        self.core = self.world.core

    def session(
        self,
        strategy: Any,
        at: Mapping[int, Act] | None = None,
        *,
        limits: LimitBook = OPEN,
        lease: Any = None,
        **terms: Any,
    ) -> Live:
        """Trade until the rows end or `at` ends it; what stood in the way of a start is raised."""
        gc.collect()  # the frames of an error may hold on to the node of the session before
        made = strategy() if isinstance(strategy, type) else strategy
        return asyncio.run(self._session(made, at or {}, limits, lease, terms))

    async def _session(
        self, strategy: Any, at: Mapping[int, Act], limits: Any, lease: Any, terms: dict[str, Any]
    ) -> Live:
        end = Endpoint("sim", self.config)
        given: dict[str, Any] = {
            "session": f"Hand-20240108T150000-{next(NUMBERS):06x}",
            "strategy": "",
            "strategy_name": "Hand",
            "venue": end,
            "feed": end,
            "account": "A",
            "limits": to_json(limits),
            "tape": "",
            "subscriptions": tuple(Wanted(d.instrument.id, d.kind) for d in self.datasets),
        }
        feed = Steps(sim.feed({"world": self.name}), at, self.rows)
        venue = self.wraps(sim.venue({"world": self.name}))
        lease = lease or Alone(self.before)
        live = Live(LiveSpec(**given | terms), self.tape, lease, (venue, feed), strategy)
        live.patience, feed.session = 0.0, live
        try:
            await live.begin()
            async with asyncio.timeout(30):
                await live.ended.wait()
        except Exception as err:
            live.error = f"{type(err).__name__}: {err}"
            raise
        finally:
            self.rows = feed.rows
            if live.opened:
                self.before = live.stream
                live.ended_as = await live.end()
                await live.close(live.ended_as)
                live.recording = self.tape.recording(live.stream)
        return live

    # -- the venue's word

    @property
    def working(self) -> list[str]:
        """The ids of the orders that work at the venue."""
        return sorted(self.core.ledger.working)

    @property
    def sent(self) -> list[str]:
        """The ids of all orders that ever reached the venue."""
        return list(self.core.ledger.orders)

    @property
    def holds(self) -> Decimal:
        """What the venue says that account A holds of AAA."""
        return self.core.ledger.account("A").held.get(AAA, D(0))


def lived(
    strategy: Any, at: Mapping[int, Act] | None = None, *, limits: LimitBook = OPEN, **desk: Any
) -> tuple[Live, Desk]:
    """Return a session that traded at a desk of its own, and the desk."""
    made = Desk(**desk)
    return made.session(strategy, at, limits=limits), made


def remade(live: Live, strategy: Any) -> Recording:
    """Return what a session's inputs give once more."""
    gc.collect()
    made = strategy() if isinstance(strategy, type) else strategy
    return asyncio.run(Script(live.recording, live.rows, made).play())


def again(live: Live, strategy: Any) -> Difference | None:
    """Return where a session and its rerun part; None where they are the same."""
    return first_difference(live.recording, remade(live, strategy))


def _order(event: Any) -> str | None:
    return getattr(event.fact, "client_order_id", None)
