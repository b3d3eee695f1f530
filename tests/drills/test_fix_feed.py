"""Two who hear market data on one session, and what one that was killed had asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import onetape_fix
from onetape.run.ports import Quote, Subscription
from onetape_fix import rehearsal

GEN = "GEN000.SIM"
WORLD = {
    "generator": {"instruments": 1, "seconds": 3600, "rate": 200, "seed": 3},
    "speed": 1.0, "clock": "wall",
}  # fmt: skip


@pytest.fixture
def broker() -> Iterator[rehearsal.Broker]:
    with rehearsal.broker(WORLD, tls=False) as made:
        yield made


async def heard(rows: list[Any], count: int) -> list[Quote]:
    async with asyncio.timeout(20):
        while len(found := [row for row in rows if isinstance(row, Quote)]) < count:
            await asyncio.sleep(0.01)
    return found


def test_a_feed_tells_no_row_that_it_was_not_asked_for_and_none_twice(
    broker: rehearsal.Broker,
) -> None:
    async def walk() -> None:
        first, second = onetape_fix.feed(broker.config), onetape_fix.feed(broker.config)
        ours: list[Any] = []
        theirs: list[Any] = []
        try:
            await first.connect(ours.append)
            await first.subscribe(Subscription(GEN, "quotes"))
            await asyncio.sleep(0.05)  # ten rows of this market, which waits for nobody
            await first.begin()
            told = [quote.sequence or 0 for quote in await heard(ours, 20)]
            assert told == list(range(told[0], told[0] + len(told)))
            await second.connect(theirs.append)
            await heard(ours, len(ours) + 20)
            assert not [row for row in theirs if isinstance(row, Quote)]
            await second.subscribe(Subscription(GEN, "quotes"))
            told = [quote.sequence for quote in await heard(theirs, 40)]
            assert told == sorted(set(told))
            told = [quote.sequence for quote in await heard(ours, 100)]
            assert told == sorted(told)
            assert len(told) - len(set(told)) <= 1  # its broker shows the book to both
        finally:
            await first.disconnect()
            await second.disconnect()

    asyncio.run(walk())
