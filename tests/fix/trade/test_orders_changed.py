"""O02, O03, O04: rejects mapped back, cancels, new terms, chains of ClOrdIDs, and races."""

from __future__ import annotations

import pytest

from onetape.errors import VenueError
from onetape.run.ports import (
    Accepted,
    Canceled,
    CancelRejected,
    Filled,
    MassCancel,
    ModifyRejected,
    Notice,
    Rejected,
    Updated,
)
from onetape_fix.gateway.line import Refused

from .desk import NOW, PROFILES, D, Desk

versions = pytest.mark.parametrize("version", ["4.2", "4.4", "5.0"])


def working(like: str = "generic44", **more) -> Desk:
    at = Desk(like, **more)
    at.new()
    at.report("0")
    at.said.clear()
    return at


# -- O02


def test_a_session_reject_of_an_order_finds_it_by_its_number() -> None:
    at = Desk()
    at.new("C1")
    at.new("C2")
    (said,) = at.hear("3", {45: 2, 371: 44, 372: "D", 373: "6", 58: "Incorrect data format"})
    assert (type(said), said.client_order_id) == (Rejected, "C2")
    assert "Incorrect data format" in said.reason
    assert "tag 44" in said.reason


@pytest.mark.parametrize("body", [{45: 1}, {379: "C1"}, {45: 1, 379: "C1"}])
def test_a_business_reject_of_an_order_finds_it_by_number_or_by_id(body) -> None:
    at = Desk()
    at.new("C1")
    (said,) = at.hear("j", {**body, 372: "D", 380: "3", 58: "not now"})
    assert (type(said), said.client_order_id) == (Rejected, "C1")


def test_a_reject_of_a_request_is_the_requests_fate_and_not_the_orders() -> None:
    at = working()
    at.modify(price="9")
    at.cancel()
    (modified,) = at.hear("j", {45: 2, 372: "G", 380: "3", 58: "no"})
    (canceled,) = at.hear("3", {45: 3, 372: "F", 373: "5", 58: "no"})
    assert (type(modified), type(canceled)) == (ModifyRejected, CancelRejected)
    assert not at.flow.book.find("C1").closed


def test_a_reject_of_an_order_that_works_changes_nothing() -> None:
    at = working()
    said = at.hear("j", {45: 1, 372: "D", 380: "0"})
    assert [type(x) for x in said] == [Notice]


def test_after_a_reset_old_numbers_mean_nothing() -> None:
    at = Desk()
    at.new("C1")
    at.flow.rejects.began_anew()
    assert [type(x) for x in at.hear("3", {45: 1, 372: "D"})] == [Notice]


def test_what_a_line_could_not_send_is_rejected() -> None:
    at = Desk()
    wire = at.new("C1")
    at.tell(Refused(wire, "D", "the gateway was lost"))
    assert at.kinds() == ["Rejected"]


# -- O03


@versions
def test_a_cancel_is_pending_and_then_done(version: str) -> None:
    at = working(PROFILES[version])
    wire = at.cancel()
    assert (at.last()[41], at.last()[37]) == ("C1", "V1")
    assert wire != "C1"
    assert at.report("6", wire, t41="C1") == []
    assert at.flow.book.find("C1").status_now().status == "PENDING_CANCEL"
    (said,) = at.report("4", wire, t41="C1")
    assert said == Canceled("C1", "V1", "AAA.X", said.ts_event, "")


def test_a_cancel_that_comes_too_late_is_rejected() -> None:
    at = working()
    wire = at.cancel()
    at.fill("E1", 30, 30)
    (said,) = at.hear("9", {37: "V1", 11: wire, 41: "C1", 39: "2", 434: "1", 102: "0"})
    assert (type(said), said.reason) == (CancelRejected, "too late to cancel")
    assert at.flow.book.find("C1").status == "FILLED"


def test_a_cancel_of_an_order_that_nobody_knows_goes_out_and_its_reject_comes_back() -> None:
    at = Desk()
    wire = at.cancel("NOBODY")
    assert at.last()[41] == "NOBODY"
    (said,) = at.hear("9", {37: "NONE", 11: wire, 41: "NOBODY", 39: "8", 434: "1", 102: "1"})
    assert (type(said), said.client_order_id, said.instrument) == (
        CancelRejected, "NOBODY", "AAA.X",
    )  # fmt: skip


def test_a_fill_that_crosses_a_cancel_is_booked_before_the_rest_is_canceled() -> None:
    at = working()
    wire = at.cancel()
    at.report("6", wire, t41="C1")
    at.fill("E1", 10, 10)
    said = at.report("4", wire, t41="C1", t14=10)
    assert at.kinds() == ["Filled", "Canceled"]
    assert said[0].reason == ""
    assert at.flow.book.find("C1").filled == 10


def test_an_order_unknown_to_the_venue_but_not_to_us_is_asked_for() -> None:
    at = working()
    wire = at.cancel()
    at.hear("9", {37: "NONE", 11: wire, 41: "C1", 39: "8", 434: "1", 102: "1"})
    assert at.doubtful == ["C1"]


# -- O04


@versions
def test_new_terms_are_confirmed_and_the_chain_goes_on(version: str) -> None:
    at = working(PROFILES[version])
    first = at.modify(price="9")
    assert at.last()[41] == "C1"
    (said,) = at.report("5", first, t41="C1", t44=9)
    assert said == Updated("C1", "V1", "AAA.X", said.ts_event, D(30), D(9), None)
    second = at.modify(quantity="40")
    assert (at.last()[41], at.last()[38], at.last()[44]) == (first, D(40), D(9))
    at.report("5", second, t41=first, t44=9, t38=40)
    at.cancel()
    assert at.last()[41] == second


def test_a_request_behind_another_follows_it_before_it_is_answered() -> None:
    at = working()
    first = at.modify(price="9")
    at.modify(price="8")
    assert at.last()[41] == first
    at.cancel()
    assert at.last()[41] != "C1"


def test_new_terms_that_are_refused_leave_the_old_ones_and_the_old_chain() -> None:
    at = working()
    wire = at.modify(price="9")
    (said,) = at.hear("9", {37: "V1", 11: wire, 41: "C1", 39: "0", 434: "2", 102: "99", 58: "no"})
    assert (type(said), said.reason) == (ModifyRejected, "no")
    at.cancel()
    assert at.last()[41] == "C1"
    assert at.flow.book.find("C1").price == 10


def test_a_broker_that_refuses_new_terms_by_an_execution_report_is_understood() -> None:
    at = working()
    wire = at.modify(price="9")
    (said,) = at.report("8", wire, t41="C1", t39="8", t58="price out of range")
    assert type(said) is ModifyRejected
    assert not at.flow.book.find("C1").closed


def test_a_partial_fill_while_new_terms_are_pending_is_booked() -> None:
    at = working()
    wire = at.modify(price="9")
    at.report("E", wire, t41="C1")
    at.fill("E1", 10, 10, t39="1")
    at.report("5", wire, t41="C1", t14=10, t44=9, t39="1")
    assert at.kinds() == ["Filled", "Updated"]
    assert not at.doubtful


def test_a_quantity_below_what_is_filled_may_end_the_order() -> None:
    at = working()
    at.fill("E1", 20, 20)
    wire = at.modify(quantity="20")
    at.report("5", wire, t41="C1", t38=20, t14=20, t39="2", t151=0)
    assert at.kinds() == ["Filled", "Updated"]


def test_a_replace_crossed_by_a_cancel_ends_with_the_cancel() -> None:
    at = working()
    changed = at.modify(price="9")
    canceled = at.cancel()
    at.report("5", changed, t41="C1", t44=9)
    at.report("4", canceled, t41=changed)
    assert at.kinds() == ["Updated", "Canceled"]


def test_a_cancel_that_wins_against_a_replace_has_the_replace_rejected() -> None:
    at = working()
    changed = at.modify(price="9")
    at.report("4", at.cancel(), t41="C1")
    at.hear("9", {37: "V1", 11: changed, 41: "C1", 39: "4", 434: "2", 102: "0"})
    assert at.kinds() == ["Canceled", "ModifyRejected"]


def test_a_broker_that_keeps_the_first_id_is_asked_by_it() -> None:
    at = working(keeps_clordid=True)
    at.modify(price="9")
    assert [type(x) for x in at.report("5", "C1", t44=9)] == [Updated]
    at.cancel()
    assert at.last()[41] == "C1"


def test_without_g_new_terms_are_a_cancel_and_a_new_order_of_what_is_left() -> None:
    at = working(replace=False)
    at.fill("E1", 10, 10)
    canceled = at.modify(price="9", quantity="25")
    assert at.sent[-1].msg_type == "F"
    assert at.report("4", canceled, t41="C1", t14=10, t38=30) == []
    leg = at.sent[-1]
    assert (leg.msg_type, at.last()[38], at.last()[44]) == ("D", D(15), D(9))
    (updated,) = at.report("0", leg.ref, t37="V2", t38=15, t44=9)
    assert (type(updated), updated.quantity, updated.price) == (Updated, 25, 9)
    (filled,) = at.fill("E2", 15, 15, "9", wire=leg.ref, t37="V2", t38=15)
    assert (filled.client_order_id, at.flow.book.find("C1").filled) == ("C1", 25)
    assert not at.doubtful
    at.cancel()
    assert at.last()[41] == leg.ref


def test_without_g_a_new_order_that_is_refused_leaves_the_order_canceled() -> None:
    at = working(replace=False)
    at.report("4", at.modify(price="9"), t41="C1")
    (said,) = at.report("8", at.sent[-1].ref, t37="V2", t58="no money")
    assert type(said) is Canceled
    assert "no money" in said.reason


def test_without_g_a_line_that_fails_between_the_two_leaves_the_order_canceled() -> None:
    at = working(replace=False)
    wire = at.modify(price="9")
    at.broken = True
    at.report("4", wire, t41="C1")
    assert at.kinds() == ["Canceled"]


def test_without_g_a_cancel_that_is_refused_is_new_terms_that_are() -> None:
    at = working(replace=False)
    wire = at.modify(price="9")
    (said,) = at.hear("9", {37: "V1", 11: wire, 41: "C1", 39: "0", 434: "1", 102: "0"})
    assert type(said) is ModifyRejected


# -- what goes out


@versions
def test_a_new_order_says_what_its_version_wants(version: str) -> None:
    at = Desk(PROFILES[version])
    at.new("C1", post_only=True, time_in_force="GTD", expire_time=NOW)
    body = at.last()
    assert (body[11], body[54], body[38], body[40], body[44]) == ("C1", "1", D(30), "2", D(10))
    assert (body[59], body[126], body[18]) == ("6", "20240108-15:00:00.000", "6")
    assert (21 in body) is (version == "4.2")


def test_the_same_order_is_not_sent_twice() -> None:
    at = working()
    assert at.flow.outgoing.new(at.order("C1"), NOW) is None


def test_what_fix_has_no_word_for_does_not_leave() -> None:
    at = Desk()
    with pytest.raises(VenueError, match="no word in FIX"):
        at.new("C1", type="TRAILING")
    assert at.flow.book.find("C1") is None


def test_orders_may_leave_as_a_list() -> None:
    at = Desk()
    leave = at.flow.outgoing.order_list([at.order("C1"), at.order("C2")], "L1", NOW)
    assert [dict(row)[11] for row in dict(leave.body)[73]] == ["C1", "C2"]
    assert [type(x) for x in at.report("0", "C2", t66="L1")] == [Accepted]
    with pytest.raises(VenueError, match="35=E"):
        Desk("lmax").flow.outgoing.order_list([], "L", NOW)


def test_a_mass_cancel_takes_no_other_accounts_orders_along() -> None:
    at = working()
    assert at.flow.outgoing.mass_cancel(MassCancel("A"), NOW).msg_type == "q"
    at.report("0", "THEIRS", t37="V9", t1="OTHER")
    assert at.flow.outgoing.mass_cancel(MassCancel("A"), NOW) is None
    assert Desk("generic42").flow.outgoing.mass_cancel(MassCancel("A"), NOW) is None


def test_an_external_order_is_canceled_by_what_the_venue_calls_it() -> None:
    at = Desk()
    assert at.report("0", "MANUAL", t37="V7")[0].client_order_id == ""
    from onetape.run.ports import CancelOrder

    leave = at.flow.outgoing.cancel(CancelOrder("EXT-V7", "V7", "AAA.X"), NOW)
    assert (dict(leave.body)[41], dict(leave.body)[37]) == ("MANUAL", "V7")
    (said,) = at.report("4", leave.ref, t41="MANUAL", t37="V7")
    assert (said.client_order_id, said.venue_order_id) == ("", "V7")
    assert isinstance(at.fill("E1", 1, 1, wire="MANUAL", t37="V7")[0], Filled)
