"""The client of a gateway in a drill: orders through lines to sessions that another process holds.

    python -m fix.interop.desk --socket PATH --records FILE --sessions N --orders N

It may be killed, and so may the gateway; each goes on where it was. A report is booked by one
line of the records that holds the line's position in the journal, too, so that a new start opens
behind it: what was booked is not heard again. Whether an order left is said by the gateway alone:
`Sent`, now or from the journal, or `Refused`. As in `trader.py` one order is on its way in each
session, and only an alarm lets one be given up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from pathlib import Path

from onetape.errors import VenueError
from onetape_fix.gateway.line import Heard, Inbound, LineAlarm, LineState, Live, Refused, Sent
from onetape_fix.gateway.remote import RemoteLine
from onetape_fix.wire import format_utc

from .account import MISSING
from .counterparts import peer
from .words import Notes, new_order

PATIENCE_S = 2.0
TICK_S = 0.02


class Desk:
    """One session's orders, through a line."""

    def __init__(self, line: RemoteLine, name: str, orders: int, notes: Notes) -> None:
        self.line, self.name, self.orders, self.notes = line, name, orders, notes
        self.next = 1
        self.waiting = ""
        self.opening = True  # what an earlier process of ours handed over is not told yet
        self.doubtful = False  # the fate of the order that was handed over is not said yet
        self.suspected = 0.0
        self.position = 0
        self.ended: set[str] = set()

    def remember(self, path: Path) -> None:
        """Take up what an earlier process of ours wrote down."""
        text = path.read_text("utf-8", "replace") if path.exists() else ""
        for line in text.splitlines(keepends=True):
            kind, *rest = line.split() or [""]
            if not line.endswith("\n") or rest[:1] != [self.name]:
                continue
            if kind == "sent":
                self._took(rest[1])
                self.position = max(self.position, int(rest[2]))
            elif kind == "report" and len(rest) > 3:
                self.position = max(self.position, int(rest[3]))
                self._ended(rest[1][:-2], rest[1].endswith("-2"))
            elif kind == "break":
                self._ended(rest[1], True)

    @property
    def finished(self) -> bool:
        """Whether every order is done with."""
        return len(self.ended) >= self.orders

    async def open(self) -> None:
        """Hear on behind what is booked; try until the gateway is there."""
        while True:
            try:
                await self.line.open(self.heard, self.position)
            except VenueError:
                await asyncio.sleep(0.05)
            else:
                return

    def go(self) -> None:
        """Send the next order, if none is on its way and nothing is open."""
        free = self.line.up and not (self.opening or self.waiting or self.doubtful)
        if not free or self.next > self.orders:
            return
        order = f"{self.name}-{self.next:06d}"
        self.notes.add("order", self.name, order)
        self.doubtful = True
        try:
            self.line.send("D", new_order(order, format_utc(time.time_ns(), 6)), order)
        except VenueError:
            self.doubtful = False

    def heard(self, said: Heard) -> None:
        """Take what the line says."""
        match said:
            case Sent(msg_type="D"):
                order = said.message[11]
                self.doubtful = False
                self._took(order)
                self.notes.add("sent", self.name, order, str(said.position))
            case Inbound():
                self._inbound(said)
            case Refused():
                self.doubtful = False
                self.notes.add("refused", self.name, said.ref, *said.why.split())
            case LineState():
                self.notes.add("state", self.name, str(said.up), *said.detail.split())
            case LineAlarm():
                self.notes.add("alarm", self.name, said.code, *said.text.split())
                if said.code in MISSING:
                    self.suspected = time.monotonic()
            case Live():
                self.opening = False
            case _:
                pass
        self.go()

    def look(self) -> None:
        """Do what time asks for."""
        if self.suspected and time.monotonic() - self.suspected > PATIENCE_S and self.line.up:
            self.suspected = 0.0
            if self.waiting:
                self.notes.add("break", self.name, self.waiting, "unanswered")
                self._ended(self.waiting, True)
        self.go()

    def _inbound(self, said: Inbound) -> None:
        message = said.message
        if message.type != "8":
            words = message.get(58, "").split()
            self.notes.add("alarm", self.name, f"message_{message.type}", *words)
            return
        flag = "Y" if message.possdup else "N"
        self.notes.add("report", self.name, message[17], flag, str(said.position))
        self._ended(message[11], message[39] == "2")

    def _took(self, order: str) -> None:
        self.next = max(self.next, int(order.rsplit("-", 1)[1]) + 1)
        self.waiting = "" if order in self.ended else order

    def _ended(self, order: str, last: bool) -> None:
        if last:
            self.ended.add(order)
            if self.waiting == order:
                self.waiting, self.suspected = "", 0.0


async def trade(told: argparse.Namespace) -> bool:
    """Trade until all orders of all sessions are done; return whether they are."""
    notes = Notes(told.records)
    desks: list[Desk] = []
    for at in range(told.sessions):
        name = peer(at)
        desk = Desk(RemoteLine(told.socket, name), name, told.orders, notes)
        desk.remember(told.records)
        desks.append(desk)
    await asyncio.gather(*(desk.open() for desk in desks))
    until, quiet = time.monotonic() + told.seconds, 0
    while time.monotonic() < until and quiet < 15:
        await asyncio.sleep(TICK_S)
        for desk in desks:
            desk.look()
        quiet = quiet + 1 if all(desk.finished for desk in desks) else 0
    with contextlib.suppress(VenueError):
        await asyncio.gather(*(desk.line.close() for desk in desks))
    return all(desk.finished for desk in desks)


def main() -> int:
    """Serve the command line; 0 where all orders are done with."""
    asked = argparse.ArgumentParser(description="Send orders through a gateway.")
    asked.add_argument("--socket", type=Path, required=True)
    asked.add_argument("--records", type=Path, required=True)
    asked.add_argument("--sessions", type=int, default=1)
    asked.add_argument("--orders", type=int, default=10)
    asked.add_argument("--seconds", type=float, default=60.0)
    told = asked.parse_args()
    return 0 if asyncio.run(trade(told)) else 3


if __name__ == "__main__":
    sys.exit(main())
