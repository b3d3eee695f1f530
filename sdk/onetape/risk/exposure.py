"""Exposure: what an account holds and has in flight, kept up to date event by event.

Sizing and limits ask it; the books, which answer to people, fold the same facts exactly.

Units    quantities signed (long > 0 > short) in units of the instrument; cash in its own
         currency. A purchase lowers cash by price x quantity x multiplier, margined or not,
         so that cash + holdings at market is the equity either way.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

ZERO = Decimal(0)


class Exposure:
    """Holdings by (strategy, instrument), market orders in flight, and cash by currency."""

    def __init__(self) -> None:
        self.cash: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.held: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._flying: dict[str, tuple[str, str, Decimal]] = {}

    def deposit(self, currency: str, amount: Decimal) -> None:
        """Add cash."""
        self.cash[currency] += amount

    def sent(self, order: str, strategy: str, instrument: str, quantity: Decimal) -> None:
        """Count a market order of signed `quantity` as on its way."""
        self._flying[order] = (strategy, instrument, quantity)

    def ended(self, order: str) -> None:
        """Forget what was on its way: it was denied, rejected, canceled or expired."""
        self._flying.pop(order, None)

    def filled(self, order: str, key: tuple[str, str], quantity: Decimal) -> None:
        """Book a fill of signed `quantity`."""
        self.held[key] += quantity
        if order in self._flying:
            strategy, instrument, left = self._flying[order]
            if left == quantity:
                del self._flying[order]
            else:
                self._flying[order] = (strategy, instrument, left - quantity)

    def paid(self, currency: str, amount: Decimal) -> None:
        """Lower cash by `amount` (raise it when negative)."""
        self.cash[currency] -= amount

    def split(self, instrument: str, ratio: Decimal) -> None:
        """Rescale what is held and on its way."""
        for key in [key for key in self.held if key[1] == instrument]:
            self.held[key] *= ratio
        for order, (strategy, name, left) in list(self._flying.items()):
            if name == instrument:
                self._flying[order] = (strategy, name, left * ratio)

    def net(self, instrument: str) -> Decimal:
        """Return what all strategies together hold."""
        return sum((held for key, held in self.held.items() if key[1] == instrument), ZERO)

    def expected(self, strategy: str, instrument: str) -> Decimal:
        """Return the holding once everything on its way has been filled."""
        flying = self._flying
        held = self.held.get((strategy, instrument), ZERO)
        if not flying:
            return held
        return held + sum(
            (left for who, what, left in flying.values() if (who, what) == (strategy, instrument)),
            ZERO,
        )
