"""New terms as a cancel and a new order: the new one does not leave for a market of long ago."""

from __future__ import annotations

from msgspec.structs import replace

from onetape_fix.gateway.line import Inbound
from onetape_fix.wire import format_utc

from .desk import NOW, Desk


def confirmed(at: Desk, *, replayed: bool = False, age: float = 0.0) -> Inbound:
    """Ask for new terms; return the confirmation of the cancel that comes first."""
    at.new()
    at.report("0")
    wire = at.modify(price="9")
    body = {37: "V1", 11: wire, 41: "C1", 17: "X", 150: "4", 39: "4", 55: "AAA", 207: "X", 54: "1"}
    header = [(43, "Y"), (122, format_utc(NOW - round(age * 1e9)))] if age else ()
    message = at.message("8", body | {38: 30, 14: 0, 151: 0}, header)
    at.position += 1
    return replace(Inbound(message, at.position, NOW), replayed=replayed)


def test_the_new_order_leaves_once_the_cancel_is_confirmed() -> None:
    at = Desk(replace=False)
    at.tell(confirmed(at, age=5.0))
    assert at.sent[-1].msg_type == "D"
    assert "Canceled" not in at.kinds()


def test_it_does_not_where_that_is_heard_of_after_the_gateway_was_gone() -> None:
    at = Desk(replace=False)
    at.tell(confirmed(at, replayed=True))
    assert at.sent[-1].msg_type == "F"
    assert at.kinds()[-1] == "Canceled"


def test_it_does_not_where_the_session_was_down_for_long() -> None:
    at = Desk(replace=False)
    at.tell(confirmed(at, age=60.0))
    assert at.sent[-1].msg_type == "F"
    assert at.kinds()[-1] == "Canceled"
