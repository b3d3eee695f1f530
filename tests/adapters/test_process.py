"""A simulated venue as its own process: several clients, deaths on either side."""

from __future__ import annotations

import asyncio
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

import onetape_sim as sim
from onetape.errors import SettingsError, VenueUnavailable
from onetape.run.ports import CancelOrder, Filled, Quote
from onetape_sim.serve import serving
from onetape_sim.wire import Framed, FromVenue, place

from .benches import D, world
from .desk import Trader

CONFIG = {
    "generator": {"instruments": ["AAA.SIM"], "rate": 1000, "seconds": 60},
    "heartbeat": 0.1,
    "cash": {"USD": "1000000"},
}


@pytest.fixture
def folder(new_place: Any) -> Path:
    """A short path: the name of a unix socket has room for some hundred letters."""
    return new_place()


@asynccontextmanager
async def process(folder: Path, **config: Any) -> AsyncIterator[subprocess.Popen[str]]:
    """A simulated venue that listens at `folder`/s."""
    file = folder / "config.json"
    file.write_bytes(msgspec.json.encode({**CONFIG, **config}))
    command = [sys.executable, "-m", "onetape_sim", "serve", str(file), "--socket"]
    with subprocess.Popen(
        [*command, str(folder / "s")], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        said = await asyncio.to_thread(running.stdout.readline)
        assert "listens at" in said
        try:
            yield running
        finally:
            running.kill()


def client(folder: Path, **more: Any) -> dict[str, Any]:
    return {"address": f"unix:{folder / 's'}", "heartbeat": 0.1, **more}


def test_a_trader_and_a_supervisor_are_there_at_once_and_each_hears_of_every_order(
    folder: Path,
) -> None:
    async def body() -> None:
        async with process(folder) as running:
            assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o600
            watcher = await Trader(sim.venue(client(folder, accounts=["A"]))).start()
            trader = Trader(sim.venue(client(folder)), sim.feed(client(folder)))

            def react(row: Quote) -> None:
                trader.answers = row.sequence is not None and row.sequence < 5
                if row.sequence == 5:
                    trader.send("one", "BUY", 5)
                    trader.send("two", "BUY", 5, price="1")

            trader.reacts = react
            await trader.start()
            await watcher.until(lambda: "two Accepted" in watcher.events)
            watcher.venue.cancel(CancelOrder("two", None, "AAA.SIM"))
            await trader.until(lambda: "two Canceled" in trader.events)
            assert watcher.heard(Filled) == trader.heard(Filled)
            running.send_signal(signal.SIGTERM)
            await trader.until(lambda: trader.states[-1] == "disconnected")
            assert await asyncio.to_thread(running.wait) == 0
            with pytest.raises(VenueUnavailable):
                await trader.venue.positions("A")
            await watcher.venue.disconnect()
            await trader.venue.disconnect()
            await trader.feed.disconnect()

    asyncio.run(body())


def test_a_venue_that_is_killed_comes_back_with_its_orders_and_the_feed_goes_on(
    folder: Path,
) -> None:
    async def body() -> None:
        journal = str(folder / "journal")
        trader = Trader(sim.venue(client(folder)), sim.feed(client(folder)))

        def react(row: Quote) -> None:
            trader.answers = row.sequence not in (5, 6)
            if row.sequence == 5:
                trader.send("one", "BUY", 5)
                trader.send("two", "BUY", 5, price="1")

        trader.reacts = react
        async with process(folder, journal=journal):
            await trader.start()
            await trader.until(lambda: "two Accepted" in trader.events)
            before = await told(trader)
        await trader.until(lambda: trader.states[-1] == "disconnected")
        async with process(folder, journal=journal):
            await trader.until(lambda: trader.signals[-1] == "live" and len(trader.signals) > 2)
            assert await told(trader) == before
            rows = [row.sequence for row in trader.said if isinstance(row, Quote)]
            await trader.until(lambda: 6 in [r.sequence for r in trader.said if is_quote(r)])
            assert rows[:5] == [1, 2, 3, 4, 5]
            await trader.venue.disconnect()
            await trader.feed.disconnect()

    async def told(trader: Trader) -> list[Any]:
        venue = trader.venue
        held = [(p.instrument, p.quantity) for p in await venue.positions("A")]
        cash = [(c.currency, c.total) for c in await venue.cash("A")]
        return [await venue.orders("A"), await venue.fills("A", 0), held, cash]

    asyncio.run(body())


def is_quote(said: Any) -> bool:
    return isinstance(said, Quote)


def test_bytes_that_are_no_message_end_their_connection_and_no_other(folder: Path) -> None:
    async def body() -> None:
        async with world(**CONFIG) as (made, _), serving(made, f"unix:{folder / 's'}"):
            trader = await Trader(sim.venue(client(folder))).start()
            for raw in (b"\x00\x00\x00\x05hello", b"\xff\xff\xff\xff"):
                reader, writer = await asyncio.open_unix_connection(str(folder / "s"))
                writer.write(raw)
                assert await reader.read() == b""
                writer.close()
            assert await trader.venue.positions("A") == []
            await trader.venue.disconnect()

    asyncio.run(body())


def test_nobody_there_is_told_as_unavailable_and_a_taken_place_as_taken(folder: Path) -> None:
    async def body() -> None:
        with pytest.raises(VenueUnavailable, match="nobody answers"):
            await Trader(sim.venue(client(folder))).start()
        async with world(**CONFIG) as (made, _), serving(made, f"unix:{folder / 's'}"):
            with pytest.raises(SettingsError, match="another process listens"):
                async with serving(made, f"unix:{folder / 's'}"):
                    pass

    asyncio.run(body())


def test_frames_arrive_whole_however_they_are_cut(folder: Path) -> None:
    heard: list[Any] = []
    wire = Framed(FromVenue, lambda _wire, message: heard.append(message), lambda _wire: None)
    rows = [Quote("AAA.SIM", n, *[D(n)] * 4) for n in range(1, 5)]
    raw = b"".join(len(each).to_bytes(4, "big") + each for each in map(msgspec.json.encode, rows))
    for at in range(0, len(raw), 7):
        wire.data_received(raw[at : at + 7])
    assert heard == rows
    assert place("127.0.0.1:7001").port == 7001


def test_a_config_file_that_is_not_one_is_refused_on_the_command_line(folder: Path) -> None:
    file = folder / "config.json"
    file.write_text("{")
    command = [sys.executable, "-m", "onetape_sim", "serve", str(file), "--socket", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cannot be read as a config" in done.stderr


def test_over_loopback_a_client_that_goes_takes_its_orders_along_where_configured() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"

    async def body() -> None:
        terms = {**CONFIG, "cancel_on_disconnect": True}
        async with world(**terms) as (made, _), serving(made, address):
            watcher = await Trader(sim.venue({"address": address})).start()
            trader = await Trader(sim.venue({"address": address, "accounts": ["A"]})).start()
            trader.send("one", "BUY", 5, price="1")
            await watcher.until(lambda: "one Accepted" in watcher.events)
            await trader.venue.disconnect()
            await watcher.until(lambda: "one Canceled" in watcher.events)
            await watcher.venue.disconnect()

    asyncio.run(body())
