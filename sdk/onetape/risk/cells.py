"""Cells and totals: what one scope has at stake, kept as running sums.

A cell is one instrument in one account (or of one strategy): holding, what orders may add to
it, its value per unit. Totals are one scope's sums over its cells: nothing is scanned when an
order is judged.

Units    quantities signed in a cell's holding, unsigned for orders; values in base currency.
Worst    long = holding + all buys, short = holding - all sells, gross = the larger of both.
         Orders that can only reduce count where the venue does not promise that they only do.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from copy import copy
from decimal import Decimal

import msgspec

from onetape.risk.exact import SECOND, ZERO

DRIFT = 3_600 * SECOND  # the longest period that prices are kept for


class Totals(msgspec.Struct, gc=False):
    """One scope's sums. Cash is what trading brought, by currency; deposits are apart."""

    scope: str
    gross: Decimal = ZERO
    longs: Decimal = ZERO
    shorts: Decimal = ZERO
    value: Decimal = ZERO  # of what is held
    margin: Decimal = ZERO  # initial, at worst
    buying: Decimal = ZERO  # what working buys may cost
    working: Decimal = ZERO  # value of working orders, both sides
    orders: int = 0
    unvalued: int = 0  # cells that hold or await something without a known value
    unpriced: int = 0  # those of them that hold it
    day: int = -1
    traded: Decimal = ZERO  # that day
    sent: int = 0  # orders that day
    base: Decimal = ZERO  # profit when the day began
    peak: Decimal = ZERO  # of the profit so far
    cash: dict[str, Decimal] = {}
    deposits: dict[str, Decimal] = {}

    def copied(self) -> Totals:
        new = copy(self)
        new.cash, new.deposits = dict(self.cash), dict(self.deposits)
        return new


class Cell(msgspec.Struct, gc=False):
    """One instrument in one scope. `unit` is the base value of one unit; None: not known."""

    instrument: str
    scopes: tuple[str, ...]  # whose totals it is part of
    margin_rate: Decimal = ZERO
    held: Decimal = ZERO
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    exits_long: Decimal = ZERO  # sells that can only reduce
    exits_short: Decimal = ZERO  # buys that can only reduce
    unit: Decimal | None = None
    long_value: Decimal = ZERO
    short_value: Decimal = ZERO
    gross: Decimal = ZERO
    value: Decimal = ZERO
    unvalued: bool = False
    unpriced: bool = False
    bids: list[Decimal] = []  # own prices in the book, ascending
    asks: list[Decimal] = []
    lows: list[tuple[int, Decimal]] = []  # of own order prices lately: rising, see `noted`
    highs: list[tuple[int, Decimal]] = []  # falling

    def copied(self) -> Cell:
        new = copy(self)
        new.bids, new.asks = list(self.bids), list(self.asks)
        new.lows, new.highs = list(self.lows), list(self.highs)
        return new

    def rest(self, sign: int, price: Decimal) -> None:
        """Take an own price into the book."""
        insort(self.bids if sign > 0 else self.asks, price)

    def unrest(self, sign: int, price: Decimal) -> None:
        """Take one such price out again."""
        prices = self.bids if sign > 0 else self.asks
        at = bisect_left(prices, price)
        if at < len(prices) and prices[at] == price:
            del prices[at]

    def noted(self, ts: int, price: Decimal) -> None:
        """Remember the price of an own order, as far as it may still be the period's extreme."""
        lows, highs = self.lows, self.highs
        while lows and lows[-1][1] >= price:
            lows.pop()
        lows.append((ts, price))
        while highs and highs[-1][1] <= price:
            highs.pop()
        highs.append((ts, price))
        for prices in (lows, highs):
            if prices[0][0] < ts - DRIFT:
                del prices[: _since(prices, ts - DRIFT)]

    def extremes(self, since: int) -> tuple[Decimal, Decimal] | None:
        """Return the lowest and highest own order price since a time; None without any."""
        lows, highs = self.lows, self.highs
        if not lows or lows[-1][0] < since:
            return None
        return lows[_since(lows, since)][1], highs[_since(highs, since)][1]


def _since(prices: list[tuple[int, Decimal]], ts: int) -> int:
    return bisect_left(prices, ts, key=lambda one: one[0])


class Working(msgspec.Struct, gc=False):
    """An order that may still be filled."""

    id: str
    account: str
    strategy: str
    instrument: str
    venue: str
    sign: int
    type: str
    quantity: Decimal
    sent: int  # ns UTC
    filled: Decimal = ZERO
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    reduces: bool = False
    parent: str = ""
    asked: tuple[tuple[Decimal, Decimal | None, Decimal | None], ...] = ()  # modifies in flight
    unit: Decimal | None = None  # base value of one unit at its worst price
    resting: bool = False  # in the book: its limit price can be met
    gone: bool = False  # canceled or expired, counted until late fills cannot come any more
    acked: bool = False
    heard: int = 0  # decisions on it counted when it was intended, not yet seen as facts
    traded: bool = False  # one execution at least
    counted: Decimal = ZERO  # what of it is in the cells
    cost: Decimal = ZERO  # and in the totals
    shown: tuple[Decimal, ...] = ()  # its prices among the cell's

    @property
    def left(self) -> Decimal:
        """What may still be filled, at worst: the largest of the terms asked for."""
        most = self.quantity
        for asked in self.asked:
            if asked[0] > most:
                most = asked[0]
        left = most - self.filled
        return left if left > 0 else ZERO
