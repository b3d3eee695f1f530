# pyright: standard
"""The same load as `fix_load.py` on the PyPI package `quickfix`: same orders, same broker.

Run by an interpreter that has the package (QUICKFIX_PYTHON). One engine thread serves all
sessions; its file store and its validation by the data dictionary are on. Orders go out in the
engine's callbacks (saturated) or from the main thread (paced); fields are read as text, which is
the package's fast way. Nothing of a message is kept: it dies with its callback.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import quickfix as fix
from fix_told import Spent, arguments

LONGEST_S = 120.0
SETTINGS = """[DEFAULT]
ConnectionType=initiator
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
SocketNodelay=Y
ReconnectInterval=1
StartTime=00:00:00
EndTime=00:00:00
NonStopSession=Y
HeartBtInt=30
TimestampPrecision=6
FileStorePath={store}
UseDataDictionary=Y
DataDictionary={dictionary}
"""
SESSION = "[SESSION]\nBeginString=FIX.4.4\nSenderCompID={own}\nTargetCompID=BROKER\n"
ORDER = (
    (1, "ACC"), (21, "1"), (55, "MSFT"), (54, "1"), (38, "200"), (40, "2"), (44, "10.25"),
    (59, "0"),
)  # fmt: skip


class Desk:
    """One session's orders."""

    def __init__(self, name: str) -> None:
        self.name, self.sent = name, 0
        self.id = fix.SessionID("FIX.4.4", name, "BROKER")
        self.left: dict[str, float] = {}


class Peer(fix.Application):
    """All sessions. Nothing may be raised into the engine."""

    def __init__(self) -> None:
        super().__init__()
        self.desks: dict[str, Desk] = {}
        self.up = self.fills = self.goal = 0
        self.run = "w"
        self.spent = Spent()

    def onCreate(self, session: Any) -> None:  # noqa: N802
        """Know a session."""

    def onLogon(self, session: Any) -> None:  # noqa: N802
        """Count it."""
        self.up += 1

    def onLogout(self, session: Any) -> None:  # noqa: N802
        """Count it."""
        self.up -= 1

    def toAdmin(self, message: Any, session: Any) -> None:  # noqa: N802
        """Let it pass."""

    def toApp(self, message: Any, session: Any) -> None:  # noqa: N802
        """Let it pass."""

    def fromAdmin(self, message: Any, session: Any) -> None:  # noqa: N802
        """Let it pass."""

    def fromApp(self, message: Any, session: Any) -> None:  # noqa: N802
        """Count a report; the last of an order may start the next one."""
        try:
            if message.getHeader().getField(35) != "8":
                return
            self.spent.reports += 1
            status = message.getField(39)
            desk = self.desks[session.getSenderCompID().getValue()]
            if status == "0":
                begun = desk.left.pop(message.getField(11), 0.0)
                self.spent.trips.append(time.perf_counter() - begun)
            elif status == "2":
                self.fills += 1
                if desk.sent < self.goal:
                    self.go(desk)
        except BaseException:
            traceback.print_exc()
            os._exit(70)

    def go(self, desk: Desk) -> None:
        """Send an order."""
        desk.sent += 1
        order = f"{desk.name}-{self.run}-{desk.sent}"
        desk.left[order] = time.perf_counter()
        message = fix.Message()
        message.getHeader().setField(35, "D")
        message.setField(11, order)
        for tag, value in ORDER:
            message.setField(tag, value)
        message.setField(60, datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.%f"))
        fix.Session.sendToTarget(message, desk.id)
        self.spent.orders += 1

    def until(self, done: Any, what: str) -> None:
        """Wait."""
        end = time.monotonic() + LONGEST_S
        while not done():
            if time.monotonic() > end:
                raise AssertionError(f"not within {LONGEST_S:.0f} s: {what}")
            time.sleep(0.02)

    def saturated(self, run: str, orders: int) -> None:
        """Have each session send so many orders, one at a time."""
        self.run, self.goal, self.fills = run, orders, 0
        for desk in self.desks.values():
            desk.sent = 0
        for desk in self.desks.values():
            self.go(desk)
        total = orders * len(self.desks)
        self.until(lambda: self.fills >= total, f"{total} orders, {self.fills} filled")

    def paced(self, rate: float, seconds: float) -> None:
        """Send orders at fixed moments, session after session."""
        self.run, self.goal, self.fills = "p", 0, 0
        desks = list(self.desks.values())
        total, begun = int(rate * seconds), time.perf_counter() + 0.05
        for at in range(total):
            wait = begun + at / rate - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            self.go(desks[at % len(desks)])
        self.until(lambda: self.fills >= total, f"{total} orders, {self.fills} filled")


def main() -> None:
    """Serve the command line and print one JSON object."""
    told = arguments("Load sessions of quickfix.").parse_args()
    told.store.mkdir(parents=True, exist_ok=True)
    dictionary = told.dictionary or str(Path(sys.prefix, "share", "quickfix", "FIX44.xml"))
    text = SETTINGS.format(port=told.port, store=told.store, dictionary=dictionary)
    peer = Peer()
    for at in range(told.sessions):
        name = f"C{at + 1:02d}"
        peer.desks[name] = Desk(name)
        text += SESSION.format(own=name)
    written = told.store / "initiator.cfg"
    written.write_text(text)
    settings = fix.SessionSettings(str(written))
    stored = fix.FileStoreFactory(settings)
    initiator = fix.SocketInitiator(peer, stored, settings)
    initiator.start()
    peer.until(lambda: peer.up >= told.sessions, "all sessions up")
    peer.saturated("w", told.warm)
    gc.collect()
    peer.spent = Spent().begin()
    if told.rate:
        peer.paced(told.rate, told.seconds)
    else:
        peer.saturated("s", told.orders)
    peer.spent.end()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps(peer.spent.told() | {"rss_mb": round(memory, 1), "warm_orders": told.warm}))
    sys.stdout.flush()
    initiator.stop(True)


if __name__ == "__main__":
    main()
