"""A trader that found its gateway gone while it started again, as whoever looks sees it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from onetape.errors import VenueUnavailable
from onetape.run import live


class Restarted:
    """A trader whose feed goes away after its session was opened on the tape."""

    stream, error, state, detail, opened = "session/S-r2", "", "starting", "", True

    def __init__(self, telling: Any) -> None:
        self.telling, self.seen = telling, list[bool]()

    async def begin(self) -> None:
        raise VenueUnavailable("the gateway is gone")

    async def end(self) -> str:
        self.seen.append(self.telling.again)
        return "failed"

    async def close(self, state: str) -> None:
        self.state = state
        self.seen.append(self.telling.again)


def test_a_trader_that_is_tried_again_is_never_said_to_have_failed() -> None:
    telling: Any = SimpleNamespace(again=False, now=lambda: None)
    trader: Any = Restarted(telling)
    process = live._Process(Path(), None, 2)  # type: ignore[arg-type]
    assert asyncio.run(process._through(trader, telling)) == live.AGAIN
    assert trader.seen == [True, True]
    assert trader.state == "starting"


def test_a_first_start_that_fails_is_said_to() -> None:
    telling: Any = SimpleNamespace(again=False, now=lambda: None)
    trader: Any = Restarted(telling)
    process = live._Process(Path(), None, 1)  # type: ignore[arg-type]
    assert asyncio.run(process._through(trader, telling)) == 1
    assert trader.seen == [False, False]
