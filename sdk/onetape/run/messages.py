"""Messages: what goes through a port, as plain data in the tape's words; see `run.ports`.

Units    exact decimals, unsigned quantities beside a side, positions signed, `ts_event` the venue's
         time in ns UTC.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

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


class Notice(Message, frozen=True):
    """Something about the venue or the way to it that a person should know.

    `level` is info, warning or critical; `code` names the kind, such as "gap_filled_over".
    """

    level: str
    code: str
    text: str


class Difference(Message, frozen=True):
    """Two sources of the venue's word disagree, such as its order session and its drop copy.

    `what` and `key` are as of a break on the tape: quantity, price, missing_here, missing_there;
    an order, a trade, an instrument. `ours` is what was booked.
    """

    what: str
    key: str
    ours: str
    theirs: str


AnyWord = VenueState | Notice | Difference


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
