"""Random histories, drawn by Hypothesis: late events, voids, corrections, splits, dividends.

A history is valid as a whole: executions are sent once, voids name what stands. Its times are
drawn apart from its order, so that events come late, and voids may be stamped after others.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from onetape.tape import kinds
from onetape.tape.event import Event

ACCOUNTS, INSTRUMENTS, STRATEGIES = ("A", "B"), ("GOOG", "ES"), ("S", "T")
D = Decimal

WHAT = (*["fill"] * 4, "more", "void", "correct", "cancel", "split", "dividend", "deposit", "order")

amounts = st.integers(1, 40).map(lambda n: D(n) / 4)
prices = st.integers(1, 400).map(lambda n: D(n) / 10)
ratios = st.sampled_from([D(2), D(3), D("0.5"), D("1.5")])
steps = st.tuples(
    st.sampled_from(
        [
            "fill",
            "fill",
            "fill",
            "fill",
            "more",
            "void",
            "correct",
            "cancel",
            "split",
            "dividend",
            "deposit",
            "order",
            "stray",
            "orphan",
        ]
    ),
    st.integers(0, 60),  # ts_event
    st.sampled_from(ACCOUNTS),
    st.sampled_from(INSTRUMENTS),
    st.sampled_from(STRATEGIES),
    st.sampled_from(["BUY", "SELL"]),
    amounts,
    prices,
    ratios,
    st.integers(0, 10**6),  # which of those that can be chosen
    st.sampled_from(["USD", "USD", "USD", "BNB"]),
)
histories = st.lists(steps, min_size=3, max_size=30)


class History:
    """Turns drawn steps into the events of one stream."""

    def __init__(self, stream: str, steps: list[Any], rising: bool = False) -> None:
        self.stream = stream
        self.events: list[Event] = []
        self.working: list[kinds.OrderInitialized] = []
        self.standing: list[kinds.OrderFilled] = []
        self.accounts: dict[str, str] = {}
        self.executions = 0
        self.seen: list[int] = []
        self.ts = 0
        self.rising = rising
        for step in steps:
            if step[0] in ("stray", "orphan"):
                self.stray(step)
            else:
                self.take(step)

    def add(self, fact: kinds.AnyFact, ts: int) -> None:
        self.ts = max(ts, self.ts) if self.rising else ts
        self.events.append(Event(len(self.events) + 1, self.ts, self.ts, self.stream, fact))

    def take(self, step: Any) -> None:
        what, ts, account, instrument, strategy, side, size, price, ratio, which, fee = step
        if what == "deposit":
            self.add(kinds.CashDeposited(account, fee, size * 10), ts)
        elif what == "split":
            self.add(kinds.SplitApplied(account, instrument, ratio), ts)
        elif what == "dividend":
            self.add(kinds.DividendPaid(account, instrument, price / 10, "USD"), ts)
        elif what in ("order", "fill"):
            name = f"{self.stream}-{len(self.events)}"
            self.accounts[name] = account
            self.begin(name, instrument, strategy, side, size * 2, ts)
            if what == "fill":
                self.fill(self.working[-1], size, price, fee, which)
        elif what == "more" and self.working:
            order = self.working[which % len(self.working)]
            self.fill(order, size, price, fee, which, ts)
        elif what == "cancel" and self.working:
            order = self.working[which % len(self.working)]
            ids = (order.client_order_id, order.instrument, order.strategy)
            self.add(kinds.OrderCanceled(*ids), ts)
        elif what in ("void", "correct") and self.standing:
            fill = self.standing.pop(which % len(self.standing))
            ids = (fill.client_order_id, fill.instrument, fill.strategy, fill.trade_id)
            self.add(kinds.OrderVoided(*ids, reason="busted"), ts)
            if what == "correct":
                self.stand({**_fields(fill), "price": price, "quantity": size}, which % 60)

    def stray(self, step: Any) -> None:
        """Tell of an order that began elsewhere, now and then of one that began here."""
        what, ts, account, instrument, strategy, side, size, price, _, which, fee = step
        name = f"{self.stream}-{len(self.events)}"
        order = kinds.OrderInitialized(name, instrument, strategy, side, "LIMIT", size, "GTC")
        self.accounts[name] = account
        if what == "stray" and self.working and which % 2:
            order = self.working[which % len(self.working)]
        else:
            self.working.append(order)
        if what == "orphan":
            self.fill(order, size, price, fee, which)
            return
        ids = (order.client_order_id, order.instrument, order.strategy)
        told = (
            kinds.OrderAccepted(*ids, account, "V"), kinds.OrderUpdated(*ids, size, price), order,
            kinds.OrderExpired(*ids), kinds.OrderPendingCancel(*ids),
        )  # fmt: skip
        self.add(told[which % len(told)], ts)

    def begin(self, name: str, instrument: str, strategy: str, side: Any, size: D, ts: int) -> None:
        order = kinds.OrderInitialized(name, instrument, strategy, side, "MARKET", size, "GTC")
        self.working.append(order)
        self.add(order, ts)

    def fill(self, order: Any, size: D, price: D, fee: str, which: int, ts: int = -1) -> None:
        self.executions += 1
        fields = {
            "client_order_id": order.client_order_id,
            "instrument": order.instrument,
            "strategy": order.strategy,
            "account": self.accounts[order.client_order_id],
            "venue_order_id": f"V{order.client_order_id}",
            "trade_id": f"T{self.executions}",
            "side": order.side,
            "quantity": size,
            "price": price,
            "currency": "USD",
            "commission": D(which % 7) / 8,
            "commission_currency": fee,
            "liquidity": "TAKER",
        }
        self.stand(fields, which % 60 if ts < 0 else ts)

    def stand(self, fields: dict[str, Any], ts: int) -> None:
        fill = kinds.OrderFilled(**fields)
        self.standing.append(fill)
        self.add(fill, ts)


def _fields(fill: kinds.OrderFilled) -> dict[str, Any]:
    return {name: getattr(fill, name) for name in fill.__struct_fields__}
