"""Matching: what an order trades with, and at which prices. Pure: no clock, no chance.

On quotes it does what the backtest engine does with a top-of-book venue on which a quoted size
trades once, and a test holds them side by side:

- a market order takes what the street shows; what exceeds it fills one tick beyond;
- a limit order that crosses takes at the street's price; one that rests and is crossed later
  trades at its own price; its remainder waits for another size or price;
- a stop is triggered by the ask (buy) or the bid (sell) and trades like a market order;
- a stop-limit order becomes a limit order when it is triggered, with a report of its own;
- a market order that finds nothing is rejected, a triggered stop that finds nothing canceled.

Orders of different accounts trade with each other too, at the resting order's price. What one
account's orders do when they meet is configured: skip (they pass each other by, as in the
backtest engine), cancel_resting, cancel_aggressor, allow.

Contingent orders (one cancels the other, and the like) are not the venue's: whoever sends
orders looks after that.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from onetape.run.ports import (
    Accepted,
    AnyReport,
    Canceled,
    Filled,
    Rejected,
    Triggered,
    Updated,
)
from onetape_sim.book import Book
from onetape_sim.fees import Fees
from onetape_sim.ledger import Ledger
from onetape_sim.orders import MARKETABLE, TOUCHED, Ladder, Order

ZERO = Decimal(0)


class Take(NamedTuple):
    """A part of an order that trades; `resting` is the other order, None is the street."""

    price: Decimal
    quantity: Decimal
    resting: Order | None


class Matcher:
    """Fills orders against books and says so in the ledger."""

    def __init__(self, ledger: Ledger, fees: Fees, self_match: str) -> None:
        self.ledger = ledger
        self.own = self_match != "skip"
        self._fees = fees
        self._self_match = self_match

    # -- what becomes of an order

    def accept(self, order: Order) -> None:
        """Say that an order is working."""
        order.status = "ACCEPTED"
        self._say(order, Accepted(*self._about(order)))

    def reject(self, order: Order, reason: str) -> None:
        """Say that an order is refused."""
        order.status, order.reason = "REJECTED", reason
        self._say(order, Rejected(*self._about(order), reason))

    def cancel(self, book: Book, order: Order, reason: str = "") -> None:
        """Take an order out of the book."""
        book.remove(order)
        order.status, order.reason = "CANCELED", reason
        self._say(order, Canceled(*self._about(order), reason))

    def enter(self, book: Book, order: Order) -> None:
        """Let a new order meet its book."""
        kind = order.new.type
        if kind == "MARKET":
            self._market(book, order)
        elif kind == "LIMIT":
            self._limit(book, order)
        elif not book.reached(order):
            self.accept(order)
            book.add(order)
        elif kind in MARKETABLE:
            self._market(book, order)
        else:
            self.accept(order)
            self.trigger(book, order)

    def _limit(self, book: Book, order: Order) -> None:
        crossed = book.crossed(order, self.own)
        if crossed and order.new.post_only:
            self.reject(order, would_take(book, order))
            return
        self.accept(order)
        if crossed:
            self.fill_limit(book, order)
        elif order.new.time_in_force in ("IOC", "FOK"):
            self.cancel(book, order, "nothing to trade with")
        if order.working:
            order.maker = True
            book.add(order)

    # -- a row has come

    def match(self, book: Book) -> None:
        """Hold the resting orders against the street: buys first, in order of priority."""
        sides = ((book.bids, book.buy_stops), (book.asks, book.sell_stops))
        for buys, (limits, stops) in zip((True, False), sides, strict=True):
            street = (book.ask if buys else book.bid).price
            if street is None:
                continue
            if limits:
                for order in crossing(limits, street, buys):
                    if order.working:
                        self.fill_limit(book, order)
            if stops:
                for order in [each for each in stops if book.reached(each)]:
                    if order.working:
                        self.trigger(book, order)

    def trigger(self, book: Book, order: Order) -> None:
        """The street has come to the trigger of an order."""
        if order.new.type in MARKETABLE:
            self._market(book, order)
            return
        book.remove(order)
        order.triggered, order.status = True, "TRIGGERED"
        self._say(order, Triggered(*self._about(order)))
        price, trigger = order.price, order.trigger_price
        assert price is not None
        assert trigger is not None
        order.maker = trigger > price if order.buys else trigger < price
        if book.crossed(order, self.own):
            best = book.best_against(order, self.own)
            inside = order.maker and best != price  # between trigger and limit: not a taker
            if order.new.post_only and not inside:
                self.reject(order, would_take(book, order))
                return
            order.maker = inside
            self.fill_limit(book, order)
        if order.working:
            book.add(order)

    # -- fills

    def _market(self, book: Book, order: Order) -> None:
        if self._flat(order):
            self.cancel(book, order, "reduce-only, and there is nothing to reduce")
            return
        self._apply(book, order, self._takes(book, order), maker=False)

    def fill_limit(self, book: Book, order: Order) -> None:
        """Fill a limit order with what it crosses."""
        if self._flat(order):
            self.cancel(book, order, "reduce-only, and there is nothing to reduce")
            return
        takes = self._takes(book, order)
        if not order.working:
            return
        if takes:
            self._apply(book, order, takes, order.maker)
        elif order.new.time_in_force in ("IOC", "FOK"):
            self.cancel(book, order, "nothing to trade with")

    def _takes(self, book: Book, order: Order) -> list[Take]:
        """Return what an order would trade with."""
        takes: list[Take] = []
        left = order.leaves
        for offer in list(book.offers(order, self.own)):
            maker = offer.maker
            if maker is not None and maker.new.account == order.new.account:
                if self._self_match == "cancel_resting":
                    self.cancel(book, maker, "self-match")
                    continue
                if self._self_match == "cancel_aggressor":
                    self._settle(book, order, takes)
                    return []
            quantity = min(offer.quantity, left)
            if quantity <= 0:
                continue
            takes.append(Take(offer.price, quantity, maker))
            left -= quantity
            if not left:
                break
        return takes

    def _settle(self, book: Book, order: Order, takes: list[Take]) -> None:
        """Fill an order as far as it came before it met its own account's; cancel the rest."""
        for take in takes:
            if take.resting is None:
                (book.ask if order.buys else book.bid).take(take.quantity)
            self._trade(book, order, take, order.maker)
        self.cancel(book, order, "self-match")

    def _apply(self, book: Book, order: Order, takes: list[Take], maker: bool) -> None:
        if self._ends(book, order, takes):
            return
        for take in takes:
            if take.resting is None:
                (book.ask if order.buys else book.bid).take(take.quantity)
        for place, take in enumerate(takes):
            priced = take
            if take.resting is None:
                price = own_price(order, take.price, maker, place == 0)
                if book.walking and order.new.type in MARKETABLE:
                    price = order.trigger_price or price
                priced = take._replace(price=price)
            if self._trade(book, order, priced, maker):
                return
        if order.leaves and order.new.time_in_force == "IOC":
            self.cancel(book, order, "the rest found nothing to trade with")
        elif order.leaves and order.new.type in MARKETABLE:
            tick = book.instrument.tick if order.buys else -book.instrument.tick
            self._trade(book, order, Take(takes[-1].price + tick, order.leaves, None), maker)

    def _ends(self, book: Book, order: Order, takes: list[Take]) -> bool:
        """Return whether an order trades nothing, having said what becomes of it."""
        if order.status in ("CANCELED", "REJECTED"):
            return True
        whole = sum((take.quantity for take in takes), ZERO) >= order.leaves
        if order.new.time_in_force == "FOK" and not whole:
            self.cancel(book, order, "not to be filled whole")
            return True
        if not takes and order.new.time_in_force == "IOC":
            self.cancel(book, order, "nothing to trade with")
        elif not takes and order.status == "NEW":
            self.reject(order, f"No market for {order.new.instrument}")
        elif not takes and order.new.type in MARKETABLE:  # triggered, and nothing is left there
            self.cancel(book, order, f"No market for {order.new.instrument}")
        return not takes

    def _trade(self, book: Book, order: Order, take: Take, maker: bool) -> bool:
        """Fill a part of an order, and of the one it meets; True where nothing may follow."""
        take, last = self._reduced(order, take)
        basis = book.told() if take.resting is None else f"order {take.resting.venue_order_id}"
        if take.resting is not None:
            other = f"order {order.venue_order_id}"
            self._fill(book, take.resting, take.quantity, take.price, True, other)
            maker = False
        self._fill(book, order, take.quantity, take.price, maker, basis)
        return last

    def _fill(
        self, book: Book, order: Order, quantity: Decimal, price: Decimal, maker: bool, basis: str
    ) -> None:
        instrument, ledger = book.instrument, self.ledger
        notional = abs(quantity * price * instrument.multiplier)
        paid = self._fees.commission(quantity, notional, order.filled, maker, instrument.currency)
        fill = Filled(
            *self._about(order),
            trade_id=ledger.next_trade(),
            side=order.new.side,
            quantity=quantity,
            price=price,
            commission=paid,
            commission_currency=instrument.currency,
            liquidity="MAKER" if maker else "TAKER",
            account=order.new.account,
            basis=basis,
        )
        order.filled += quantity
        order.cost += quantity * price
        order.status = "PARTIALLY_FILLED" if order.leaves else "FILLED"
        if not order.leaves:
            book.remove(order)
        ledger.add(fill)
        self._say(order, fill)

    # -- reduce-only

    def room(self, order: Order) -> Decimal:
        """Return how much an order could reduce its account's holding by."""
        held = self.ledger.account(order.new.account).held.get(order.new.instrument, ZERO)
        return max(-held if order.buys else held, ZERO)

    def _flat(self, order: Order) -> bool:
        return order.new.reduce_only and not self.room(order)

    def _reduced(self, order: Order, take: Take) -> tuple[Take, bool]:
        if not order.new.reduce_only:
            return take, False
        room = self.room(order)
        if take.quantity < room:
            return take, False
        if order.quantity != order.filled + room:
            order.quantity = order.filled + room
            self.updated(order)
        return take._replace(quantity=room), True

    # -- saying it

    def updated(self, order: Order) -> None:
        """Say what an order's terms are now."""
        terms = (order.quantity, order.price, order.trigger_price)
        self._say(order, Updated(*self._about(order), *terms))

    def _about(self, order: Order) -> tuple[str, str, str, int]:
        return order.id, order.venue_order_id, order.new.instrument, self.ledger.now

    def _say(self, order: Order, report: AnyReport) -> None:
        order.ts = self.ledger.now
        self.ledger.keep(order)
        self.ledger.tell(order.new.account, report)


def crossing(limits: Ladder, street: Decimal, buys: bool) -> list[Order]:
    """Return the resting orders that the street's price has come to, first in line first."""
    best = limits.best
    if best is None or (best < street if buys else best > street):
        return []
    met: list[Order] = []
    for order in limits:
        price = order.price
        if price is None or (price < street if buys else price > street):
            break
        met.append(order)
    return met


def own_price(order: Order, street: Decimal, maker: bool, first: bool) -> Decimal:
    """Return at which price an order trades with the street's `street`."""
    price, trigger = order.price, order.trigger_price
    if price is None:
        return street
    better = street < price if order.buys else street > price
    if maker and better:  # it stood there first: the street came to its price
        past = trigger is not None and (price > trigger if order.buys else price < trigger)
        return trigger if past and trigger is not None else price
    if not maker and first and trigger is not None and order.new.type not in TOUCHED:
        past = price < trigger if order.buys else price > trigger
        return trigger if past else street
    return street


def would_take(book: Book, order: Order) -> str:
    """Return the reason for refusing a post-only order."""
    return (
        f"POST_ONLY {order.new.type} {order.new.side} order limit px of {order.price} would have "
        f"been a TAKER: bid={book.bid.price}, ask={book.ask.price}"
    )
