"""One drill over FIX: a session trades at a simulated broker, its parts are killed at seeded
moments, then tape, broker and both sides' journals are held against each other.

Victims    trader, supervisor, gateway, broker (with journals of its own), and gateway and trader at
           once: then whoever attaches next has to start the gateway. Alone, a gateway or a broker
           is started again after a seeded while.
Moments    after so many seconds, or once the broker's journal has grown by so much. In half of the
           drills the next kill does not wait until the last victim is back.
Wire       FIX 4.4 or 5.0SP2, with or without TLS, by the seed.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from onetape.errors import OnetapeError
from onetape.results.session import trade
from onetape.results.session_handle import Session
from onetape.results.tape import Tape, open_tape
from onetape.tape.kinds_live import BreakFound
from onetape.tape.wirelog import WireLog
from onetape_fix import rehearsal
from onetape_fix.gateway import process
from onetape_fix.session.journal import Journal
from onetape_fix.session.store import Record
from onetape_fix.wire import parse

from .churn import Churn
from .drill import INSTRUMENTS, LIMITS, WATCH, Kill, Outcome, recovered
from .evidence import Findings, examine
from .victims import ACCOUNT, CASH, end_all, kill_supervisor, kill_trader, until

VICTIMS = ("trader", "gateway", "broker", "supervisor", "gateway+trader")
VERSIONS = ("FIX.4.4", "FIX.5.0SP2")
SESSION = "rehearsal"
MESSAGES = frozenset(("in", "out", "in_copy", "out_copy"))


@dataclass
class FixOutcome(Outcome):
    """What a drill over FIX came to; `messages` were compared with those beside the tape."""

    messages: int = 0


def overlaps(seed: int) -> bool:
    """Tell whether a seed's kills do not wait for one another."""
    return seed % 2 == 1


def plan(seed: int, kills: int | None = None) -> tuple[Kill, ...]:
    """Return what happens in the drill of a seed: no victim twice before each had its turn."""
    draw = random.Random(f"fix {seed}")
    made: list[Kill] = []
    turns: list[str] = []
    for _ in range(kills or draw.randint(2, 4)):
        turns = turns or draw.sample(VICTIMS, len(VICTIMS))
        by_time = draw.random() < 0.5
        seconds, size = draw.uniform(0.05, 1.5), draw.randint(1, 60_000)
        away = draw.choice((0.0, 0.2, 1.0, 3.0))
        made.append(Kill(turns.pop(), seconds if by_time else 0.0, 0 if by_time else size, away))
    return tuple(made)


class Desk:
    """A simulated broker with journals, the gateway of our side, and who kills them."""

    def __init__(self, folder: Path, seed: int, url: str, **options: Any) -> None:
        generator = {"instruments": 2, "seconds": 3600, "rate": 60, "seed": seed, "size": 40}
        world = {
            "generator": generator, "speed": 1.0, "clock": "wall", "cash": {"USD": CASH},
            "fees": "bps:1", "heartbeat": 0.2, "journal": "journal", **options.pop("world", {}),
        }  # fmt: skip
        self.folder = folder
        self.broker = rehearsal.broker(world, tape=url, folder=folder, **options)
        self.journal = folder / "journal"
        self.turns = {"broker": Lock(), "gateway": Lock()}

    @property
    def there(self) -> tuple[str, dict[str, object]]:
        """The venue of a session at this broker."""
        return "fix", dict(self.broker.config)

    @property
    def client(self) -> dict[str, Any]:
        """The broker's own door past FIX, where its word is asked for."""
        return {"address": self.broker.address, "accounts": [ACCOUNT], "timeout": 5.0}

    def trade(self, strategy: Any, tape: Tape, **terms: Any) -> Session:
        """Start a session at this broker."""
        given = {"limits": LIMITS, "watch": WATCH, "subscribe": INSTRUMENTS, "catalog": ""} | terms
        return trade(
            strategy, venue=self.there, feed=self.there, account=ACCOUNT, cash=CASH, tape=tape,
            **given,
        )  # fmt: skip

    def written(self) -> int:
        """Return how many bytes the broker's journal has: a measure of what has happened."""
        return self.journal.stat().st_size if self.journal.exists() else 0

    def busy(self, more: int = 4_000, within: float = 60.0) -> None:
        """Wait until the broker has had so much more to write."""
        goal = self.written() + more
        until(lambda: self.written() > goal, within, "trading")

    def kill_gateway(self) -> bool:
        """SIGKILL the gateway of our side; False where none lives."""
        pid = process.running(self.broker.gateway)
        if not pid:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda: process.running(self.broker.gateway) != pid, named="the gateway's end")
        return True

    def start_gateway(self) -> None:
        """Start it again, as a machine's service manager does."""
        process.ensure(self.folder / "broker.cfg")

    def journals(self) -> tuple[list[Record], list[Record]]:
        """End gateway and broker; return all messages of our journal, and of the broker's."""
        process.stop(self.broker.gateway)
        self.broker.stop()
        return _messages(self.folder / "here"), _messages(self.folder / "there")

    def close(self) -> None:
        """Leave nothing running."""
        self.kill_gateway()
        self.broker.kill()
        self.broker.close()


def _messages(folder: Path) -> list[Record]:
    journal = Journal(folder, SESSION)
    try:
        return [one for one in journal.records() if one.kind in MESSAGES]
    finally:
        journal.close()


def drill(
    seed: int, folder: Path, server: Any, kills: int | None = None, tls: bool | None = None
) -> FixOutcome:
    """Do the drill of a seed; the session's folders go where ONETAPE_HOME says.

    server   a database server, whose `url_of` names a database for it
    """
    begun, todo = time.monotonic(), plan(seed, kills)
    url = server.url_of(f"fixdrill_{seed}_{time.time_ns():x}")
    session: Session | None = None
    with open_tape(url) as tape:
        desk = Desk(
            folder, seed, url, version=VERSIONS[seed // 2 % 2],
            tls=seed // 4 % 2 == 0 if tls is None else tls,
        )  # fmt: skip
        try:
            session = desk.trade(Churn, tape)
            session.wait(timeout=60)
            desk.busy(1)
            _struck(todo, session, desk, overlaps(seed))
            recovered(session, desk)
            session.stop()
            desk.broker.kept()
            findings = examine(tape, session.id, desk.client, desk.journal)
            messages = compared(desk, tape, findings)
            told = session.view.told
            restarts = len(told.restarts) if told is not None else 0
        finally:
            if session is not None:
                end_all(session)
            desk.close()
    return FixOutcome(seed, todo, findings, restarts, time.monotonic() - begun, messages)


def _struck(todo: tuple[Kill, ...], session: Session, desk: Desk, overlapping: bool) -> None:
    with ThreadPoolExecutor(len(todo)) as aside:
        struck = []
        for kill in todo:
            moment(kill, desk)
            struck.append(aside.submit(strike, kill, session, desk))
            if not overlapping:
                struck[-1].result()
        for one in struck:
            one.result()


def moment(kill: Kill, desk: Desk) -> None:
    """Wait for the moment of a kill."""
    if kill.after_bytes:
        goal, end = desk.written() + kill.after_bytes, time.monotonic() + 3.0
        while desk.written() < goal and time.monotonic() < end:
            time.sleep(0.002)
    time.sleep(kill.after_s)


def strike(kill: Kill, session: Session, desk: Desk) -> None:
    """Kill, and have it back after a while."""
    if kill.victim == "trader":
        kill_trader(session)
    elif kill.victim == "supervisor":
        kill_supervisor(session)
        time.sleep(min(kill.away_s, 1.0))
        session.supervise()
    elif kill.victim == "gateway+trader":
        with desk.turns["gateway"]:
            desk.kill_gateway()
            kill_trader(session)
            time.sleep(kill.away_s)
            if not until_answered(desk, 10.0):  # a trader that was starting may not have to attach
                desk.start_gateway()
    elif kill.victim == "gateway":
        with desk.turns["gateway"]:
            desk.kill_gateway()
            time.sleep(kill.away_s)
            desk.start_gateway()
    else:
        with desk.turns["broker"]:
            desk.broker.kill()
            time.sleep(kill.away_s)
            desk.broker.start()


def until_answered(desk: Desk, within: float) -> bool:
    """Wait until somebody has started the gateway; False where nobody does."""
    end = time.monotonic() + within
    while not process.answers(desk.broker.gateway):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def compared(desk: Desk, tape: Tape, found: Findings) -> int:
    """Hold what stands beside the tape against our journal, and that against the broker's.

    Returns how many messages our journal has; ends gateway and broker.
    """
    breaks = [one.event.fact for one in tape.read() if isinstance(one.event.fact, BreakFound)]
    found.mismatched += [f"break {b.break_id}: {b.ours} here, {b.theirs} there" for b in breaks]
    ours, theirs = desk.journals()
    log = WireLog.open(tape.url)
    try:
        rows = {row.position: row.raw for row in log.read(SESSION)}
    finally:
        log.close()
    kept = {one.position: one.raw for one in ours}
    found.lost += [f"message {at} is not beside the tape" for at in sorted(kept.keys() - rows)][:9]
    found.mismatched += [f"message {at} differs" for at, raw in kept.items()
                         if rows.get(at, raw) != raw][:9]  # fmt: skip
    _once(ours, theirs, found)
    return len(ours)


def _once(ours: list[Record], theirs: list[Record], found: Findings) -> None:
    """No new order came to the broker twice, but as a marked copy of one that it had."""
    arrived = Counter(
        name for one in theirs if one.kind.startswith("in") and (name := _order_of(one)) is not None
    )
    left = {name for one in ours if one.kind == "out" and (name := _order_of(one)) is not None}
    found.doubled += [f"{name} came {n} times" for name, n in arrived.items() if n > 1]
    found.mismatched += [f"{name} came and was not sent" for name in arrived.keys() - left]


def _order_of(record: Record) -> str | None:
    if b"\x0135=D\x01" not in record.raw[:40] or b"\x0143=Y\x01" in record.raw:
        return None
    with suppress(OnetapeError, ValueError):
        return parse(record.raw).get(11)
    return None
