# pyright: standard
"""Migrations: bring a database to the newest form, one step after another, only forward.

A database that is up to date is told by one plain query; Alembic is loaded only when there is
something to do. Steps run under a lock of the session, in one transaction together with the
roles' grants: of several who open a new database at once, one makes it, the others find it made.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onetape.errors import TapeError, TapeForbidden

if TYPE_CHECKING:
    import psycopg

LOCK = 7_052_600  # of the session that migrates
_one_at_a_time = threading.Lock()  # Alembic keeps its state in the module


@cache
def steps() -> tuple[str, ...]:
    """Return the known revisions, oldest first; a step's file begins with its revision."""
    folder = files("onetape.tape.migrations") / "versions"
    names = [entry.name for entry in folder.iterdir()]
    return tuple(sorted(n.split("_")[0] for n in names if n[:1] == "t" and n.endswith(".py")))


def found(connection: psycopg.Connection[tuple[Any, ...]]) -> str | None:
    """Return the revision of a database, None when it holds no tape."""
    there = connection.execute("SELECT to_regclass('onetape.alembic_version')").fetchone()
    if there is None or there[0] is None:
        return None
    row = connection.execute("SELECT version_num FROM onetape.alembic_version").fetchone()
    return row[0] if row else None


def migrate(
    connection: psycopg.Connection[tuple[Any, ...]], url: str, to: str | None = None
) -> None:
    """Bring the database of an open connection to a revision, by default the newest.

    Raises TapeError when the tape is of a newer version than this code knows, TapeForbidden
    when it is older and this login may not migrate it.
    """
    import psycopg

    from onetape.tape.server import shown, translated

    target = to or steps()[-1]
    now = None
    try:
        now = found(connection)
        if _settled(now, target):
            return
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        try:
            if not _settled(found(connection), target):
                _upgrade(url, target)
        finally:
            if not connection.closed:
                connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as err:
        raise TapeForbidden(
            f"the tape at {shown(url)} is of revision {now or 'none'}, {target} expected, and "
            f"{connection.info.user} may not change it; have its owner open it once"
        ) from err
    except psycopg.Error as err:
        raise translated(err, f"migrating the tape at {shown(url)}") from err


def _settled(now: str | None, target: str) -> bool:
    if now is not None and now not in steps():
        raise TapeError(
            f"the tape is of revision {now}, this version knows {steps()[-1]} and older; "
            "install a newer onetape to open it"
        )
    return now is not None and now >= target


def _upgrade(url: str, target: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    from onetape.tape.roles import arrange
    from onetape.tape.server import connect

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect(url, autocommit=False), poolclass=NullPool
    )
    try:
        with _one_at_a_time, engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '60s'")
            connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS onetape")
            config.attributes["connection"] = connection
            command.upgrade(config, target)
            arrange(connection.connection.dbapi_connection)  # type: ignore[arg-type]
    except DBAPIError as err:
        raise err.orig if err.orig is not None else err from None
