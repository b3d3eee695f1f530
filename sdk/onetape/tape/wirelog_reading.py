# pyright: standard
"""Reading of the wire: the messages of sessions, times and ids, as rows, in the order of time.

Range    since <= ts < until, ns UTC. Ids are matched whole: `order` is a ClOrdID or an OrderID.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from onetape.errors import SettingsError, TapeError
from onetape.tape.wirelog_rows import WireRow

if TYPE_CHECKING:
    import polars as pl

PAGE = 2_000  # rows fetched at a time
ROWS = """SELECT s.gateway, s.session, w.epoch, CASE WHEN w.inbound THEN 'in' ELSE 'out' END,
  w.seq, w.copy, w.ts, w.msg_type, w.possdup, coalesce(w.client_order_id, ''),
  coalesce(w.venue_order_id, ''), coalesce(w.exec_id, ''), w.raw, w.position
FROM onetape.wire w JOIN onetape.wire_session s ON s.id = w.session_id
WHERE {} ORDER BY w.ts, w.session_id, w.position LIMIT %s"""
KNOWN = "SELECT id, gateway, session FROM onetape.wire_session ORDER BY id"
MARK = """SELECT m.position FROM onetape.wire_session s
JOIN onetape.wire_mark m ON m.session_id = s.id
WHERE s.gateway = %s AND s.session = %s AND s.journal = %s"""
TESTS = {
    "since": "w.ts >= %s",
    "until": "w.ts < %s",
    "orders": "(w.client_order_id = ANY(%s) OR w.venue_order_id = ANY(%s))",
    "execution": "w.exec_id = %s",
    "types": "w.msg_type = ANY(%s)",
    "direction": "w.inbound = %s",
}


def bookmark(connection: Any, gateway: str, session: str, journal: str) -> int:
    """Return the position up to which a session's journal is kept; 0 for none."""
    found = connection.execute(MARK, [gateway, session, journal]).fetchone()
    return found[0] if found else 0


def rows(
    connection: Any,
    *,
    gateway: str | None = None,
    session: str | None = None,
    limit: int | None = None,
    **asked: Any,
) -> Iterator[WireRow]:
    """Yield rows in the order of time; `asked` as in TESTS, None where it does not matter.

    Raises TapeError for a gateway or session that never sent anything, with the closest names.
    """
    tests, values = ["true"], []
    wanted = {name: value for name, value in asked.items() if value not in (None, "", ())}
    if gateway is not None or session is not None:
        tests.append("w.session_id = ANY(%s)")
        values.append(_sessions(connection, gateway, session))
    for name, value in wanted.items():
        if name not in TESTS:
            raise SettingsError(f"{name}= found; messages are asked for by {', '.join(TESTS)}")
        tests.append(TESTS[name])
        values += _values(name, value)
    with connection.transaction(), connection.cursor("wire", binary=True) as cursor:
        cursor.itersize = PAGE
        cursor.execute(ROWS.format(" AND ".join(tests)), [*values, limit])
        for row in cursor:
            yield WireRow(*row)


def _values(name: str, value: Any) -> list[Any]:
    if name == "orders":
        return [_texts(value)] * 2
    if name == "types":
        return [_texts(value)]
    if name == "direction":
        if value not in ("in", "out"):
            raise SettingsError(f"direction={value!r} found, in or out expected")
        return [value == "in"]
    return [value]


def _texts(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _sessions(connection: Any, gateway: str | None, session: str | None) -> list[int]:
    """Return the numbers of the sessions that are meant, of every journal of theirs."""
    known = connection.execute(KNOWN).fetchall()
    for what, name, place in (("gateway", gateway, 1), ("session", session, 2)):
        there = sorted({row[place] for row in known})
        if name is not None and name not in there:
            near = difflib.get_close_matches(name, there, n=3, cutoff=0.3) or there[:5]
            raise TapeError(
                f"no {what} {name!r} ever sent or received anything; "
                f"there is {', '.join(near) or 'none'}"
            )
    return [
        number for number, of, name in known
        if (gateway is None or gateway == of) and (session is None or session == name)
    ]  # fmt: skip


def frame(found: Iterator[WireRow]) -> pl.DataFrame:
    """Return rows as a polars frame, raw bytes and all; times are Datetime("ns", "UTC")."""
    import polars as pl

    text, whole = pl.String(), pl.Int64()
    schema: dict[str, Any] = dict.fromkeys(WireRow._fields, text)
    schema |= dict.fromkeys(("epoch", "seq", "copy", "ts", "position"), whole)
    schema |= {"possdup": pl.Boolean(), "raw": pl.Binary()}
    columns = list(zip(*found, strict=True)) or [()] * len(schema)
    made = {
        name: pl.Series(name, column, dtype=kind)
        for (name, kind), column in zip(schema.items(), columns, strict=True)
    }
    moment = pl.Datetime("ns", "UTC")
    return pl.DataFrame(made).with_columns(pl.col("ts", "epoch").cast(moment))
