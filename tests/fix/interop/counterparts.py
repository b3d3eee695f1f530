"""Counterparts: brokers in processes of their own that can be killed and started again.

`Broker.start()` begins one on its port and waits until it takes connections; `kill()` is kill -9.
Each keeps its session's store and its records through both. A counterpart that is not installed
says in `missing()` what is absent, and its tests are skipped with those words.

QUICKFIX_PYTHON     an interpreter that can import `quickfix` (this one, where it can)
QUICKFIX_EXECUTOR   the C++ example program `executor` of QuickFIX
JSPUREFIX           a folder with node_modules/jspurefix

The same with ONETAPE_ before it serves for pytest, but `onetape` itself refuses to run with a
variable of that kind that is not its own.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from .account import Records, read

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
BEGUN_S = 60.0  # a cold start of a loaded machine
OWN = "BROKER"


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def named(name: str) -> str:
    """Return what the environment says of a counterpart."""
    return os.environ.get(name) or os.environ.get(f"ONETAPE_{name}", "")


def peer(at: int) -> str:
    """Return the CompID of our session number `at`, from 0."""
    return f"C{at + 1:02d}"


class Process:
    """A program that ends when its standard input does, so that none outlives its owner."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.running: subprocess.Popen[bytes] | None = None
        self.log = folder / f"{name}.log"
        self.home = folder / "home"  # nothing of a drill is seen by whoever runs it
        self.home.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        """Return the words that start it."""
        raise LookupError(self.name)

    def start(self) -> None:
        """Begin; whether it serves yet is another question."""
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH", ""))))
        told = {n: value for n, value in os.environ.items() if not n.startswith("ONETAPE_")}
        told |= {"PYTHONPATH": path, "ONETAPE_HOME": str(self.home)}
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                self.command(), stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self.folder,
                env=told, start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.running is not None and self.running.poll() is None

    def kill(self) -> None:
        """Kill it as the power would: nothing of it runs one instruction more."""
        self.end(signal.SIGKILL)

    def end(self, how: signal.Signals | None = signal.SIGTERM) -> None:
        """End it, by a signal or (None) by the end of its standard input; wait for that."""
        if self.running is None:
            return
        if how is not None:
            self.running.send_signal(how)
        if self.running.stdin is not None:
            self.running.stdin.close()
        try:
            self.running.wait(10)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()
        self.running = None

    def last_words(self) -> str:
        """Return the end of what it printed."""
        return self.log.read_text("utf-8", "replace")[-2_000:] if self.log.exists() else ""


class Broker(Process):
    """A broker that answers each order by `reports` reports."""

    reports = 3

    def __init__(self, folder: Path, sessions: int, port: int | None = None) -> None:
        super().__init__(folder, type(self).__name__.lower())
        self.sessions, self.port = sessions, port or free_port()
        self.store, self.written = folder / "broker-store", folder / "broker.records"

    @staticmethod
    def missing() -> str:
        """Return what is not here and how to get it, or nothing."""
        return ""

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        super().start()
        until = time.monotonic() + BEGUN_S
        while not self._answers():
            if not self.alive or time.monotonic() > until:
                raise AssertionError(f"{self.name} does not serve: {self.last_words()}")
            time.sleep(0.02)

    def records(self) -> Records:
        """Return what it wrote down."""
        return read(self.written)

    def _answers(self) -> bool:
        """Whether the port is listened on; asked of the kernel, a connection would disturb."""
        want = f":{self.port:04X} "
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            lines = Path(table).read_text().splitlines() if Path(table).exists() else []
            if any(want in line.split(":", 1)[1] and " 0A " in line for line in lines[1:]):
                return True
        return False

    def _told(self) -> list[str]:
        return ["--port", str(self.port), "--store", str(self.store),
                "--records", str(self.written), "--reports", str(self.reports)]  # fmt: skip


class QuickFix(Broker):
    """The PyPI package `quickfix`, in the interpreter that has it."""

    @staticmethod
    def interpreter() -> str:
        """Return the interpreter that has the package, or nothing."""
        told = named("QUICKFIX_PYTHON")
        if told:
            return told if shutil.which(told) else ""
        return sys.executable if importlib.util.find_spec("quickfix") else ""

    @staticmethod
    def missing() -> str:
        """See `Broker`."""
        if QuickFix.interpreter():
            return ""
        return "no PyPI `quickfix` here: install it and name its interpreter in QUICKFIX_PYTHON"

    def command(self) -> list[str]:
        """See `Process`."""
        program = str(HERE / "quickfix_acceptor.py")
        return [self.interpreter(), program, *self._told(), "--sessions", str(self.sessions)]


class JsPureFix(Broker):
    """The npm package `jspurefix`."""

    @staticmethod
    def missing() -> str:
        """See `Broker`."""
        if not shutil.which("node"):
            return "no `node` on the path"
        home = named("JSPUREFIX")
        if home and Path(home, "node_modules", "jspurefix").is_dir():
            return ""
        return "no npm `jspurefix`: `npm install jspurefix` and name its folder in JSPUREFIX"

    def command(self) -> list[str]:
        """See `Process`."""
        home = named("JSPUREFIX")
        return ["node", str(HERE / "jspurefix_acceptor.cjs"), "--home", home, *self._told()]


class Executor(Broker):
    """QuickFIX's own C++ example: fills every limit order whole, with one report.

    It writes nothing down; what it sent is read from its message store. Its ExecIDs begin at 1
    in each process, so an order's report is known by the order's id.
    """

    reports = 1
    SESSION = "[SESSION]\nBeginString=FIX.4.4\nSenderCompID={own}\nTargetCompID={peer}\n"

    @staticmethod
    def missing() -> str:
        """See `Broker`."""
        told = named("QUICKFIX_EXECUTOR")
        if told and shutil.which(told):
            return ""
        return "no C++ `executor` of QuickFIX's examples: name it in QUICKFIX_EXECUTOR"

    def command(self) -> list[str]:
        """See `Process`."""
        text = (
            "[DEFAULT]\nConnectionType=acceptor\nSocketReuseAddress=Y\nSocketNodelay=Y\n"
            "NonStopSession=Y\nStartTime=00:00:00\nEndTime=00:00:00\nUseDataDictionary=N\nHeartBtInt=30\nResetOnLogon=N\n"
            f"SocketAcceptPort={self.port}\nFileStorePath={self.store}\n"
        ) + "".join(self.SESSION.format(own=OWN, peer=peer(at)) for at in range(self.sessions))
        written = self.folder / "executor.cfg"
        written.write_text(text)
        return [named("QUICKFIX_EXECUTOR"), str(written)]

    def records(self) -> Records:
        """See `Broker`: its answers, by the order's id; what it was asked, it does not keep."""
        found = Records()
        for body in sorted(self.store.glob("*.body")):
            for raw in re.split(rb"(?<=\x01)(?=8=FIX)", body.read_bytes()):
                said = dict(one.split(b"=", 1) for one in raw.split(b"\x01") if b"=" in one)
                if said.get(b"35") == b"8":
                    one = (said[b"56"].decode(), said[b"11"].decode())
                    found.orders.append((one, False))
                    found.reports.append(((one[0], f"{one[1]}-0"), False))
        return found
