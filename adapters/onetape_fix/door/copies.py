"""Drop copies and trade capture: what others than an order's own session hear.

Drop copy   execution reports of the accounts that the session may see, as their owner gets them;
            with the ClOrdID of the owner. Requests refused (35=9) are not copied.
Clearing    a TradeCaptureReport (35=AE) for each execution: 487=0 new, 1 bust (with 19), 2
            corrected (with 19). FIX 4.2 has no such message: executions are reported by 35=8.
            570=Y where it answers a request; 571 is new each time, 17 stays the same.
"""

from __future__ import annotations

from onetape.run.ports import Filled
from onetape_fix.door.dialect import FIX50, Dialect, plain
from onetape_fix.door.told import Told
from onetape_fix.door.words import LIQUIDITY_OF, SIDE_OF
from onetape_fix.wire import Value

Fields = list[tuple[int, Value]]
TRANSACTIONS = {"fill": ("0", "F"), "bust": ("1", "H"), "correct": ("2", "G")}


def captured(told: Told, dialect: Dialect) -> Fields | None:
    """Return a trade capture report of what is told; None where it is no execution."""
    if told.kind not in TRANSACTIONS or told.last is None:
        return None
    transaction, kind = TRANSACTIONS[told.kind]
    fill = Filled(
        told.order.id, told.venue_order_id, told.order.instrument, told.ts, told.trade_id,
        told.order.side, told.last[0], told.last[1], told.commission or told.last[0] * 0,
        told.currency, told.liquidity, told.order.account, told.text,
    )  # fmt: skip
    head: Fields = [(487, transaction), (856, "0"), (150, kind)]
    if told.kind != "fill":
        head.append((19, told.trade_id))
    body = _report(fill, told.client_id, dialect, head, f"R-{told.number}")
    return dialect.trimmed("AE", [*body, (570, "N")])


def trade_report(fill: Filled, client_id: str, dialect: Dialect, answer: Fields) -> Fields:
    """Return a trade capture report that answers a request with an execution that stands."""
    head: Fields = [(487, "0"), (856, "0"), *answer, (150, "F")]
    request = next((str(value) for tag, value in answer if tag == 568), "0")
    body = _report(fill, client_id, dialect, head, f"Q-{request}-{fill.trade_id}")
    return [*body, (570, "Y")]


def _report(fill: Filled, client_id: str, dialect: Dialect, head: Fields, report_id: str) -> Fields:
    body: Fields = [(571, report_id), *head, (17, fill.trade_id), *dialect.named(fill.instrument)]
    body += [(32, fill.quantity), (31, fill.price)]
    body += [(75, dialect.time(fill.ts_event)[:8]), (60, dialect.time(fill.ts_event))]
    side: Fields = [(54, SIDE_OF[fill.side]), (37, fill.venue_order_id), (11, client_id)]
    side.append((1, fill.account))
    if fill.commission_currency:
        side += [(12, fill.commission), (13, "3"), (479, fill.commission_currency)]
    liquidity = LIQUIDITY_OF.get(fill.liquidity)
    if liquidity is not None and dialect.version == FIX50:
        side.append((1444, liquidity))
    elif liquidity is not None:
        body.append((851, liquidity))
    if fill.basis:
        body.append((58, plain(fill.basis)))
    return [*body, (552, [side])]
