"""Limits on what one order may do, tried before it leaves; `decide` is pure.

Only what is set is tried. A refusal names the limit, what was seen and the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from onetape.errors import SettingsError

ZERO = Decimal(0)
Number = int | str | float | Decimal


class Breach(NamedTuple):
    """The limit that refused, with what was observed and what was allowed."""

    limit: str
    observed: Decimal
    threshold: Decimal


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds; None is not tried.

    max_order_quantity  units of the instrument in one order
    max_order_notional  quantity x price x multiplier of one order, in its currency
    max_position        absolute holding after the order, in units of the instrument
    """

    max_order_quantity: Decimal | None = None
    max_order_notional: Decimal | None = None
    max_position: Decimal | None = None

    def describe(self) -> str:
        """Return the limits in one line."""
        given = [(f.name, getattr(self, f.name)) for f in fields(self)]
        return ", ".join(f"{name}={value}" for name, value in given if value is not None) or "none"


def limits(
    *,
    max_order_quantity: Number | None = None,
    max_order_notional: Number | None = None,
    max_position: Number | None = None,
) -> Limits:
    """Return limits for a run; raises SettingsError when one is not positive."""
    given = {
        "max_order_quantity": max_order_quantity,
        "max_order_notional": max_order_notional,
        "max_position": max_position,
    }
    exact: dict[str, Decimal] = {}
    for name, value in given.items():
        if value is None:
            continue
        try:
            exact[name] = Decimal(str(value))
        except InvalidOperation:
            exact[name] = Decimal("NaN")
        if not (exact[name].is_finite() and exact[name] > 0):
            raise SettingsError(f"{name}={value} found, a positive number expected")
    return Limits(**exact)


def decide(
    allowed: Limits, signed: Decimal, value: Decimal | None, held: Decimal, worst: Decimal
) -> Breach | None:
    """Return the first limit that an order breaks, or None.

    `signed` is the order's quantity with its side's sign; `value` its notional, None while no
    price is known, which a limit on notional refuses; `held` the holding and `worst` what it
    is once every order on its way on the same side has been filled. What only brings the
    holding nearer to zero passes `max_position`.
    """
    size, after = abs(signed), abs(worst + signed)
    if allowed.max_order_quantity is not None and size > allowed.max_order_quantity:
        return Breach("max_order_quantity", size, allowed.max_order_quantity)
    if allowed.max_order_notional is not None:
        if value is None:
            return Breach("max_order_notional: no price yet", ZERO, allowed.max_order_notional)
        if value > allowed.max_order_notional:
            return Breach("max_order_notional", value, allowed.max_order_notional)
    reduces = held * (worst + signed) >= 0 and after <= abs(held)
    if allowed.max_position is not None and after > allowed.max_position and not reduces:
        return Breach("max_position", after, allowed.max_position)
    return None
