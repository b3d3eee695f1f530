"""Orders of two runs side by side: what each wanted and did, and which order answers to which.

An order is what became of one intent: its terms, its fills that stand, its refusal. A refusal that
made no order (a limit said no before) counts as one that was denied. Amounts are exact; quantities
are signed and in the units of the last moment, as a split rescales what came before it.

Pairs    of the same strategy and instrument. First those of the same side that the same row led
         to, in their order; then, between these, what is left of the same side, in its order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

import msgspec

from onetape.books.cash import ledger
from onetape.books.exact import EXACT, ONE, TINY, ZERO, exactly
from onetape.books.positions import signed
from onetape.books.standing import standing
from onetape.tape.event import Event
from onetape.tape.kinds import (
    DecisionMade,
    OrderDenied,
    OrderFact,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
    OrderUpdated,
    RiskDenied,
    SplitApplied,
)
from onetape.tape.kinds_live import RiskDecided
from onetape.tape.recording import Recording

Told = tuple[str, str, Decimal | None, Decimal | None]  # kind, side, quantity, price


class Done(msgspec.Struct):
    """One order, and what came of it."""

    seq: int
    strategy: str
    instrument: str
    side: str
    decided: int  # the time of the row that led to it
    wanted: Decimal | None = None
    price: Decimal | None = None
    refused: str = ""
    quantity: Decimal = ZERO  # filled, signed
    value: Decimal = ZERO  # signed quantity x price
    fees: dict[str, Decimal] = {}  # by currency
    filled: tuple[int, ...] = ()  # when, or by which quote
    paid: tuple[tuple[Decimal, Decimal], ...] = ()  # quantity and price of each fill

    @property
    def label(self) -> str:
        wanted = f" {self.wanted}" if self.wanted is not None else ""
        return f"{self.side.lower() or 'order'}{wanted}"


class Story(msgspec.Struct):
    """A run's orders, dividends and the last price that it paid for each instrument."""

    orders: list[Done]
    dividends: dict[str, Decimal]  # by currency
    last: dict[str, tuple[int, Decimal]]
    currencies: dict[str, str]  # of instruments, as their fills say


@exactly
def story(recording: Recording, margined: Collection[str], sizes: Mapping[str, Decimal]) -> Story:
    """Return what a run did; `margined` and `sizes` are what cash needs to know."""
    told = _Told(recording, _ratios(recording))
    for event in standing(recording):
        told.take(event)
    paid: dict[str, Decimal] = {}
    for entry in ledger(recording, margined, dict(sizes)):
        if entry.reason == "dividend":
            paid[entry.currency] = paid.get(entry.currency, ZERO) + entry.amount
    return Story(told.orders, paid, told.last, told.currencies)


def _ratios(events: Iterable[Event]) -> dict[tuple[str, str], list[tuple[int, Decimal]]]:
    found: dict[tuple[str, str], list[tuple[int, Decimal]]] = defaultdict(list)
    for event in events:
        if isinstance(fact := event.fact, SplitApplied):
            found[fact.account, fact.instrument].append((event.seq, fact.ratio))
    return found


class _Told:
    """The orders while the events of a run pass."""

    def __init__(
        self,
        recording: Recording,
        ratios: Mapping[tuple[str, str], list[tuple[int, Decimal]]],
    ) -> None:
        self._recording, self._ratios = recording, ratios
        self._of: dict[str, Done] = {}
        self.orders: list[Done] = []
        self.last: dict[str, tuple[int, Decimal]] = {}
        self.currencies: dict[str, str] = {}

    def take(self, event: Event) -> None:
        fact = event.fact
        if isinstance(fact, OrderInitialized):
            one = self._order(event, fact)
            one.side, one.wanted, one.price = fact.side, fact.quantity, fact.price
        elif isinstance(fact, OrderFilled):
            self._fill(event, fact)
        elif isinstance(fact, OrderDenied | OrderRejected):
            self._order(event, fact).refused = fact.reason or "refused"
        elif isinstance(fact, OrderUpdated):
            one = self._order(event, fact)
            one.wanted, one.price = fact.quantity, fact.price or one.price
        elif isinstance(fact, RiskDenied):
            one = self._new(event, fact.strategy, fact.instrument, fact.side)
            one.wanted, one.refused = fact.quantity, f"limit {fact.limit}"
        elif isinstance(fact, RiskDecided) and fact.intent in ("submit", "list"):
            self._judged(event, fact)

    def _judged(self, event: Event, fact: RiskDecided) -> None:
        if fact.verdict == "allow" or fact.client_order_id in self._of:
            return
        one = self._new(event, fact.strategy, fact.instrument, fact.side)
        one.wanted, one.price = fact.quantity, fact.price
        one.refused = f"{fact.code or fact.verdict} {fact.detail or fact.limit}".strip()
        self._of[fact.client_order_id] = one

    def _order(self, event: Event, fact: OrderFact) -> Done:
        found = self._of.get(fact.client_order_id)
        if found is None:
            found = self._new(event, fact.strategy, fact.instrument, "")
            self._of[fact.client_order_id] = found
        return found

    def _new(self, event: Event, strategy: str, instrument: str, side: str) -> Done:
        made = Done(event.seq, strategy, instrument, side, self._decided(event))
        self.orders.append(made)
        return made

    def _decided(self, event: Event) -> int:
        """Return the time of the row that led to an event: of its decision, else its own."""
        for one in self._recording.causes(event.seq):
            if isinstance(one.fact, DecisionMade):
                return _quoted(one)
        return event.ts_event

    def _fill(self, event: Event, fill: OrderFilled) -> None:
        one = self._order(event, fill)
        one.side = one.side or fill.side
        ratio = ONE
        for seq, each in self._ratios.get((fill.account, fill.instrument), ()):
            ratio *= each if seq > event.seq else ONE
        one.quantity += signed(fill) * ratio
        one.value += signed(fill) * fill.price
        currency = fill.commission_currency
        one.fees[currency] = one.fees.get(currency, ZERO) + fill.commission
        one.filled = (*one.filled, _quoted(event))
        one.paid = (*one.paid, (fill.quantity, fill.price))
        price = fill.price if ratio == ONE else EXACT.quantize(fill.price / ratio, TINY)
        self.last[fill.instrument] = (event.ts_event, price)
        self.currencies.setdefault(fill.instrument, fill.currency)


def _quoted(event: Event) -> int:
    """Return the time of the row that an event rests on, where it says, else its own."""
    return event.lineage.ts if event.lineage is not None else event.ts_event


Pair = tuple[Done | None, Done | None]


def pairs(left: Iterable[Done], right: Iterable[Done], tolerance: int = 0) -> list[Pair]:
    """Return which orders answer to one another; None where none does, in the order of time."""
    mine, theirs = _sorted(left), _sorted(right)
    if len(strategies := {key[0] for key in mine}) == len({key[0] for key in theirs}) == 1:
        alias = strategies.pop()  # one each: the same one under whatever name
        theirs = {(alias, name): some for (_, name), some in theirs.items()}
    found: list[Pair] = []
    for key in sorted(mine.keys() | theirs.keys()):
        found += _aligned(mine.get(key, []), theirs.get(key, []), tolerance)
    return sorted(found, key=_when)


def _sorted(orders: Iterable[Done]) -> dict[tuple[str, str], list[Done]]:
    found: dict[tuple[str, str], list[Done]] = defaultdict(list)
    for one in sorted(orders, key=lambda one: (one.decided, one.seq)):
        found[one.strategy, one.instrument].append(one)
    return found


def _when(pair: Pair) -> tuple[int, int]:
    one = pair[0] or pair[1]
    assert one is not None
    return one.decided, one.seq


def _aligned(left: list[Done], right: list[Done], tolerance: int) -> list[Pair]:
    found: list[Pair] = []
    a = b = 0
    for x, y in _anchors(left, right, tolerance):
        found += _between(left[a:x], right[b:y])
        found.append((left[x], right[y]))
        a, b = x + 1, y + 1
    return found + _between(left[a:], right[b:])


def _anchors(left: list[Done], right: list[Done], tolerance: int) -> list[tuple[int, int]]:
    """Return places of orders that the same row led to, rising in both lists."""
    found: list[tuple[int, int]] = []
    start = 0
    for x, one in enumerate(left):
        for y in range(start, len(right)):
            apart = right[y].decided - one.decided
            if apart > tolerance:
                break
            if apart < -tolerance:
                start = y + 1 if y == start else start
                continue
            if right[y].side == one.side:
                found.append((x, y))
                start = y + 1
                break
    return found


def _between(left: list[Done], right: list[Done]) -> list[Pair]:
    found: list[Pair] = []
    start = 0
    for one in left:
        same = (y for y in range(start, len(right)) if right[y].side == one.side)
        at = next(same, None)
        if at is None:
            found.append((one, None))
            continue
        found += [(None, skipped) for skipped in right[start:at]]
        found.append((one, right[at]))
        start = at + 1
    return found + [(None, skipped) for skipped in right[start:]]


def sequence(recording: Recording) -> list[Told]:
    """Return kind, side, quantity and price of every event of orders, in the order of the tape.

    Quantity and price are those that the event says itself; None where it says none.
    """
    sides: dict[str, str] = {}
    told: list[Told] = []
    for event in recording:
        fact = event.fact
        if not isinstance(fact, OrderFact):
            continue
        side = getattr(fact, "side", None) or sides.get(fact.client_order_id, "")
        sides[fact.client_order_id] = side
        quantity, price = getattr(fact, "quantity", None), getattr(fact, "price", None)
        told.append((event.kind, side, quantity, price))
    return told
