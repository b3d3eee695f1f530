"""Commands as messages: the bodies of D, F, G, q, E and the requests, by version and profile.

New terms go out as G; where the broker has none, as F and, once that is confirmed, a D of what is
left. Every request follows the last ClOrdID that was not refused (11/41), also while one is under
way, and names the venue's own id where that is known.

Raises   VenueError for what the broker's messages cannot say; then nothing has left.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from onetape.errors import VenueError
from onetape.run.ports import CancelOrder, MassCancel, ModifyOrder, NewOrder
from onetape_fix.profiles import Profile, SymbolMap
from onetape_fix.trade import orders as o
from onetape_fix.trade.executions import Leave
from onetape_fix.trade.ids import Ids
from onetape_fix.trade.words import FORCE_OF, POST_ONLY, REDUCE_ONLY, SIDE_OF, TYPE_OF
from onetape_fix.wire import Body, Value, format_utc
from onetape_fix.wire import msgtypes as m
from onetape_fix.wire import tags as t

Fields = list[tuple[int, Value]]
AUTOMATED = "1"  # 21: no broker's hands
ALL_ORDERS, OF_SECURITY = "7", "1"  # 530, 585
NOT_KNOWN = "NONE"  # 37 and 41 where a field must be there and nothing is known


class Outgoing:
    """The requests of one order session."""

    def __init__(
        self, book: o.OrderBook, profile: Profile, symbols: SymbolMap, ids: Ids, *, digits: int = 3
    ) -> None:
        self.book, self.profile, self.symbols, self.ids = book, profile, symbols, ids
        self._digits = max(digits, profile.digits) if profile.name == "sim" else digits
        self.old = profile.dialect == "4.2"

    # -- orders

    def new(self, order: NewOrder, now: int) -> Leave | None:
        """Return a new order's message, its order taken into the book; None where an order of
        that id has left already: it is not sent twice."""
        self._must(m.NEW_ORDER_SINGLE)
        if self.book.find(order.client_order_id) is not None:
            return None
        body_of = o.order_of(order, "")
        body = self._terms(body_of, order.quantity, now)
        wire = self.ids.root(order.client_order_id)
        self.book.add(o.order_of(order, wire))
        return Leave(m.NEW_ORDER_SINGLE, [(t.CL_ORD_ID, wire), *body], wire)

    def modify(self, change: ModifyOrder, now: int) -> Leave:
        """Return the message that asks for new terms."""
        order = self.book.find(change.client_order_id, change.venue_order_id)
        kind: o.Kind = "modify" if self.profile.replace else "replace"
        wire, orig = self._chained(change, order)
        if not self.profile.replace:
            body = self._cancel(change, order, wire, orig, now)
        else:
            body = self._replace(change, order, wire, orig, now)
        self.book.ask(o.Ask(wire, kind, change.client_order_id, change.instrument, order, change))
        sent = m.CANCEL_REPLACE_REQUEST if self.profile.replace else m.CANCEL_REQUEST
        return Leave(sent, body, wire)

    def cancel(self, told: CancelOrder, now: int) -> Leave:
        """Return the message that asks for a cancel."""
        order = self.book.find(told.client_order_id, told.venue_order_id)
        wire, orig = self._chained(told, order)
        body = self._cancel(told, order, wire, orig, now)
        self.book.ask(o.Ask(wire, "cancel", told.client_order_id, told.instrument, order))
        return Leave(m.CANCEL_REQUEST, body, wire)

    def leg(self, order: o.Order, ask: o.Ask, now: int) -> Leave | None:
        """Return the new order that follows a cancel for new terms; None where nothing is left."""
        change = ask.change
        assert change is not None
        total = order.quantity if change.quantity is None else change.quantity
        left = total - max(order.filled, order.told)  # a fill may be on its way still
        if left <= 0:
            return None
        wire = self.ids.next(order.name or ask.name)
        changed = o.Order(
            name=order.name, wire=wire, account=order.account, instrument=order.instrument,
            side=order.side, type=order.type, force=order.force, expire=order.expire,
            price=order.price if change.price is None else change.price,
            trigger=order.trigger if change.trigger_price is None else change.trigger_price,
            post_only=order.post_only, reduce_only=order.reduce_only,
        )  # fmt: skip
        self.book.ask(o.Ask(wire, "leg", ask.name, order.instrument, order, change))
        body = self._terms(changed, left, now)
        return Leave(m.NEW_ORDER_SINGLE, [(t.CL_ORD_ID, wire), *body], wire)

    def mass_cancel(self, scope: MassCancel, now: int) -> Leave | None:
        """Return the message that cancels all of a scope; None where the broker has none, or it
        would take orders of other accounts along."""
        if m.MASS_CANCEL_REQUEST not in self.profile.supported:
            return None
        by_account = self.profile.mass_cancel_by == "account"
        others = {order.account for order in self.book.working()} - {scope.account, ""}
        if others and not by_account:
            return None
        wire = self.ids.next("")
        body: Fields = [(t.CL_ORD_ID, wire)]
        body.append((t.MASS_CANCEL_REQUEST_TYPE, OF_SECURITY if scope.instrument else ALL_ORDERS))
        if by_account:
            body += self._whose(scope.account)
        if scope.instrument:
            body += self.symbols.fields(scope.instrument)
        body.append((t.TRANSACT_TIME, self.time(now)))
        return Leave(m.MASS_CANCEL_REQUEST, body, wire)

    def order_list(self, orders: Sequence[NewOrder], list_id: str, now: int) -> Leave:
        """Return the message of a list of orders, all taken into the book."""
        self._must(m.NEW_ORDER_LIST)
        rows: list[Body] = []
        for at, order in enumerate(orders, 1):
            body = self._terms(o.order_of(order, ""), order.quantity, now)
            wire = self.ids.root(order.client_order_id)
            rows.append([(t.CL_ORD_ID, wire), (t.LIST_SEQ_NO, at), *body])
            self.book.add(o.order_of(order, wire))
        count: Fields = [(t.TOT_NO_ORDERS, len(rows)), (t.NO_ORDERS, rows)]
        return Leave(m.NEW_ORDER_LIST, [(t.LIST_ID, list_id), (t.BID_TYPE, "3"), *count], list_id)

    def time(self, now: int) -> str:
        """Return a time as this session writes it."""
        return format_utc(now, self._digits)

    # -- parts

    def _must(self, msg_type: str) -> None:
        if msg_type not in self.profile.supported:
            raise VenueError(
                f"a broker of the profile {self.profile.name!r} takes no 35={msg_type}; nothing "
                "has left"
            )

    def _chained(self, told: ModifyOrder | CancelOrder, order: o.Order | None) -> tuple[str, str]:
        """Return a request's own ClOrdID and the one that it follows."""
        wire = self.ids.next(told.client_order_id)
        if order is not None:
            keeps = self.profile.keeps_clordid
            return wire, (order.wire if keeps else order.last_wire) or NOT_KNOWN
        known = self.ids.wire(told.client_order_id)
        named = told.client_order_id if self.profile.ids.allows(told.client_order_id) else NOT_KNOWN
        return wire, known or named

    def _cancel(
        self,
        told: ModifyOrder | CancelOrder,
        order: o.Order | None,
        wire: str,
        orig: str,
        now: int,
    ) -> Fields:
        body: Fields = [(t.ORIG_CL_ORD_ID, orig)]
        body += self._venue_id(told, order)
        body.append((t.CL_ORD_ID, wire))
        if order is not None and order.account:
            body.append((t.ACCOUNT, order.account))
        body += self.symbols.fields(told.instrument if order is None else order.instrument)
        body.append((t.SIDE, SIDE_OF["BUY" if order is None else order.side]))
        body.append((t.TRANSACT_TIME, self.time(now)))
        if order is not None and order.quantity:
            body.append((t.ORDER_QTY, order.quantity - order.before))
        return body

    def _replace(
        self, change: ModifyOrder, order: o.Order | None, wire: str, orig: str, now: int
    ) -> Fields:
        body = self._venue_id(change, order)
        body += [(t.ORIG_CL_ORD_ID, orig), (t.CL_ORD_ID, wire)]
        if order is None:  # somebody else's, or nobody's: what is not known is not told
            order = o.Order(
                name="", wire="", account="", instrument=change.instrument, type="LIMIT"
            )
        quantity, price, trigger = order.wanted()  # not to take back what is under way
        quantity = quantity if change.quantity is None else change.quantity
        changed = o.Order(
            name="", wire="", account=order.account, instrument=order.instrument, side=order.side,
            type=order.type, force=order.force, expire=order.expire,
            price=price if change.price is None else change.price,
            trigger=trigger if change.trigger_price is None else change.trigger_price,
            post_only=order.post_only, reduce_only=order.reduce_only,
        )  # fmt: skip
        return [*body, *self._terms(changed, quantity - order.before, now)]

    def _venue_id(self, told: ModifyOrder | CancelOrder, order: o.Order | None) -> Fields:
        known = (order.venue_id if order is not None else "") or told.venue_order_id
        return [(t.ORDER_ID, known)] if known else []

    def _terms(self, order: o.Order, quantity: Decimal, now: int) -> Fields:
        """Return all that D and G say of an order but its ids."""
        body: Fields = [(t.ACCOUNT, order.account)] if order.account else []
        if self.old:
            body.append((t.HANDL_INST, AUTOMATED))
        said = [
            w for w, on in ((POST_ONLY, order.post_only), (REDUCE_ONLY, order.reduce_only)) if on
        ]
        if said:
            body.append((t.EXEC_INST, " ".join(said)))
        body += self.symbols.fields(order.instrument)
        body += [(t.SIDE, SIDE_OF[order.side]), (t.TRANSACT_TIME, self.time(now))]
        if quantity:
            body.append((t.ORDER_QTY, quantity))
        body.append((t.ORD_TYPE, _known(TYPE_OF, order.type, "order type")))
        if order.price is not None:
            body.append((t.PRICE, order.price))
        if order.trigger is not None:
            body.append((t.STOP_PX, order.trigger))
        body.append((t.TIME_IN_FORCE, _known(FORCE_OF, order.force, "time in force")))
        if order.expire is not None:
            body.append((t.EXPIRE_TIME, self.time(order.expire)))
        return body

    def _whose(self, account: str) -> Fields:
        if self.profile.name == "sim":
            return [(t.ACCOUNT, account)]
        party: Fields = [(t.PARTY_ID, account), (t.PARTY_ID_SOURCE, "D"), (t.PARTY_ROLE, "24")]
        return [(t.NO_PARTY_I_DS, [party])]


def _known(table: dict[str, str], name: str, what: str) -> str:
    try:
        return table[name]
    except KeyError:
        raise VenueError(
            f"{what} {name!r} has no word in FIX here; one of {', '.join(table)} expected"
        ) from None
