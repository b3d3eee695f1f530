"""A strategy that fails, fails loudly: its own error, where and when, and nothing printed."""

from __future__ import annotations

import traceback
from datetime import timedelta
from typing import Any

import pytest
from nautilus_trader.model import BarType
from nautilus_trader.trading import Strategy as EngineStrategy

import onetape as ot
from onetape.errors import SettingsError, StrategyError

from .hand import BARS_TYPE, daily, flat, quotes, scripted, trades

DATA = flat([100, 101, 102, 103])


class Boom(Exception):
    pass


def boom(*_: Any) -> None:
    raise Boom("as planned")


def failing(handler: str) -> type:
    class Failing(ot.Strategy):
        def on_start(self) -> None:
            if handler == "timer":
                self.clock.set_timer("t", timedelta(days=1), callback=boom)
            if handler == "alert":
                self.clock.set_time_alert_ns("t", 1704834000_000_000_000, boom)
            if handler == "on_time_event":
                self.clock.set_timer("t", timedelta(days=1))

        def on_bar(self, bar: Any) -> None:
            if not self.position():
                self.buy(1)

        def on_quote(self, quote: Any) -> None:
            pass

    if handler not in ("timer", "alert"):
        setattr(Failing, handler, boom)
    return Failing


HANDLERS = [
    "on_start",
    "on_bar",
    "on_order_event",
    "on_order_filled",
    "on_order_initialized",
    "on_position_opened",
    "on_stop",
    "on_time_event",
    "timer",
    "alert",
]


@pytest.mark.parametrize("handler", HANDLERS)
def test_an_error_in_any_callback_raises_strategy_error_with_the_users_own_as_its_cause(
    handler, capfd
):
    with pytest.raises(StrategyError, match="as planned") as caught:
        ot.backtest(failing(handler), DATA)
    assert isinstance(caught.value.__cause__, Boom)
    last = traceback.extract_tb(caught.value.__cause__.__traceback__)[-1]
    assert last.filename == __file__
    assert last.name == "boom"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("handler", "data"),
    [
        ("on_quote", quotes([(0, 100, 101), (1, 100, 101)])),
        ("on_trade", trades([(0, 100, 1), (1, 100, 1)])),
    ],
)
def test_an_error_on_a_tick_names_the_handler_the_event_and_its_time(handler, data):
    with pytest.raises(StrategyError, match=rf"{handler} raised Boom.*2024-01-08 15:00:00 UTC"):
        ot.backtest(failing(handler), data)


def test_the_message_names_the_row_its_time_and_the_line():
    with pytest.raises(StrategyError) as caught:
        ot.backtest(failing("on_bar"), DATA)
    said = str(caught.value)
    assert "on_bar raised Boom: as planned while handling Bar AAA.XNAS" in said
    assert "2024-01-08 21:00:00 UTC" in said
    assert __file__ in said


def test_the_run_stops_at_the_error():
    seen: list[Any] = []

    class Second(ot.Strategy):
        def on_bar(self, bar: Any) -> None:
            seen.append(bar)
            if len(seen) == 2:
                raise Boom

        def on_stop(self) -> None:
            seen.append("stop")

    with pytest.raises(StrategyError):
        ot.backtest(Second, DATA)
    assert len(seen) == 2


def test_a_timer_that_fails_stops_the_run_before_the_next_row():
    seen: list[Any] = []

    class Late(ot.Strategy):
        def on_start(self) -> None:
            self.clock.set_time_alert_ns("t", 1704790800_000_000_000, boom)  # 9 Jan, 09:00

        def on_bar(self, bar: Any) -> None:
            seen.append(bar)

    with pytest.raises(StrategyError, match="boom raised Boom"):
        ot.backtest(Late, DATA)
    assert len(seen) == 1


@pytest.mark.parametrize("wish", [KeyboardInterrupt, SystemExit])
def test_a_wish_to_stop_passes_as_it_is(wish):
    def stop(_: Any) -> None:
        raise wish

    with pytest.raises(wish):
        ot.backtest(scripted({1: stop}), DATA)


def test_an_error_in_a_plain_engine_strategy_is_told_the_same_way(capfd):
    class Plain(EngineStrategy):
        def on_start(self) -> None:
            self.subscribe_bars(BarType.from_str(BARS_TYPE))
            self.clock.set_time_alert_ns("t", 1704920400_000_000_000, boom)

        def on_bar(self, bar: Any) -> None:
            pass

    with pytest.raises(StrategyError, match="as planned") as caught:
        ot.backtest(Plain, DATA)
    assert isinstance(caught.value.__cause__, Boom)
    assert capfd.readouterr() == ("", "")


def test_a_mistake_in_an_order_is_told_where_it_was_made():
    with pytest.raises(StrategyError, match="more than zero expected") as caught:
        ot.backtest(scripted({1: lambda s: s.sell(-5)}), DATA)
    assert isinstance(caught.value.__cause__, SettingsError)


def test_a_good_run_prints_and_logs_nothing(capfd, caplog):
    run = ot.backtest(scripted({0: lambda s: s.buy(1), 2: lambda s: s.close()}), DATA)
    assert run.fills.height == 2
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_a_run_that_fails_leaves_the_next_one_in_order():
    good = scripted({0: lambda s: s.buy(1)})
    before = ot.backtest(good, DATA)
    with pytest.raises(StrategyError):
        ot.backtest(failing("on_bar"), DATA)
    assert ot.backtest(good, DATA) == before


def test_a_market_that_takes_all_the_cash_is_a_loss_and_not_an_error():
    crash = daily([(100, 100, 100, 100)] * 2 + [(1, 1, 1, 1)] * 2)
    run = ot.backtest(scripted({0: lambda s: s.buy(1_000)}), crash, cash=10_000, account=10)
    assert run.final_equity == 10_000 - 99_000
