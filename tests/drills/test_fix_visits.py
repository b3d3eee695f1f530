"""Who only cancels on a session over FIX leaves to the trader what the broker says meanwhile."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import onetape_fix
from onetape.run.killing import How, kill
from onetape.run.ports import Accepted, Canceled, NewOrder
from onetape_fix import rehearsal

GEN = "GEN000.SIM"
WORLD = {
    "generator": {"instruments": 1, "seconds": 3600, "rate": 5, "seed": 3},
    "speed": 1.0, "clock": "wall",
}  # fmt: skip


async def until_said(said: list[Any], kind: type) -> None:
    async with asyncio.timeout(20):
        while not any(isinstance(one, kind) for one in said):
            await asyncio.sleep(0.01)


def test_what_a_kill_heard_is_told_to_the_trader_that_comes_back(tmp_path: Path) -> None:
    async def walk(config: dict[str, object]) -> None:
        said: list[Any] = []
        trader = onetape_fix.venue(config)
        await trader.connect(said.append)
        trader.send(NewOrder("O-1", "A", GEN, "BUY", "LIMIT", Decimal(1), price=Decimal("1.00")))
        await until_said(said, Accepted)
        await trader.disconnect()
        said.clear()
        how = How(spool=tmp_path)
        made = await kill(
            None, {"fix": onetape_fix.venue(config)}, "account:A", "a drill", "ann",
            accounts=("A",), how=how,
        )  # fmt: skip
        assert made.done, made
        again = onetape_fix.venue(config)
        await again.connect(said.append)
        await until_said(said, Canceled)
        assert [one.client_order_id for one in said if isinstance(one, Canceled)] == ["O-1"]
        await again.disconnect()

    with rehearsal.broker(WORLD, tls=False) as broker:
        asyncio.run(walk(broker.config))
