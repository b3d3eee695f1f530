"""A counterpart that nobody here wrote: an acceptor on the PyPI package `quickfix`.

    python quickfix_acceptor.py --port P --store FOLDER --records FILE [--sessions N] [...]

Run by whichever interpreter has the package (QUICKFIX_PYTHON), so it imports nothing of
this repository. Each order is answered by New, a partial fill and a fill. What was seen and what
was answered goes to the records file, one line each, before it is done:

    order   <session> <ClOrdID> <Y or N: flagged as a possible duplicate>
    report  <session> <ExecID>

Ids follow from the order's own, so that an order that is heard twice is answered by the same ids.
It ends when its standard input does: whoever started it is gone, or wants it to stop.

The package's ways, all found by trial: an exception that leaves a callback ends the process or,
worse, silences it; a message dies with its callback; importing it takes Ctrl-C away.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import quickfix as fix

signal.signal(signal.SIGINT, signal.default_int_handler)  # the import put the system's own there

Message = Any
SessionId = Any
SETTINGS = """[DEFAULT]
ConnectionType=acceptor
SocketAcceptPort={port}
SocketReuseAddress=Y
SocketNodelay=Y
StartTime=00:00:00
EndTime=00:00:00
NonStopSession=Y
HeartBtInt=30
TimestampPrecision=6
ResetOnLogon=N
FileStorePath={store}
{dictionary}
"""
SESSION = "[SESSION]\nBeginString={begin}\nSenderCompID={own}\nTargetCompID={peer}\n"


def guarded(act: Callable[..., None]) -> Callable[..., None]:
    """Return the callback with an end that is seen: nothing may be raised into the engine."""

    def safe(*given: Any) -> None:
        try:
            act(*given)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(70)

    return safe


class Broker(fix.Application):
    """Answers orders; what it did is in the records, whatever happens to the process."""

    def __init__(self, records: Path, reports: int) -> None:
        super().__init__()
        self.out = os.open(records, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.reports = reports

    def note(self, line: str) -> None:
        """Add a line; it outlives a kill of this process."""
        os.write(self.out, line.encode() + b"\n")

    @guarded
    def onCreate(self, _session: SessionId) -> None:  # noqa: N802
        """Hear that a session is known."""

    @guarded
    def onLogon(self, session: SessionId) -> None:  # noqa: N802
        """Note a logon."""
        self.note(f"logon {session.getTargetCompID().getValue()}")

    @guarded
    def onLogout(self, session: SessionId) -> None:  # noqa: N802
        """Note a logout."""
        self.note(f"logout {session.getTargetCompID().getValue()}")

    @guarded
    def toAdmin(self, _message: Message, _session: SessionId) -> None:  # noqa: N802
        """Let the engine's own messages pass."""

    @guarded
    def toApp(self, _message: Message, _session: SessionId) -> None:  # noqa: N802
        """Let answers, and what is sent again, pass."""

    @guarded
    def fromAdmin(self, _message: Message, _session: SessionId) -> None:  # noqa: N802
        """Note nothing: a reject is never answered."""

    @guarded
    def fromApp(self, message: Message, session: SessionId) -> None:  # noqa: N802
        """Answer a new order; anything else is left alone."""
        header = message.getHeader()
        if header.getField(35) != "D":
            return
        peer = session.getTargetCompID().getValue()
        flag = header.getField(43) if header.isSetField(43) else "N"
        order, symbol = message.getField(11), message.getField(55)
        side, quantity = message.getField(54), int(float(message.getField(38)))
        price = message.getField(44) if message.isSetField(44) else "10"
        self.note(f"order {peer} {order} {flag}")
        half = quantity // 2
        steps = (("0", "0", 0, 0), ("F", "1", half, half), ("F", "2", quantity - half, quantity))
        for at, (kind, status, last, done) in enumerate(steps[: self.reports]):
            report = fix.Message()
            report.getHeader().setField(35, "8")
            fields = (
                (37, f"O-{order}"), (17, f"{order}-{at}"), (150, kind), (39, status),
                (55, symbol), (54, side), (38, str(quantity)), (151, str(quantity - done)),
                (14, str(done)), (6, price if done else "0"), (11, order),
            )  # fmt: skip
            for tag, value in fields:
                report.setField(tag, value)
            if last:
                report.setField(31, price)
                report.setField(32, str(last))
            self.note(f"report {peer} {order}-{at}")
            fix.Session.sendToTarget(report, session)


def dictionary(given: str) -> str:
    """Return the lines for a data dictionary: the one given, or the one the package brings."""
    found = Path(given) if given else Path(sys.prefix, "share", "quickfix", "FIX44.xml")
    if not found.is_file():
        return "UseDataDictionary=N"
    return f"UseDataDictionary=Y\nDataDictionary={found}"


def main() -> None:
    """Serve until standard input ends."""
    asked = argparse.ArgumentParser(description="A broker on the package quickfix.")
    asked.add_argument("--port", type=int, required=True)
    asked.add_argument("--store", type=Path, required=True)
    asked.add_argument("--records", type=Path, required=True)
    asked.add_argument("--sessions", type=int, default=1)
    asked.add_argument("--reports", type=int, default=3, help="answers to each order")
    asked.add_argument("--dictionary", default="")
    asked.add_argument("--own", default="BROKER")
    told = asked.parse_args()
    told.store.mkdir(parents=True, exist_ok=True)
    text = SETTINGS.format(port=told.port, store=told.store, dictionary=dictionary(told.dictionary))
    for at in range(told.sessions):
        text += SESSION.format(begin="FIX.4.4", own=told.own, peer=f"C{at + 1:02d}")
    written = told.store / "acceptor.cfg"
    written.write_text(text)
    settings = fix.SessionSettings(str(written))
    broker = Broker(told.records, told.reports)
    stored = fix.FileStoreFactory(settings)
    acceptor = fix.SocketAcceptor(broker, stored, settings)
    acceptor.start()
    print("ready", flush=True)
    sys.stdin.read()
    acceptor.stop()


if __name__ == "__main__":
    main()
