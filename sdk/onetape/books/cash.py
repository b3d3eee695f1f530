"""Cash: what each account holds in each currency, and the event behind every movement.

Fully paid   a fill moves -quantity x price x multiplier; the asset itself carries the value.
Margined     futures and perpetuals: a fill moves the profit that it realizes, nothing else.
Commission   leaves in its own currency; a rebate arrives. Dividends pay what is held when the
             event stands on the tape; a short position pays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from onetape.books.exact import ZERO, exactly
from onetape.books.positions import Holding, Holdings, Key, Method, signed
from onetape.books.standing import standing
from onetape.tape.event import Event
from onetape.tape.kinds import CashDeposited, DividendPaid, OrderFilled, SplitApplied

Reason = Literal["deposit", "fill", "realized", "commission", "dividend"]


class CashEntry(msgspec.Struct, frozen=True, gc=False):
    """One movement of cash and the event it came from."""

    seq: int
    ts_event: int
    account: str
    currency: str
    amount: Decimal
    reason: Reason
    instrument: str | None = None
    client_order_id: str | None = None


Change = tuple[Key, Holding, Holding]


def book(
    event: Event, holdings: Holdings, margined: Collection[str]
) -> tuple[list[Change], list[CashEntry]]:
    """Book one event; return the holdings it changed and the cash it moved."""
    fact = event.fact
    if isinstance(fact, OrderFilled):
        change = holdings.fill(event.seq, fact)
        return [change], _paid(event, fact, change, holdings, margined)
    if isinstance(fact, SplitApplied):
        return holdings.split(event.seq, fact), []
    if isinstance(fact, CashDeposited):
        return [], [_entry(event, fact.account, fact.currency, fact.amount, "deposit")]
    if isinstance(fact, DividendPaid):
        held = holdings.held(fact.account, fact.instrument)
        if held:
            amount = held * fact.amount
            paid = _entry(event, fact.account, fact.currency, amount, "dividend", fact.instrument)
            return [], [paid]
    return [], []


@exactly
def ledger(
    events: Iterable[Event],
    margined: Collection[str] = (),
    multipliers: Mapping[str, Decimal] | None = None,
    method: Method = "average",
) -> list[CashEntry]:
    """Return every movement of cash in the order of the tape.

    `method` matters for margined instruments only, as it says what a fill realizes.
    """
    holdings = Holdings(method, multipliers)
    entries: list[CashEntry] = []
    for event in standing(events):
        entries += book(event, holdings, margined)[1]
    return entries


@exactly
def cash(
    events: Iterable[Event],
    margined: Collection[str] = (),
    multipliers: Mapping[str, Decimal] | None = None,
    method: Method = "average",
) -> dict[tuple[str, str], Decimal]:
    """Return the balance of each account in each currency that ever moved."""
    balances: dict[tuple[str, str], Decimal] = {}
    for entry in ledger(events, margined, multipliers, method):
        owner = (entry.account, entry.currency)
        balances[owner] = balances.get(owner, ZERO) + entry.amount
    return balances


def _paid(
    event: Event,
    fill: OrderFilled,
    change: Change,
    holdings: Holdings,
    margined: Collection[str],
) -> list[CashEntry]:
    instrument = fill.instrument
    reason: Reason
    if instrument in margined:
        reason, amount = "realized", change[2].realized - change[1].realized
    else:
        reason = "fill"
        amount = -signed(fill) * fill.price * holdings.multiplier(instrument)
    entries: list[CashEntry] = []
    if amount or reason == "fill":
        entries.append(_entry(event, fill.account, fill.currency, amount, reason, instrument))
    if fill.commission:
        currency, fee = fill.commission_currency, -fill.commission
        entries.append(_entry(event, fill.account, currency, fee, "commission", instrument))
    return entries


def _entry(
    event: Event,
    account: str,
    currency: str,
    amount: Decimal,
    reason: Reason,
    instrument: str | None = None,
) -> CashEntry:
    order = getattr(event.fact, "client_order_id", None)
    return CashEntry(
        event.seq, event.ts_event, account, currency, amount, reason, instrument, order
    )
