# pyright: standard
"""Generations: which tables readers see, which are being built, and the change between them."""

from __future__ import annotations

import time
from typing import Any

from psycopg import Connection, errors
from psycopg.sql import SQL, Identifier

from onetape.books import schema
from onetape.errors import TapeUnavailable

LOCK, MAKING = 7_052_602, 7_052_603
LIVE = "SELECT generation FROM onetape.projection WHERE name = %s AND state = 'live'"
KNOWN = "SELECT seq, state FROM onetape.projection WHERE name = %s AND generation = %s"
NEW = "INSERT INTO onetape.projection VALUES (%s, %s, 0, %s, %s)"
GONE = "DELETE FROM onetape.projection WHERE name = %s AND generation = %s"


def live(connection: Connection[Any]) -> int:
    """Return the generation that readers see; 0 for none."""
    found = connection.execute(LIVE, (schema.NAME,)).fetchone()
    return found[0] if found else 0


def bookmark(connection: Connection[Any], generation: int) -> tuple[int, str]:
    """Return how far a generation has come, and its state."""
    found = connection.execute(KNOWN, (schema.NAME, generation)).fetchone()
    return found or (0, "missing")


def ensure(connection: Connection[Any]) -> int:
    """Return the generation that readers see, made now when there is none."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (MAKING,))
        return live(connection) or _make(connection, "live")


def announce(connection: Connection[Any]) -> int:
    """Make an empty generation beside the others; return its number."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (MAKING,))
        return _make(connection, "building")


def _make(connection: Connection[Any], state: str) -> int:
    query = "SELECT coalesce(max(generation), 0) + 1 FROM onetape.projection WHERE name = %s"
    (number,) = connection.execute(query, (schema.NAME,)).fetchone() or (1,)
    schema.create(connection, number)
    if state == "live":
        schema.show(connection, number)
    connection.execute(NEW, (schema.NAME, number, time.time_ns(), state))
    return number


def lock(connection: Connection[Any], generation: int, patience: float) -> None:
    """Take a generation for this connection; TapeUnavailable when another has it."""
    taken = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCK, generation))
    if (taken.fetchone() or (False,))[0]:
        return
    if patience > 0:
        limit = f"{max(1, int(patience * 1000))}ms"
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (limit,))
        try:
            connection.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK, generation))
            return
        except errors.LockNotAvailable:
            pass
        finally:
            connection.execute("SELECT set_config('lock_timeout', '0', false)")
    raise TapeUnavailable(
        f"generation {generation} of the books is kept by another projector, free expected; "
        f"end that one, or give patience in seconds"
    )


def unlock(connection: Connection[Any], generation: int) -> None:
    """Give a generation back."""
    connection.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCK, generation))


def release(connection: Connection[Any]) -> None:
    """Give back every generation that this connection has."""
    connection.execute("SELECT pg_advisory_unlock_all()")


def switch(connection: Connection[Any], generation: int) -> bool:
    """Show a built generation; False while it is behind the one that readers see."""
    with connection.transaction():
        query = "SELECT generation, seq FROM onetape.projection WHERE name = %s FOR UPDATE"
        seqs = dict(connection.execute(query, (schema.NAME,)).fetchall())
        old = live(connection)
        if seqs.get(old, 0) > seqs[generation]:
            return False
        connection.execute(GONE, (schema.NAME, old))
        connection.execute("DELETE FROM onetape.snapshot WHERE generation = %s", (old,))
        told = "UPDATE onetape.projection SET state = 'live' WHERE name = %s AND generation = %s"
        connection.execute(told, (schema.NAME, generation))
        schema.show(connection, generation)
    return True


def sweep(connection: Connection[Any]) -> None:
    """Remove generations that nobody shows or builds: replaced ones, builds that were killed."""
    query = "SELECT generation FROM onetape.projection WHERE name = %s AND state = 'building'"
    for (number,) in connection.execute(query, (schema.NAME,)).fetchall():
        taken = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCK, number))
        if (taken.fetchone() or (False,))[0]:
            connection.execute(GONE, (schema.NAME, number))
            unlock(connection, number)
    query = "SELECT generation FROM onetape.projection WHERE name = %s"
    kept = {number for (number,) in connection.execute(query, (schema.NAME,)).fetchall()}
    made = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^books_[0-9]+$'"
    for (name,) in connection.execute(made).fetchall():
        if int(name.removeprefix("books_")) not in kept:
            with connection.transaction():
                schema.drop(connection, int(name.removeprefix("books_")))


def parked(connection: Connection[Any], generation: int) -> int:
    """Return how many events were put aside."""
    table = Identifier(schema.schema_of(generation), "parked")
    found = connection.execute(SQL("SELECT count(*) FROM {}").format(table)).fetchone()
    return found[0] if found else 0
