"""Benches for the simulated venue: in process, over a socket, on paper; and a served world."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

import onetape as ot
import onetape_sim as sim
from onetape.run.ports import Quote
from onetape_sim.serve import serving
from onetape_sim.world import World, world_of

D = Decimal
AAA = ot.equity("AAA.SIM", session=None, tz="UTC")
LISTED = msgspec.to_builtins(AAA)
NUMBERS = count(1)
START = 1_704_726_000_000_000_000
GENERATOR = {"instruments": ["AAA.SIM"], "rate": 100, "seconds": 0.5}


def quote(bid: Any, ask: Any, size: Any = 1_000, ts: int = START, name: str = "AAA.SIM") -> Quote:
    return Quote(name, ts, D(bid), D(ask), D(size), D(size))


@asynccontextmanager
async def world(**config: Any) -> AsyncIterator[tuple[World, dict[str, Any]]]:
    """A world of the test's own, and the config that names it."""
    name = f"test-{next(NUMBERS)}"
    made = world_of({"world": name, **config})
    try:
        yield made, {"world": name}
    finally:
        sim.forget(name)


@asynccontextmanager
async def served(**config: Any) -> AsyncIterator[tuple[World, dict[str, Any]]]:
    """A world behind a unix socket, and the config of a client."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix:{Path(folder) / 's'}"
        async with world(heartbeat=0.05, **config) as (made, _), serving(made, address):
            yield made, {"address": address, "heartbeat": 0.05, "timeout": 2.0}


async def turn() -> None:
    """Let everything that is due on the loop happen."""
    for _ in range(5):
        await asyncio.sleep(0)
