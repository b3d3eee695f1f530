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
from decimal import Decimal
from typing import Literal, Protocol

import msgspec

from onetape.market.instruments import Instrument

Side = Literal["BUY", "SELL"]


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="message", omit_defaults=True):
    """Base of everything that goes through a port; tagged, so that it can go over a socket."""


# -- to the venue


class NewOrder(Message, frozen=True):
    """An order on its way out. `type`: MARKET, LIMIT, STOP_MARKET, STOP_LIMIT,
    MARKET_IF_TOUCHED, LIMIT_IF_TOUCHED; `time_in_force`: GTC, DAY, IOC, FOK, GTD,
    AT_THE_OPEN, AT_THE_CLOSE."""

    client_order_id: str
    account: str
    instrument: str
    side: Side
    type: str
    quantity: Decimal
    time_in_force: str = "GTC"
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    expire_time: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    strategy: str = ""
    trader: str = ""


class ModifyOrder(Message, frozen=True):
    """New terms of a working order; what is None stays. `quantity` includes what is filled."""

    client_order_id: str
    venue_order_id: str | None
    instrument: str
    quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None


class CancelOrder(Message, frozen=True):
    client_order_id: str
    venue_order_id: str | None
    instrument: str


class MassCancel(Message, frozen=True):
    """Cancel all working orders of an account, or of one of its instruments."""

    account: str
    instrument: str | None = None


# -- from the venue


class Report(Message, frozen=True):
    """Base of execution reports. `client_order_id` is "" where the venue knows none."""

    client_order_id: str
    venue_order_id: str
    instrument: str
    ts_event: int


class Accepted(Report, frozen=True):
    pass


class Rejected(Report, frozen=True):
    reason: str


class Filled(Report, frozen=True):
    """One execution; `commission` is what was paid (a rebate is negative)."""

    trade_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    commission_currency: str
    liquidity: str = "NO_LIQUIDITY_SIDE"  # MAKER, TAKER
    account: str = ""
    basis: str = ""  # what the price was taken from, where fills are simulated


class Triggered(Report, frozen=True):
    pass


class Updated(Report, frozen=True):
    """The order's terms now; `quantity` includes what is filled."""

    quantity: Decimal
    price: Decimal | None = None
    trigger_price: Decimal | None = None


class ModifyRejected(Report, frozen=True):
    reason: str


class Canceled(Report, frozen=True):
    """Also unasked: a venue may cancel (halt, self-match, disconnect)."""

    reason: str = ""


class CancelRejected(Report, frozen=True):
    reason: str


class Expired(Report, frozen=True):
    pass


class Busted(Report, frozen=True):
    """The venue took the execution `trade_id` back."""

    trade_id: str
    reason: str = ""


class Corrected(Report, frozen=True):
    """The execution `trade_id` now has other terms."""

    trade_id: str
    quantity: Decimal
    price: Decimal


AnyReport = (
    Accepted
    | Rejected
    | Filled
    | Triggered
    | Updated
    | ModifyRejected
    | Canceled
    | CancelRejected
    | Expired
    | Busted
    | Corrected
)


class VenueState(Message, frozen=True):
    """The way to the venue: connected, silent (heartbeats missed) or disconnected."""

    state: str
    detail: str = ""


# -- what the venue answers


class OrderStatus(Message, frozen=True):
    """An order as the venue has it; `status`: ACCEPTED, PARTIALLY_FILLED, FILLED, CANCELED,
    REJECTED, EXPIRED, PENDING_CANCEL, PENDING_UPDATE, TRIGGERED."""

    client_order_id: str
    venue_order_id: str
    account: str
    instrument: str
    side: Side
    type: str
    status: str
    quantity: Decimal
    filled: Decimal
    time_in_force: str = "GTC"
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    average_price: Decimal | None = None
    ts_event: int = 0
    reason: str = ""


class PositionStatus(Message, frozen=True):
    account: str
    instrument: str
    quantity: Decimal  # signed
    average_price: Decimal | None = None
    ts_event: int = 0


class CashStatus(Message, frozen=True):
    account: str
    currency: str
    total: Decimal
    ts_event: int = 0


# -- market data


class Row(Message, frozen=True):
    """Base of market data; `sequence` counts per feed and instrument where the source does."""

    instrument: str
    ts_event: int


class Quote(Row, frozen=True):
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    sequence: int | None = None


class Trade(Row, frozen=True):
    price: Decimal
    size: Decimal
    side: Side | None  # of the aggressor
    trade_id: str
    sequence: int | None = None


class Bar(Row, frozen=True):
    """A closed bar; `ts_event` is its close, `step` as in datasets ("1-MINUTE")."""

    step: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    sequence: int | None = None


AnyRow = Quote | Trade | Bar


class FeedSignal(Message, frozen=True):
    """Something about the feed itself: heartbeat, gap, stale, live, closed, ended.

    `ended` is said by a replayed dataset that has no more rows.
    """

    signal: str
    instrument: str | None
    ts_event: int
    detail: str = ""


class Subscription(Message, frozen=True):
    """What is wanted: `data` is quotes, trades or bars; `step` of bars."""

    instrument: str
    data: str
    step: str | None = None


class Venue(Protocol):
    """Where orders go. `name` is the venue's, as in instrument ids where it lists them."""

    name: str

    async def connect(self, emit: Callable[[AnyReport | VenueState], None]) -> None:
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
    that has no feed, or no venue, raises SettingsError there.
    """

    def venue(self, config: Mapping[str, object]) -> Venue: ...

    def feed(self, config: Mapping[str, object]) -> Feed: ...
