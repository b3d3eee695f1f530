# pyright: standard
"""Intents into orders: the decision goes on the tape first, the order names it as its cause."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import ClientOrderId, OrderSide, TimeInForce

from onetape.errors import SettingsError

if TYPE_CHECKING:
    from onetape.run.host import Host

Number = int | float | str | Decimal
ZERO = Decimal(0)


def exact(value: Number, name: str) -> Decimal:
    """Return a number as a finite Decimal; raises SettingsError."""
    number = value if isinstance(value, Decimal) else Decimal(_plain(value))
    if not number.is_finite():
        raise SettingsError(f"{name}={value} found, a finite number expected")
    return number


def _plain(value: Number) -> int | str:
    return value if type(value) is int else str(value)


class Intents:
    """Makes orders of what one strategy wants."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def target(
        self,
        quantity: Number | None,
        weight: float | None,
        instrument: str | None,
        why: str,
        intent: str = "target",
    ) -> str | None:
        """Trade the difference between what is wanted and what is held or on its way."""
        host = self._host
        name = host.named(instrument)
        traded = host.traded[name]
        if weight is not None:
            wanted = self._weighed(weight, name)
        else:
            wanted = exact(quantity or 0, "quantity")
            _whole(wanted, wanted, traded)
        gap = wanted - host.exposure.expected(host.name, name)
        step = traded.step if wanted else traded.unit  # a split may have left odd units: out
        size = (abs(gap) / step).to_integral_value(ROUND_DOWN) * step
        if not size:
            return None
        decision = host.decide(intent, name, quantity=wanted, weight=weight, why=why)
        side = OrderSide.BUY if gap > 0 else OrderSide.SELL
        held = host.exposure.held.get((host.name, name), ZERO)
        closes = host.stage.gate is not None and not wanted and gap == -held
        order = host.factory.market(traded.id, side, traded.quantity(size), reduce_only=closes)
        host.send(order, decision)
        return str(order.client_order_id)

    def _weighed(self, weight: float, name: str) -> Decimal:
        host = self._host
        traded = host.traded[name]
        price = host.worth.last_price(name) * traded.multiplier * host.worth.rate(traded.currency)
        if not price:
            return ZERO
        units = host.worth.equity() * exact(weight, "weight") / price
        return (units / traded.step).to_integral_value(ROUND_DOWN) * traded.step

    def order(  # noqa: PLR0913 - the terms of an order
        self,
        side: str,
        quantity: Number,
        *,
        limit: Number | None = None,
        stop: Number | None = None,
        time_in_force: str = "GTC",
        post_only: bool = False,
        reduce_only: bool = False,
        instrument: str | None = None,
        why: str = "",
    ) -> str:
        """Send one order; its type follows from `limit` and `stop`."""
        host = self._host
        name = host.named(instrument)
        traded, factory = host.traded[name], host.factory
        size = self._size(quantity, traded)
        sided = {"BUY": OrderSide.BUY, "SELL": OrderSide.SELL}[side]
        terms: dict[str, Any] = {"time_in_force": _tif(time_in_force), "reduce_only": reduce_only}
        decision = host.decide(
            side.lower(),
            name,
            quantity=size,
            price=None if limit is None else exact(limit, "limit"),
            why=why,
        )
        amount = traded.quantity(size)
        if limit is not None and stop is not None:
            prices = (traded.price(limit), traded.price(stop))
            order = factory.stop_limit(
                traded.id, sided, amount, *prices, post_only=post_only, **terms
            )
        elif limit is not None:
            order = factory.limit(
                traded.id, sided, amount, traded.price(limit), post_only=post_only, **terms
            )
        elif stop is not None:
            order = factory.stop_market(traded.id, sided, amount, traded.price(stop), **terms)
        else:
            order = factory.market(traded.id, sided, amount, **terms)
        host.send(order, decision)
        return str(order.client_order_id)

    def bracket(
        self,
        side: str,
        quantity: Number,
        exits: tuple[Number, Number],
        limit: Number | None,
        instrument: str | None,
        why: str,
    ) -> tuple[str, ...]:
        """Send an entry with a stop-loss and a take-profit as one list."""
        host = self._host
        name = host.named(instrument)
        traded = host.traded[name]
        if side.upper() not in ("BUY", "SELL"):
            raise SettingsError(f'bracket side {side!r} found, "buy" or "sell" expected')
        size = self._size(quantity, traded)
        decision = host.decide("bracket", name, quantity=size, why=why)
        sided = OrderSide.BUY if side.upper() == "BUY" else OrderSide.SELL
        entry = {} if limit is None else _limit_entry(traded.price(limit))
        listed = host.factory.bracket(
            traded.id,
            sided,
            traded.quantity(size),
            sl_trigger_price=traded.price(exits[0]),
            tp_price=traded.price(exits[1]),
            tp_post_only=False,  # an entry that gaps past the target takes its profit at once
            **entry,
        )
        host.send_list(listed, decision)
        return tuple(str(order.client_order_id) for order in listed)

    def cancel(self, order: str | None, instrument: str | None, why: str) -> None:
        """Cancel what is working, and drop what has not been sent yet."""
        host = self._host
        if order is not None:
            host.decide("cancel", None, why=why or f"order {order}")
            if not host.drop_held(order):
                self._cancel(ClientOrderId(order))
            return
        name = host.named(instrument)
        host.decide("cancel", name, why=why)
        host.drop_held(None, name)
        host.strategy.cancel_all_orders(host.traded[name].id)

    def _cancel(self, order: ClientOrderId) -> None:
        known = self._host.strategy.cache.order(order)
        if known is None:
            raise SettingsError(f"no order {order} in this run; buy(), target() etc. return its id")
        if not known.is_closed:  # it may have filled a moment ago: nothing is left to cancel
            self._host.strategy.cancel_order(order)

    def _size(self, quantity: Number, traded: Any) -> Decimal:
        size = exact(quantity, "quantity")
        if size <= 0:
            raise SettingsError(
                f"quantity {quantity} found for {traded.name}, more than zero expected: "
                "the side says the direction, target() takes a signed holding"
            )
        _whole(size, quantity, traded)
        return size


def _whole(size: Decimal, given: Number, traded: Any) -> None:
    if size % traded.step:
        raise SettingsError(
            f"quantity {given} found for {traded.name}, a multiple of {traded.step} expected"
        )


def _limit_entry(price: Any) -> dict[str, Any]:
    from nautilus_trader.model import OrderType

    return {"entry_order_type": OrderType.LIMIT, "entry_price": price}


def _tif(name: str) -> TimeInForce:
    try:
        return getattr(TimeInForce, name.upper())
    except AttributeError:
        raise SettingsError(
            f"time_in_force {name!r} found; GTC, DAY, IOC, FOK, AT_THE_OPEN, AT_THE_CLOSE expected"
        ) from None
