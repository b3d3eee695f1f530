# pyright: standard
"""The gate: one decision with every check, full limits and 200 working orders.

    python tests/benchmarks/bench_gate.py [--small] [--decisions N] [--orders N]

Data      SYNTHETIC: five strategies of one account in ten instruments, 200 orders working in
          them and 50 fills behind them, limits of every kind at the firm, with more for
          account, desk, strategies and one instrument.
Decide    `decide` alone, on new limit, market and stop orders and modifies in turn; what is
          refused is a sixth of them. Per decision, wall clock.
Whole     decide, `intend` and the folds of what follows (the decision, the order's announcement,
          its accept, its cancel): all that the gate costs an order in its life.
CPU       of the thread, per decision, over all: less disturbed by what else runs.
Checks    before any figure: as many working orders as said, every check of the table in force.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from decimal import Decimal
from pathlib import Path
from time import perf_counter_ns, thread_time_ns
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from gauges import percentile

from onetape.risk.checks import CHECKS, GATE_VERSION, decide
from onetape.risk.intent import Decision, Intent, Reference
from onetape.risk.limitbook import LimitBook, book, starter
from onetape.risk.state import InstrumentTerms, State
from onetape.tape import kinds, kinds_live

SECOND = 1_000_000_000
NOON = 1_767_787_200 * SECOND
NAMES = [f"N{at}.XNAS" for at in range(10)]
STRATEGIES = [f"S{at}" for at in range(5)]
CENT = Decimal("0.01")


class Prices:
    """A market of fixed prices, fresh at any time that is asked for."""

    def __init__(self) -> None:
        self.found: dict[str, Reference] = {}

    def set(self, ts: int) -> None:
        for at, name in enumerate(NAMES):
            mid = Decimal(50 + 10 * at)
            self.found[name] = Reference(mid, "mid", ts, mid - CENT, mid + CENT)

    def reference(self, instrument: str) -> Reference | None:
        return self.found.get(instrument)

    def rate(self, currency: str) -> Decimal | None:
        return Decimal(1) if currency == "USD" else None


def limits(orders: int) -> LimitBook:
    """Return limits of every kind; nothing that is not a check's own work stands in the way."""
    made = {(r.scope, r.name): r.value for r in starter(10_000_000).rules}
    more: dict[tuple[str, str], Any] = {
        ("firm", "message_rate"): 1_000_000, ("firm", "message_burst"): 1_000_000,
        ("strategy:*", "message_rate"): 100_000, ("firm", "repeat_count"): 1_000_000,
        ("firm", "max_unacked"): 1_000, ("strategy:*", "max_open_orders"): orders * 2,
        ("firm", "allow_types"): ["*"], ("firm", "approved_algos"): ["*"],
        ("firm", "shortable"): ["*"], ("firm", "price_collar_away"): "0.5",
        ("account:*", "max_gross"): 20_000_000, ("desk:D", "max_gross"): 20_000_000,
        ("account:*", "daily_loss_hard"): 1_000_000, ("instrument:N1.XNAS", "max_position"): 9_999,
        ("strategy:*", "deploy_instruments"): ["*"], ("strategy:*", "deploy_venues"): ["*"],
        ("strategy:*", "deploy_order_notional"): 1_000_000,
        ("strategy:*", "deploy_position_notional"): 9_000_000,
        ("strategy:*", "deploy_orders"): 10_000_000, ("strategy:*", "deploy_open_orders"): 10_000,
    }  # fmt: skip
    return book([(scope, name, value) for (scope, name), value in (made | more).items()])


def intent(at: int, ts: int, **more: Any) -> Intent:
    """Return the intent of number `at`: every sixth is refused."""
    name, sign = at % len(NAMES), at % 2
    mid = Decimal(50 + 10 * name)
    told: dict[str, Any] = {
        "kind": "submit", "client_order_id": f"B-{at}", "account": "ACC",
        "strategy": STRATEGIES[at % len(STRATEGIES)], "instrument": NAMES[name], "venue": "XNAS",
        "side": "BUY" if sign else "SELL", "type": "LIMIT", "quantity": Decimal(1 + at % 90),
        "ts": ts, "price": mid - CENT * (at % 40 + 1) if sign else mid + CENT * (at % 40 + 1),
        "trader": "release-7", "algo": "abc", "desk": "D", "client": "C",
    }  # fmt: skip
    if at % 3 == 1:
        told |= {"type": "MARKET", "price": None}
    if at % 6 == 2:
        told |= {"type": "STOP_MARKET", "price": None, "trigger_price": mid}
    if at % 6 == 5:  # beyond its collar, no lot, no value that is allowed
        told |= {"price": mid * 2 if sign else mid / 2, "quantity": Decimal("1000000.5")}
    return Intent(**(told | more))


class Bench:
    """A state with orders working and fills behind them."""

    def __init__(self, orders: int) -> None:
        self.limits, self.market = limits(orders), Prices()
        self.state = State("USD", self.limits, account="ACC")
        for name in NAMES:
            self.state.know(InstrumentTerms(name, CENT, "USD", session=("09:30", "16:00"),
                                            tz="America/New_York"))  # fmt: skip
        self.take(kinds.AccountOpened("ACC", "margin", "USD", Decimal(4)))
        self.take(kinds.CashDeposited("ACC", "USD", Decimal(10_000_000)))
        self.state.know_account("ACC", desk="D")
        self.ts = NOON + 3 * 3_600 * SECOND
        self.market.set(self.ts)
        for at in range(50):
            one = intent(at, self.ts)
            price = self.market.found[one.instrument].price
            self.take(
                kinds.OrderFilled(f"F-{at}", one.instrument, one.strategy, "ACC", f"V-{at}",
                                  f"T-{at}", one.side, Decimal(1 + at % 7), price, "USD",
                                  Decimal("0.1"), "USD", "TAKER")
            )  # fmt: skip
        at, answer = 0, None
        while len(self.state.keeping.orders) < orders:
            at, self.ts = at + 1, self.ts + SECOND
            if at > orders * 20:
                raise AssertionError(f"of {at} orders too few are allowed: the last {answer}")
            self.market.set(self.ts)
            one = intent(at, self.ts, client_order_id=f"W-{at}")
            if one.type == "LIMIT" and (answer := self.ask(one)).allowed:
                self.state.intend(one, answer)
                self.take(kinds.OrderAccepted(*_order(one), "ACC", f"V-{at}"))
        self.ts += 10 * SECOND
        self.market.set(self.ts)

    def take(self, fact: kinds.Fact) -> None:
        self.state.take(fact, getattr(self, "ts", NOON))

    def ask(self, one: Intent) -> Decision:
        return decide(one, self.market, self.state, self.limits)

    def intents(self, count: int, first: int = 1_000_000) -> list[Intent]:
        """Return new orders of several types, every tenth a modify of a working order."""
        working = list(self.state.keeping.orders.values())
        made: list[Intent] = []
        for at in range(first, first + count):
            one = intent(at, self.ts)
            if at % 10 == 0:
                order = working[at % len(working)]
                one = intent(at, self.ts, kind="modify", client_order_id=order.id,
                             instrument=order.instrument, strategy=order.strategy, type="LIMIT",
                             side="BUY" if order.sign > 0 else "SELL", price=order.price,
                             trigger_price=None, quantity=order.quantity + 1)  # fmt: skip
            made.append(one)
        return made

    def deciding(self, intents: list[Intent]) -> tuple[list[int], list[Decision]]:
        """Return the ns of each decision, and the decisions."""
        ask, clock = self.ask, perf_counter_ns
        spent: list[int] = []
        answers: list[Decision] = []
        for one in intents:
            begun = clock()
            answer = ask(one)
            spent.append(clock() - begun)
            answers.append(answer)
        return spent, answers

    def whole(self, count: int, first: int) -> list[int]:
        """Return the ns of deciding, counting and folding a life of each allowed order.

        Orders come five a second of the market's time, so that canceled ones are forgotten.
        """
        state, clock = self.state, perf_counter_ns
        spent: list[int] = []
        for at in range(first, first + count):
            self.ts += SECOND // 5
            self.market.set(self.ts)
            one = intent(at, self.ts)
            told = _facts(one)
            begun = clock()
            state.advance(one.ts)
            answer = self.ask(one)
            if answer.allowed:
                state.intend(one, answer)
                for fact in told:
                    state.take(fact, one.ts)
                spent.append(clock() - begun)
        return spent


def _order(one: Intent) -> tuple[str, str, str]:
    return one.client_order_id, one.instrument, one.strategy


def _facts(one: Intent) -> list[kinds.Fact]:
    told = _order(one)
    return [
        kinds_live.RiskDecided("allow", "submit", one.account, one.strategy, one.instrument,
                               one.client_order_id, one.side, one.quantity, one.price,
                               one.trigger_price),
        kinds.OrderInitialized(*told, one.side, one.type, one.quantity, "GTC", one.price,
                               one.trigger_price),
        kinds.OrderSubmitted(*told, one.account),
        kinds.OrderAccepted(*told, one.account, "V-" + one.client_order_id),
        kinds.OrderCanceled(*told),
    ]  # fmt: skip


def micros(values: list[int], part: float) -> float:
    """Return a percentile of ns in microseconds."""
    return round(percentile(values, part) / 1e3, 2)


def measured(decisions: int, orders: int) -> dict[str, Any]:
    """Measure and return the figures."""
    before = os.getloadavg()[0]
    bench = Bench(orders)
    intents = bench.intents(decisions)
    bench.deciding(intents[: decisions // 10])  # caches warm, as in a session
    gc.collect()
    cpu = thread_time_ns()
    spent, answers = bench.deciding(intents)
    cpu = thread_time_ns() - cpu
    denied = sum(not one.allowed for one in answers)
    working = len(bench.state.keeping.orders)
    rules = bench.limits.resolve(("D", "ACC", "S0", "release-7", "XNAS", NAMES[0], "equity"))
    whole = bench.whole(decisions // 4, 5_000_000)
    if working < orders or rules.missing:
        raise AssertionError(f"{working} orders work, of {orders}; absent: {rules.missing}")
    return {
        "decide_p50_us": micros(spent, 0.5),
        "decide_p99_us": micros(spent, 0.99),
        "decide_max_us": micros(spent, 1.0),
        "decide_cpu_us": round(cpu / decisions / 1e3, 2),
        "whole_p50_us": micros(whole, 0.5),
        "whole_p99_us": micros(whole, 0.99),
        "whole_orders": len(whole),
        "decisions": decisions,
        "denied": denied,
        "open_orders": working,
        "checks": len(CHECKS),
        "rules": len(bench.limits.rules),
        "gate_version": GATE_VERSION,
        "load": [round(one, 2) for one in (before, os.getloadavg()[0])],
        "cpus": os.cpu_count(),
        "synthetic": True,
    }


def run(small: bool = False, events: int | None = None) -> dict[str, Any]:
    """Serve `onetape bench gate`; `events` is the number of decisions."""
    return measured(events or (600 if small else 20_000), 200)


def main() -> None:
    """Serve the command line and print one JSON object."""
    parser = argparse.ArgumentParser(description="Measure the gate (synthetic data).")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--decisions", type=int)
    parser.add_argument("--orders", type=int, default=200)
    told = parser.parse_args()
    count = told.decisions or (600 if told.small else 20_000)
    print(json.dumps(measured(count, told.orders), indent=1))


if __name__ == "__main__":
    main()
