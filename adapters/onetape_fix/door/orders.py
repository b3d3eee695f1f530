"""Orders from the wire to the world: D G F q H AF E.

What cannot be an order at all is refused here, in the words of the venue; everything else is the
world's to judge. A request that was seen before, marked as a repeat or under the number it had
then, is not done twice: it is answered by the order's status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

from msgspec.structs import replace

from onetape.run.ports import CancelOrder, MassCancel, ModifyOrder, NewOrder
from onetape_fix.door import reports
from onetape_fix.door.dialect import FIX50
from onetape_fix.door.seat import Seat, account_of
from onetape_fix.door.told import Entry, Order, Request, Told
from onetape_fix.door.words import FORCES, POST_ONLY, REDUCE_ONLY, SIDES, TYPES
from onetape_fix.session.application import Rejected
from onetape_fix.wire import Message, Value, parse_utc, rows_of
from onetape_sim.core import snug

ZERO = Decimal(0)
DUPLICATE = "duplicate client_order_id"
LIST_ROW = frozenset(
    (11, 67, 1, 63, 64, 21, 18, 110, 111, 100, 81, 55, 65, 48, 22, 460, 167, 207, 54, 60, 38, 40,
     44, 99, 15, 59, 126, 432, 168, 58, 78, 79, 80, 453, 448, 447, 452, 528, 529, 1385)
)  # fmt: skip
ALL_ORDERS, OF_INSTRUMENT = "7", "1"  # 530
Fields = Mapping[int, str]


class Unfit(Exception):
    """An order that the venue cannot even read; `code` is 103."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.text, self.code = text, code


class Orders:
    """See the module. `pends`: say that a request has arrived before it is done."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.pends = False
        self.done: dict[str, Callable[[Message], None]] = {
            "D": self.new,
            "G": self.replace,
            "F": self.cancel,
            "q": self.mass_cancel,
            "H": self.status,
            "AF": self.mass_status,
            "E": self.list,
        }

    # -- new orders

    def new(self, message: Message) -> None:
        """Take in a NewOrderSingle."""
        self._new(message, message.values)

    def list(self, message: Message) -> None:
        """Take in a NewOrderList: its orders are on their own, and a list status says so."""
        list_id = message.get(66, "")
        entries: list[Entry] = []
        rows = [dict(reversed(row)) for row in rows_of(message.fields, 73, 11, LIST_ROW)]
        for row in rows:
            entry = self._new(message, row, list_id)
            if entry is not None:
                entries.append(entry)
        body = reports.list_status(list_id, len(rows), entries, self.seat.dialect)
        self.seat.say("N", body)

    def _new(self, message: Message, fields: Fields, list_id: str = "") -> Entry | None:
        seat, wire_id = self.seat, fields.get(11, "")
        known = seat.desk.known(seat.name, wire_id)
        if known is not None and repeated(message, known[1]):
            self._tell_status(known[0])
            return known[0]
        try:
            order = self._order(fields)
            if known is not None and not seat.desk.reusable(seat.name, wire_id, seat.now):
                raise Unfit(DUPLICATE, "6")
        except Unfit as unfit:
            self._say(self._refused(fields, unfit))
            return None
        new = seat.desk.enter(seat.name, order, message.seq, seat.now, list_id)
        entry = seat.desk.entries[new.client_order_id]
        seat.world.take(new)
        return entry

    def _order(self, fields: Fields) -> NewOrder:
        seat = self.seat
        account = fields.get(1) or seat.default
        if not seat.may(account):
            raise Unfit(f"unknown account {account}", "15")
        words = fields.get(18, "").split()
        instrument = self.seat.instrument(fields)
        order = NewOrder(
            client_order_id=fields.get(11, ""),
            account=account,
            instrument=instrument,
            side=known_word(SIDES, fields, 54, "side"),
            type=known_word(TYPES, fields, 40, "order type"),
            quantity=number(fields, 38) or ZERO,
            time_in_force=known_word(FORCES, fields, 59, "time in force", "0"),
            price=number(fields, 44),
            trigger_price=number(fields, 99),
            expire_time=expiry(fields),
            post_only=POST_ONLY in words,
            reduce_only=REDUCE_ONLY in words,
        )
        listed = seat.world.core.instruments.get(instrument)
        if listed is None:
            return order
        terms = snug(listed, order.quantity, order.price, order.trigger_price)
        return replace(order, quantity=terms[0], price=terms[1], trigger_price=terms[2])

    def _refused(self, fields: Fields, unfit: Unfit) -> Told:
        desk = self.seat.desk
        desk.number += 1
        side = SIDES.get(fields.get(54, ""), "BUY")
        order = Order(
            "", fields.get(1, ""), self.seat.instrument(fields), side,
            TYPES.get(fields.get(40, ""), ""), FORCES.get(fields.get(59, ""), ""),
            number(fields, 38) or ZERO, number(fields, 44), number(fields, 99), None, False, False,
            "REJECTED", ZERO, ZERO, ZERO,
        )  # fmt: skip
        return Told(
            desk.number, "rejected", f"E-{desk.number}", self.seat.name, "", fields.get(11, ""),
            "", "", self.seat.now, order, unfit.text, code=unfit.code,
        )  # fmt: skip

    # -- changes

    def replace(self, message: Message) -> None:
        """Take in an OrderCancelReplaceRequest."""
        request = Request(
            "G", message.get(11, ""), self.seat.name, message.seq, message.get(41, ""),
            number(message.values, 38), number(message.values, 44), number(message.values, 99),
        )  # fmt: skip
        entry = self._asked(message, request)
        if entry is None:
            return
        terms = (request.quantity, request.price, request.trigger_price)
        if entry.pending("G") is None:  # what is said again stays as it is
            now = (entry.quantity, entry.price, entry.trigger_price)
            was = [None if a == b else a for a, b in zip(terms, now, strict=True)]
            terms = (was[0], was[1], was[2])
        self._begin(entry, request, "pending_replace")
        place = (entry.id, entry.venue_order_id or None, entry.instrument)
        self.seat.world.take(ModifyOrder(*place, *terms))

    def cancel(self, message: Message) -> None:
        """Take in an OrderCancelRequest."""
        request = Request(
            "F", message.get(11, ""), self.seat.name, message.seq, message.get(41, "")
        )
        entry = self._asked(message, request)
        if entry is not None:
            self._begin(entry, request, "pending_cancel")
            self.seat.world.take(
                CancelOrder(entry.id, entry.venue_order_id or None, entry.instrument)
            )

    def _begin(self, entry: Entry, request: Request, kind: str) -> None:
        desk = self.seat.desk
        desk.request(entry, request)
        if self.pends and not entry.closed:
            told = desk.tell(entry, kind, self.seat.now, request)
            desk.spread(replace(told, orig=request.orig))

    def _asked(self, message: Message, request: Request) -> Entry | None:
        """Return the order that a request is about; None where it has been answered."""
        seat = self.seat
        known = seat.desk.known(seat.name, request.id)
        if known is not None and repeated(message, known[1]):
            self._tell_status(known[0])
            return None
        entry = seat.entry(message.get(41), message.get(37))
        if known is not None:
            self._refuse(message, request, entry, "duplicate ClOrdID", "6")
        elif entry is None:
            asked = message.get(41) or message.get(37, "")
            self._refuse(message, request, None, f"Order {asked} not found", "1")
        else:
            return entry
        return None

    def _refuse(
        self, message: Message, request: Request, entry: Entry | None, text: str, code: str
    ) -> None:
        fields = message.values
        named = self._refused(fields, Unfit(text, code))
        kind = "replace_rejected" if request.kind == "G" else "cancel_rejected"
        told = replace(named, kind=kind, orig=request.orig)
        if entry is not None:
            status = reports.status(entry, self.seat.now)
            told = replace(told, venue_order_id=entry.venue_order_id, order=status.order)
        self._say(told)

    def mass_cancel(self, message: Message) -> None:
        """Take in an OrderMassCancelRequest: of an account, or else of the session."""
        seat, scope = self.seat, message.get(530, ALL_ORDERS)
        core = seat.core
        core.at(seat.world.player.now)
        instrument = self.seat.instrument(message.values) if scope == OF_INSTRUMENT else None
        account = account_of(message)
        if scope not in (ALL_ORDERS, OF_INSTRUMENT) or not seat.may(account or seat.default):
            self._mass_canceled(message, None)
            return
        if account is not None:
            count = core.mass_cancel(MassCancel(account, instrument))
        else:
            count = self.cancel_own("mass cancel", instrument)
        seat.world.flush()
        self._mass_canceled(message, count)

    def cancel_own(self, reason: str, instrument: str | None = None) -> int:
        """Cancel all working orders of this session; return how many there were."""
        seat = self.seat
        mine = [
            entry
            for entry in seat.desk.entries.values()
            if entry.session == seat.name
            and instrument in (None, entry.instrument)
            and entry.id in seat.core.ledger.working
        ]
        seat.world.core.at(seat.world.player.now)
        seat.desk.reason = reason
        for entry in mine:
            seat.world.core.cancel(CancelOrder(entry.id, None, entry.instrument))
        seat.world.flush()
        seat.desk.reason = ""
        return len(mine)

    def _mass_canceled(self, message: Message, count: int | None) -> None:
        seat, scope = self.seat, message.get(530, ALL_ORDERS)
        seat.desk.number += 1
        body: list[tuple[int, Value]] = [(11, message.get(11, ""))]
        body += [(37, f"M-{seat.desk.number}"), (530, scope)]
        if seat.dialect.version == FIX50:
            body.append((1369, f"M-{seat.desk.number}"))
        if count is None:
            body += [(531, "0"), (532, "99"), (58, f"mass cancel of 530={scope} is not served")]
        else:
            body += [(531, scope), (533, count)]
        if seat.dialect.own and 1 in message:
            body.append((1, message[1]))
        if scope == OF_INSTRUMENT:
            body += seat.dialect.named(seat.instrument(message.values))
        body.append((60, seat.dialect.time(seat.now)))
        seat.say("r", seat.dialect.trimmed("r", body))

    # -- questions

    def status(self, message: Message) -> None:
        """Answer an OrderStatusRequest."""
        entry = self.seat.entry(message.get(11), message.get(37))
        more: list[tuple[int, Value]] = [(790, message[790])] if 790 in message else []
        if entry is None:
            self._tell_nobody(message, more)
        else:
            self._tell_status(entry, more)

    def mass_status(self, message: Message) -> None:
        """Answer an OrderMassStatusRequest: the working orders of an account or of the session."""
        seat, account = self.seat, account_of(message)
        wanted = self.seat.instrument(message.values) if 55 in message or 48 in message else None
        found = [
            entry
            for order in sorted(seat.core.ledger.working.values(), key=lambda o: o.place)
            for entry in [seat.entry_of(order)]
            if (entry.session == seat.name if account is None else entry.account == account)
            and wanted in (None, entry.instrument)
            and (entry.session == seat.name or seat.may(entry.account))
        ]
        asked: list[tuple[int, Value]] = [(584, message.get(584, "0")), (911, len(found))]
        if not found:
            self._tell_nobody(message, [*asked, (912, "Y")])
        for at, entry in enumerate(found, 1):
            self._tell_status(entry, [*asked, (912, "Y" if at == len(found) else "N")])

    def _tell_status(self, entry: Entry, more: list[tuple[int, Value]] | None = None) -> None:
        seat = self.seat
        found = seat.standing(entry)
        told = reports.status(entry, seat.now)
        if found is not None:
            order = replace(
                told.order, status=found.status, quantity=found.quantity, price=found.price,
                trigger_price=found.trigger_price, filled=found.filled,
                average=found.average_price or ZERO,
                leaves=ZERO if entry.closed else found.quantity - found.filled,
            )  # fmt: skip
            told = replace(told, order=order, ts=found.ts_event, text=found.reason)
        self._say(told, more)

    def _tell_nobody(self, message: Message, more: list[tuple[int, Value]]) -> None:
        asked = message.get(11) or message.get(37) or "NONE"
        told = self._refused(message.values, Unfit(f"Order {asked} not found", "5"))
        self._say(replace(told, kind="status", exec_id="0", client_id=asked), more)

    def _say(self, told: Told, more: list[tuple[int, Value]] | None = None) -> None:
        """Tell this session alone."""
        msg_type, body = reports.rendered(told, self.seat.dialect)
        if more:
            body += self.seat.dialect.trimmed(msg_type, more)
        self.seat.say(msg_type, body)


def repeated(message: Message, request: Request) -> bool:
    """Return whether a message is the one that brought a request, come again."""
    return message.possdup or message.get(97) == "Y" or message.seq == request.seq


def number(fields: Fields, tag: int) -> Decimal | None:
    """Return a field as a number; Rejected where it is none."""
    text = fields.get(tag)
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Rejected(6, "Incorrect data format for value", tag) from None
    if not value.is_finite():
        raise Rejected(6, "Incorrect data format for value", tag)
    return value


def known_word[T](
    words: Mapping[str, T], fields: Fields, tag: int, what: str, given: str = ""
) -> T:
    """Return what a field's value stands for; Unfit where the venue has no such thing."""
    said = fields.get(tag, given)
    if said not in words:
        raise Unfit(f"{what} {tag}={said} is not supported", "11")
    return words[said]


def expiry(fields: Fields) -> int | None:
    """Return when an order shall end: 126, or the end of the day in 432."""
    try:
        if 126 in fields:
            return parse_utc(fields[126])
        if 432 in fields:
            return parse_utc(f"{fields[432]}-23:59:59.999999999")
    except ValueError:
        raise Rejected(6, "Incorrect data format for value", 126) from None
    return None
