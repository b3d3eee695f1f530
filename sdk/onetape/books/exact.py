"""Exact money: the one decimal context and the one rounding rule of the books.

Context  50 digits, so that sums and products of prices, quantities and multipliers never
         round; a fold runs inside it from its first event to its last.
Rounding Only a division rounds, and only where a cost is shared out: the part is rounded half
         even to 1e-18 and the remainder takes what is left. Parts therefore always add up.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import wraps

EXACT = Context(prec=50, rounding=ROUND_HALF_EVEN)
ZERO = Decimal(0)
ONE = Decimal(1)
TINY = Decimal("1E-18")


def exactly[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` in the exact context. Not for generators: they would leak it."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(EXACT):
            return function(*args, **kwargs)

    return inside


def share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return the part of `amount` that belongs to `part` of `whole`; all of it for the whole."""
    if part == whole:
        return amount
    return EXACT.quantize(EXACT.divide(EXACT.multiply(amount, part), whole), TINY)


def trimmed(amount: Decimal) -> Decimal:
    """Return `amount` without trailing zeros, never in exponent form."""
    short = amount.normalize(EXACT)
    exponent = short.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        return short.quantize(ONE, context=EXACT)
    return short
