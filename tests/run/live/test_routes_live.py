"""No way round the gate in a live session: what is beyond the limit never reaches the venue.

The routes are those of the backtest's test, and those that only a session has.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.model import ExecAlgorithmId
from nautilus_trader.trading import Strategy as EngineStrategy

import onetape as ot
from run.hand import scripted
from run.test_routes import BUY, EXITS, NAME, ROUTES, at, submit, units

from .desk import Desk, Live, again, lived

MOST = ot.limits(max_position=3)
EIGHT = tuple((n, 100 + n, 101 + n, 1_000, 1_000) for n in range(8))


def past(s: Any) -> None:
    submit(s, s.order_factory.market(NAME, BUY, units(4)))


LIVE_ROUTES: dict[str, dict[int, Callable[[Any], Any]]] = {
    **ROUTES,
    "past every command": {1: past},
    "in an order's event": {1: lambda s: s.buy(3)},
    "by a timer": {},
    "by a person": {},
}
OPEN_BELOW = set(LIVE_ROUTES) - {
    "weight", "modify", "modify by the class", "by a person", "by a timer",
    "emulated trailing stop",
    "in an order's event",
}  # fmt: skip


def most(desk: Desk) -> Decimal:
    """Return the most that was ever held at the venue."""
    held = high = Decimal(0)
    for fill in desk.core.ledger.fills.values():
        held += fill.quantity if fill.side == "BUY" else -fill.quantity
        high = max(high, abs(held))
    return high


def went(route: str, limits: Any = MOST) -> tuple[Live, Desk, type]:
    if route == "by a timer":
        strategy = timed()
    elif route == "in an order's event":
        strategy = scripted(LIVE_ROUTES[route], react=greedy)
    else:
        strategy = scripted(LIVE_ROUTES[route])
    said = {3: lambda t: t.ask("order", side="buy", quantity=4)} if "person" in route else {}
    live, desk = lived(strategy, said, limits=limits, rows=EIGHT)
    return live, desk, strategy


def greedy(s: Any, event: Any) -> None:
    if type(event).__name__ == "OrderFilled" and s.n < 3:
        s.buy(4)


def timed() -> type:
    class Timed(ot.Strategy):
        def on_start(self) -> None:
            self.clock.set_time_alert_ns("go", 1_704_726_002_000_000_000, self.go)

        def on_quote(self, quote: Any) -> None:
            pass

        def go(self, event: Any) -> None:
            self.buy(4)

    return Timed


def accounted(live: Live, desk: Desk) -> None:
    """Every order that came to the venue was allowed by a decision on the tape, before it."""
    allowed = {f.client_order_id for f in live.facts("risk.decided") if f.verdict == "allow"}
    assert set(desk.sent) <= allowed


@pytest.mark.parametrize("route", LIVE_ROUTES)
def test_an_order_beyond_the_limit_never_reaches_the_venue(route: str) -> None:
    live, desk, strategy = went(route)
    assert live.ended_as == "stopped", live.error
    assert most(desk) <= 3
    refused = {f.code for f in live.facts("risk.decided") if f.verdict == "deny"}
    assert refused & {"MAX_LONG", "MAX_SHORT"}
    accounted(live, desk)
    assert again(live, strategy) is None


@pytest.mark.parametrize("route", sorted(OPEN_BELOW))
def test_the_same_route_is_open_below_the_limit(route: str) -> None:
    live, desk, _ = went(route, ot.limits(max_position=7))
    assert most(desk) > 0
    assert {f.verdict for f in live.facts("risk.decided")} == {"allow"}
    accounted(live, desk)


def test_what_goes_past_every_command_is_denied_at_the_last_line() -> None:
    live, desk, _ = went("past every command")
    assert desk.sent == []
    assert live.lives == [["initialized", "denied"]]
    (decided,) = live.recording.of_kind("risk.decided")
    (denied,) = live.facts("order.denied")
    assert denied.reason.startswith("MAX_LONG")
    assert decided.fact.verdict == "deny"


def test_an_emulated_order_is_judged_again_when_it_is_let_go() -> None:
    """Three may be bought when it is placed; when it is released others are on their way."""

    def place(s: Any) -> None:
        emulated_three(s)

    strategy = scripted({0: place, 1: lambda s: submit_one(s)})
    live, desk = lived(strategy, limits=MOST, rows=EIGHT)
    assert most(desk) <= 3
    assert again(live, strategy) is None


def emulated_three(s: Any) -> None:
    from nautilus_trader.model import TriggerType

    make = s.order_factory.stop_market
    s.submit_order(make(NAME, BUY, units(3), at(104), emulation_trigger=TriggerType.BID_ASK))


def submit_one(s: Any) -> None:
    s.buy(1)


def test_an_emulated_order_that_was_placed_before_a_halt_is_not_sent_after_it() -> None:
    strategy = scripted({0: emulated_three})
    live, desk = lived(strategy, {2: lambda t: t.ask("halt")}, limits=MOST, rows=EIGHT)
    assert desk.sent == []
    assert live.ended_as == "stopped"
    assert live.lives[0][-1] in ("denied", "rejected")


def test_an_order_for_an_execution_algorithm_is_refused_with_a_reason() -> None:
    def split(s: Any) -> None:
        make = s.order_factory.market
        s.submit_order(make(NAME, BUY, units(1), exec_algorithm_id=ExecAlgorithmId("TWAP")))

    live, desk = lived(scripted({1: split}), limits=MOST, rows=EIGHT)
    assert desk.sent == []
    assert live.ended_as == "failed"
    assert "execution algorithm TWAP" in live.error


def test_a_quantity_in_money_is_refused_with_a_reason() -> None:
    def worth(s: Any) -> None:
        s.submit_order(s.order_factory.market(NAME, BUY, units(1_000), quote_quantity=True))

    live, desk = lived(scripted({1: worth}), limits=MOST, rows=EIGHT)
    assert desk.sent == []
    assert "quantity of money" in live.error


@pytest.mark.parametrize("way", EXITS)
def test_a_way_out_is_judged_too_and_never_refused(way: str) -> None:
    strategy = scripted({1: lambda s: s.buy(3), 4: EXITS[way]})
    live, desk = lived(strategy, limits=MOST, rows=EIGHT)
    assert desk.holds == live.held == 0
    decided = live.facts("risk.decided")
    assert [(f.verdict, f.side) for f in decided] == [("allow", "BUY"), ("allow", "SELL")]
    assert again(live, strategy) is None


def test_a_plain_engine_strategy_is_held_to_the_limits_too() -> None:
    class Plain(EngineStrategy):
        n = 0

        def on_start(self) -> None:
            self.subscribe_quotes(NAME)

        def on_quote(self, quote: Any) -> None:
            self.n += 1
            if self.n in (2, 4):
                self.submit_order(self.order_factory.market(NAME, BUY, units(2)))

    live, desk = lived(Plain, limits=MOST, rows=EIGHT)
    assert (desk.holds, live.ended_as) == (2, "stopped")
    assert [f.verdict for f in live.facts("risk.decided")] == ["allow", "deny"]


def test_a_change_beyond_the_limit_leaves_the_order_at_the_venue_as_it_was() -> None:
    live, desk, _ = went("modify by the class")
    (order,) = desk.core.ledger.orders.values()
    assert (order.new.quantity, order.new.price) == (3, 50)
    assert "pending_update" not in live.lives[0]
