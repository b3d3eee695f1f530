# pyright: standard
"""Roles: who may do what to the tape, given to groups that logins are made members of.

    onetape_owner      owns everything in the schema and migrates it
    onetape_writer     appends: SELECT + INSERT on the log and on what the wire said, UPDATE
                       on the heads and marks only
    onetape_projector  writes the projections, in schemas of its own; reads the log
    onetape_reader     reads

None of them can log in; an administrator writes `GRANT onetape_writer TO desk`. They are made
where the login that migrates may make them (a superuser, or CREATEROLE), else left out, and
`roles` tells which. Tables keep out changes by a trigger too, for the owner's own slips; an
owner or superuser can take that trigger away, which only an anchor outside reveals.

Partitions carry no grants: PostgreSQL checks the parent, so appends and reads go through it and
no partition can be reached on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, LiteralString, cast

if TYPE_CHECKING:
    import psycopg

OWNER, WRITER = "onetape_owner", "onetape_writer"
PROJECTOR, READER = "onetape_projector", "onetape_reader"
GROUPS = (OWNER, WRITER, PROJECTOR, READER)

LOG = ("event", "batch", "dimension", "stream", "anchor")
HEADS = ("ledger_head", "stream_head", "wire_head", "wire_mark")
WIRE = ("wire", "wire_batch", "wire_session")
READY = "ready"
PROJECTED = ("projection", "snapshot")
# They make partitions with the owner's rights: only writers may call them.
FUNCTIONS = ("ensure_partitions(int8, int8)", "ensure_wire(int4[])")
# Keys of persons: whoever writes personal data needs them, erasing them is the owner's.
SECRET = ("subject_key",)

# Beside SELECT on everything that is not secret. Tables of later steps: once they are there.
GRANTS: dict[str, tuple[tuple[LiteralString, tuple[str, ...]], ...]] = {
    WRITER: (("INSERT", LOG + WIRE), ("INSERT, UPDATE", HEADS), ("SELECT, INSERT", SECRET)),
    PROJECTOR: (("INSERT, UPDATE, DELETE", PROJECTED),),
    READER: (),
}


def roles(url: str) -> dict[str, str]:
    """Make the groups at `url` and give them their rights, where this login may.

    Returns, for each group, "ready" or why it is not.
    """
    import psycopg

    from onetape.tape.server import connect, shown, translated

    with connect(url, autocommit=False) as connection:
        try:
            return arrange(connection)
        except psycopg.Error as err:
            raise translated(err, f"giving roles their rights at {shown(url)}") from err


def arrange(connection: psycopg.Connection[tuple[Any, ...]]) -> dict[str, str]:
    """Make the groups and grant, inside the connection's transaction; see `roles`."""
    told = {name: _made(connection, name) for name in GROUPS}
    closed = "REVOKE ALL ON FUNCTION onetape.{} FROM PUBLIC"
    _tried(connection, [closed.format(one) for one in _functions(connection)])
    for name, state in told.items():
        if state == READY:
            rights = _ownership(connection) if name == OWNER else _rights(connection, name)
            told[name] = _tried(connection, rights)
    if told[PROJECTOR] == told[READER] == READY:
        told[PROJECTOR] = _tried(connection, _handed_on(connection.info.dbname))
    return told


def _made(connection: psycopg.Connection[tuple[Any, ...]], name: str) -> str:
    from psycopg import sql

    asked = """
        SELECT r.rolsuper, r.rolcreaterole, current_user::text,
               EXISTS (SELECT FROM pg_roles WHERE rolname = %s)
        FROM pg_roles r WHERE r.rolname = current_user"""
    row = connection.execute(asked, [name]).fetchone()
    superuser, creates, me, there = row or (False, False, "this login", False)
    if there:
        return READY
    if not (superuser or creates):
        return f"not made: {me} is neither superuser nor has CREATEROLE"
    made = [sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name))]
    if not superuser:  # who hands something over must be a member of who gets it
        made.append(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(name)))
    return _tried(connection, made)


def _tried(connection: psycopg.Connection[tuple[Any, ...]], statements: Sequence[Any]) -> str:
    """Run statements, all or none; return READY or why not."""
    from psycopg import errors

    try:
        with connection.transaction():
            for statement in statements:
                connection.execute(statement)
    except (errors.DuplicateObject, errors.UniqueViolation):
        return READY  # another database of this server was opened at the same time
    except errors.InsufficientPrivilege as err:
        return f"left out: {err.diag.message_primary}"
    return READY


def _relations(connection: psycopg.Connection[tuple[Any, ...]]) -> list[tuple[str, str, str, bool]]:
    """Return name, kind, owner and "is a partition" of all tables and views of the schema."""
    asked = """
        SELECT relname::text, relkind::text, pg_get_userbyid(relowner)::text, relispartition
        FROM pg_class WHERE relnamespace = 'onetape'::regnamespace AND relkind IN ('r', 'p', 'v')
        ORDER BY relname"""
    return connection.execute(asked).fetchall()  # type: ignore[return-value]


def _functions(connection: psycopg.Connection[tuple[Any, ...]]) -> list[str]:
    """Return those of FUNCTIONS that the steps run so far have made."""
    asked = "SELECT to_regprocedure('onetape.' || %s) IS NOT NULL"
    return [one for one in FUNCTIONS if (connection.execute(asked, [one]).fetchone() or [0])[0]]


def _rights(connection: psycopg.Connection[tuple[Any, ...]], name: str) -> list[Any]:
    from psycopg import sql

    role = sql.Identifier(name)
    found = [table for table, _, _, partition in _relations(connection) if not partition]
    wanted: list[tuple[LiteralString, str]] = []
    wanted.extend(("SELECT", table) for table in found if table not in SECRET)
    wanted.extend((rights, t) for rights, tables in GRANTS[name] for t in tables if t in found)
    made = [sql.SQL("GRANT USAGE ON SCHEMA onetape TO {}").format(role)]
    made += [
        sql.SQL("GRANT {} ON onetape.{} TO {}").format(sql.SQL(rights), sql.Identifier(table), role)
        for rights, table in wanted
    ]
    if name == WRITER:
        text = "GRANT EXECUTE ON FUNCTION onetape.{} TO {{}}"
        made += [
            sql.SQL(cast(LiteralString, text.format(one))).format(role)
            for one in _functions(connection)
        ]
    return made


def _ownership(connection: psycopg.Connection[tuple[Any, ...]]) -> list[Any]:
    """Return what makes the owner own everything in the schema, partitions too."""
    from psycopg import sql

    owner = sql.Identifier(OWNER)
    made = [sql.SQL("ALTER SCHEMA onetape OWNER TO {}").format(owner)]
    for table, kind, now, _ in _relations(connection):
        if now != OWNER:
            text = f"ALTER {'VIEW' if kind == 'v' else 'TABLE'} onetape.{{}} OWNER TO {{}}"
            made.append(sql.SQL(text).format(sql.Identifier(table), owner))
    asked = """
        SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = 'onetape'::regnamespace AND proowner <> %s::regrole"""
    for (routine,) in connection.execute(asked, [OWNER]).fetchall():
        text = f"ALTER ROUTINE {routine} OWNER TO {{}}"  # quoted by the server
        made.append(sql.SQL(cast(LiteralString, text)).format(owner))
    return made


def _handed_on(database: str) -> list[Any]:
    """Return what lets the projector make schemas, and readers read what is in them.

    Readers see what is made under `SET ROLE onetape_projector`.
    """
    from psycopg import sql

    projector, reader = sql.Identifier(PROJECTOR), sql.Identifier(READER)
    whose = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT {} TO {}")
    may = sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(database), projector)
    handed = (sql.SQL("USAGE ON SCHEMAS"), sql.SQL("SELECT ON TABLES"))
    return [may, *(whose.format(projector, what, reader) for what in handed)]
