"""A small trading room for the gate's tests: prices, instruments, full limits, intents, facts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from onetape.risk.checks import decide
from onetape.risk.intent import Decision, Intent, Reference
from onetape.risk.limitbook import LimitBook, book
from onetape.risk.state import InstrumentTerms, State
from onetape.tape import kinds

SECOND = 1_000_000_000
NOON = 1_767_787_200 * SECOND  # Wednesday 2026-01-07 12:00 UTC
A, B, FX = "AAA.XNAS", "BBB.XNAS", "EUR/USD.SIM"

FULL: dict[str, Any] = {
    "allow_instruments": ["*"], "allow_venues": ["*"], "allow_types": ["*"],
    "approved_algos": ["*"], "restricted": ["BAD.XNAS"], "shortable": ["*"],
    "reference_age_seconds": 2, "price_collar": "0.05", "trigger_collar": "0.2",
    "price_collar_away": "0.5", "price_drift": "0.10", "price_drift_seconds": 300,
    "max_order_notional": 100_000, "max_order_quantity": 1_000, "message_rate": 50,
    "message_burst": 100, "message_reserve": "0.2", "repeat_count": 20, "repeat_seconds": 60,
    "duplicate_seconds": "0.5", "self_match": True, "max_open_orders": 200,
    "max_position": 5_000, "late_fill_seconds": 2, "max_gross": 1_000_000,
    "max_net": 1_000_000, "max_daily_notional": 10_000_000, "max_cash_use": "0.9",
    "max_margin_use": "0.9", "reduce_only": True, "daily_loss_soft": 10_000,
    "daily_loss_hard": 20_000, "drawdown_soft": 50_000, "drawdown_hard": 100_000,
    "max_concentration": 1, "increments": True, "session_hours": True, "max_unacked": 5,
    "unacked_seconds": 5, "tagged": True, "deploy_instruments": ["*"], "deploy_venues": ["*"],
    "deploy_order_notional": 100_000, "deploy_position_notional": 1_000_000,
    "deploy_orders": 1_000, "deploy_open_orders": 300,
}  # fmt: skip


def exact(value: Any) -> Decimal:
    return Decimal(str(value))


def full(absent: str = "deny", scope: str = "firm", **changes: Any) -> LimitBook:
    """Return limits of every kind; a change to None takes one away."""
    told = {**FULL, **changes}
    rules = [(scope, name, value) for name, value in told.items() if value is not None]
    return book(rules, absent)  # type: ignore[arg-type]


def only(**rules: Any) -> LimitBook:
    """Return limits of which only these are tried."""
    return book([("firm", name, value) for name, value in rules.items()], "allow")


class Prices:
    """A market of fixed prices."""

    def __init__(self, **rates: Any) -> None:
        self.rates = {"USD": Decimal(1), **{c: exact(r) for c, r in rates.items()}}
        self.references: dict[str, Reference] = {}

    def quote(self, instrument: str, bid: Any, ask: Any, ts: int = NOON, **more: Any) -> Prices:
        bid, ask = exact(bid), exact(ask)
        found = Reference((bid + ask) / 2, "mid", ts, bid, ask, **more)
        self.references[instrument] = found
        return self

    def last(self, instrument: str, price: Any, ts: int = NOON) -> Prices:
        self.references[instrument] = Reference(exact(price), "last", ts)
        return self

    def reference(self, instrument: str) -> Reference | None:
        return self.references.get(instrument)

    def rate(self, currency: str) -> Decimal | None:
        return self.rates.get(currency)


def terms(id: str = A, **more: Any) -> InstrumentTerms:
    return InstrumentTerms(id, Decimal("0.01"), "USD", **more)


def intent(side: str = "BUY", quantity: Any = 10, price: Any = None, **more: Any) -> Intent:
    told: dict[str, Any] = {
        "kind": "submit", "client_order_id": "O-1", "account": "ACC", "strategy": "S",
        "instrument": A, "venue": "XNAS", "type": "MARKET" if price is None else "LIMIT",
        "ts": NOON, "trader": "ann",
    }  # fmt: skip
    told |= more
    for name in ("trigger_price",):
        if told.get(name) is not None:
            told[name] = exact(told[name])
    return Intent(
        side=side, quantity=exact(quantity), price=None if price is None else exact(price), **told
    )  # type: ignore[arg-type]


class Room:
    """A state, a market and limits together; `ask` decides, `send` counts what is allowed too."""

    def __init__(
        self, limits: LimitBook | None = None, kind: str = "margin", cash: Any = 1_000_000
    ) -> None:
        self.limits = limits or full()
        self.market = Prices().quote(A, "99.99", "100.01").quote(B, "49.99", "50.01")
        self.state = State("USD", self.limits)
        self.state.know(terms(A))
        self.state.know(terms(B))
        self.took = 0
        self.take(kinds.AccountOpened("ACC", kind, "USD", Decimal(2)))
        self.take(kinds.CashDeposited("ACC", "USD", exact(cash)))

    def take(self, *facts: kinds.Fact, ts: int = NOON) -> None:
        for fact in facts:
            self.state.take(fact, ts)

    def under(self, limits: LimitBook) -> Room:
        self.limits = limits
        self.state.under(limits)
        return self

    def ask(self, one: Intent, **more: Any) -> Decision:
        return decide(one, self.market, self.state, self.limits, **more)

    def send(self, one: Intent, accept: bool = True) -> Decision:
        """Decide, count what is allowed and have the venue accept it."""
        answer = self.ask(one)
        if answer.allowed:
            self.state.intend(one, answer)
            if accept and one.kind == "submit":
                self.take(accepted(one), ts=one.ts)
        return answer

    def hold(self, signed: Any, price: Any = 100, instrument: str = A, **more: Any) -> None:
        """Book a position."""
        self.took += 1
        self.take(fill(f"H-{self.took}", signed, price, instrument=instrument, **more))


def accepted(one: Intent) -> kinds.OrderAccepted:
    return kinds.OrderAccepted(
        one.client_order_id, one.instrument, one.strategy, one.account, "V-" + one.client_order_id
    )


def fill(
    order: str, signed: Any, price: Any = 100, trade: str = "", *, instrument: str = A,
    strategy: str = "S", account: str = "ACC",
) -> kinds.OrderFilled:  # fmt: skip
    size = exact(signed)
    return kinds.OrderFilled(
        order, instrument, strategy, account, "V-" + order, trade or "T-" + order,
        "BUY" if size > 0 else "SELL", abs(size), exact(price), "USD", Decimal(0), "USD", "TAKER",
    )  # fmt: skip


def ended(one: Intent, kind: type = kinds.OrderCanceled) -> kinds.Fact:
    more = ("why",) if kind in (kinds.OrderRejected, kinds.OrderDenied) else ()
    return kind(one.client_order_id, one.instrument, one.strategy, *more)
