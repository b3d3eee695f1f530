"""Where and when an order made on a bar trades, under each convention."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import onetape as ot

from .hand import MONDAY, D, daily, fills, flat, kinds, scripted

BARS = daily(
    [
        (100, 105, 95, 101),
        (102, 108, 99, 107),
        (107, 112, 103, 104),
        (103, 104, 90, 92),
        (91, 95, 85, 94),  # Friday
        (95, 99, 93, 98),  # Monday after the weekend
    ]
)
ALL = ["next_open", "this_close", "next_close", "intrabar"]


def go(plan: Any, fill: str, data: Any = BARS, **more: Any) -> list[Any]:
    return fills(ot.backtest(scripted(plan), data, fill=fill, **more))


@pytest.mark.parametrize(
    ("fill", "bought", "sold"),
    [
        ("next_open", ("01-09 14:30:00", 102), ("01-15 14:30:00", 95)),
        ("this_close", ("01-08 21:00:00", 101), ("01-12 21:00:00", 94)),
        ("next_close", ("01-09 21:00:00", 107), ("01-15 21:00:00", 98)),
        ("intrabar", ("01-09 14:30:00", 102), ("01-15 14:30:00", 95)),
    ],
)
def test_a_market_order_trades_where_its_convention_says_also_over_a_weekend(fill, bought, sold):
    got = go({0: lambda s: s.buy(10), 4: lambda s: s.close()}, fill)
    assert got == [(bought[0], "BUY", 10, bought[1]), (sold[0], "SELL", 10, sold[1])]


@pytest.mark.parametrize("fill", ["next_open", "next_close", "intrabar"])
def test_an_order_made_on_the_last_bar_never_fills(fill):
    assert go({5: lambda s: s.buy(10)}, fill) == []


@pytest.mark.parametrize("fill", ALL)
def test_a_limit_inside_a_later_bar_fills_at_the_limit(fill):
    (filled,) = go({0: lambda s: s.buy(10, limit=98)}, fill)
    assert filled[0].startswith("01-11")  # 9 Jan falls to 99, 10 Jan to 103, 11 Jan to 90
    assert filled[1:] == ("BUY", 10, 98)


@pytest.mark.parametrize("fill", ["next_open", "intrabar"])
def test_a_limit_that_the_open_betters_fills_at_the_open(fill):
    assert go({3: lambda s: s.buy(10, limit=93)}, fill) == [("01-12 14:30:00", "BUY", 10, 91)]


@pytest.mark.parametrize("fill", ALL)
def test_a_stop_inside_a_later_bar_fills_at_its_trigger(fill):
    (filled,) = go({2: lambda s: s.sell(10, stop=91.5)}, fill)
    assert filled[1:] == ("SELL", 10, D("91.5") if fill != "next_close" else 91)


@pytest.mark.parametrize("fill", ["next_open", "intrabar"])
def test_a_resting_stop_that_the_market_jumps_over_fills_at_the_open(fill):
    gap = daily([(100, 101, 99, 100), (100, 101, 99, 100), (90, 96, 88, 95)])
    assert go({0: lambda s: s.sell(10, stop=95)}, fill, gap) == [("01-10 14:30:00", "SELL", 10, 90)]


@pytest.mark.parametrize("fill", ["next_open", "intrabar"])
def test_a_stop_that_the_market_has_passed_when_it_arrives_trades_at_once(fill):
    gap = daily([(100, 101, 99, 100), (90, 96, 88, 95)])
    assert go({0: lambda s: s.sell(10, stop=95)}, fill, gap) == [("01-09 14:30:00", "SELL", 10, 90)]


def test_a_stop_limit_rests_at_its_limit_once_triggered():
    falls = daily([(100, 101, 99, 100), (100, 101, 94, 94), (92, 93, 90, 91), (92, 99, 91, 98)])
    order = {0: lambda s: s.sell(10, stop=95, limit=97)}
    run = ot.backtest(scripted(order), falls)
    assert [k for k in kinds(run) if k.startswith("order.")] == [
        "order.initialized",
        "order.submitted",
        "order.accepted",
        "order.triggered",
        "order.filled",
    ]
    assert fills(run)[0][0].startswith("01-11")
    assert fills(run)[0][3] >= 97


@pytest.mark.parametrize("fill", ALL)
def test_a_take_profit_that_fills_cancels_the_stop(fill):
    def enter(s: Any) -> Any:
        return s.bracket("buy", 10, stop_loss=96, take_profit=110)

    run = ot.backtest(scripted({0: enter}), BARS, fill=fill)
    assert fills(run)[1][1:] == ("SELL", 10, 110)
    assert sorted(run.orders["status"].to_list()) == ["CANCELED", "FILLED", "FILLED"]


@pytest.mark.parametrize("fill", ALL)
def test_a_stop_loss_that_fills_cancels_the_take_profit(fill):
    def enter(s: Any) -> Any:
        return s.bracket("buy", 10, stop_loss=96, take_profit=120)

    run = ot.backtest(scripted({1: enter}), BARS, fill=fill)
    assert fills(run)[1][1:] == ("SELL", 10, 96)
    assert sorted(run.orders["status"].to_list()) == ["CANCELED", "FILLED", "FILLED"]


def test_a_bracket_whose_entry_opens_beyond_the_target_takes_its_profit_at_once():
    jump = daily([(100, 101, 99, 100), (112, 114, 110, 113), (113, 114, 112, 113)])

    def enter(s: Any) -> Any:
        return s.bracket("buy", 10, stop_loss=96, take_profit=110)

    assert [f[1:] for f in go({0: enter}, "next_open", jump)] == [
        ("BUY", 10, 112),
        ("SELL", 10, 112),
    ]


@pytest.mark.parametrize(
    ("fill", "price", "time"),
    [
        ("next_open", 102, "01-09 14:30:00"),
        ("this_close", 101, "01-08 21:00:00"),
        ("next_close", 107, "01-09 21:00:00"),
        ("intrabar", 102, "01-09 14:30:00"),
    ],
)
def test_an_order_in_reaction_to_a_fill_is_sent_at_once(fill, price, time):
    def react(s: Any, event: Any) -> None:
        if type(event).__name__ == "OrderFilled" and event.is_buy:
            s.sell(5, why="half is enough")

    run = ot.backtest(scripted({0: lambda s: s.buy(10)}, react=react), BARS, fill=fill)
    assert fills(run) == [(time, "BUY", 10, price), (time, "SELL", 5, price)]


def test_canceling_an_order_that_waits_for_the_open_keeps_it_from_the_venue():
    def think_again(s: Any) -> None:
        s.cancel(s.buy(10))

    run = ot.backtest(scripted({0: think_again}), BARS)
    assert fills(run) == []
    assert kinds(run)[-3:] == ["decision.made", "decision.made", "run.closed"]


def test_a_target_after_a_canceled_order_does_not_count_it():
    def think_again(s: Any) -> None:
        s.cancel(s.buy(10))
        s.target(3)

    assert [f[2] for f in go({0: think_again}, "next_open")] == [3]


def test_canceling_a_working_order_takes_it_off_the_venue():
    plan = {0: lambda s: s.buy(10, limit=98), 2: lambda s: s.cancel(s.ids[0])}
    run = ot.backtest(scripted(plan), BARS)
    assert fills(run) == []
    assert run.orders["status"].to_list() == ["CANCELED"]


APART = [
    flat([100, 101, 102, 103], "AAA.XNAS"),  # 8, 9, 10, 11 January
    flat([50, 51, 52, 53], "BBB.XNAS", on=[MONDAY + timedelta(days=k) for k in (0, 2, 3, 4)]),
]
EXPECTED = {
    "next_open": {"AAA.XNAS": ("01-09 14:30:00", 101), "BBB.XNAS": ("01-10 14:30:00", 51)},
    "this_close": {"AAA.XNAS": ("01-08 21:00:00", 101), "BBB.XNAS": ("01-08 21:00:00", 51)},
    "next_close": {"AAA.XNAS": ("01-09 21:00:00", 102), "BBB.XNAS": ("01-10 21:00:00", 52)},
    "intrabar": {"AAA.XNAS": ("01-09 14:30:00", 101), "BBB.XNAS": ("01-10 14:30:00", 51)},
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("fill", ALL)
def test_two_instruments_trade_each_on_its_own_bars_whatever_their_order(fill, turned):
    def both(s: Any) -> None:
        s.buy(1, instrument="AAA.XNAS")
        s.buy(1, instrument="BBB.XNAS")

    run = ot.backtest(scripted({0: both}), APART[::-1] if turned else APART, fill=fill)
    got = dict(zip(run.fills["instrument"], [(f[0], f[3]) for f in fills(run)], strict=True))
    assert got == EXPECTED[fill]


@pytest.mark.parametrize("fill", ["this_close", "next_close"])
def test_no_order_trades_at_an_old_close_of_an_instrument_that_had_no_bar(fill):
    # 9 January: only AAA has a bar; BBB's last close is a day old and its next bar is the 10th
    run = ot.backtest(scripted({2: lambda s: s.buy(1, instrument="BBB.XNAS")}), APART, fill=fill)
    assert fills(run) == [("01-10 21:00:00", "BUY", 1, 52)]


@pytest.mark.parametrize(
    ("fill", "latency", "time", "price"),
    [
        ("next_open", 0.5, "01-09 14:30:00", 102),  # sent in the evening, there in time
        ("next_open", 20 * 3600, "01-10 14:30:00", 107),  # too late for the open of the 9th
        ("this_close", 0.5, "01-09 21:00:00", 107),
        ("next_close", 0.5, "01-09 21:00:00", 107),
    ],
)
def test_with_latency_an_order_trades_at_the_first_moment_it_is_there_for(
    fill, latency, time, price
):
    assert go({0: lambda s: s.buy(10)}, fill, latency=latency) == [(time, "BUY", 10, price)]


@pytest.mark.parametrize("fill", ["next_open", "this_close"])
def test_slippage_moves_market_orders_by_whole_ticks_against_them(fill):
    base = go({0: lambda s: s.buy(10), 2: lambda s: s.close()}, fill)
    worse = go({0: lambda s: s.buy(10), 2: lambda s: s.close()}, fill, slippage=ot.ticks(3))
    assert worse[0][3] - base[0][3] == D("0.03")
    assert base[1][3] - worse[1][3] == D("0.03")


def test_an_order_in_on_start_trades_at_the_first_open_and_after_the_run_was_opened():
    class Early(ot.Strategy):
        def on_start(self) -> None:
            self.buy(1)

    run = ot.backtest(Early, BARS)
    assert fills(run) == [("01-08 14:30:00", "BUY", 1, 100)]
    times = [event.ts_event for event in run.recording]
    assert times[0] == min(times)


def test_this_close_is_called_optimistic_and_next_open_is_not():
    plan = scripted({})
    said = ot.backtest(plan, BARS, fill="this_close").warnings
    assert any("optimistic" in line for line in said)
    assert not any("optimistic" in line for line in ot.backtest(plan, BARS).warnings)


def test_next_open_is_the_convention_of_bars_when_none_is_named():
    assert ot.backtest(scripted({}), BARS).conventions["fill"].startswith("next_open")
