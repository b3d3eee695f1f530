# pyright: standard
"""Contingent orders: brackets at a venue that knows none, kept by us.

Held     An order that waits for its parent (an exit for its entry) stands as submitted and leaves
         once the parent has filled whole, or has ended partly filled, then for what it filled.
         One whose parent ended with nothing filled is canceled, and has never left.
Linked   Of exits that belong together, one that fills cancels the others, one that fills in part
         makes the others smaller by as much.
Limits   While an entry is partly filled and still works, its exits wait.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from onetape.run import ports

if TYPE_CHECKING:
    from onetape.run.bridge import Bridge

ZERO = Decimal(0)


class Change(NamedTuple):
    """New terms of an order, as the engine's own command tells them."""

    client_order_id: Any
    instrument_id: Any
    quantity: Any
    price: Any = None
    trigger_price: Any = None


class Contingent:
    """The orders of one session that wait for others."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._waiting: dict[str, list[tuple[Any, Callable[[Decimal | None], None]]]] = {}
        self._linked: dict[str, tuple[str, ...]] = {}
        self._smaller: dict[str, Decimal] = {}  # children that left for less than they said

    def holds(self, order: Any, leave: Callable[[Decimal | None], None]) -> bool:
        """Keep an order whose parent has not filled yet; `leave(quantity)` sends it later."""
        linked = tuple(str(one) for one in order.linked_order_ids or ())
        parent = str(order.parent_order_id or "")
        if linked and parent:
            self._linked[str(order.client_order_id)] = linked
        known = self._bridge.orders.get(parent)
        if not parent or known is None or self._done(known):
            return False
        self._waiting.setdefault(parent, []).append((order, leave))
        if known.is_closed:  # it ended before this one came: it has said its last word
            self._let_go(self._waiting.pop(parent), known.filled_qty.as_decimal())
        return True

    def heard(self, order: Any) -> None:
        """Look at an order after one of its events: who waited for it, and who is linked."""
        name = str(order.client_order_id)
        if name in self._smaller and order.venue_order_id is not None:
            self._tell_smaller(order, self._smaller.pop(name))
        if name in self._waiting and (self._done(order) or order.is_closed):
            self._let_go(self._waiting.pop(name), order.filled_qty.as_decimal())
        if name in self._linked and order.filled_qty.as_decimal() > ZERO:
            self._traded(order)
        if order.is_closed:
            self._linked.pop(name, None)

    def drop(self, client_order_id: str) -> bool:
        """Forget an order that was to leave later, because it is to be canceled; say if so."""
        for parent, waiting in self._waiting.items():
            kept = [one for one in waiting if str(one[0].client_order_id) != client_order_id]
            if len(kept) < len(waiting):
                self._waiting[parent] = kept
                return True
        return False

    def _done(self, order: Any) -> bool:
        return order.filled_qty.as_decimal() >= order.quantity.as_decimal()

    def _let_go(self, waiting: list[tuple[Any, Any]], filled: Decimal) -> None:
        for child, leave in waiting:
            size = child.quantity.as_decimal()
            if not filled:
                self._bridge.drop(child)
            elif filled < size:
                self._smaller[str(child.client_order_id)] = filled
                leave(filled)
            else:
                leave(None)

    def _tell_smaller(self, order: Any, size: Decimal) -> None:
        head = (str(order.client_order_id), str(order.venue_order_id), str(order.instrument_id))
        prices = [getattr(order, name, None) for name in ("price", "trigger_price")]
        exact = [None if price is None else price.as_decimal() for price in prices]
        ts = self._bridge.inputs.stamps.peek()
        self._bridge.announce(head[0], ports.Updated(*head, ts, size, *exact))

    def _traded(self, order: Any) -> None:
        left = order.quantity.as_decimal() - order.filled_qty.as_decimal()
        for name in self._linked.get(str(order.client_order_id), ()):
            other = self._bridge.orders.get(name)
            if other is None or other.is_closed:
                continue
            if not left:
                self._bridge.cancel(other.client_order_id, other.instrument_id)
            elif other.quantity.as_decimal() > left:
                made = self._bridge.client.cache.instrument(other.instrument_id).make_qty(left)
                self._bridge.modify(Change(other.client_order_id, other.instrument_id, made))
