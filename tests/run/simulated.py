"""A simulated venue in a process of its own, and orders that work there."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from onetape.errors import VenueUnavailable
from onetape.run.ports import NewOrder
from onetape.run.venues import adapter

GOOG = "GOOG.XNAS"
FAR = Decimal("1.00")  # below any price of the generator: it rests


class Simulated(NamedTuple):
    """A venue that runs; `config` is how to get there."""

    process: subprocess.Popen[str]
    config: dict[str, Any]

    def venue(self) -> Any:
        """Return a new connection, not logged on yet."""
        return adapter("sim").venue(self.config)

    def place(self, orders: Sequence[str], account: str = "A") -> None:
        """Have orders work; returns once the venue says that they do."""
        asyncio.run(_place(self.venue(), orders, account))

    def working(self, account: str = "A") -> list[str]:
        """Return what works, by the venue's word."""
        return asyncio.run(_asked(self.venue(), account))

    def fault(self, name: str, **args: Any) -> None:
        """Begin a fault."""
        venue = adapter("sim").venue({**self.config, "timeout": 0.3})
        asyncio.run(_fault(venue, name, args))


@contextmanager
def simulated(folder: Path) -> Iterator[Simulated]:
    """Run a venue on a socket in `folder`."""
    config, socket = folder / "venue.json", folder / "venue.sock"
    generator = {"instruments": [GOOG], "rate": 10, "seconds": 600}
    config.write_text(json.dumps({
        "generator": generator, "speed": 1.0, "clock": "wall", "accounts": ["A"],
        "cash": {"USD": "100000000"},
    }))  # fmt: skip
    command = [sys.executable, "-m", "onetape_sim", "serve", str(config), "--socket", str(socket)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "listens" in process.stdout.readline()
        yield Simulated(process, {"address": f"unix:{socket}", "accounts": ["A"]})
    finally:
        process.kill()
        process.communicate()


async def _place(venue: Any, orders: Sequence[str], account: str) -> None:
    heard: list[Any] = []
    await venue.connect(heard.append)
    for one in orders:
        order = NewOrder(one, account, GOOG, "BUY", "LIMIT", Decimal(1), price=FAR)
        venue.send(order)
    wanted, there = set(orders), set[str]()
    while not wanted <= there:
        there = {one.client_order_id for one in await venue.orders(account)}
    await venue.disconnect()


async def _asked(venue: Any, account: str) -> list[str]:
    await venue.connect(lambda _: None)
    found = [one.client_order_id for one in await venue.orders(account)]
    await venue.disconnect()
    return found


async def _fault(venue: Any, name: str, args: dict[str, Any]) -> None:
    await venue.connect(lambda _: None)
    with suppress(VenueUnavailable):  # it may not even answer this
        await venue.fault(name, **args)
    await venue.disconnect()
