"""Carried: what an account holds, owes and has working once a session's events are folded.

The books, which answer to people, fold the same facts; a session needs no database for this, as
each begins with what it took over from the one before.

Units    positions signed, cost in quote currency (average cost), cash as the books count it: a
         purchase lowers it by price x quantity x multiplier, and by the commission.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from onetape.risk.exposure import Exposure
from onetape.tape import kinds
from onetape.tape.event import Event
from onetape.tape.kinds_live import AccountCarried

ZERO = Decimal(0)
DAY = 86_400_000_000_000
CORRECTED = "-C"  # between a trade's id and when it was corrected
REMEMBERED = 100_000  # trades, so that one can be taken back
ENDED = (kinds.OrderCanceled, kinds.OrderExpired, kinds.OrderRejected, kinds.OrderDenied)


class Working(msgspec.Struct):
    """An order that is not known to have ended."""

    order: kinds.OrderInitialized
    quantity: Decimal
    filled: Decimal = ZERO
    accepted: bool = False  # the venue has said that it has it
    venue_order_id: str = ""


class Stake(msgspec.Struct):
    """What one strategy holds of one instrument."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO

    def book(self, quantity: Decimal, value: Decimal) -> None:
        """Book a fill of signed `quantity`; `value` is price x multiplier."""
        held = self.quantity
        if held * quantity >= 0:
            self.cost += quantity * value
        elif abs(quantity) > abs(held):  # through zero: the rest opens at this price
            self.realized += held * value - self.cost
            self.cost = (quantity + held) * value
        else:
            part = self.cost * -quantity / held
            self.realized += -quantity * value - part
            self.cost -= part
        self.quantity += quantity


class Day(NamedTuple):
    """What a strategy's latest UTC day brought, in one currency."""

    day: int
    profit: Decimal = ZERO  # realized, after commission
    traded: Decimal = ZERO


def _json(order: kinds.OrderInitialized) -> str:
    return msgspec.json.encode(order, order="deterministic").decode()


class Carried:
    """The fold; `take` books one event of the account's."""

    def __init__(self, multipliers: Mapping[str, Decimal]) -> None:
        self.cash: dict[str, Decimal] = {}
        self.stakes: dict[tuple[str, str], Stake] = {}  # (instrument, strategy)
        self.working: dict[str, Working] = {}
        self.trades: dict[str, kinds.OrderFilled] = {}
        self.whose: dict[str, str] = {}  # the strategy of orders that traded
        self._corrected: dict[str, str] = {}  # a trade's id at its venue: what it is called now
        self.over: dict[str, type] = {}  # how orders ended that did not fill
        self.first = 0  # ns UTC of the first event
        self.today: dict[tuple[str, str], Day] = {}  # (strategy, currency)
        self._multipliers = multipliers

    @classmethod
    def of(cls, events: Iterable[Event], multipliers: Mapping[str, Decimal]) -> Carried:
        """Return the fold of a session's events."""
        made = cls(multipliers)
        for event in events:
            made.first = made.first or event.ts_event
            made.take(event.fact, event.ts_event)
        return made

    def take(self, fact: object, ts: int = 0) -> None:
        """Book a fact; what is not about the account is passed over."""
        match fact:
            case kinds.CashDeposited():
                self._pay(fact.currency, -fact.amount)
            case AccountCarried():
                self._carried(fact)
            case kinds.OrderInitialized():
                self.working[fact.client_order_id] = Working(fact, fact.quantity)
            case kinds.OrderAccepted() if fact.client_order_id in self.working:
                known = self.working[fact.client_order_id]
                known.accepted, known.venue_order_id = True, fact.venue_order_id
            case kinds.OrderUpdated() if fact.client_order_id in self.working:
                self.working[fact.client_order_id].quantity = fact.quantity
            case kinds.OrderFilled():
                self.fill(fact, ts=ts)
            case kinds.OrderVoided():
                self._void(fact)
            case kinds.OrderFact() if isinstance(fact, ENDED):
                self.working.pop(fact.client_order_id, None)
                self.over[fact.client_order_id] = type(fact)
                self.whose.setdefault(fact.client_order_id, fact.strategy)  # fills may come late
                while len(self.over) > REMEMBERED:
                    del self.over[next(iter(self.over))]
            case _:
                pass

    def fill(self, fact: kinds.OrderFilled, sign: int = 1, ts: int = 0) -> None:
        """Book a fill, or take it back with `sign` -1."""
        if sign > 0:
            self.trades[fact.trade_id] = fact
            base = fact.trade_id.rpartition(CORRECTED)[0]
            if base in self._corrected:
                self._corrected[base] = fact.trade_id
            self.whose[fact.client_order_id] = fact.strategy
            while len(self.trades) > REMEMBERED:
                del self.trades[next(iter(self.trades))]
            while len(self.whose) > REMEMBERED:
                del self.whose[next(iter(self.whose))]
        size = (fact.quantity if fact.side == "BUY" else -fact.quantity) * sign
        value = fact.price * self._multipliers.get(fact.instrument, Decimal(1))
        stake = self.stake(fact.instrument, fact.strategy)
        before = stake.realized
        stake.book(size, value)
        self._count(fact, stake.realized - before, abs(size * value), ts)
        self._pay(fact.currency, size * value)
        self._pay(fact.commission_currency, fact.commission * sign)
        known = self.working.get(fact.client_order_id)
        if known is not None:
            known.accepted = True
            known.filled += fact.quantity * sign
            if known.filled >= known.quantity:
                del self.working[fact.client_order_id]

    def knows(self, client_order_id: str) -> bool:
        """Say whether the beginning of an order was seen."""
        name = client_order_id
        return name in self.working or name in self.whose or name in self.over

    def called(self, trade_id: str) -> str:
        """Return what the execution `trade_id` of the venue is called here: a corrected one has
        another id."""
        return self._corrected.get(trade_id, trade_id)

    def stake(self, instrument: str, strategy: str) -> Stake:
        """Return what a strategy holds of an instrument."""
        return self.stakes.setdefault((instrument, strategy), Stake())

    def held(self, instrument: str) -> Decimal:
        """Return what all strategies hold together."""
        mine = (s.quantity for (name, _), s in self.stakes.items() if name == instrument)
        return sum(mine, ZERO)

    def seed(self, exposure: Exposure) -> None:
        """Have a session's own sizing begin with what there is."""
        for currency, amount in self.cash.items():
            exposure.deposit(currency, amount)
        for (instrument, strategy), stake in self.stakes.items():
            if stake.quantity:
                exposure.held[strategy, instrument] = stake.quantity

    def carry(self, account: str, venue: str, session: str) -> AccountCarried:
        """Return what the next session takes over."""
        held = sorted((*key, s.quantity, s.cost) for key, s in self.stakes.items() if s.quantity)
        left = [
            msgspec.structs.replace(one.order, quantity=one.quantity - one.filled)
            for one in self.working.values()
        ]
        terms = tuple(map(_json, left))
        today = tuple(
            (who, currency, one.day, one.profit, one.traded)
            for (who, currency), one in sorted(self.today.items())
        )
        return AccountCarried(
            account, venue, session, tuple(sorted(self.cash.items())), tuple(held),
            tuple(self.working), terms, today,
        )  # fmt: skip

    def _count(self, fact: kinds.OrderFilled, gained: Decimal, traded: Decimal, ts: int) -> None:
        key, day = (fact.strategy, fact.currency), ts // DAY
        known = self.today.get(key, Day(day))
        if day > known.day:
            known = Day(day)
        if fact.commission_currency == fact.currency:
            gained -= fact.commission
        self.today[key] = Day(known.day, known.profit + gained, known.traded + traded)

    def follow(self, before: Carried) -> None:
        """Know the orders and executions that another fold knows, but count nothing of them."""
        for name, known in before.working.items():
            self.working.setdefault(name, msgspec.structs.replace(known))  # both go on counting
        self.trades.update(before.trades)
        self._corrected.update(before._corrected)
        self.whose.update(before.whose)
        self.over.update(before.over)

    def _carried(self, fact: AccountCarried) -> None:
        self.cash, self.stakes = dict(fact.cash), {}
        self.working = {k: v for k, v in self.working.items() if k in fact.orders}
        for instrument, strategy, quantity, cost in fact.positions:
            self.stakes[instrument, strategy] = Stake(quantity, cost)
        self.today = {(t[0], t[1]): Day(t[2], t[3], t[4]) for t in fact.today}

    def _void(self, fact: kinds.OrderVoided) -> None:
        taken = self.trades.pop(fact.trade_id, None)
        if taken is not None:
            self.fill(taken, -1)
            self._corrected[fact.trade_id] = fact.trade_id

    def _pay(self, currency: str, amount: Decimal) -> None:
        self.cash[currency] = self.cash.get(currency, ZERO) - amount
