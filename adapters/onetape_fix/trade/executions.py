"""Execution reports folded into the order book: what each tells, once, as reports of the ports.

Fills      are booked by LastQty and LastPx and known again by their id, flagged as repeated or
           not. CumQty is only compared: where it differs the order is `doubtful`, and whoever
           drives this asks the venue; nothing is made up.
Order      in which reports come does not matter for what is booked: a fill before the
           acknowledgement, a bust before its fill, a late fill of an order that has ended.
Status     answers (150=I) never book anything.
Unknown    orders and fills are told with client_order_id "": somebody else's, never dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from onetape.run.ports import (
    Accepted,
    AnyReport,
    Busted,
    Canceled,
    CancelRejected,
    Corrected,
    Difference,
    Expired,
    Filled,
    ModifyRejected,
    Notice,
    Rejected,
    Triggered,
    Updated,
)
from onetape_fix.profiles import Profile, tells_of
from onetape_fix.trade import orders as o
from onetape_fix.trade.ids import Ids
from onetape_fix.trade.reading import Execution, commission, liquidity, made_id, of_day
from onetape_fix.trade.words import CLOSED, FORCES, TYPES, first
from onetape_fix.wire import Body
from onetape_fix.wire import tags as t

ZERO = Decimal(0)
CONDITIONAL = frozenset(("STOP_MARKET", "STOP_LIMIT", "MARKET_IF_TOUCHED", "LIMIT_IF_TOUCHED"))
DUPLICATE_ORDER = "6"  # 103
CHECKED = frozenset(("new", "fill", "replaced", "restated"))  # where 14 + 151 = 38 must hold
WORKING = frozenset(("ACCEPTED", "PARTIALLY_FILLED"))


class Leave(msgspec.Struct, frozen=True):
    """A message that has to leave because of what was heard."""

    msg_type: str
    body: Body
    ref: str


Said = AnyReport | Notice | Difference | Leave
MakeLeg = Callable[[o.Order, o.Ask], Leave | None]


class Executions:
    """The fold of one session's execution reports."""

    def __init__(
        self, book: o.OrderBook, profile: Profile, ids: Ids, currency: Callable[[str], str]
    ) -> None:
        self.book, self.profile, self.ids, self.currency = book, profile, ids, currency
        self.doubtful: dict[int, o.Order] = {}
        self.leg: MakeLeg | None = None
        self._refs: dict[str, str] = {}  # a correction's own id, and the execution it is about
        self._ways: dict[str, Callable[[o.Order, Execution], list[Said]]] = {
            "new": self._new, "fill": self._fill, "bust": self._bust, "correct": self._correct,
            "canceled": self._canceled, "replaced": self._replaced, "rejected": self._rejected,
            "expired": self._expired, "done": self._done, "restated": self._restated,
            "triggered": self._triggered, "suspended": self._paused, "stopped": self._paused,
            "pending": self._pending, "other": self._other,
        }  # fmt: skip

    def take(self, read: Execution) -> list[Said]:
        """Take a report in; return what it tells."""
        if read.what == "status":
            told = self.compare(read)
            return list(self.book.over(told, read.status, read.text, read.ts)) if told else []
        order = self.order(read)
        read = of_day(read, order.force)
        self.book.at_venue(order, read.venue_id)
        order.ts = max(order.ts, read.ts)
        said = self._onto_leg(order, read)
        closed = order.closed
        said += self._ways[read.what](order, read)
        said += self._check(order, read)
        if order.closed and not closed:
            self.book.ended(order)
        return said

    def order(self, read: Execution) -> o.Order:
        """Return the order that a report is about; one that nobody here knows begins now."""
        known = self.book.on_wire(read.wire, read.orig) or self.book.at(read.venue_id)
        if known is not None:
            known.account = known.account or read.account
            return known
        name = self.ids.client(read.wire) or self.ids.client(read.orig) or ""
        gone = read.last[0] if read.what == "fill" and read.last else ZERO
        unseen = max((read.cum or ZERO) - gone, ZERO)
        order = o.Order(
            name=name, wire=read.wire, account=read.account, instrument=read.instrument,
            side=read.side or "BUY", type=TYPES.get(read.get(t.ORD_TYPE), "MARKET"),
            force=FORCES.get(read.get(t.TIME_IN_FORCE), "DAY"), quantity=read.quantity or ZERO,
            price=read.price, trigger=read.trigger, unseen=unseen, cum=unseen,
            chain=[wire for wire in (read.orig, read.wire) if wire], venue_id=read.venue_id,
        )  # fmt: skip
        return self.book.add(order)

    def compare(self, read: Execution) -> o.Order | None:
        """Take in what an answer says of an order: its state and terms, and no executions."""
        if read.status == "REJECTED" and not self._knows(read):
            return None
        order = self.order(read)
        read = of_day(read, order.force)
        self.book.at_venue(order, read.venue_id)
        if read.status:
            if read.status not in CLOSED:  # an end is told as a report, not kept to ourselves
                order.status = read.status
            order.accepted = order.accepted or read.status != "REJECTED"
        if read.quantity is not None:
            order.quantity = read.quantity + order.before
        order.price = order.price if read.price is None else read.price
        order.trigger = order.trigger if read.trigger is None else read.trigger
        if read.cum is not None:
            order.cum = read.cum
        self._doubt(order)
        return order

    def _knows(self, read: Execution) -> bool:
        found = self.book.on_wire(read.wire, read.orig) or self.book.at(read.venue_id)
        return found is not None and found.accepted

    # -- what is told

    def _head(self, order: o.Order, read: Execution) -> tuple[str, str, str, int]:
        return order.name, order.venue_id or read.venue_id, order.instrument, read.ts

    def _new(self, order: o.Order, read: Execution) -> list[Said]:
        if order.accepted or (order.closed and order.status != "REJECTED"):
            return []
        order.accepted = True
        if order.status == "REJECTED":  # we told so ourselves: it was taken to be lost
            order.status = read.status or "ACCEPTED"
            told = f"{order.called} was told as rejected ({order.reason}) and works: cancel it"
            return [Notice("critical", "rejected_works", told), Accepted(*self._head(order, read))]
        if order.status == "SENT":
            order.status = "ACCEPTED"
        return [Accepted(*self._head(order, read))]

    def _fill(self, order: o.Order, read: Execution) -> list[Said]:
        nobodys = read.side is None and not order.accepted and not order.name
        if read.last is None or read.last[0] <= 0 or nobodys:
            return self._unreadable(order, read)
        return self.booked(order, read, read.exec_id or made_id(read, order.wire))

    def _unreadable(self, order: o.Order, read: Execution) -> list[Said]:
        order.doubted = True
        self.doubtful[id(order)] = order
        told = f"{order.called}: a {read.what}, 17={read.exec_id}, 19={read.exec_ref}"
        return [Notice("critical", "fill_unreadable", told)]

    def booked(self, order: o.Order, read: Execution, trade_id: str) -> list[Said]:
        """Book an execution, once; `read` may come from any book that tells of it."""
        assert read.last is not None
        quantity, price = read.last
        known = order.trades.get(trade_id)
        ended = order.closed
        order.accepted = True
        if read.status in ("PARTIALLY_FILLED", "FILLED") and not ended:
            order.status = read.status
        elif order.status == "SENT":
            order.status = "PARTIALLY_FILLED"
        if known is not None and known.said:
            return []
        if known is None:
            order.put(o.Execution(trade_id, quantity, price, read.ts))
        else:
            known.said = True
        said: list[Said] = [self.filled(order, read, trade_id)]
        if read.status in ("CANCELED", "EXPIRED") and not ended:
            said += self._canceled(order, read) if read.status == "CANCELED" else []
            said += self._expired(order, read) if read.status == "EXPIRED" else []
        return said

    def filled(self, order: o.Order, read: Execution, trade_id: str) -> Filled:
        """Return an execution as the ports tell it."""
        assert read.last is not None
        cost, currency = commission(read, self.currency(order.instrument))
        basis = read.text if self.profile.name == "sim" else ""
        return Filled(
            *self._head(order, read), trade_id, read.side or order.side, *read.last, cost, currency,
            liquidity(read), read.account or order.account, basis,
        )  # fmt: skip

    def _bust(self, order: o.Order, read: Execution) -> list[Said]:
        trade_id = self._refs.get(read.exec_ref, read.exec_ref)
        known = order.trades.get(trade_id)
        if not trade_id:
            return self._unreadable(order, read)
        if known is not None and not known.quantity:
            return []
        order.put(o.Execution(trade_id, ZERO, ZERO, read.ts))
        self._reopen(order, read)
        return [Busted(*self._head(order, read), trade_id, read.text)]

    def _correct(self, order: o.Order, read: Execution) -> list[Said]:
        trade_id = self._refs.get(read.exec_ref, read.exec_ref)
        if not trade_id or read.last is None:
            return self._unreadable(order, read)
        if read.exec_id and read.exec_id in self._refs:
            return []
        if read.exec_id:
            self._refs[read.exec_id] = trade_id
        known = order.trades.get(trade_id)
        if known is not None and (known.quantity, known.price) == read.last:
            return []
        order.put(o.Execution(trade_id, *read.last, read.ts))
        self._reopen(order, read)
        return [Corrected(*self._head(order, read), trade_id, *read.last)]

    def _reopen(self, order: o.Order, read: Execution) -> None:
        """A filled order may work again once an execution of it is gone."""
        if order.status in ("FILLED", "PARTIALLY_FILLED") and read.status:
            order.status = read.status

    def _canceled(self, order: o.Order, read: Execution) -> list[Said]:
        ask = self.book.answered(read.wire)
        asked = ask or order.pending("cancel", "replace")
        if asked is not None:
            self.book.answered(asked.wire)
        if order.closed:
            return []
        if asked is not None and asked.kind == "replace" and self.leg is not None:
            order.cum = max(order.cum, read.cum or ZERO)
            leave = self.leg(order, asked)
            if leave is not None:
                return [leave]
        order.status = "CANCELED"
        reason = read.text or ("" if asked else "the venue canceled it unasked")
        order.reason = reason
        return [Canceled(*self._head(order, read), reason)]

    def _onto_leg(self, order: o.Order, read: Execution) -> list[Said]:
        """Go on under the new order's id, where new terms were a cancel and a new order."""
        ask = order.asks.get(read.wire)
        if ask is None or ask.kind != "leg" or read.what in ("rejected", "pending"):
            return []
        self.book.answered(read.wire)
        order.before, order.cum = max(order.filled, order.told), ZERO
        order.wire = read.wire
        return self._updated(order, read, ask)

    def _replaced(self, order: o.Order, read: Execution) -> list[Said]:
        ask = self.book.answered(read.wire) or order.pending("modify")
        if ask is not None:
            self.book.answered(ask.wire)
            if not self.profile.keeps_clordid:
                order.wire = ask.wire
        if order.closed:
            return []
        if order.status in ("PENDING_UPDATE", "SENT"):
            order.status = "ACCEPTED"
        return self._updated(order, read, ask)

    def _updated(self, order: o.Order, read: Execution, ask: o.Ask | None) -> list[Said]:
        change = ask.change if ask is not None else None
        wanted = (change.quantity, change.price, change.trigger_price) if change else (None,) * 3
        told = None if read.quantity is None else read.quantity + order.before
        order.quantity = first(told, wanted[0], order.quantity) or ZERO
        order.price = first(read.price, wanted[1], order.price)
        order.trigger = first(read.trigger, wanted[2], order.trigger)
        terms = (order.quantity, order.price, order.trigger)
        return [Updated(*self._head(order, read), *terms)]

    def _rejected(self, order: o.Order, read: Execution) -> list[Said]:
        reason = read.text or f"rejected by the venue (103={read.get(t.ORD_REJ_REASON) or '?'})"
        ask = self.book.answered(read.wire)
        if ask is not None:
            return self.refused(ask, order, reason, read.ts)
        if order.closed:
            return []
        twice = read.get(t.ORD_REJ_REASON) == DUPLICATE_ORDER
        if twice and (order.accepted or "status" in tells_of(self.profile)):
            return [Notice("warning", "duplicate_order", f"{order.called}: {reason}")]
        order.status, order.reason = "REJECTED", reason
        head = self._head(order, read)
        return [Canceled(*head, reason) if order.filled else Rejected(*head, reason)]

    def refused(self, ask: o.Ask, order: o.Order | None, reason: str, ts: int) -> list[Said]:
        """Say that a request was refused."""
        venue_id = order.venue_id if order is not None else ""
        head = (ask.name, venue_id, ask.instrument, ts)
        if order is not None and order.status.startswith("PENDING"):
            order.status = "ACCEPTED"
        if ask.kind == "leg" and order is not None:
            order.status, order.reason = "CANCELED", reason
            self.book.ended(order)
            return [Canceled(*head, f"its new terms were refused: {reason}")]
        if ask.kind == "cancel":
            return [CancelRejected(*head, reason)]
        return [ModifyRejected(*head, reason)]

    def _expired(self, order: o.Order, read: Execution) -> list[Said]:
        if order.closed:
            return []
        order.status = "EXPIRED"
        return [Expired(*self._head(order, read))]

    def _done(self, order: o.Order, read: Execution) -> list[Said]:
        """Done for the day: an order of the day has ended, any other comes back."""
        if order.force == "DAY":
            return self._expired(order, read)
        return [Notice("info", "done_for_day", f"{order.called} {read.text}".strip())]

    def _restated(self, order: o.Order, read: Execution) -> list[Said]:
        if order.closed:
            return []
        said = self._new(order, read)
        if read.status == "CANCELED":
            return said + self._canceled(order, read)
        works = read.get(t.WORKING_INDICATOR) == "Y"
        if works and order.type in CONDITIONAL and not order.triggered:
            said += self._triggered(order, read)
        before = (order.quantity, order.price, order.trigger)
        updated = self._updated(order, read, None)
        return said + updated if before != (order.quantity, order.price, order.trigger) else said

    def _triggered(self, order: o.Order, read: Execution) -> list[Said]:
        if order.closed or order.triggered:
            return []
        order.triggered = True
        return [Triggered(*self._head(order, read))]

    def _paused(self, order: o.Order, read: Execution) -> list[Said]:
        return [Notice("warning", read.what, f"{order.called} {read.text}".strip())]

    def _pending(self, order: o.Order, read: Execution) -> list[Said]:
        if not order.closed and read.status.startswith("PENDING"):
            order.status = read.status
        return []

    def _other(self, order: o.Order, read: Execution) -> list[Said]:
        if not order.accepted and read.status in WORKING:
            return self._new(order, read)
        return []

    # -- whether it adds up

    def _check(self, order: o.Order, read: Execution) -> list[Said]:
        said: list[Said] = []
        if not self.profile.replace and order.outgrown(read.wire, read.orig):
            pass  # it counts from an order that is over
        elif read.cum is not None and read.what != "rejected":
            if read.what in ("bust", "correct"):
                order.cum = order.cum if read.again else read.cum
            elif read.cum < order.cum and not read.again and not order.closed:
                said.append(_off("cum_qty_fell", order, f"CumQty {read.cum} after {order.cum}"))
            order.cum = max(order.cum, read.cum) if read.what != "bust" else order.cum
        elif read.cum is None and read.what in ("fill", "bust", "correct"):
            order.cum = order.filled - order.before  # this book does not count
        self._doubt(order)
        if read.what == "rejected" and not (order.closed or order.accepted):
            self.doubtful[id(order)] = order  # a repeat was refused: the first one may work
        working = read.what in CHECKED and read.status in WORKING and not read.again
        sums = None not in (read.cum, read.leaves, read.quantity) and read.get(t.ORD_STATUS) != "3"
        if working and sums and (read.cum or ZERO) + (read.leaves or ZERO) != read.quantity:
            self.doubtful[id(order)] = order
            told = f"CumQty {read.cum} + LeavesQty {read.leaves} is not OrderQty {read.quantity}"
            said.append(_off("leaves_qty", order, told))
        return said

    def _doubt(self, order: o.Order) -> None:
        order.doubted = order.told != order.filled
        if order.doubted:
            self.doubtful[id(order)] = order
        else:
            self.doubtful.pop(id(order), None)

    def settle(self, order: o.Order) -> list[Said]:
        """The venue was asked and it still does not add up: say so, once."""
        self.doubtful.pop(id(order), None)
        if order.told == order.filled:
            return []
        said = Difference(
            "quantity", order.name or order.venue_id, str(order.filled), str(order.told)
        )
        order.unseen += order.told - order.filled
        order.doubted = False
        return [said]


def _off(code: str, order: o.Order, text: str) -> Notice:
    return Notice("warning", code, f"{order.called}: {text}; the venue is asked")
