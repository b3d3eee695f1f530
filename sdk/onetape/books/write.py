# pyright: standard
"""Write: what changed in the books, rendered as COPY lines and put into the tables.

`render` is done where the books are, `put` may be done in another thread: a sheet is text only.
Rows that are new are copied straight into their table; rows that may stand already go through a
temporary table and replace them. A small sheet, as a live projector has, is inserted instead:
all its statements make one round trip.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.sql import SQL, Composable, Composed, Identifier

from onetape.books import rows, undo
from onetape.books.places import Changes, Void
from onetape.books.schema import COLUMNS, GIVEN, TABLES, schema_of
from onetape.books.state import Books

SMALL = 400_000  # characters of a sheet up to which it is inserted, not copied
TYPES = {name: "numeric" if name == "money" else name for name in GIVEN}
ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Sheet(msgspec.Struct):
    """Lines by table: `new` ones stand nowhere yet, `changed` ones may."""

    new: dict[str, str] = {}
    changed: dict[str, str] = {}
    voids: list[Void] = []

    def size(self) -> int:
        """Return the number of characters."""
        return sum(map(len, self.new.values())) + sum(map(len, self.changed.values()))

    def add(self, table: str, new: Iterable[str], changed: Iterable[str] = ()) -> None:
        """Take lines of a table."""
        for into, lines in ((self.new, new), (self.changed, changed)):
            text = "".join(lines)
            if text:
                into[table] = into.get(table, "") + text


def render(books: Books, changes: Changes, since: int, recorded: int) -> Sheet:
    """Return the lines of what changed after seq `since`.

    `recorded` is the time of the first ledger batch among the changes: its equity may have been
    written in part.
    """
    sheet = Sheet(voids=changes.voids)
    sheet.add("cash", (rows.cash(one) for void in changes.voids for one in void.entered))
    sheet.add("position_key", map(rows.key, (s for s in changes.keys if not s.written)),
              map(rows.key, (s for s in changes.keys if s.written)))  # fmt: skip
    sheet.add("position_history", map(rows.history, changes.history))
    sheet.add("cash", map(rows.cash, changes.cash))
    sheet.add("finding", map(rows.plain, changes.findings))
    sheet.add("action", map(rows.plain, changes.actions))
    sheet.add("execution", map(rows.plain, changes.executions))
    known = (
        (book, name, str(info.multiplier), info.currency, "t" if info.margined else "f", seq)
        for book, name, info, seq in changes.instruments
    )
    sheet.add("instrument", map(rows.plain, known))
    _trades(sheet, books, changes, since)
    _cells(sheet, books, changes)
    kept = books.shelves
    new: list[str] = []
    changed: list[str] = []
    for (book, name), one in changes.orders.items():
        fresh = one.seqs[0] > since and (book, name) not in changes.again
        into = new if fresh else changed
        into.append(rows.order(book, one, kept[book].executions.of.get(name)))
    sheet.add("orders", new, changed)
    sheet.add("equity", (rows.equity(o) for o in changes.equity if o.recorded != recorded),
              (rows.equity(o) for o in changes.equity if o.recorded == recorded))  # fmt: skip
    return sheet


def put(connection: Connection[Any], generation: int, sheet: Sheet) -> None:
    """Write a sheet, in the transaction of the connection."""
    schema = schema_of(generation)
    if sheet.voids:
        undo.before(connection, generation, sheet.voids)
    if sheet.size() <= SMALL:
        _insert(connection, schema, sheet)
    else:
        _copy(connection, schema, sheet)
    if sheet.voids:
        undo.after(connection, generation, sheet.voids)


def _insert(connection: Connection[Any], schema: str, sheet: Sheet) -> None:
    """Write few rows: all statements in one round trip."""
    with connection.pipeline(), connection.cursor() as cursor:
        for some, changed in ((sheet.new, False), (sheet.changed, True)):
            for table, lines in some.items():
                columns = zip(*map(_values, lines[:-1].split("\n")), strict=True)
                cursor.execute(_statement(schema, table, changed), [list(c) for c in columns])


@cache
def _statement(schema: str, table: str, changed: bool) -> bytes:
    types = [TYPES[word.split(":")[1].rstrip("?")] for word in TABLES[table][0].split()]
    told = SQL("SELECT {} FROM unnest({}) AS w({})").format(
        SQL(", ").join(SQL(f"c{n}::{kind}") for n, kind in enumerate(types)),  # pyright: ignore
        SQL(", ").join(SQL("%s::text[]") for _ in types),
        SQL(", ").join(Identifier(f"c{n}") for n in range(len(types))),
    )
    target = Identifier(schema, table)
    query = SQL("INSERT INTO {} {}").format(target, told)
    return (query + _conflict(table) if changed else query).as_bytes()


def _values(line: str) -> list[str | None]:
    """Return the values of a COPY line."""
    values: list[str | None] = []
    for one in line.split("\t"):
        if "\\" not in one:
            values.append(one)
        else:
            values.append(None if one == rows.NULL else ESCAPED.sub(_meant, one))
    return values


def _meant(found: re.Match[str]) -> str:
    return {"t": "\t", "n": "\n", "r": "\r"}.get(found[1], found[1])


def _copy(connection: Connection[Any], schema: str, sheet: Sheet) -> None:
    with connection.cursor() as cursor:
        for table, lines in sheet.new.items():
            copy = SQL("COPY {} FROM STDIN").format(Identifier(schema, table))
            with cursor.copy(copy) as into:
                into.write(lines.encode())
        for table, lines in sheet.changed.items():
            _replace(cursor, schema, table, lines)


def _replace(cursor: Any, schema: str, table: str, lines: str) -> None:
    stage, target = Identifier(f"stage_{schema}_{table}"), Identifier(schema, table)
    made = "CREATE TEMP TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS"
    cursor.execute("SET LOCAL client_min_messages = warning")
    cursor.execute(SQL(made).format(stage, target))
    with cursor.copy(SQL("COPY {} FROM STDIN").format(stage)) as into:
        into.write(lines.encode())
    cursor.execute(_upsert(table, stage, target))
    cursor.execute(SQL("TRUNCATE {}").format(stage))


def _upsert(table: str, stage: Composable, target: Composable) -> Composable:
    return SQL("INSERT INTO {} SELECT * FROM {}").format(target, stage) + _conflict(table)


def _conflict(table: str) -> Composed:
    key = TABLES[table][1].split()
    others = [name for name in COLUMNS[table] if name not in key]
    return SQL(" ON CONFLICT ({}) DO UPDATE SET ({}) = ROW({})").format(
        SQL(", ").join(map(Identifier, key)),
        SQL(", ").join(map(Identifier, others)),
        SQL(", ").join(SQL("excluded.{}").format(Identifier(name)) for name in others),
    )


def _trades(sheet: Sheet, books: Books, changes: Changes, since: int) -> None:
    new: list[str] = []
    changed: list[str] = []
    for slot, trade in changes.ended:
        into = new if trade.entry_seqs[0] > since else changed
        into.append(rows.trade(slot, trade, None))
    for slot in changes.slots:
        for running in books.shelves[slot.book].blotter.running.get(slot.key, ()):
            into = new if running.entry.seqs[0] > since else changed
            into.append(rows.trade(slot, running.trade(None), running))
    sheet.add("trade", new, changed)


def _cells(sheet: Sheet, books: Books, changes: Changes) -> None:
    new: list[str] = []
    changed: list[str] = []
    for slot in changes.slots:
        holding = books.shelves[slot.book].holding(slot.key)
        (changed if slot.written else new).append(rows.position(slot, holding))
        slot.written, slot.dirty = True, False
    sheet.add("position", new, changed)
    new, changed = [], []
    for line in changes.lines:
        (changed if line.written else new).append(rows.exposure(line))
        line.written, line.dirty = True, False
    sheet.add("exposure", new, changed)
    sheet.add("cash_balance", (), map(rows.balance, changes.purses))
    sheet.add("run", (), map(rows.run, changes.runs))
    for purse in changes.purses:
        purse.dirty = False
    for run in changes.runs:
        run.dirty = False
