"""No way round the gate: by whatever route an order goes, one beyond the limit never fills.

Each route tries to hold more than three units of AAA.XNAS; the gate allows three.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.model import (
    ClientOrderId,
    ExecAlgorithmId,
    InstrumentId,
    OrderSide,
    Price,
    Quantity,
    TriggerType,
)
from nautilus_trader.trading import Strategy as EngineStrategy
from nautilus_trader.trading import StrategyConfig

import onetape as ot

from .hand import daily, quotes, scripted

NAME = InstrumentId.from_str("AAA.XNAS")
BUY, SELL = OrderSide.BUY, OrderSide.SELL
QUOTED = [quotes([(n, 100 + n, 101 + n) for n in range(8)])]
BARS = [daily([(100 + n, 102 + n, 98 + n, 101 + n) for n in range(8)])]
MOST = ot.limits(max_position=3)
submit = EngineStrategy.submit_order  # taken before any gate stands


def units(count: int) -> Any:
    return Quantity.from_int(count)


def at(price: int) -> Any:
    return Price.from_str(f"{price}.00")


def modified(s: Any) -> None:
    s.placed = s.buy(3, limit=50)


def modify(s: Any) -> None:
    s.modify_order(ClientOrderId(s.placed), quantity=units(4), price=at(200))


def emulated(s: Any) -> None:
    make = s.order_factory.limit
    s.submit_order(make(NAME, BUY, units(4), at(200), emulation_trigger=TriggerType.BID_ASK))


def emulated_stop(s: Any) -> None:
    make = s.order_factory.stop_market
    s.submit_order(make(NAME, BUY, units(4), at(103), emulation_trigger=TriggerType.BID_ASK))


def trailing(s: Any) -> None:
    make = s.order_factory.trailing_stop_market
    terms = {"trailing_offset": Decimal("0.01"), "emulation_trigger": TriggerType.BID_ASK}
    s.submit_order(make(NAME, BUY, units(4), **terms))


def listed(s: Any) -> None:
    make = s.order_factory
    s.submit_order_list(
        [make.market(NAME, BUY, units(2)), make.limit(NAME, BUY, units(2), at(200))]
    )


def bracket_of_the_engine(s: Any) -> None:
    make = s.order_factory.bracket
    s.submit_order_list(make(NAME, BUY, units(4), sl_trigger_price=at(50), tp_price=at(200)))


def by_name_of_the_class(s: Any) -> None:
    EngineStrategy.submit_order(s, s.order_factory.market(NAME, BUY, units(4)))


def list_by_name_of_the_class(s: Any) -> None:
    orders = [s.order_factory.market(NAME, BUY, units(2)) for _ in range(2)]
    EngineStrategy.submit_order_list(s, orders)


def modify_by_name_of_the_class(s: Any) -> None:
    EngineStrategy.modify_order(s, ClientOrderId(s.placed), quantity=units(4), price=at(200))


def together(s: Any) -> None:
    for _ in range(4):
        s.buy(1, limit=200)


ROUTES = {
    "buy": {1: lambda s: s.buy(4)},
    "limit": {1: lambda s: s.buy(4, limit=200)},
    "stop": {1: lambda s: s.buy(4, stop=102)},
    "sell": {1: lambda s: s.sell(4)},
    "target": {1: lambda s: s.target(4)},
    "weight": {1: lambda s: s.target(weight=0.5)},
    "many small ones": {1: together},
    "one after the other": {1: lambda s: s.buy(2), 3: lambda s: s.buy(2)},
    "bracket": {1: lambda s: s.bracket("buy", 4, stop_loss=50, take_profit=200)},
    "engine order": {1: lambda s: s.submit_order(s.order_factory.market(NAME, BUY, units(4)))},
    "engine list": {1: listed},
    "engine bracket": {1: bracket_of_the_engine},
    "modify": {1: modified, 3: modify},
    "emulated limit": {1: emulated},
    "emulated stop": {1: emulated_stop},
    "emulated trailing stop": {1: trailing},
    "by the class": {1: by_name_of_the_class},
    "list by the class": {1: list_by_name_of_the_class},
    "modify by the class": {1: modified, 3: modify_by_name_of_the_class},
    "on the way round": {1: lambda s: s.buy(3), 3: lambda s: s.sell(7)},
}


def most_held(run: Any) -> Decimal:
    return max((abs(q) for q in run.positions["quantity"]), default=Decimal(0))


def refusals(run: Any) -> list[str]:
    return [code for code in run.denied["code"] if code not in ("", "LIST_DENIED")]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("data", [QUOTED, BARS], ids=["quotes", "bars"])
def test_an_order_beyond_the_limit_never_fills(route, data):
    if data is BARS and route.startswith("emulated"):
        pytest.skip("the engine emulates on quotes")
    run = ot.backtest(scripted(ROUTES[route]), data, limits=MOST)
    assert most_held(run) <= 3
    assert set(refusals(run)) & {"MAX_LONG", "MAX_SHORT"}
    assert "refused by limits" in " ".join(run.warnings)


@pytest.mark.parametrize("route", sorted(set(ROUTES) - {"weight", "modify", "modify by the class"}))
def test_the_same_route_is_open_below_the_limit(route):
    run = ot.backtest(scripted(ROUTES[route]), QUOTED, limits=ot.limits(max_position=7))
    assert run.fills.height >= 1
    assert run.denied.height == 0


@pytest.mark.parametrize("route", sorted(set(ROUTES) - {"modify", "modify by the class"}))
def test_without_limits_all_go_through(route):
    run = ot.backtest(scripted(ROUTES[route]), QUOTED)
    assert most_held(run) > 3
    assert not list(run.recording.of_kind("risk.decided"))


def test_a_strategy_that_overrides_the_commands_still_comes_to_the_gate():
    class Sly(ot.Strategy):
        def on_start(self) -> None:
            self.n = 0

        def submit_order(self, order: Any, *args: Any, **kwargs: Any) -> None:
            for _ in range(4):  # one was allowed; these are others
                super().submit_order(self.order_factory.market(NAME, BUY, units(1)))

        def modify_order(self, order: Any, *_args: Any, **_kwargs: Any) -> None:
            super().modify_order(order, quantity=units(9), price=at(200))

        def on_quote(self, quote: Any) -> None:
            self.n += 1
            if self.n == 2:
                self.buy(1)

    run = ot.backtest(Sly, QUOTED, limits=MOST)
    assert 0 < most_held(run) <= 3
    assert "MAX_LONG" in refusals(run)


def test_an_override_may_pass_on_what_was_allowed():
    class Polite(ot.Strategy):
        def on_start(self) -> None:
            self.n = 0

        def submit_order(self, order: Any, *args: Any, **kwargs: Any) -> None:
            super().submit_order(order, *args, **kwargs)

        def on_quote(self, quote: Any) -> None:
            self.n += 1
            if self.n == 2:
                self.buy(3)

    run = ot.backtest(Polite, QUOTED, limits=MOST)
    assert run.fills["quantity"].to_list() == [3]
    assert len(list(run.recording.of_kind("risk.decided"))) == 1


def test_what_the_engine_sends_past_every_command_stops_the_run():
    def past(s: Any) -> None:
        submit(s, s.order_factory.market(NAME, BUY, units(4)))

    with pytest.raises(ot.errors.RunError, match=r"made inside the engine.*MAX_LONG"):
        ot.backtest(scripted({1: past}), QUOTED, limits=MOST)


def test_what_the_engine_sends_within_the_limits_is_judged_and_goes():
    def past(s: Any) -> None:
        submit(s, s.order_factory.market(NAME, BUY, units(3)))

    run = ot.backtest(scripted({1: past}), QUOTED, limits=MOST)
    (decided,) = run.recording.of_kind("risk.decided")
    assert run.recording.seq(decided.cause).fact.why == "made inside the engine"
    assert most_held(run) == 3


def test_an_order_for_an_execution_algorithm_is_refused_with_a_reason():
    def split(s: Any) -> None:
        make = s.order_factory.market
        s.submit_order(make(NAME, BUY, units(1), exec_algorithm_id=ExecAlgorithmId("TWAP")))

    with pytest.raises(ot.errors.StrategyError, match="execution algorithm TWAP"):
        ot.backtest(scripted({1: split}), QUOTED, limits=MOST)


def test_a_quantity_in_money_is_refused_with_a_reason():
    def worth(s: Any) -> None:
        make = s.order_factory.market
        s.submit_order(make(NAME, BUY, units(1_000), quote_quantity=True))

    with pytest.raises(ot.errors.StrategyError, match="quantity of money"):
        ot.backtest(scripted({1: worth}), QUOTED, limits=MOST)


def test_an_emulated_order_is_judged_again_when_it_is_let_go():
    """Three may be bought when it is placed; when it is released two are held already."""

    def place(s: Any) -> None:
        make = s.order_factory.stop_market
        s.submit_order(make(NAME, BUY, units(2), at(105), emulation_trigger=TriggerType.BID_ASK))

    run = ot.backtest(
        scripted({0: place, 1: lambda s: s.buy(1)}),
        QUOTED,
        limits=MOST,
        ladder=["gross 100: reduce_only"],
    )
    assert [row["quantity"] for row in run.fills.iter_rows(named=True)] == [1]
    (refused,) = run.denied.iter_rows(named=True)
    assert refused["code"] == "WOULD_INCREASE"
    assert run.orders["status"].to_list() == ["DENIED", "FILLED"]


EXITS = {
    "close": lambda s: s.close(),
    "target": lambda s: s.target(0),
    "close_all": lambda s: s.close_all_positions(NAME),
    "market_exit": lambda s: s.market_exit(),
    "class market_exit": lambda s: EngineStrategy.market_exit(s),
    "class close_all": lambda s: EngineStrategy.close_all_positions(s, NAME),
    "close_position": lambda s: s.close_position(s.cache.positions_open()[0]),
}


@pytest.mark.parametrize("way", EXITS)
def test_a_way_out_is_judged_too_and_never_refused(way):
    run = ot.backtest(scripted({1: lambda s: s.buy(3), 4: EXITS[way]}), QUOTED, limits=MOST)
    assert run.positions["quantity"].to_list()[-1] == 0
    decided = [e.fact for e in run.recording.of_kind("risk.decided")]
    assert [(f.verdict, f.side) for f in decided] == [("allow", "BUY"), ("allow", "SELL")]


def test_the_engines_own_exit_at_the_end_is_judged():
    class Leaves(EngineStrategy):
        n = 0

        def on_start(self) -> None:
            self.subscribe_quotes(NAME)

        def on_quote(self, quote: Any) -> None:
            self.n += 1
            if self.n == 2:
                self.submit_order(self.order_factory.market(NAME, BUY, units(3)))

    made = Leaves(StrategyConfig(manage_stop=True))
    run = ot.backtest(made, QUOTED, limits=MOST)
    decided = [e.fact for e in run.recording.of_kind("risk.decided")]
    assert [(f.side, f.verdict) for f in decided] == [("BUY", "allow"), ("SELL", "allow")]


def test_no_cancel_is_ever_refused_and_each_is_on_the_tape():
    plan = {1: lambda s: s.buy(3, limit=50), 3: lambda s: s.cancel()}
    run = ot.backtest(scripted(plan), QUOTED, limits=ot.limits(max_position=3, message_rate=1))
    decided = [(e.fact.intent, e.fact.verdict) for e in run.recording.of_kind("risk.decided")]
    assert decided == [("submit", "allow"), ("cancel", "allow")]
    assert run.orders["status"].to_list() == ["CANCELED"]


def test_the_engines_class_is_as_it_was_once_the_run_is_over():
    ot.backtest(scripted({1: lambda s: s.buy(1)}), QUOTED, limits=MOST)
    assert EngineStrategy.submit_order is submit
