# pyright: standard
"""The engine's orders, as the gate is asked about them.

An order of a list whose parent has not filled yet waits for it: as an intent it names its
parent. An order for a quote quantity ("for 1,000 USD") is refused, because what it will be in
units is known only when it trades.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from onetape.errors import SettingsError
from onetape.risk.intent import Intent
from onetape.run.approval import Terms
from onetape.tape.kinds import OrderInitialized

if TYPE_CHECKING:
    from onetape.run.gate import Gate, Note


def intent_of(order: Any, gate: Gate, ts: int, algo: str = "", **changed: Any) -> Intent:
    """Return what an engine's order asks for; `changed` are terms that a modify brings.

    Raises SettingsError for a quantity in money.
    """
    if order.is_quote_quantity:
        raise SettingsError(
            f"order {order.client_order_id} is for a quantity of money, which no limit can be "
            "held against; a quantity in units of the instrument expected"
        )
    who = gate.who
    terms: dict[str, Any] = {
        "quantity": _exact(order.quantity),
        "price": _exact(getattr(order, "price", None)),
        "trigger_price": _exact(getattr(order, "trigger_price", None)),
    }
    terms |= {name: _exact(value) for name, value in changed.items() if value is not None}
    return Intent(
        kind="modify" if changed else "submit",
        client_order_id=str(order.client_order_id),
        account=who.account,
        strategy=str(order.strategy_id),
        instrument=str(order.instrument_id),
        venue=str(order.instrument_id.venue),
        side="BUY" if order.is_buy else "SELL",
        type=order.order_type.name,
        ts=ts,
        time_in_force=order.time_in_force.name,
        expire_time=_nanos(getattr(order, "expire_time", None)),
        reduce_only=order.is_reduce_only,
        post_only=bool(getattr(order, "is_post_only", False)),
        trader=who.trader,
        desk=who.desk,
        algo=algo,
        client=who.client,
        list_id=str(getattr(order, "order_list_id", None) or ""),
        parent=str(order.parent_order_id or ""),
        **terms,
    )


def announced_intent(fact: OrderInitialized, gate: Gate, ts: int, algo: str = "") -> Intent:
    """Return what an order asks for that the engine has made by itself."""
    who = gate.who
    return Intent(
        kind="submit",
        client_order_id=fact.client_order_id,
        account=who.account,
        strategy=fact.strategy,
        instrument=fact.instrument,
        venue=fact.instrument.rpartition(".")[2],
        side=fact.side,
        type=fact.type,
        quantity=fact.quantity,
        ts=ts,
        price=fact.price,
        trigger_price=fact.trigger_price,
        time_in_force=fact.time_in_force,
        expire_time=fact.expire_time,
        reduce_only=fact.reduce_only,
        post_only=fact.post_only,
        trader=who.trader,
        desk=who.desk,
        algo=algo,
        client=who.client,
        list_id=fact.order_list_id or "",
        parent=fact.parent_order_id or "",
    )


def order_terms(order: Any, **changed: Any) -> Terms:
    """Return the terms of an engine's order, to ask `Gate.approved` about."""
    exact = {name: _exact(value) for name, value in changed.items() if value is not None}
    return Terms(
        str(order.instrument_id),
        "BUY" if order.is_buy else "SELL",
        order.order_type.name,
        exact.get("quantity", _exact(order.quantity)),
        exact.get("price", _exact(getattr(order, "price", None))),
        exact.get("trigger_price", _exact(getattr(order, "trigger_price", None))),
        order.is_reduce_only,
    )


def judged(
    gate: Gate,
    orders: Sequence[Any],
    ts: int,
    algo: str,
    cause: int | None,
    note: Note | None = None,
    **changed: Any,
) -> bool:
    """Have orders judged that leave together, or one with changed terms; say whether they may.

    `ts` is now, ns UTC; `algo` the hash of the code that decided; `cause` the decision's seq.
    """
    intents = [intent_of(order, gate, ts, algo, **changed) for order in orders]
    return all(decision.allowed for decision in gate.judge(intents, cause, note))


def note_cancel(gate: Gate, order: Any, ts: int, algo: str, note: Note | None = None) -> None:
    """Count and record that an order is to be canceled; no limit ever stands in the way."""
    intent = msgspec.structs.replace(intent_of(order, gate, ts, algo), kind="cancel")
    gate.judge([intent], None, note)


def _exact(value: Any) -> Any:
    return value.as_decimal() if hasattr(value, "as_decimal") else value


def _nanos(value: Any) -> int | None:
    if value is None or isinstance(value, int):
        return value
    return int(value.timestamp() * 1_000_000) * 1_000
