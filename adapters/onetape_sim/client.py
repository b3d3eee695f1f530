"""A simulated venue in another process, behind the same ports; see `link` for the connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from onetape.errors import VenueError, VenueUnavailable
from onetape.market import Instrument
from onetape.run.ports import (
    CancelOrder,
    CashStatus,
    FeedSignal,
    Filled,
    MassCancel,
    ModifyOrder,
    NewOrder,
    OrderStatus,
    PositionStatus,
    Subscription,
    VenueState,
)
from onetape_sim.config import checked
from onetape_sim.link import Link, TellFeed, TellVenue, link_of
from onetape_sim.wire import Handled, place


class Answers:
    """What a venue in another process answers; the half of the port that changes nothing."""

    def __init__(self, config: Mapping[str, object]) -> None:
        self._config = checked(config)
        place(self._config.address or "")
        self.name = self._config.name
        self._found: Link | None = None

    @property
    def _link(self) -> Link:
        if self._found is None:
            raise VenueUnavailable("not connected to the simulated venue; connect() first")
        return self._found

    async def instruments(self) -> Sequence[Instrument]:
        """See the port."""
        return await self._link.ask("instruments", list[Instrument])

    async def status(self, client_order_id: str) -> OrderStatus | None:
        """See the port."""
        return await self._link.ask("status", OrderStatus | None, text=client_order_id)

    async def orders(self, account: str) -> Sequence[OrderStatus]:
        """See the port."""
        return await self._link.ask("orders", list[OrderStatus], text=account)

    async def fills(self, account: str, since: int) -> Sequence[Filled]:
        """See the port."""
        return await self._link.ask("fills", list[Filled], text=account, number=since)

    async def positions(self, account: str) -> Sequence[PositionStatus]:
        """See the port."""
        return await self._link.ask("positions", list[PositionStatus], text=account)

    async def cash(self, account: str) -> Sequence[CashStatus]:
        """See the port."""
        return await self._link.ask("cash", list[CashStatus], text=account)


class Venue(Answers):
    """A simulated venue in another process; keeps `onetape.run.ports.Venue`."""

    async def connect(self, emit: TellVenue) -> None:
        """See the port."""
        link = link_of(self._config)
        if link.tell_venue is not None and self._found is not link:
            link = Link(self._config, place(self._config.address or ""))
        await link.start()
        accounts = {"accounts": self._config.accounts}
        self._found, link.tell_venue = link, emit  # reports may come right behind the answer
        try:
            found = await link.ask("connect", dict[str, Any], args=accounts)
        except VenueError:
            await self.disconnect()
            raise
        self.name, link.beat = found["name"], found["heartbeat"]
        emit(VenueState("connected"))

    async def disconnect(self) -> None:
        """See the port."""
        link, self._found = self._found, None
        if link is None:
            return
        link.tell_venue = None
        if link.open:
            with suppress(VenueUnavailable):  # a venue that is silent is left all the same
                await link.ask("disconnect")
        await link.leave()

    def send(self, order: NewOrder) -> None:
        """See the port."""
        self._link.post(order)

    def modify(self, change: ModifyOrder) -> None:
        """See the port."""
        self._link.post(change)

    def cancel(self, order: CancelOrder) -> None:
        """See the port."""
        self._link.post(order)

    async def mass_cancel(self, scope: MassCancel) -> int | None:
        """See the port."""
        return await self._link.ask("mass_cancel", int, about=scope)

    async def fault(self, name: str, **args: object) -> None:
        """Begin a fault; see the README for their names."""
        await self._link.ask("fault", text=name, args=args)


class Feed:
    """A simulated feed in another process; keeps `onetape.run.ports.Feed`."""

    def __init__(self, config: Mapping[str, object]) -> None:
        self._config = checked(config)
        place(self._config.address or "")
        self.name = self._config.name
        self.replayed = self._config.clock == "rows"
        self.paced = not self._config.speed
        self.synthetic = True
        self._found: Link | None = None

    @property
    def _link(self) -> Link:
        if self._found is None:
            raise VenueUnavailable("not connected to the simulated feed; connect() first")
        return self._found

    async def connect(self, emit: TellFeed) -> None:
        """See the port; `replayed` and `paced` are the venue's from here on."""
        link = link_of(self._config)
        if link.tell_feed is not None and self._found is not link:
            link = Link(self._config, place(self._config.address or ""))
        await link.start()
        try:
            found = await link.ask("feed_connect", dict[str, Any])
        except VenueError:
            await link.leave()
            raise
        self.name, self.replayed, self.paced = found["name"], found["replayed"], found["paced"]
        self.synthetic = found["synthetic"]
        link.subscribed, link.begun, link.beat = [], False, found["heartbeat"]
        self._found, link.tell_feed = link, emit
        emit(FeedSignal("live", None, found["now"]))

    async def disconnect(self) -> None:
        """See the port."""
        link, self._found = self._found, None
        if link is None:
            return
        link.tell_feed = None
        if link.open:
            with suppress(VenueUnavailable):
                await link.ask("feed_disconnect")
        await link.leave()

    async def instruments(self) -> Sequence[Instrument]:
        """See the port."""
        return await self._link.ask("feed_instruments", list[Instrument])

    async def subscribe(self, wanted: Subscription) -> None:
        """See the port."""
        await self._link.ask("subscribe", about=wanted)
        self._link.subscribed.append(wanted)

    async def begin(self) -> None:
        """See the port."""
        self._link.begun = True
        await self._link.ask("begin")

    def handled(self) -> None:
        """See the port."""
        if self._found is not None and self._found.open:
            self._found.post(Handled())
