# pyright: standard
"""What a fill costs: exchangeable fee and slippage models, and their place in the engine.

Commissions are rounded to the currency's minor unit, half to even, once per fill.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from onetape.errors import SettingsError
from onetape.run.fills import Walk

Number = int | str | float | Decimal
SPLIT_TAG = "onetape:split"  # marks the engine's own bookkeeping order at a share split


def _exact(name: str, value: Number) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite():
        raise SettingsError(f"{name}={value} found, a finite number expected")
    return number


class Bps(msgspec.Struct, frozen=True, tag="bps"):
    """Basis points of the notional, on each fill."""

    maker: Decimal
    taker: Decimal

    def commission(
        self, quantity: Decimal, notional: Decimal, before: Decimal, maker: bool
    ) -> Decimal:
        """Return the commission of a fill; quantity and before are unused here."""
        del quantity, before
        return notional * (self.maker if maker else self.taker) / 10_000

    def describe(self) -> str:
        if self.maker == self.taker:
            return f"{self.taker} bps of notional on each fill"
        return f"maker {self.maker} bps, taker {self.taker} bps of notional"


class PerShare(msgspec.Struct, frozen=True, tag="per_share"):
    """An amount per unit, with a minimum per order."""

    amount: Decimal
    minimum: Decimal = Decimal(0)

    def commission(
        self, quantity: Decimal, notional: Decimal, before: Decimal, maker: bool
    ) -> Decimal:
        """Return what this fill adds, `before` units of the same order being paid for."""
        del notional, maker
        paid = max(before * self.amount, self.minimum) if before else Decimal(0)
        return max((before + quantity) * self.amount, self.minimum) - paid

    def describe(self) -> str:
        least = f", at least {self.minimum} per order" if self.minimum else ""
        return f"{self.amount} per unit{least}"


Fees = Bps | PerShare


def bps(rate: Number) -> Fees:
    """Return a commission of `rate` basis points (1/10,000) of each fill's notional."""
    exact = _exact("bps", rate)
    return Bps(exact, exact)


def maker_taker(maker: Number, taker: Number) -> Fees:
    """Return commissions in basis points by liquidity side; a negative rate is a rebate."""
    return Bps(_exact("maker", maker), _exact("taker", taker))


def per_share(amount: Number, min: Number = 0) -> Fees:
    """Return a commission of `amount` per unit, at least `min` per order, in quote currency."""
    return PerShare(_exact("per_share", amount), _exact("min", min))


class Slippage(msgspec.Struct, frozen=True, tag="slippage"):
    """Market orders fill `ticks` ticks worse than the market shows."""

    ticks: int

    def describe(self) -> str:
        return f"{self.ticks} tick{'s' if self.ticks != 1 else ''} against each market order"


def ticks(count: int) -> Slippage:
    """Return slippage of `count` whole ticks against every market order, whatever its size."""
    if type(count) is not int or count < 0:
        raise SettingsError(
            f"slippage of {count} ticks found, a whole number of zero or more expected"
        )
    return Slippage(count)


def fee_model(fees: Fees | None) -> Any:
    """Return the engine's fee model for `fees`; None is free."""
    from nautilus_trader.execution import FeeModel, MakerTakerFeeModel
    from nautilus_trader.model import LiquiditySide, Money

    if fees is None:
        return MakerTakerFeeModel(Decimal(0), Decimal(0))
    charge = fees.commission

    class Fee(FeeModel):
        def get_commission(
            self, order: Any, fill_quantity: Any, fill_px: Any, instrument: Any
        ) -> Any:
            currency = instrument.quote_currency
            if order.tags and SPLIT_TAG in order.tags:
                return Money(0, currency)
            filled = fill_quantity.as_decimal()
            notional = abs(filled * fill_px.as_decimal() * instrument.multiplier.as_decimal())
            maker = order.liquidity_side == LiquiditySide.MAKER
            before = order.filled_qty.as_decimal()
            return Money.from_decimal(charge(filled, notional, before, maker), currency)

        def get_commission_with_context(  # the engine passes its underlying as a fifth argument
            self,
            order: Any,
            fill_quantity: Any,
            fill_px: Any,
            instrument: Any,
            underlying: Any = None,  # noqa: ARG002
        ) -> Any:
            return self.get_commission(order, fill_quantity, fill_px, instrument)

    return Fee()


def fill_model(slippage: Slippage | None, splits: bool, walk: Walk | None) -> Any | None:
    """Return the engine's fill model: slippage, stops inside a walked bar, shares of a split."""
    if not splits and walk is None and not (slippage and slippage.ticks):
        return None
    from nautilus_trader.execution import FillModel
    from nautilus_trader.model import BookOrder, BookType, OrderBook, OrderSide, OrderType, Quantity

    shift = slippage.ticks if slippage else 0
    plenty = Quantity.from_int(1_000_000_000)

    def two_sided(instrument: Any, bid: Any, ask: Any) -> Any:
        book = OrderBook(instrument.id, BookType.L2_MBP)
        book.add(BookOrder(OrderSide.BUY, bid, plenty, 1), 0, 0, 0)
        book.add(BookOrder(OrderSide.SELL, ask, plenty, 2), 0, 0, 0)
        return book

    class Fill(FillModel):
        def get_orderbook_for_fill_simulation(
            self, instrument: Any, order: Any, bid: Any = None, ask: Any = None
        ) -> Any:
            if splits and order.tags and SPLIT_TAG in order.tags:
                free = instrument.make_price(Decimal(0))
                return two_sided(instrument, free, free)
            if walk is not None and order.order_type == OrderType.STOP_MARKET:
                price, trigger = ask if order.is_buy else bid, order.trigger_price
                if walk.passed(instrument.id, trigger, price):
                    return two_sided(instrument, trigger, trigger)
                return None
            if (
                shift
                and order.order_type == OrderType.MARKET
                and bid is not None
                and ask is not None
            ):
                tick = instrument.price_increment.as_decimal()
                low, high = bid.as_decimal() - shift * tick, ask.as_decimal() + shift * tick
                if bid.as_decimal() > 0:  # slippage makes no price that the market cannot have
                    low = max(low, tick)
                return two_sided(
                    instrument, instrument.make_price(low), instrument.make_price(high)
                )
            return None

    return Fill()
