"""Splits and dividends in a run: raw prices trade, holdings and orders follow the actions."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import onetape as ot

from .hand import D, daily, days, fills, scripted

AROUND = {"start": "2005-02-22", "end": "2005-03-08"}  # AAPL split 2:1 on 2005-02-28
CLOSES = [85.29, 88.23, 88.93, 88.99, 44.86, 44.50, 44.12, 41.79, 42.81, 42.75]


def go(plan: Any, **more: Any) -> Any:
    return ot.backtest(scripted(plan), ot.sample("AAPL"), **AROUND, **more)


def steps(run: Any) -> list[float]:
    closes = run.equity["equity"][-len(CLOSES) :]  # before them may stand the base
    return [float(x) for x in closes.diff().drop_nulls()]


@pytest.mark.parametrize("account", ["margin", "cash"])
@pytest.mark.parametrize("fill", ["next_open", "this_close", "next_close", "intrabar"])
def test_a_long_over_a_split_gains_what_the_market_moved_and_no_more(fill, account):
    run = go({0: lambda s: s.buy(100)}, fill=fill, account=account, cash=10_000)
    moved = 2 * 44.86 - 88.99  # of one old share on the day of the split
    assert steps(run)[3] == pytest.approx(100 * moved)
    assert run.positions["quantity"].to_list() == [100, 200]


@pytest.mark.parametrize("account", ["margin", "cash"])
def test_what_the_split_brought_can_be_sold(account):
    run = go({0: lambda s: s.buy(100), 7: lambda s: s.close()}, account=account, cash=10_000)
    assert [f[1:3] for f in fills(run)] == [("BUY", 100), ("SELL", 200)]
    assert run.final_equity == 10_000 - 100 * D("86.69") + 200 * D("42.76")


def test_a_short_over_a_split_loses_what_the_market_moved_and_no_more():
    run = go({0: lambda s: s.sell(100), 7: lambda s: s.close()})
    assert steps(run)[3] == pytest.approx(-100 * (2 * 44.86 - 88.99))
    assert [f[1:3] for f in fills(run)] == [("SELL", 100), ("BUY", 200)]
    assert run.final_equity == 100_000 + 100 * D("86.69") - 200 * D("42.76")


def test_an_order_that_waits_over_the_split_buys_as_much_in_new_shares():
    run = go({3: lambda s: s.buy(10)})
    assert fills(run) == [("02-28 14:30:00", "BUY", 20, D("44.68"))]


def test_a_bracket_that_waits_over_the_split_is_rescaled_whole():
    run = go({3: lambda s: s.bracket("buy", 10, stop_loss=80, take_profit=96)})
    got = run.orders.select("type", "quantity", "price", "trigger_price").rows()
    assert got == [
        ("MARKET", 20, None, None),
        ("STOP_MARKET", 20, None, 40),
        ("LIMIT", 20, 48, None),
    ]


def test_working_limit_and_stop_orders_are_rescaled():
    run = go({0: lambda s: s.buy(10, limit=84), 1: lambda s: s.sell(10, stop=70)})
    got = run.orders.select("type", "quantity", "price", "trigger_price", "status").rows()
    # the limit of 84 is 42 after the split and trades on 3 March, when the low was below it
    assert got == [
        ("LIMIT", 20, 42, None, "FILLED"),
        ("STOP_MARKET", 20, None, 35, "ACCEPTED"),
    ]


def test_averages_bands_and_ranges_do_not_jump_at_a_split():
    seen: list[tuple[float, ...]] = []

    class Watch(ot.Strategy):
        def on_start(self) -> None:
            self.lines = [
                self.sma(3),
                self.ema(3),
                self.bollinger(3).upper,
                self.atr(2),
                self.rsi(3),
            ]

        def on_bar(self, bar: Any) -> None:
            seen.append(tuple(float(line) for line in self.lines))

    ot.backtest(Watch, ot.sample("AAPL"), **AROUND)
    adjusted = [c / 2 for c in CLOSES[:4]] + CLOSES[4:]
    wanted = [sum(adjusted[i - 2 : i + 1]) / 3 for i in range(2, 10)]
    in_old_shares = [w * 2 if i < 2 else w for i, w in enumerate(wanted)]
    assert [row[0] for row in seen[2:]] == pytest.approx(in_old_shares)
    for name in range(1, 5):
        before, after = seen[3][name], seen[4][name]
        scale = 1 if name == 4 else 2
        assert after * scale == pytest.approx(before, rel=0.4), name


def test_no_split_order_of_the_engine_is_on_the_tape():
    run = go({0: lambda s: s.buy(100)})
    assert run.orders.height == 1
    assert [e.fact.ratio for e in run.recording.of_kind("action.split")] == [2]


def test_a_reverse_split_in_a_cash_account_leaves_fewer_shares_that_can_all_be_sold():
    data = daily(
        [(10, 10, 10, 10)] * 3 + [(40, 40, 40, 40)] * 3,
        actions=(ot.Split(ts=1704983400_000_000_000, ratio=D("0.25")),),  # 2024-01-11 14:30 UTC
    )
    plan = {0: lambda s: s.buy(102), 3: lambda s: s.close()}
    run = ot.backtest(scripted(plan), data, cash=2_000, account="cash")
    assert [f[1:] for f in fills(run)] == [("BUY", 102, 10), ("SELL", 25, 40)]
    assert run.positions["quantity"].to_list()[1] == D("25.5")
    assert run.final_equity == 2_000  # the odd half share is kept, and still worth 20


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("name", ["MSFT", "IBM"])
def test_dividends_are_cash_to_the_long_and_owed_by_the_short(name, side):
    data = ot.sample(name)
    paid = [a for a in data.actions if isinstance(a, ot.Dividend)][-3:]
    inside = {"start": "2012-06-01", "end": "2013-03-02"}
    plan = {0: lambda s: s.target(side * 100)}
    run = ot.backtest(scripted(plan), data, **inside)
    got = run.cash.filter(pl.col("reason").str.contains("(?i)dividend"))["amount"].to_list()
    assert got == [side * 100 * action.amount for action in paid]
    held = side * 100 * (data.frame()["close"][-1] - run.fills["price"][0])
    assert run.final_equity == 100_000 + held + sum(got)


def test_who_buys_on_the_ex_date_gets_no_dividend():
    ex = 1704897000_000_000_000  # 2024-01-10 14:30 UTC, the open of the third day
    data = daily([(10, 10, 10, 10)] * 5, actions=(ot.Dividend(ts=ex, amount=D(1)),))
    for row, cash in ((0, 100_010), (1, 100_000)):
        run = ot.backtest(scripted({row: lambda s: s.buy(10)}), data)
        assert run.final_equity == cash
        assert days(5)[2].isoformat() == "2024-01-10"


def test_a_run_over_splits_can_be_run_again_in_other_chunks():
    plan = {0: lambda s: s.buy(100), 3: lambda s: s.buy(10), 7: lambda s: s.close()}
    one = scripted(plan)
    whole = ot.backtest(one, ot.sample("AAPL"), **AROUND)
    assert ot.rerun(whole).identical
    for chunk in (1, 2, 5):
        assert ot.backtest(one, ot.sample("AAPL"), chunk=chunk, **AROUND) == whole
