"""What an account holds, by worked examples, refusals and laws."""

from __future__ import annotations

import pytest

from onetape.books.positions import Key, Position, positions
from onetape.errors import BrokenTape, SettingsError
from onetape.tape.kinds import OrderFilled

from .tapes import D, Tape

KEY = Key("A", "GOOG", "S")


def held(tape: Tape, method: str = "average", **more: object) -> Position:
    return positions(tape.events, method, **more)[KEY]  # type: ignore[arg-type]


def test_no_fill_leaves_no_position():
    assert positions(Tape().deposit(100).events) == {}


def test_adding_moves_the_average_and_reducing_realizes_against_it():
    position = held(Tape().fill(10, 100).fill(10, 110).fill(-5, 120))
    assert position.quantity == 15
    assert position.average_price == 105
    assert position.realized == 75  # 5 x (120 - 105)
    assert position.unrealized(D(104)) == -15


def test_fifo_realizes_against_the_oldest_lot():
    position = held(Tape().fill(10, 100).fill(10, 110).fill(-15, 120), "fifo")
    assert position.realized == 10 * 20 + 5 * 10
    assert position.average_price == 110
    assert [lot.seq for lot in position.holding.lots or ()] == [2]


def test_crossing_zero_realizes_the_closed_part_and_opens_the_rest_at_the_fill_price():
    for method in ("average", "fifo"):
        position = held(Tape().fill(10, 100).fill(-15, 90), method)
        assert (position.quantity, position.average_price) == (-5, 90)
        assert position.realized == -100
        assert position.opened_seq == 2


def test_a_short_earns_when_the_price_falls():
    position = held(Tape().fill(-10, 100).fill(4, 80))
    assert (position.realized, position.cost) == (80, -600)
    assert position.unrealized(D(90)) == 60


def test_a_flat_position_has_no_cost_left_and_no_opening_fill():
    position = held(Tape().fill(1, 1).fill(1, 2).fill(1, 2).fill(-1, 1).fill(-1, 1).fill(-1, 1))
    assert (position.quantity, position.cost, position.opened_seq) == (0, 0, None)
    assert position.realized == -2  # thirds were shared out on the way, nothing was lost
    assert position.fill_seqs == (1, 2, 3, 4, 5, 6)


def test_a_multiplier_scales_money_and_leaves_the_average_in_price_units():
    position = held(Tape().fill(2, 4000).fill(-1, 4010), multipliers={"GOOG": D(50)})
    assert (position.realized, position.cost, position.average_price) == (500, 200_000, 4000)


def test_commission_is_kept_by_currency_and_stays_out_of_realized():
    tape = Tape().fill(1, 100, "0.5").fill(-1, 100, "0.001", commission_currency="BNB")
    position = held(tape)
    assert position.commission == {"USD": D("0.5"), "BNB": D("0.001")}
    assert position.realized == 0


def test_a_split_rescales_quantity_and_average_without_profit():
    position = held(Tape().fill(15, 600).split(2))
    assert (position.quantity, position.average_price, position.realized) == (30, 300, 0)
    assert position.unrealized(D(300)) == 0


def test_a_reverse_split_keeps_the_fraction():
    position = held(Tape().fill(15, 10).split("0.1"))
    assert (position.quantity, position.cost) == (D("1.5"), 150)


def test_a_split_reaches_every_strategy_of_the_account_and_no_other_account():
    tape = Tape().fill(10, 100)
    tape.strategy = "T"
    tape.fill(4, 100)
    tape.account, before = "B", tape.account
    tape.fill(7, 100)
    tape.account = before
    quantities = {key: p.quantity for key, p in positions(tape.split(3).events).items()}
    assert quantities == {KEY: 30, Key("A", "GOOG", "T"): 12, Key("B", "GOOG", "T"): 7}


def test_a_voided_fill_is_as_if_it_had_never_been():
    tape = Tape().fill(10, 100).fill(10, 200).fill(-5, 150).void(2)
    position = held(tape)
    assert (position.quantity, position.average_price, position.realized) == (5, 100, 250)
    assert position.fill_seqs == (1, 3)


def test_a_correction_under_the_same_trade_id_counts_after_the_void():
    ids = {"client_order_id": "O", "trade_id": "T"}
    tape = Tape().fill(10, 100, **ids).void(1).fill(10, 101, **ids)
    assert held(tape).cost == 1010


def test_a_fill_sent_twice_is_refused_and_names_its_place():
    ids = {"client_order_id": "O", "trade_id": "T"}
    with pytest.raises(BrokenTape, match=r"seq 2: trade T of order O stands since seq 1"):
        held(Tape().fill(1, 100, **ids).fill(1, 100, **ids))


def test_an_event_read_twice_is_refused():
    tape = Tape().fill(1, 100)
    with pytest.raises(BrokenTape, match="seq 1"):
        positions(tape.events + tape.events)
    with pytest.raises(BrokenTape, match="already booked up to seq 1"):
        positions(tape.events, start=positions(tape.events))


def test_a_void_of_nothing_is_refused():
    tape = Tape().fill(1, 100).void(1)
    with pytest.raises(BrokenTape, match="fold from the start of the tape"):
        positions(tape.events[1:])


def test_a_split_of_zero_is_refused():
    with pytest.raises(BrokenTape, match="expected more than zero"):
        positions(Tape().fill(1, 100).split(0).events)


def test_an_unknown_method_is_refused():
    with pytest.raises(SettingsError, match="average, fifo"):
        positions([], "lifo")  # type: ignore[arg-type]


def test_a_start_of_another_method_is_refused():
    start = positions(Tape().fill(1, 100).events, "fifo")
    with pytest.raises(SettingsError, match="refold"):
        positions([], "average", start=start)


def test_a_position_books_fills_and_splits_one_by_one_as_the_fold_does():
    tape = Tape().fill(10, 100, 1).split(2).fill(-5, 60, 1)
    one = positions(tape.events[:1])[KEY].split(2, D(2))
    fact = tape.events[2].fact
    assert isinstance(fact, OrderFilled)
    assert one.after(3, fact) == held(tape)
    with pytest.raises(BrokenTape):
        one.after(2, fact)
