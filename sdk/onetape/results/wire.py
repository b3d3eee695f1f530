"""The wire for people: what the FIX sessions of gateways said, as a frame that can be read.

    wire_frame(tape, order="O-1")                        one order's story, replaces included
    wire_frame(tape, "FIX.4.4:US->THEM", since="2026-03-02T14:30", until="2026-03-02T14:35")

One row for each message, in the order of the gateway's clock, with what its commonest fields say
and its whole text, fields parted by |. Secrets were masked before anything was kept. Prices and
quantities are exact, as the message has them: null where it has none or what it has is no number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from onetape.books.projected import When, nanoseconds
from onetape.errors import SettingsError
from onetape.tape.wirelog import WireLog, WireRow, WireVerdict

if TYPE_CHECKING:
    import polars as pl

    from onetape.tape.postgres import PostgresTape

LIMIT = 100_000
TINY, WIDE = Decimal("1e-18"), Context(prec=60)  # a frame's decimals have 18 places
HOPS = 8  # ids that lead to other ids; a chain of replaces goes on under the venue's one id
NO_ID = frozenset(("", "NONE", "UNKNOWN", "0", "N/A", "[N/A]"))  # of orders a venue does not know
SIDES = {"1": "BUY", "2": "SELL", "5": "SELL", "6": "SELL"}
NAMES = {
    "0": "Heartbeat", "1": "TestRequest", "2": "ResendRequest", "3": "Reject",
    "4": "SequenceReset", "5": "Logout", "A": "Logon", "D": "NewOrderSingle",
    "F": "OrderCancelRequest", "G": "OrderCancelReplaceRequest", "H": "OrderStatusRequest",
    "AF": "OrderMassStatusRequest", "E": "NewOrderList", "q": "OrderMassCancelRequest",
    "r": "OrderMassCancelReport", "8": "ExecutionReport", "9": "OrderCancelReject",
    "j": "BusinessMessageReject", "V": "MarketDataRequest",
    "W": "MarketDataSnapshotFullRefresh", "X": "MarketDataIncrementalRefresh",
    "Y": "MarketDataRequestReject", "c": "SecurityDefinitionRequest", "d": "SecurityDefinition",
    "x": "SecurityListRequest", "y": "SecurityList", "e": "SecurityStatusRequest",
    "f": "SecurityStatus", "h": "TradingSessionStatus", "AD": "TradeCaptureReportRequest",
    "AE": "TradeCaptureReport", "AQ": "TradeCaptureReportRequestAck",
    "AR": "TradeCaptureReportAck", "AN": "RequestForPositions",
    "AO": "RequestForPositionsAck", "AP": "PositionReport", "BA": "CollateralReport",
    "BB": "CollateralInquiry", "b": "MassQuoteAcknowledgement", "S": "Quote", "B": "News",
}  # fmt: skip
TEXTS = {"replaces": "41", "symbol": "55", "exec_type": "150", "status": "39", "says": "58"}
EXACT = {
    "quantity": "38", "price": "44", "stop_price": "99", "last_quantity": "32",
    "last_price": "31", "cumulative": "14", "leaves": "151",
}  # fmt: skip


def wire_frame(
    tape: PostgresTape,
    session: str | None = None,
    *,
    order: str | None = None,
    since: When = None,
    until: When = None,
    limit: int = LIMIT,
    **asked: Any,
) -> pl.DataFrame:
    """Return messages as a polars frame, one row for each.

    session       as the gateway names it
    order         a ClOrdID or OrderID: all of that order's messages, and of what replaced it
    since, until  half-open, on the gateway's clock: ns UTC, text or datetime
    limit         the most rows that are read, the earliest ones
    asked         gateway, direction ("in", "out"), types (MsgTypes), execution (an ExecID)

    Raises TapeError for a session that never said anything, with the closest names.
    """
    if isinstance(limit, bool) or limit < 1:
        raise SettingsError(f"limit={limit!r} found, 1 or more expected")
    log = WireLog.open(tape.url)
    try:
        times = {name: nanoseconds(when, name) for name, when in
                 (("since", since), ("until", until)) if when is not None}  # fmt: skip
        asked |= {"session": session, "limit": limit, **times}
        if order is not None:
            asked["orders"] = _ids(log, order, session, asked.get("gateway"))
        return framed(log.read(**asked))
    finally:
        log.close()


def _ids(log: WireLog, order: str, session: str | None, gateway: str | None) -> list[str]:
    """Return the ids under which an order went, its replaces among them."""
    known, new = {order}, {order}
    for _ in range(HOPS):
        met: set[str] = set()
        for row in log.read(session, gateway=gateway, orders=sorted(new), limit=LIMIT):
            met |= {row.client_order_id, row.venue_order_id, _fields(row.raw).get("41", "")}
        new = met - known - NO_ID
        if not new:
            break
        known |= new
    return sorted(known)


def framed(rows: Iterable[WireRow]) -> pl.DataFrame:
    """Return rows as the frame that people read; the same columns where there are none."""
    import polars as pl

    text, whole, exact = pl.String(), pl.Int64(), pl.Decimal(38, 18)
    shape: dict[str, Any] = {"ts": whole, "gateway": text, "session": text, "direction": text}
    shape |= {"seq": whole, "copy": whole, "possdup": pl.Boolean(), "type": text, "name": text}
    shape |= dict.fromkeys(("client_order_id", "venue_order_id", "exec_id", "side", *TEXTS), text)
    shape |= dict.fromkeys(EXACT, exact)
    shape |= {"text": text, "epoch": whole, "position": whole}
    found = [_row(row) for row in rows]
    made = pl.DataFrame(
        {name: pl.Series(name, [row[name] for row in found], kind) for name, kind in shape.items()}
    )
    return made.with_columns(pl.col("ts", "epoch").cast(pl.Datetime("ns", "UTC")))


def _row(row: WireRow) -> dict[str, Any]:
    said = _fields(row.raw)
    made: dict[str, Any] = row._asdict()
    made |= {"type": row.msg_type, "name": NAMES.get(row.msg_type, ""), "text": shown(row.raw)}
    for name in ("client_order_id", "venue_order_id", "exec_id"):
        made[name] = made[name] or None
    side = said.get("54")
    made["side"] = SIDES.get(side, side) if side else None
    made |= {name: said.get(tag) for name, tag in TEXTS.items()}
    return made | {name: _exact(said.get(tag)) for name, tag in EXACT.items()}


def shown(raw: bytes) -> str:
    """Return a message as text: fields parted by |, what is no text as \\x.."""
    text = raw.replace(b"\x01", b"|").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _fields(raw: bytes) -> dict[str, str]:
    """Return the first value of each tag; of groups only the first row is told so."""
    made: dict[str, str] = {}
    for field in raw.split(b"\x01"):
        tag, _, value = field.partition(b"=")
        made.setdefault(tag.decode("latin-1"), value.decode("utf-8", "replace"))
    return made


def _exact(text: str | None) -> Decimal | None:
    try:
        value = Decimal(text or "")
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value) >= 10**18:
        return None
    return value.quantize(TINY, context=WIDE)


def verify_wire(tape: PostgresTape) -> list[WireVerdict]:
    """Compute the chain of each gateway's messages again, and compare it with the tape's seals."""
    log = WireLog.open(tape.url)
    try:
        return log.verify()
    finally:
        log.close()


def sessions_frame(tape: PostgresTape) -> pl.DataFrame:
    """Return one row for each session: its gateway, how many messages each way, first and last."""
    import polars as pl

    asked = """SELECT s.gateway, s.session, count(*) FILTER (WHERE w.inbound),
      count(*) FILTER (WHERE NOT w.inbound), min(w.ts), max(w.ts)
      FROM onetape.wire w JOIN onetape.wire_session s ON s.id = w.session_id
      GROUP BY 1, 2 ORDER BY 1, 2"""
    from onetape.tape.server import connect

    with connect(tape.url) as connection:
        rows: Sequence[Any] = connection.execute(asked).fetchall()
    text, whole, time = pl.String(), pl.Int64(), pl.Datetime("ns", "UTC")
    shape = {"gateway": text, "session": text, "messages_in": whole, "messages_out": whole}
    made = pl.DataFrame(rows, schema=shape | {"first": whole, "last": whole}, orient="row")
    return made.with_columns(pl.col("first", "last").cast(time))
