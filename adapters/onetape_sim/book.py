"""The book of one instrument: what the street quotes, and the orders of all accounts.

Street   the best bid and ask of the last row, each with its size. A size trades once: what was
         taken at a price is gone until that price is quoted with another size, as in the
         backtest engine; a quote that only repeats price and size refreshes nothing.
Order    price first. At one price, whoever was there first: an account's order by its place,
         the street since it came to that price.
Bars     between a bar's close and the next open there is no street, and orders wait (`closed`).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from onetape.market import Instrument
from onetape_sim.orders import Ladder, Order

ZERO = Decimal(0)


class Offer(NamedTuple):
    """Something an order can trade with; `maker` is None where it is the street's."""

    price: Decimal
    quantity: Decimal
    maker: Order | None


class Street:
    """One side of the street's quote, and what was taken from it."""

    def __init__(self) -> None:
        self.price: Decimal | None = None
        self.size = ZERO
        self.since = 0  # the place in time at which this price came
        self._taken: dict[Decimal, tuple[Decimal, Decimal]] = {}

    def set(self, price: Decimal, size: Decimal, place: int) -> None:
        """Take in the quote's side; a size of zero is no quote."""
        if price != self.price:
            self.since = place
        self.price, self.size = (price, size) if size > 0 else (None, ZERO)

    def clear(self) -> None:
        """Have no quote."""
        self.price, self.size = None, ZERO

    def left(self) -> Decimal:
        """Return what can still be taken at the price."""
        if self.price is None:
            return ZERO
        size, taken = self._taken.get(self.price, (self.size, ZERO))
        return self.size - taken if size == self.size else self.size

    def take(self, quantity: Decimal) -> None:
        """Count `quantity` as gone."""
        assert self.price is not None
        self._taken[self.price] = (self.size, self.size - self.left() + quantity)


class Book:
    """The book of one instrument."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.bid, self.ask = Street(), Street()
        self.bids, self.asks = Ladder(highest_first=True), Ladder(highest_first=False)
        self.buy_stops, self.sell_stops = Ladder(highest_first=False), Ladder(highest_first=True)
        self.halted = False
        self.closed = False
        self.walking = False  # along a bar: stops trade at their trigger
        self.waiting: list[Order] = []  # for the next open
        self.basis: tuple[str, int] = ("", 0)  # kind and time of the street's row

    def told(self) -> str:
        """Return what a fill on the street was taken from."""
        kind, ts = self.basis
        return f"{kind} {self.instrument.id} ts {ts} bid {self.bid.price} ask {self.ask.price}"

    def ladder(self, order: Order) -> tuple[Ladder, Decimal]:
        """Return where an order waits, and at which price."""
        if order.waits_for_trigger:
            assert order.trigger_price is not None
            return (self.buy_stops if order.buys else self.sell_stops), order.trigger_price
        price = order.price if order.price is not None else order.trigger_price
        assert price is not None
        return (self.bids if order.buys else self.asks), price

    def add(self, order: Order) -> None:
        """Let an order rest."""
        ladder, price = self.ladder(order)
        ladder.add(price, order)

    def remove(self, order: Order) -> None:
        """Take a resting order out."""
        if order.new.type != "MARKET":
            ladder, price = self.ladder(order)
            ladder.remove(price, order)

    def resting(self) -> Iterator[Order]:
        """Yield all orders in the order in which a new row is held against them."""
        yield from self.bids
        yield from self.buy_stops
        yield from self.asks
        yield from self.sell_stops

    def crossed(self, order: Order, own: bool) -> bool:
        """Return whether a limit order meets somebody; `own`: its account's orders count."""
        assert order.price is not None
        best = self.best_against(order, own)
        return best is not None and (best <= order.price if order.buys else best >= order.price)

    def best_against(self, order: Order, own: bool) -> Decimal | None:
        """Return the best price that an order could trade at, whatever is left there."""
        street = self.ask if order.buys else self.bid
        others = self.asks if order.buys else self.bids
        for each in others:
            if own or each.new.account != order.new.account:
                price = each.price
                assert price is not None
                if street.price is None:
                    return price
                return min(price, street.price) if order.buys else max(price, street.price)
        return street.price

    def reached(self, order: Order) -> bool:
        """Return whether the street has come to an order's trigger."""
        street, trigger = (self.ask if order.buys else self.bid).price, order.trigger_price
        if street is None or trigger is None:
            return False
        falls = order.buys == (order.new.type in ("MARKET_IF_TOUCHED", "LIMIT_IF_TOUCHED"))
        return street <= trigger if falls else street >= trigger

    def offers(self, order: Order, own: bool) -> Iterator[Offer]:
        """Yield what an order can trade with, best first, within its limit."""
        street = self.ask if order.buys else self.bid
        told = street.price is None
        for each in self.asks if order.buys else self.bids:
            price = each.price
            if price is None or not _within(order, price):
                break
            if each.new.account == order.new.account and not own:
                continue
            if not told and street.price is not None and _street_first(order, each, street):
                told = True
                yield Offer(street.price, street.left(), None)
            yield Offer(price, each.leaves, each)
        if not told and street.price is not None and _within(order, street.price):
            yield Offer(street.price, street.left(), None)


def _within(order: Order, price: Decimal) -> bool:
    if order.price is None:
        return True
    return price <= order.price if order.buys else price >= order.price


def _street_first(order: Order, resting: Order, street: Street) -> bool:
    assert street.price is not None
    assert resting.price is not None
    if street.price == resting.price:
        return street.since < resting.place
    return (street.price < resting.price) == order.buys
