"""What the books are worth along a clock."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest

from onetape.books.exposure import exposure
from onetape.books.valuation import SCHEMA, InstrumentInfo, equity
from onetape.errors import MarketDataError, SettingsError

from .tapes import DAY, D, Tape, clock, line


def column(frame: pl.DataFrame, name: str) -> list[D]:
    return frame[name].to_list()


def test_a_worked_example_of_four_days():
    tape = Tape().deposit(10_000).on(1).fill(10, 100, 1).on(3).fill(-10, 120, 1)
    marks = {"GOOG": line((1, 101), (2, 95), (3, 119))}
    frame = equity(tape.events, marks, clock(0, 1, 2, 3), "USD")
    assert column(frame, "equity") == [10_000, 10_009, 9_949, 10_198]
    assert column(frame, "cash") == [10_000, 8_999, 8_999, 10_198]
    assert column(frame, "market_value") == [0, 1_010, 950, 0]
    assert column(frame, "unrealized") == [0, 10, -50, 0]
    assert column(frame, "realized") == [0, 0, 0, 200]
    assert column(frame, "commission") == [0, 1, 1, 2]
    assert column(frame, "gross_exposure") == [0, 1_010, 950, 0]
    assert frame["drawdown"].to_list() == pytest.approx([0, 0, 9949 / 10009 - 1, 0])


def test_before_the_first_mark_the_last_fill_price_holds():
    tape = Tape().deposit(1000).on(1).fill(10, 50).on(2).fill(-1, 60)
    frame = equity(tape.events, {"GOOG": line((5, 70))}, clock(1, 2, 4, 5), "USD")
    assert column(frame, "market_value") == [500, 540, 540, 630]


def test_a_mark_from_before_the_split_is_divided_until_a_newer_one_arrives():
    tape = Tape().deposit(1000).on(1).fill(10, 100).on(2.5).split(2)
    marks = {"GOOG": line((1, 100), (2, 110), (4, 54))}
    frame = equity(tape.events, marks, clock(1, 2, 3, 4), "USD")
    assert column(frame, "equity") == [1000, 1100, 1100, 1080]


def test_a_split_between_two_clock_points_divides_only_the_marks_before_it():
    tape = Tape().deposit(1000).on(1).fill(10, 100).on(2).split(2).on(3).split(5)
    marks = {"GOOG": line((1, 100), (2.5, 55))}
    assert column(equity(tape.events, marks, clock(1, 9), "USD"), "equity") == [1000, 1100]


def test_a_split_told_for_two_accounts_divides_the_mark_once():
    tape = Tape().fill(10, 100)
    tape.account = "B"
    tape.fill(10, 100).on(1).split(2)
    tape.account = "A"
    tape.split(2)
    frame = equity(tape.events, {"GOOG": line((0, 100))}, clock(0, 1), "USD")
    assert column(frame, "market_value") == [2000, 2000]


def test_a_mark_stamped_at_the_split_itself_is_from_before_it():
    tape = Tape().deposit(1000).on(1).fill(10, 100).on(2).split(2)
    frame = equity(tape.events, {"GOOG": line((2, 110))}, clock(2, 3), "USD")
    assert column(frame, "equity") == [1100, 1100]


def test_without_a_mark_the_last_fill_price_is_divided_once_too():
    tape = Tape().fill(10, 100)
    tape.account = "B"
    tape.fill(10, 100).on(1).split(2)
    tape.account = "A"
    tape.split(2)
    frame = equity(tape.events, {}, clock(0, 1), "USD")
    assert column(frame, "market_value") == [2000, 2000]


def test_a_split_before_anything_is_held_still_divides_the_old_mark():
    tape = Tape().deposit(1000).on(2).split(2).fill(10, 50)
    frame = equity(tape.events, {"GOOG": line((1, 100))}, clock(1, 2), "USD")
    assert column(frame, "equity") == [1000, 1000]


def test_a_margined_instrument_is_worth_its_open_profit_and_shows_its_notional():
    tape = Tape().deposit(10_000).on(1).fill(2, 4000, 5)
    infos = {"GOOG": InstrumentInfo(multiplier=D(50), margined=True)}
    frame = equity(tape.events, {"GOOG": line((1, 3990))}, clock(1), "USD", infos)
    assert frame.row(0, named=True) | {"ts_event": 0} == {
        "ts_event": 0,
        "equity": D(8995),
        "cash": D(9995),
        "market_value": D(-1000),
        "unrealized": D(-1000),
        "realized": D(0),
        "commission": D(5),
        "dividends": D(0),
        "deposits": D(10_000),
        "gross_exposure": D(399_000),
        "net_exposure": D(399_000),
        "drawdown": 0.0,
    }


def test_longs_and_shorts_add_in_gross_and_cancel_in_net():
    tape = Tape().fill(10, 100)
    tape.instrument = "IBM"
    tape.fill(-5, 200)
    row = equity(tape.events, {}, clock(0), "USD").row(0, named=True)
    assert (row["gross_exposure"], row["net_exposure"]) == (2000, 0)


def test_foreign_amounts_are_translated_at_the_rate_of_the_moment():
    tape = Tape().deposit(1000, "EUR").on(1).fill(2, 100, currency="EUR", commission_currency="EUR")
    rates = {"EUR/USD": line((0, "1.10"), (2, "1.20"))}
    frame = equity(tape.events, {}, clock(0, 1, 2), "USD", rates=rates)
    assert column(frame, "equity") == [1100, 1100, 1200]
    assert column(frame, "market_value") == [0, 220, 240]
    assert column(frame, "deposits") == [1100, 1100, 1100]


def test_the_inverse_rate_serves_too():
    frame = equity(
        Tape().deposit(110).events, {}, clock(0), "EUR", rates={"EUR/USD": line((0, "1.1"))}
    )
    assert column(frame, "equity") == [100]


def test_a_missing_rate_says_what_was_found_expected_and_what_to_try():
    tape = Tape().deposit(1000, "EUR")
    with pytest.raises(MarketDataError, match=r"no rate from EUR to USD.*found rates: GBP/USD"):
        equity(tape.events, {}, clock(0), "USD", rates={"GBP/USD": line((0, "1.3"))})
    with pytest.raises(MarketDataError, match=r"try rates=\{'EUR/USD'"):
        equity(tape.events, {}, clock(0), "USD", rates={"EUR/USD": line((1, "1.3"))})


def test_a_fill_in_another_currency_than_its_instrument_is_refused():
    infos = {"GOOG": InstrumentInfo(currency="EUR")}
    with pytest.raises(MarketDataError, match="GOOG was filled in USD; expected EUR"):
        equity(Tape().fill(1, 1).events, {}, clock(0), "USD", infos)


def test_a_mark_in_floats_is_refused():
    with pytest.raises(MarketDataError, match="expected Decimal"):
        equity([], {"GOOG": ([0], [1.5])}, clock(0), "USD")  # type: ignore[list-item]


def test_times_that_step_back_are_refused():
    with pytest.raises(SettingsError, match="the clock step back in time at row 2"):
        equity([], {}, [1, 2, 1], "USD")
    with pytest.raises(SettingsError, match="marks of GOOG"):
        equity([], {"GOOG": line((2, 1), (1, 1))}, [1], "USD")
    with pytest.raises(SettingsError, match="2 times and 1 prices"):
        equity([], {"GOOG": ([0, 1], [D(1)])}, [1], "USD")


def test_marks_and_clock_may_be_polars_or_numpy():
    tape = Tape().deposit(1000).on(1).fill(10, 100)
    days, prices = line((1, 100), (2, 110))
    times = pl.Series(days).cast(pl.Datetime("ns", "UTC"))
    marks = {"GOOG": (times, pl.Series(prices))}
    for points in (times, np.array(days), np.array(days, dtype="datetime64[ns]")):
        assert column(equity(tape.events, marks, points, "USD"), "equity") == [1000, 1100]


def test_the_schema_is_the_same_without_rows():
    assert equity([], {}, [], "USD").schema == SCHEMA
    assert equity(Tape().deposit(1).events, {}, clock(0), "USD").schema == SCHEMA


def test_a_late_event_counts_from_the_moment_the_tape_had_reached():
    tape = Tape().deposit(1000).on(3).fill(1, 100).on(2).fill(1, 100)
    frame = equity(tape.events, {}, clock(2, 3), "USD")
    assert column(frame, "gross_exposure") == [0, 200]


def test_exposure_at_a_moment_is_per_instrument():
    tape = Tape().fill(10, 100).on(1).split(2).on(2)
    tape.instrument = "IBM"
    tape.fill(-5, 200).on(3).fill(5, 190)
    found = exposure(tape.events, {"GOOG": line((0, 100), (1.5, 51))}, 2 * DAY)
    assert (found["GOOG"].quantity, found["GOOG"].net, found["GOOG"].unrealized) == (20, 1020, 20)
    assert (found["IBM"].gross, found["IBM"].net) == (1000, -1000)
    assert set(exposure(tape.events, {}, 3 * DAY)) == {"GOOG"}


def test_twenty_thousand_points_and_fifty_thousand_fills_take_less_than_two_seconds():
    tape, names = Tape().deposit(1_000_000), "ABCD"
    for number in range(50_000):
        tape.day, tape.instrument = number / 60, names[number % 4]
        tape.fill((number * 7) % 11 - 5 or 1, 100 + number % 13, "0.1")
    points = clock(*(step / 24 for step in range(20_000)))
    prices = [D(100 + step % 17) for step in range(20_000)]
    begun = time.perf_counter()
    equity(tape.events, dict.fromkeys(names, (points, prices)), points, "USD")
    assert time.perf_counter() - begun < 2
