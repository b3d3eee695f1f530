"""Quotes and trades: fills by the quoted book, latency, and what fills cost."""

from __future__ import annotations

from typing import Any

import pytest

import onetape as ot

from .hand import D, fills, quotes, scripted, trades

BOOK = quotes([(0, 100, 101), (1, 100.5, 101.5), (2, 100, 102, 5, 7), (3, 99, 100), (4, 98, 99)])


def go(plan: Any, data: Any = BOOK, **more: Any) -> Any:
    return ot.backtest(scripted(plan), data, **more)


def test_a_market_order_buys_at_the_ask_and_sells_at_the_bid_of_the_quote_just_seen():
    run = go({1: lambda s: s.buy(10), 3: lambda s: s.sell(10)})
    assert fills(run) == [
        ("01-08 15:00:01", "BUY", 10, D("101.5")),
        ("01-08 15:00:03", "SELL", 10, 99),
    ]


def test_what_exceeds_the_quoted_size_fills_one_tick_worse():
    assert [f[2:] for f in fills(go({2: lambda s: s.buy(10)}))] == [(7, 102), (3, D("102.01"))]


def test_a_limit_order_fills_by_what_is_quoted_and_no_quoted_size_trades_twice():
    data = quotes([(0, 100, 101), (1, 99, 100, 5, 4), (2, 98, 99, 5, 3), (3, 99, 100, 5, 20)])
    run = go({0: lambda s: s.buy(10, limit=100), 1: lambda s: s.sell(2)}, data)
    bought = [(f[0], f[2]) for f in fills(run) if f[1] == "BUY"]
    assert bought == [("01-08 15:00:01", 4), ("01-08 15:00:02", 3), ("01-08 15:00:03", 3)]


def test_a_stop_triggers_on_the_quote_that_reaches_it():
    assert fills(go({1: lambda s: s.sell(10, stop=99)})) == [("01-08 15:00:03", "SELL", 10, 99)]


def test_latency_makes_an_order_meet_the_book_as_it_is_when_it_arrives():
    (first, *_rest) = fills(go({0: lambda s: s.buy(5)}, latency=1.5))
    assert first == ("01-08 15:00:02", "BUY", 5, 102)


def test_slippage_takes_market_orders_whole_some_ticks_beyond_the_quote():
    run = go({2: lambda s: s.buy(10)}, slippage=ot.ticks(2))
    assert fills(run) == [("01-08 15:00:02", "BUY", 10, D("102.02"))]


def test_on_trades_a_market_order_fills_at_the_last_trade():
    data = trades([(0, 100, 10), (1, 101, 10), (2, 99, 10), (3, 98, 10)])
    assert fills(go({1: lambda s: s.buy(10)}, data)) == [("01-08 15:00:01", "BUY", 10, 101)]


def test_basis_points_are_charged_on_each_fill_and_rounded_to_the_cent():
    run = go({2: lambda s: s.buy(10)}, fees=ot.bps(20))
    assert run.fills["commission"].to_list() == [D("1.43"), D("0.61")]  # 714.00 and 306.03 x 0.002


def test_per_share_charges_its_minimum_once_an_order_over_all_its_fills():
    run = go({2: lambda s: s.buy(10)}, fees=ot.per_share("0.01", min=1))
    assert run.fills["commission"].to_list() == [1, 0]
    run = go({2: lambda s: s.buy(10)}, fees=ot.per_share("0.2", min="1.5"))
    assert run.fills["commission"].to_list() == [
        D("1.50"),
        D("0.50"),
    ]  # 7 x 0.2 < 1.5; 10 x 0.2 = 2


def test_makers_are_paid_and_takers_pay_by_their_own_rates():
    data = quotes([(0, 100, 101), (1, 99, 100), (2, 98, 99)])
    run = go(
        {0: lambda s: s.buy(10, limit=100), 1: lambda s: s.sell(10)},
        data,
        fees=ot.maker_taker(-1, 5),
    )
    got = run.fills.select("side", "liquidity", "commission").rows()
    assert got == [("BUY", "MAKER", D("-0.10")), ("SELL", "TAKER", D("0.50"))]  # 1,000 and 990


def test_fees_lower_the_final_equity_by_exactly_what_the_fills_say():
    plan = {1: lambda s: s.buy(10), 3: lambda s: s.sell(10)}
    free, paid = go(plan), go(plan, fees=ot.bps(20))
    assert free.final_equity - paid.final_equity == sum(paid.fills["commission"])


def test_a_bar_does_not_fill_orders_of_an_instrument_that_has_quotes():
    # the bar of 15:00 to 15:01 fell to 90 before the order was there; the quotes never saw it
    bars = trades([(0, 90, 10), (50, 100, 10), (61, 100, 10)]).bars("1-MINUTE")
    seen = quotes([(40, 99, 100), (45, 99, 100), (59, 99, 100), (62, 99, 100)])
    run = ot.backtest(scripted({0: lambda s: s.buy(10, limit=95)}), [seen, bars])
    assert fills(run) == []


@pytest.mark.parametrize("fill", ["next_open", "this_close", "next_close", "intrabar"])
def test_bar_conventions_are_refused_for_quotes_alone(fill):
    with pytest.raises(ot.errors.SettingsError, match="needs bars"):
        go({}, fill=fill)
