"""Connections, the errors of a database in our words, and what opening it checks."""

from __future__ import annotations

import subprocess
import sys
from itertools import count

import psycopg
import pytest
from psycopg import sql

from onetape.errors import SettingsError, TapeError, TapeForbidden, TapeUnavailable
from onetape.tape.embedded import Server
from onetape.tape.server import AHEAD, connect, prepare, shown, translated

from .servers import until

NAMES = count(1)
SECRET = "s3cret"


def fresh(server: Server) -> str:
    """The URL of a database that holds no tape."""
    return server.url_of(f"empty_{next(NAMES)}")


def other(url: str, user: str) -> str:
    """The same database for another login."""
    return url.replace("postgres@", f"{user}@")


def login(url: str, *, member: str | None = None) -> str:
    """Make a login, a member of a group if one is named; return its URL."""
    name = f"login_{next(NAMES)}"
    with connect(url) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        if member:
            grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(member), sql.Identifier(name))
            connection.execute(grant)
    return other(url, name)


def test_a_connection_sees_the_tape_first_and_commits_durably(database: str) -> None:
    with connect(database) as connection:
        assert connection.autocommit
        assert connection.execute("SELECT last_seq FROM ledger_head").fetchone() == (0,)
        said = [
            connection.execute(f"SHOW {x}").fetchone()
            for x in ("synchronous_commit", "search_path")
        ]
        assert said == [("on",), ("onetape,pg_catalog",)]
        asked = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        assert connection.execute(asked).fetchone() == ("onetape",)


def test_a_connection_can_work_in_a_role_and_without_autocommit(database: str) -> None:
    with connect(database, autocommit=False, role="onetape_reader") as connection:
        assert not connection.autocommit
        assert connection.execute("SELECT current_user").fetchone() == ("onetape_reader",)


def test_a_role_that_is_not_there_is_named(database: str) -> None:
    with pytest.raises(TapeError, match="nobody_such"):
        connect(database, role="nobody_such")


def test_what_the_url_says_wins_over_our_defaults(database: str) -> None:
    url = f"{database}&application_name=desk&options=-c%20work_mem%3D5MB"
    with connect(url) as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("desk",)
        assert connection.execute("SHOW work_mem").fetchone() == ("5MB",)
        assert connection.execute("SHOW search_path").fetchone() == ("onetape,pg_catalog",)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}@127.0.0.1:1/tape",
        f"host=127.0.0.1 port=1 user=me password={SECRET} dbname=tape",
        f"postgresql://me:a@{SECRET}@127.0.0.1/tape",
        f"postgresql://me:{SECRET}/x@127.0.0.1/tape",
        f"postgresql://me:{SECRET}?x@127.0.0.1/tape",
        f"postgresql+psycopg://me:{SECRET}@127.0.0.1/tape",
        f"postgresql://127.0.0.1:1/tape?password={SECRET}",
        f"me:{SECRET}",
    ],
)
def test_no_message_shows_a_password(url: str) -> None:
    with pytest.raises((TapeError, SettingsError)) as caught:
        connect(url)
    assert SECRET not in str(caught.value)
    assert SECRET not in shown(url)
    error: BaseException | None = caught.value
    while error is not None and not error.__suppress_context__:
        assert SECRET not in str(error)
        error = error.__cause__ or error.__context__


def test_where_a_url_points_is_shown() -> None:
    assert shown("postgresql://me:x@db.firm:5433/tape") == "me@db.firm:5433/tape"
    assert shown("postgresql:///tape?host=/run/pg") == "/run/pg/tape"


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(TapeUnavailable, match=r"127\.0\.0\.1:1/tape"):
        connect("postgresql://127.0.0.1:1/tape")


def test_a_missing_database_says_what_to_type(pg_server: Server) -> None:
    with pytest.raises(TapeError, match="createdb") as caught:
        connect(pg_server.url.replace("/onetape?", "/nothing?"))
    assert 'database "nothing" does not exist' in str(caught.value)


def test_a_login_that_is_not_there_is_forbidden(pg_server: Server) -> None:
    with pytest.raises(TapeForbidden, match="stranger"):
        connect(other(pg_server.url, "stranger"))


def test_a_wrong_password_is_forbidden_and_not_shown(pg_server: Server) -> None:
    rules = pg_server.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    with connect(pg_server.url) as connection:
        connection.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
        rules.write_text(f"local all locked scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        url = pg_server.url.replace("postgres@", f"locked:{SECRET}@")
        told: list[TapeForbidden] = []

        def refused() -> bool:
            try:
                connect(url).close()
            except TapeForbidden as err:
                told.append(err)
            return bool(told)

        until(refused)  # the server reads its rules again in a moment
        assert "password" in str(told[0])
        assert SECRET not in str(told[0])
        rules.write_text(before)
        connection.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("53100", TapeUnavailable, "disk is full"),
        ("53300", TapeUnavailable, "connections"),
        ("40001", TapeUnavailable, "try again"),
        ("57P01", TapeUnavailable, "away"),
        ("58030", TapeUnavailable, "away"),
        ("42501", TapeForbidden, "login"),
        ("25006", TapeForbidden, "primary"),
        ("XX001", TapeError, "damaged"),
        ("42P01", TapeError, "open it once"),
        ("22012", TapeError, "writing it"),
    ],
)
def test_an_error_of_the_server_is_told_in_our_words(
    database: str, code: str, kind: type[TapeError], said: str
) -> None:
    raised = sql.SQL("DO $$ BEGIN RAISE 'oh' USING ERRCODE = {}; END $$").format(sql.Literal(code))
    with connect(database) as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(raised)
    told = translated(caught.value, "writing it")
    assert type(told) is kind
    assert said in str(told)


def test_a_cut_connection_is_unavailable(database: str) -> None:
    with connect(database) as ours, connect(database) as theirs:
        theirs.execute("SELECT pg_terminate_backend(%s)", [ours.info.backend_pid])
        with pytest.raises(psycopg.Error) as caught:
            ours.execute("SELECT 1")
        assert type(translated(caught.value, "reading")) is TapeUnavailable
        with pytest.raises(psycopg.Error) as caught:
            ours.execute("SELECT 1")
        assert type(translated(caught.value, "reading")) is TapeUnavailable


def test_our_own_errors_stay_as_they_are() -> None:
    error = TapeForbidden("no")
    assert translated(error, "trying") is error


def test_opening_makes_room_ahead_of_the_head(database: str) -> None:
    with connect(database) as connection:
        connection.execute("UPDATE ledger_head SET last_seq = %s", [AHEAD])
        prepare(database)
        asked = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'onetape.event'::regclass"
        assert connection.execute(asked).fetchone() == (2,)


def test_a_database_in_another_encoding_is_refused(pg_server: Server) -> None:
    with connect(pg_server.url) as connection:
        connection.execute(
            "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'"
            " TEMPLATE template0"
        )
    with pytest.raises(TapeError, match=r"LATIN1, UTF8 expected.*createdb"):
        prepare(pg_server.url_of("latin"))


def test_readers_and_writers_open_a_tape_that_is_up_to_date(database: str) -> None:
    for group in ("onetape_reader", "onetape_writer", "onetape_projector"):
        prepare(login(database, member=group))


def test_a_stranger_may_not_open_a_tape(database: str) -> None:
    with pytest.raises(TapeForbidden):
        prepare(login(database))


def test_a_login_that_may_not_make_a_tape_is_told_who_may(pg_server: Server) -> None:
    with pytest.raises(TapeForbidden, match=r"revision none.*its owner"):
        prepare(login(fresh(pg_server)))


def test_a_session_that_only_reads_opens_what_is_up_to_date(database: str) -> None:
    prepare(f"{database}&options=-c%20default_transaction_read_only%3Don")


def test_opening_what_is_up_to_date_loads_no_migration_tool(database: str) -> None:
    code = (
        "import sys; from onetape.tape.server import prepare; prepare(sys.argv[1]);"
        "print({'alembic', 'sqlalchemy', 'polars'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, database]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
