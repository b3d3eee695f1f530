"""A plain reference: what stood at an instant, by loops that share nothing with the books.

Every figure is a Decimal, rounded to 1e-18 at the end, and where a cost is shared out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

from onetape.tape import kinds
from onetape.tape.event import Event

TINY = Decimal("1e-18")
FIGURES = ("quantity", "cost", "realized", "commission")


def counted(events: Iterable[Event], true_at: int, known_at: int) -> list[Event]:
    """The events that count, without fills that were taken back or replaced, and without voids."""
    some = [e for e in events if e.ts_event <= true_at and e.seq <= known_at]
    stands: dict[Any, int] = {}
    fills: set[int] = set()
    for e in some:
        if isinstance(e.fact, kinds.OrderFilled):
            stands[e.fact.client_order_id, e.fact.trade_id] = e.seq
            fills.add(e.seq)
        elif isinstance(e.fact, kinds.OrderVoided):
            stands.pop((e.fact.client_order_id, e.fact.trade_id), None)
    gone = fills - set(stands.values())
    return [e for e in some if e.seq not in gone and not isinstance(e.fact, kinds.OrderVoided)]


class Answer:
    """Positions by (account, instrument, strategy), cash and dividends by (account, currency)."""

    def __init__(self, events: Iterable[Event], true_at: int, known_at: int) -> None:
        with localcontext() as context:
            context.prec, context.rounding = 60, ROUND_HALF_EVEN
            self.held: dict[Any, dict[str, Decimal]] = {}
            self.cash: dict[Any, Decimal] = defaultdict(Decimal)
            self.dividends: dict[Any, Decimal] = defaultdict(Decimal)
            self.price: dict[Any, Decimal] = {}
            for event in counted(events, true_at, known_at):
                self._book(event.fact)
            self.exposure = self._exposure()

    def _book(self, fact: Any) -> None:
        if isinstance(fact, kinds.CashDeposited):
            self.cash[fact.account, fact.currency] += fact.amount
        elif isinstance(fact, kinds.SplitApplied):
            pair = (fact.account, fact.instrument)
            for key, held in self.held.items():
                if key[:2] == pair:
                    held["quantity"] *= fact.ratio
            if pair in self.price:
                self.price[pair] /= fact.ratio
        elif isinstance(fact, kinds.DividendPaid):
            pair = (fact.account, fact.instrument)
            shares = sum((h["quantity"] for k, h in self.held.items() if k[:2] == pair), Decimal(0))
            self.cash[fact.account, fact.currency] += shares * fact.amount
            self.dividends[fact.account, fact.currency] += shares * fact.amount
        elif isinstance(fact, kinds.OrderFilled):
            self._fill(fact)

    def _fill(self, fact: kinds.OrderFilled) -> None:
        key = (fact.account, fact.instrument, fact.strategy)
        held = self.held.setdefault(
            key, dict.fromkeys(("quantity", "cost", "realized", "commission"), Decimal(0))
        )
        self.price[key[:2]] = fact.price
        change = fact.quantity if fact.side == "BUY" else -fact.quantity
        self.cash[fact.account, fact.currency] -= change * fact.price
        self.cash[fact.account, fact.commission_currency] -= fact.commission
        if fact.commission_currency == fact.currency:
            held["commission"] += fact.commission
        closing = Decimal(0)
        if held["quantity"] * change < 0:
            closing = min(abs(held["quantity"]), abs(change))
        if closing:
            sign = 1 if change > 0 else -1
            whole = closing == abs(held["quantity"])
            part = (
                held["cost"]
                if whole
                else (held["cost"] * closing / abs(held["quantity"])).quantize(TINY)
            )
            held["realized"] += -sign * closing * fact.price - part
            held["cost"] -= part
            held["quantity"] += sign * closing
            change -= sign * closing
        held["quantity"] += change
        held["cost"] += change * fact.price

    def _exposure(self) -> dict[Any, tuple[Decimal, ...]]:
        found = {}
        for pair, price in self.price.items():
            some = [held for key, held in self.held.items() if key[:2] == pair]
            quantity = sum((one["quantity"] for one in some), Decimal(0))
            cost = sum((one["cost"] for one in some), Decimal(0))
            if quantity:
                worth = quantity * price
                found[pair] = (
                    quantity,
                    price.quantize(TINY),
                    worth.quantize(TINY),
                    (worth - cost).quantize(TINY),
                )
        return found
