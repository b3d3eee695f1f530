"""Execution reports (35=8), read: the versions' ways of saying things brought to one.

FIX 4.2   20 says new, cancel (bust), correct or status; fills are 150=1 or 2.
FIX 4.4   150=F for fills, H for busts, G for corrections, I for status; 150=1/2 with a quantity is
          taken for a fill too: brokers mix them.
Never raises: what cannot be read is None or "", and the fold says so.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Literal

import msgspec

from onetape.run.ports import Side
from onetape_fix.profiles import Profile, SymbolMap
from onetape_fix.trade.words import LIQUIDITY, SIDES, STATUSES, number
from onetape_fix.wire import Message, parse_utc
from onetape_fix.wire import tags as t

What = Literal[
    "new", "fill", "bust", "correct", "status", "done", "canceled", "replaced", "pending",
    "stopped", "rejected", "suspended", "expired", "restated", "triggered", "other",
]  # fmt: skip

KINDS: dict[str, What] = {
    "0": "new",
    "1": "fill",
    "2": "fill",
    "3": "done",
    "4": "canceled",
    "5": "replaced",
    "6": "pending",
    "7": "stopped",
    "8": "rejected",
    "9": "suspended",
    "A": "pending",
    "B": "other",
    "C": "expired",
    "D": "restated",
    "E": "pending",
    "F": "fill",
    "G": "correct",
    "H": "bust",
    "I": "status",
    "J": "other",
    "K": "other",
    "L": "triggered",
}
TRANSACTIONS: dict[str, What] = {"1": "bust", "2": "correct", "3": "status"}
LONGEST_ID = 36  # characters that a trade id may have on the tape
ZERO = Decimal(0)


class Execution(msgspec.Struct, frozen=True):
    """One execution report. Numbers are None where they are not told."""

    what: What
    wire: str
    orig: str
    venue_id: str
    exec_id: str
    exec_ref: str
    status: str
    account: str
    instrument: str
    side: Side | None
    quantity: Decimal | None
    price: Decimal | None
    trigger: Decimal | None
    last: tuple[Decimal, Decimal] | None
    cum: Decimal | None
    leaves: Decimal | None
    ts: int
    text: str
    message: Message
    again: bool  # it says itself that it may have been sent before

    def get(self, tag: int) -> str:
        """Return the text of a field, "" where it is not there."""
        return self.message.get(tag, "")


def execution(message: Message, profile: Profile, symbols: SymbolMap, now: int = 0) -> Execution:
    """Read an execution report; `now` (ns) stands in for a time that is not told."""
    get = message.get
    last = (number(get(t.LAST_QTY)), number(get(t.LAST_PX)))
    return Execution(
        what=_what(message, last[0]),
        wire=get(t.CL_ORD_ID, ""),
        orig=get(t.ORIG_CL_ORD_ID, ""),
        venue_id=get(t.ORDER_ID, ""),
        exec_id=trade_id(message, get(t.EXEC_ID, ""), profile),
        exec_ref=trade_id(message, get(t.EXEC_REF_ID, ""), profile),
        status=STATUSES.get(get(t.ORD_STATUS, ""), ""),
        account=get(t.ACCOUNT, ""),
        instrument=symbols.instrument(get),
        side=SIDES.get(get(t.SIDE, "")),
        quantity=number(get(t.ORDER_QTY)),
        price=number(get(t.PRICE)),
        trigger=number(get(t.STOP_PX)),
        last=(last[0], last[1]) if last[0] is not None and last[1] is not None else None,
        cum=number(get(t.CUM_QTY)),
        leaves=number(get(t.LEAVES_QTY)),
        ts=time_of(message, now),
        text=get(t.TEXT, ""),
        message=message,
        again=message.possdup or get(t.POSS_RESEND) == "Y",
    )


def _what(message: Message, last: Decimal | None) -> What:
    told = TRANSACTIONS.get(message.get(t.EXEC_TRANS_TYPE, ""))
    if told is not None:
        return told
    kind = message.get(t.EXEC_TYPE, message.get(t.ORD_STATUS, ""))
    what = KINDS.get(kind, "other")
    if what == "fill" and kind in "12" and not last:
        return "other"  # a state that is told again, with nothing executed
    return what


def trade_id(message: Message, told: str, profile: Profile) -> str:
    """Return what an execution is called here: unique over days, and short enough for the tape.

    "" stays "", and so does "0": the id of reports that tell of no execution.
    """
    if told in ("", "0"):
        return ""
    if profile.exec_ids_per_day:
        day = message.get(t.TRADE_DATE) or message.get(t.TRANSACT_TIME, "")[:8]
        told = f"{day}-{told}" if day else told
    return told if len(told) <= LONGEST_ID else digest(told)


def digest(told: str) -> str:
    """Return a shorter name for a long id."""
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def time_of(message: Message, now: int) -> int:
    """Return when the venue says that it happened: 60, else 52, else `now`."""
    for tag in (t.TRANSACT_TIME, t.SENDING_TIME):
        try:
            return parse_utc(message.get(tag, ""))
        except ValueError:
            continue
    return now


def commission(read: Execution, currency: str) -> tuple[Decimal, str]:
    """Return what an execution cost and in which currency; a rebate is negative."""
    told = number(read.get(t.COMMISSION))
    paid_in = read.get(t.COMM_CURRENCY) or read.get(t.CURRENCY) or currency
    if told is None or read.last is None:
        return ZERO, paid_in
    quantity, price = read.last
    match read.get(t.COMM_TYPE):
        case "1":
            told *= quantity
        case "2":
            told *= quantity * price / 100
        case _:  # absolute, or not said
            pass
    return told, paid_in


def liquidity(read: Execution) -> str:
    """Return whether an execution made or took liquidity, where that is told."""
    return LIQUIDITY.get(read.get(t.LAST_LIQUIDITY_IND), "NO_LIQUIDITY_SIDE")


def made_id(read: Execution, wire: str) -> str:
    """Return an id for an execution that came without one: the same when it comes again; `wire` is
    what its order is called by."""
    told = f"{read.venue_id or wire}|{read.cum}|{read.last}|{read.get(t.TRANSACT_TIME)}"
    return digest(told)


def of_day(read: Execution, force: str) -> Execution:
    """Done for the day (39=3) ends an order of the day; any other comes back."""
    if read.get(t.ORD_STATUS) != "3" or force == "DAY":
        return read
    return msgspec.structs.replace(read, status="PARTIALLY_FILLED" if read.cum else "ACCEPTED")
