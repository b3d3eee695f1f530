"""The guide "How to add a broker", followed: a broker that is not in the package, over loopback.

The files are those of the README, written to a folder of their own; nothing of the package is
edited. The simulated broker has a market that is moved by hand; the gateway is a process of its
own, as a trader's is.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

import onetape as ot
import onetape_fix
from onetape.errors import SettingsError, VenueError, VenueUnavailable
from onetape.run.ports import (
    Accepted,
    Canceled,
    CancelOrder,
    Filled,
    MassCancel,
    ModifyOrder,
    NewOrder,
    Notice,
    Quote,
    Rejected,
    Subscription,
    Updated,
    VenueState,
)
from onetape_fix.cli_fix import run as command
from onetape_fix.door.server import Door, opened
from onetape_fix.gateway import process
from onetape_fix.gateway.building import profile_of
from onetape_fix.session.settings import read

from .guide import put

D = Decimal
AAA = ot.equity("AAA.ACME", session=None, tz="UTC")
LONG = "O-20240108-143000-001-000-1"
NUMBER = re.compile(r"[0-9]{1,12}\Z")
FILES = ("acme.py", "acme.xml", "acme.cfg", "acme_sim.cfg", "acme.json")
CONFIG = {
    "config": "acme.cfg",
    "symbols": {"AAA.ACME": "4001"},
    "instruments": [msgspec.to_builtins(AAA)],
    "settle": 0.1,
}


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the guide, with its files and its secrets."""
    with tempfile.TemporaryDirectory(prefix="fa") as name:
        place = Path(name).resolve()
        put(place, *FILES)
        monkeypatch.chdir(place)
        monkeypatch.setenv("ONETAPE_HOME", str(place / "home"))
        monkeypatch.setenv("ACME_KEY", "a-key")
        monkeypatch.setenv("ACME_SECRET", "a-secret-of-acme")
        yield place
        process.stop(place / "acme.sock")


class Ears(list[Any]):
    """What was told, and a way to wait for more."""

    def of(self, kind: Any) -> list[Any]:
        return [each for each in self if isinstance(each, kind)]

    async def until(self, done: Callable[[], Any], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"it did not come; heard: {self[-8:]}"
            await asyncio.sleep(0.005)

    async def get(self, kind: Any, count: int = 1) -> Any:
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


@asynccontextmanager
async def at_acme() -> AsyncIterator[tuple[Door, Any, Ears]]:
    """A simulated Acme, and somebody who is connected to it through a gateway process."""
    world = {"name": "ACME", "instruments": CONFIG["instruments"]}
    async with opened("acme_sim.cfg", world) as door:
        show(door, "99.99", "100.01")
        venue, ears = onetape_fix.venue(CONFIG), Ears()
        await venue.connect(ears.append)
        try:
            yield door, venue, ears
        finally:
            await venue.disconnect()


def show(door: Door, bid: str, ask: str, size: int = 1_000) -> None:
    now = 1_704_726_000_000_000_000
    door.world.player.seen(Quote("AAA.ACME", now, D(bid), D(ask), D(size), D(size)))


def limit(name: str, price: str = "99.50", quantity: int = 10) -> NewOrder:
    return NewOrder(name, "ACME-1", "AAA.ACME", "BUY", "LIMIT", D(quantity), price=D(price))


def wire(acme: Path, capsys: pytest.CaptureFixture[str], *asked: str) -> list[str]:
    """What the session's journal has, in words."""
    capsys.readouterr()
    assert command(["log", "--config", str(acme / "acme.cfg"), "-n", "0", *asked]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_files_of_the_guide_are_checked_without_a_complaint(
    acme: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("acme.cfg", "acme_sim.cfg"):
        assert command(["check", str(acme / name)]) == 0
    told = capsys.readouterr().out
    assert told.count("marketdata+order        acme ") == 2
    assert "a-secret-of-acme" not in told
    assert not onetape_fix.simulated(CONFIG)  # a broker: mode="live" only


def test_orders_at_the_broker_go_by_its_own_ways(
    acme: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def body() -> None:
        async with at_acme() as (door, venue, ears):
            assert venue.tells == {"orders", "status"}
            venue.send(limit(LONG))
            assert (await ears.get(Accepted)).client_order_id == LONG
            venue.modify(ModifyOrder(LONG, None, "AAA.ACME", price=D("99.40")))
            assert (await ears.get(Updated)).price == D("99.40")  # a cancel, and a new order
            (told,) = await venue.orders("ACME-1")
            assert (told.client_order_id, told.price) == (LONG, D("99.40"))
            show(door, "99.30", "99.40", 4)
            fill = await ears.get(Filled)
            assert (fill.client_order_id, fill.quantity) == (LONG, 4)
            venue.cancel(CancelOrder(LONG, None, "AAA.ACME"))
            assert (await ears.get(Canceled)).client_order_id == LONG
            assert await venue.mass_cancel(MassCancel("ACME-1")) is None
            with pytest.raises(VenueUnavailable, match="no message for that"):
                await venue.positions("ACME-1")
            with pytest.raises(VenueError, match='"symbols"'):
                venue.send(msgspec.structs.replace(limit("B1"), instrument="BBB.ACME"))
            assert len(ears.of(Canceled)) == 1  # the first leg of new terms is no cancel
            assert not ears.of(Rejected)
            assert not ears.of(Notice)

    asyncio.run(body())
    left = [line for line in wire(acme, capsys) if "  >  " in line]
    orders = [line for line in left if "NewOrderSingle" in line]
    assert len(orders) == 2
    assert all("AcmeDesk=EQ7" in line and "SecurityID=4001" in line for line in orders)
    assert not any("OrderCancelReplaceRequest" in line for line in left)
    ids = [found[1] for line in left if (found := re.search(r" ClOrdID=(\S+)", line))]
    assert ids
    assert all(NUMBER.match(one) for one in ids)


def test_the_logon_is_signed_and_the_signature_is_kept_nowhere(
    acme: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def body() -> str:
        async with at_acme() as (door, _, _):
            session = door.sessions[0]
            assert session.state == "up"
            sent = session.store.records()
            return next(r.raw.decode() for r in sent if r.kind == "in" and b"\x0135=A" in r.raw)

    assert "\x0196=****" in asyncio.run(body())
    (logon,) = (line for line in wire(acme, capsys, "--admin") if "  >  " in line and "=64" in line)
    assert re.search(r"RawData=\*{64} ", logon)
    kept = b"".join(path.read_bytes() for path in acme.rglob("*") if path.is_file())
    assert b"a-secret-of-acme" not in kept


def test_who_signs_with_another_secret_is_refused(
    acme: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRONG_SECRET", "another")
    path = acme / "acme.cfg"
    path.write_text(path.read_text().replace("env:ACME_SECRET", "env:WRONG_SECRET"))

    async def body() -> None:
        world = {"name": "ACME", "instruments": CONFIG["instruments"]}
        async with opened("acme_sim.cfg", world):
            venue = onetape_fix.venue({**CONFIG, "connect": 1.0})
            with pytest.raises(VenueUnavailable, match="credentials are not accepted"):
                await venue.connect(lambda _: None)

    asyncio.run(body())


def test_orders_go_with_the_connection_and_that_is_learned(acme: Path) -> None:
    async def body() -> None:
        async with at_acme() as (door, venue, ears):
            venue.send(limit(LONG))
            await ears.get(Accepted)
            door.world.fault("disconnect", seconds=0)
            await ears.until(lambda: ears.of(VenueState)[-1].state == "disconnected")
            assert (await ears.get(Canceled)).client_order_id == LONG
            await ears.until(lambda: ears.of(VenueState)[-1].state == "connected")
            assert await venue.orders("ACME-1") == []
            venue.send(limit("N2"))
            assert (await ears.get(Accepted, 2)).client_order_id == "N2"

    path = acme / "acme.cfg"
    path.write_text(path.read_text().replace("[SESSION]", "ReconnectInterval=1\n[SESSION]"))
    asyncio.run(body())


def test_a_trader_that_comes_back_knows_its_numbered_orders(acme: Path) -> None:
    async def body() -> None:
        async with at_acme() as (door, venue, ears):
            venue.send(limit(LONG))
            await ears.get(Accepted)
            await venue.disconnect()  # the gateway stays, and the order with it
            show(door, "99.30", "99.50", 4)
            again, told = onetape_fix.venue(CONFIG), Ears()
            await again.connect(told.append)
            fill = await told.get(Filled)
            assert (fill.client_order_id, fill.quantity) == (LONG, 4)
            again.cancel(CancelOrder(LONG, None, "AAA.ACME"))
            assert (await told.get(Canceled)).client_order_id == LONG
            await again.disconnect()

    asyncio.run(body())


def test_the_market_data_of_the_broker_comes_by_number(acme: Path) -> None:
    async def body() -> None:
        world = msgspec.json.decode((acme / "acme.json").read_bytes())
        async with opened("acme_sim.cfg", world):
            feed, rows = onetape_fix.feed(CONFIG), Ears()
            await feed.connect(rows.append)
            await feed.subscribe(Subscription("AAA.ACME", "quotes"))
            await rows.get(Quote, 3)
            assert {row.instrument for row in rows.of(Quote)} == {"AAA.ACME"}
            await feed.disconnect()

    asyncio.run(body())


def test_faults_of_the_broker_lose_and_double_nothing(acme: Path) -> None:
    async def body() -> None:
        async with at_acme() as (door, venue, ears):
            for number, (name, args) in enumerate(
                (
                    ("garble", {"count": 1}),
                    ("repeat", {"count": 2}),
                    ("fill_first", {"count": 1}),
                    ("lose_ack", {"count": 1}),
                    ("unknown_tags", {"count": 2}),
                ),
                1,
            ):
                door.world.fault(name, **args)
                venue.send(limit(f"N{number}", "101"))
                await ears.until(lambda: sum(f.quantity for f in ears.of(Filled)) == number * 10)  # noqa: B023
            fills = ears.of(Filled)
            assert len({fill.trade_id for fill in fills}) == len(fills)
            assert await venue.orders("ACME-1") == []
            door.world.fault("reject3", count=1)
            venue.send(limit("R1"))
            assert (await ears.get(Rejected)).client_order_id == "R1"

    asyncio.run(body())


def test_an_order_without_the_field_of_the_broker_is_turned_away_there(acme: Path) -> None:
    path = acme / "acme.py"
    path.write_text(path.read_text().replace('always=(("D", 9001, "$Desk"),),', ""))

    async def body() -> None:
        async with at_acme() as (_, venue, ears):
            venue.send(limit("N1"))
            assert "9001" in (await ears.get(Rejected)).reason

    asyncio.run(body())


def test_a_key_that_the_profile_needs_is_asked_for(acme: Path) -> None:
    path = acme / "acme.cfg"
    path.write_text(path.read_text().replace("Profile.Desk=EQ7\n", ""))
    with pytest.raises(VenueUnavailable, match=r"write Profile.Desk="):
        process.ensure(path)


def test_an_overlay_of_the_settings_needs_no_profile(acme: Path) -> None:
    path = acme / "acme.cfg"
    path.write_text(path.read_text().replace("Profile=acme.py", "Overlay=acme.xml"))
    (session,) = read(path).sessions
    ways = profile_of(session)
    assert (ways.name, ways.overlay) == ("generic44", str(acme / "acme.xml"))
    path.write_text(path.read_text().replace("Overlay=acme.xml", "Overlay=nobody.xml"))
    assert command(["check", str(path)]) == 1
    path.write_text(path.read_text().replace("Overlay=", "Overlai="))
    with pytest.raises(SettingsError, match="unknown key"):
        read(path)


def test_the_suite_of_the_guide_passes_as_it_stands(acme: Path) -> None:
    put(acme, "acme.cfg", "acme_sim.cfg", "test_acme.py")
    ask = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_acme.py"]
    done = subprocess.run(
        [*ask, "--rootdir", str(acme)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-4_000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= 16
