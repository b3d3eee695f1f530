"""Roles: writer and reader cannot change what is on the tape, on PostgreSQL 18 and 15."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import errors, sql

from onetape.tape.embedded import Server, serve
from onetape.tape.roles import GROUPS, OWNER, PROJECTOR, READER, WRITER, roles
from onetape.tape.server import connect, prepare

from .servers import old_server
from .test_server import login, other

NAMES = count(1)
LOG = ("event", "batch", "dimension", "stream", "anchor")
PUT = (
    "INSERT INTO event VALUES (%s, 1, %s, 0, 0, 0, 1, 1, 1, 1, 1, 1, gen_random_uuid(), '{}')",
    "INSERT INTO batch VALUES (%s, %s, 1, 1, 1, '', '', '')",
    "INSERT INTO dimension VALUES (%s, 'account', %s, 1)",
    "INSERT INTO stream VALUES (%s, %s, 'live', 1)",
    "INSERT INTO anchor VALUES (%s, %s, '', 1, 'file')",
)
CHANGES = (
    "UPDATE {} SET {} = {}",
    "DELETE FROM {}",
    "TRUNCATE {}",
    "ALTER TABLE {} ADD COLUMN more int",
    "ALTER TABLE {} DISABLE TRIGGER ALL",
    "DROP TABLE {} CASCADE",
)
COLUMN = {"event": "seq", "batch": "batch_id", "dimension": "id", "stream": "id", "anchor": "seq"}


@pytest.fixture(scope="module")
def old(new_place: Callable[[], Path]) -> Iterator[str]:
    """The URL of a PostgreSQL 15."""
    with old_server(new_place()) as url:
        yield url


@pytest.fixture(params=["18", "15"])
def tape(request: pytest.FixtureRequest) -> str:
    """A migrated tape on either server, with one row in each table of the log."""
    if request.param == "18":
        url: str = request.getfixturevalue("database")
    else:
        url = new(request.getfixturevalue("old"))
        prepare(url)
    with connect(url) as connection:
        assert str(connection.info.server_version).startswith(request.param)
        put(connection, 1)
    return url


def new(url: str, owner: str = "postgres") -> str:
    """Make an empty database on a server."""
    name = f"role_{next(NAMES)}"
    with connect(url) as connection:
        text = sql.SQL("CREATE DATABASE {} OWNER {}")
        connection.execute(text.format(sql.Identifier(name), sql.Identifier(owner)))
    return url.replace("/postgres?", f"/{name}?").replace("/onetape?", f"/{name}?")


def put(connection: psycopg.Connection[tuple[object, ...]], number: int) -> None:
    for text in PUT:
        connection.execute(text, [number, number])


def changes(table: str) -> Iterator[sql.Composed]:
    name, column = sql.Identifier(table), sql.Identifier(COLUMN.get(table, "seq"))
    for text in CHANGES:
        yield sql.SQL(text).format(name, column, column)


def test_the_writer_appends(tape: str) -> None:
    with connect(login(tape, member=WRITER)) as connection:
        put(connection, 2)
        connection.execute("SELECT * FROM ledger_head FOR UPDATE")
        connection.execute("UPDATE ledger_head SET last_seq = 2")
        connection.execute("INSERT INTO stream_head VALUES (1, 2, 2)")
        connection.execute("UPDATE stream_head SET version = 3")
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (2,)
        connection.execute("SELECT ensure_partitions(10000001, 5000000)")
        put(connection, 10_000_001)


@pytest.mark.parametrize("group", [WRITER, READER, PROJECTOR])
def test_nobody_but_the_owner_can_change_or_take_away_the_log(tape: str, group: str) -> None:
    with connect(login(tape, member=group)) as connection:
        asked = "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"
        parts = [str(name) for (name,) in connection.execute(asked)]
        assert parts
        for table in (*LOG, *parts):
            for change in changes(table):
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(change)
        for function in ("refuse", "ensure_partitions"):
            for text in ("DROP FUNCTION {} CASCADE", "ALTER FUNCTION {} OWNER TO CURRENT_USER"):
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(sql.SQL(text).format(sql.Identifier(function)))
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("DROP SCHEMA onetape CASCADE")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE onetape.mine (x int)")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SET session_replication_role = replica")


def test_the_reader_reads_and_writes_nothing(tape: str) -> None:
    with connect(login(tape, member=READER)) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM event_log").fetchone() is not None
        for text in PUT:
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(text, [3, 3])
        for text in (
            "UPDATE ledger_head SET last_seq = 9",
            "SELECT ensure_partitions(99000000, 5000000)",
            "SELECT * FROM subject_key",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(text)


def test_partitions_can_only_be_reached_through_the_log(tape: str) -> None:
    for group in (WRITER, READER):
        with connect(login(tape, member=group)) as connection:
            asked = "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"
            for (name,) in connection.execute(asked).fetchall():
                text = sql.SQL("SELECT * FROM {}").format(sql.Identifier(str(name)))
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(text)


def test_even_the_owners_changes_are_refused_by_the_trigger(tape: str) -> None:
    for role in (OWNER, "postgres"):
        with connect(tape, role=role) as connection:
            for table in LOG:
                for change in list(changes(table))[:3]:
                    with pytest.raises(errors.InsufficientPrivilege, match="never changed"):
                        connection.execute(change)


def test_the_projector_writes_its_own_tables_and_readers_see_them(tape: str) -> None:
    with connect(login(tape, member=PROJECTOR), role=PROJECTOR) as connection:
        connection.execute("CREATE SCHEMA books_1")
        connection.execute("CREATE TABLE books_1.position AS SELECT 1 AS quantity")
        connection.execute("INSERT INTO projection VALUES ('books', 1, 0, 0, 'live')")
        connection.execute("UPDATE projection SET seq = 1")
        for text in PUT:
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(text, [4, 4])
    with connect(login(tape, member=READER)) as connection:
        assert connection.execute("SELECT quantity FROM books_1.position").fetchone() == (1,)


def test_the_owner_owns_everything_in_the_schema(tape: str) -> None:
    asked = """
        SELECT relname FROM pg_class WHERE relnamespace = 'onetape'::regnamespace
          AND pg_get_userbyid(relowner) <> %s
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'onetape'::regnamespace
          AND pg_get_userbyid(proowner) <> %s"""
    with connect(tape) as connection:
        assert connection.execute(asked, [OWNER, OWNER]).fetchall() == []
        assert roles(tape) == dict.fromkeys(GROUPS, "ready")


@pytest.fixture
def bare(place: Path) -> Iterator[Server]:
    """A server on which no group was made yet."""
    with serve(place) as server:
        yield server


def test_where_no_roles_may_be_made_the_tape_works_and_tells(bare: Server) -> None:
    plain = login(bare.url).split("//")[1].split("@")[0]
    url = other(new(bare.url, plain), plain)
    prepare(url)
    prepare(url)
    told = roles(url)
    assert set(told) == set(GROUPS)
    assert all("CREATEROLE" in why for why in told.values())
    with connect(url) as connection:
        put(connection, 1)
        with pytest.raises(errors.InsufficientPrivilege, match="never changed"):
            connection.execute("DELETE FROM event")


@pytest.mark.parametrize("version", ["18", "15"])
def test_a_login_that_may_make_roles_makes_them_without_being_superuser(
    version: str, place: Path
) -> None:
    with serve(place) if version == "18" else old_server(place) as server:
        base = server.url if isinstance(server, Server) else server
        with connect(base) as connection:
            connection.execute("CREATE ROLE maker LOGIN CREATEROLE")
        url = other(new(base, "maker"), "maker")
        prepare(url)
        assert roles(url) == dict.fromkeys(GROUPS, "ready")
        prepare(url)
        writer = login(other(url, "postgres"), member=WRITER)
        with connect(writer) as connection:
            put(connection, 1)
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute("DELETE FROM event")
