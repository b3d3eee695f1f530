"""Each fault of the simulated venue does what it says, and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import onetape_sim as sim
from onetape.errors import SettingsError, VenueError, VenueUnavailable
from onetape.run.ports import CancelOrder, Filled, PositionStatus, Rejected
from onetape_sim.faults import NAMES, named

from .benches import GENERATOR, LISTED, D, quote, served, turn, world
from .desk import Trader


@asynccontextmanager
async def market(**config: Any) -> AsyncIterator[tuple[Any, Trader]]:
    """A world with a quote, and somebody connected to it."""
    async with world(instruments=[LISTED], **config) as (made, name):
        made.player.seen(quote("99.90", "100.00", 100))
        yield made, await Trader(sim.venue(name)).start()


def play(body: Any) -> Any:
    def test() -> None:
        asyncio.run(body())

    test.__name__ = body.__name__
    return test


@play
async def test_a_lost_acknowledgement_leaves_an_order_that_queries_know() -> None:
    async with market() as (made, trader):
        made.fault("lose_ack")
        trader.send("one", "BUY", 5, price="99")
        trader.send("two", "BUY", 5, price="99")
        await turn()
        assert trader.events == ["two Accepted"]
        assert (await trader.venue.status("one")).status == "ACCEPTED"


@play
async def test_the_next_orders_are_rejected_and_then_no_more() -> None:
    async with market() as (made, trader):
        made.fault("reject", count=2, reason="no such luck")
        for name in ("one", "two", "three"):
            trader.send(name, "BUY", 5, price="99")
        await turn()
        assert trader.events == ["one Rejected", "two Rejected", "three Accepted"]
        assert trader.heard(Rejected)[0].reason == "no such luck"


@play
async def test_duplicate_reports_move_the_position_once() -> None:
    async with market() as (made, trader):
        made.fault("duplicate", count=1)
        trader.send("one", "BUY", 5)
        await turn()
        assert trader.events == ["one Filled", "one Filled"]
        assert [p.quantity for p in await trader.venue.positions("A")] == [5]


@play
async def test_a_dropped_report_is_found_by_asking() -> None:
    async with market() as (made, trader):
        made.fault("drop", count=1)
        trader.send("one", "BUY", 5)
        await turn()
        assert trader.events == []
        assert [f.client_order_id for f in await trader.venue.fills("A", 0)] == ["one"]


@play
async def test_late_fills_come_after_the_cancel_that_was_sent_behind_them() -> None:
    async with market() as (made, trader):
        made.fault("late", seconds=1)
        trader.send("one", "BUY", 150, price="100.00")  # 100 are quoted
        trader.venue.cancel(CancelOrder("one", None, "AAA.SIM"))
        await turn()
        assert trader.events == ["one Accepted", "one Canceled"]
        made.player.seen(quote("99.90", "100.10", ts=made.player.now + 1_000_000_000))
        made.settle()
        assert trader.events[2:] == ["one Filled"]


@play
async def test_a_silent_venue_takes_orders_and_says_nothing_until_it_speaks_again() -> None:
    async with market() as (made, trader):
        made.fault("silence")
        trader.send("one", "BUY", 5)
        await turn()
        assert (trader.events, trader.states[-1]) == ([], "silent")
        with pytest.raises(VenueUnavailable, match="does not answer"):
            await trader.venue.positions("A")
        made.fault("silence", on=False)
        assert (trader.events, trader.states[-1]) == (["one Filled"], "connected")


@play
async def test_after_a_disconnect_nothing_leaves_until_one_logs_on_again() -> None:
    async with market() as (made, trader):
        trader.send("one", "BUY", 5, price="99")
        await turn()
        made.fault("disconnect")
        assert trader.states[-1] == "disconnected"
        with pytest.raises(VenueError, match="nothing has left"):
            trader.send("two", "BUY", 5)
        await trader.venue.connect(trader.hear)
        assert [o.client_order_id for o in await trader.venue.orders("A")] == ["one"]


@play
async def test_connections_are_refused_for_as_long_as_was_said() -> None:
    async with market() as (made, trader):
        made.fault("disconnect", seconds=60)
        with pytest.raises(VenueUnavailable, match="refuses"):
            await trader.venue.connect(trader.hear)


@play
async def test_a_wrong_position_is_told_until_it_is_put_right() -> None:
    async with market() as (made, trader):
        trader.send("one", "BUY", 5)
        await turn()
        made.fault("wrong_position", instrument="AAA.SIM", quantity="7")
        assert [p.quantity for p in await trader.venue.positions("A")] == [7]
        made.fault("wrong_position", instrument="AAA.SIM", quantity="0")
        assert await trader.venue.positions("A") == []
        made.fault("wrong_position", instrument="AAA.SIM")
        (told,) = await trader.venue.positions("A")
        assert isinstance(told, PositionStatus)
        assert told.quantity == 5


@play
async def test_a_clock_that_is_wrong_shows_in_all_that_the_venue_says() -> None:
    async with market() as (made, trader):
        made.fault("clock_offset", seconds=-3600)
        trader.send("one", "BUY", 5)
        await turn()
        then = made.player.now - 3_600_000_000_000
        assert trader.heard(Filled)[0].ts_event == then
        assert (await trader.venue.fills("A", then))[0].ts_event == then


@play
async def test_latency_can_be_set_while_the_venue_runs() -> None:
    async with market() as (made, trader):
        made.fault("latency", seconds=1.5)
        trader.send("one", "BUY", 5)
        made.player.seen(quote("99.90", "100.20", ts=made.player.now + 1_000_000_000))
        await turn()
        assert trader.events == []
        made.player.seen(quote("99.90", "100.30", ts=made.player.now + 1_000_000_000))
        made.settle()
        assert trader.heard(Filled)[0].price == D("100.30")


@play
async def test_a_halt_a_bust_a_correction_and_an_unasked_cancel_are_reported() -> None:
    async with market() as (made, trader):
        trader.send("one", "BUY", 5)
        trader.send("two", "BUY", 5, price="99")
        await turn()
        made.fault("halt", instrument="AAA.SIM")
        trader.send("three", "BUY", 5)
        await turn()
        made.fault("halt", instrument="AAA.SIM", on=False)
        made.fault("correct", price="99.50")
        made.fault("bust")
        made.fault("cancel_unasked", account="A")
        assert trader.events == [
            "one Filled",
            "two Accepted",
            "three Rejected",
            "one Corrected",
            "one Busted",
            "two Canceled",
        ]


@play
async def test_a_feed_can_leave_rows_out_and_fall_silent() -> None:
    async with world(generator=GENERATOR) as (made, name):
        made.fault("gap", count=3)
        trader = await Trader(sim.venue(name), sim.feed(name)).start()
        await trader.until(lambda: "ended" in trader.signals)
        assert min(row.sequence for row in trader.said if hasattr(row, "sequence")) == 4
    async with world(generator=GENERATOR, faults={"mute": {}}) as (_, name):
        trader = await Trader(sim.venue(name), sim.feed(name)).start()
        await trader.until(lambda: "ended" in trader.signals)
        assert not [row for row in trader.said if hasattr(row, "sequence")]


@play
async def test_over_a_socket_silence_is_noticed_and_its_end_too() -> None:
    async with served(instruments=[LISTED]) as (made, config):
        made.player.seen(quote("99.90", "100.00"))
        trader = await Trader(sim.venue({**config, "timeout": 0.05})).start()
        await trader.venue.fault("silence")  # pyright: ignore
        trader.send("one", "BUY", 5)
        await trader.until(lambda: "silent" in trader.states)
        with pytest.raises(VenueUnavailable, match="did not answer"):
            await trader.venue.positions("A")
        made.fault("silence", on=False)
        await trader.until(lambda: trader.states[-1] == "connected" and bool(trader.events))
        await trader.venue.disconnect()


@play
async def test_over_a_socket_a_lost_connection_is_made_again() -> None:
    async with served(generator=GENERATOR) as (made, config):
        trader = Trader(sim.venue(config), sim.feed(config))
        trader.reacts = lambda row: made.fault("disconnect") if row.sequence == 3 else None
        await trader.start()
        await trader.until(lambda: "ended" in trader.signals)
        assert trader.states == ["connected", "disconnected", "connected"]
        assert trader.signals == ["live", "closed", "live", "ended"]
        rows = [row.sequence for row in trader.said if hasattr(row, "sequence")]
        assert rows == sorted(set(rows))
        await trader.venue.disconnect()
        await trader.feed.disconnect()


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_with_a_wrong_argument_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="nonsense"):
        named(name, {"nonsense": 1})


def test_an_unknown_fault_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(SettingsError, match="lose_ack"):
        named("earthquake", {})
