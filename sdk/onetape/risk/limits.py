"""Limits of a run, by name: the thin door to `limitbook`, which has limits by scope and in files.

>>> ot.backtest(MyStrategy, data, limits=ot.limits(max_position=100, max_order_notional=50_000))
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from onetape.errors import SettingsError
from onetape.risk.limitbook import LimitBook, book, load

Number = int | str | float | Decimal


def limits(**values: Number | bool | Sequence[str]) -> LimitBook:
    """Return limits for the whole firm; what is not named is not tried.

    The names, their units and what each means are in `onetape.risk.limitnames.LIMITS`; such as
    max_order_quantity (units), max_order_notional (money of one order at its worst price),
    max_position (units held either way with all orders filled), max_gross and daily_loss_hard
    (money), price_collar (0.05 is 5 %), restricted (a list of instruments), self_match (on or
    off). Money is in the run's currency.

    Raises SettingsError for a name that is not known or a value that it cannot have.
    """
    return book([("firm", name, value) for name, value in values.items()], absent="allow")


def limits_of(given: Any) -> LimitBook | None:
    """Return the limits that a person gave: `limits(...)`, a limit book, the path of a file.

    Raises SettingsError for anything else, and for a file that cannot be read.
    """
    if given is None or isinstance(given, LimitBook):
        return given
    if isinstance(given, str | Path):
        return load(given)
    raise SettingsError(
        f"limits={given!r} found, ot.limits(max_position=100), the path of a limits file or None "
        "expected"
    )
