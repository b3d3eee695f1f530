"""Laws of the gate in a backtest: no mixture of commands brings a holding beyond its limit."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import (
    ClientOrderId,
    InstrumentId,
    OrderSide,
    Price,
    Quantity,
    TriggerType,
)
from nautilus_trader.trading import Strategy as EngineStrategy

import onetape as ot

from .hand import daily, quotes, scripted

NAME = InstrumentId.from_str("AAA.XNAS")
PRICES = [100, 103, 99, 104, 98, 101, 107, 95, 100, 102, 97, 101]
QUOTED = quotes([(n, p, p + 1) for n, p in enumerate(PRICES)])
BARS = daily([(p, p + 6, p - 6, p + 1) for p in PRICES])
MOST = 5


def emulated(s: Any, side: str, size: int, level: int) -> None:
    sided = OrderSide.BUY if side == "buy" else OrderSide.SELL
    price, trigger = Price.from_str(f"{level}.00"), TriggerType.BID_ASK
    make = s.order_factory.limit
    s.submit_order(make(NAME, sided, Quantity.from_int(size), price, emulation_trigger=trigger))


def straight(s: Any, side: str, size: int, _level: int) -> None:
    sided = OrderSide.BUY if side == "buy" else OrderSide.SELL
    order = s.order_factory.market(NAME, sided, Quantity.from_int(size))
    EngineStrategy.submit_order(s, order)


def modify(s: Any, _side: str, size: int, level: int) -> None:
    for order in s.cache.orders_open(instrument_id=NAME):
        if hasattr(order, "price"):
            price = Price.from_str(f"{level}.00")
            with suppress(RuntimeError):  # the engine takes no change that changes nothing
                s.modify_order(order.client_order_id, quantity=Quantity.from_int(size), price=price)


def cancel_one(s: Any, _side: str, _size: int, _level: int) -> None:
    for order in s.cache.orders_open(instrument_id=NAME)[:1]:
        s.cancel_order(ClientOrderId(str(order.client_order_id)))


def bracket(s: Any, side: str, size: int, level: int) -> None:
    below, above = (80, 120) if side == "buy" else (120, 80)
    s.bracket(side, size, stop_loss=below, take_profit=above, limit=level)


def exit_by(s: Any, side: str, size: int, level: int) -> None:
    getattr(s, side)(size, limit=level, reduce_only=True)


COMMANDS: dict[str, Any] = {
    "market": lambda s, side, size, _: getattr(s, side)(size),
    "limit": lambda s, side, size, level: getattr(s, side)(size, limit=level),
    "stop": lambda s, side, size, level: getattr(s, side)(size, stop=level),
    "exit": exit_by,
    "target": lambda s, side, size, _: s.target(size if side == "buy" else -size),
    "close": lambda s, *_: s.close(),
    "close all": lambda s, *_: s.close_all_positions(NAME),
    "leave": lambda s, *_: s.market_exit(),
    "cancel": lambda s, *_: s.cancel(),
    "cancel one": cancel_one,
    "bracket": bracket,
    "modify": modify,
    "straight": straight,
    "emulated": emulated,
}


def commands_of(names: list[str]) -> Any:
    return st.lists(command(names), max_size=14)


def command(names: list[str]) -> Any:
    return st.tuples(
        st.integers(0, len(PRICES) - 2),
        st.sampled_from(names),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 8),
        st.integers(93, 108),
    )


def play(commands: list[Any], data: Any, **terms: Any) -> Any:
    plan: dict[int, list[Any]] = {}
    for row, *what in commands:
        plan.setdefault(row, []).append(what)

    def act(s: Any, row: int) -> None:
        for name, *terms in plan[row]:
            COMMANDS[name](s, *terms)

    made = scripted({row: lambda s, row=row: act(s, row) for row in plan})
    return ot.backtest(made, data, limits=ot.limits(max_position=MOST), **terms)


def held(run: Any) -> list[Decimal]:
    return run.positions["quantity"].to_list()


@pytest.mark.parametrize("data", [QUOTED, BARS], ids=["quotes", "bars"])
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    commands=commands_of(sorted(COMMANDS)),
    latency=st.sampled_from([0, 1.5]),
)
def test_no_mixture_of_commands_brings_a_holding_beyond_its_limit(data, commands, latency):
    if data is BARS:
        commands = [each for each in commands if each[1] != "emulated"]
    run = play(commands, data, latency=latency)
    assert all(abs(quantity) <= MOST for quantity in held(run))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(commands=commands_of(sorted(COMMANDS)))
def test_no_order_is_ever_announced_that_was_not_allowed(commands):
    run = play(commands, QUOTED)
    initialized = {e.fact.client_order_id for e in run.recording.of_kind("order.initialized")}
    allowed = {
        e.fact.client_order_id
        for e in run.recording.of_kind("risk.decided")
        if e.fact.verdict == "allow"
    }
    assert initialized <= allowed


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(commands=commands_of(sorted(COMMANDS)))
def test_the_same_commands_give_the_same_bytes(commands):
    commands = [each for each in commands if each[1] != "emulated"]
    assert play(commands, QUOTED).recording.raws == play(commands, QUOTED).recording.raws


def test_a_split_is_no_loss_and_no_breach():
    action = ot.Split(ts=1705329000 * 1_000_000_000, ratio=Decimal(2))  # 15 January, the open
    bars = daily([(100, 100, 100, 100)] * 5 + [(50, 50, 50, 50)] * 5, actions=(action,))
    run = ot.backtest(
        scripted({0: lambda s: s.buy(5), 7: lambda s: s.close()}),
        bars,
        limits=ot.limits(daily_loss_hard=50, max_gross=600),
        ladder=["loss 50: halt", "gross 700: halt", "drawdown 50: halt"],
    )
    assert held(run) == [5, 10, 0]
    assert not list(run.recording.of_kind("risk.moved"))
    assert run.denied.height == 0
