# pyright: standard
"""Between the engine's orders and rows and those of the ports: one translator, both ways."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nautilus_trader import model as engine

from onetape.errors import RunError
from onetape.market.instruments import Instrument
from onetape.run import ports
from onetape.tape import kinds

EXTERNAL = "EXTERNAL"  # the strategy of orders that are nobody's here


def new_order(order: Any, account: str, trader: str = "") -> ports.NewOrder:
    """Return an engine's order as it goes to a venue."""
    return ports.NewOrder(
        client_order_id=str(order.client_order_id),
        account=account,
        instrument=str(order.instrument_id),
        side="BUY" if order.is_buy else "SELL",
        type=order.order_type.name,
        quantity=order.quantity.as_decimal(),
        time_in_force=order.time_in_force.name,
        price=_exact(getattr(order, "price", None)),
        trigger_price=_exact(getattr(order, "trigger_price", None)),
        expire_time=_ns(getattr(order, "expire_time", None)),
        post_only=bool(getattr(order, "is_post_only", False)),
        reduce_only=bool(order.is_reduce_only),
        strategy=str(order.strategy_id),
        trader=trader,
    )


def _exact(value: Any) -> Decimal | None:
    return None if value is None else value.as_decimal()


def _ns(value: Any) -> int | None:
    if value is None:
        return None
    return int(value) if isinstance(value, int) else int(value.timestamp()) * 1_000_000_000


class Rows:
    """Makes engine rows of a feed's, for instruments known beforehand."""

    def __init__(self, instruments: dict[str, Instrument], bar_types: dict[Any, Any]) -> None:
        self._made = {name: i.to_engine() for name, i in instruments.items()}
        self._bars = bar_types  # (instrument, step): the engine's bar type

    def __call__(self, row: ports.AnyRow, stamp: int) -> Any:
        """Return the engine's row; raises RunError for an instrument that was not asked for."""
        made = self._made.get(row.instrument)
        if made is None:
            raise RunError(f"a row of {row.instrument} came; {', '.join(self._made)} expected")
        price, size = made.make_price, made.make_qty
        if isinstance(row, ports.Quote):
            prices, sizes = (
                (price(row.bid), price(row.ask)),
                (size(row.bid_size), size(row.ask_size)),
            )
            return engine.QuoteTick(made.id, *prices, *sizes, row.ts_event, stamp)
        if isinstance(row, ports.Trade):
            side = engine.AggressorSide.NO_AGGRESSOR
            if row.side is not None:
                buys = row.side == "BUY"
                side = engine.AggressorSide.BUY if buys else engine.AggressorSide.SELL
            named = engine.TradeId(row.trade_id)
            return engine.TradeTick(
                made.id, price(row.price), size(row.size), side, named, row.ts_event, stamp
            )
        kind = self._bars[row.instrument, row.step]
        opened, high, low, close = (price(v) for v in (row.open, row.high, row.low, row.close))
        return engine.Bar(kind, opened, high, low, close, size(row.volume), row.ts_event, stamp)


def fact_of_report(
    report: ports.AnyReport, whose: str, account: str, currency: str
) -> kinds.OrderFact | None:
    """Return the fact that a report states, for orders that the engine does not hold.

    `whose` is the strategy, `currency` that of the instrument's price. None for a correction,
    which is two facts.
    """
    ids = (report.client_order_id, report.instrument, whose)
    match report:
        case ports.Accepted():
            return kinds.OrderAccepted(*ids, account, report.venue_order_id)
        case ports.Filled():
            return kinds.OrderFilled(
                *ids, account, report.venue_order_id, report.trade_id, report.side,
                report.quantity, report.price, currency, report.commission,
                report.commission_currency, report.liquidity,
            )  # fmt: skip
        case ports.Updated():
            terms = (report.quantity, report.price, report.trigger_price)
            return kinds.OrderUpdated(*ids, *terms)
        case ports.Busted():
            return kinds.OrderVoided(*ids, report.trade_id, report.reason)
        case ports.Corrected():
            return None
        case _:
            made = _REASONED.get(type(report))
            return made(*ids, report.reason) if made else _PLAIN[type(report)](*ids)  # pyright: ignore


_REASONED: dict[type, Callable[..., kinds.OrderFact]] = {
    ports.Rejected: kinds.OrderRejected,
    ports.ModifyRejected: kinds.OrderModifyRejected,
    ports.CancelRejected: kinds.OrderCancelRejected,
}
_PLAIN: dict[type, Callable[..., kinds.OrderFact]] = {
    ports.Triggered: kinds.OrderTriggered,
    ports.Canceled: kinds.OrderCanceled,
    ports.Expired: kinds.OrderExpired,
}


def external(status: ports.OrderStatus) -> kinds.OrderInitialized:
    """Return the beginning of an order that was not sent from here."""
    return kinds.OrderInitialized(
        status.client_order_id or f"EXT-{status.venue_order_id}",
        status.instrument,
        EXTERNAL,
        side=status.side,
        type=status.type,
        quantity=status.quantity,
        time_in_force=status.time_in_force,
        price=status.price,
        trigger_price=status.trigger_price,
        details={"external": "found at the venue"},
    )


def announce(client: Any, order: Any, report: ports.AnyReport, instrument: Any) -> bool:
    """Have the engine's execution client tell the engine of a report; False where it has no
    word for it (a bust, a correction)."""
    ts, known = report.ts_event, report.venue_order_id
    named: Any = engine.VenueOrderId(known) if known else None
    match report:
        case ports.Accepted():
            client.generate_order_accepted(order, named or _unnamed(order), ts)
        case ports.Rejected():
            client.generate_order_rejected(order, report.reason, ts, False)
        case ports.Filled():
            terms = _execution(report, instrument)
            client.generate_order_filled(order, named or _unnamed(order), None, *terms, ts)
        case ports.Triggered():
            client.generate_order_triggered(order, named, ts)
        case ports.Updated():
            price = _price(instrument, report.price)
            trigger = _price(instrument, report.trigger_price)
            size = instrument.make_qty(report.quantity)
            client.generate_order_updated(order, named, size, price, trigger, None, ts)
        case ports.ModifyRejected():
            client.generate_order_modify_rejected(order, named, report.reason, ts)
        case ports.Canceled():
            client.generate_order_canceled(order, named, ts)
        case ports.CancelRejected():
            client.generate_order_cancel_rejected(order, named, report.reason, ts)
        case ports.Expired():
            client.generate_order_expired(order, named, ts)
        case _:
            return False
    return True


def _unnamed(order: Any) -> Any:
    """Return an id for an order that its venue does not name: no other has it."""
    return engine.VenueOrderId(f"UNNAMED-{order.client_order_id}")


def _execution(report: ports.Filled, instrument: Any) -> tuple[Any, ...]:
    paid_in = engine.Currency.from_str(report.commission_currency)
    return (
        engine.TradeId(report.trade_id),
        instrument.make_qty(report.quantity),
        instrument.make_price(report.price),
        instrument.quote_currency,
        engine.Money.from_decimal(report.commission, paid_in),
        getattr(engine.LiquiditySide, report.liquidity),
    )


def _price(instrument: Any, price: Decimal | None) -> Any:
    return None if price is None else instrument.make_price(price)
