"""Rows: what changed in the books as lines of PostgreSQL's COPY text format.

Text, because it is the cheapest exact form of a decimal: `str` of one takes 0.05 us here, the
driver's binary numeric 1 us. A line's columns stand in the order of `schema.COLUMNS`; null is
a backslash and N. NUL, which PostgreSQL cannot keep, is shown as U+2400.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache

import msgspec

from onetape.books.exact import EXACT, TINY, ZERO
from onetape.books.orders import Order
from onetape.books.places import Line, Moved, Paid, Purse, Run, Slot, Worth
from onetape.books.positions import Holding
from onetape.books.trades import Running, Trade
from onetape.tape.ledger import Entry

NULL = "\\N"
SPECIAL = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\x00": "\N{SYMBOL FOR NULL}"}
)
_json = msgspec.json.Encoder(order="deterministic", decimal_format="string")


def text(said: str | None) -> str:
    """Return a text as COPY reads it."""
    if said is None:
        return NULL
    if said.isprintable() and "\\" not in said:
        return said
    return said.translate(SPECIAL)


named = lru_cache(maxsize=65_536)(text)  # for texts that come again and again


def number(amount: Decimal | int | None) -> str:
    """Return an amount as COPY reads it."""
    return NULL if amount is None else str(amount)


def rounded(amount: Decimal | None) -> str:
    """Return a quotient, rounded as everywhere in the books where it is longer than 1e-18."""
    if amount is None:
        return NULL
    said = str(amount)
    return said if len(said) < 20 else str(EXACT.quantize(amount, TINY))


def listed(seqs: Iterable[int]) -> str:
    """Return seqs as an array."""
    return "{" + ",".join(map(str, seqs)) + "}"


def amounts(by_currency: Mapping[str, Decimal]) -> str:
    """Return amounts by currency as JSON, or null for none."""
    if not by_currency:
        return NULL
    return text(_json.encode(by_currency).decode())


def key(slot: Slot) -> str:
    whose = "\t".join(map(named, (slot.book, *slot.key, slot.notes.currency)))
    return f"{slot.id}\t{whose}\t{slot.multiplier!s}\t{'t' if slot.margined else 'f'}\n"


def position(slot: Slot, holding: Holding) -> str:
    notes = slot.notes
    paid = notes.commission.get(notes.currency, ZERO)
    others = notes.commission.keys() - {notes.currency}
    return (
        f"{slot.id}\t{holding.quantity!s}\t{holding.cost!s}\t{holding.realized!s}\t"
        f"{slot.last_price!s}\t{paid!s}\t{amounts(notes.commission) if others else NULL}\t"
        f"{number(holding.opened_seq)}\t{notes.fills}\t{notes.seq}\t{slot.ts}\n"
    )


def history(one: Moved) -> str:
    held = one.holding
    change = NULL if one.change is None else one.change
    price = NULL if one.price is None else one.price
    return (
        f"{one.slot.id}\t{one.seq}\t{one.ts}\t{'t' if one.late else 'f'}\t{one.event}\t"
        f"{change!s}\t{price!s}\t{held.quantity!s}\t{held.cost!s}\t{held.realized!s}\t"
        f"{one.commission!s}\t{one.last_price!s}\n"
    )


def cash(one: Paid) -> str:
    entry = one.entry
    balance = NULL if one.void_seq is not None else one.balance
    return (
        f"{named(one.book)}\t{named(entry.account)}\t{named(entry.currency)}\t{entry.seq}\t"
        f"{one.line}\t{entry.ts_event}\t{entry.amount!s}\t{balance!s}\t{entry.reason}\t"
        f"{named(entry.instrument)}\t{text(entry.client_order_id)}\t{number(one.void_seq)}\n"
    )


def balance(purse: Purse) -> str:
    return (
        f"{named(purse.book)}\t{named(purse.account)}\t{named(purse.currency)}\t{purse.balance!s}\t"
        f"{purse.seq}\t{purse.ts}\t{purse.realized!s}\t{purse.commission!s}\t"
        f"{purse.dividends!s}\t{purse.deposits!s}\t{purse.market_value!s}\t{purse.unrealized!s}\n"
    )


def equity(one: Worth) -> str:
    purse = one.purse
    return (
        f"{named(purse.book)}\t{named(purse.account)}\t{named(purse.currency)}\t{one.recorded}\t"
        f"{purse.seq}\t{purse.ts}\t{purse.balance!s}\t{purse.market_value!s}\t"
        f"{purse.unrealized!s}\t{purse.realized!s}\t{purse.commission!s}\t{purse.dividends!s}\t"
        f"{purse.deposits!s}\t{purse.balance + purse.market_value!s}\n"
    )


def exposure(line: Line) -> str:
    return (
        f"{named(line.book)}\t{named(line.account)}\t{named(line.instrument)}\t"
        f"{named(line.info.currency)}\t{line.quantity!s}\t{line.price!s}\t{abs(line.notional)!s}\t"
        f"{line.notional!s}\t{line.unrealized!s}\t{line.seq}\t{line.ts}\t{line.cost!s}\n"
    )


def order(book: str, one: Order, executions: Mapping[str, int] | None) -> str:
    paid = one.commission
    fee = ZERO if not paid else next(iter(paid.values())) if len(paid) == 1 else None
    average = EXACT.divide(one.filled_value, one.filled) if one.filled else None
    trades = NULL
    if executions:
        quoted = ('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in executions)
        trades = text("{" + ",".join(quoted) + "}")
    fills = listed(executions.values()) if executions else NULL
    return (
        f"{named(book)}\t{one.seqs[0]}\t{one.ts_init}\t{one.ts_last}\t"
        f"{text(one.client_order_id)}\t{text(one.venue_order_id)}\t{named(one.account)}\t"
        f"{named(one.instrument)}\t{named(one.strategy)}\t{one.side}\t{named(one.type)}\t"
        f"{named(one.time_in_force)}\t{one.quantity!s}\t{one.filled!s}\t{number(one.price)}\t"
        f"{number(one.trigger_price)}\t{rounded(average)}\t{number(fee)}\t{one.status}\t"
        f"{text(one.reason)}\t{listed(one.seqs)}\t{one.resting}\t{one.filled_value!s}\t"
        f"{amounts(paid)}\t{trades}\t{fills}\n"
    )


def trade(slot: Slot, one: Trade, running: Running | None) -> str:
    state = NULL if running is None else text(_json.encode(running).decode())
    others = one.commissions.keys() - {one.currency}
    return (
        f"{slot.id}\t{named(slot.book)}\t{one.entry_seqs[0]}\t{named(one.account)}\t"
        f"{named(one.instrument)}\t{named(one.strategy)}\t{one.side}\t{one.quantity!s}\t"
        f"{one.entry_ts}\t{number(one.exit_ts)}\t{number(one.duration)}\t"
        f"{rounded(one.entry_price)}\t{rounded(one.exit_price)}\t{named(one.currency)}\t"
        f"{one.gross!s}\t{one.commission!s}\t{one.net!s}\t{one.return_fraction!r}\t"
        f"{'t' if one.is_open else 'f'}\t{listed(one.entry_seqs)}\t{listed(one.exit_seqs)}\t"
        f"{amounts(one.commissions) if others else NULL}\t{state}\n"
    )


def run(one: Run) -> str:
    params = text(one.params.replace("\\u0000", "\\u2400"))  # jsonb cannot keep NUL
    return (
        f"{text(one.stream)}\t{named(one.book)}\t{named(one.strategy)}\t{text(one.mode)}\t"
        f"{text(one.status)}\t{text(one.code_hash)}\t{params}\t{one.opened_seq}\t"
        f"{one.opened_ns}\t{one.last_seq}\t{number(one.closed_seq)}\t{one.events}\t{one.fills}\t"
        f"{one.head.hex()}\n"
    )


def parked(generation: int, entry: Entry, why: str) -> str:
    payload = "\\\\x" + entry.payload.hex()
    return f"{generation}\t{entry.seq}\t{text(entry.stream)}\t{text(why)}\t{payload}\n"


def plain(values: Iterable[object]) -> str:
    """Return a line of texts and whole numbers."""
    told = (text(one) if one is None or isinstance(one, str) else str(one) for one in values)
    return "\t".join(told) + "\n"
