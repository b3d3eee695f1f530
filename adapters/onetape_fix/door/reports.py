"""What is told, as messages: execution reports, cancel rejects, statuses, list statuses.

FIX 4.2   20 says new, cancel (bust) or correct; 150 what the order became, fills are 1 or 2.
FIX 4.4   150=F for fills, H for busts, G for corrections; 5.0 adds L for triggers.
Status    150=I (4.2: 20=3) and 17=0: it tells of no execution, whatever it says is filled.
"""

from __future__ import annotations

from decimal import Decimal

from onetape_fix.door.dialect import FIX42, FIX44, Dialect, plain
from onetape_fix.door.told import Entry, Order, Told, order_of
from onetape_fix.door.words import (
    EXEC_OF,
    FORCE_OF,
    LIQUIDITY_OF,
    POST_ONLY,
    REDUCE_ONLY,
    SIDE_OF,
    STATUS_OF,
    TYPE_OF,
    UNKNOWN,
    WAITING,
)
from onetape_fix.wire import Body, Value

Fields = list[tuple[int, Value]]
ZERO = Decimal(0)
REJECTS = {"cancel_rejected": "1", "replace_rejected": "2"}  # 434
TRANSACTIONS = {"bust": "1", "correct": "2", "status": "3"}  # 20
REASONS = {"unknown instrument": "1", "unknown account": "15", "quantity": "13", "duplicate": "6"}
OLD_REASONS = frozenset("012345678")  # 103 of FIX 4.2
OTHER_RESTATEMENT = {FIX42: "4"}  # 378; 99 from FIX 4.3 on


def rendered(told: Told, dialect: Dialect) -> tuple[str, Fields]:
    """Return the type and body of the message that tells something in a dialect."""
    if told.kind in REJECTS:
        return "9", dialect.trimmed("9", _cancel_reject(told, dialect))
    return "8", dialect.trimmed("8", _execution(told, dialect))


def _execution(told: Told, dialect: Dialect) -> Fields:
    order = told.order
    body: Fields = [(37, told.venue_order_id or UNKNOWN)]
    named = ((11, told.client_id), (41, told.orig), (66, order.list_id), (17, told.exec_id))
    body += [(tag, value) for tag, value in named if value]
    if dialect.version == FIX42:
        body.append((20, TRANSACTIONS.get(told.kind, "0")))
    if told.kind in ("bust", "correct"):
        body.append((19, told.trade_id))
    status = status_of(order, told.kind)
    body += [(150, _exec_type(told, status, dialect)), (39, status)]
    body += _reasons(told, dialect)
    if order.account:
        body.append((1, order.account))
    body += dialect.named(order.instrument)
    body += terms(order, dialect)
    body += _last(told)
    body += [(151, order.leaves), (14, order.filled), (6, order.average)]
    body.append((60, dialect.time(told.ts)))
    if told.text:
        body.append((58, plain(told.text)))
    return body


def _reasons(told: Told, dialect: Dialect) -> Fields:
    body: Fields = []
    if told.order.type in WAITING:
        body.append((636, "N" if _waits(told.order) else "Y"))
    if told.kind == "rejected" or told.code:
        body.append((103, told.code or reject_code(told.text, dialect.version)))
    if told.kind == "restated" or (told.kind == "triggered" and _no_triggers(dialect)):
        body.append((378, OTHER_RESTATEMENT.get(dialect.version, "99")))
    return body


def reject_code(text: str, version: str) -> str:
    """Return 103 for what the venue says of a refused order."""
    for start, code in REASONS.items():
        if text.startswith(start) and (version != FIX42 or code in OLD_REASONS):
            return code
    return "0" if version == FIX42 else "99"


def terms(order: Order, dialect: Dialect) -> Fields:
    """Return the fields of an order's terms."""
    body: Fields = [(54, SIDE_OF[order.side]), (38, order.quantity)]
    if order.type in TYPE_OF:
        body.append((40, TYPE_OF[order.type]))
    if order.price is not None:
        body.append((44, order.price))
    if order.trigger_price is not None:
        body.append((99, order.trigger_price))
    if order.time_in_force in FORCE_OF:
        body.append((59, FORCE_OF[order.time_in_force]))
    if order.expire_time is not None:
        body.append((126, dialect.time(order.expire_time)))
    said = [w for w, on in ((POST_ONLY, order.post_only), (REDUCE_ONLY, order.reduce_only)) if on]
    if said:
        body.append((18, " ".join(said)))
    return body


def status_of(order: Order, kind: str) -> str:
    """Return 39. While a request is pending, that is the order's state."""
    if kind == "pending_cancel":
        return STATUS_OF["PENDING_CANCEL"]
    if kind == "pending_replace":
        return STATUS_OF["PENDING_UPDATE"]
    if kind == "done":
        return "3"
    if order.status in ("ACCEPTED", "TRIGGERED") and order.filled:
        return STATUS_OF["PARTIALLY_FILLED"]
    return STATUS_OF.get(order.status, "0")


def _waits(order: Order) -> bool:
    return order.status in ("NEW", "ACCEPTED") and not order.filled


def _no_triggers(dialect: Dialect) -> bool:
    return dialect.version in (FIX42, FIX44) and not dialect.own


def _exec_type(told: Told, status: str, dialect: Dialect) -> str:
    if told.kind == "triggered" and _no_triggers(dialect):
        return EXEC_OF["restated"]
    if dialect.version == FIX42 and told.kind in ("fill", "bust", "correct", "status"):
        if told.kind == "fill":
            return "2" if told.order.leaves == ZERO and status == "2" else "1"
        return status
    return EXEC_OF[told.kind]


def _last(told: Told) -> Fields:
    if told.last is None:
        return []
    body: Fields = [(32, told.last[0]), (31, told.last[1])]
    body += commission(told)
    if told.liquidity in LIQUIDITY_OF:
        body.append((851, LIQUIDITY_OF[told.liquidity]))
    return body


def commission(told: Told) -> Fields:
    """Return the fields of a commission; a rebate is negative."""
    if told.commission is None:
        return []
    return [(12, told.commission), (13, "3"), (479, told.currency)]


def _cancel_reject(told: Told, dialect: Dialect) -> Fields:
    known = bool(told.venue_order_id)
    body: Fields = [(37, told.venue_order_id or UNKNOWN), (11, told.client_id)]
    body.append((41, told.orig or UNKNOWN))
    body.append((39, status_of(told.order, told.kind) if known else "8"))
    if told.order.account:
        body.append((1, told.order.account))
    body.append((60, dialect.time(told.ts)))
    body.append((434, REJECTS[told.kind]))
    body.append((102, told.code or ("0" if known else "1")))
    if told.text:
        body.append((58, plain(told.text)))
    if dialect.own:
        body += dialect.named(told.order.instrument)
    return body


def status(entry: Entry, ts: int, reason: str = "") -> Told:
    """Return an answer about an order as it is, which is no news: nobody else is told."""
    return Told(
        0, "status", "0", entry.session, "", entry.client_id, "", entry.venue_order_id, ts,
        order_of(entry), reason,
    )  # fmt: skip


def nobody(client_id: str, instrument: str, account: str, ts: int, text: str) -> Told:
    """Return the answer about an order that the venue does not have."""
    order = Order(
        "", account, instrument, "BUY", "", "", ZERO, None, None, None, False, False,
        "REJECTED", ZERO, ZERO, ZERO,
    )  # fmt: skip
    return Told(0, "status", "0", "", "", client_id, "", "", ts, order, text, code="5")


def list_status(list_id: str, total: int, entries: list[Entry], dialect: Dialect) -> Fields:
    """Return a ListStatus (35=N) of the orders of a list."""
    rows: list[Body] = [_list_row(order_of(e), e.client_id, dialect) for e in entries]
    return dialect.trimmed("N", [
        (66, list_id), (429, "1"), (82, 1), (431, "3"), (83, 1), (68, total), (73, rows),
    ])  # fmt: skip


def _list_row(order: Order, client_id: str, dialect: Dialect) -> Fields:
    row: Fields = [(11, client_id), (14, order.filled), (39, status_of(order, "status"))]
    if dialect.version != FIX42:
        row.append((636, "Y"))
    return [*row, (151, order.leaves), (84, ZERO), (6, order.average)]
