"""Somebody who trades at a simulated venue in a test: what was heard, and waiting for more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from onetape.run.ports import FeedSignal, NewOrder, Report, Subscription, VenueState

from .benches import D


class Trader:
    """Hears a venue and a feed; `reacts` is called with each row."""

    def __init__(self, venue: Any, feed: Any = None, account: str = "A") -> None:
        self.venue, self.feed, self.account = venue, feed, account
        self.said: list[Any] = []
        self.reacts: Callable[[Any], None] = lambda _row: None
        self.answers = True
        self._more = asyncio.Event()

    async def start(self, *streams: Subscription) -> Trader:
        await self.venue.connect(self.hear)
        if self.feed is not None:
            await self.feed.connect(self.hear)
            for stream in streams or (Subscription("AAA.SIM", "quotes"),):
                await self.feed.subscribe(stream)
            await self.feed.begin()
        return self

    def hear(self, said: Any) -> None:
        self.said.append(said)
        self._more.set()
        if isinstance(said, Report | VenueState | FeedSignal):
            return
        self.reacts(said)
        if self.answers and self.feed.paced:
            asyncio.get_running_loop().call_soon(self.feed.handled)

    def send(self, name: str, side: Any, quantity: Any, **terms: Any) -> None:
        kind = "LIMIT" if "price" in terms else "MARKET"
        if "price" in terms:
            terms["price"] = D(terms["price"])
        order = NewOrder(name, self.account, "AAA.SIM", side, kind, D(quantity), **terms)
        self.venue.send(order)

    def heard(self, kind: Any, name: str | None = None) -> list[Any]:
        found = [each for each in self.said if isinstance(each, kind)]
        return [each for each in found if name in (None, getattr(each, "client_order_id", name))]

    @property
    def states(self) -> list[str]:
        return [each.state for each in self.heard(VenueState)]

    @property
    def signals(self) -> list[str]:
        return [each.signal for each in self.heard(FeedSignal)]

    @property
    def events(self) -> list[str]:
        return [f"{r.client_order_id} {type(r).__name__}" for r in self.heard(Report)]

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait for what was heard to be enough; the limit is only for what never comes."""
        async with asyncio.timeout(20):
            while not done():
                self._more.clear()
                await self._more.wait()
