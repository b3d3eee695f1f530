"""Cancel all orders of a session, for a person in a hurry: no strategy and no books are needed.

Where the venue knows OrderMassCancelRequest (q) one is sent. Where it does not, the orders that
work are read from the session's journal, and each gets its own cancel (F). What cannot be read
there (an order older than the kept journal) is not canceled by that: the venue's own desk is then
the place to ask, and the answer says how many were found.

Units    ns UTC; ids keep the profile's rule (length, alphabet).
Raises   VenueError where the session is not logged on or has no orders.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from onetape.errors import VenueError
from onetape_fix.wire import Message, format_utc, parse

if TYPE_CHECKING:
    from onetape_fix.gateway.held import Held
    from onetape_fix.profiles import Profile
    from onetape_fix.session import Record

ENDED = frozenset("248C")  # OrdStatus: filled, canceled, rejected, expired
INSTRUMENT = (55, 65, 48, 22, 460, 461, 167, 200, 541, 201, 202, 207, 15)
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
READ = frozenset((b"D", b"G", b"8"))
_numbers = count(1)


class Working(msgspec.Struct):
    """An order that may still trade, as far as the journal tells."""

    client_order_id: str
    venue_order_id: str
    account: str
    side: str
    quantity: str
    instrument: tuple[tuple[int, str], ...]


def working(records: Iterable[Record]) -> dict[str, Working]:
    """Return the orders that the messages of a journal leave working, by ClOrdID."""
    found: dict[str, Working] = {}
    for record in records:
        if record.kind not in ("in", "out"):
            continue
        at = record.raw.find(b"\x0135=") + 4
        kind = record.raw[at : record.raw.find(b"\x01", at)]
        if kind not in READ:
            continue
        message = parse(record.raw)
        if kind == b"D":
            found[message.get(11) or ""] = _of(message)
        elif kind == b"8":
            _report(found, message)
    found.pop("", None)
    return found


def _of(message: Message) -> Working:
    return Working(
        message.get(11) or "",
        message.get(37) or "",
        message.get(1) or "",
        message.get(54) or "",
        message.get(38) or "",
        tuple((tag, value) for tag in INSTRUMENT if (value := message.get(tag)) is not None),
    )


def _report(found: dict[str, Working], message: Message) -> None:
    ours, before = message.get(11) or "", message.get(41) or ""
    known = found.get(ours) or found.get(before)
    if message.get(39) in ENDED:
        found.pop(ours, None)
        if message.get(150) == "4":
            found.pop(before, None)  # told by the cancel's id, the order's own beside it
        return
    now = _of(message)
    if known is not None:
        now.account = now.account or known.account
        now.side, now.quantity = now.side or known.side, now.quantity or known.quantity
        now.instrument = known.instrument or now.instrument
        now.venue_order_id = now.venue_order_id or known.venue_order_id
    if message.get(150) in ("6", "E"):  # pending: it is still called by its old id
        now.client_order_id = before or ours
    elif before and before != ours:
        found.pop(before, None)
    found[now.client_order_id] = now


def cancel_all(held: Held, account: str = "") -> dict[str, Any]:
    """Send what cancels all orders of a session; return how, and how many where that is known."""
    if "order" not in held.config.duties:
        duties = ", ".join(sorted(held.config.duties))
        raise VenueError(f"{held.name} has the duty {duties} and no orders to cancel")
    profile, now = held.profile, held.clock.now()
    stamp = format_utc(now, held.config.timestamp_digits)
    if "q" in profile.supported:
        told = [(1, account)] if account else []
        made = fresh_id(profile, now)
        seq = held.send("q", [(11, made), (530, "7"), *told, (60, stamp)])
        return {"way": "q", "id": made, "seq": seq, "orders": None}
    since = now - held.history_ns
    orders = working(r for r in held.store.records(0) if r.ts >= since)
    sent: list[str] = []
    for order in orders.values():
        if account and order.account and order.account != account:
            continue
        held.send("F", _cancel(order, fresh_id(profile, now), stamp))
        sent.append(order.client_order_id)
    return {"way": "F", "orders": len(sent), "canceled": sent}


def _cancel(order: Working, made: str, stamp: str) -> list[tuple[int, str]]:
    body = [(41, order.client_order_id)]
    if order.venue_order_id and order.venue_order_id != "NONE":
        body.append((37, order.venue_order_id))
    body.append((11, made))
    if order.account:
        body.append((1, order.account))
    body += [*order.instrument, (54, order.side), (60, stamp)]
    if order.quantity:
        body.append((38, order.quantity))
    return body


def fresh_id(profile: Profile, now: int) -> str:
    """Return an id that no order has had, within the profile's rule."""
    rule = profile.ids
    letters = [c for c in ALPHABET if c in rule.alphabet] or list(rule.alphabet)
    left = (now or time.time_ns()) // 1_000 + next(_numbers)
    made = ""
    while left:
        left, digit = divmod(left, len(letters))
        made = letters[digit] + made
    return made[-rule.max_length :]
