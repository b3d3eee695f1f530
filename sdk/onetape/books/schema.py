# pyright: standard
"""Schema: the tables of one generation of read models, and the views that people read.

A generation n is the schema `books_<n>`, folded from the start of the ledger by one version of
the folds. Readers use the views in `onetape_books`, which show the current generation; a new
one is built beside it and the views are switched in one transaction.

Amounts  prices, quantities and money are `numeric`, exact; shares are rounded as in `exact`.
Times    int8, nanoseconds UTC. `seq` is the ledger's place; `recorded` the time of its batch.
Columns  beside what the folds of the same name show:
         position.ts_event      the latest time of any event booked, void or not
         position_history       the state after the event at `seq`; a void row holds the refolded
         position_history.late  its time is before that of an earlier row, or it is a void
         cash.line              the place among the movements of one event
         cash.void_seq          the void that took the movement back or replaced it; else null
         cash.balance           null once it was taken back: it stands in no row of balances
         exposure.price         the account's last fill price, rescaled over splits
         equity                 after each ledger batch that moved the account; one row for each
         cash_balance           the running totals behind equity
         trade.state            what an open trade needs to go on, JSON; null once it has ended
         orders.trade_ids       the executions that stand, with fill_seqs beside them
         execution              the same for fills whose order never began
         action                 splits, dividends and voids: what a refold has to fetch
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection
from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from onetape.tape.roles import PROJECTOR, READER, WRITER

VIEWS = "onetape_books"
NAME = "books"
STEP = 4_000_000  # ledger seqs in one partition of position_history
GIVEN: dict[str, Any] = {
    "text": Text,
    "int8": BigInteger,
    "int4": Integer,
    "money": Numeric,
    "bool": Boolean,
    "float8": Float(53),
    "jsonb": JSONB,
    "bytea": LargeBinary,
    "int8[]": ARRAY(BigInteger),
    "text[]": ARRAY(Text),
}
OWNER = "book:text account:text currency:text"

# name:type, a question mark where null may stand; then the primary key
TABLES: dict[str, tuple[str, str]] = {
    "position_key": (
        "id:int8 book:text account:text instrument:text strategy:text currency:text "
        "multiplier:money margined:bool",
        "id",
    ),
    "position": (
        "key_id:int8 quantity:money cost:money realized:money last_price:money commission:money "
        "commissions:jsonb? opened_seq:int8? fills:int4 seq:int8 ts_event:int8",
        "key_id",
    ),
    "position_history": (
        "key_id:int8 seq:int8 ts_event:int8 late:bool event:text change:money? price:money? "
        "quantity:money cost:money realized:money commission:money last_price:money",
        "",
    ),
    "cash": (
        f"{OWNER} seq:int8 line:int4 ts_event:int8 amount:money balance:money? reason:text "
        "instrument:text? client_order_id:text? void_seq:int8?",
        "",
    ),
    "cash_balance": (
        f"{OWNER} balance:money seq:int8 ts_event:int8 realized:money commission:money "
        "dividends:money deposits:money market_value:money unrealized:money",
        "book account currency",
    ),
    "orders": (
        "book:text seq:int8 ts_init:int8 ts_last:int8 client_order_id:text venue_order_id:text? "
        "account:text? instrument:text strategy:text side:text type:text time_in_force:text "
        "quantity:money filled:money price:money? trigger_price:money? average_price:money? "
        "commission:money? status:text reason:text seqs:int8[] resting:text filled_value:money "
        "commissions:jsonb? trade_ids:text[]? fill_seqs:int8[]?",
        "book client_order_id",
    ),
    "execution": (
        "book:text client_order_id:text trade_id:text seq:int8",
        "book client_order_id trade_id",
    ),
    "trade": (
        "key_id:int8 book:text seq:int8 account:text instrument:text strategy:text side:text "
        "quantity:money entry_ts:int8 exit_ts:int8? duration:int8? entry_price:money "
        "exit_price:money? currency:text gross:money commission:money net:money return:float8 "
        "open:bool entry_seqs:int8[] exit_seqs:int8[] commissions:jsonb? state:text?",
        "seq",
    ),
    "exposure": (
        "book:text account:text instrument:text currency:text quantity:money price:money "
        "gross:money net:money unrealized:money seq:int8 ts_event:int8 cost:money",
        "book account instrument",
    ),
    "equity": (
        f"{OWNER} recorded:int8 seq:int8 ts_event:int8 cash:money market_value:money "
        "unrealized:money realized:money commission:money dividends:money deposits:money "
        "equity:money",
        "book account currency recorded",
    ),
    "run": (
        "stream:text book:text strategy:text mode:text status:text code_hash:text params:jsonb "
        "opened_seq:int8 opened_ns:int8 last_seq:int8 closed_seq:int8? events:int8 fills:int8 "
        "fingerprint:text",
        "stream",
    ),
    "finding": ("stream:text dataset:text finding:text seq:int8", ""),
    "instrument": (
        "book:text instrument:text multiplier:money currency:text margined:bool seq:int8",
        "book instrument",
    ),
    "action": (
        "book:text account:text instrument:text seq:int8 ts_event:int8 kind:text fill_seq:int8?",
        "",
    ),
    "parked": ("generation:int4 seq:int8 stream:text why:text payload:bytea", "seq"),
}
WORKING = "status NOT IN ('FILLED', 'CANCELED', 'EXPIRED', 'DENIED', 'REJECTED')"
INDEXES: dict[str, tuple[tuple[str, str], ...]] = {  # columns, then where
    "cash": (("book account currency seq", ""),),
    "orders": (("book instrument", WORKING),),
    "trade": (("key_id", ""),),
    "action": (("book instrument account seq", ""),),
}
COLUMNS: dict[str, tuple[str, ...]] = {
    name: tuple(word.split(":")[0] for word in spec.split()) for name, (spec, _) in TABLES.items()
}


def metadata(generation: int) -> MetaData:
    """Return the tables of a generation, for SQLAlchemy."""
    found = MetaData(schema=schema_of(generation))
    for name, (spec, key) in TABLES.items():
        columns = [_column(*word.split(":")) for word in spec.split()]
        rules: list[Any] = [PrimaryKeyConstraint(*key.split())] if key else []
        if name == "position_key":
            rules.append(UniqueConstraint("book", "account", "instrument", "strategy"))
        ranged = {"postgresql_partition_by": "RANGE (seq)"}
        options: dict[str, Any] = ranged if name == "position_history" else {}
        table = Table(name, found, *columns, *rules, **options)
        for number, (over, where) in enumerate(INDEXES.get(name, ())):
            only: dict[str, Any] = {"postgresql_where": text(where)} if where else {}
            Index(f"{name}_by_{number}", *(table.c[c] for c in over.split()), **only)
    return found


def schema_of(generation: int) -> str:
    """Return the name of a generation's schema."""
    return f"books_{generation}"


def create(connection: Connection[Any], generation: int) -> None:
    """Make the tables of a generation, in the transaction of the connection."""
    spoken = dialect()
    connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema_of(generation))))
    for table in metadata(generation).sorted_tables:
        connection.execute(_sql(CreateTable(table).compile(dialect=spoken)))
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            connection.execute(_sql(CreateIndex(index).compile(dialect=spoken)))
    _open_to_readers(connection, schema_of(generation))


def _open_to_readers(connection: Connection[Any], schema: str) -> None:
    """Let the tape's groups read what is in a schema, where these groups were made."""
    asked = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)"
    for (role,) in connection.execute(asked, ([READER, WRITER, PROJECTOR],)).fetchall():
        names = {"schema": Identifier(schema), "role": Identifier(role)}
        for right in (
            "GRANT USAGE ON SCHEMA {schema} TO {role}",
            "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
        ):
            connection.execute(SQL(right).format(**names))


def extend(connection: Connection[Any], generation: int, upto: int) -> None:
    """Make the partitions of position_history that reach `upto`, where they are missing."""
    schema = Identifier(schema_of(generation))
    number = upto // STEP
    while number >= 0:
        name = f"position_history_{number:06d}"
        where = f"{schema_of(generation)}.{name}"
        there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (where,)).fetchone()
        if there and there[0]:
            return
        names = {
            "one": SQL("{}.{}").format(schema, Identifier(name)),
            "all": SQL("{}.position_history").format(schema),
            "lo": Literal(number * STEP),
            "hi": Literal((number + 1) * STEP),
        }
        for statement in PARTITION:
            connection.execute(SQL(statement).format(**names))
        number -= 1


PARTITION = (
    "CREATE TABLE {one} PARTITION OF {all} FOR VALUES FROM ({lo}) TO ({hi})",
    "CREATE INDEX ON {one} (key_id, seq)",
    "CREATE INDEX ON {one} (key_id, ts_event, seq) WHERE NOT late",
    "CREATE INDEX ON {one} (key_id, seq) WHERE late",
    "CREATE INDEX ON {one} USING brin (seq, ts_event)",
)


def show(connection: Connection[Any], generation: int) -> None:
    """Point the views at a generation, in the transaction of the connection."""
    connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(VIEWS)))
    for name in TABLES:
        view = Identifier(VIEWS, name)
        table = Identifier(schema_of(generation), name)
        connection.execute(SQL("CREATE OR REPLACE VIEW {} AS SELECT * FROM {}").format(view, table))
    _open_to_readers(connection, VIEWS)


def drop(connection: Connection[Any], generation: int) -> None:
    """Remove a generation's tables; views that still show them stop it."""
    for name in TABLES:
        table = Identifier(schema_of(generation), name)
        connection.execute(SQL("DROP TABLE IF EXISTS {}").format(table))
    connection.execute(SQL("DROP SCHEMA IF EXISTS {}").format(Identifier(schema_of(generation))))


def _column(name: str, kind: str) -> Column[Any]:
    return Column(name, GIVEN[kind.rstrip("?")], nullable=kind.endswith("?"), autoincrement=False)


def _sql(compiled: object) -> Any:
    return str(compiled).encode()
