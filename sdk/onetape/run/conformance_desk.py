"""What the conformance suite works with: the bench that an adapter sets up, and a desk at it."""

from __future__ import annotations

import asyncio
import unittest
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from onetape.errors import VenueUnavailable
from onetape.market.instruments import Instrument
from onetape.run.ports import (
    Accepted,
    AnyReport,
    AnyRow,
    AnyWord,
    Bar,
    CancelOrder,
    Feed,
    FeedSignal,
    Filled,
    NewOrder,
    OrderStatus,
    Quote,
    Report,
    Side,
    Subscription,
    Trade,
    Venue,
    VenueState,
    told_by,
)

R = TypeVar("R", bound=Report)


@dataclass
class Bench:
    """A venue to be tried, not connected yet, and what may be done there.

    quantity   what a market order fills at once, whatever else the suite does
    passive    price of a buy order that rests and does not trade; the suite also uses one tick less
    quote      moves the market to (bid, ask) with plenty of size; None where nobody can
    cash_flows whether cash moves by quantity x price x multiplier and the commission
    patience   seconds after which a report that has not come is missing
    """

    venue: Venue
    account: str
    instrument: Instrument
    quantity: Decimal
    passive: Decimal
    quote: Callable[[Decimal, Decimal], Awaitable[None]] | None = None
    cash_flows: bool = True
    patience: float = 5.0


@dataclass
class FeedBench:
    """A feed to be tried, not connected yet, and a stream that it has; `ends`: it is short, and
    can be read to its end."""

    feed: Feed
    wanted: Subscription
    ends: bool = False
    patience: float = 5.0


class Ears:
    """What was emitted, and a way to wait for more."""

    def __init__(self, patience: float) -> None:
        self.said: list[Any] = []
        self._patience = patience
        self._more = asyncio.Event()

    def hear(self, said: object) -> None:
        """Take in what an adapter emits."""
        self.said.append(said)
        self._more.set()

    async def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait until `done`; AssertionError with `what` where it does not come about."""
        try:
            async with asyncio.timeout(self._patience):
                while not done():
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            heard = "\n  ".join(map(str, self.said[-20:])) or "nothing"
            raise AssertionError(f"{what} did not come; heard:\n  {heard}") from None


class Hearing:
    """Somebody who is logged on at a bench and remembers what was reported."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.venue = bench.venue
        self.sending = False
        self.spoke_while_sending = False
        self._ears = Ears(bench.patience)

    async def connect(self) -> None:
        """Log on."""
        await self.venue.connect(self._hear)

    def _hear(self, said: AnyReport | AnyWord) -> None:
        self.spoke_while_sending = self.spoke_while_sending or self.sending
        self._ears.hear(said)

    @property
    def states(self) -> list[str]:
        """The states of the way to the venue, as they were said."""
        return [each.state for each in self._ears.said if isinstance(each, VenueState)]

    def heard(self, kind: type[R], order: str) -> list[R]:
        """Return the reports of a kind about an order."""
        said = self._ears.said
        return [each for each in said if isinstance(each, kind) and each.client_order_id == order]

    def fills(self, order: str) -> list[Filled]:
        """Return an order's executions, each once, however often it was reported."""
        return list({fill.trade_id: fill for fill in self.heard(Filled, order)}.values())

    async def until(self, kind: type[R], order: str) -> R:
        """Wait for a report of a kind about an order, and return the first."""
        await self._ears.until(
            lambda: bool(self.heard(kind, order)), f"{kind.__name__} for {order}"
        )
        return self.heard(kind, order)[0]


class Desk(Hearing):
    """Somebody who trades there."""

    def order(self, side: Side, kind: str = "MARKET", **terms: Any) -> NewOrder:
        """Return an order with an id of its own."""
        bench = self.bench
        said: dict[str, Any] = {
            "client_order_id": f"C{uuid.uuid4().hex[:18]}",
            "account": bench.account,
            "instrument": bench.instrument.id,
            "side": side,
            "type": kind,
            "quantity": bench.quantity,
        }
        return NewOrder(**{**said, **terms})

    def send(self, order: NewOrder) -> str:
        """Send an order; return its id."""
        self.sending = True
        try:
            self.venue.send(order)
        finally:
            self.sending = False
        return order.client_order_id

    async def rest(self, price: Decimal | None = None) -> str:
        """Let a buy order rest; return its id once the venue has accepted it."""
        wanted = self.bench.passive if price is None else price
        order = self.send(self.order("BUY", "LIMIT", price=wanted))
        await self.until(Accepted, order)
        return order

    async def filled(self, side: Side) -> str:
        """Trade a market order whole; return its id."""
        order = self.send(self.order(side))
        quantity = self.bench.quantity
        await self._ears.until(
            lambda: sum((f.quantity for f in self.fills(order)), Decimal(0)) >= quantity,
            f"executions of {quantity} for {order}",
        )
        return order

    def cancel(self, order: str) -> None:
        """Ask for an order to be canceled."""
        self.venue.cancel(CancelOrder(order, None, self.bench.instrument.id))

    def needs(self, *answers: str) -> None:
        """Skip the case where the venue never tells one of these; see `ports.told_by`."""
        untold = sorted(set(answers) - told_by(self.venue))
        if untold:
            raise unittest.SkipTest(f"this venue never tells its {', '.join(untold)}")

    async def working(self) -> dict[str, OrderStatus]:
        """Return the account's working orders by id."""
        self.needs("orders")
        return {o.client_order_id: o for o in await self.venue.orders(self.bench.account)}

    async def held(self) -> Decimal:
        """Return what the account holds in the bench's instrument."""
        self.needs("positions")
        found = await self.venue.positions(self.bench.account)
        name = self.bench.instrument.id
        return sum((p.quantity for p in found if p.instrument == name), Decimal(0))

    async def cash(self) -> Decimal:
        """Return the account's cash in the instrument's currency."""
        self.needs("cash")
        found = await self.venue.cash(self.bench.account)
        currency = self.bench.instrument.currency
        return sum((c.total for c in found if c.currency == currency), Decimal(0))

    async def moved(self, bid: Decimal, ask: Decimal) -> None:
        """Move the market; the case is skipped where nobody can."""
        if self.bench.quote is None:
            raise unittest.SkipTest("the market of this venue cannot be moved")
        await self.bench.quote(bid, ask)

    async def leave(self) -> None:
        """Leave nothing working behind, and log off."""
        try:
            if "orders" in told_by(self.venue):
                for order in await self.working():
                    self.cancel(order)
                await self.venue.orders(self.bench.account)
        except VenueUnavailable:
            return  # the case has logged off itself
        await self.venue.disconnect()


class Listener:
    """Somebody who listens to a feed and says `handled` after each row, unless told to wait."""

    def __init__(self, bench: FeedBench) -> None:
        self.bench = bench
        self.feed = bench.feed
        self.answers = True
        self._ears = Ears(bench.patience)

    async def connect(self) -> None:
        """Log on."""
        await self.feed.connect(self._hear)

    def _hear(self, said: AnyRow | FeedSignal) -> None:
        self._ears.hear(said)
        if self.answers and self.feed.paced and not isinstance(said, FeedSignal):
            asyncio.get_running_loop().call_soon(self.feed.handled)

    @property
    def rows(self) -> list[AnyRow]:
        """The rows that came."""
        return [each for each in self._ears.said if isinstance(each, Quote | Trade | Bar)]

    @property
    def signals(self) -> list[str]:
        """What the feed said about itself."""
        return [each.signal for each in self._ears.said if isinstance(each, FeedSignal)]

    async def begin(self) -> None:
        """Subscribe to the bench's stream and let the feed start."""
        await self.feed.subscribe(self.bench.wanted)
        await self.feed.begin()

    async def until_rows(self, count: int) -> None:
        """Wait for so many rows, or the end of the data."""
        await self._ears.until(
            lambda: len(self.rows) >= count or "ended" in self.signals, f"{count} rows"
        )

    async def until_signal(self, signal: str) -> None:
        """Wait for the feed to say something about itself."""
        await self._ears.until(lambda: signal in self.signals, f"the signal {signal!r}")
