"""A gateway that is killed is started again by who trades through it; a stopped one is not."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import onetape_fix
from onetape.run.ports import VenueState
from onetape_fix import rehearsal
from onetape_fix.gateway import process

WORLD = {"generator": {"instruments": 1, "seconds": 5}, "speed": 0}
PATIENCE_S = 30.0


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ONETAPE_HOME", str(tmp_path / "home"))
    with rehearsal.broker(WORLD) as made:
        yield made


def test_a_killed_gateway_comes_back_and_so_does_the_session(broker: Any) -> None:
    said: list[VenueState] = []

    async def walk() -> None:
        venue = onetape_fix.venue(broker.config)
        await venue.connect(
            lambda word: said.append(word) if isinstance(word, VenueState) else None
        )
        first = process.running(broker.gateway)
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            while [word.state for word in said][-2:] != ["disconnected", "connected"]:
                await asyncio.sleep(0.02)
        assert process.running(broker.gateway) not in (0, first)
        assert await venue.orders("A") == []
        await venue.disconnect()

    asyncio.run(walk())


def test_a_stopped_gateway_stays_stopped(broker: Any) -> None:
    async def walk() -> None:
        venue = onetape_fix.venue(broker.config)
        await venue.connect(lambda _: None)
        assert await asyncio.to_thread(process.stop, broker.gateway)
        assert not process.died(broker.gateway)
        lines = venue._shared._lines  # type: ignore[attr-defined]
        async with asyncio.timeout(PATIENCE_S):
            while lines._reviving is None or not lines._reviving.done():
                await asyncio.sleep(0.02)
        assert not process.running(broker.gateway)
        await venue.disconnect()

    asyncio.run(walk())
