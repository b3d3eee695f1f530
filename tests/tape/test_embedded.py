"""The embedded server: started once, shared, recovered, and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from onetape.errors import SettingsError, TapeError, TapeUnavailable
from onetape.tape import embedded, installation
from onetape.tape.embedded import Server, default_folder, serve
from onetape.tape.postmaster import running, stop
from onetape.tape.server import connect

from .servers import in_child, line, process, until

HOLDER = """
import sys
from pathlib import Path
from onetape.tape.embedded import serve
server = serve(Path(sys.argv[1]))
print(server.pid, flush=True)
sys.stdin.readline()
"""
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def kept(new_place: Callable[[], Path]) -> Path:
    """A folder that a server had before: starts in it need no initdb."""
    folder = new_place()
    with serve(folder):
        pass
    return folder


@pytest.fixture
def used(kept: Path) -> Iterator[Path]:
    """The same, with no server running before and after."""
    assert ended(kept)()
    yield kept
    stop(kept / "data")


def ended(folder: Path) -> Callable[[], bool]:
    return lambda: running(folder / "data") is None


def watchdog(folder: Path) -> psutil.Process:
    """The folder's watchdog, once any other that came too late has ended."""
    marks = ("onetape.tape.watchdog", str(folder))
    found: list[psutil.Process] = []

    def alone() -> bool:
        found[:] = [p for p in psutil.process_iter() if all(m in cmdline(p) for m in marks)]
        return len(found) == 1

    until(alone)
    return found[0]


def cmdline(one: psutil.Process) -> list[str]:
    try:
        return one.cmdline()
    except psutil.Error:
        return []


def answer(server: Server, asked: str) -> object:
    with connect(server.url) as connection:
        row = connection.execute(asked).fetchone()
    assert row is not None
    return row[0]


def crashed(server: Server) -> None:
    """Kill the server; it may still be dying on return."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)


def test_a_new_folder_gets_a_server_that_is_private_and_durable(place: Path) -> None:
    with serve(place) as server:
        assert server.pid is not None
        assert server.folder == place
        assert answer(server, "SELECT current_database()") == "onetape"
        assert answer(server, "SHOW listen_addresses") == ""
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert answer(server, f"SHOW {setting}") == "on"
        assert answer(server, "SHOW max_wal_size") == "1GB"
        assert answer(server, "SHOW server_encoding") == "UTF8"
        for folder in (place, place / "data", place / "socket"):
            assert folder.stat().st_mode & 0o077 == 0
    assert ended(place)()


def test_stopping_twice_lets_go_once(used: Path) -> None:
    first, second = serve(used), serve(used)
    first.stop()
    first.stop()
    assert answer(second, "SELECT 1") == 1
    second.stop()
    assert ended(used)()


def test_other_databases_are_made_when_asked_for_whatever_their_name(place: Path) -> None:
    folder = place / "a b%é"
    place.chmod(0o711)
    with serve(folder) as server, connect(server.url_of("täglich %40")) as connection:
        assert connection.info.dbname == "täglich %40"


def test_two_processes_share_one_server_and_the_last_one_stops_it(used: Path) -> None:
    with process(HOLDER, used) as other:
        pid = int(line(other))
        with serve(used) as server:
            assert server.pid == pid
        assert running(used / "data") == pid
        other.communicate("\n")
    assert ended(used)()


def test_four_processes_that_start_at_once_share_one_server(place: Path) -> None:
    with (
        process(HOLDER, place) as a,
        process(HOLDER, place) as b,
        process(HOLDER, place) as c,
        process(HOLDER, place) as d,
    ):
        assert len({line(one) for one in (a, b, c, d)}) == 1


def test_a_process_that_forgets_to_stop_leaves_no_server(used: Path) -> None:
    code = HOLDER.replace("sys.stdin.readline()", "raise SystemExit(3)")
    with process(code, used) as other:
        assert int(line(other)) > 0
        assert other.wait(60) == 3
    assert ended(used)()


def test_the_watchdog_stops_a_server_whose_holder_was_killed(used: Path) -> None:
    with process(HOLDER, used) as other:
        assert line(other)
        other.kill()
        until(ended(used))


def test_a_server_left_without_watchdog_and_holder_is_taken_over(used: Path) -> None:
    with process(HOLDER, used) as other:
        pid = int(line(other))
        watchdog(used).kill()
        other.kill()
        other.wait()
        assert running(used / "data") == pid
        with serve(used) as server:
            assert server.pid == pid
            assert watchdog(used).is_running()
    assert ended(used)()


def test_a_killed_watchdog_is_replaced_by_the_next_who_comes(used: Path) -> None:
    with serve(used):
        watchdog(used).kill()
        with process(HOLDER, used) as other:
            assert line(other)
            assert watchdog(used).is_running()


def test_a_killed_server_comes_back_with_all_that_was_committed(used: Path) -> None:
    told: list[str] = []
    with serve(used) as server:
        with connect(server.url) as connection:
            connection.execute("CREATE TABLE public.kept AS SELECT generate_series(1, 1000) AS n")
        crashed(server)
        server.revive(told=told.append)
        assert answer(server, "SELECT count(*) FROM public.kept") == 1000
        crashed(server)
        with serve(used) as again:
            assert answer(again, "SELECT count(*) FROM public.kept") == 1000


def test_a_recovery_is_told(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "QUIET", 0.0)
    told: list[str] = []
    with serve(used) as server:
        crashed(server)
        server.revive(told=told.append)
    assert told
    assert "recovers after a crash" in told[0]


def test_a_pid_that_another_program_got_does_not_hinder_a_start(used: Path) -> None:
    with serve(used) as server:
        crashed(server)
        until(lambda: server.pid is None)
        identity = installation.identity_for(used)
        other = subprocess.Popen(["sleep", "600"], user=identity.user, group=identity.group)
        try:
            path = used / "data" / "postmaster.pid"
            path.write_text("\n".join([str(other.pid), *path.read_text().split("\n")[1:]]))
            server.revive()
            assert answer(server, "SELECT 1") == 1
            assert other.poll() is None
        finally:
            other.kill()
            other.wait()


def test_a_forked_child_neither_stops_nor_holds_its_parents_server(used: Path) -> None:
    with serve(used) as server:
        _, said = in_child(lambda: f"{server.stop()} {running(used / 'data')}")
        assert said() == f"None {server.pid}"
        child, said = in_child(lambda: str(signal.pause()))
    assert ended(used)()
    os.kill(child, signal.SIGKILL)
    said()


def test_a_forked_child_that_serves_holds_for_itself(used: Path) -> None:
    ours, theirs = os.pipe()

    def work() -> str:
        with serve(used) as own:
            os.write(theirs, b"x")
            signal.sigwait({signal.SIGUSR1})
            return str(answer(own, "SELECT 1"))

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    with serve(used):
        child, said = in_child(work)
        os.read(ours, 1)
    assert not ended(used)()
    os.kill(child, signal.SIGUSR1)
    assert said() == "1"
    assert ended(used)()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    os.close(ours)
    os.close(theirs)


def test_a_deep_folder_gets_its_socket_elsewhere(place: Path) -> None:
    place.chmod(0o711)
    with serve(place / ("deep" * 30)) as server:
        assert str(place) not in server.url
        assert answer(server, "SELECT 1") == 1
        sockets = Path(str(answer(server, "SHOW unix_socket_directories")).strip('"'))
    shutil.rmtree(sockets)


def test_no_room_for_a_socket_path_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.chmod(0o711)
    deep = place / ("deep" * 30)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with pytest.raises(SettingsError, match="shorter"):
        serve(deep / "tape")


def test_data_of_another_version_is_refused_and_left_alone(place: Path) -> None:
    (place / "data").mkdir()
    (place / "data" / "PG_VERSION").write_text("15\n")
    with pytest.raises(TapeError, match="PostgreSQL 15, 18 expected"):
        serve(place)
    assert [p.name for p in (place / "data").iterdir()] == ["PG_VERSION"]


def test_a_folder_with_other_things_is_refused_and_left_alone(place: Path) -> None:
    (place / "thesis.tex").touch()
    place.chmod(0o755)
    with pytest.raises(SettingsError, match=r"holds other things \(thesis.tex\)"):
        serve(place)
    assert place.stat().st_mode & 0o777 == 0o755


def test_a_folder_with_somebodys_data_is_refused_and_left_alone(place: Path) -> None:
    (place / "data").mkdir()
    place.chmod(0o755)
    with pytest.raises(SettingsError, match=r"holds other things \(data\)"):
        serve(place)
    assert place.stat().st_mode & 0o777 == 0o755


def test_a_file_in_the_place_of_a_folder_is_refused(place: Path) -> None:
    (place / "tape").touch()
    with pytest.raises(SettingsError, match="cannot hold the tape"):
        serve(place / "tape")


def test_a_broken_start_says_what_the_server_said(place: Path) -> None:
    with serve(place):
        pass
    (place / "data" / "global" / "pg_control").unlink()
    with pytest.raises(TapeUnavailable, match="pg_control"):
        serve(place)


@as_root
def test_root_is_told_of_a_folder_that_the_servers_user_cannot_reach(place: Path) -> None:
    with pytest.raises(SettingsError, match="cannot enter"):
        serve(place / "tape")
    assert place.stat().st_mode & 0o777 == 0o700
    assert not (place / "tape").exists()


@as_root
def test_binaries_that_the_servers_user_cannot_read_are_copied(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, shared, tape = place / "hidden", place / "shared", place / "tape"
    place.chmod(0o711)
    hidden.mkdir(mode=0o700)
    package = installation.binaries_for(None).parents[1]
    for path in (package, package.with_name(f"{package.name}.libs")):
        (hidden / path.name).symlink_to(path)
    monkeypatch.syspath_prepend(str(hidden))
    monkeypatch.setattr(installation, "SHARED", shared)
    installation.binaries_for.cache_clear()
    with serve(tape) as server:
        assert psutil.Process(server.pid).exe().startswith(str(shared))
        assert answer(server, "SELECT 1") == 1
    installation.binaries_for.cache_clear()
    assert hidden.stat().st_mode & 0o777 == 0o700


@as_root
def test_an_ordinary_user_serves_a_folder_of_its_own(place: Path) -> None:
    if not installation.reachable(NOBODY, installation.binaries_for(None)):
        pytest.skip("this environment's binaries can be read by root only")
    place.chmod(0o711)
    own = place / "own"
    own.mkdir(mode=0o700)
    os.chown(own, NOBODY, NOBODY)

    def work() -> str:
        with serve(own) as server:
            return f"{answer(server, 'SELECT 1')} {psutil.Process(server.pid).uids().real}"

    assert in_child(work, NOBODY)[1]() == f"1 {NOBODY}"
    assert ended(own)()


@as_root
def test_an_ordinary_user_is_told_of_a_folder_that_it_may_not_use(place: Path) -> None:
    def work() -> str:
        with pytest.raises(SettingsError, match="Permission denied"):
            serve(place)
        with pytest.raises(SettingsError, match="Permission denied"):
            serve(place / "tape")
        return "told"

    assert in_child(work, NOBODY)[1]() == "told"


def test_a_folder_that_was_taken_away_is_made_anew(place: Path) -> None:
    place.chmod(0o711)
    tape = place / "tape"
    first = serve(tape)
    stop(tape / "data")
    shutil.rmtree(tape)
    with serve(tape) as second:
        assert answer(second, "SELECT 1") == 1
        first.stop()
        assert answer(second, "SELECT 1") == 1
    assert ended(tape)()


def test_the_folder_can_be_set(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("ONETAPE_HOME", str(place))
    assert default_folder() == place / "tape"


def test_unless_set_the_folder_is_one_that_the_servers_user_can_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ONETAPE_HOME")
    folder = default_folder()
    there = next(path for path in folder.parents if path.exists())
    assert installation.reachable(installation.identity_for(folder).user, there)


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 80 MB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=80m,mode=0711", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(folder: Path) -> Path:
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return path


@pytest.mark.slow
def test_a_full_disk_is_named_and_freeing_it_is_enough(small_disk: Path) -> None:
    tape = small_disk / "tape"
    filler = fill(small_disk)
    with pytest.raises(TapeUnavailable, match="disk is full"):
        serve(tape)
    filler.unlink()
    with serve(tape) as server:
        assert answer(server, "SELECT 1") == 1
    filler = fill(small_disk)
    with pytest.raises(TapeUnavailable, match="disk is full"):
        serve(tape)
    filler.unlink()
    with serve(tape) as server:
        assert answer(server, "SELECT 1") == 1


def test_importing_the_server_starts_nothing() -> None:
    code = "import onetape.tape.embedded, sys; print('psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
