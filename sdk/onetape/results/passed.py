"""Passed: the books after the first n events of a story, for any n, forward and back.

Forward    an event is booked once, by the folds that a whole tape goes through.
Back       from the nearest books kept on the way; there are at most some sixty of them.
Voids      a fill that was taken back counts until its void is passed and is as if it had never
           been from then on: what the books then are is folded anew from before the fill.
Orphans    a fill of an order that never began moves money and holdings.
Raises     BrokenTape, when asked for the books after the event that does not fit, or later;
           the books before it can be had.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from copy import copy
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from onetape.books import cash, tables
from onetape.books.exact import EXACT, ONE, TINY, ZERO, exactly, trimmed
from onetape.books.marks import Exchange, Line, Marks
from onetape.books.orders import Order, OrderBook
from onetape.books.positions import Holding, Holdings, Key, average_price
from onetape.books.standing import Executions
from onetape.books.valuation import BOOKED, InstrumentInfo
from onetape.errors import BrokenTape
from onetape.results import market
from onetape.tape.event import Event
from onetape.tape.kinds import (
    OrderFact,
    OrderFilled,
    OrderInitialized,
    OrderVoided,
    RunOpened,
    SplitApplied,
)

if TYPE_CHECKING:
    from onetape.market.dataset import Dataset

KEPT = 64  # books kept for going back: more would cost more memory than they save time
APART = 500  # events between kept books, at least


class Kept(NamedTuple):
    """The books after `place` events, as plain tables that nobody changes."""

    place: int
    infos: dict[str, InstrumentInfo]
    held: dict[Key, Holding]
    orders: dict[str, Order]
    balances: dict[tuple[str, str], Decimal]
    last: dict[Key, tuple[int, int, str]]
    prices: dict[str, Decimal]
    splits: dict[str, dict[int, Decimal]]
    reached: int


OWNER = ("account", "instrument", "strategy")
HELD = pl.Schema({name: tables.POSITIONS[name] for name in (*OWNER, *tables.POSITIONS)})
NOTHING = Kept(0, {}, {}, {}, {}, {}, {}, {}, -(2**63))


class Prices(NamedTuple):
    """What values the books: marks by instrument, rates by pair, the currency asked for."""

    marks: Marks
    rates: Marks
    currency: str

    @classmethod
    def of(cls, datasets: Sequence[Dataset], currency: str) -> Prices:
        """Draw the same prices from the data as a run's equity does."""
        lines = market.marks(datasets, market.grid(datasets))
        return cls(lines, market.rates(datasets, lines), currency)


class Folded:
    """The books while events pass."""

    def __init__(self, kept: Kept) -> None:
        self.count = kept.place
        self.infos = dict(kept.infos)
        self.multipliers = {name: info.multiplier for name, info in kept.infos.items()}
        self.margined = {name for name, info in kept.infos.items() if info.margined}
        self.holdings = Holdings("average", self.multipliers)
        for key, holding in kept.held.items():
            self.holdings.place(key, holding)
        self.orders = OrderBook()
        for order in kept.orders.values():
            self.orders.place(order)
        self.open = {name for name, order in kept.orders.items() if order.is_open}
        self.balances = dict(kept.balances)
        self.last = dict(kept.last)
        self.prices = dict(kept.prices)
        self.splits = {name: dict(one) for name, one in kept.splits.items()}
        self.reached = kept.reached

    def keep(self) -> Kept:
        """Return the books as they stand."""
        return Kept(
            self.count,
            dict(self.infos),
            dict(self.holdings.by_key),
            dict(self.orders.by_id),
            dict(self.balances),
            dict(self.last),
            dict(self.prices),
            {name: dict(one) for name, one in self.splits.items()},
            self.reached,
        )

    def book(self, event: Event) -> None:
        """Book one event, in the exact context of the caller."""
        fact = event.fact
        if isinstance(fact, BOOKED):
            self.reached = max(self.reached, event.ts_event)
        if isinstance(fact, OrderFilled):
            self._know(fact.instrument, InstrumentInfo(ONE, fact.currency))
            self.prices[fact.instrument] = fact.price
        elif isinstance(fact, SplitApplied):
            self._split(event, fact)
        elif isinstance(fact, RunOpened):
            for name, info in market.infos_of(fact.instruments).items():
                self._know(name, info)
        if isinstance(fact, OrderFact):
            self._order(event, fact)
        changes, entries = cash.book(event, self.holdings, self.margined)
        for key, _, _ in changes:
            self.last[key] = (event.seq, event.ts_event, event.kind)
        for entry in entries:
            owner = (entry.account, entry.currency)
            self.balances[owner] = self.balances.get(owner, ZERO) + entry.amount

    def _know(self, instrument: str, info: InstrumentInfo) -> None:
        """Learn of an instrument; the first that is said of it rules."""
        if instrument in self.infos:
            return
        self.infos[instrument] = info
        self.multipliers[instrument] = info.multiplier
        if info.margined:
            self.margined.add(instrument)

    def _order(self, event: Event, fact: OrderFact) -> None:
        if isinstance(fact, OrderInitialized):
            order = self.orders.begin(event, fact)
            if order.is_open:  # a second beginning changes nothing of an order that ended
                self.open.add(fact.client_order_id)
            return
        order = self.orders.by_id.get(fact.client_order_id)
        if order is not None:
            self.orders.by_id[fact.client_order_id] = copy(order)  # kept books keep the other
        elif isinstance(fact, OrderVoided):
            return
        if self.orders.take(event, fact).is_open:
            self.open.add(fact.client_order_id)
        else:
            self.open.discard(fact.client_order_id)

    def _split(self, event: Event, fact: SplitApplied) -> None:
        splits = self.splits.setdefault(fact.instrument, {})
        if self.reached not in splits:  # a second account tells of the same split
            splits[self.reached] = fact.ratio
            if fact.instrument in self.prices:
                self.prices[fact.instrument] /= fact.ratio
        for name in self.open:
            self.orders.by_id[name] = copy(self.orders.by_id[name])
        self.orders.split(event, fact)

    @exactly
    def positions(self) -> pl.DataFrame:
        """Return what is held: for each position that is open, its state after the last change."""
        rows: list[tuple[Any, ...]] = []
        for key, now in self.holdings.by_key.items():
            if now.quantity:
                seq, ts, kind = self.last[key]
                average = average_price(now, self.holdings.multiplier(key.instrument))
                rows.append((*key, seq, ts, kind, now.quantity, average, now.cost, now.realized))
        return _frame(rows, HELD)

    @exactly
    def working(self) -> pl.DataFrame:
        """Return the orders that are not at their end."""
        rows: list[tuple[Any, ...]] = []
        working = (self.orders.by_id[name] for name in self.open)
        for one in sorted(working, key=lambda order: order.seqs[0]):
            paid = list(one.commission.values()) or [ZERO]
            said = {name: getattr(one, name, None) for name in tables.ORDERS}
            said |= {"seq": one.seqs[0], "seqs": list(one.seqs)}
            said["commission"] = paid[0] if len(paid) == 1 else None
            rows.append(tuple(said.values()))
        return _frame(rows, tables.ORDERS)

    @exactly
    def cash(self) -> dict[str, Decimal]:
        """Return the balance in each currency, over all accounts."""
        sums: dict[str, Decimal] = {}
        for (_, code), amount in self.balances.items():
            sums[code] = sums.get(code, ZERO) + amount
        return sums

    @exactly
    def worth(self, prices: Prices, ts: int) -> Decimal:
        """Return cash and holdings at the last marks at or before `ts`, as a run's equity.

        Raises MarketDataError when a rate is not among the prices.
        """
        clock = np.array([ts], dtype=np.int64)
        exchange = Exchange(prices.currency, prices.rates, clock)
        total = ZERO
        for code, amount in self.cash().items():
            total += amount * exchange.rate(code, 0, ts) if amount else ZERO
        for key, held in self.holdings.by_key.items():
            if held.quantity:
                info = self.infos[key.instrument]
                mark = self._mark(key.instrument, prices.marks, clock)
                value = held.quantity * mark * info.multiplier
                value -= held.cost if info.margined else ZERO
                total += value * exchange.rate(info.currency or prices.currency, 0, ts)
        return trimmed(EXACT.quantize(total, TINY))

    def _mark(self, instrument: str, marks: Marks, clock: Any) -> Decimal:
        if instrument in marks:
            line = Line(instrument, *marks[instrument], clock)
            if line.steps[0] >= 0:
                return line.price(line.steps[0], self.splits.get(instrument))
        return self.prices[instrument]


class Passed:
    """The books of a story at any place in it; `events` in the order in which they are booked."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._apart = max(APART, len(events) // KEPT)
        self._kept = {0: NOTHING}
        self._now: Folded | None = None
        self._voids: list[tuple[int, int]] = []  # where a void stands, where its fill stands
        self._fits, self._broken = self._judged()

    def _judged(self) -> tuple[int, BrokenTape | None]:
        """Find the voids; return how many events fit, and what is wrong with the next."""
        executions, places, last = Executions(), dict[int, int](), 0
        for at, event in enumerate(self._events):
            seq, fact = event.seq, event.fact
            try:
                if seq <= last:
                    why = f"it follows seq {last}; expected rising numbers, each once"
                    raise BrokenTape(seq, why)
                if isinstance(fact, OrderFilled):
                    executions.fill(seq, fact)
                    places[seq] = at
                elif isinstance(fact, OrderVoided):
                    self._voids.append((at, places[executions.void(seq, fact)]))
            except BrokenTape as err:
                return at, err
            last = seq
        return len(self._events), None

    @exactly
    def after(self, count: int) -> Folded:
        """Return the books after `count` events; they are good until the next call."""
        if count > self._fits and self._broken is not None:
            raise self._broken
        folded, self._now = self._now, None  # an interrupt leaves no half-booked books behind
        if folded is None or folded.count > count or self._stale(folded.count, count):
            usable = (at for at in self._kept if at <= count and not self._stale(at, count))
            folded = Folded(self._kept[max(usable)])
        gone = {fill for _, fill in self._taken(folded.count, count)}
        while folded.count < count:
            if folded.count not in gone:
                folded.book(self._events[folded.count])
            folded.count += 1
            at = folded.count
            if at % self._apart == 0 and at not in self._kept and not self._stale(at, count):
                self._kept[at] = folded.keep()
        self._now = folded
        return folded

    def _taken(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the voids among events[start:end]."""
        return self._voids[bisect_left(self._voids, (start,)) : bisect_left(self._voids, (end,))]

    def _stale(self, start: int, end: int) -> bool:
        """Whether the books after `start` hold a fill that is taken back before `end`."""
        return any(fill < start for _, fill in self._taken(start, end))


def _frame(rows: list[tuple[Any, ...]], schema: pl.Schema) -> pl.DataFrame:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    made: list[pl.Series] = []
    for (name, kind), column in zip(schema.items(), columns, strict=True):
        if isinstance(kind, pl.Decimal):
            exact = [one if one is None else EXACT.quantize(one, TINY) for one in column]
            made.append(pl.Series(name, exact, dtype=kind))
        elif isinstance(kind, pl.Datetime):
            made.append(pl.Series(name, column, dtype=pl.Int64()).cast(kind))
        else:
            made.append(pl.Series(name, column, dtype=kind))
    return pl.DataFrame(made)
