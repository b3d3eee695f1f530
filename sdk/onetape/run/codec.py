# pyright: standard
"""The one translator between the engine's events and the facts of the tape.

Random ids (`event_id`) stay behind; everything else that the engine says of an order is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nautilus_trader import model as engine

from onetape.errors import TapeError
from onetape.tape import kinds

Translate = Callable[[Any, str | None], kinds.Fact]
_INITIALIZED = frozenset(
    [
        "type",
        "trader_id",
        "strategy_id",
        "instrument_id",
        "client_order_id",
        "order_side",
        "order_type",
        "quantity",
        "time_in_force",
        "post_only",
        "reduce_only",
        "event_id",
        "ts_event",
        "ts_init",
        "price",
        "trigger_price",
        "expire_time",
        "contingency_type",
        "order_list_id",
        "linked_order_ids",
        "parent_order_id",
        "causation_id",
        "reconciliation",
        "quote_quantity",
        "tags",
    ]
)


_details: list[str] = []


def _money(value: Any) -> tuple[Decimal, str]:
    return (Decimal(0), "") if value is None else (value.as_decimal(), value.currency.code)


def _exact(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _ids(event: Any) -> tuple[str, str, str]:
    return str(event.client_order_id), str(event.instrument_id), str(event.strategy_id)


def _initialized(event: Any, _account: str | None) -> kinds.Fact:
    said = event.to_dict()
    if not _details:  # the engine names the same fields for every order
        _details.extend(sorted(said.keys() - _INITIALIZED))
    details = {name: str(said[name]) for name in _details if said[name] is not None}
    expire = said.get("expire_time")
    return kinds.OrderInitialized(
        said["client_order_id"],
        said["instrument_id"],
        said["strategy_id"],
        side=said["order_side"],
        type=said["order_type"],
        quantity=Decimal(said["quantity"]),
        time_in_force=said["time_in_force"],
        price=_exact(said["price"]),
        trigger_price=_exact(said["trigger_price"]),
        expire_time=int(expire) if expire is not None else None,
        post_only=said["post_only"],
        reduce_only=said["reduce_only"],
        contingency=said["contingency_type"],
        order_list_id=said["order_list_id"],
        linked_order_ids=tuple(said["linked_order_ids"] or ()),
        parent_order_id=said["parent_order_id"],
        details=details,
    )


def _filled(event: Any, account: str | None) -> kinds.Fact:
    commission, paid_in = _money(event.commission)
    currency = event.currency.code
    return kinds.OrderFilled(
        *_ids(event),
        account=account or str(event.account_id),
        venue_order_id=str(event.venue_order_id),
        trade_id=str(event.trade_id),
        side="BUY" if event.is_buy else "SELL",
        quantity=event.last_qty.as_decimal(),
        price=event.last_px.as_decimal(),
        currency=currency,
        commission=commission,
        commission_currency=paid_in or currency,
        liquidity=event.liquidity_side.name,
    )


def _updated(event: Any, _account: str | None) -> kinds.Fact:
    said = event.to_dict()
    return kinds.OrderUpdated(
        *_ids(event),
        quantity=Decimal(said["quantity"]),
        price=_exact(said.get("price")),
        trigger_price=_exact(said.get("trigger_price")),
    )


def _plain(fact: Callable[..., kinds.Fact]) -> Translate:
    return lambda event, _: fact(*_ids(event))


def _reasoned(fact: Callable[..., kinds.Fact]) -> Translate:
    return lambda event, _: fact(*_ids(event), str(event.reason))


_TRANSLATE: dict[type, Translate] = {
    engine.OrderInitialized: _initialized,
    engine.OrderSubmitted: lambda e, a: kinds.OrderSubmitted(*_ids(e), a or str(e.account_id)),
    engine.OrderAccepted: lambda e, a: kinds.OrderAccepted(
        *_ids(e), a or str(e.account_id), str(e.venue_order_id)
    ),
    engine.OrderFilled: _filled,
    engine.OrderDenied: _reasoned(kinds.OrderDenied),
    engine.OrderRejected: _reasoned(kinds.OrderRejected),
    engine.OrderModifyRejected: _reasoned(kinds.OrderModifyRejected),
    engine.OrderCancelRejected: _reasoned(kinds.OrderCancelRejected),
    engine.OrderEmulated: _plain(kinds.OrderEmulated),
    engine.OrderReleased: lambda e, _: kinds.OrderReleased(
        *_ids(e), _exact(e.to_dict().get("released_price"))
    ),
    engine.OrderTriggered: _plain(kinds.OrderTriggered),
    engine.OrderPendingUpdate: _plain(kinds.OrderPendingUpdate),
    engine.OrderPendingCancel: _plain(kinds.OrderPendingCancel),
    engine.OrderUpdated: _updated,
    engine.OrderCanceled: _plain(kinds.OrderCanceled),
    engine.OrderExpired: _plain(kinds.OrderExpired),
    engine.OrderFillVoided: lambda e, _: kinds.OrderVoided(
        *_ids(e), str(e.trade_id), str(getattr(e, "reason", ""))
    ),
}


def fact_of(event: Any, account: str | None = None) -> kinds.Fact:
    """Return the fact that an engine's order event states.

    In a backtest `account` stands for the engine's one account per venue.

    Raises TapeError for a kind of event that the tape has no word for: nothing is dropped.
    """
    translate = _TRANSLATE.get(type(event))
    if translate is None:
        known = ", ".join(sorted(kind.__name__ for kind in _TRANSLATE))
        raise TapeError(f"the engine sent {type(event).__name__}; the tape knows {known}")
    return translate(event, account)
