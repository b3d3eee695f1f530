# pyright: standard
"""A load on many sessions, in a process of its own: this repository's engine.

    python tests/benchmarks/fix_load.py --port P --store FOLDER --sessions N [--orders N]
                                        [--rate ORDERS_A_SECOND --seconds S]

Saturated (no rate)  each session has one order on its way; the fill that completes it sends the
                     next. An order and its three reports are four messages.
Paced                orders leave at moments that were fixed before, spread over the sessions;
                     latency counts from the order's call to its first report.
CPU                  of the whole process, its threads too, between the end of the warm-up and the
                     last report, by message in or out.
Journal and validation are on. Prints one JSON object. `fix_peer.py` is the same for `quickfix`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import psutil
from fix.interop.words import new_order, ours
from fix_told import Spent, arguments

from onetape_fix.session import Application, Journal, Session, SystemClock
from onetape_fix.session.transport import Dialer
from onetape_fix.spec import Rules, load, shipped
from onetape_fix.wire import Message, format_utc

CLOCK = SystemClock()
LONGEST_S = 120.0


class Sender(Application):
    """The orders of one session."""

    def __init__(self, load: Load, name: str) -> None:
        self.load, self.name = load, name
        self.sent = 0
        self.session: Session
        self.left: dict[str, float] = {}

    def go(self) -> None:
        """Send an order."""
        self.sent += 1
        order = f"{self.name}-{self.load.run}-{self.sent}"
        self.left[order] = time.perf_counter()
        self.session.send("D", new_order(order, format_utc(CLOCK.now(), 6)))
        self.load.spent.orders += 1

    def on_message(self, session: Session, message: Message) -> None:
        """Count a report; the last of an order may start the next one."""
        if message.type != "8":
            return
        spent = self.load.spent
        spent.reports += 1
        status = message[39]
        if status == "0":
            begun = self.left.pop(message[11], 0.0)
            spent.trips.append(time.perf_counter() - begun)
        elif status == "2":
            self.load.filled(self)

    def on_logon(self, session: Session) -> None:
        """Count it."""
        self.load.up += 1


class Load:
    """All sessions, and what they have done."""

    def __init__(self, told: argparse.Namespace) -> None:
        self.told = told
        self.up = 0
        self.run = "w"
        self.goal = 0  # orders of each session; 0: whoever paces says
        self.spent = Spent()
        self.fills = 0
        self.senders: list[Sender] = []
        self.dialers: list[Any] = []

    def build(self) -> None:
        """Make the sessions."""
        told = self.told
        dictionary = load(told.dictionary) if told.dictionary else shipped("FIX.4.4")
        for at in range(told.sessions):
            config = ours(at, told.port, told.store)
            sender = Sender(self, config.sender)
            journal = Journal(told.store, config.name, ts=CLOCK.now(), sync=told.sync)
            sender.session = Session(config, Rules(dictionary), journal, sender, CLOCK)
            self.senders.append(sender)
            self.dialers.append(Dialer(sender.session))

    def filled(self, sender: Sender) -> None:
        """Take the end of an order."""
        self.fills += 1
        if sender.sent < self.goal:
            sender.go()

    async def until(self, done: Any, what: str) -> None:
        """Wait; the sessions tick meanwhile."""
        end = time.monotonic() + LONGEST_S
        while not done():
            if time.monotonic() > end:
                raise AssertionError(f"not within {LONGEST_S:.0f} s: {what}")
            for sender in self.senders:
                sender.session.tick()
            await asyncio.sleep(0.05)

    async def saturated(self, run: str, orders: int) -> None:
        """Have each session send so many orders, one at a time."""
        self.run, self.goal, self.fills = run, orders, 0
        for sender in self.senders:
            sender.sent = 0
            sender.go()
        total = orders * len(self.senders)
        await self.until(lambda: self.fills >= total, f"{total} orders, {self.fills} filled")

    async def paced(self, rate: float, seconds: float) -> None:
        """Send orders at fixed moments, session after session."""
        self.run, self.goal, self.fills = "p", 0, 0
        total, begun, at = int(rate * seconds), time.perf_counter() + 0.05, 0
        while at < total:
            wait = begun + at / rate - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            self.senders[at % len(self.senders)].go()
            at += 1
        await self.until(lambda: self.fills >= total, f"{total} orders, {self.fills} filled")

    async def all(self) -> dict[str, Any]:
        """Log on, warm up, measure, log out; return the figures."""
        told = self.told
        self.build()
        for dialer in self.dialers:
            dialer.start()
        await self.until(lambda: self.up >= told.sessions, "all sessions up")
        await self.saturated("w", told.warm)
        gc.collect()
        self.spent = Spent().begin()
        if told.rate:
            await self.paced(told.rate, told.seconds)
        else:
            await self.saturated("s", told.orders)
        self.spent.end()
        memory = psutil.Process().memory_info().rss / 1e6
        for dialer in self.dialers:
            await dialer.stop()
        return self.spent.told() | {"rss_mb": round(memory, 1), "warm_orders": told.warm}


def main() -> None:
    """Serve the command line and print one JSON object."""
    told = arguments("Load sessions of this engine.").parse_args()
    told.store.mkdir(parents=True, exist_ok=True)
    print(json.dumps(asyncio.run(Load(told).all())))


if __name__ == "__main__":
    main()
