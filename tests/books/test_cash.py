"""Where cash went, and because of which event."""

from __future__ import annotations

from onetape.books.cash import cash, ledger

from .tapes import D, Tape


def test_a_purchase_pays_price_and_commission_and_a_sale_receives():
    tape = Tape().deposit(10_000).fill(10, 100, "1.5").fill(-4, 110, "0.5")
    assert cash(tape.events) == {("A", "USD"): D("9438")}


def test_every_entry_names_the_event_it_came_from():
    tape = Tape().deposit(10_000).fill(10, 100, 1)
    told = [(e.seq, e.reason, e.amount, e.client_order_id) for e in ledger(tape.events)]
    assert told == [
        (1, "deposit", 10_000, None),
        (2, "fill", -1000, "O2"),
        (2, "commission", -1, "O2"),
    ]


def test_a_margined_fill_moves_only_what_it_realizes():
    tape = Tape().deposit(10_000).fill(2, 4000, 2).fill(-1, 4010, 1)
    entries = ledger(tape.events, margined={"GOOG"}, multipliers={"GOOG": D(50)})
    assert [(e.reason, e.amount) for e in entries] == [
        ("deposit", 10_000),
        ("commission", -2),
        ("realized", 500),
        ("commission", -1),
    ]


def test_a_dividend_pays_what_is_held_when_it_stands_on_the_tape():
    tape = Tape().fill(10, 100).split(2).dividend("0.25").fill(5, 50)
    paid = [e.amount for e in ledger(tape.events) if e.reason == "dividend"]
    assert paid == [5]


def test_a_short_position_pays_the_dividend():
    assert cash(Tape().fill(-10, 100).dividend(2).events)["A", "USD"] == 980


def test_a_dividend_on_nothing_moves_nothing():
    assert ledger(Tape().fill(10, 100).fill(-10, 100).dividend(2).events)[2:] == []


def test_commission_leaves_in_its_own_currency_and_a_rebate_arrives():
    tape = Tape().fill(1, 100, "0.01", commission_currency="BNB").fill(-1, 100, "-0.2")
    assert cash(tape.events) == {("A", "USD"): D("0.2"), ("A", "BNB"): D("-0.01")}


def test_two_thousand_tenths_are_not_a_hair_off():
    tape = Tape()
    for _ in range(1000):
        tape.fill("0.1", "0.1").fill("-0.1", "0.2")
    assert cash(tape.events)["A", "USD"] == 10
