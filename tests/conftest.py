"""What all tests share: Hypothesis draws the same examples on every machine, with no clock; a
PostgreSQL of the session's own, and a fresh, migrated database in it for each test that asks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from onetape.tape.embedded import Server, serve
from onetape.tape.postmaster import stop
from onetape.tape.server import connect, prepare

settings.register_profile("onetape", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("onetape")

NUMBERS = count(1)
MEMORY = Path("/dev/shm")
ENOUGH = 4 << 30  # bytes


@pytest.fixture(scope="session")
def new_place() -> Iterator[Callable[[], Path]]:
    """Makes folders for servers; all are gone at the end of the session.

    In memory where there is room: fsync stays on and costs nothing. Unlike pytest's own folders
    they can be reached by the user that serves for root.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH
    made: list[Path] = []

    def new() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="onetape-test-", dir=MEMORY if roomy else None)))
        return made[-1]

    yield new
    for folder in made:
        for data in (folder / "data", folder / "tape" / "data"):
            stop(data)  # a test that forgot, or a holder that ends with the session
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def nobodys_own_tape(new_place: Callable[[], Path]) -> Iterator[None]:
    """No test touches the tape of whoever runs it."""
    home = new_place()
    home.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONETAPE_HOME", str(home))
        patch.delenv("ONETAPE_TAPE", raising=False)
        yield


@pytest.fixture
def place(new_place: Callable[[], Path]) -> Iterator[Path]:
    """A new folder for a server."""
    folder = new_place()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def pg_server(new_place: Callable[[], Path]) -> Iterator[Server]:
    """An embedded server for the session; gone with its data at the end."""
    with serve(new_place()) as server:
        yield server


@pytest.fixture(scope="session")
def template(pg_server: Server) -> str:
    """The name of a migrated database that nobody is connected to."""
    prepare(pg_server.url_of("template_tape"))
    return "template_tape"


@pytest.fixture
def database(pg_server: Server, template: str) -> Iterator[str]:
    """The URL of a fresh, migrated database of the test's own."""
    name = f"test_{next(NUMBERS)}"
    with connect(pg_server.url) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
        connection.execute(f"GRANT CREATE ON DATABASE {name} TO onetape_projector")  # not copied
        yield pg_server.url_of(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
