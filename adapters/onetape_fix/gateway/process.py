"""The gateway as a process of its own: `python -m onetape_fix gateway CONFIG`.

It outlives whoever started it, and ends on SIGTERM or SIGINT: sessions log out, journals are
brought to the disk, the database gets what it has not yet. One process serves a config: a second
one is refused by a lock that the system lets go with its holder, however that ended.

    socket        of the config, mode 0600
    socket.lock   held while it runs; holds its pid
    socket.log    what it says, where the config names no Log
    store/*.standing   what operators have decided, beside the journals of the first session
    <home>/fix    one small file for each running gateway, so that commands find it

Raises   SettingsError where the config makes no sense or another gateway runs; VenueUnavailable
         where a process that was started does not answer.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from onetape.errors import OnetapeError, SettingsError, VenueUnavailable
from onetape.settings import settings as settings_of_home
from onetape_fix.gateway.remote import ask_once
from onetape_fix.session.settings import GatewayConfig, Settings, read

START_S = 30.0  # until a process that was started answers
LOOK_S = 0.05
GLANCE_S = 0.5  # for others who look whether a lock is free: they have it for a moment
LINES = 12  # of a log that are shown where a start failed
_log = logging.getLogger("onetape_fix")


async def run(config: Path, ready: Any = None) -> None:
    """Hold the config's sessions until a signal says that it is enough."""
    from onetape_fix.gateway.exposing import exposed
    from onetape_fix.gateway.hub import Gateway
    from onetape_fix.gateway.server import serving

    found = read(config)
    with locked(found.gateway.socket):
        enough = asyncio.Event()
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, enough.set)
        gateway = Gateway(found, keeper=keeper_of(found))
        gateway.enough = enough.set
        await gateway.start()
        try:
            async with exposed(gateway), serving(gateway, found.gateway.socket):
                with announced(config, found.gateway):
                    _log.info("holding %d sessions, pid %d", len(found.sessions), os.getpid())
                    gc.collect()
                    gc.freeze()  # what is there stays; looking through it again is a pause
                    if ready is not None:
                        ready()
                    await enough.wait()
                    _log.info("stopping")
        finally:
            await gateway.stop()
            _log.info("stopped")


def keeper_of(found: Settings) -> Any:
    """Return what copies the journals to the tape's database; None where none is named."""
    config = found.gateway
    if not config.tape or not found.sessions:
        return None
    from onetape_fix.gateway.hub import beside_journals
    from onetape_fix.gateway.keeping import keeping_of  # a database's worth of modules

    where = config.tape if isinstance(config.tape, str) else config.tape.reveal()
    return keeping_of(where, config.name, beside_journals(found.sessions[0], config, "journals"))


def main(config: Path) -> int:
    """Run until stopped; return the exit code."""
    try:
        _begin_log(read(config).gateway)
        asyncio.run(run(config))
    except OnetapeError as err:
        print(f"onetape fix: {err}", file=sys.stderr, flush=True)  # noqa: T201
        return 2 if isinstance(err, SettingsError) else 1
    return 0


def _begin_log(config: GatewayConfig) -> None:
    handler: logging.Handler = logging.StreamHandler()
    if config.log is not None:
        config.log.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(config.log, encoding="utf-8")
    form = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    form.converter = time.gmtime
    handler.setFormatter(form)
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)


# -- one at a time, and found


@contextmanager
def locked(socket: Path) -> Generator[None]:
    """Hold the lock of a gateway's socket; SettingsError where another process does."""
    path = socket.with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+") as file:
        if not _held(file, GLANCE_S):
            raise SettingsError(
                f"a gateway runs already (pid {_pid_in(file) or 'unknown'}) and holds {path}; "
                "onetape fix stop ends it"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def running(socket: Path) -> int:
    """Return the pid of the gateway that holds a socket's lock; 0 where none does."""
    path = socket.with_suffix(".lock")
    if not path.exists():
        return 0
    with path.open("r+", encoding="ascii") as file:
        return 0 if _held(file) else _pid_in(file)


def died(socket: Path) -> bool:
    """Tell whether a gateway ended without having been stopped: a stopped one leaves no pid."""
    path = socket.with_suffix(".lock")
    if not path.exists():
        return False
    with path.open("r+", encoding="ascii") as file:
        return _held(file) and _pid_in(file) != 0


def _held(file: IO[str], patience: float = 0.0) -> bool:
    """Tell whether we got a lock; one that looks for a moment whether it is free is waited for."""
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= until:
                return False
            time.sleep(LOOK_S / 10)
        else:
            return True


def _pid_in(file: IO[str]) -> int:
    file.seek(0)
    said = file.read().strip()
    return int(said) if said.isdecimal() else 0


def _registry() -> Path:
    named = settings_of_home().home
    if named:
        return Path(named).expanduser().absolute() / "fix"
    import platformdirs

    return platformdirs.user_data_path("onetape") / "fix"


@contextmanager
def announced(config: Path, gateway: GatewayConfig) -> Generator[None]:
    """Let commands find this gateway while the block runs."""
    folder = _registry()
    path = folder / f"{quote(str(gateway.socket), safe='')[-150:]}.json"
    said = {"config": str(config.absolute()), "socket": str(gateway.socket), "pid": os.getpid()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(said), encoding="utf-8")
    except OSError as err:  # it is for comfort: commands may name the config
        _log.warning("commands will not find this gateway by themselves: %s", err)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def gateways() -> list[dict[str, Any]]:
    """Return config, socket and pid of the gateways of this user that run."""
    found: list[dict[str, Any]] = []
    folder = _registry()
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        with suppress(OSError, ValueError, KeyError):
            one = json.loads(path.read_text(encoding="utf-8"))
            if pid := running(Path(one["socket"])):
                found.append({**one, "pid": pid})
    return found


# -- starting and stopping from elsewhere


def ensure(config: Path | str, timeout: float = START_S) -> Path:
    """Return the socket of a config's gateway; it is started where it does not run yet.

    Blocks until it answers: call it by `asyncio.to_thread` where a loop runs. It goes on when
    this process ends.
    """
    path = Path(config).absolute()
    found: Settings = read(path)
    socket = found.gateway.socket
    if answers(socket):
        return socket
    log = found.gateway.log or socket.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    seen = log.stat().st_size if log.exists() else 0
    pid = 0 if running(socket) else _start(path, log)
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if answers(socket):
            return socket
        if pid and not _alive(pid) and not running(socket):
            break
        time.sleep(LOOK_S)
    said = log.read_text(encoding="utf-8", errors="replace")[seen:].strip().splitlines()
    last = "\n  ".join(said[-LINES:]) or "it said nothing"
    raise VenueUnavailable(f"the gateway of {path} does not answer at {socket}; {log}:\n  {last}")


def answers(socket: Path) -> bool:
    """Tell whether a gateway listens at a socket."""
    import socket as sockets

    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        return probe.connect_ex(str(socket)) == 0


def _start(config: Path, log: Path) -> int:
    """Start the process as nobody's child, in a session of its own; return its pid."""
    command = [sys.executable, "-m", "onetape_fix", "gateway", str(config)]
    shell = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo "$!"'
    done = subprocess.run(
        ["/bin/sh", "-c", shell, "sh", str(log), *command],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        start_new_session=True, umask=0o077,
    )  # fmt: skip
    if done.returncode or not done.stdout.strip().isdecimal():
        raise VenueUnavailable(f"no process could be started: {done.stderr.strip()}")
    return int(done.stdout)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def stop(socket: Path, timeout: float = START_S) -> bool:
    """End the gateway of a socket in good order; False where none runs."""
    pid = running(socket)
    if not pid:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + timeout
    while running(socket):
        if time.monotonic() > until:
            raise VenueUnavailable(f"the gateway (pid {pid}) has not ended in {timeout:g} s")
        time.sleep(LOOK_S)
    return True


def ask(socket: Path, what: str, timeout: float = START_S, **args: Any) -> Any:
    """Ask a gateway one thing, from where no loop runs."""
    return asyncio.run(ask_once(socket, what, timeout, **args))
