"""O01 and O05: executions in whatever order and number they come, taken back, corrected."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.run.ports import (
    Accepted,
    Busted,
    Canceled,
    Corrected,
    Difference,
    Expired,
    Filled,
    Notice,
    Rejected,
    Triggered,
    Updated,
)

from .desk import PROFILES, D, Desk

versions = pytest.mark.parametrize("version", ["4.2", "4.4", "5.0"])


def desk(version: str, **more) -> Desk:
    made = Desk(PROFILES[version], **more)
    made.new()
    return made


@versions
def test_an_order_is_accepted_partly_and_wholly_filled(version: str) -> None:
    at = desk(version)
    assert at.report("A") == []
    (accepted,) = at.report("0")
    assert accepted == Accepted("C1", "V1", "AAA.X", accepted.ts_event)
    (first,) = at.fill("E1", 10, 10, "10.5")
    assert (first.trade_id, first.side, first.quantity, first.price) == ("E1", "BUY", 10, D("10.5"))
    (second,) = at.fill("E2", 20, 30)
    assert (second.client_order_id, second.account) == ("C1", "A")
    assert at.flow.book.find("C1").status == "FILLED"
    assert not at.doubtful


@versions
def test_a_fill_before_the_acknowledgement_is_booked_and_the_acknowledgement_is_absorbed(version):
    at = desk(version)
    assert [type(x) for x in at.fill("E1", 10, 10)] == [Filled]
    assert at.report("0", t39="1", t14=10) == []


@versions
@pytest.mark.parametrize("flagged", [True, False])
def test_an_execution_that_comes_twice_is_booked_once_flagged_or_not(version, flagged) -> None:
    at = desk(version)
    at.fill("E1", 10, 10)
    assert at.fill("E1", 10, 10, again=flagged) == []
    assert at.flow.book.find("C1").filled == 10


@versions
def test_an_older_report_that_comes_late_is_booked_and_settles_the_doubt(version: str) -> None:
    at = desk(version)
    at.fill("E2", 20, 30)
    assert at.doubtful == ["C1"]
    assert [type(x) for x in at.fill("E1", 10, 10, again=True)] == [Filled]
    assert not at.doubtful


@given(st.permutations([("E1", 5, 5), ("E2", 10, 15), ("E3", 15, 30)]), st.data())
def test_whatever_order_and_however_often_reports_come_each_execution_is_told_once(order, data):
    at = Desk()
    at.new()
    again = data.draw(st.lists(st.sampled_from(order), max_size=4))
    for exec_id, qty, cum in itertools.chain(order, again):
        at.fill(exec_id, qty, cum, again=True)
    told = [each for each in at.said if isinstance(each, Filled)]
    assert sorted(each.trade_id for each in told) == ["E1", "E2", "E3"]
    assert sum(each.quantity for each in told) == 30
    assert not at.doubtful


def test_what_is_missing_is_never_made_up_but_told_as_a_difference() -> None:
    at = desk("4.4")
    (filled,) = at.fill("E2", 10, 20)
    assert filled.quantity == 10
    (said,) = at.flow.executions.settle(at.flow.book.find("C1"))
    assert said == Difference("quantity", "C1", "10", "20")


def test_sums_that_do_not_hold_are_noticed_and_asked_for() -> None:
    at = desk("4.4")
    said = at.fill("E1", 10, 10, t151=25)
    assert [getattr(x, "code", "") for x in said] == ["", "leaves_qty"]
    assert at.doubtful == ["C1"]


def test_a_sum_that_falls_is_noticed() -> None:
    at = desk("4.4")
    at.fill("E1", 20, 20)
    said = at.fill("E2", 5, 5)
    assert "cum_qty_fell" in [getattr(x, "code", "") for x in said]


def test_an_unreadable_fill_is_not_booked_and_not_passed_over() -> None:
    at = desk("4.4")
    said = at.report("F", t17="E1", t14=10, t39="1")
    assert [type(x) for x in said] == [Notice]
    assert at.doubtful == ["C1"]


def test_a_fill_without_an_id_is_known_again_all_the_same() -> None:
    at = desk("4.4")
    fields = {"t60": "20240108-15:00:00", "t32": 10, "t31": 10, "t14": 10, "t39": "1"}
    assert len(at.report("F", t17="0", **fields)) == 1
    assert at.report("F", t17="0", **fields) == []


@versions
def test_a_busted_execution_is_taken_back_once(version: str) -> None:
    at = desk(version)
    at.fill("E1", 30, 30)
    (busted,) = at.report("H", t17="E2", t19="E1", t14=0, t39="0", t58="wrong price")
    assert (type(busted), busted.trade_id, busted.reason) == (Busted, "E1", "wrong price")
    assert at.report("H", t17="E2", t19="E1", t14=0, t39="0") == []
    order = at.flow.book.find("C1")
    assert (order.filled, order.status) == (0, "ACCEPTED")
    assert not at.doubtful


@versions
def test_a_correction_of_a_correction_is_about_the_first_execution(version: str) -> None:
    at = desk(version)
    at.fill("E1", 10, 10)
    (first,) = at.report("G", t17="E2", t19="E1", t32=8, t31="9.5", t14=8)
    assert first == Corrected("C1", "V1", "AAA.X", first.ts_event, "E1", D(8), D("9.5"))
    (second,) = at.report("G", t17="E3", t19="E2", t32=9, t31="9.5", t14=9)
    assert (second.trade_id, second.quantity) == ("E1", 9)
    assert at.report("G", t17="E3", t19="E2", t32=9, t31="9.5", t14=9, again=True) == []
    assert not at.doubtful


def test_a_bust_of_an_execution_that_we_never_saw_is_told() -> None:
    at = desk("4.4")
    (busted,) = at.report("H", t17="E9", t19="E8", t14=0)
    assert busted.trade_id == "E8"


@versions
def test_an_unasked_cancel_says_that_it_was(version: str) -> None:
    at = desk(version)
    at.report("0")
    (canceled,) = at.report("4")
    assert type(canceled) is Canceled
    assert "unasked" in canceled.reason
    assert at.report("4", again=True) == []


@versions
def test_orders_expire(version: str) -> None:
    at = desk(version)
    at.report("0")
    assert [type(x) for x in at.report("C")] == [Expired]


def test_a_restated_order_has_its_new_terms() -> None:
    at = desk("4.4")
    at.report("0")
    (updated,) = at.report("D", t38=20, t378="5", t44=10)
    assert (type(updated), updated.quantity) == (Updated, 20)
    assert at.report("D", t38=20, t378="5", t44=10) == []


def test_done_for_the_day_ends_an_order_of_the_day_only() -> None:
    at = Desk()
    at.new("C1", time_in_force="DAY")
    at.new("C2", time_in_force="GTC")
    assert [type(x) for x in at.report("3", "C1")] == [Expired]
    assert [x.code for x in at.report("3", "C2", t37="V2")] == ["done_for_day"]
    (late,) = at.fill("E1", 10, 10)
    assert type(late) is Filled


def test_a_suspended_order_is_told_and_stays() -> None:
    at = desk("4.4")
    at.report("0")
    assert [x.code for x in at.report("9")] == ["suspended"]
    assert not at.flow.book.find("C1").closed


def test_a_trigger_is_told_in_50_and_read_from_a_restatement_before() -> None:
    for version, what, more in (("5.0", "L", {}), ("4.4", "D", {"t636": "Y", "t378": "99"})):
        at = Desk(PROFILES[version])
        at.new("C1", type="STOP_MARKET", price=None, trigger_price=D(11))
        at.report("0", t99=11)
        assert [type(x) for x in at.report(what, t99=11, **more)] == [Triggered]


def test_the_last_fill_of_an_order_may_end_it() -> None:
    at = desk("4.4")
    said = at.fill("E1", 10, 10, t39="4", t151=0)
    assert [type(x) for x in said] == [Filled, Canceled]


def test_a_late_fill_of_an_ended_order_is_told_and_the_order_stays_ended() -> None:
    at = desk("4.4")
    at.report("4")
    assert [type(x) for x in at.fill("E1", 10, 10)] == [Filled]
    assert at.flow.book.find("C1").status == "CANCELED"


@pytest.mark.parametrize(
    ("kind", "told", "paid"), [("1", "0.1", "1.0"), ("2", "1", "1.00"), ("3", "-2", "-2")]
)
def test_commissions_are_per_unit_percent_or_absolute(kind, told, paid) -> None:
    at = desk("4.4")
    (fill,) = at.fill("E1", 10, 10, t12=told, t13=kind, t479="EUR", t851="1")
    assert (fill.commission, fill.commission_currency, fill.liquidity) == (D(paid), "EUR", "MAKER")


@versions
def test_a_rejected_order_says_why(version: str) -> None:
    at = desk(version)
    (rejected,) = at.report("8", t58="no money", t103="0")
    assert rejected == Rejected("C1", "V1", "AAA.X", rejected.ts_event, "no money")
    assert at.report("8", again=True) == []


def test_a_duplicate_that_is_rejected_does_not_end_the_order() -> None:
    at = desk("4.4")
    at.report("0")
    assert [type(x) for x in at.report("8", t103="6", t58="duplicate")] == [Notice]
    assert not at.flow.book.find("C1").closed


def test_a_message_that_cannot_be_taken_in_is_critical_and_the_books_are_compared() -> None:
    at = desk("4.4")
    at.flow.executions.take = None
    said = at.report("0")
    assert [getattr(x, "state", getattr(x, "code", "")) for x in said] == [
        "unmapped", "silent", "connected",
    ]  # fmt: skip
