"""Moment: what a live session gives its host: a time that can be repeated.

Every input of a session (a row, a venue's report, a timer, a person's word) has a stamp of its
own, strictly rising, in ns UTC. While an input is handled, its stamp is the time: everything that
is derived from it carries it. A session's inputs, put in order of their stamps, give the same
tape again, which no clock on the wall would.
"""

from __future__ import annotations

from typing import Any, Protocol


class Moment(Protocol):
    """The time and the ids of a live session, as its host sees them."""

    @property
    def now(self) -> int:
        """The stamp of what is being handled, ns UTC."""
        ...

    def clock(self, host: Any) -> Any:
        """Return the clock that the strategy sees."""
        ...

    def factory(self, strategy: Any) -> Any:
        """Return an order factory whose ids follow from the session's name and their order."""
        ...

    def failed(self, error: BaseException) -> None:
        """Learn that the strategy raised: the session ends in order."""
        ...
