"""The simulated broker of a drill: acceptor sessions of our engine, answering orders.

    python -m fix.interop.broker --port P --store FOLDER --records FILE --sessions N

As in `quickfix_acceptor.py`: New, a partial fill and a fill, the same ids to the same order, all
written down before it is done; what it answers is sent before the order is counted, so that an
order whose answers a kill cut off is heard and answered again. It ends with its standard input and
prints how many orders it heard and reports it sent, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
from pathlib import Path

from onetape_fix.session import Application, Journal, Session, SystemClock
from onetape_fix.session.acceptor import Acceptor
from onetape_fix.spec import Rules, shipped
from onetape_fix.wire import Message

from .words import Notes, reports, theirs

CLOCK = SystemClock()


class Counter(Application):
    """The broker's counter for one client."""

    def __init__(self, client: str, notes: Notes | None, answers: int) -> None:
        self.client, self.notes, self.answers = client, notes, answers
        self.heard = self.told = 0

    def note(self, *words: str) -> None:
        """Write a line down, where records are kept."""
        if self.notes is not None:
            self.notes.add(*words)

    def on_message(self, session: Session, message: Message) -> None:
        """Answer an order."""
        if message.type != "D":
            return
        self.heard += 1
        self.note("order", self.client, message[11], "Y" if message.possdup else "N")
        for own, body in reports(message, self.answers):
            self.note("report", self.client, own)
            session.send("8", body)
            self.told += 1

    def on_logon(self, session: Session) -> None:
        """Note it."""
        self.note("logon", self.client)


async def serve(told: argparse.Namespace) -> None:
    """Serve until standard input ends."""
    told.store.mkdir(parents=True, exist_ok=True)
    notes = Notes(told.records) if told.records else None
    sessions: dict[str, Session] = {}
    counters: list[Counter] = []
    for at in range(told.sessions):
        config = theirs(at, told.port, told.store)
        counter = Counter(config.target, notes, told.reports)
        journal = Journal(told.store, config.name, ts=CLOCK.now())
        rules = Rules(shipped("FIX.4.4"))
        sessions[config.target] = Session(config, rules, journal, counter, CLOCK)
        counters.append(counter)
    acceptor = Acceptor(("127.0.0.1", told.port), lambda logon: sessions.get(logon.get(49, "")))
    await acceptor.start()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait, daemon=True).start()
    while not ended.is_set():
        for session in sessions.values():
            session.tick()
        await asyncio.wait([asyncio.ensure_future(ended.wait())], timeout=0.1)
    await acceptor.stop()
    heard, sent = sum(one.heard for one in counters), sum(one.told for one in counters)
    print(json.dumps({"orders": heard, "reports": sent}), flush=True)


def main() -> None:
    """Serve the command line."""
    asked = argparse.ArgumentParser(description="A simulated broker.")
    asked.add_argument("--port", type=int, required=True)
    asked.add_argument("--store", type=Path, required=True)
    asked.add_argument("--records", type=Path)
    asked.add_argument("--sessions", type=int, default=1)
    asked.add_argument("--reports", type=int, default=3)
    asyncio.run(serve(asked.parse_args()))


if __name__ == "__main__":
    main()
