"""Orders that work while shares split: rescaled, never filled at the price before the split."""

from __future__ import annotations

from typing import Any

import pytest

import onetape as ot

from .hand import D, daily, days, fills, scripted

CONVENTIONS = ("next_open", "this_close", "next_close", "intrabar")


def market(before: float, after: list[float], ratio: str) -> Any:
    """Return three flat days at one price, then days after a split at its open."""
    prices = [before] * 3 + after
    on = days(len(prices))
    plain = daily([(p, p, p, p) for p in prices], on=on)
    opens = plain.frame()["ts_event"].dt.timestamp("ns")[3] - 6 * 3_600_000_000_000 - 1_800 * 10**9
    split = ot.Split(opens, D(ratio))
    return daily([(p, p, p, p) for p in prices], on=on, actions=(split,))


@pytest.mark.parametrize("fill", CONVENTIONS)
def test_a_profit_target_is_not_filled_at_the_price_before_the_split(fill: str) -> None:
    def plan(s: Any) -> None:
        s.buy(10)
        s.sell(10, limit=220)

    run = ot.backtest(scripted({0: plan}), market(200, [100, 100, 104, 112, 112], "2"), fill=fill)
    sold = [f for f in fills(run) if f[1] == "SELL"]
    assert [f[2] for f in sold] == [20]
    assert sold[0][3] >= 110
    assert run.final_equity >= 100_000 + 20 * 10


@pytest.mark.parametrize("fill", CONVENTIONS)
def test_a_resting_purchase_is_not_filled_at_the_price_before_a_reverse_split(fill: str) -> None:
    run = ot.backtest(
        scripted({0: lambda s: s.buy(50, limit=9)}),
        market(10, [100, 100, 88, 88], "0.1"),
        fill=fill,
    )
    assert [f[1:3] for f in fills(run)] == [("BUY", 5)]
    assert fills(run)[0][3] <= 90


def test_a_stop_to_buy_is_not_triggered_by_the_price_before_the_split() -> None:
    run = ot.backtest(
        scripted({0: lambda s: s.buy(10, stop=250)}), market(200, [100, 100, 130, 130], "2")
    )
    assert [f[1:3] for f in fills(run)] == [("BUY", 20)]
    assert fills(run)[0][3] >= 125


def test_the_exits_of_a_bracket_whose_entry_still_works_are_rescaled() -> None:
    def plan(s: Any) -> None:
        s.bracket("buy", 10, limit=190, stop_loss=150, take_profit=250)

    run = ot.backtest(scripted({0: plan}), market(200, [100, 95, 95, 95], "2"))
    assert [f[1:4] for f in fills(run)] == [("BUY", 20, 95)]
    exits = run.orders.filter(run.orders["type"] != "LIMIT").row(0, named=True)
    assert exits["trigger_price"] == 75
    assert "REJECTED" not in run.orders["status"].to_list()


def test_an_order_of_which_no_whole_share_is_left_is_dropped() -> None:
    waiting = ot.backtest(scripted({2: lambda s: s.buy(5)}), market(10, [100, 100], "0.1"))
    working = ot.backtest(
        scripted({0: lambda s: s.buy(5, limit=9)}), market(10, [100, 60, 60], "0.1")
    )
    assert fills(waiting) == fills(working) == []
    assert working.orders["status"].to_list() == ["CANCELED"]


def test_a_changed_order_must_pass_the_limits_too() -> None:
    from nautilus_trader.model import ClientOrderId, Quantity

    ids: list[str] = []

    def change(s: Any) -> None:
        s.modify_order(ClientOrderId(ids[0]), quantity=Quantity.from_int(1_000))

    plan = {0: lambda s: ids.append(s.buy(10, limit=90)), 2: change}
    run = ot.backtest(
        scripted(plan),
        daily([(p, p, p, p) for p in (100, 100, 100, 100, 80, 80)]),
        limits=ot.limits(max_order_quantity=10, max_position=10),
    )
    assert [f[1:3] for f in fills(run)] == [("BUY", 10)]
    assert run.denied["limit"].to_list() == ["firm max_order_quantity"]
    assert [e.fact.intent for e in run.recording.of_kind("decision.made")] == ["buy", "modify"]
