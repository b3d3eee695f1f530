"""Migrations: from every released revision, by several at once, only forward."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import count
from pathlib import Path

import pytest

from onetape.errors import TapeError, TapeForbidden
from onetape.tape import migrations
from onetape.tape.embedded import Server
from onetape.tape.migrations.run import found, migrate, steps
from onetape.tape.server import connect, prepare

from .servers import line, process
from .test_server import login

NAMES = count(1)
FOLDER = Path(migrations.__file__).parent

OPENER = """
import sys
from onetape.tape.server import prepare
print("here", flush=True)
sys.stdin.readline()
prepare(sys.argv[1])
print("open", flush=True)
"""


@pytest.fixture
def empty(pg_server: Server) -> str:
    """The URL of a database that holds no tape."""
    return pg_server.url_of(f"new_{next(NAMES)}")


def shape(url: str) -> list[tuple[object, ...]]:
    """All columns, indexes, triggers, functions and grants of the schema."""
    asked = """
        SELECT 'column', table_name, column_name, data_type, column_default FROM
          information_schema.columns WHERE table_schema = 'onetape'
        UNION ALL SELECT 'index', tablename, indexname, indexdef, '' FROM pg_indexes
          WHERE schemaname = 'onetape'
        UNION ALL SELECT 'trigger', event_object_table, trigger_name, event_manipulation,
          action_timing FROM information_schema.triggers WHERE trigger_schema = 'onetape'
        UNION ALL SELECT 'relation', relname, relkind::text, pg_get_userbyid(relowner),
          relacl::text FROM pg_class WHERE relnamespace = 'onetape'::regnamespace
        UNION ALL SELECT 'routine', proname, prosrc, pg_get_userbyid(proowner), proacl::text
          FROM pg_proc WHERE pronamespace = 'onetape'::regnamespace
        ORDER BY 1, 2, 3, 4, 5"""
    with connect(url) as connection:
        return connection.execute(asked).fetchall()


def at(url: str, revision: str) -> None:
    """Bring a database to a revision."""
    with connect(url) as connection:
        migrate(connection, url, revision)
        assert found(connection) == revision


def test_the_steps_are_one_row_that_goes_only_forward() -> None:
    down = None
    for path in sorted((FOLDER / "versions").glob("t*.py")):
        step = import_module(f"onetape.tape.migrations.versions.{path.stem}")
        assert path.stem.startswith(f"{step.revision}_")
        assert step.down_revision == down
        assert not hasattr(step, "downgrade")
        down = step.revision
    assert steps()[-1] == down


@pytest.mark.parametrize("revision", steps())
def test_a_tape_of_every_revision_is_brought_to_the_newest(
    empty: str, template: str, pg_server: Server, revision: str
) -> None:
    at(empty, revision)
    with connect(empty) as connection:
        connection.execute("INSERT INTO dimension VALUES (1, 'account', 'A1', 1)")
    prepare(empty)
    with connect(empty) as connection:
        assert found(connection) == steps()[-1]
        assert connection.execute("SELECT key FROM dimension").fetchall() == [("A1",)]
    assert shape(empty) == shape(pg_server.url_of(template))


def test_a_tape_of_a_newer_version_is_refused(database: str) -> None:
    with connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 't9999'")
    with pytest.raises(TapeError, match=rf"t9999.*{steps()[-1]}.*newer onetape"):
        prepare(database)


def test_four_processes_open_a_new_database_at_once(empty: str) -> None:
    with (
        process(OPENER, empty) as a,
        process(OPENER, empty) as b,
        process(OPENER, empty) as c,
        process(OPENER, empty) as d,
    ):
        every = (a, b, c, d)
        assert [line(one) for one in every] == ["here"] * 4
        for one in every:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        assert [line(one) for one in every] == ["open"] * 4
    with connect(empty) as connection:
        assert found(connection) == steps()[-1]


def test_threads_open_new_databases_side_by_side(pg_server: Server) -> None:
    urls = [pg_server.url_of(f"new_{next(NAMES)}") for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(prepare, urls * 2))
    assert shape(urls[0]) == shape(urls[1])


def test_a_migration_that_fails_leaves_the_tape_as_it_was(empty: str) -> None:
    at(empty, steps()[0])
    with connect(empty) as connection:
        connection.execute("CREATE TABLE projection (in_the_way int)")
        with pytest.raises(TapeError, match="projection"):
            prepare(empty)
        assert found(connection) == steps()[0]


def test_a_reader_of_an_older_tape_is_told_both_revisions(empty: str) -> None:
    at(empty, steps()[0])
    reader = login(empty, member="onetape_reader")
    with pytest.raises(TapeForbidden, match=rf"{steps()[0]}, {steps()[-1]} expected.*its owner"):
        prepare(reader)
