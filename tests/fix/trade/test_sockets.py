"""Over real sockets: what a broker cannot tell, copies, reconnects, restarts, TLS."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import onetape_fix
from onetape.errors import SettingsError, VenueError, VenueUnavailable
from onetape.run.ports import (
    Accepted,
    Canceled,
    CancelOrder,
    Difference,
    FeedSignal,
    Filled,
    MassCancel,
    ModifyOrder,
    NewOrder,
    Notice,
    Quote,
    Subscription,
    Updated,
    VenueState,
)
from onetape_fix.gateway.process import stop
from onetape_fix.session import Secret
from onetape_fix.trade.config import checked

from .bench import AAA, LISTED, D, acceptor, at_door, quote, show


class Ears(list):
    """What was emitted, and a way to wait for more."""

    def of(self, kind: Any) -> list[Any]:
        return [each for each in self if isinstance(each, kind)]

    async def until(self, done: Callable[[], Any], seconds: float = 8.0) -> None:
        until = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < until, f"it did not come; heard: {self[-12:]}"
            await asyncio.sleep(0.005)

    async def get(self, kind: Any, count: int = 1) -> Any:
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


def order(name: str, side: Any = "BUY", qty: Any = 10, **more: Any) -> NewOrder:
    return NewOrder(name, "A", "AAA.SIM", side, more.pop("type", "MARKET"), D(qty), **more)


def limit(name: str, price: Any = "99.50", **more: Any) -> NewOrder:
    return order(name, type="LIMIT", price=D(price), **more)


@asynccontextmanager
async def trader(config: dict[str, Any], **more: Any) -> AsyncIterator[tuple[Any, Ears]]:
    venue, ears = onetape_fix.venue({**config, **more}), Ears()
    await venue.connect(ears.append)
    try:
        yield venue, ears
    finally:
        await venue.disconnect()


def secrets_of(profile: str, monkeypatch: Any) -> dict[str, str]:
    """What both ends of a session of a profile need to know, as references."""
    key = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    known = {"ApiKey": b"key", "ApiSecret": b"secret", "Passphrase": b"phrase"}
    known |= {"PrivateKey": b"1" * 32, "PublicKey": public}
    wanted = {
        "binance": ("ApiKey", "PrivateKey", "PublicKey"),
        "coinbase": ("ApiKey", "ApiSecret", "Passphrase"),
    }.get(profile, ())
    for name in wanted:
        plain = name in ("ApiKey", "Passphrase")
        text = known[name].decode() if plain else base64.b64encode(known[name]).decode()
        monkeypatch.setenv(f"TEST_{name.upper()}", text)
    return {name: f"env:TEST_{name.upper()}" for name in wanted}


def symbols_of(door: Any) -> dict[str, str]:
    """What the venue calls its instruments where it goes by ids alone."""
    named = door.sessions[0].counter.seat.dialect.named("AAA.SIM")
    told = dict(named)
    return {} if 55 in told and 48 not in told else {"AAA.SIM": str(told[48])}


def played(body: Callable[[], Any]) -> None:
    asyncio.run(body())


def test_a_broker_of_42_trades_and_tells_what_it_can() -> None:
    async def body() -> None:
        async with at_door(acceptor("generic42")) as (door, config):
            show(door, quote("99.99", "100.01"))
            async with trader(config, instruments=LISTED) as (venue, ears):
                assert venue.tells == {"orders", "status"}
                long = "O-20240108-143000-001-000-1"
                venue.send(limit(long))
                accepted = await ears.get(Accepted)
                assert accepted.client_order_id == long
                venue.modify(ModifyOrder(long, None, "AAA.SIM", price=D("99.40")))
                assert (await ears.get(Updated)).price == D("99.40")
                (told,) = await venue.orders("A")
                assert (told.client_order_id, told.price) == (long, D("99.40"))
                assert (await venue.status(long)).status == "ACCEPTED"
                assert await venue.status("NOBODY") is None
                assert await venue.mass_cancel(MassCancel("A")) is None
                for ask in (venue.positions, venue.cash, lambda a: venue.fills(a, 0)):
                    with pytest.raises(VenueUnavailable, match="no message for that"):
                        await ask("A")
                venue.cancel(CancelOrder(long, None, "AAA.SIM"))
                assert (await ears.get(Canceled)).client_order_id == long
                venue.send(order("M1"))
                fill = await ears.get(Filled)
                assert (fill.client_order_id, fill.quantity) == ("M1", 10)
                assert await venue.orders("A") == []

    played(body)


def test_copies_join_the_order_session_and_book_each_fill_once() -> None:
    async def body() -> None:
        sessions = (
            acceptor("generic44", duties=frozenset(("order",))),
            acceptor("generic44", "COPY", duties=frozenset(("dropcopy",)), extra={}),
            acceptor("generic44", "CLEAR", duties=frozenset(("clearing",)), extra={}),
        )
        async with at_door(*sessions) as (door, config):
            show(door, quote("99.99", "100.01"))
            more = {"dropcopy": ["COPY"], "clearing": ["CLEAR"], "grace": 0.3}
            async with trader(config, session="DESK", **more) as (venue, ears):
                await ears.until(lambda: len(venue._flow.joined._up) == 3)
                venue.send(order("M1"))
                fill = await ears.get(Filled)
                await asyncio.sleep(0.6)
                assert ears.of(Filled) == [fill]
                assert not ears.of(Difference)
                await venue_fault(door, "bust")
                await ears.until(lambda: any(type(x).__name__ == "Busted" for x in ears))
                await asyncio.sleep(0.4)
                assert sum(type(x).__name__ == "Busted" for x in ears) == 1
                assert not ears.of(Difference)

    played(body)


async def venue_fault(door: Any, name: str, **args: Any) -> None:
    door.world.fault(name, **args)


def test_a_line_that_is_lost_comes_back_and_what_was_missed_is_told() -> None:
    async def body() -> None:
        async with at_door() as (door, config):
            show(door, quote("99.99", "100.01"))
            async with trader(config) as (venue, ears):
                venue.send(limit("L1"))
                await ears.get(Accepted)
                await venue_fault(door, "disconnect", seconds=0)
                await ears.until(lambda: ears.of(VenueState)[-1].state == "disconnected")
                with pytest.raises(VenueError):
                    venue.send(limit("L2"))
                show(door, quote("99.00", "99.10", 10_000))
                await ears.until(lambda: ears.of(VenueState)[-1].state == "connected")
                assert (await ears.get(Filled)).client_order_id == "L1"
                assert (await venue.status("L1")).status == "FILLED"
                assert await venue.status("L2") is None
                venue.send(limit("L2", "98"))
                assert (await ears.get(Accepted, 2)).client_order_id == "L2"

    played(body)


def test_a_new_process_knows_the_orders_of_the_one_before() -> None:
    async def body() -> None:
        async with at_door(acceptor("generic42")) as (door, config):
            show(door, quote("99.99", "100.01"))
            long = "O-20240108-143000-001-000-1"
            async with trader(config) as (venue, ears):
                venue.send(limit(long))
                await ears.get(Accepted)
            show(door, quote("99.00", "99.10", 4))
            async with trader(config) as (venue, ears):
                fill = await ears.get(Filled)  # nobody was there when it happened
                assert (fill.client_order_id, fill.quantity) == (long, 4)
                (told,) = await venue.orders("A")
                assert (told.client_order_id, told.filled) == (long, 4)
                venue.cancel(CancelOrder(long, None, "AAA.SIM"))
                assert (await ears.get(Canceled)).client_order_id == long

    played(body)


def test_a_gateway_of_its_own_goes_on_when_a_trader_leaves() -> None:
    async def body() -> None:
        async with at_door(acceptor("generic44")) as (door, config):
            show(door, quote("99.99", "100.01"))
            socket = Path(config["config"]).parent / "g"
            outside = {**config, "gateway": "process", "instruments": LISTED}
            try:
                async with trader(outside) as (venue, ears):
                    venue.send(limit("L1"))
                    await ears.get(Accepted)
                show(door, quote("99.00", "99.10", 4))  # the session is up and hears it
                async with trader(outside) as (venue, ears):
                    assert (await ears.get(Filled)).quantity == 4
                    venue.cancel(CancelOrder("L1", None, "AAA.SIM"))
                    assert (await ears.get(Canceled)).client_order_id == "L1"
                assert door.sessions[0].state == "up"
            finally:
                await asyncio.to_thread(stop, socket)

    played(body)


def test_an_order_is_not_sent_twice_and_that_is_said() -> None:
    async def body() -> None:
        async with at_door() as (_, config), trader(config) as (venue, ears):
            venue.send(limit("L1"))
            await ears.get(Accepted)
            venue.send(limit("L1"))
            assert (await ears.get(Notice)).code == "sent_twice"
            assert len(await venue.orders("A")) == 1

    played(body)


def test_a_lost_report_is_asked_for_and_told() -> None:
    async def body() -> None:
        async with at_door() as (door, config):
            show(door, quote("99.99", "100.01", 4))
            async with trader(config, settle=0.1) as (venue, ears):
                await venue_fault(door, "drop", count=1)
                venue.send(limit("L1", "100.01"))  # its acknowledgement, and then its fill, is lost
                await asyncio.sleep(0.2)
                told = await venue.status("L1")
                assert told.filled == 4
                await ears.until(lambda: ears.of(Filled))
                assert sum(f.quantity for f in ears.of(Filled)) == 4
                assert not ears.of(Difference)

    played(body)


def test_a_throttled_session_refuses_and_nothing_has_left() -> None:
    async def body() -> None:
        keys = {"DESK": {"ThrottlePerSecond": "5"}}
        async with at_door(keys=keys) as (_, config), trader(config) as (venue, ears):
            sent = 0
            while sent < 50 and not ears.of(str):
                try:
                    venue.send(limit(f"L{sent}"))
                    sent += 1
                except VenueError as err:
                    ears.append(str(err))
            assert "throttled" in ears.of(str)[0]
            await ears.until(lambda: len(ears.of(Accepted)) == sent)
            assert venue._flow.book.find(f"L{sent}") is None

    played(body)


def test_a_venue_that_does_not_answer_is_unavailable_and_not_empty() -> None:
    async def body() -> None:
        async with at_door() as (door, config), trader(config, timeout=0.3) as (venue, _):
            await venue_fault(door, "silence", on=True)
            for ask in (venue.orders, venue.positions, venue.cash):
                with pytest.raises(VenueUnavailable):
                    await ask("A")

    played(body)


def test_a_feed_subscribes_again_after_its_line_was_lost() -> None:
    async def body() -> None:
        made = {"instruments": ["AAA.SIM"], "rate": 50, "seconds": 600}
        world = {"generator": made, "speed": 1.0, "instruments": []}
        async with at_door(acceptor("generic44"), **world) as (door, config):
            feed, ears = onetape_fix.feed({**config, "instruments": LISTED}), Ears()
            await feed.connect(ears.append)
            await feed.subscribe(Subscription("AAA.SIM", "quotes"))
            await ears.get(Quote, 3)
            door.world.fault("disconnect", seconds=0)
            await ears.until(lambda: [x.signal for x in ears.of(FeedSignal)][-1] == "closed")
            await ears.until(lambda: [x.signal for x in ears.of(FeedSignal)][-1] == "live")
            before = len(ears.of(Quote))
            await ears.get(Quote, before + 3)
            await feed.disconnect()

    played(body)


@pytest.mark.parametrize("profile", ["tt", "lmax", "binance", "coinbase", "generic50"])
def test_venues_with_ways_of_their_own_are_traded_at(profile: str, monkeypatch) -> None:
    begin = "FIXT.1.1" if profile in ("coinbase", "generic50") else "FIX.4.4"
    secrets = secrets_of(profile, monkeypatch)
    theirs = {"Account": "A"} | {name: Secret(where) for name, where in secrets.items()}
    keys = {"DESK": {name: where for name, where in secrets.items() if name != "PublicKey"}}

    async def body() -> None:
        at = acceptor(profile, begin=begin, extra=theirs)
        async with at_door(at, keys=keys) as (door, config):
            show(door, quote("99.99", "100.01"))
            named = {"instruments": LISTED, "symbols": symbols_of(door)}
            async with trader(config, **named) as (venue, ears):
                name = f"C{profile}1"
                venue.send(limit(name))
                assert (await ears.get(Accepted)).client_order_id == name
                venue.modify(ModifyOrder(name, None, "AAA.SIM", price=D("99.40")))
                assert (await ears.get(Updated)).price == D("99.40")
                show(door, quote("99.00", "99.10", 1_000))
                fill = await ears.get(Filled)
                assert (fill.client_order_id, fill.quantity) == (name, 10)
                assert (fill.instrument, fill.account) == ("AAA.SIM", "A")
                if "status" in venue.tells:
                    assert (await venue.status(name)).status == "FILLED"
                if "fills" in venue.tells:
                    assert [f.trade_id for f in await venue.fills("A", 0)] == [fill.trade_id]

    played(body)


def test_configs_that_cannot_be_used_say_what_to_do(tmp_path) -> None:
    with pytest.raises(SettingsError, match="did you mean session"):
        checked({"config": "x", "sesion": "A"})
    with pytest.raises(SettingsError, match='no "config"'):
        checked({})
    with pytest.raises(SettingsError, match="nowhere"):
        onetape_fix.venue({"config": str(tmp_path / "nowhere.cfg")})


def test_instruments_may_come_from_a_file(tmp_path) -> None:
    import msgspec

    from onetape_fix.trade.config import listed

    file = tmp_path / "listed.json"
    file.write_bytes(msgspec.json.encode([AAA]))
    assert listed(checked({"config": "x", "instruments": str(file)})) == [AAA]
