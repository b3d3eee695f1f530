"""Fill conventions: when and at which price an order made on a bar may trade.

next_open   market orders trade at the next bar's open (the default for bars)
this_close  market orders trade at the close of the bar that was handled: optimistic
next_close  market orders trade at the close of the next bar
intrabar    each bar is walked open, nearer extreme, farther extreme, close, at times within
            the bar; market orders trade at the next open, resting orders where the walk
            meets them
book        for quotes and trades: market orders trade against the quoted book at once

Under every convention, limit and stop orders rest once the convention lets them out, and may
trade along later bars' open, high, low and close; a fill is never dated outside the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onetape.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Fill:
    """A convention: what the feed adds, and what orders wait for."""

    name: str
    says: str
    adds: str  # "", "open" (one quote a bar) or "path" (four)
    hold_until: str  # "", "open" or "bar"


class Walk:
    """How far each instrument's bar has been walked, for stops between two of its points.

    A stop trades at its trigger when the walk passes it inside a bar, and at the open when the
    price has jumped over it between bars.
    """

    POINTS = 4  # open, two extremes, close

    def __init__(self) -> None:
        self._count: dict[Any, int] = {}
        self._price: dict[Any, Any] = {}

    def seen(self, instrument_id: Any, price: Any) -> None:
        """Take in that the walk has come to `price`, once the venue has dealt with it."""
        self._count[instrument_id] = self._count.get(instrument_id, 0) + 1
        self._price[instrument_id] = price

    def passed(self, instrument_id: Any, trigger: Any, price: Any) -> bool:
        """Return whether the step that ends at `price` leads over `trigger` inside a bar."""
        before = self._price.get(instrument_id)
        if before is None or not self._count[instrument_id] % self.POINTS:
            return False
        return min(before, price) < trigger < max(before, price)


CONVENTIONS = {
    made.name: made
    for made in (
        Fill("next_open", "market orders fill at the next bar's open", "open", "open"),
        Fill("this_close", "market orders fill at the close of the bar just seen", "", ""),
        Fill("next_close", "market orders fill at the next bar's close", "", "bar"),
        Fill(
            "intrabar",
            "bars are walked open, extremes, close; fills carry times in the bar",
            "path",
            "open",
        ),
        Fill("book", "market orders fill at once against the quoted book", "", ""),
    )
}


def convention(name: str | None, kinds: set[str]) -> Fill:
    """Return the convention called `name`; None is next_open for bars, else book.

    Raises SettingsError for an unknown name, or one that the data cannot serve.
    """
    if name is None:
        name = "next_open" if "bars" in kinds else "book"
    if name not in CONVENTIONS:
        raise SettingsError(f"fill={name!r} found, one of {', '.join(CONVENTIONS)} expected")
    if "bars" not in kinds and name != "book":
        raise SettingsError(
            f"fill={name!r} needs bars; quotes and trades fill by the book: leave fill out"
        )
    if name == "book" and kinds == {"bars"}:
        raise SettingsError(
            "fill='book' needs quotes or trades; for bars say next_open or this_close"
        )
    return CONVENTIONS[name]
