"""A session that is lost while a venue connects: its coming back is a coming back."""

from __future__ import annotations

from onetape_fix.gateway.line import LineState

from .desk import Desk


def test_the_next_logon_is_told_where_the_session_was_lost_before_it_began() -> None:
    at = Desk()
    at.flow.end()
    at.said.clear()
    at.flow.begin(at.said.append, up=False)
    assert [each.state for each in at.said] == ["connected", "disconnected"]
    at.tell(LineState(True, "logged on"))
    assert [each.state for each in at.said][-1] == "connected"
    assert len(at.said) == 3
