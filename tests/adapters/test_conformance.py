"""The conformance suite, on every door of the simulated venue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

import onetape_sim as sim
from onetape.run.conformance import Bench, FeedBench, FeedConformance, VenueConformance
from onetape.run.ports import Subscription, Venue

from .benches import AAA, GENERATOR, LISTED, D, quote, served, world

QUOTES = Subscription("AAA.SIM", "quotes")


def bench_on(venue: Venue, see) -> Bench:
    async def move(bid: Decimal, ask: Decimal) -> None:
        see(quote(bid, ask, 10_000))

    see(quote("99.99", "100.01"))
    return Bench(venue, "A", AAA, quantity=D(10), passive=D("99.50"), quote=move)


class TestInProcess(VenueConformance):
    @asynccontextmanager
    async def bench(self) -> AsyncIterator[Bench]:
        async with world(instruments=[LISTED], fees="bps:2") as (made, config):
            yield bench_on(sim.venue(config), made.player.seen)


class TestOverASocket(VenueConformance):
    @asynccontextmanager
    async def bench(self) -> AsyncIterator[Bench]:
        async with served(instruments=[LISTED], fees="bps:2") as (made, config):
            yield bench_on(sim.venue(config), made.player.seen)


class TestOnPaper(VenueConformance):
    @asynccontextmanager
    async def bench(self) -> AsyncIterator[Bench]:
        venue = sim.paper({"fees": "per_share:0.01:1"})
        venue.know(AAA)
        yield bench_on(venue, venue.see)


class TestFeedInProcess(FeedConformance):
    @asynccontextmanager
    async def bench(self) -> AsyncIterator[FeedBench]:
        async with world(generator=GENERATOR) as (_, config):
            yield FeedBench(sim.feed(config), QUOTES, ends=True)


class TestFeedOnTheClock(FeedConformance):
    @asynccontextmanager
    async def bench(self) -> AsyncIterator[FeedBench]:
        async with world(generator=GENERATOR, speed=100.0) as (_, config):
            yield FeedBench(sim.feed(config), QUOTES, ends=True)


class TestFeedOverASocket(FeedConformance):
    @asynccontextmanager
    async def bench(self) -> AsyncIterator[FeedBench]:
        async with served(generator=GENERATOR) as (_, config):
            yield FeedBench(sim.feed(config), QUOTES, ends=True)


def test_a_suite_without_a_bench_says_what_is_missing() -> None:
    with pytest.raises(TypeError, match="needs a method bench"):
        VenueConformance().bench()
