"""The embedded server: a PostgreSQL of the user's own, started when needed, shared, never left.

    with serve() as server:
        tape = PostgresTape(server.url)

Folder     `data` (the cluster), `socket`, `server.log` and three lock files, mode 0700. By
           default `tape` in ONETAPE_HOME, else in the user's data folder. Under root the server
           runs as another user (see installation.py), who must reach the folder: where root's own
           data folder is closed to others, the default is /var/lib/onetape/tape, and a folder
           that was asked for is refused with a message; no permission is ever loosened.
Holders    Each process that called `serve` holds a kernel lock on the folder's file `holders`.
           The last one to stop (or end) takes the server down; a watchdog of its own does so
           when that one was killed (see watchdog.py, and why these locks rather than pids).
Forks      A child holds nothing and stops nothing: one that wants the server calls `serve`.
Recovery   After a crash the server replays its log first. `serve` waits as long as it says that
           it is at work, and tells so.
Raises     SettingsError, TapeUnavailable, TapeError: see postmaster.py.
"""

from __future__ import annotations

import atexit
import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from onetape.errors import SettingsError, TapeUnavailable
from onetape.settings import settings
from onetape.tape import installation
from onetape.tape import postmaster as program
from onetape.tape.server import exists, make_database

DATABASE = "onetape"
LOCKS = ("lock", "holders", "watch")
OURS = {*LOCKS, "data", "data.new", "server.log", "server.log.old", "socket"}
QUIET = 2.0  # seconds of starting before anything is told
PATIENCE = 60.0  # seconds for the children of a killed server to end


@dataclass
class _Hold:
    """What this process holds of one folder: a lock, and how often it was asked for."""

    descriptor: int
    count: int = 0


_holds: dict[Path, _Hold] = {}
_turns: set[Path] = set()
_mutex = threading.RLock()


class Server:
    """A hold on a running embedded server; let go with `stop()` or at the end of `with`."""

    def __init__(self, folder: Path, sockets: Path) -> None:
        self.folder = folder
        self._sockets = sockets
        self._process = os.getpid()
        self._stopped = False
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        """The URL of the database `onetape`."""
        return _url(self._sockets, DATABASE)

    @property
    def pid(self) -> int | None:
        """The server's process, None once it has ended."""
        return program.running(self.folder / "data")

    def url_of(self, database: str) -> str:
        """Return the URL of another database on this server, made when missing."""
        _made(self._sockets, database)
        return _url(self._sockets, database)

    def revive(self, *, told: Callable[[str], None] | None = None) -> None:
        """Start the server again if it died; the URL stays what it was."""
        with _turn(self.folder):
            self._sockets = _up(self.folder, told or _shown)

    def stop(self) -> None:
        """Let go; the server ends when no living process holds it. Does nothing twice."""
        atexit.unregister(self.stop)
        if self._stopped or self._process != os.getpid():
            return
        self._stopped = True
        _let_go(self.folder)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def serve(folder: Path | None = None, *, told: Callable[[str], None] | None = None) -> Server:
    """Return a hold on the server over `folder`, started when it does not run.

    `told` gets a line now and then while a start takes long; by default it is shown on stderr
    where somebody looks (a terminal, a notebook).
    """
    installation.supported()
    place = (default_folder() if folder is None else Path(folder).expanduser()).resolve()
    try:
        _prepared(place)
        with _turn(place):
            _hold(place)
            try:
                return Server(place, _up(place, told or _shown))
            except BaseException:
                _drop(place)
                raise
    except OSError as err:
        raise _refused(place, err) from err


def _refused(folder: Path, err: OSError) -> TapeUnavailable | SettingsError:
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        return TapeUnavailable(
            f"{folder} cannot hold the tape: the disk is full; free some space there and try again"
        )
    return SettingsError(
        f"{folder} cannot hold the tape: {err.strerror or err}; a folder on a local disk that "
        "this user may write to is expected, name another one (ONETAPE_HOME)"
    )


def default_folder() -> Path:
    """Return where the embedded tape is kept when no folder is named."""
    home = settings().home
    if home:
        return Path(home).expanduser() / "tape"
    import platformdirs

    own = platformdirs.user_data_path("onetape") / "tape"
    if os.geteuid() != 0:
        return own
    user = installation.identity_for(own).user
    return own if _reachable(user, own) else installation.SHARED / "tape"


def _reachable(user: int | None, folder: Path) -> bool:
    there = next(p for p in (folder.parent, *folder.parent.parents) if p.exists())
    return installation.reachable(user, there)


def _prepared(folder: Path) -> None:
    """Make the folder, private and the server's user's own; or say why it cannot be used."""
    fresh = not folder.exists()
    if not fresh and not (folder / "data" / "PG_VERSION").exists():
        found = {path.name for path in folder.iterdir()}
        strange = found - OURS if "lock" in found else found
        if strange:
            raise SettingsError(
                f"{folder} holds other things ({', '.join(sorted(strange)[:3])}), an empty or a "
                "new folder expected; name another one"
            )
    one = program.postmaster(folder)
    user = one.identity.user
    if user is not None and not _reachable(user, folder):
        raise SettingsError(
            f"the server's user (uid {user}) cannot enter {folder.parent}: PostgreSQL does not "
            "run as root, and permissions are not loosened; name a folder below "
            f"{installation.SHARED}, or another one that everybody can enter (ONETAPE_HOME)"
        )
    if fresh:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # others may come at once
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
    for path in (folder, *(folder / name for name in LOCKS)):
        if not path.exists():
            path.touch(mode=0o600)
        one.own(path)


@contextmanager
def _turn(folder: Path) -> Generator[None]:
    """Be the only one, among threads and processes, that starts or stops a folder's server."""
    import fcntl

    with _mutex:
        if folder in _turns:  # a second descriptor would let go of the lock when it is closed
            yield
            return
        descriptor = _open(folder / "lock")
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
            _turns.add(folder)
            yield
        finally:
            _turns.discard(folder)
            os.close(descriptor)


def _hold(folder: Path) -> None:
    import fcntl

    hold = _holds.get(folder)
    if hold is None or os.fstat(hold.descriptor).st_nlink == 0:  # the folder was made anew
        hold = _holds[folder] = _Hold(_open(folder / "holders"), hold.count if hold else 0)
        fcntl.lockf(hold.descriptor, fcntl.LOCK_SH)
    hold.count += 1


def _let_go(folder: Path) -> None:
    if folder.exists():
        with _turn(folder):
            _drop(folder)
    elif hold := _holds.pop(folder, None):
        os.close(hold.descriptor)


def _drop(folder: Path) -> None:
    """Give one hold back; the last one of the last process stops the server. Needs the turn."""
    import fcntl

    hold = _holds[folder]
    hold.count -= 1
    if hold.count:
        return
    del _holds[folder]
    try:
        fcntl.lockf(hold.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass  # others hold it
    else:
        program.stop(folder / "data")
    finally:
        os.close(hold.descriptor)


def _up(folder: Path, told: Callable[[str], None]) -> Path:
    """Return the socket folder of the server, started and ready. Needs the turn."""
    one = program.postmaster(folder)
    _watched(folder)
    began = time.monotonic()
    last, mark = began + QUIET - 1, 0
    crashed = (one.data / "postmaster.pid").exists()
    pid = program.running(one.data)
    while True:
        sockets, state = program.state(one.data)
        if state == "ready" and sockets and program.running(one.data):
            try:
                _made(sockets, DATABASE)
                return sockets
            except TapeUnavailable:  # killed, and dead in a moment
                if time.monotonic() - began > PATIENCE:
                    raise
        elif pid is None or not program.alive(pid):
            late = time.monotonic() - began > PATIENCE
            if mark and (late or not _in_the_way(one.said(mark - 1))):
                raise one.fell(mark - 1)
            pid, since = one.start()
            mark = since + 1
        if time.monotonic() - last >= 1:
            last = time.monotonic()
            doing = "recovers after a crash" if crashed else "starts"
            told(f"the tape's server {doing} ... {last - began:.0f} s")
        time.sleep(0.02)


def _url(sockets: Path, database: str) -> str:
    from urllib.parse import quote

    host = quote(os.fsencode(sockets), safe="/")
    return f"postgresql://{program.SUPERUSER}@/{quote(database)}?host={host}"


def _made(sockets: Path, database: str) -> None:
    server = _url(sockets, "postgres")
    if not exists(server, database):
        make_database(server, database)


def _in_the_way(said: str) -> bool:
    """Tell whether a start failed only because a killed server's children still end."""
    return "pre-existing shared memory block" in said or "is still in use" in said


def _watched(folder: Path) -> None:
    """Have a watchdog over the folder, started when there is none."""
    import fcntl

    descriptor = _open(folder / "watch")
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    finally:
        os.close(descriptor)
    if not sys.executable:  # Python inside another program: the last holder stops the server
        return
    paths = [path for path in sys.path if path]
    program.detached(
        [sys.executable, "-m", "onetape.tape.watchdog", str(folder)],
        {"PYTHONPATH": os.pathsep.join(paths)},
    )


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _shown(line: str) -> None:
    if sys.stderr.isatty() or "ipykernel" in sys.modules:
        sys.stderr.write(f"{line}\n")


def _forked() -> None:
    """Forget, in a child, what belongs to the parent."""
    global _mutex
    _mutex = threading.RLock()
    for hold in _holds.values():
        os.close(hold.descriptor)
    _holds.clear()
    _turns.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
