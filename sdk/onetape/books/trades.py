"""Trades: round trips from an entry to its exit, folded from fills.

"flat"   one trade from flat to flat, however many fills; a fill that crosses zero ends one
         trade and begins the next, its commission shared by quantity.
"fifo"   one trade for each piece of an opening fill that a closing fill takes, oldest first.
Units    quantities and prices in the units of the trade's last moment: a split in between
         rescales what came before it, so that entry and exit prices compare.
Profit   gross is money, multiplier included, dividends excluded; net = gross - commission.
         Commission in another currency is listed in `commissions` and not part of net.
Open     a trade that has not ended has no exit time; its gross is what it realized so far.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from onetape.books.exact import EXACT, ONE, ZERO, exactly, share
from onetape.books.positions import Key, signed
from onetape.books.standing import standing
from onetape.errors import SettingsError
from onetape.tape.event import Event
from onetape.tape.kinds import OrderFilled, SplitApplied

TradeMethod = Literal["flat", "fifo"]


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One round trip, or the open beginning of one."""

    account: str
    instrument: str
    strategy: str
    side: Literal["LONG", "SHORT"]
    currency: str
    quantity: Decimal  # the most that was held
    entry_ts: int
    exit_ts: int | None
    entry_price: Decimal
    exit_price: Decimal | None  # of what was closed so far
    entry_value: Decimal  # money, unsigned
    gross: Decimal
    commission: Decimal  # in `currency`
    commissions: dict[str, Decimal]
    entry_seqs: tuple[int, ...]
    exit_seqs: tuple[int, ...]

    @property
    def is_open(self) -> bool:
        return self.exit_ts is None

    @property
    def net(self) -> Decimal:
        return EXACT.subtract(self.gross, self.commission)

    @property
    def return_fraction(self) -> float:
        """Net profit over the money that entered."""
        return float(self.net / self.entry_value) if self.entry_value else 0.0

    @property
    def duration(self) -> int | None:
        """Nanoseconds from the first entry to the last exit; None while open."""
        return None if self.exit_ts is None else self.exit_ts - self.entry_ts


class Leg(msgspec.Struct, gc=False):
    """One side of a running trade."""

    seqs: list[int] = []
    quantity: Decimal = ZERO
    value: Decimal = ZERO

    def add(self, seq: int, quantity: Decimal, value: Decimal) -> None:
        self.seqs.append(seq)
        self.quantity += quantity
        self.value += value


class Running(msgspec.Struct, gc=False):
    """A trade while it runs; quantities unsigned, `sign` +1 long and -1 short."""

    key: Key
    currency: str
    multiplier: Decimal
    sign: int
    entry_ts: int
    entry: Leg
    exit: Leg
    fees: dict[str, Decimal]
    held: Decimal = ZERO
    cost: Decimal = ZERO
    most: Decimal = ZERO
    gross: Decimal = ZERO

    def enter(self, seq: int, quantity: Decimal, value: Decimal) -> None:
        self.entry.add(seq, quantity, value)
        self.held += quantity
        self.cost += value
        self.most = max(self.most, self.held)

    def leave(self, seq: int, quantity: Decimal, value: Decimal) -> None:
        self.exit.add(seq, quantity, value)
        released = share(self.cost, quantity, self.held)
        self.held -= quantity
        self.cost -= released
        self.gross += self.sign * (value - released)

    def pay(self, currency: str, amount: Decimal) -> None:
        if amount:
            self.fees[currency] = self.fees.get(currency, ZERO) + amount

    def split(self, ratio: Decimal) -> None:
        self.held *= ratio
        self.most *= ratio
        self.entry.quantity *= ratio
        self.exit.quantity *= ratio

    def piece(self, quantity: Decimal) -> Running:
        """Take `quantity` of an untouched entry away, with its share of cost and fees."""
        cost = share(self.cost, quantity, self.held)
        part = msgspec.structs.replace(
            self, entry=Leg(list(self.entry.seqs), quantity, cost), exit=Leg(), fees={}
        )
        for currency, fee in self.fees.items():
            part.fees[currency] = share(fee, quantity, self.held)
            self.fees[currency] = fee - part.fees[currency]
        part.held, part.cost, part.most = quantity, cost, quantity
        self.held -= quantity
        self.cost -= cost
        self.most = self.held
        self.entry.quantity, self.entry.value = self.held, self.cost
        return part

    def trade(self, exit_ts: int | None) -> Trade:
        return Trade(
            *self.key,
            "LONG" if self.sign > 0 else "SHORT",
            self.currency,
            self.most,
            self.entry_ts,
            exit_ts,
            self.entry.value / (self.entry.quantity * self.multiplier),
            self.exit.value / (self.exit.quantity * self.multiplier)
            if self.exit.quantity
            else None,
            abs(self.entry.value),
            self.gross,
            self.fees.get(self.currency, ZERO),
            self.fees,
            tuple(self.entry.seqs),
            tuple(self.exit.seqs),
        )


class Blotter:
    """The running trades of every key, oldest first, and those that ended: fills in, trades out."""

    def __init__(self, method: TradeMethod, multipliers: Mapping[str, Decimal]) -> None:
        self.method = method
        self.multipliers = multipliers
        self.running: dict[Key, deque[Running]] = {}
        self.ended: list[Trade] = []
        self._keys: dict[tuple[str, str], list[Key]] = {}

    def fill(self, event: Event, fill: OrderFilled) -> None:
        key = Key(fill.account, fill.instrument, fill.strategy)
        running = self.running.get(key)
        if running is None:
            running = self.place(key, ())
        unit = fill.price * self.multipliers.get(fill.instrument, ONE)
        sign = 1 if signed(fill) > 0 else -1
        left, fee = fill.quantity, fill.commission
        while left and running and running[0].sign != sign:
            first = running[0]
            taken = min(left, first.held)
            paid = share(fee, taken, left)
            left, fee = left - taken, fee - paid
            self._leave(event, running, taken, taken * unit, (fill.commission_currency, paid))
        if left:
            if not running or self.method == "fifo":
                running.append(self._begin(event, key, fill, sign))
            running[-1].enter(event.seq, left, left * unit)
            running[-1].pay(fill.commission_currency, fee)

    def _leave(
        self,
        event: Event,
        running: deque[Running],
        quantity: Decimal,
        value: Decimal,
        fee: tuple[str, Decimal],
    ) -> None:
        first = running[0]
        whole = quantity == first.held
        if self.method == "fifo" and not whole:
            first = first.piece(quantity)
        first.leave(event.seq, quantity, value)
        first.pay(*fee)
        if whole:
            running.popleft()
        if not first.held:
            self.ended.append(first.trade(event.ts_event))

    def _begin(self, event: Event, key: Key, fill: OrderFilled, sign: int) -> Running:
        multiplier = self.multipliers.get(key.instrument, ONE)
        legs = Leg(), Leg()
        return Running(key, fill.currency, multiplier, sign, event.ts_event, *legs, {})

    def split(self, fact: SplitApplied) -> None:
        for key in self._keys.get((fact.account, fact.instrument), ()):
            for trade in self.running[key]:
                trade.split(fact.ratio)

    def place(self, key: Key, running: Iterable[Running]) -> deque[Running]:
        """Take over what runs of a key, instead of what stands here."""
        if key not in self.running:
            self._keys.setdefault((key.account, key.instrument), []).append(key)
        placed = self.running[key] = deque(running)
        return placed

    def forget(self, account: str, instrument: str) -> None:
        """Let go of the trades of an account in an instrument: they can be placed again."""
        for key in self._keys.pop((account, instrument), ()):
            del self.running[key]


@exactly
def trades(
    events: Iterable[Event],
    method: TradeMethod = "flat",
    multipliers: Mapping[str, Decimal] | None = None,
) -> list[Trade]:
    """Return the trades in the order in which they ended, then those still open."""
    if method not in ("flat", "fifo"):
        raise SettingsError(f"trade method {method!r}; expected flat or fifo")
    blotter = Blotter(method, multipliers or {})
    for event in standing(events):
        fact = event.fact
        if isinstance(fact, OrderFilled):
            blotter.fill(event, fact)
        elif isinstance(fact, SplitApplied):
            blotter.split(fact)
    still = [one.trade(None) for line in blotter.running.values() for one in line]
    return blotter.ended + sorted(still, key=lambda trade: trade.entry_seqs)
