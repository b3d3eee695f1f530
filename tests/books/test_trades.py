"""Round trips."""

from __future__ import annotations

import pytest

from onetape.books.trades import trades
from onetape.errors import SettingsError

from .tapes import DAY, D, Tape


def test_a_trade_runs_from_flat_to_flat():
    tape = Tape().on(1).fill(10, 100, 1).on(2).fill(10, 110, 1).on(4).fill(-20, 120, 2)
    (trade,) = trades(tape.events)
    assert (trade.side, trade.quantity) == ("LONG", 20)
    assert (trade.entry_price, trade.exit_price) == (105, 120)
    assert (trade.gross, trade.commission, trade.net) == (300, 4, 296)
    assert trade.return_fraction == pytest.approx(296 / 2100)
    assert trade.duration == 3 * DAY
    assert (trade.entry_seqs, trade.exit_seqs) == ((1, 2), (3,))


def test_fifo_makes_a_trade_of_each_piece():
    tape = Tape().fill(10, 100, 1).fill(10, 110, 1).fill(-15, 120, 3)
    first, second, rest = trades(tape.events, "fifo")
    assert (first.quantity, first.gross, first.commission) == (10, 200, 3)
    assert (second.quantity, second.gross, second.commission) == (5, 50, D("1.5"))
    assert (rest.quantity, rest.is_open, rest.commission) == (5, True, D("0.5"))
    assert (second.entry_seqs, second.exit_seqs) == ((2,), (3,))


def test_crossing_zero_ends_one_trade_and_begins_the_next():
    long, short = trades(Tape().fill(10, 100).on(1).fill(-15, 90, 3).fill(5, 80).events)
    assert (long.side, long.gross, long.commission) == ("LONG", -100, 2)
    assert (short.side, short.gross, short.commission) == ("SHORT", 50, 1)
    assert short.entry_seqs == (2,)


def test_an_open_trade_comes_last_and_has_no_exit():
    tape = Tape().fill(10, 100).fill(-4, 110)
    (trade,) = trades(tape.events)
    assert trade.is_open
    assert (trade.exit_ts, trade.duration, trade.exit_price) == (None, None, 110)
    assert trade.gross == 40


def test_a_split_inside_a_trade_puts_entry_and_exit_in_the_same_units():
    for method in ("flat", "fifo"):
        (trade,) = trades(Tape().fill(10, 100).split(2).fill(-20, 55).events, method)
        assert (trade.quantity, trade.entry_price, trade.exit_price) == (20, 50, 55)
        assert trade.gross == 100


def test_a_split_after_a_partial_exit_rescales_the_exit_too():
    (trade,) = trades(Tape().fill(10, 100).fill(-5, 120).split(2).fill(-10, 60).events)
    assert (trade.entry_price, trade.exit_price, trade.gross) == (50, 60, 200)


def test_a_multiplier_scales_profit_and_not_prices():
    tape = Tape().fill(1, 4000).fill(-1, 4010)
    (trade,) = trades(tape.events, multipliers={"GOOG": D(50)})
    assert (trade.gross, trade.entry_price, trade.entry_value) == (500, 4000, 200_000)


def test_commission_in_another_currency_is_listed_and_left_out_of_net():
    tape = Tape().fill(1, 100, "0.01", commission_currency="BNB").fill(-1, 110)
    (trade,) = trades(tape.events)
    assert (trade.net, trade.commissions) == (10, {"BNB": D("0.01")})


def test_strategies_trade_apart_in_the_same_instrument():
    tape = Tape().fill(10, 100)
    tape.strategy = "T"
    tape.fill(-10, 100)
    assert [t.side for t in trades(tape.events)] == ["LONG", "SHORT"]


def test_an_unknown_method_is_refused():
    with pytest.raises(SettingsError, match="flat or fifo"):
        trades([], "lifo")  # type: ignore[arg-type]
