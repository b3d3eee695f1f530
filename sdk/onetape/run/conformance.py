"""Conformance: does an adapter keep the promises of `onetape.run.ports`? For use with pytest.

    from onetape.run.conformance import Bench, VenueConformance

    class TestMine(VenueConformance):
        @asynccontextmanager
        async def bench(self):
            yield Bench(MyVenue(...), "ACCOUNT", instrument, quantity=..., passive=...)

Each case gets a bench of its own, connects, and leaves nothing working behind. No plug-in of
pytest is needed: a case runs its own loop. What a venue cannot do is skipped, and says so.
`FeedConformance` does the same for a feed, with a `FeedBench`.

Against a venue that is not simulated, use an account that is there for tests only: the cases
trade `quantity` and trade it back.
"""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import msgspec

from onetape.errors import VenueError, VenueUnavailable
from onetape.run.conformance_desk import Bench, Desk, FeedBench, Listener
from onetape.run.ports import (
    Accepted,
    Canceled,
    CancelRejected,
    Filled,
    MassCancel,
    ModifyOrder,
    ModifyRejected,
    Rejected,
    Report,
    Subscription,
    Updated,
    told_by,
)

__all__ = ["Bench", "FeedBench", "FeedConformance", "VenueConformance"]

WORKING = ("ACCEPTED", "PARTIALLY_FILLED", "PENDING_UPDATE", "PENDING_CANCEL", "TRIGGERED")


def at_desk(body: Callable[[Any, Desk], Awaitable[None]]) -> Callable[[Any], None]:
    """Make a case of a venue a test that pytest can call."""

    async def play(self: Any) -> None:
        async with self.bench() as bench:
            desk = Desk(bench)
            await desk.connect()
            try:
                await body(self, desk)
            except unittest.SkipTest:  # what was begun is ended all the same
                await desk.leave()
                raise
            await desk.leave()

    def test(self: Any) -> None:
        asyncio.run(play(self))

    test.__name__, test.__doc__ = body.__name__, body.__doc__
    return test


def listening(body: Callable[[Any, Listener], Awaitable[None]]) -> Callable[[Any], None]:
    """Make a case of a feed a test that pytest can call."""

    async def play(self: Any) -> None:
        async with self.bench() as bench:
            listener = Listener(bench)
            await listener.connect()
            await body(self, listener)
            await listener.feed.disconnect()

    def test(self: Any) -> None:
        asyncio.run(play(self))

    test.__name__, test.__doc__ = body.__name__, body.__doc__
    return test


class OrderCases:
    """What becomes of commands."""

    @at_desk
    async def test_a_market_order_is_filled_whole(self, desk: Desk) -> None:
        order = await desk.filled("BUY")
        fills = desk.fills(order)
        assert sum(f.quantity for f in fills) == desk.bench.quantity
        for fill in fills:
            assert (fill.side, fill.instrument) == ("BUY", desk.bench.instrument.id)
            assert fill.quantity > 0
            assert fill.price > 0
            assert fill.account in ("", desk.bench.account)
        if "status" in told_by(desk.venue):
            status = await desk.venue.status(order)
            assert status is not None
            assert (status.status, status.filled) == ("FILLED", desk.bench.quantity)
        await desk.filled("SELL")

    @at_desk
    async def test_a_limit_order_rests_and_is_canceled_when_asked(self, desk: Desk) -> None:
        order = await desk.rest()
        told = (await desk.working())[order]
        assert (told.side, told.type, told.price) == ("BUY", "LIMIT", desk.bench.passive)
        assert (told.quantity, told.filled) == (desk.bench.quantity, 0)
        desk.cancel(order)
        await desk.until(Canceled, order)
        assert order not in await desk.working()
        assert not desk.fills(order)

    @at_desk
    async def test_a_resting_order_trades_when_the_market_comes_to_it(self, desk: Desk) -> None:
        order, price, tick = await desk.rest(), desk.bench.passive, desk.bench.instrument.tick
        await desk.moved(price - 2 * tick, price - tick)
        fill = await desk.until(Filled, order)
        assert fill.price <= price

    @at_desk
    async def test_new_terms_are_confirmed_and_stand(self, desk: Desk) -> None:
        order = await desk.rest()
        lower = desk.bench.passive - desk.bench.instrument.tick
        desk.venue.modify(ModifyOrder(order, None, desk.bench.instrument.id, price=lower))
        told = await desk.until(Updated, order)
        assert (told.price, told.quantity) == (lower, desk.bench.quantity)
        assert (await desk.working())[order].price == lower

    @at_desk
    async def test_a_cancel_of_an_unknown_order_is_rejected(self, desk: Desk) -> None:
        desk.cancel("NOBODY-KNOWS-ME")
        assert (await desk.until(CancelRejected, "NOBODY-KNOWS-ME")).reason

    @at_desk
    async def test_new_terms_of_an_unknown_order_are_rejected(self, desk: Desk) -> None:
        name, price = desk.bench.instrument.id, desk.bench.passive
        desk.venue.modify(ModifyOrder("NOBODY-KNOWS-ME", None, name, price=price))
        assert (await desk.until(ModifyRejected, "NOBODY-KNOWS-ME")).reason

    @at_desk
    async def test_an_order_for_an_unknown_instrument_is_rejected(self, desk: Desk) -> None:
        nobody = f"NO-SUCH-THING.{desk.bench.instrument.venue}"
        try:
            order = desk.send(desk.order("BUY", instrument=nobody))
        except VenueError:
            return  # refused before anything left, which is as good
        assert (await desk.until(Rejected, order)).reason
        assert order not in await desk.working()

    @at_desk
    async def test_a_mass_cancel_leaves_nothing_working(self, desk: Desk) -> None:
        tick = desk.bench.instrument.tick
        orders = [await desk.rest(), await desk.rest(desk.bench.passive - tick)]
        scope = MassCancel(desk.bench.account, desk.bench.instrument.id)
        count = await desk.venue.mass_cancel(scope)
        if count is None:
            raise unittest.SkipTest("this venue has no mass cancel")
        assert count >= len(orders)
        for order in orders:
            await desk.until(Canceled, order)
        assert not set(orders) & set(await desk.working())

    @at_desk
    async def test_an_order_that_is_sent_twice_works_once(self, desk: Desk) -> None:
        order = desk.order("BUY", "LIMIT", price=desk.bench.passive)
        desk.send(order)
        await desk.until(Accepted, order.client_order_id)
        desk.send(order)
        desk.needs("orders")
        mine = [
            each
            for each in await desk.venue.orders(desk.bench.account)
            if each.client_order_id == order.client_order_id
        ]
        assert len(mine) == 1

    @at_desk
    async def test_a_command_returns_before_anything_is_reported(self, desk: Desk) -> None:
        desk.send(desk.order("BUY", "LIMIT", price=desk.bench.passive))
        await desk.filled("BUY")
        assert not desk.spoke_while_sending
        await desk.filled("SELL")

    @at_desk
    async def test_reports_of_an_order_have_the_venues_times_in_order(self, desk: Desk) -> None:
        order = await desk.rest()
        desk.cancel(order)
        await desk.until(Canceled, order)
        times = [report.ts_event for report in desk.heard(Report, order)]
        assert times == sorted(times)
        assert times[0] > 0


class QueryCases:
    """What the venue answers, and whether it agrees with what it reported."""

    @at_desk
    async def test_connecting_is_said(self, desk: Desk) -> None:
        assert desk.states[-1:] == ["connected"]

    @at_desk
    async def test_the_instruments_are_listed(self, desk: Desk) -> None:
        listed = {each.id: each for each in await desk.venue.instruments()}
        found, wanted = listed[desk.bench.instrument.id], desk.bench.instrument
        assert (found.tick, found.currency) == (wanted.tick, wanted.currency)

    @at_desk
    async def test_an_unknown_order_has_no_status(self, desk: Desk) -> None:
        desk.needs("status")
        assert await desk.venue.status("NOBODY-KNOWS-ME") is None

    @at_desk
    async def test_a_working_order_has_the_status_of_one(self, desk: Desk) -> None:
        desk.needs("status")
        order = await desk.rest()
        status = await desk.venue.status(order)
        assert status is not None
        assert status.status in WORKING
        assert status.venue_order_id

    @at_desk
    async def test_fills_positions_and_cash_agree_with_the_reports(self, desk: Desk) -> None:
        desk.needs("fills", "positions", "cash")
        held, cash = await desk.held(), await desk.cash()
        orders = [await desk.filled(side) for side in ("BUY", "BUY", "SELL")]
        reported = {f.trade_id: f for order in orders for f in desk.fills(order)}
        first = min(f.ts_event for f in reported.values())
        asked = {f.trade_id: f for f in await desk.venue.fills(desk.bench.account, first)}
        for trade_id, fill in reported.items():
            same = asked[trade_id]
            assert (same.side, same.quantity, same.price) == (fill.side, fill.quantity, fill.price)
            assert same.commission == fill.commission
        signed = {t: f.quantity * (1 if f.side == "BUY" else -1) for t, f in reported.items()}
        assert await desk.held() == held + sum(signed.values())
        if desk.bench.cash_flows:
            size = desk.bench.instrument.multiplier
            spent = sum(signed[t] * f.price * size + f.commission for t, f in reported.items())
            assert await desk.cash() == cash - spent
        await desk.filled("SELL")

    @at_desk
    async def test_fills_are_asked_for_from_a_time_on(self, desk: Desk) -> None:
        desk.needs("fills")
        order = await desk.filled("BUY")
        last = max(f.ts_event for f in desk.fills(order))
        later = await desk.venue.fills(desk.bench.account, last + 1)
        assert not {f.trade_id for f in later} & {f.trade_id for f in desk.fills(order)}
        await desk.filled("SELL")

    @at_desk
    async def test_asking_twice_gives_the_same(self, desk: Desk) -> None:
        desk.needs("orders", "fills", "positions", "cash")
        await desk.rest()
        await desk.filled("BUY")
        venue, account = desk.venue, desk.bench.account
        for ask in (venue.orders, venue.positions, venue.cash):
            assert timeless(await ask(account)) == timeless(await ask(account))
        assert timeless(await venue.fills(account, 0)) == timeless(await venue.fills(account, 0))
        await desk.filled("SELL")

    @at_desk
    async def test_whoever_logged_off_is_told_nothing_and_can_do_nothing(self, desk: Desk) -> None:
        await desk.venue.disconnect()
        venue, account = desk.venue, desk.bench.account
        asks: list[Callable[[], Awaitable[object]]] = [
            lambda: venue.orders(account),
            lambda: venue.fills(account, 0),
            lambda: venue.positions(account),
            lambda: venue.cash(account),
            lambda: venue.status("NOBODY-KNOWS-ME"),
            venue.instruments,
        ]
        for ask in asks:
            await raises(VenueUnavailable, ask)

        async def send() -> None:
            desk.send(desk.order("BUY", "LIMIT", price=desk.bench.passive))

        await raises(VenueError, send)

    @at_desk
    async def test_logging_off_leaves_orders_working(self, desk: Desk) -> None:
        desk.needs("orders", "status")
        order = await desk.rest()
        await desk.venue.disconnect()
        await desk.connect()
        status = await desk.venue.status(order)
        assert status is not None
        assert status.status in WORKING
        assert order in await desk.working()


class VenueConformance(OrderCases, QueryCases):
    """All cases of a venue; a subclass says how to set one up."""

    def bench(self) -> AbstractAsyncContextManager[Bench]:
        """Return a context that sets a venue up, and takes it down again."""
        raise TypeError(f"{type(self).__name__} needs a method bench(); see the module's example")


class FeedConformance:
    """All cases of a feed; a subclass says how to set one up."""

    def bench(self) -> AbstractAsyncContextManager[FeedBench]:
        """Return a context that sets a feed up, and takes it down again."""
        raise TypeError(f"{type(self).__name__} needs a method bench(); see the module's example")

    @listening
    async def test_the_instruments_are_listed(self, listener: Listener) -> None:
        listed = {each.id for each in await listener.feed.instruments()}
        assert listener.bench.wanted.instrument in listed

    @listening
    async def test_rows_come_in_order_and_only_what_was_asked_for(self, listener: Listener) -> None:
        await listener.begin()
        await listener.until_rows(3)
        rows = list(listener.rows)
        assert {row.instrument for row in rows} == {listener.bench.wanted.instrument}
        assert [row.ts_event for row in rows] == sorted(row.ts_event for row in rows)
        numbers = [row.sequence for row in rows if row.sequence is not None]
        assert numbers == sorted(set(numbers))
        assert all(
            isinstance(n, Decimal) and n.is_finite() for row in rows for n in numbers_of(row)
        )

    @listening
    async def test_what_the_feed_does_not_have_is_refused(self, listener: Listener) -> None:
        nobody = Subscription("NO-SUCH-THING.NOWHERE", listener.bench.wanted.data)
        await raises(VenueError, lambda: listener.feed.subscribe(nobody))

    @listening
    async def test_a_replayed_feed_waits_for_begin(self, listener: Listener) -> None:
        if not listener.feed.replayed:
            raise unittest.SkipTest("this feed is not replayed")
        await listener.feed.subscribe(listener.bench.wanted)
        await turns(listener)
        assert not listener.rows

    @listening
    async def test_a_paced_feed_waits_for_handled(self, listener: Listener) -> None:
        if not listener.feed.paced:
            raise unittest.SkipTest("this feed is not paced")
        listener.answers = False
        await listener.begin()
        for count in (1, 2):
            await listener.until_rows(count)
            await turns(listener)
            assert len(listener.rows) == count
            listener.feed.handled()

    @listening
    async def test_the_end_of_replayed_data_is_said(self, listener: Listener) -> None:
        if not (listener.feed.replayed and listener.bench.ends):
            raise unittest.SkipTest("this feed is not replayed, or too long")
        await listener.begin()
        await listener.until_signal("ended")

    @listening
    async def test_whoever_logged_off_is_told_nothing(self, listener: Listener) -> None:
        await listener.feed.disconnect()
        await raises(VenueUnavailable, listener.feed.instruments)
        await raises(VenueUnavailable, lambda: listener.feed.subscribe(listener.bench.wanted))


async def raises(kind: type[Exception], ask: Callable[[], Awaitable[object]]) -> None:
    """Assert that asking raises an error of a kind."""
    try:
        found = await ask()
    except kind:
        return
    raise AssertionError(f"{found!r} found, {kind.__name__} expected")


async def turns(listener: Listener) -> None:
    """Give a feed every chance to say something: questions go the same way as rows."""
    for _ in range(3):
        await listener.feed.instruments()
        await asyncio.sleep(0)


def timeless(told: Any) -> list[Any]:
    """Return answers without the time at which they were given."""
    return [msgspec.structs.replace(each, ts_event=0) for each in told]


def numbers_of(row: Any) -> list[Decimal]:
    """Return a row's prices and sizes."""
    names = ("bid", "ask", "bid_size", "ask_size", "price", "size", "open", "high", "low", "close")
    return [getattr(row, name) for name in names if hasattr(row, name)]
