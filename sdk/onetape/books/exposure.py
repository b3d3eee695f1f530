"""Exposure: what is held in each instrument at one moment, and what it stands for.

Quantities are netted over accounts and strategies; amounts are in the instrument's currency.
The rules for marks, splits and late fills are those of `valuation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec
import numpy as np

from onetape.books.exact import exactly
from onetape.books.marks import Marks
from onetape.books.valuation import InstrumentInfo, Valuer, effective
from onetape.tape.event import Event


class Exposure(msgspec.Struct, frozen=True):
    """One instrument's holding at one moment."""

    instrument: str
    currency: str
    quantity: Decimal
    price: Decimal
    gross: Decimal
    net: Decimal
    unrealized: Decimal


@exactly
def exposure(
    events: Iterable[Event],
    marks: Marks,
    at: int,
    instruments: Mapping[str, InstrumentInfo] | None = None,
) -> dict[str, Exposure]:
    """Return the exposure in every instrument held at `at`, in nanoseconds UTC."""
    valuer = Valuer(marks, np.array([at], dtype=np.int64), instruments)
    for ts, event in effective(events):
        if ts > at:
            break
        valuer.book(event, ts)
    valuer.prices(0)
    return {
        name: Exposure(
            name,
            held.currency,
            held.quantity,
            held.price,
            abs(held.notional),
            held.notional,
            held.notional - held.cost,
        )
        for name, held in valuer.held.items()
        if held.quantity
    }
