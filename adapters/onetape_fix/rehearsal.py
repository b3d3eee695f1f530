"""A rehearsal: a simulated FIX broker in a process of its own, and the config to trade with it.

    with rehearsal.broker({"generator": {"instruments": 2, "seed": 7}}) as there:
        ot.trade(Cross, venue=("fix", there.config), feed=("fix", there.config), ...)
        there.fault("duplicate", count=3)

The broker is the simulated venue of `onetape_sim` behind a FIX acceptor, spoken to over TLS on
this machine with certificates of both sides made for it. The gateway that holds our side of the
session is started by whoever trades, and ended with the rehearsal. No order leaves this machine.

Raises   VenueUnavailable where the broker's process does not come up, with what it said;
         SettingsError for a world or a version that makes no sense.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from onetape.errors import SettingsError, VenueUnavailable
from onetape_fix.door.certificates import demo_certificates
from onetape_fix.gateway import process
from onetape_sim.client import Venue

START_S, END_S, LOOK_S = 30.0, 15.0, 0.02
LINES = 12  # of the broker's log that are shown where it did not start
Keys = dict[str, str]
VERSIONS = {"FIX.4.2": "", "FIX.4.4": "", "FIX.5.0SP2": "FIX.5.0SP2"}


class Broker:
    """A simulated broker, from `broker(...)` to `close()` or the end of its block.

    `config` is what a venue or a feed called "fix" takes; `account` is a name that no earlier
    rehearsal used, as this broker knows nothing of what those held. All may be called where a loop
    runs, as in a notebook.
    """

    def __init__(self, folder: Path, port: int, end: ExitStack) -> None:
        self._end = end
        self._running: subprocess.Popen[bytes] | None = None
        self.folder, self.port = folder, port
        self.address = f"unix:{folder / 's'}"
        self.gateway = folder / "g"
        self.account = f"REHEARSAL-{uuid4().hex[:6]}"
        self.config: dict[str, object] = {
            "config": str(folder / "broker.cfg"), "session": "rehearsal",
        }  # fmt: skip

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Broker(simulated, 127.0.0.1:{self.port}, files in {self.folder})"

    def close(self) -> None:
        """End the gateway of our side, then the broker; once is enough."""
        self._end.close()

    def start(self) -> None:
        """Start the broker's process; return once it takes connections.

        With a `journal` in its world it goes on where it was when it ended, or was killed.
        """
        if self._running is not None:
            return
        log = self.folder / "broker.log"
        command = [sys.executable, "-m", "onetape_fix", "sim"]
        command += ["--fix", str(self.folder / "sim.cfg")]
        command += ["--world", str(self.folder / "world.json"), "--socket", str(self.folder / "s")]
        with log.open("ab") as said:
            running = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
        self._running = running
        _wait(running, self, log)

    def kill(self) -> None:
        """End the broker's process by SIGKILL: nothing is said and nothing is written any more."""
        running, self._running = self._running, None
        if running is not None:
            running.kill()
            running.wait()

    def restart(self) -> None:
        """Kill the broker and start it again."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End the broker's process in good order: everybody is logged out."""
        running, self._running = self._running, None
        if running is not None:
            _stop(running)

    def fault(self, name: str, **args: object) -> None:
        """Begin a fault of the broker or of its session; see the READMEs for their names."""
        _apart(lambda: asyncio.run(self._fault(name, args)))

    def positions(self, account: str) -> dict[str, Any]:
        """Return what the broker itself says that an account holds, past FIX."""
        return _apart(lambda: asyncio.run(self._positions(account)))

    def status(self) -> dict[str, Any]:
        """Return how our side of the session is, as its gateway tells it."""
        told = _apart(lambda: process.ask(self.gateway, "status", session="rehearsal"))
        return dict(told["sessions"][0])

    def kept(self, timeout: float = START_S) -> dict[str, Any]:
        """Return the status once every message so far is kept beside the tape.

        Raises VenueUnavailable where that takes longer, with what is in the way.
        """
        until = time.monotonic() + timeout
        while True:
            told = self.status()
            database = told["database"]
            if database is not None and database["lag"] == 0:
                return told
            if time.monotonic() > until:
                raise VenueUnavailable(
                    f"messages are not kept beside the tape after {timeout:g} s: {database}"
                )
            time.sleep(LOOK_S)

    async def _fault(self, name: str, args: Mapping[str, object]) -> None:
        venue = await self._inside()
        try:
            await venue.fault(name, **args)
        finally:
            await venue.disconnect()

    async def _positions(self, account: str) -> dict[str, Any]:
        venue = await self._inside()
        try:
            return {one.instrument: one.quantity for one in await venue.positions(account)}
        finally:
            await venue.disconnect()

    async def _inside(self) -> Venue:
        venue = Venue({"address": self.address})
        await venue.connect(lambda _: None)
        return venue


def broker(
    world: Mapping[str, object],
    *,
    version: str = "FIX.4.4",
    profile: str = "sim",
    tls: bool = True,
    tape: str = "",
    folder: Path | str | None = None,
    copy: bool = False,
) -> Broker:
    """Start a simulated broker, and return it once it takes connections.

    world    what its market is made of, as the config of `onetape_sim`
    version  FIX.4.2, FIX.4.4 or FIX.5.0SP2
    tape     where the gateway keeps every raw message: a server's URL, a folder of our own server,
             "own" for the default one; "": the journal alone
    folder   where configs, certificates and journals go; None: a folder that is removed afterwards
    copy     a drop copy session "copy" beside the order session; `config` names it
    """
    if version not in VERSIONS:
        raise SettingsError(f"version {version!r} found; one of {', '.join(VERSIONS)} expected")
    end = ExitStack()
    try:
        place = end.enter_context(_folder(folder))
        made = Broker(place, _free_port(), end)
        (place / "world.json").write_text(json.dumps(dict(world), default=str))
        sides = _sides(place, made.port, version, profile, tls)
        _write(made, tape, *sides, copy)
        end.callback(made.stop)
        end.callback(process.stop, made.gateway)
        made.start()
    except BaseException:
        end.close()
        raise
    return made


def _stop(running: subprocess.Popen[bytes]) -> None:
    running.terminate()
    try:
        running.wait(END_S)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()


def _apart[T](act: Callable[[], T]) -> T:
    """Return what a call gives that needs a loop of its own, wherever it is made."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()


@contextmanager
def _folder(given: Path | str | None) -> Generator[Path]:
    if given is not None:
        place = Path(given).expanduser().absolute()
        place.mkdir(parents=True, exist_ok=True)
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="onetape-fix-") as made:
        yield Path(made)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(running: subprocess.Popen[bytes], made: Broker, log: Path) -> None:
    """Wait until the broker takes connections."""
    until = time.monotonic() + START_S
    while True:
        with socket.socket() as probe:
            there = probe.connect_ex(("127.0.0.1", made.port)) == 0
        if there and Path(made.address.removeprefix("unix:")).exists():
            return
        if running.poll() is not None or time.monotonic() > until:
            last = "\n  ".join(log.read_text(errors="replace").strip().splitlines()[-LINES:])
            raise VenueUnavailable(f"the simulated broker did not start; it said:\n  {last}")
        time.sleep(LOOK_S)


# -- its files


def _write(made: Broker, tape: str, theirs: Keys, ours: Keys, copy: bool) -> None:
    place = made.folder
    if tape not in ("", "own") and "://" not in tape and not tape.startswith("env:"):
        tape = str(Path(tape).expanduser().absolute())  # ours, wherever the gateway is started
    held = {"Name": "rehearsal", "Socket": str(made.gateway), **({"Tape": tape} if tape else {})}
    first: list[tuple[str, Keys]] = [("SESSION", {})]
    second = list(first)
    if copy:
        beside = {"SessionName": "copy", "Role": "dropcopy"}
        first.append(("SESSION", beside | {"TargetCompID": "COPY"}))
        second.append(("SESSION", beside | {"SenderCompID": "COPY"}))
        made.config["dropcopy"] = ["copy"]
    _config(place / "sim.cfg", [("DEFAULT", theirs), *first])
    _config(place / "broker.cfg", [("GATEWAY", held), ("DEFAULT", ours), *second])


def _sides(place: Path, port: int, version: str, profile: str, tls: bool) -> tuple[Keys, Keys]:
    """Return the keys of the broker's side and of ours."""
    application = VERSIONS[version]
    common = {
        "BeginString": "FIXT.1.1" if application else version,
        **({"DefaultApplVerID": application} if application else {}),
        "HeartBtInt": "10",
        "NonStopSession": "Y",
        "TimestampPrecision": "9",
        "SessionName": "rehearsal",
        "Role": "order, marketdata",
        "Profile": profile,
    }
    theirs = {
        "ConnectionType": "acceptor",
        "SenderCompID": "SIM",
        "TargetCompID": "ONETAPE",
        "SocketAcceptHost": "127.0.0.1",
        "SocketAcceptPort": str(port),
        "FileStorePath": "there",
    }
    ours = {
        "ConnectionType": "initiator",
        "SenderCompID": "ONETAPE",
        "TargetCompID": "SIM",
        "SocketConnectHost": "127.0.0.1",
        "SocketConnectPort": str(port),
        "ReconnectInterval": "1",
        "FileStorePath": "here",
    }
    if tls:
        shown = demo_certificates(place)
        authority = {"SocketUseSSL": "Y", "CertificationAuthoritiesFile": str(shown.authority)}
        theirs |= authority | {
            "ServerCertificateFile": str(shown.server.certificate),
            "ServerCertificateKeyFile": str(shown.server.key),
            "NeedClientAuth": "Y",
        }
        ours |= authority | {
            "ClientCertificateFile": str(shown.client.certificate),
            "ClientCertificateKeyFile": str(shown.client.key),
        }
    return common | theirs, common | ours


def _config(path: Path, sections: list[tuple[str, Keys]]) -> None:
    lines: list[str] = []
    for name, keys in sections:
        lines += [f"[{name}]", *(f"{key}={value}" for key, value in keys.items())]
    path.write_text("\n".join(lines) + "\n")
