"""An order that was taken to be lost and is not: nobody is left to believe that it is dead."""

from __future__ import annotations

from onetape.run.ports import Accepted, Notice

from .desk import Desk


def test_an_order_that_works_although_it_was_told_as_rejected_is_told_loudly() -> None:
    at = Desk()
    wire = at.new()
    at.flow.lost(wire, "the gateway was lost")
    assert at.kinds() == ["Rejected"]
    said = at.report("0")
    assert [type(each) for each in said] == [Notice, Accepted]
    assert said[0].level == "critical"
    order = at.flow.book.find("C1")
    assert order is not None
    assert not order.closed
