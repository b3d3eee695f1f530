# pyright: standard
"""Frames: the tape and its projected books as polars frames.

Frames of fills, orders, trades, positions and cash have the columns of `tables`, so that what
was written for a run's frames works here. Money, prices and quantities are Decimal(38, 18), a
longer one is rounded half even to 1e-18; times are Datetime("ns", "UTC").

fills      the fills that stand, from the log itself
positions  the history of each position as it was known: a void is a row, with what it left
cash       the movements that stand; a balance is that of its time
events     the log, with the payload as text
Range      since <= time < until, by ts_event (orders: the beginning; trades: the entry; runs:
           the opening); what has no such time refuses a range.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import polars as pl

from onetape.books import arrow, tables
from onetape.books.exact import ONE
from onetape.books.projected import When, nanoseconds
from onetape.books.tables import MONEY, TEXT, TIME, WHOLE
from onetape.errors import SettingsError


class Source(NamedTuple):
    """Where a frame's rows are: a view or a join, its columns, what it can be narrowed by."""

    schema: pl.Schema
    rows: str  # what stands behind FROM, called t
    keys: str = "book account instrument stream"  # what narrows it
    time: str = "ts_event"
    order: str = "seq"
    where: str = ""


HELD = """(SELECT h.*, k.book, k.account, k.instrument, k.strategy, k.multiplier,
  CASE WHEN h.quantity = 0 THEN 0 ELSE h.cost / (h.quantity * k.multiplier) END AS average_price
  FROM onetape_books.position_history h JOIN onetape_books.position_key k ON k.id = h.key_id)"""
FILLED = """(SELECT e.seq, e.ts_event, s.book, s.key AS stream, a.key AS account,
  i.key AS instrument, convert_from(e.payload, 'UTF8') AS payload
  FROM onetape.event e JOIN onetape.stream s ON s.id = e.stream_id
  JOIN onetape.dimension a ON a.id = e.account_id
  JOIN onetape.dimension i ON i.id = e.instrument_id
  WHERE e.kind_id = (SELECT id FROM onetape.dimension WHERE kind = 'kind' AND key = 'order.filled')
  AND NOT EXISTS (SELECT FROM onetape_books.action v WHERE v.book = s.book
    AND v.instrument = i.key AND v.kind = 'void' AND v.fill_seq = e.seq)
  AND NOT EXISTS (SELECT FROM onetape_books.parked p WHERE p.seq = e.seq))"""
EQUITY = pl.Schema(
    {"seq": WHOLE, "ts_event": TIME, "recorded": TIME, "account": TEXT, "currency": TEXT}
    | dict.fromkeys(("cash", "market_value", "unrealized", "realized", "commission"), MONEY)
    | dict.fromkeys(("dividends", "deposits", "equity"), MONEY)
)
EXPOSURE = pl.Schema(
    {"seq": WHOLE, "ts_event": TIME, "account": TEXT, "instrument": TEXT, "currency": TEXT}
    | dict.fromkeys(("quantity", "price", "gross", "net", "unrealized"), MONEY)
)
RUNS = pl.Schema(
    dict.fromkeys(("stream", "book", "strategy", "mode", "status", "code_hash", "params"), TEXT)
    | {"opened_seq": WHOLE, "opened_ns": TIME, "last_seq": WHOLE, "closed_seq": WHOLE}
    | {"events": WHOLE, "fills": WHOLE, "fingerprint": TEXT}
)
FINDINGS = pl.Schema({"seq": WHOLE, "stream": TEXT, "dataset": TEXT, "finding": TEXT})
EVENTS = pl.Schema(
    {"seq": WHOLE, "recorded_ns": TIME, "ts_event": TIME, "ts_init": TIME, "stream": TEXT}
    | {"book": TEXT, "version": WHOLE, "cause": WHOLE, "kind": TEXT, "account": TEXT}
    | {"instrument": TEXT, "source": TEXT, "calculation": TEXT, "payload": TEXT}
)
PARKED = pl.Schema({"seq": WHOLE, "stream": TEXT, "why": TEXT})
SOURCES = {
    "fills": Source(pl.Schema({"seq": WHOLE, "ts_event": TIME, "payload": TEXT}), FILLED),
    "orders": Source(tables.ORDERS, "onetape_books.orders", time="ts_init"),
    "trades": Source(tables.TRADES, "onetape_books.trade", time="entry_ts"),
    "positions": Source(tables.POSITIONS, HELD),
    "cash": Source(
        tables.CASH, "onetape_books.cash", order="seq, t.line", where="t.void_seq IS NULL"
    ),
    "exposure": Source(EXPOSURE, "onetape_books.exposure"),
    "equity": Source(EQUITY, "onetape_books.equity", keys="book account"),
    "runs": Source(RUNS, "onetape_books.run", "book stream", "opened_ns", "opened_seq"),
    "findings": Source(FINDINGS, "onetape_books.finding", "stream", ""),
    "events": Source(EVENTS, "onetape.event_log"),
    "parked": Source(PARKED, "onetape_books.parked", "stream", ""),
}
KINDS = {"fill": "order.filled", "split": "action.split", "void": "order.voided"}
OWN_STREAM = {"runs", "findings", "events", "parked", "fills"}
OF_STREAM = """EXISTS (SELECT FROM onetape.event e JOIN onetape.stream s ON s.id = e.stream_id
  WHERE e.seq = t.seq AND s.key = {stream})"""
FACT = pl.Struct(
    {
        name: TEXT
        for name in tables.FILLS
        if name not in ("seq", "ts_event", "notional")
    }
)  # fmt: skip
MULTIPLIERS = """SELECT DISTINCT instrument, multiplier::text AS multiplier
FROM onetape_books.position_key WHERE multiplier <> 1"""


def frame(
    where: Any,
    name: str,
    *,
    columns: Sequence[str] | None = None,
    since: When = None,
    until: When = None,
    **narrowed: str | None,
) -> pl.DataFrame:
    """Return a frame by its name: fills, orders, trades, positions, cash, exposure, equity,
    runs, findings, events or parked.

    where     a database's URL, or a psycopg connection to it
    narrowed  account, instrument, book, stream: where a name does not know one, it says so
    columns   only these

    Raises SettingsError for a name or an argument that is not known, with the close ones.
    """
    source = SOURCES.get(name)
    if source is None:
        raise SettingsError(f"no frame is named {name!r}; {close(name, SOURCES)}")
    wanted = {key: value for key, value in narrowed.items() if value is not None}
    for key in wanted.keys() - set(source.keys.split()):
        raise SettingsError(f"{key}= found; {name} can be narrowed by {source.keys}, since, until")
    tests, values = _tests(name, source, wanted)
    for word, when, sign in (("since", since, ">="), ("until", until, "<")):
        if when is not None:
            if not source.time:
                raise SettingsError(f"{word}= found; {name} have no times")
            tests.append(f"t.{source.time} {sign} {{{word}}}")
            values[word] = nanoseconds(when, word)
    found = _read(where, source, tests, values, fills=name == "fills")
    if name == "positions":
        found = found.with_columns(pl.col("event").replace(KINDS))
    return found if columns is None else found.select(_known(found, name, columns))


def close(name: str, known: Iterable[str]) -> str:
    """Return what may have been meant."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"


def _known(found: pl.DataFrame, name: str, columns: Sequence[str]) -> list[str]:
    for column in columns:
        if column not in found.columns:
            raise SettingsError(f"{name} has no column {column!r}; {close(column, found.columns)}")
    return list(columns)


def _tests(name: str, source: Source, wanted: dict[str, str]) -> tuple[list[str], dict[str, Any]]:
    tests = [source.where] if source.where else []
    for key in wanted:
        own = key != "stream" or name in OWN_STREAM
        tests.append(f"t.{key} = {{{key}}}" if own else OF_STREAM)
    return tests, dict(wanted)


def _read(
    where: Any, source: Source, tests: list[str], values: dict[str, Any], *, fills: bool
) -> pl.DataFrame:
    chosen = ", ".join(_column(name, kind) for name, kind in source.schema.items())
    narrowed = f" WHERE {' AND '.join(tests)}" if tests else ""
    statement = f"SELECT {chosen} FROM {source.rows} t{narrowed} ORDER BY t.{source.order}"
    asked: list[Any] = [(statement, values)]
    if not fills:
        (rows,) = arrow.frames(where, asked)
        return typed(rows, source.schema)
    rows, sizes = arrow.frames(where, [*asked, (MULTIPLIERS, {})])
    return _fills(rows, sizes)


def _column(name: str, kind: Any) -> str:
    as_text = kind == MONEY or name in ("payload", "params")
    return f't."{name}"{"::text" if as_text else ""} AS "{name}"'


def typed(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Return rows with the types of a schema: amounts from text, times from ns."""
    made: list[pl.Expr] = []
    for name, kind in schema.items():
        column = pl.col(name)
        if kind == TIME:
            column = column.cast(pl.Int64).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
        else:
            column = column.cast(kind)
        made.append(column.alias(name))
    return rows.select(made)


def _fills(rows: pl.DataFrame, sizes: pl.DataFrame) -> pl.DataFrame:
    told = rows.with_columns(
        fact=pl.col("payload").str.json_decode(pl.Struct({"fact": FACT})).struct.field("fact")
    ).unnest("fact")
    told = told.join(sizes, on="instrument", how="left", maintain_order="left")
    money = [name for name, kind in tables.FILLS.items() if kind == MONEY and name != "notional"]
    told = told.with_columns(pl.col(*money).cast(MONEY))
    size = pl.col("multiplier").cast(MONEY).fill_null(ONE)
    told = told.with_columns(notional=pl.col("quantity") * pl.col("price") * size)
    return typed(told, tables.FILLS)
