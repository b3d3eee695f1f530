"""What a session may ask of the past and the present: executions, positions, cash.

AD -> AQ, AE   executions that stand, from a time (580/60) on; 912=Y is the last. 748 says how many.
AN -> AO, AP   positions that are not flat; 727 says how many, 728=2 that there is none.
BB -> BA       cash, one report a currency (15, 901); 911 says how many, 912=Y is the last.

An average price is 730 of a position report, with 731=1. Nothing is ever told as empty while the
venue is silent: then nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable

from onetape.run.ports import Filled, PositionStatus
from onetape_fix.door.copies import trade_report
from onetape_fix.door.dialect import Dialect
from onetape_fix.door.orders import ZERO
from onetape_fix.door.seat import Seat, account_of
from onetape_fix.session.application import Rejected
from onetape_fix.wire import Message, Value, parse_utc
from onetape_sim import ledger

Fields = list[tuple[int, Value]]


class Queries:
    """See the module."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.done: dict[str, Callable[[Message], None]] = {
            "AD": self.trades,
            "AN": self.positions,
            "BB": self.cash,
        }

    def _accounts(self, message: Message) -> list[str]:
        """Return the accounts that are asked about: one that is named, else all that it may see."""
        seat = self.seat
        account = account_of(message)
        if account is not None:
            return [account] if seat.may(account) else []
        if seat.accounts:
            return sorted(seat.accounts)
        traded = {order.new.account for order in seat.core.ledger.orders.values()}
        return sorted(traded | {seat.default})

    # -- executions

    def trades(self, message: Message) -> None:
        """Answer a TradeCaptureReportRequest."""
        seat, world = self.seat, self.seat.world
        since = _since(message)
        book, offset = seat.core.ledger, world.filter.offset
        found: list[Filled] = []
        for account in self._accounts(message):
            found += ledger.fills(book, account, since, offset)
        wanted = [fill for fill in found if self._asked(message, fill)]
        wanted.sort(key=lambda fill: int(fill.trade_id[2:]))
        request = message.get(568, "0")
        head: Fields = [(568, request), (569, message.get(569, "0"))]
        ack: Fields = [*head, (748, len(wanted)), (749, "0"), (750, "0")]
        if seat.dialect.own and 1 in message:
            ack.append((1, message[1]))
        seat.say("AQ", seat.dialect.trimmed("AQ", ack))
        for at, fill in enumerate(wanted, 1):
            entry = seat.entry_of(book.orders[fill.client_order_id])
            answer: Fields = [(568, request), (748, len(wanted))]
            answer.append((912, "Y" if at == len(wanted) else "N"))
            self._say_trade(trade_report(fill, entry.client_id, seat.dialect, answer))

    def _say_trade(self, body: Fields) -> None:
        self.seat.say("AE", self.seat.dialect.trimmed("AE", body))

    def _asked(self, message: Message, fill: Filled) -> bool:
        for tag, value in ((17, fill.trade_id), (37, fill.venue_order_id)):
            if message.get(tag, value) != value:
                return False
        wire = message.get(11)
        if wire is not None:
            entry = self.seat.entry(wire, None)
            if entry is None or entry.id != fill.client_order_id:
                return False
        if 55 in message or 48 in message:
            return self.seat.instrument(message.values) == fill.instrument
        return True

    # -- positions

    def positions(self, message: Message) -> None:
        """Answer a RequestForPositions."""
        seat, world = self.seat, self.seat.world
        book, offset = seat.core.ledger, world.filter.offset
        held: list[PositionStatus] = []
        for account in self._accounts(message):
            told = ledger.positions(book, account, offset)
            held += world.filter.positions(account, told)
        request = message.get(710, "0")
        account = account_of(message) or seat.default
        may = seat.may(account)
        ack: Fields = [(721, f"P-{request}"), (710, request), (727, len(held))]
        ack += [(728, "0" if held else "2" if may else "4"), (729, "0" if may else "2")]
        ack += [(1, account), (581, "1"), (60, seat.dialect.time(seat.now))]
        seat.say("AO", seat.dialect.trimmed("AO", ack))
        for at, position in enumerate(held, 1):
            body = _position(position, seat.dialect)
            head: Fields = [(721, f"P-{request}-{at}"), (710, request), (727, len(held))]
            seat.say("AP", seat.dialect.trimmed("AP", [*head, *body]))

    # -- cash

    def cash(self, message: Message) -> None:
        """Answer a CollateralInquiry."""
        seat = self.seat
        inquiry = message.get(909, "0")
        account = account_of(message) or seat.default
        told = (
            ledger.cash(seat.core.ledger, account, seat.world.filter.offset)
            if seat.may(account)
            else []
        )
        for at, each in enumerate(told, 1):
            body: Fields = [(908, f"C-{inquiry}-{at}"), (909, inquiry), (910, "3")]
            body += [(911, len(told)), (912, "Y" if at == len(told) else "N")]
            body += [(1, account), (15, each.currency)]
            body += [(901, each.total), (60, seat.dialect.time(each.ts_event))]
            seat.say("BA", seat.dialect.trimmed("BA", body))
        if not told:
            body = [(908, f"C-{inquiry}-0"), (909, inquiry), (910, "0"), (911, 0), (912, "Y")]
            body += [(1, account), (60, seat.dialect.time(seat.now))]
            seat.say("BA", seat.dialect.trimmed("BA", body))


def _position(position: PositionStatus, dialect: Dialect) -> Fields:
    quantity = position.quantity
    body: Fields = [(728, "0"), (715, dialect.time(position.ts_event)[:8])]
    body += [(1, position.account), (581, "1"), *dialect.named(position.instrument)]
    average = ZERO if position.average_price is None else position.average_price
    body += [(730, average), (731, "1"), (734, ZERO)]
    side: Fields = [(703, "TOT"), (704 if quantity >= 0 else 705, abs(quantity))]
    return [*body, (702, [side]), (60, dialect.time(position.ts_event))]


def _since(message: Message) -> int:
    """Return the time from which executions are asked for: 60 of the first date (580), else its
    day (75)."""
    if 580 not in message:
        return 0
    for tag, clock in ((60, ""), (75, "-00:00:00")):
        said = message.get(tag)
        if said is not None:
            try:
                return parse_utc(said + clock)
            except ValueError:
                raise Rejected(6, "Incorrect data format for value", tag) from None
    return 0
