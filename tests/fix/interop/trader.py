"""Our side of a drill: initiator sessions that send orders one after the other, and may be killed.

    python -m fix.interop.trader --port P --store FOLDER --records FILE --sessions N --orders N

Each session has one order on its way at a time; the fill that completes it starts the next. On a
new start the journal says which orders left and the records which reports were booked, so that it
goes on where it was. A report is written down before the session counts it (at least once), and
booked once by its ExecID.

After an alarm that says "something may be missing", and after a new logon, the order on its way
has a moment to complete; then it is given up as a break, as a reconciliation would that asks the
broker for it, and the next is sent. (A broker whose answers were never given a number shows no gap:
the logon is all that there is to see.) A peer that is too low is taken up where it says it is, as
an operator would do who has asked. Without either nothing is ever given up: a loss in silence ends
in a time-out of the drill.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from pathlib import Path

from onetape_fix.session import (
    Alarm,
    Application,
    Journal,
    NotLoggedOn,
    Session,
    SystemClock,
)
from onetape_fix.session.transport import Dialer
from onetape_fix.spec import Rules, shipped
from onetape_fix.wire import Message, format_utc, parse

from .account import MISSING, read
from .words import Notes, new_order, ours

CLOCK = SystemClock()
PATIENCE_S = {"alarm": 1.0, "logon": 4.0}
TICK_S = 0.05


class Desk(Application):
    """One session's orders."""

    def __init__(self, name: str, orders: int, notes: Notes, by_order: bool) -> None:
        self.name, self.orders, self.notes, self.by_order = name, orders, notes, by_order
        self.next = 1
        self.waiting = ""
        self.done = 0
        self.doubts: dict[str, float] = {}  # what raised one, and when it is to be acted on
        self.take_up: int | None = None
        self.session: Session

    def remember(self, journal: Journal, path: Path) -> None:
        """Take up what an earlier process of ours left: its journal and its records."""
        told = read(path)
        noted = {one[1] for one in told.sent if one[0] == self.name}
        ended = {one[1][:-2] for one, _ in told.reports
                 if one[0] == self.name and one[1].endswith(self.last)}  # fmt: skip
        ended |= {one[1] for one in told.breaks if one[0] == self.name}
        for record in journal.records():
            if record.kind == "out" and (message := parse(record.raw)).type == "D":
                order = message[11]
                if order not in noted:
                    self.notes.add("sent", self.name, order)
                self.next = max(self.next, int(order.rsplit("-", 1)[1]) + 1)
                self.waiting = "" if order in ended else order
        self.done = len(ended)

    @property
    def last(self) -> str:
        """How the ExecID of an order's last report ends."""
        return "-0" if self.by_order else "-2"

    @property
    def finished(self) -> bool:
        """Whether every order is done with."""
        return self.done >= self.orders

    def go(self) -> None:
        """Send the next order, if none is on its way."""
        if self.waiting or self.next > self.orders or self.session.state != "up":
            return
        order = f"{self.name}-{self.next:06d}"
        self.notes.add("order", self.name, order)
        with contextlib.suppress(NotLoggedOn):
            self.session.send("D", new_order(order, format_utc(CLOCK.now(), 6)))

    def on_sent(self, session: Session, msg_type: str, seq: int, raw: bytes, position: int) -> None:
        """Note an order that stands in the journal."""
        if msg_type == "D":
            order = parse(raw)[11]
            self.waiting = order
            self.next = int(order.rsplit("-", 1)[1]) + 1
            self.notes.add("sent", self.name, order)

    def on_message(self, session: Session, message: Message) -> None:
        """Write a report down."""
        if message.type == "8":
            own = f"{message[11]}-0" if self.by_order else message[17]
            self.notes.add("report", self.name, own, "Y" if message.possdup else "N")
        else:
            text = message.get(58, "").replace(" ", "_")
            self.notes.add("alarm", self.name, f"message_{message.type}", text)

    def on_recorded(self, session: Session, message: Message, position: int) -> None:
        """Send the next order once the last is filled."""
        if message.type == "8" and message.get(39) == "2" and message[11] == self.waiting:
            self.doubts.clear()
            self._end()
            self.go()

    def on_logon(self, session: Session) -> None:
        """Begin, or go on."""
        self.notes.add("logon", self.name)
        if self.waiting:
            self._doubt("logon")
        self.go()

    def on_logout(self, session: Session, why: str) -> None:
        """Note why."""
        self.notes.add("logout", self.name, *why.split())

    def on_alarm(self, session: Session, alarm: Alarm) -> None:
        """Note it; doubt the order on its way where it says that something is missing."""
        self.notes.add("alarm", self.name, alarm.code, *alarm.text.split())
        if alarm.code in MISSING:
            self._doubt("alarm")
        if alarm.code == "seq_too_low":
            received = alarm.detail.get("received")
            self.take_up = received if isinstance(received, int) else None

    def look(self) -> None:
        """Do what time asks for."""
        if self.take_up is not None and self.session.state == "down":
            self.session.set_in(self.take_up)
            self.take_up = None
        due = [why for why, at in self.doubts.items() if at < time.monotonic()]
        if due and self.session.state == "up":
            self.doubts.clear()
            if self.waiting:
                self.notes.add("break", self.name, self.waiting, "unanswered", "after", due[0])
                self._end()
        self.go()

    def _doubt(self, why: str) -> None:
        self.doubts.setdefault(why, time.monotonic() + PATIENCE_S[why])

    def _end(self) -> None:
        self.waiting = ""
        self.done += 1


async def trade(told: argparse.Namespace) -> bool:
    """Trade until all orders of all sessions are done; return whether they are."""
    told.store.mkdir(parents=True, exist_ok=True)
    notes = Notes(told.records)
    desks: list[Desk] = []
    dialers: list[Dialer] = []
    for at in range(told.sessions):
        config = ours(at, told.port, told.store)
        desk = Desk(config.sender, told.orders, notes, told.by_order)
        journal = Journal(told.store, config.name, ts=CLOCK.now())
        desk.remember(journal, told.records)
        rules = Rules(shipped("FIX.4.4"))
        desk.session = Session(config, rules, journal, desk, CLOCK)
        desks.append(desk)
        dialers.append(Dialer(desk.session))
    for dialer in dialers:
        dialer.start()
    until = time.monotonic() + told.seconds
    quiet = 0
    while time.monotonic() < until and quiet < 5:
        await asyncio.sleep(TICK_S)
        for desk in desks:
            desk.session.tick()
            desk.look()
        quiet = quiet + 1 if all(desk.finished for desk in desks) else 0
    for dialer in dialers:
        await dialer.stop()
    return all(desk.finished for desk in desks)


def main() -> int:
    """Serve the command line; 0 where all orders are done with."""
    asked = argparse.ArgumentParser(description="Send orders through initiator sessions of ours.")
    asked.add_argument("--port", type=int, required=True)
    asked.add_argument("--store", type=Path, required=True)
    asked.add_argument("--records", type=Path, required=True)
    asked.add_argument("--sessions", type=int, default=1)
    asked.add_argument("--orders", type=int, default=10)
    asked.add_argument("--seconds", type=float, default=60.0)
    asked.add_argument("--by-order", action="store_true", help="know reports by their order's id")
    told = asked.parse_args()
    return 0 if asyncio.run(trade(told)) else 3


if __name__ == "__main__":
    sys.exit(main())
