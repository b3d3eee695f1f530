"""The published conformance suite over real sockets, against the simulated venue behind FIX."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import onetape_fix
from onetape.run.conformance import Bench, FeedBench, FeedConformance, VenueConformance
from onetape.run.ports import Subscription
from onetape_fix.door.certificates import demo_certificates
from onetape_fix.session import Tls

from .bench import AAA, LISTED, D, acceptor, at_door, quote, show

GENERATOR = {"instruments": ["AAA.SIM"], "rate": 100, "seconds": 0.5}
QUOTES = Subscription("AAA.SIM", "quotes")


@asynccontextmanager
async def trading(profile: str, keys: Any = None, **more: Any) -> AsyncIterator[Bench]:
    async with at_door(acceptor(profile, **more), keys=keys) as (door, config):
        show(door, quote("99.99", "100.01"))

        async def move(bid: Decimal, ask: Decimal) -> None:
            show(door, quote(bid, ask, 10_000))

        named = {"instruments": LISTED} if profile.startswith("generic4") else {}
        venue = onetape_fix.venue({**config, **named})
        try:
            yield Bench(venue, "A", AAA, quantity=D(10), passive=D("99.50"), quote=move)
        finally:
            await venue.disconnect()


@asynccontextmanager
async def over_tls(profile: str) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="ft") as name:
        made = demo_certificates(Path(name))
        server = Tls(
            authorities=made.authority,
            certificate=made.server.certificate,
            key=made.server.key,
            ask="must",
        )
        keys = {
            "SocketUseSSL": "Y",
            "SSLCACertificate": str(made.authority),
            "ClientCertificateFile": str(made.client.certificate),
            "ClientCertificateKeyFile": str(made.client.key),
        }
        async with trading(profile, keys={"DESK": keys}, tls=server) as bench:
            yield bench


@asynccontextmanager
async def listening(profile: str, generator: Any = GENERATOR, **more: Any):
    async with at_door(acceptor(profile), generator=generator, instruments=[], **more) as (
        _,
        config,
    ):
        named = {"instruments": LISTED} if profile.startswith("generic4") else {}
        feed = onetape_fix.feed({**config, **named})
        try:
            yield FeedBench(feed, QUOTES, ends=profile == "sim")
        finally:
            await feed.disconnect()


class TestOurOwnVenue(VenueConformance):
    def bench(self):
        return trading("sim")


class TestOurOwnVenueIn50(VenueConformance):
    def bench(self):
        return trading("sim", begin="FIXT.1.1")


class TestBrokerOf44(VenueConformance):
    def bench(self):
        return trading("generic44")


class TestBrokerOf50(VenueConformance):
    def bench(self):
        return trading("generic50", begin="FIXT.1.1")


class TestBrokerOf42(VenueConformance):
    """Skipped by name: what FIX 4.2 has no message for."""

    def bench(self):
        return trading("generic42", begin="FIX.4.2")


class TestOverTls(VenueConformance):
    def bench(self):
        return over_tls("generic44")


class TestReplayedFeed(FeedConformance):
    def bench(self):
        return listening("sim")


class TestFeedOfABroker(FeedConformance):
    def bench(self):
        return listening("generic44", speed=10.0)
