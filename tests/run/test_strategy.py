"""What a quant writes: parameters, targets, several strategies, currencies, timers, mistakes."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

import onetape as ot
from onetape.errors import OnetapeError, RunError, SettingsError

from .hand import D, bars_on_minutes, daily, days, fills, flat, quotes, scripted, trades

DATA = flat([100, 101, 102, 103])


class Tuned(ot.Strategy):
    size = ot.param(10, lo=1, hi=50)
    side = ot.param("buy", choices=["buy", "sell"])

    def on_bar(self, bar: Any) -> None:
        if not self.position():
            self.target(self.size if self.side == "buy" else -self.size)


# -- parameters


def test_parameters_come_from_params_an_instance_or_the_class():
    assert fills(ot.backtest(Tuned, DATA))[0][2] == 10
    assert fills(ot.backtest(Tuned, DATA, params={"size": 3}))[0][2] == 3
    assert fills(ot.backtest(Tuned(size=4, side="sell"), DATA))[0][1:3] == ("SELL", 4)
    assert ot.backtest(Tuned(size=4), DATA).params == {"size": 4, "side": "buy"}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"size": 0}, r"size=0 found, 1 to 50 expected"),
        ({"size": 51}, r"size=51 found, 1 to 50 expected"),
        ({"side": "hold"}, r"side='hold' found, one of 'buy', 'sell' expected"),
        ({"sise": 3}, r"no parameter 'sise'.*did you mean si[dz]e"),
    ],
)
def test_a_parameter_out_of_bounds_or_unknown_is_refused_before_anything_runs(params, said):
    with pytest.raises(SettingsError, match=said):
        ot.backtest(Tuned, DATA, params=params)


def test_a_default_out_of_its_own_bounds_is_refused_when_the_class_is_written():
    with pytest.raises(SettingsError, match="size=99 found"):
        type("Wrong", (ot.Strategy,), {"size": ot.param(99, hi=50)})


def test_a_strategy_with_its_own_init_runs_and_may_be_given_as_class():
    class Own(ot.Strategy):
        size = ot.param(2)

        def __init__(self, **params: Any) -> None:
            super().__init__(**params)
            self.kept = self.size * 2

        def on_bar(self, bar: Any) -> None:
            self.target(self.kept)

    run = ot.backtest(Own, DATA, params={"size": 3})
    assert [f[2] for f in fills(run)] == [6]
    assert ot.rerun(run).identical


def test_an_instance_may_run_many_times_and_keeps_what_was_set_on_it():
    class Set(ot.Strategy):
        extra = 1

        def on_bar(self, bar: Any) -> None:
            self.target(self.extra)

    one = Set()
    one.extra = 5
    first = ot.backtest(one, DATA)
    assert [f[2] for f in fills(first)] == [5]
    assert ot.rerun(first).identical


# -- targets


def test_target_trades_the_difference_and_counts_what_is_on_its_way():
    def twice(s: Any) -> None:
        s.target(10)
        s.target(10)
        s.target(4)

    run = ot.backtest(scripted({0: twice, 2: lambda s: s.target(-3)}), DATA)
    assert [f[1:3] for f in fills(run)] == [("BUY", 10), ("SELL", 6), ("SELL", 7)]


def test_a_target_that_is_held_already_sends_nothing_and_returns_none():
    got: list[Any] = []
    plan = {
        0: lambda s: s.buy(5),
        1: lambda s: got.append(s.target(5)),
        2: lambda s: got.append(s.close()),
    }
    ot.backtest(scripted(plan), DATA)
    assert got[0] is None
    assert isinstance(got[1], str)


def test_a_weight_buys_that_share_of_equity_at_the_last_price_in_whole_units():
    run = ot.backtest(scripted({0: lambda s: s.target(weight=0.5)}), DATA, cash=10_000)
    assert [f[2] for f in fills(run)] == [49]  # 5,000 at the close of 101
    run = ot.backtest(scripted({0: lambda s: s.target(weight=-1)}), DATA, cash=10_000)
    assert [f[1:3] for f in fills(run)] == [("SELL", 99)]


EURUSD = ot.fx("EUR/USD.SIM")


def foreign() -> list[Any]:
    before = [date(2024, 1, 5), *days(4)]  # a day's rate is known at its end
    rate = daily([(1.25, 1.25, 1.25, 1.25)] * 5, on=before, instrument=EURUSD)
    share = daily([(100, 100, 100, 100)] * 4, instrument=ot.equity("SAP.XETR", currency="EUR"))
    return [rate, share]


def test_a_weight_in_a_foreign_share_goes_by_the_rate_in_the_run():
    plan = {3: lambda s: s.target(weight=0.5, instrument="SAP.XETR")}
    run = ot.backtest(scripted(plan), foreign(), cash={"USD": 10_000})
    assert [f[2:] for f in fills(run)] == [(40, 100)]  # 5,000 USD / 1.25 / 100 EUR
    assert run.final_equity == 10_000
    assert run.at("2024-01-11T22:00").cash == {"USD": 10_000, "EUR": -4_000}


def test_without_a_rate_a_foreign_weight_says_which_dataset_is_missing():
    with pytest.raises(OnetapeError, match="no rate from EUR to USD: add a dataset of EUR/USD"):
        ot.backtest(scripted({0: lambda s: s.target(weight=0.5)}), foreign()[1])


def test_cash_in_two_currencies_is_kept_apart_and_valued_by_the_rate():
    run = ot.backtest(scripted({}), foreign(), cash={"USD": 1_000, "EUR": 400})
    assert run.final_equity == 1_000 + 400 * D("1.25")


def test_the_strategy_reads_its_equity_and_its_instruments():
    seen: list[Any] = []

    def look(s: Any) -> None:
        seen.append((s.equity(), s.position(), s.instrument, s.instruments))

    ot.backtest(scripted({0: lambda s: s.buy(10), 2: look}), DATA, cash=10_000)
    # bought at the open of 101; the third bar closes at 103
    assert seen == [(10_000 + 10 * (103 - 101), 10, "AAA.XNAS", ("AAA.XNAS",))]


# -- several strategies


def test_several_strategies_hold_their_own_positions_in_one_account():
    class Long(ot.Strategy):
        def on_bar(self, bar: Any) -> None:
            self.target(10)

    class Short(ot.Strategy):
        def on_bar(self, bar: Any) -> None:
            self.target(-4)

    run = ot.backtest([Long, Short], DATA, cash=10_000)
    held = {row["strategy"]: row["quantity"] for row in run.positions.iter_rows(named=True)}
    assert {name.partition("-")[0]: q for name, q in held.items()} == {"Long": 10, "Short": -4}
    assert run.final_equity == 10_000 + 6 * (104 - 101)


def test_the_same_strategy_may_run_twice_with_other_parameters():
    run = ot.backtest([Tuned(size=3), Tuned(size=8)], DATA)
    assert sorted(f[2] for f in fills(run)) == [3, 8]
    assert run.positions["strategy"].n_unique() == 2
    assert ot.rerun(run).identical


# -- rows, events and timers


def test_rows_of_all_kinds_arrive_in_order_of_time_without_subscription():
    seen: list[tuple[str, int]] = []

    class All(ot.Strategy):
        def on_quote(self, quote: Any) -> None:
            seen.append(("quote", quote.ts_init))

        def on_trade(self, trade: Any) -> None:
            seen.append(("trade", trade.ts_init))

        def on_bar(self, bar: Any) -> None:
            seen.append(("bar", bar.ts_init))

    data = [
        quotes([(0, 100, 101), (70, 100, 101)]),
        trades([(5, 100, 1), (65, 101, 1)], "BBB.XNAS"),
        bars_on_minutes([100, 101], "CCC.XNAS"),
    ]
    ot.backtest(All, data)
    assert [kind for kind, _ in seen] == ["quote", "trade", "bar", "trade", "quote", "bar"]
    assert [ts for _, ts in seen] == sorted(ts for _, ts in seen)


def test_on_order_event_brings_the_life_of_an_order():
    seen: list[str] = []

    def keep(_: Any, event: Any) -> None:
        seen.append(type(event).__name__)

    ot.backtest(scripted({0: lambda s: s.buy(1)}, react=keep), DATA)
    assert seen == ["OrderInitialized", "OrderSubmitted", "OrderFilled"]


def test_timers_fire_between_rows_in_any_chunks():
    class Timed(ot.Strategy):
        def on_start(self) -> None:
            self.seen: list[int] = []
            self.clock.set_timer("six hours", timedelta(hours=6), callback=self.tick)

        def tick(self, event: Any) -> None:
            self.signal(
                "t", self.clock.timestamp_ns() % 86_400_000_000_000 / 3.6e12, instrument="AAA.XNAS"
            )

        def on_bar(self, bar: Any) -> None:
            self.signal("bar", 0.0)

    whole = ot.backtest(Timed, DATA)
    signals = whole.signals.filter(whole.signals["name"] == "t")
    assert signals.height > 8
    for chunk in (1, 2):
        assert ot.backtest(Timed, DATA, chunk=chunk) == whole


def test_signals_are_kept_with_their_row():
    run = ot.backtest(scripted({1: lambda s: s.signal("x", 2.5)}), DATA)
    (row,) = run.signals.iter_rows(named=True)
    assert (row["name"], row["value"], row["instrument"]) == ("x", 2.5, "AAA.XNAS")
    assert f"{row['ts_event']:%m-%d %H:%M}" == "01-09 21:00"


# -- mistakes


def test_an_indicator_outside_a_run_says_to_use_on_start():
    with pytest.raises(RunError, match=r"not in a run yet.*on_start"):
        Tuned().sma(3)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (
            lambda s: s.buy(1, instrument="BBB.XNAS"),
            "BBB.XNAS is not in this run; there is AAA.XNAS",
        ),
        (lambda s: s.buy(1.5), "quantity 1.5 found for AAA.XNAS, a multiple of 1 expected"),
        (lambda s: s.target(1.5), "quantity 1.5 found for AAA.XNAS, a multiple of 1 expected"),
        (lambda s: s.sell(-5), "quantity -5 found for AAA.XNAS, more than zero expected"),
        (lambda s: s.buy(0), "more than zero expected"),
        (lambda s: s.buy(float("nan")), "finite number expected"),
        (lambda s: s.buy(1, limit=100.005), "price 100.005 found for AAA.XNAS, a multiple of 0.01"),
        (lambda s: s.buy(1, time_in_force="LATER"), "time_in_force 'LATER' found"),
        (lambda s: s.target(), "a quantity or weight"),
        (lambda s: s.target(1, weight=0.5), "a quantity or weight"),
        (lambda s: s.bracket("hold", 1, stop_loss=1, take_profit=2), "bracket side 'hold' found"),
        (lambda s: s.cancel("nonsense"), "no order nonsense"),
        (lambda s: s.sma(0), "a whole period of at least 1 expected"),
        (lambda s: s.indicator("sms", 3), "no indicator 'sms'; there are sma, ema"),
        (lambda s: s.sma(3, on="BBB.XNAS"), "no data for 'BBB.XNAS' in this run"),
    ],
)
def test_a_mistake_says_what_was_found_and_what_was_expected(act, said):
    with pytest.raises(OnetapeError) as caught:
        ot.backtest(scripted({1: act}), DATA)
    assert said in str(caught.value)
    assert isinstance(caught.value.__cause__, SettingsError)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"fill": "next_opne"}, "fill='next_opne' found, one of next_open"),
        ({"fill": "book"}, "needs quotes or trades"),
        ({"cash": -1}, "cash of -1 USD found"),
        ({"cash": "many"}, "cash"),
        ({"latency": -1}, "latency=-1 found"),
        ({"account": "gold"}, "account='gold' found"),
        ({"account": 0.5}, "account=0.5 found"),
    ],
)
def test_a_wrong_term_of_the_run_is_refused(terms, said):
    with pytest.raises(SettingsError) as caught:
        ot.backtest(Tuned, DATA, **terms)
    assert said in str(caught.value)


def test_a_wrong_strategy_or_wrong_data_is_refused():
    with pytest.raises(SettingsError, match=r"a subclass of ot\.Strategy"):
        ot.backtest(int, DATA)
    with pytest.raises(SettingsError, match="datasets expected"):
        ot.backtest(Tuned, [])
    with pytest.raises(SettingsError, match="int, datasets expected"):
        ot.backtest(Tuned, [3])


def test_with_several_instruments_an_order_from_a_timer_must_name_one():
    class Vague(ot.Strategy):
        def on_start(self) -> None:
            self.buy(1)

    with pytest.raises(OnetapeError, match="say which instrument"):
        ot.backtest(Vague, [DATA, flat([50, 51], "BBB.XNAS")])


def test_lots_of_a_hundred_are_held_to():
    lots = daily([(10, 10, 10, 10)] * 3, instrument=ot.equity("LOT.XTKS", lot=100))
    assert fills(ot.backtest(scripted({0: lambda s: s.buy(200)}), lots))[0][2] == 200
    assert fills(ot.backtest(scripted({0: lambda s: s.target(weight=0.0255)}), lots))[0][2] == 200
    with pytest.raises(OnetapeError, match="a multiple of 100 expected"):
        ot.backtest(scripted({0: lambda s: s.buy(150)}), lots)


def test_canceling_an_order_that_has_filled_is_no_error():
    plan = {0: lambda s: s.buy(1), 2: lambda s: s.cancel(s.ids[0])}
    assert len(fills(ot.backtest(scripted(plan), DATA))) == 1


def test_a_parameter_that_is_no_finite_number_is_refused_by_name():
    class Leveled(ot.Strategy):
        level = ot.param(1.0)

    with pytest.raises(SettingsError, match="level=inf found, a finite number or None"):
        ot.backtest(Leveled, ot.sample("FB"), params={"level": float("inf")})
