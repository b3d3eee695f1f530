"""Rejects mapped back: cancel rejects (9), session rejects (3), business rejects (j), refusals.

A 3 names our message by its number alone, a j by its number or what it was about (379); both may
be the fate of an order, of a request about one, or of a question, and are told as what they are.
"""

from __future__ import annotations

from collections import OrderedDict

from onetape.run.ports import CancelRejected, ModifyRejected, Notice, Rejected
from onetape_fix.profiles import SymbolMap
from onetape_fix.trade import orders as o
from onetape_fix.trade.executions import Executions, Said
from onetape_fix.trade.reading import time_of
from onetape_fix.trade.words import STATUSES
from onetape_fix.wire import Message
from onetape_fix.wire import tags as t

REMEMBERED = 20_000  # numbers of messages that a reject may still name
UNKNOWN_ORDER = "1"  # 102
OF_CANCEL = "1"  # 434
REASONS = {
    "0": "too late to cancel",
    "1": "unknown order",
    "2": "broker option",
    "3": "a request is pending already",
    "6": "duplicate ClOrdID",
    "99": "other",
}


class Rejects:
    """What came of what was sent, where that was refused."""

    def __init__(self, executions: Executions, symbols: SymbolMap) -> None:
        self._executions, self._book, self._symbols = executions, executions.book, symbols
        self._refs: OrderedDict[int, str] = OrderedDict()

    def sent(self, seq: int, ref: str) -> None:
        """Remember the number under which something left."""
        if ref:
            self._refs[seq] = ref
            while len(self._refs) > REMEMBERED:
                self._refs.popitem(last=False)

    def began_anew(self) -> None:
        """The numbers began anew at 1: what was remembered is about others now."""
        self._refs.clear()

    def ref_of(self, message: Message) -> str:
        """Return what a 3 or j is about, as it was called when it was sent; "" where unknown."""
        told = message.get(t.BUSINESS_REJECT_REF_ID, "")
        if told and (told in self._book.asks or self._book.on_wire(told) is not None):
            return told
        number = message.get(t.REF_SEQ_NUM, "")
        return (self._refs.get(int(number), "") if number.isdigit() else "") or told

    def cancel_reject(self, message: Message, now: int) -> list[Said]:
        """Take a 9 in."""
        get, ts = message.get, time_of(message, now)
        order = self._book.on_wire(get(t.ORIG_CL_ORD_ID), get(t.CL_ORD_ID)) or self._book.at(
            get(t.ORDER_ID)
        )
        code = get(t.CXL_REJ_REASON, "")
        reason = get(t.TEXT) or REASONS.get(code, f"refused by the venue (102={code or '?'})")
        ask = self._book.answered(get(t.CL_ORD_ID))
        if order is not None and code == UNKNOWN_ORDER and not order.closed:
            self._executions.doubtful[id(order)] = order
        if ask is not None:
            said = self._executions.refused(ask, ask.order, reason, ts)
        else:
            said = self._unasked(message, order, reason, ts)
        if order is not None and order.status.startswith("PENDING"):
            order.status = STATUSES.get(get(t.ORD_STATUS, "0"), "ACCEPTED")
        return said

    def _unasked(self, message: Message, order: o.Order | None, reason: str, ts: int) -> list[Said]:
        """A reject of a request that somebody else made, or that was answered before."""
        wire = message.get(t.CL_ORD_ID, "")
        if order is None or wire in order.chain:
            return []
        head = (order.name, order.venue_id, order.instrument, ts)
        if message.get(t.CXL_REJ_RESPONSE_TO) == OF_CANCEL:
            return [CancelRejected(*head, reason)]
        return [ModifyRejected(*head, reason)]

    def rejected(self, message: Message, now: int) -> list[Said]:
        """Take a 3 or j in; nothing is said of what was no order's."""
        what = "could not be read" if message.type == "3" else "is not served"
        text = message.get(t.TEXT) or f"373={message.get(t.SESSION_REJECT_REASON, '?')}"
        tag = message.get(t.REF_TAG_ID)
        reason = f"the message {what} by the venue: {text}" + (f" (tag {tag})" if tag else "")
        return self.lost(self.ref_of(message), reason, time_of(message, now))

    def lost(self, ref: str, reason: str, ts: int) -> list[Said]:
        """Say what it means that a message did not come to anything."""
        ask = self._book.answered(ref)
        if ask is not None:
            return self._executions.refused(ask, ask.order, reason, ts)
        order = self._book.on_wire(ref)
        if order is None or order.accepted or order.closed or order.wire != ref:
            return []
        order.status, order.reason = "REJECTED", reason
        self._book.ended(order)
        return [Rejected(order.name, order.venue_id, order.instrument, ts, reason)]

    def about(self, message: Message) -> Notice:
        """Return a reject that is about nothing that we know, in words."""
        said = message.get(t.TEXT, "")
        what = message.get(t.REF_MSG_TYPE, "?")
        return Notice("warning", "rejected_message", f"35={message.type} of our 35={what}: {said}")
