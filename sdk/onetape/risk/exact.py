"""Exact numbers of the gate: one decimal context, so that no sum or product ever rounds."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal, getcontext, setcontext
from functools import wraps

EXACT = Context(prec=50, rounding=ROUND_HALF_EVEN)
SHOWN = Context(prec=12, rounding=ROUND_HALF_EVEN)  # of figures that nothing is decided on
ZERO = Decimal(0)
ONE = Decimal(1)
SECOND = 1_000_000_000  # ns


def exactly[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` in the exact context, whatever context the caller has set."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        before = getcontext()
        setcontext(EXACT)
        try:
            return function(*args, **kwargs)
        finally:
            setcontext(before)

    return inside
