"""A client that was slow while its session went and came back hears that it was away."""

from __future__ import annotations

from typing import Any

from onetape_fix.gateway.frames import State
from onetape_fix.gateway.server import There


class Full:
    """A connection that takes nothing for now."""

    def __init__(self) -> None:
        self.roomy = False
        self.posted: list[Any] = []

    def post(self, frame: Any) -> None:
        self.posted.append(frame)


def test_that_the_session_was_down_is_told_although_it_is_up_again() -> None:
    wire = Full()
    ear = There(wire, 1)  # type: ignore[arg-type]
    ear.state(False, "the peer logged out", "")
    ear.state(True, "logged on", "")
    wire.roomy = True
    ear.again()
    assert [frame.up for frame in wire.posted if isinstance(frame, State)] == [False, True]


def test_however_often_it_came_and_went_little_is_kept() -> None:
    wire = Full()
    ear = There(wire, 1)  # type: ignore[arg-type]
    for _ in range(1_000):
        ear.state(False, "", "")
        ear.state(True, "", "")
    wire.roomy = True
    ear.again()
    assert [frame.up for frame in wire.posted] == [False, True]
