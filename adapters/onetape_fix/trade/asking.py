"""What a venue is asked, as message bodies, and what it answers, as the ports tell it."""

from __future__ import annotations

from decimal import Decimal

from onetape.errors import VenueUnavailable
from onetape.run.ports import CashStatus, Filled, OrderStatus, PositionStatus
from onetape_fix.profiles import Profile, SymbolMap
from onetape_fix.trade import orders as o
from onetape_fix.trade.capture import sides
from onetape_fix.trade.executions import Executions
from onetape_fix.trade.outgoing import Fields
from onetape_fix.trade.reading import Execution, execution, of_day, time_of
from onetape_fix.trade.words import FORCES, SIDE_OF, TYPES, number
from onetape_fix.wire import Body, Message, format_utc, rows_of
from onetape_fix.wire import tags as t

ZERO = Decimal(0)
NOBODY = frozenset(("", "NONE", "UNKNOWN", "0"))  # 37 of an order that the venue does not have
UNKNOWN_ORDER = "5"  # 103
SNAPSHOT, ALL_ORDERS, MATCHED, CUSTOMER = "0", "7", "1", "1"
POSITION_ROW = frozenset((703, 704, 705, 706, 976, 539, 524, 525, 538, 804, 545, 805))
LATEST_NS = 60 * 1_000_000_000  # how far the venue's clock may be before ours
TRADED = ("TQ", "TOT")  # 703: what is held; others are parts of it


class Asking:
    """The questions of one session and how their answers are read."""

    def __init__(
        self, executions: Executions, profile: Profile, symbols: SymbolMap, digits: int
    ) -> None:
        self._executions, self._profile, self._symbols = executions, profile, symbols
        self._digits = digits
        self._old = profile.dialect == "4.2"

    # -- bodies

    def status(self, order: o.Order | None, wire: str, request: str) -> Fields:
        """H: one order; `wire` where nobody here knows it."""
        body: Fields = []
        if order is not None and order.venue_id:
            body.append((t.ORDER_ID, order.venue_id))
        body.append((t.CL_ORD_ID, order.wire if order is not None and order.wire else wire))
        if not self._old:
            body.append((t.ORD_STATUS_REQ_ID, request))
        if order is not None and order.account and not self._old:
            body.append((t.ACCOUNT, order.account))
        named = self._symbols.fields(order.instrument) if order is not None else []
        body += named or [(t.SYMBOL, "[N/A]")]
        body.append((t.SIDE, SIDE_OF[order.side if order is not None else "BUY"]))
        return body

    def mass_status(self, account: str, request: str) -> Fields:
        """AF: the working orders of an account."""
        body: Fields = [(t.MASS_STATUS_REQ_ID, request), (t.MASS_STATUS_REQ_TYPE, ALL_ORDERS)]
        return [*body, (t.ACCOUNT, account)] if account else body

    def trades(self, account: str, since: int, request: str, now: int) -> Fields:
        """AD: executions of an account from a time on; one date alone would mean that day's."""
        body: Fields = [(t.TRADE_REQUEST_ID, request), (t.TRADE_REQUEST_TYPE, MATCHED)]
        body.append((t.SUBSCRIPTION_REQUEST_TYPE, SNAPSHOT))
        if account:
            body += self._party(account)
        if since > 0:
            ends = (since, max(now, since) + LATEST_NS)
            times = [format_utc(each, self._digits) for each in ends]
            dates: list[Body] = [[(t.TRADE_DATE, at[:8]), (t.TRANSACT_TIME, at)] for at in times]
            body.append((t.NO_DATES, dates))
        return body

    def positions(self, account: str, request: str, now: int) -> Fields:
        """AN: what an account holds."""
        body: Fields = [(t.POS_REQ_ID, request), (t.POS_REQ_TYPE, "0")]
        body.append((t.SUBSCRIPTION_REQUEST_TYPE, SNAPSHOT))
        if self._profile.name != "sim":
            body += self._party(account)
        body += [(t.ACCOUNT, account), (t.ACCOUNT_TYPE, CUSTOMER)]
        at = format_utc(now, self._digits)
        return [*body, (t.CLEARING_BUSINESS_DATE, at[:8]), (t.TRANSACT_TIME, at)]

    def cash(self, account: str, request: str) -> Fields:
        """BB: the account's cash."""
        body: Fields = [(t.COLL_INQUIRY_ID, request), (t.SUBSCRIPTION_REQUEST_TYPE, SNAPSHOT)]
        return [*body, (t.ACCOUNT, account)]

    def _party(self, account: str) -> Fields:
        if self._profile.name == "sim":
            return [(t.ACCOUNT, account)]
        party: Fields = [(t.PARTY_ID, account), (t.PARTY_ID_SOURCE, "D"), (t.PARTY_ROLE, "24")]
        return [(t.NO_PARTY_I_DS, [party])]

    # -- answers

    def status_in(self, message: Message) -> OrderStatus | None:
        """Return what a status report tells of an order; None where there is no such order."""
        read = execution(message, self._profile, self._symbols)
        reason = message.get(t.ORD_REJ_REASON)
        nobody = read.venue_id in NOBODY or reason == UNKNOWN_ORDER
        if message.get(t.TOT_NUM_REPORTS) == "0" or (read.status == "REJECTED" and nobody):
            return None
        order = self._executions.compare(read)
        return None if order is None else self._told(read, order)

    def _told(self, read: Execution, order: o.Order) -> OrderStatus:
        read = of_day(read, order.force)
        filled = order.before + (read.cum or ZERO)
        status = read.status
        if status == "ACCEPTED" and filled:
            status = "PARTIALLY_FILLED"
        elif status == "ACCEPTED" and order.triggered:
            status = "TRIGGERED"
        average = number(read.get(t.AVG_PX))
        return OrderStatus(
            order.name, read.venue_id, read.account or order.account, order.instrument,
            read.side or order.side, TYPES.get(read.get(t.ORD_TYPE), order.type),
            status or order.status, order.quantity, filled,
            FORCES.get(read.get(t.TIME_IN_FORCE), order.force), order.price, order.trigger,
            average if filled else None, read.ts, read.text,
        )  # fmt: skip

    def fills_in(self, messages: list[Message], account: str, since: int) -> list[Filled]:
        """Return the executions that trade capture reports tell of, as they stand."""
        standing: dict[tuple[str, str], tuple[Execution, o.Order]] = {}
        for message in messages:
            for read in sides(message, self._profile, self._symbols):
                if not read.exec_id:  # nothing by which it is known again: it would count twice
                    raise VenueUnavailable(
                        "the venue tells executions without an id (17, 1003): they cannot be "
                        "compared with those that were booked"
                    )
                self._stand(read, standing)
        found: list[Filled] = []
        for read, order in standing.values():
            mine = not account or (read.account or order.account) in ("", account)
            if mine and read.ts >= since and read.last is not None:
                found.append(self._executions.filled(order, read, read.exec_id))
        return found

    def _stand(
        self, read: Execution, standing: dict[tuple[str, str], tuple[Execution, o.Order]]
    ) -> None:
        if read.what == "bust":
            standing.pop((read.venue_id, read.exec_ref), None)
            return
        order = self._executions.order(read)
        trade_id = read.exec_ref if read.what == "correct" else read.exec_id
        standing[read.venue_id, trade_id] = (read, order)
        if read.last is not None and trade_id not in order.trades:
            order.put(o.Execution(trade_id, *read.last, read.ts, said=False))
            taken = min(order.unseen, read.last[0])
            order.unseen -= taken

    def positions_in(self, messages: list[Message], account: str) -> list[PositionStatus]:
        """Return the holdings that position reports tell of, flat ones left out."""
        found: list[PositionStatus] = []
        for message in messages:
            rows = [
                dict(row)
                for row in rows_of(message.fields, t.NO_POSITIONS, t.POS_TYPE, POSITION_ROW)
            ]
            held = [row for row in rows if row[t.POS_TYPE] in TRADED] or rows[:1]
            quantity = sum(
                (
                    (number(row.get(t.LONG_QTY)) or ZERO) - (number(row.get(t.SHORT_QTY)) or ZERO)
                    for row in held[:1]
                ),
                ZERO,
            )
            whose = message.get(t.ACCOUNT) or account
            if not quantity or account not in ("", whose):
                continue
            average = number(message.get(t.SETTL_PRICE)) if self._profile.name == "sim" else None
            name = self._symbols.instrument(message.get)
            ts = time_of(message, 0)
            found.append(PositionStatus(whose, name, quantity, average or None, ts))
        return found

    def cash_in(self, messages: list[Message], account: str) -> list[CashStatus]:
        """Return what collateral reports tell of cash."""
        found: list[CashStatus] = []
        for message in messages:
            total, currency = number(message.get(t.CASH_OUTSTANDING)), message.get(t.CURRENCY)
            if total is not None and currency is not None:
                whose = message.get(t.ACCOUNT) or account
                found.append(CashStatus(whose, currency, total, time_of(message, 0)))
        return found
