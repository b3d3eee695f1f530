"""New terms as a cancel and a new order: never more than is left, by the venue's own count."""

from __future__ import annotations

from .desk import D, Desk


def desk() -> Desk:
    at = Desk(replace=False)
    at.new()
    at.report("0")
    at.fill("E1", 10, 10)
    return at


def test_what_the_cancel_says_is_filled_is_not_ordered_again() -> None:
    at = desk()
    wire = at.modify(price="9")
    at.report("4", wire, t41="C1", t14=20)  # a fill of 10 has not come yet
    assert (at.sent[-1].msg_type, at.last()[38]) == ("D", D(10))


def test_the_fill_that_was_on_its_way_is_missed_until_it_comes() -> None:
    at = desk()
    wire = at.modify(price="9")
    at.report("4", wire, t41="C1", t14=20)
    leg = at.sent[-1].ref
    at.report("0", leg, t37="V2", t38=10, t44=9)
    assert at.doubtful == ["C1"]
    at.fill("E2", 10, 20)
    assert at.doubtful == []
    at.fill("E3", 10, 10, t11=leg, t37="V2", t38=10)
    order = at.flow.book.find("C1")
    assert order is not None
    assert (order.filled, order.status, at.doubtful) == (30, "FILLED", [])


def test_nothing_is_ordered_where_all_was_filled_meanwhile() -> None:
    at = desk()
    wire = at.modify(price="9")
    before = len(at.sent)
    at.report("4", wire, t41="C1", t14=30)
    assert len(at.sent) == before
