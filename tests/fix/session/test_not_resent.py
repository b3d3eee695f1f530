"""What the peer asks for again and does not get: whoever meant it hears of it."""

from __future__ import annotations

import pytest

from .room import Desk


@pytest.mark.parametrize("kind", ["D", "F", "G"])
def test_a_request_that_may_not_be_sent_again_is_told_by_its_id(kind: str) -> None:
    desk = Desk()
    desk.log_on()
    desk.app.keeps_back = {kind}
    desk.session.send(kind, [(11, "A1"), (55, "X")])
    desk.got()
    desk.says("2", [(7, 2), (16, 0)])
    (fill,) = desk.got()
    assert (fill.type, fill[123]) == ("4", "Y")
    (alarm,) = [each for each in desk.app.alarms if each.code == "stale_order"]
    assert alarm.detail["client_order_id"] == "A1"
