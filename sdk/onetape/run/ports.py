"""Ports: what a venue and a feed must be able to do, in the tape's words.

An adapter keeps these promises and imports nothing else of ours than this module, instruments
and errors: neither the engine nor the database. It is found by the entry point `onetape.venues`,
whose object is an `Adapter`; `onetape.run.conformance` tests whether it keeps them.

Loop       all methods are called on one asyncio loop, and everything is emitted on that loop.
Commands   `send`, `modify`, `cancel` hand a message to the wire and return at once; what became
           of it comes as a report. They raise VenueError when nothing has left.
Reports    at least once: a repeated report is recognized by (`client_order_id`, `trade_id`) or by
           the state that it tells of. A report of an order that we do not know is still emitted.
Answers    the queries answer from the venue; they raise VenueUnavailable where it does not say.
           "Unknown" is never told as "empty".
Units      as on the tape: exact decimals, unsigned quantities beside a side, positions signed,
           `ts_event` the venue's time in ns UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from onetape.market.instruments import Instrument
from onetape.run.messages import (
    Accepted,
    AnyReport,
    AnyRow,
    AnyWord,
    Bar,
    Busted,
    Canceled,
    CancelOrder,
    CancelRejected,
    CashStatus,
    Corrected,
    Difference,
    Expired,
    FeedSignal,
    Filled,
    MassCancel,
    Message,
    ModifyOrder,
    ModifyRejected,
    NewOrder,
    Notice,
    OrderStatus,
    PositionStatus,
    Quote,
    Rejected,
    Report,
    Row,
    Side,
    Subscription,
    Trade,
    Triggered,
    Updated,
    VenueState,
)

__all__ = [
    "ANSWERS",
    "Accepted",
    "Adapter",
    "AnyReport",
    "AnyRow",
    "AnyWord",
    "Bar",
    "Busted",
    "CancelOrder",
    "CancelRejected",
    "Canceled",
    "CashStatus",
    "Corrected",
    "Difference",
    "Expired",
    "Feed",
    "FeedSignal",
    "Filled",
    "MassCancel",
    "Message",
    "ModifyOrder",
    "ModifyRejected",
    "NewOrder",
    "Notice",
    "OrderStatus",
    "PositionStatus",
    "Quote",
    "Rejected",
    "Report",
    "Row",
    "Side",
    "Subscription",
    "Trade",
    "Triggered",
    "Updated",
    "Venue",
    "VenueState",
    "told_by",
]

ANSWERS = frozenset(("orders", "status", "fills", "positions", "cash"))


class Venue(Protocol):
    """Where orders go. `name` is the venue's, as in instrument ids where it lists them.

    A venue that cannot answer all queries has an attribute `tells`, the names of those that it
    can, out of ANSWERS; the others raise VenueUnavailable and are not compared. See `told_by`.

    One that remembers how far its reports were passed on has a method `visit`, called before
    `connect` by who only comes to cancel and records nothing: it then leaves that as it is.
    """

    name: str

    async def connect(self, emit: Callable[[AnyReport | AnyWord], None]) -> None:
        """Log on; from here on reports go to `emit`. Raises VenueUnavailable."""
        ...

    async def disconnect(self) -> None:
        """Log off; working orders stay where they are."""
        ...

    async def instruments(self) -> Sequence[Instrument]:
        """Return what can be traded there."""
        ...

    def send(self, order: NewOrder) -> None: ...

    def modify(self, change: ModifyOrder) -> None: ...

    def cancel(self, order: CancelOrder) -> None: ...

    async def mass_cancel(self, scope: MassCancel) -> int | None:
        """Ask for all to be canceled; return how many are, None where the venue has no such
        message. The cancels come as reports."""
        ...

    async def status(self, client_order_id: str) -> OrderStatus | None:
        """Return one order; None when the venue says that it has none of that id."""
        ...

    async def orders(self, account: str) -> Sequence[OrderStatus]:
        """Return the working orders."""
        ...

    async def fills(self, account: str, since: int) -> Sequence[Filled]:
        """Return executions with `ts_event` >= since; busted ones are left out."""
        ...

    async def positions(self, account: str) -> Sequence[PositionStatus]:
        """Return all holdings that are not flat."""
        ...

    async def cash(self, account: str) -> Sequence[CashStatus]: ...


def told_by(venue: Venue) -> frozenset[str]:
    """Return which queries a venue can answer: all of ANSWERS unless it says otherwise."""
    return frozenset(getattr(venue, "tells", ANSWERS)) & ANSWERS


class Feed(Protocol):
    """Where market data comes from.

    `replayed` is True where rows are a past day's: time is then the rows' own (`ts_event`).
    `paced` is True where the next row comes only after `handled()` was called for the last.
    `synthetic` is True where no market ever traded so. On connecting, a replayed feed says what
    time it is by a signal "live".
    """

    name: str
    replayed: bool
    paced: bool
    synthetic: bool

    async def connect(self, emit: Callable[[AnyRow | FeedSignal], None]) -> None:
        """Begin; rows come once they are subscribed to. Raises VenueUnavailable."""
        ...

    async def disconnect(self) -> None: ...

    async def instruments(self) -> Sequence[Instrument]: ...

    async def subscribe(self, wanted: Subscription) -> None:
        """Begin one stream of rows; a snapshot comes first where the source has one.

        Raises VenueError when the feed has no such data.
        """
        ...

    async def begin(self) -> None:
        """Say that all subscriptions are there: a replayed feed starts its clock now."""
        ...

    def handled(self) -> None:
        """Say that everything that the last row led to has left."""
        ...


class Adapter(Protocol):
    """What the entry point `onetape.venues` names: a module or object with these two.

    `config` is plain data (text, numbers, lists, maps), secrets by reference only. An adapter
    that has no feed, or no venue, raises SettingsError there. One that leads to simulated venues
    has `simulated(config)`, which says whether that config does: such a venue fills what is paper
    itself. Without it no config does.
    """

    def venue(self, config: Mapping[str, object]) -> Venue: ...

    def feed(self, config: Mapping[str, object]) -> Feed: ...
