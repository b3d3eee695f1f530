"""Exposure: what an account holds and has in flight, kept up to date event by event.

Sizing and limits ask it; the books, which answer to people, fold the same facts exactly.

Units    quantities signed (long > 0 > short) in units of the instrument; cash in its own
         currency. A purchase lowers cash by price x quantity x multiplier, margined or not,
         so that cash + holdings at market is the equity either way.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple

ZERO = Decimal(0)


class Flying(NamedTuple):
    """An order that has left or waits to: whose, for what, and what of it is still to come."""

    strategy: str
    instrument: str
    left: Decimal  # signed
    filled: Decimal  # unsigned
    at_once: bool  # a market order: it counts as good as done when sizing


class Exposure:
    """Holdings by (strategy, instrument), orders in flight, and cash by currency."""

    def __init__(self) -> None:
        self.cash: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.held: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._flying: dict[str, Flying] = {}

    def deposit(self, currency: str, amount: Decimal) -> None:
        """Add cash."""
        self.cash[currency] += amount

    def sent(
        self,
        order: str,
        strategy: str,
        instrument: str,
        quantity: Decimal,
        *,
        at_once: bool = True,
    ) -> None:
        """Count an order of signed `quantity` as on its way."""
        self._flying[order] = Flying(strategy, instrument, quantity, ZERO, at_once)

    def ended(self, order: str) -> None:
        """Forget what was on its way: it was denied, rejected, canceled or expired."""
        self._flying.pop(order, None)

    def resized(self, order: str, quantity: Decimal) -> None:
        """Take in that an order is now for `quantity` (unsigned), what is filled included."""
        if (known := self._flying.get(order)) is not None:
            left = (quantity - known.filled).copy_sign(known.left)
            self._flying[order] = known._replace(left=left)

    def filled(self, order: str, key: tuple[str, str], quantity: Decimal) -> None:
        """Book a fill of signed `quantity`."""
        self.held[key] += quantity
        if (known := self._flying.get(order)) is None:
            return
        if abs(quantity) >= abs(known.left):
            del self._flying[order]
        else:
            filled = known.filled + abs(quantity)
            self._flying[order] = known._replace(left=known.left - quantity, filled=filled)

    def paid(self, currency: str, amount: Decimal) -> None:
        """Lower cash by `amount` (raise it when negative)."""
        self.cash[currency] -= amount

    def split(self, instrument: str, ratio: Decimal) -> None:
        """Rescale what is held and on its way."""
        for key in [key for key in self.held if key[1] == instrument]:
            self.held[key] *= ratio
        for order, known in list(self._flying.items()):
            if known.instrument == instrument:
                self._flying[order] = known._replace(left=known.left * ratio)

    def net(self, instrument: str) -> Decimal:
        """Return what all strategies together hold."""
        return sum((held for key, held in self.held.items() if key[1] == instrument), ZERO)

    def expected(self, strategy: str, instrument: str) -> Decimal:
        """Return the holding once the market orders on their way have been filled."""
        flying = self._flying
        held = self.held.get((strategy, instrument), ZERO)
        if not flying:
            return held
        return held + sum(
            (f.left for f in self._of(strategy, instrument) if f.at_once),
            ZERO,
        )

    def _of(self, strategy: str, instrument: str) -> list[Flying]:
        key = (strategy, instrument)
        return [f for f in self._flying.values() if (f.strategy, f.instrument) == key]
