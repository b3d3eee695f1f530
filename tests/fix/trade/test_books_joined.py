"""O06, O07, O08: other people's orders, drop copies, trade capture, answers that book nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from onetape.run.ports import Accepted, Busted, Canceled, Corrected, Difference, Filled
from onetape_fix.trade.joining import Joined
from onetape_fix.trade.reading import execution
from onetape_fix.wire import Message

from .desk import D, Desk

COPY, CLEARING = "COPY", "CLEARING"


class Books(Desk):
    """A desk whose order session is copied by others; `late` looks after `seconds`."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.flow.joined.up(COPY)

    def copy(self, exec_id: str, qty: Any, cum: Any, px: Any = "10", **more: Any) -> list[Any]:
        """The same kind of report, from the drop copy."""
        seen: list[Any] = []
        hear, self.hear = self.hear, lambda *told: seen.append(told[:2]) or []
        self.fill(exec_id, qty, cum, px, **more)
        self.hear = hear
        return self.copied(*seen[0])

    def copied(self, kind: str, body: dict[int, Any]) -> list[Any]:
        message = self.message(kind, body)
        if kind == "AE":
            said = self.flow.captured(CLEARING, message, 0)
        else:
            read = execution(message, self.profile, self.flow.symbols)
            said = self.flow.joined.copied(COPY, read, 0.0)
        self.said += said
        return said

    def captured(self, exec_id: str, *sides: dict[int, Any], **tags: Any) -> list[Any]:
        body: dict[int, Any] = {571: f"T{self.seq}", 487: "0", 17: exec_id, 55: "AAA", 207: "X"}
        body |= {32: 10, 31: 10, 75: "20240108", 60: "20240108-15:00:00"}
        body |= {int(tag[1:]): value for tag, value in tags.items()}
        rows = sides or ({54: "1", 37: "V1", 11: "C1", 1: "A"},)
        body[552] = [list(row.items()) for row in rows]
        return self.copied("AE", body)

    def late(self, seconds: float = 100.0) -> list[Any]:
        return self.flow.joined.late(seconds)


def test_an_order_by_hand_is_told_as_external_with_all_that_becomes_of_it() -> None:
    at = Desk()
    (accepted,) = at.report("0", "HAND", t37="V7")
    assert accepted == Accepted("", "V7", "AAA.X", accepted.ts_event)
    (fill,) = at.fill("E1", 10, 10, wire="HAND", t37="V7", t1="B", t54="2")
    assert (fill.client_order_id, fill.side, fill.account) == ("", "SELL", "B")
    (canceled,) = at.report("4", "HAND", t37="V7", t14=10)
    assert type(canceled) is Canceled


def test_a_report_without_any_client_id_is_told_too() -> None:
    at = Desk()
    (fill,) = at.fill("E1", 10, 10, t11=None, t37="V8")
    assert (fill.client_order_id, fill.venue_order_id) == ("", "V8")


@given(st.permutations(["order", "copy", "copy", "clearing", "order"]))
def test_the_same_fill_of_all_books_is_told_once_whichever_comes_first(order: list[str]) -> None:
    at = Books()
    at.new()
    for book in order:
        if book == "order":
            at.fill("E1", 10, 10)
        elif book == "copy":
            at.copy("E1", 10, 10)
        else:
            at.captured("E1")
    assert at.kinds() == ["Filled"]
    assert at.flow.book.find("C1").filled == 10
    assert not at.doubtful


def test_a_copy_tells_no_fate_of_our_own_orders_but_their_fills() -> None:
    at = Books()
    at.new()
    body = {37: "V1", 11: "C1", 17: "X", 150: "0", 39: "0", 54: "1", 38: 30, 14: 0, 151: 30}
    assert at.copied("8", body) == []
    (theirs,) = at.copied("8", {**body, 37: "V9", 11: "HAND", 55: "AAA"})
    assert (type(theirs), theirs.client_order_id) == (Accepted, "")


def test_what_the_copy_never_tells_is_a_difference_after_a_grace() -> None:
    at = Books()
    at.new()
    at.fill("E1", 10, 10)
    assert at.flow.joined.late(0.0) == []
    import time

    (said,) = at.late(time.monotonic() + 10)
    assert said == Difference("missing_there", "E1", "10 @ 10 (orders)", "nothing (COPY)")
    assert at.late(time.monotonic() + 20) == []


def test_what_the_order_session_never_tells_is_booked_and_is_a_difference() -> None:
    at = Books()
    at.new()
    (fill,) = at.copy("E1", 10, 10)
    assert fill.client_order_id == "C1"
    (said,) = at.late()
    assert (said.what, said.key, said.ours) == ("missing_here", "E1", "nothing (orders)")


def test_terms_that_differ_between_books_are_told_once() -> None:
    at = Books()
    at.new()
    at.fill("E1", 10, 10, "10")
    (said,) = at.copy("E1", 10, 10, "11")
    assert said == Difference("price", "E1", "10 (orders)", "11 (COPY)")
    assert at.copy("E1", 10, 10, "11") == []


def test_a_book_that_was_down_is_not_held_to_what_came_meanwhile() -> None:
    at = Books()
    at.new()
    at.flow.joined.down(COPY)
    at.fill("E1", 10, 10)
    at.flow.joined.up(COPY)
    assert at.late() == []


def test_a_bust_takes_an_execution_back_in_all_books() -> None:
    at = Books()
    at.new()
    at.fill("E1", 10, 10)
    at.report("H", t17="E2", t19="E1", t14=0)
    assert at.captured("E1", t487="1", t19="E1") == []
    assert at.kinds() == ["Filled", "Busted"]
    assert at.late() == []


def test_a_correction_by_clearing_first_is_told_once() -> None:
    at = Books()
    at.new()
    at.fill("E1", 10, 10)
    (said,) = at.captured("E2", t487="2", t19="E1", t31="9")
    assert (type(said), said.trade_id, said.price) == (Corrected, "E1", D(9))
    assert at.report("G", t17="E3", t19="E1", t32=10, t31=9, t14=10) == []


# -- O07


def test_a_replay_with_a_new_report_id_is_the_same_execution() -> None:
    at = Books()
    at.new()
    assert [type(x) for x in at.captured("E1", t571="T1")] == [Filled]
    assert at.captured("E1", t571="T2", t570="Y") == []


def test_a_capture_may_cancel_what_it_told() -> None:
    at = Books()
    at.new()
    at.captured("E1")
    (said,) = at.captured("E1", t487="1")
    assert (type(said), said.trade_id) == (Busted, "E1")


def test_both_sides_of_one_report_are_two_executions() -> None:
    at = Books()
    at.new("C1")
    at.new("C2", side="SELL")
    said = at.captured(
        "E1", {54: "1", 37: "V1", 11: "C1", 1: "A"}, {54: "2", 37: "V2", 11: "C2", 1: "A"}
    )
    assert [(x.client_order_id, x.side, x.trade_id) for x in said] == [
        ("C1", "BUY", "E1.1"), ("C2", "SELL", "E1.2"),
    ]  # fmt: skip


def test_a_side_that_its_order_has_already_is_not_booked_again() -> None:
    at = Books()
    at.new("C1")
    at.fill("E1", 10, 10)
    said = at.captured("E1", {54: "1", 37: "V1", 11: "C1", 1: "A"}, {54: "2", 37: "V2", 1: "B"})
    assert [(x.client_order_id, x.account) for x in said] == [("", "B")]


def test_allocations_in_a_side_do_not_disturb_it() -> None:
    at = Books()
    at.new()
    side = {54: "1", 37: "V1", 11: "C1", 1: "A", 12: "1.5", 13: "3", 479: "EUR"}
    side[78] = [[(79, "FUND1"), (80, 6)], [(79, "FUND2"), (80, 4)]]
    (fill,) = at.captured("E1", side)
    assert (fill.quantity, fill.commission, fill.commission_currency) == (10, D("1.5"), "EUR")


def test_a_capture_is_acknowledged_unless_it_was_asked_for() -> None:
    at = Books()
    message = at.message("AE", {571: "T1", 17: "E1", 55: "AAA", 32: 1, 31: 1})
    leave = at.flow.acknowledge(message)
    assert leave is not None
    assert dict(leave.body)[571] == "T1"
    again = at.message("AE", {571: "T1", 570: "Y", 17: "E1"})
    assert at.flow.acknowledge(again) is None


# -- O08


def test_answers_about_an_orders_status_book_nothing() -> None:
    for like in ("generic42", "generic44", "generic50"):
        at = Desk(like)
        at.new()
        assert at.report("I", t17="0", t39="2", t14=30, t32=30, t31=10) == []
        assert at.flow.book.find("C1").filled == 0
        assert at.doubtful == ["C1"]
        assert [type(x) for x in at.fill("E1", 30, 30)] == [Filled]
        assert not at.doubtful


def test_executions_that_were_answered_are_told_when_they_are_reported() -> None:
    at = Desk()
    at.new()
    row = [(54, "1"), (37, "V1"), (11, "C1"), (1, "A")]
    answer: Message = at.message(
        "AE", {571: "T", 568: "Q", 17: "E1", 55: "AAA", 207: "X", 32: 30, 31: 10, 552: [row]}
    )
    (fill,) = at.flow.asking.fills_in([answer], "A", 0)
    assert fill.client_order_id == "C1"
    assert [type(x) for x in at.fill("E1", 30, 30)] == [Filled]
    assert at.fill("E1", 30, 30) == []


def test_a_side_of_busted_trades_is_left_out_of_an_answer() -> None:
    at = Desk()
    row = [(54, "1"), (37, "V1"), (1, "A")]
    body = {571: "T", 17: "E1", 55: "AAA", 207: "X", 32: 30, 31: 10, 552: [row]}
    both = [at.message("AE", body), at.message("AE", {**body, 487: "1"})]
    assert at.flow.asking.fills_in(both, "A", 0) == []


def test_positions_are_long_less_short_and_flat_ones_are_left_out() -> None:
    at = Desk()
    body = {710: "Q", 1: "A", 55: "AAA", 207: "X", 60: "20240108-15:00:00"}
    messages = [
        at.message("AP", {**body, 702: [[(703, "TQ"), (704, 10), (705, 30)]]}),
        at.message("AP", {**body, 55: "BBB", 702: [[(703, "TQ"), (704, 5), (705, 5)]]}),
    ]
    (held,) = at.flow.asking.positions_in(messages, "A")
    assert (held.instrument, held.quantity) == ("AAA.X", -20)


def test_a_joined_book_of_one_remembers_nothing() -> None:
    at = Desk()
    at.new()
    at.fill("E1", 10, 10)
    assert isinstance(at.flow.joined, Joined)
    assert not at.flow.joined.waiting
