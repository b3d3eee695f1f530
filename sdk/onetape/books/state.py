"""State: the books one event at a time, by the same folds that a whole tape goes through.

`Books.book` takes the events of all streams in the order of the ledger, each with the ledger's
`seq`, and notes in `changes` what became of them; whoever keeps tables takes that with `drain`.
Nothing here knows a database: what is not in memory is placed by the caller before it is asked
for, so that `Books` may hold the whole firm or only what a batch touches.

Context  the exact one, entered once by the caller for many events (`exact.EXACT`).
Refused  BrokenTape, raised before anything has moved: an execution that stands twice, a void of
         one that does not stand, a split by nothing. Any other exception leaves the books unusable.
Odd      an event that its order's state did not expect, an order that never began: it is booked
         as it says, and is a finding.
Voids    `take_back` refolds the account's instrument from its events without the fill.
Equity   `settle` is called after each ledger batch: the rows depend on the ledger only.
Costs    averaged; trades run from flat to flat.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from onetape.books import cash
from onetape.books.cash import CashEntry
from onetape.books.exact import EXACT, ONE, TINY, ZERO
from onetape.books.orders import OrderBook
from onetape.books.places import Changes, Line, Moved, Paid, Purse, Run, Slot, Worth, known
from onetape.books.positions import EMPTY, Holding, Holdings, Key, Notes, signed
from onetape.books.standing import Executions
from onetape.books.trades import Blotter
from onetape.books.valuation import InstrumentInfo
from onetape.tape.event import Event, head_of
from onetape.tape.kinds import (
    CashDeposited,
    DividendPaid,
    OrderFact,
    OrderFilled,
    OrderInitialized,
    RunClosed,
    RunOpened,
    SplitApplied,
)
from onetape.tape.ledger import Entry


class Shelf:
    """The books under one name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.infos: dict[str, InstrumentInfo] = {}
        self.multipliers: dict[str, Decimal] = {}
        self.margined: set[str] = set()
        self.holdings = Holdings("average", self.multipliers)
        self.blotter = Blotter("flat", self.multipliers)
        self.orders = OrderBook()
        self.executions = Executions()
        self.slots: dict[Key, Slot] = {}
        self.lines: dict[tuple[str, str], Line] = {}
        self.purses: dict[tuple[str, str], Purse] = {}
        self.splits: dict[str, list[int]] = {}  # by instrument, for orders that are refolded

    def know(self, instrument: str, info: InstrumentInfo) -> None:
        """Learn of an instrument; the first that is said of it rules."""
        self.infos[instrument] = info
        self.multipliers[instrument] = info.multiplier
        if info.margined:
            self.margined.add(instrument)

    def place(self, slot: Slot, holding: Holding) -> None:
        """Take over a position folded earlier; its line is there already."""
        key = slot.key
        self.slots[key] = slot
        if slot.notes.fills:
            self.holdings.place(key, holding)
            self.lines[key.account, key.instrument].slots.append(slot)

    def holding(self, key: Key) -> Holding:
        """Return what is held; nothing where every fill was voided."""
        return self.holdings.by_key.get(key, EMPTY["average"])

    def forget(self, account: str, instrument: str) -> None:
        """Let go of all that an account holds in an instrument."""
        line = self.lines.pop((account, instrument))
        for slot in line.slots:
            del self.slots[slot.key]
        self.holdings.forget(account, instrument)
        self.blotter.forget(account, instrument)


class Books:
    """The books of everybody, while events come in."""

    def __init__(self, next_id: int = 1) -> None:
        self.shelves: dict[str, Shelf] = {}
        self.runs: dict[str, Run] = {}
        self.next_id = next_id
        self.changes = Changes()
        self._lines: list[Line] = []
        self._purses: list[Purse] = []

    def shelf(self, book: str) -> Shelf:
        """Return the books under a name."""
        found = self.shelves.get(book)
        if found is None:
            found = self.shelves[book] = Shelf(book)
        return found

    def drain(self) -> Changes:
        """Return what changed since the last drain, and begin anew."""
        told, self.changes = self.changes, Changes()
        return told

    def note(self, entries: Iterable[Entry]) -> None:
        """Count entries in their runs, whether or not they can be booked."""
        told: dict[str, list[Entry]] = {}
        for entry in entries:
            if entry.stream in self.runs:
                told.setdefault(entry.stream, []).append(entry)
        for stream, some in told.items():
            run = self.runs[stream]
            run.events += len(some)
            run.last_seq = some[-1].seq
            run.head = head_of((entry.payload for entry in some), run.head)
            self._touch(run, self.changes.runs)

    def book(self, event: Event, book: str) -> None:
        """Book one event, numbered by the ledger. Voids go to `take_back`."""
        fact = event.fact
        kind = type(fact)
        shelf = self.shelves.get(book) or self.shelf(book)
        if kind is OrderFilled:
            self._fill(shelf, event, fact)  # pyright: ignore[reportArgumentType]
        elif isinstance(fact, OrderFact):
            self._order(shelf, event, fact)
        elif kind is SplitApplied:
            self._split(shelf, event, fact)  # pyright: ignore[reportArgumentType]
        elif kind is CashDeposited or kind is DividendPaid:
            self._pay(shelf, event)
        elif isinstance(fact, RunOpened):
            self._open(shelf, event, fact)
        elif isinstance(fact, RunClosed):
            self._close(event, fact)

    def settle(self, recorded: int) -> None:
        """Value what moved; called once the last event of a ledger batch is booked."""
        for line in self._lines:
            self._value(line)
        for purse in self._purses:
            purse.moved = False
            self._touch(purse, self.changes.purses)
            self.changes.equity.append(Worth(recorded, msgspec.structs.replace(purse)))
        self._lines, self._purses = [], []

    def _value(self, line: Line) -> None:
        line.moved = False
        held = self.shelves[line.book].holdings.by_key
        quantity = cost = ZERO
        for slot in line.slots:
            holding = held[slot.key]
            quantity += holding.quantity
            cost += holding.cost
        notional = quantity * line.price * line.info.multiplier
        if notional.adjusted() < -18 or len(notional.as_tuple().digits) > 30:
            notional = EXACT.quantize(notional, TINY)  # so that sums of parts never round
        gained = (notional - cost) - line.unrealized
        purse = self.purse(line.book, line.account, line.info.currency or "", line.seq, line.ts)
        purse.market_value += gained if line.info.margined else notional - line.notional
        purse.unrealized += gained
        line.quantity, line.cost, line.notional = quantity, cost, notional
        self._touch(line, self.changes.lines)

    def _fill(self, shelf: Shelf, event: Event, fact: OrderFilled) -> None:
        shelf.executions.fill(event.seq, fact)
        self._order(shelf, event, fact)
        line = shelf.lines.get((fact.account, fact.instrument))
        if line is None:
            line = self._begin(shelf, event, fact)
        changes, paid = cash.book(event, shelf.holdings, shelf.margined)
        key, before, after = changes[0]
        shelf.blotter.fill(event, fact)
        slot = shelf.slots.get(key)
        if slot is None or not slot.notes.fills:
            slot = self._slot(shelf, line, key, fact, slot)
        slot.notes.fill(event.seq, key, fact)
        slot.last_price = fact.price
        if shelf.blotter.ended:
            self.changes.ended += [(slot, trade) for trade in shelf.blotter.ended]
            shelf.blotter.ended.clear()
        self.move(slot, event, "fill", (signed(fact), fact.price), after)
        line.price = fact.price
        if line.seqs is not None:
            line.seqs.append(event.seq)
        self.touch_line(line, event)
        gained = after.realized - before.realized
        self._enter(shelf, paid)
        if gained:
            currency = line.info.currency or ""
            self.purse(
                line.book, line.account, currency, event.seq, event.ts_event
            ).realized += gained
        run = self.runs.get(event.stream)
        if run is not None:
            run.fills += 1
            self._touch(run, self.changes.runs)

    def _split(self, shelf: Shelf, event: Event, fact: SplitApplied) -> None:
        changes = shelf.holdings.split(event.seq, fact)
        self.act(shelf, event, fact.account, fact.instrument, "split")
        shelf.splits.setdefault(fact.instrument, []).append(event.seq)
        line = shelf.lines.get((fact.account, fact.instrument))
        if line is not None:
            line.price /= fact.ratio
            self.touch_line(line, event)
        for key, before, after in changes:
            slot = shelf.slots[key]
            slot.notes.later(event.seq, key)
            slot.last_price /= fact.ratio
            self.move(slot, event, "split", (after.quantity - before.quantity, None), after)
        shelf.blotter.split(fact)
        for order in shelf.orders.split(event, fact):
            self.changes.orders[shelf.name, order.client_order_id] = order

    def _pay(self, shelf: Shelf, event: Event) -> None:
        if isinstance(event.fact, DividendPaid):
            self.act(shelf, event, event.fact.account, event.fact.instrument, "dividend")
        self._enter(shelf, cash.book(event, shelf.holdings, shelf.margined)[1])

    def _enter(self, shelf: Shelf, entries: Iterable[CashEntry]) -> None:
        for number, entry in enumerate(entries):
            purse = self.purse(shelf.name, entry.account, entry.currency, entry.seq, entry.ts_event)
            purse.tally(entry.reason, entry.amount)
            self.changes.cash.append(Paid(shelf.name, number, entry, purse.balance))

    def _open(self, shelf: Shelf, event: Event, fact: RunOpened) -> None:
        for name, info in known(fact.instruments).items():
            if name not in shelf.infos:
                self.learn(shelf, name, info, event.seq)
        found = self.changes.findings
        for dataset in fact.datasets:
            found += [(event.stream, dataset.name, one, event.seq) for one in dataset.findings]

    def _close(self, event: Event, fact: RunClosed) -> None:
        run = self.runs.get(event.stream)
        if run is not None:
            run.status, run.closed_seq = fact.status, event.seq
            self._touch(run, self.changes.runs)

    def begin_run(self, entry: Entry, event: Event) -> None:
        """Begin a run with its first event, before it is noted."""
        fact = event.fact
        if entry.version == 1 and isinstance(fact, RunOpened):
            what = (fact.strategy, fact.mode, fact.code_hash)
            params = msgspec.json.encode(fact.params).decode()
            opened = (entry.seq, event.ts_event)
            self.runs[entry.stream] = Run(entry.stream, entry.book, *what, params, *opened)

    def learn(self, shelf: Shelf, instrument: str, info: InstrumentInfo, seq: int) -> None:
        """Learn of an instrument from the event at `seq`."""
        shelf.know(instrument, info)
        self.changes.instruments.append((shelf.name, instrument, info, seq))

    def _begin(self, shelf: Shelf, event: Event, fact: OrderFilled) -> Line:
        info = shelf.infos.get(fact.instrument)
        if info is None:
            info = InstrumentInfo(ONE, fact.currency)
            self.learn(shelf, fact.instrument, info, event.seq)
        line = Line(shelf.name, fact.account, fact.instrument, info, [], [])
        shelf.lines[fact.account, fact.instrument] = line
        return line

    def _slot(
        self, shelf: Shelf, line: Line, key: Key, fact: OrderFilled, old: Slot | None
    ) -> Slot:
        notes = Notes(fact.currency, {}, None)
        if old is None:
            info = line.info
            old = Slot(self.next_id, shelf.name, key, info.multiplier, info.margined, notes)
            self.next_id += 1
            self.changes.keys.append(old)
        elif old.notes.currency != fact.currency:
            self.changes.keys.append(old)
        old.notes = notes
        shelf.slots[key] = old
        line.slots.append(old)
        return old

    def _order(self, shelf: Shelf, event: Event, fact: OrderFact) -> None:
        orders = shelf.orders
        begins = isinstance(fact, OrderInitialized)
        order = orders.begin(event, fact) if begins else orders.take(event, fact)
        self.changes.orders[shelf.name, order.client_order_id] = order
        for odd in order.oddities:
            if odd.seq == event.seq:
                self.changes.findings.append((event.stream, "", odd.why, odd.seq))

    def move(
        self,
        slot: Slot,
        event: Event,
        what: str,
        moved: tuple[Decimal | None, Decimal | None],
        after: Holding,
    ) -> None:
        """Note a position's state after an event; `moved` is by how much and at what price."""
        ts = event.ts_event
        late = ts < slot.ts or what == "void"
        slot.ts = max(slot.ts, ts)
        paid = slot.notes.commission.get(slot.notes.currency, ZERO)
        self._touch(slot, self.changes.slots)
        self.changes.history.append(
            Moved(slot, event.seq, ts, late, what, *moved, after, paid, slot.last_price)
        )

    def act(
        self,
        shelf: Shelf,
        event: Event,
        account: str,
        instrument: str,
        kind: str,
        fill_seq: int | None = None,
    ) -> None:
        """Note an event that a refold of the instrument has to fetch."""
        line = shelf.lines.get((account, instrument))
        if line is not None and line.seqs is not None and fill_seq is None:
            line.seqs.append(event.seq)
        row = (shelf.name, account, instrument, event.seq, event.ts_event, kind, fill_seq)
        self.changes.actions.append(row)

    def purse(self, book: str, account: str, currency: str, seq: int, ts: int) -> Purse:
        """Return the totals of an account that an event moves."""
        purses = self.shelves[book].purses
        purse = purses.get((account, currency))
        if purse is None:
            purse = purses[account, currency] = Purse(book, account, currency)
        if seq > purse.seq:
            purse.seq, purse.ts = seq, ts
        if not purse.moved:
            purse.moved = True
            self._purses.append(purse)
        return purse

    def touch_line(self, line: Line, event: Event) -> None:
        """Note that an event moved what an account holds in an instrument."""
        line.seq, line.ts = event.seq, event.ts_event
        if not line.moved:
            line.moved = True
            self._lines.append(line)

    @staticmethod
    def _touch[T: (Slot, Line, Purse, Run)](one: T, into: list[T]) -> None:
        if not one.dirty:
            one.dirty = True
            into.append(one)
