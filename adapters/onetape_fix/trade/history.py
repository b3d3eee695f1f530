"""What went out, read back: how a restarted process knows its orders again.

The session's journal holds every request of ours; told again in order, together with what came in,
they build the order book as it was. Only the book: nothing is reported and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Mapping

from onetape.run.ports import CancelOrder, ModifyOrder, NewOrder
from onetape_fix.profiles import SymbolMap
from onetape_fix.trade import orders as o
from onetape_fix.trade.ids import Ids
from onetape_fix.trade.words import FORCES, POST_ONLY, REDUCE_ONLY, SIDES, TYPES, number
from onetape_fix.wire import Message, parse_utc, rows_of
from onetape_fix.wire import tags as t

ROW = frozenset((11, 67, 1, 21, 18, 55, 48, 22, 207, 54, 60, 38, 40, 44, 99, 59, 126))
NONE = o.ZERO


class History:
    """Takes requests of ours into the book again."""

    def __init__(self, book: o.OrderBook, ids: Ids, symbols: SymbolMap, replaces: bool) -> None:
        self._book, self._ids, self._symbols, self._replaces = book, ids, symbols, replaces

    def take(self, message: Message) -> None:
        """Take a message of ours in; what is no request about an order is passed over."""
        wire = message.get(t.CL_ORD_ID, "")
        if self._book.on_wire(wire) is not None and message.type != "E":
            return  # it is known: this process sent it itself
        if message.type == "D":
            self._order(message.values)
        elif message.type == "E":
            for row in rows_of(message.fields, t.NO_ORDERS, t.CL_ORD_ID, ROW):
                self._order(dict(reversed(row)))
        elif message.type in ("F", "G"):
            self._request(message, wire)

    def _order(self, fields: Mapping[int, str]) -> None:
        wire = fields.get(t.CL_ORD_ID, "")
        if self._book.on_wire(wire) is not None:
            return
        name = self._ids.client(wire) or wire
        known = self._book.find(name)
        if known is not None and wire != known.wire and not self._replaces:
            change = ModifyOrder(name, None, known.instrument, *_terms(fields, known))
            self._book.ask(o.Ask(wire, "leg", name, known.instrument, known, change))
            known.status = "PARTIALLY_FILLED" if known.filled else "ACCEPTED"  # it goes on
            return
        self._book.add(o.order_of(order_in(fields, name, self._symbols), wire))

    def _request(self, message: Message, wire: str) -> None:
        orig = message.get(t.ORIG_CL_ORD_ID)
        order = self._book.on_wire(orig) or self._book.at(message.get(t.ORDER_ID))
        name = self._ids.client(wire) or (order.name if order is not None else "")
        instrument = self._symbols.instrument(message.get)
        if message.type == "G":
            change = ModifyOrder(name, None, instrument, *_terms(message.values, order))
            self._book.ask(o.Ask(wire, "modify", name, instrument, order, change))
        else:
            told = CancelOrder(name, None, instrument)
            self._book.ask(o.Ask(wire, "cancel", told.client_order_id, instrument, order))


def _terms(fields: Mapping[int, str], order: o.Order | None):
    quantity = number(fields.get(t.ORDER_QTY))
    if quantity is not None and order is not None:
        quantity += order.before
    return quantity, number(fields.get(t.PRICE)), number(fields.get(t.STOP_PX))


def order_in(fields: Mapping[int, str], name: str, symbols: SymbolMap) -> NewOrder:
    """Return the order that the fields of a D (or a row of an E) tell of."""
    words = fields.get(t.EXEC_INST, "").split()
    return NewOrder(
        client_order_id=name,
        account=fields.get(t.ACCOUNT, ""),
        instrument=symbols.instrument(fields.get),
        side=SIDES.get(fields.get(t.SIDE, ""), "BUY"),
        type=TYPES.get(fields.get(t.ORD_TYPE, ""), "MARKET"),
        quantity=number(fields.get(t.ORDER_QTY)) or NONE,
        time_in_force=FORCES.get(fields.get(t.TIME_IN_FORCE, ""), "DAY"),
        price=number(fields.get(t.PRICE)),
        trigger_price=number(fields.get(t.STOP_PX)),
        expire_time=_time(fields.get(t.EXPIRE_TIME)),
        post_only=POST_ONLY in words,
        reduce_only=REDUCE_ONLY in words,
    )


def _time(text: str | None) -> int | None:
    try:
        return None if text is None else parse_utc(text)
    except ValueError:
        return None
