# pyright: standard
"""Connections to a tape's database, its errors in our words, and its form on opening.

Any PostgreSQL 15 or later with UTF-8 serves, the embedded one or another. `connect` gives
connections that see the tape's schema first and wait for durable commits; `prepare` brings a
database into the form that this version reads. Passwords are never shown: messages name a
server through `shown`, and a URL that cannot be read is not repeated.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from onetape.errors import SettingsError, TapeError, TapeForbidden, TapeUnavailable

if TYPE_CHECKING:
    import psycopg

OLDEST = 15  # PostgreSQL's major version
PARTITION = 5_000_000  # events in each partition of the log
AHEAD = 5_000_000  # events for which there is always room beyond the head
SEARCH_PATH = "-c search_path=onetape,pg_catalog -c synchronous_commit=on"

DEFAULTS = {
    "application_name": "onetape",
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}

FORBIDDEN = ("42501", "28000", "28P01")
READ_ONLY = "25006"
NO_DATABASE = "3D000"
NO_TAPE = ("42P01", "3F000", "42883")  # no such table, schema, function
CORRUPTED = ("XX001", "XX002")
AGAIN = ("40001", "40P01", "55P03", "57014")  # somebody else was in the way
AWAY = ("08", "53", "57", "58")  # connection, resources, operator, system: classes
# Errors met while connecting carry no code, only the server's words.
SAID = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    "permission denied for database": "42501",
    "starting up": "57P03",
    "No space left on device": "53100",
}


def connect(
    url: str, *, autocommit: bool = True, role: str | None = None
) -> psycopg.Connection[tuple[Any, ...]]:
    """Return a connection to the database at `url`, as `role` when one is named.

    What the URL says wins over our defaults. Raises SettingsError for a URL that cannot be
    read, else TapeUnavailable, TapeForbidden or TapeError.
    """
    import psycopg
    from psycopg import sql

    given = _parts(url)
    options = f"{SEARCH_PATH} {given.pop('options', '')}".strip()
    try:
        connection = psycopg.connect(**(DEFAULTS | given), options=options, autocommit=True)
    except psycopg.Error as err:
        raise translated(err, f"connecting to {shown(url)}") from err
    try:
        if role is not None:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        connection.autocommit = autocommit
    except psycopg.Error as err:
        connection.close()
        raise translated(err, f"working as {role} on {shown(url)}") from err
    return connection


@cache
def _quiet() -> None:
    """Keep the driver's words about lost connections off stderr: we raise what there is to say."""
    logging.getLogger("psycopg").addHandler(logging.NullHandler())


def prepare(url: str, partition: int = PARTITION) -> None:
    """Bring the database at `url` into the form that this version reads and writes.

    `partition` is how many events each new partition of the log takes.

    A login that may only read or write opens a tape that is up to date; one that is not needs
    its owner to open it once.
    Raises TapeError for a server or tape of another version, TapeForbidden for a missing right.
    """
    import psycopg

    from onetape.tape.migrations.run import migrate

    with connect(url) as connection:
        _fits(connection, url)
        migrate(connection, url)
        try:
            _room(connection, partition)
        except psycopg.Error as err:
            raise translated(err, f"making room on the tape at {shown(url)}") from err


def _fits(connection: psycopg.Connection[tuple[Any, ...]], url: str) -> None:
    number, encoding = connection.info.server_version, connection.info.encoding
    if number < OLDEST * 10_000:
        raise TapeError(
            f"PostgreSQL {number // 10_000} found at {shown(url)}, {OLDEST} or later expected"
        )
    server = connection.info.parameter_status("server_encoding") or encoding
    if server.upper() not in ("UTF8", "UTF-8"):
        raise TapeError(
            f"the database {shown(url)} is in {server}, UTF8 expected; make one with: createdb "
            f"--encoding=UTF8 --template=template0 {_parts(url).get('dbname', 'onetape')}"
        )


def _room(connection: psycopg.Connection[tuple[Any, ...]], partition: int) -> None:
    """Have partitions ahead of the head, where this login may make them."""
    asked = """
        SELECT last_seq + %s, has_function_privilege('onetape.ensure_partitions(int8, int8)',
               'execute') AND NOT current_setting('transaction_read_only')::bool
        FROM onetape.ledger_head"""
    row = connection.execute(asked, [min(AHEAD, partition)]).fetchone()
    if row and row[1]:
        connection.execute("SELECT onetape.ensure_partitions(%s, %s)", [row[0], partition])


def exists(url: str, database: str) -> bool:
    """Tell whether a server has a database; `url` is one of its databases."""
    with connect(url) as connection:
        asked = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s"
        return connection.execute(asked, [database]).fetchone() is not None


def make_database(url: str, database: str) -> None:
    """Make a database; one that somebody else makes at the same time is fine."""
    import psycopg
    from psycopg import errors, sql

    with connect(url) as connection:
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        except (errors.DuplicateDatabase, errors.UniqueViolation):
            return
        except psycopg.Error as err:
            raise translated(err, f"making the database {database} on {shown(url)}") from err


def shown(url: str) -> str:
    """Return where a URL points, without its password or any other secret."""
    try:
        parts = _parts(url)
    except SettingsError:
        return "(a URL that cannot be read)"
    host, port = parts.get("host") or parts.get("hostaddr") or "localhost", parts.get("port")
    user = f"{parts['user']}@" if parts.get("user") else ""
    return f"{user}{host}{f':{port}' if port else ''}/{parts.get('dbname') or ''}"


def _parts(url: str) -> dict[str, Any]:
    """Return what a URL says.

    A password with a bare @ or / in it would be taken for a host or port, and shown with it in
    the error: such URLs are refused here. Nothing of a refused URL is repeated.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = {k: v for k, v in conninfo_to_dict(url).items() if v is not None}
    except ProgrammingError:
        parts = {"port": "?"}
    place = url.split("://", 1)[1] if "://" in url else ""
    user, at, _ = place.split("?")[0].rpartition("@")
    ports = str(parts.get("port", "")).replace(",", "")
    if (ports and not ports.isdigit()) or (at and ("@" in user or "/" in user)):
        raise SettingsError(
            "the tape's URL cannot be read (it is not repeated here, it may hold a password); "
            "postgresql://user:password@host:port/database expected, with @ : / ? # % in the "
            "password written as %40 %3A %2F %3F %23 %25"
        ) from None
    return parts


def translated(err: Exception, doing: str) -> TapeError:
    """Return a database's error in our words; `doing` says what was being done."""
    import psycopg

    if isinstance(err, TapeError):
        return err
    code, said = _code(err), " ".join(str(err).split())
    for codes, kind, advice in _MEANT:
        if code.startswith(codes):
            return kind(f"{doing}: {said}{advice}")
    if isinstance(err, psycopg.OperationalError | psycopg.InterfaceError | OSError):
        return TapeUnavailable(f"{doing}: {said}; is the server running, and reachable from here?")
    return TapeError(f"{doing}: {said}")


def _code(err: Exception) -> str:
    said = str(err)
    code = getattr(err, "sqlstate", None)
    if not code:
        code = next((code for words, code in SAID.items() if words in said), "")
    if not code and 'database "' in said and "does not exist" in said:
        return NO_DATABASE
    if not code and 'role "' in said and "does not exist" in said:
        return "28000"
    return code or "?"


# Read from above: the first that fits.
_MEANT: list[tuple[str | tuple[str, ...], type[TapeError], str]] = [
    ("28P01", TapeForbidden, "; give the right password in the URL, in PGPASSWORD or in ~/.pgpass"),
    (FORBIDDEN, TapeForbidden, "; use a login that may, see onetape_reader, _writer and _owner"),
    (READ_ONLY, TapeForbidden, "; this server or session only reads: give the primary's URL"),
    ("54", TapeError, "; make it shorter"),
    (NO_DATABASE, TapeError, "; make it with: createdb --encoding=UTF8 --template=template0 NAME"),
    (NO_TAPE, TapeError, "; no tape is there, or one of another version: open it once"),
    (
        CORRUPTED,
        TapeError,
        "; the database's files are damaged: write nothing, copy them, find what is touched with "
        "verify, then restore a backup or the archive",
    ),
    ("53100", TapeUnavailable, "; the disk is full: free some space, then append again"),
    ("53300", TapeUnavailable, "; too many connections: close some, or raise max_connections"),
    (AGAIN, TapeUnavailable, "; somebody else was in the way: try again"),
    (AWAY, TapeUnavailable, "; the server is away or short of something: try again"),
]
