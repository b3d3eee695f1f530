"""The embedded server's program: a cluster made, a server started, watched and stopped.

Settings   durable whatever happens (fsync, synchronous_commit, checksums), one gigabyte of WAL
           at most so that recovery stays short, no TCP. Authentication is `trust` on a socket
           in a folder that only the server's user (and root) can enter: whoever can enter it
           is the database's superuser, so a claim of integrity rests on anchors outside.
Raises     SettingsError where a folder or user cannot serve, TapeUnavailable where the server
           does not start now (disk full), TapeError where its data is of another version.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from stat import S_ISDIR

from onetape.errors import SettingsError, TapeError, TapeUnavailable
from onetape.tape.installation import VERSION, Identity, binaries_for, identity_for

SUPERUSER = "postgres"
PORT = 5432  # names the socket's file only
DEAD_PID = 4_194_305  # above every kernel's largest pid
GIB = 1 << 30
ENDING = 10.0  # seconds that a killed process may take to close its socket
LONG_LOG = 8 << 20  # bytes after which the log begins anew


@dataclass(frozen=True)
class Postmaster:
    """The server's program over `folder`, run as `identity`."""

    folder: Path
    identity: Identity
    binaries: Path

    @property
    def data(self) -> Path:
        """The cluster's folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "server.log"

    def own(self, path: Path) -> None:
        """Give a path to the server's user."""
        user, group, _ = self.identity
        if user is not None and group is not None:
            os.chown(path, user, group, follow_symlinks=False)

    def start(self) -> tuple[int, int]:
        """Start the server over a cluster, made when missing.

        Returns its pid and where in the log its words begin. It is not ready yet.
        """
        self._initialize()
        disown(self.data)
        sockets = socket_folder(self)
        _cleared(sockets)
        if self.log.exists() and self.log.stat().st_size > LONG_LOG:
            self.log.replace(self.log.with_suffix(".log.old"))
        self.log.touch(mode=0o600)
        self.own(self.log)
        since = self.log.stat().st_size
        command = [str(self.binaries / "postgres"), "-D", str(self.data), *_options(sockets)]
        return detached(command, log=str(self.log), cwd=self.folder, identity=self.identity), since

    def _initialize(self) -> None:
        """Make the cluster, whole or not at all."""
        if self.data.exists():
            version = self.data / "PG_VERSION"
            found = version.read_text().strip() if version.exists() else "no version"
            if found != VERSION:
                raise TapeError(
                    f"{self.data} holds data of PostgreSQL {found}, {VERSION} expected; move the "
                    "folder away, or serve it with its own version and give that server's URL"
                )
            return
        made = self.folder / "data.new"  # a crash in initdb leaves no half a cluster
        shutil.rmtree(made, ignore_errors=True)
        done = subprocess.run(
            [
                self.binaries / "initdb", "-D", made, "-U", SUPERUSER, "--encoding=UTF8",
                "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
                "--data-checksums", "--auth-local=trust", "--auth-host=reject",
            ],
            cwd=self.folder, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, user=self.identity.user, group=self.identity.group,
            extra_groups=self.identity.groups,
        )  # fmt: skip
        if done.returncode:
            shutil.rmtree(made, ignore_errors=True)
            raise self._failure("no database could be made", done.stderr or done.stdout)
        made.rename(self.data)
        _synced(self.folder)  # else a power failure could leave it under the passing name

    def said(self, since: int) -> str:
        """Return what the server logged after byte `since`."""
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def fell(self, since: int) -> TapeError:
        """Return why the server ended, from what it logged after byte `since`."""
        said = self.said(since)
        telling = [x for x in said.splitlines() if "FATAL" in x or "PANIC" in x or "HINT" in x]
        if "No space left" not in said and telling:
            said = "\n".join(telling)
        return self._failure("the server ended while it started", said)

    def _failure(self, what: str, said: str) -> TapeError:
        last = " / ".join(said.strip().splitlines()[-3:])
        if "No space left" in said:
            return TapeUnavailable(
                f"{what} in {self.folder}: the disk is full; free some space there and try again"
                f" (the server said: {last})"
            )
        where = f"; see {self.log}" if self.log.exists() else ""
        return TapeUnavailable(
            f"{what} in {self.folder}: {last or 'the server said nothing'}{where}"
        )


def detached(
    command: list[str],
    environment: dict[str, str] | None = None,
    *,
    log: str = "/dev/null",
    cwd: Path = Path("/"),
    identity: Identity = Identity(),  # noqa: B008  (immutable)
) -> int:
    """Start a program away from this process, its group and its terminal; return its pid.

    It is nobody's child here: no host program waits for it by accident.
    """
    script = '"$@" </dev/null >>"$ONETAPE_LOG" 2>&1 & echo $!'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *command], cwd=cwd,
        env=_environment() | (environment or {}) | {"ONETAPE_LOG": log},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        start_new_session=True, user=identity.user, group=identity.group,
        extra_groups=identity.groups,
    )  # fmt: skip
    if done.returncode:
        raise TapeUnavailable(f"{command[0]} could not be started: {done.stderr.strip()}")
    return int(done.stdout)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not waited for does not."""
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def running(data: Path) -> int | None:
    """Return the pid of the server over a cluster, None when there is none.

    A pid file outlives a crash and its number may be another program's by now: the process
    must be a postgres that was started for this very folder.
    """
    import psutil

    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        command = psutil.Process(pid).cmdline()  # empty once it has ended
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if str(data) in command and "postgres" in command[0] else None


def state(data: Path) -> tuple[Path | None, str]:
    """Return the running server's socket folder and its state ("starting", "ready", ...)."""
    try:
        lines = (data / "postmaster.pid").read_text().split("\n")
    except OSError:
        return None, ""
    sockets = Path(lines[4]) if len(lines) > 4 and lines[4] else None
    return sockets, lines[7].strip() if len(lines) > 7 else ""


def disown(data: Path) -> None:
    """Take the pid of a dead server out of its pid file.

    Another program may have got the number since (always, where a container starts anew), and
    PostgreSQL would take it for the old server. The rest of the file stays: with it PostgreSQL
    makes sure that no child of the old server still uses the memory.
    """
    path = data / "postmaster.pid"
    if path.exists():
        lines = path.read_text().split("\n")
        path.write_text("\n".join([str(DEAD_PID), *lines[1:]]))


def stop(data: Path, patience: float = 120.0) -> None:
    """Stop the server over a cluster (fast: sessions are cut, everything durable)."""
    pid = running(data)
    for said in (signal.SIGINT, signal.SIGQUIT):  # SIGQUIT: recovery on the next start
        if pid is None:
            return
        try:
            os.kill(pid, said)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience
        while running(data) == pid and time.monotonic() < end:
            time.sleep(0.01)
        pid = running(data)


def postmaster(folder: Path) -> Postmaster:
    """Return the program for a folder, with a user and binaries that work together."""
    identity = identity_for(folder)
    return Postmaster(folder, identity, binaries_for(identity.user))


def socket_folder(one: Postmaster) -> Path:
    """Return a folder for the socket: beside the data, or a short one where that is too long.

    Beside the data nobody cleans up and permissions are right; the system allows 107 bytes for
    the whole path (103 on macOS), hence the other places. Tried by binding, not by counting.
    """
    name = f"onetape-{os.geteuid()}-{sha256(os.fsencode(one.data)).hexdigest()[:12]}"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [one.folder / "socket"]
    if runtime and one.identity.user is None:
        places.append(Path(runtime) / name)
    places.append(Path(tempfile.gettempdir()) / name)
    trouble: list[str] = []
    for place in places:
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            _private(one, place)
            _bind(place)
            return place
        except OSError as err:
            trouble.append(f"{place} ({err})")
    raise SettingsError(
        f"no folder for the server's socket: {'; '.join(trouble)}; a path of at most 100 bytes "
        "in a folder of your own is needed: set TMPDIR or ONETAPE_HOME to a shorter one"
    )


def _private(one: Postmaster, place: Path) -> None:
    """Make sure, before anything is handed over, that nobody else made or can enter a folder."""
    found = place.lstat()
    if found.st_uid not in (os.geteuid(), one.identity.user) or not S_ISDIR(found.st_mode):
        raise PermissionError(f"it is not {os.geteuid()}'s own folder")
    if found.st_mode & 0o077:
        raise PermissionError("it is open to others")
    one.own(place)


def _bind(place: Path) -> None:
    trial = place / f".t.PGSQL.{PORT}"  # as long as the real name
    trial.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(trial))
    trial.unlink()


def _cleared(place: Path) -> None:
    """Take away what a killed server left of its socket.

    Its pid in the lock file may be another program's by now, or nobody has waited for its end
    yet; the folder is this cluster's own, so a socket that nobody answers is a dead one's.
    """
    path = place / f".s.PGSQL.{PORT}"
    end = time.monotonic() + ENDING
    while _answers(path):
        if time.monotonic() > end:
            raise TapeUnavailable(
                f"a server that this process cannot see (in another container?) answers at {path}; "
                "stop it there, or name another folder (ONETAPE_HOME)"
            )
        time.sleep(0.01)
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


def _synced(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _environment() -> dict[str, str]:
    """Return the caller's environment without what would steer PostgreSQL elsewhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _options(sockets: Path) -> list[str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    shared = min(max(memory // 16, GIB // 4), GIB)
    chosen = {
        "listen_addresses": "",
        "unix_socket_directories": f'"{sockets}"',
        "unix_socket_permissions": "0700",
        "port": PORT,
        "max_connections": 100,
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "max_wal_size": "1GB",
        "min_wal_size": "128MB",
        "checkpoint_timeout": "15min",
        "wal_compression": "pglz",
        "max_slot_wal_keep_size": "4GB",
        "shared_buffers": f"{shared >> 20}MB",
        "effective_cache_size": f"{(memory // 2) >> 20}MB",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        "cluster_name": "onetape",
    }
    return [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
