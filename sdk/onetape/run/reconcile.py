"""Reconciliation: our books and the venue's word, set side by side before a strategy starts.

What the venue did while nobody looked (fills, cancels) is booked from its reports. What cannot be
explained by reports is a break: named, recorded, and never mended by a made-up fill. "Unknown" is
never "empty": a venue that does not answer stops the start.

Sent?    An order whose intent is on the tape but that the venue has no word of, asked by its id,
         never arrived: it is closed as rejected and not sent again, since it was meant for a market
         that has moved on.
Names    of breaks are `what:key`, such as "quantity:AAPL.XNAS"; by them they can be accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from onetape.run import ports
from onetape.run.carry import CORRECTED, Carried, Working
from onetape.run.wire import EXTERNAL, external, fact_of_report
from onetape.tape import kinds
from onetape.tape.kinds_live import BreakFound

ZERO = Decimal(0)
TRIES, PAUSE_S = 3, 0.3
Find = Callable[[str, str, object, object], None]
ENDED = {
    "CANCELED": kinds.OrderCanceled,
    "EXPIRED": kinds.OrderExpired,
}


class Said(NamedTuple):
    """A fact to record, at the venue's time."""

    fact: kinds.OrderFact
    ts: int


class Outcome(NamedTuple):
    """What came of it: facts that were missing here, breaks, and what still works there."""

    said: list[Said]
    breaks: list[BreakFound]
    working: list[ports.OrderStatus]
    counts: tuple[int, int, int]  # orders, fills and positions that the venue told of


class Theirs(NamedTuple):
    """The venue's word on one account; None where it is one that never says."""

    orders: Sequence[ports.OrderStatus]
    fills: Sequence[ports.Filled]
    positions: Sequence[ports.PositionStatus] | None
    cash: Sequence[ports.CashStatus] | None


async def asked(venue: ports.Venue, account: str, since: int) -> Theirs:
    """Return the venue's word, asked until nothing traded between the first and the last answer.

    Raises VenueUnavailable when the venue does not say.
    """
    told = ports.told_by(venue)

    async def traded() -> tuple[Sequence[ports.OrderStatus], Sequence[ports.Filled]]:
        orders = await venue.orders(account) if "orders" in told else ()
        return orders, await venue.fills(account, since) if "fills" in told else ()

    orders, fills = await traded()
    left = TRIES
    while True:
        positions = await venue.positions(account) if "positions" in told else None
        cash = await venue.cash(account) if "cash" in told else None
        again = await traded()
        left -= 1
        if not left or list(again[1]) == list(fills):
            return Theirs(orders, fills, positions, cash)
        orders, fills = again


async def reconcile(
    venue: ports.Venue, account: str, ours: Carried, currencies: dict[str, str]
) -> Outcome:
    """Compare and return what is missing here and what does not fit; `ours` gets what was missing.

    What does not fit is asked again after a pause: it may have been on its way.

    currencies   of each instrument's price
    Raises VenueUnavailable when the venue does not say.
    """
    said: list[Said] = []
    left = TRIES
    while True:
        left -= 1
        theirs = await asked(venue, account, ours.first)
        breaks: list[BreakFound] = []
        find = Finder(venue.name, account, breaks)
        for order in theirs.orders:
            _begun(order, ours, account, said, find)
        _missed(theirs.fills, ours, account, currencies, said)
        sure = await _ended(venue, theirs, ours, said, find, last=not left)
        differ(theirs, ours, find)
        if not left or (sure and not breaks):
            counts = (len(theirs.orders), len(theirs.fills), len(theirs.positions or ()))
            return Outcome(said, breaks, list(theirs.orders), counts)
        await asyncio.sleep(PAUSE_S)


def differ(theirs: Theirs, ours: Carried, find: Find) -> None:
    """Compare holdings and cash; `find` is told of what differs: what, of what, ours, theirs."""
    if theirs.positions is not None:
        _positions(theirs.positions, ours, find)
    if theirs.cash is not None:
        _cash(theirs.cash, ours, find)


def _begun(
    order: ports.OrderStatus, ours: Carried, account: str, said: list[Said], find: Find
) -> None:
    """Take in an order that works there and that nobody here knows."""
    name = order.client_order_id or f"EXT-{order.venue_order_id}"
    if name in ours.over:
        find("state", name, "ended", order.status)
    elif name in ours.working:
        _terms(ours.working[name], order, account, ours, said)
    else:
        _add(ours, said, Said(external(order), order.ts_event))
        accepted = kinds.OrderAccepted(
            name, order.instrument, EXTERNAL, account, order.venue_order_id
        )
        _add(ours, said, Said(accepted, order.ts_event))


def _terms(
    known: Working, order: ports.OrderStatus, account: str, ours: Carried, said: list[Said]
) -> None:
    """Book what became of an order that still works: acknowledged, or changed."""
    ids = (known.order.client_order_id, order.instrument, known.order.strategy)
    if not known.accepted:
        accepted = kinds.OrderAccepted(*ids, account, order.venue_order_id)
        _add(ours, said, Said(accepted, order.ts_event))
    if known.quantity != order.quantity:
        terms = (order.quantity, order.price, order.trigger_price)
        _add(ours, said, Said(kinds.OrderUpdated(*ids, *terms), order.ts_event))


class Finder:
    """Makes breaks of what differs."""

    def __init__(self, venue: str, account: str, breaks: list[BreakFound]) -> None:
        self._venue, self._account, self._breaks = venue, account, breaks

    def __call__(self, what: str, key: str, ours: object, theirs: object) -> None:
        name = f"{what}:{key}"
        found = BreakFound(name, self._venue, self._account, what, key, str(ours), str(theirs))
        self._breaks.append(found)


def _add(ours: Carried, said: list[Said], one: Said) -> None:
    said.append(one)
    ours.take(one.fact)


def _missed(
    fills: Sequence[ports.Filled],
    ours: Carried,
    account: str,
    currencies: dict[str, str],
    said: list[Said],
) -> None:
    """Book the fills that nobody here heard of."""
    for fill in fills:
        booked = ours.trades.get(ours.called(fill.trade_id))
        if booked is not None:
            _corrected(booked, fill, ours, said)
            continue
        known = ours.working.get(fill.client_order_id)
        if known is None and fill.client_order_id not in {
            t.client_order_id for t in ours.trades.values()
        }:
            begun = ports.OrderStatus(
                fill.client_order_id, fill.venue_order_id, account, fill.instrument, fill.side,
                "MARKET", "FILLED", fill.quantity, fill.quantity, ts_event=fill.ts_event,
            )  # fmt: skip
            _add(ours, said, Said(external(begun), fill.ts_event))
            known = ours.working.get(begun.client_order_id or f"EXT-{begun.venue_order_id}")
        whose = known.order.strategy if known is not None else _whose(ours, fill)
        named = known.order.client_order_id if known is not None else fill.client_order_id
        currency = currencies.get(fill.instrument, fill.commission_currency)
        fact = fact_of_report(fill, whose, account, currency)
        if isinstance(fact, kinds.OrderFilled):
            fact = msgspec.structs.replace(fact, client_order_id=named)
            _add(ours, said, Said(fact, fill.ts_event))


def _corrected(
    booked: kinds.OrderFilled, fill: ports.Filled, ours: Carried, said: list[Said]
) -> None:
    """Book the other terms that an execution got while nobody listened."""
    if (booked.quantity, booked.price) == (fill.quantity, fill.price):
        return
    ids = (booked.client_order_id, booked.instrument, booked.strategy)
    _add(ours, said, Said(kinds.OrderVoided(*ids, booked.trade_id, "corrected"), fill.ts_event))
    new = msgspec.structs.replace(
        booked,
        trade_id=f"{fill.trade_id}{CORRECTED}{ours.first + len(ours.trades)}",
        quantity=fill.quantity,
        price=fill.price,
        commission=fill.commission,
    )
    _add(ours, said, Said(new, fill.ts_event))


def _whose(ours: Carried, fill: ports.Filled) -> str:
    for known in ours.trades.values():
        if known.client_order_id == fill.client_order_id:
            return known.strategy
    return EXTERNAL


async def _ended(
    venue: ports.Venue,
    theirs: Theirs,
    ours: Carried,
    said: list[Said],
    find: Find,
    *,
    last: bool,
) -> bool:
    """Learn what became of orders that the venue does not list as working.

    Returns whether that is known of all: one that it never heard of may be on its way, unless
    it was asked for the `last` time.
    """
    sure = True
    listed = {order.client_order_id for order in theirs.orders}
    for name in [name for name in ours.working if name not in listed]:
        known = ours.working[name]
        order = known.order
        if order.strategy == EXTERNAL:
            continue
        if "status" not in ports.told_by(venue):  # "unknown" is never "gone"
            find("state", name, "working", "never told")
            continue
        status = await venue.status(name)
        ids = (name, order.instrument, order.strategy)
        if status is None:
            if known.accepted:
                find("missing_there", name, "working", "unknown")
            elif not last:
                sure = False
            else:
                reason = "it never reached the venue: the session ended before it was sent"
                _add(ours, said, Said(kinds.OrderRejected(*ids, reason), 0))
        elif status.status in ENDED:
            _add(ours, said, Said(ENDED[status.status](*ids), status.ts_event))
        elif status.status == "REJECTED":
            reason = status.reason or "rejected while nobody listened"
            _add(ours, said, Said(kinds.OrderRejected(*ids, reason), status.ts_event))
        elif status.filled != known.filled:
            find("quantity", name, known.filled, status.filled)
        else:
            find("state", name, "working", status.status)
    return sure


def _positions(theirs: Sequence[ports.PositionStatus], ours: Carried, find: Find) -> None:
    """Compare holdings over the union of both sides' instruments."""
    told: dict[str, Decimal] = {}
    for position in theirs:
        told[position.instrument] = told.get(position.instrument, ZERO) + position.quantity
    for name in sorted(told.keys() | {instrument for instrument, _ in ours.stakes}):
        mine, yours = ours.held(name), told.get(name, ZERO)
        if mine != yours:
            find("quantity", name, mine, yours)


def _cash(theirs: Sequence[ports.CashStatus], ours: Carried, find: Find) -> None:
    if not ours.cash:  # the account's first session: what the venue says is where it begins
        return
    told = {cash.currency: cash.total for cash in theirs}
    for currency in sorted(told.keys() | ours.cash.keys()):
        mine, yours = ours.cash.get(currency, ZERO), told.get(currency, ZERO)
        if mine != yours:
            find("cash", currency, mine, yours)
