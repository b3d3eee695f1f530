"""One drill: a session trades, its parts are killed at seeded moments, then all is examined.

Moments    after so many seconds, or once the venue's journal has grown by so much, whichever the
           seed says; the next one may come while the last is still being recovered from.
Time       the wall's; in a quarter of the drills that of a past day's rows, three times as fast.
Victims    trader, venue, database, supervisor. A venue or a database is started again after a
           seeded while, a supervisor by a person's `session.supervise()`. In half of the drills
           the next kill does not wait for that: two or three of them are then away at once.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from onetape.errors import RunError
from onetape.results.session import trade
from onetape.results.session_handle import Session
from onetape.results.tape import open_tape
from onetape.risk.limitbook import LimitBook, book
from onetape.run.folder import Watch

from .churn import Churn
from .evidence import Findings, examine
from .victims import (
    ACCOUNT,
    CASH,
    Database,
    Venue,
    end_all,
    kill_supervisor,
    kill_trader,
    until,
)

VICTIMS = ("trader", "trader", "venue", "database", "supervisor")
WATCH = Watch(stuck_s=20, stop_s=45, backoff_s=0.1, restarts=50)
WIDE = {
    "reference_age_seconds": 60, "price_collar": "0.9", "price_drift": "0.9",
    "max_order_notional": 10**9, "max_order_quantity": 10**6, "message_rate": 10**5,
    "repeat_count": 10**6, "duplicate_seconds": "0.000001", "self_match": False,
    "max_open_orders": 10**5, "max_position": 10**6, "max_gross": 10**10,
    "max_daily_notional": 10**11, "daily_loss_hard": 10**9, "session_hours": False,
    "max_unacked": 10**5, "unacked_seconds": 3600, "max_cash_use": 10**6,
    "max_margin_use": 10**6,
}  # fmt: skip
INSTRUMENTS = ["GEN000.SIM", "GEN001.SIM"]


def within(**values: Any) -> LimitBook:
    """Return a complete set of limits, each so wide that it stops nothing, but for those named."""
    return book([("firm", name, value) for name, value in (WIDE | values).items()], "deny")


LIMITS = within(max_order_quantity=100, max_position=400)


@dataclass(frozen=True)
class Kill:
    """Who is killed, when (seconds or bytes of the journal after the last), for how long away."""

    victim: str
    after_s: float
    after_bytes: int
    away_s: float


@dataclass
class Outcome:
    """What a drill came to."""

    seed: int
    kills: tuple[Kill, ...]
    findings: Findings
    restarts: int
    seconds: float


def overlaps(seed: int) -> bool:
    """Tell whether a seed's kills do not wait for one another."""
    return seed % 2 == 1


def replays(seed: int) -> bool:
    """Tell whether a seed's session trades on a past day."""
    return seed % 4 == 2


def plan(seed: int, kills: int | None = None) -> tuple[Kill, ...]:
    """Return what happens in the drill of a seed."""
    draw = random.Random(seed)
    made: list[Kill] = []
    for _ in range(kills or draw.randint(1, 3)):
        by_time = draw.random() < 0.5
        seconds, size = draw.uniform(0.05, 1.5), draw.randint(1, 60_000)
        away = draw.choice((0.0, 0.2, 1.0, 5.0))
        victim = draw.choice(VICTIMS)
        made.append(Kill(victim, seconds if by_time else 0.0, 0 if by_time else size, away))
    return tuple(made)


def drill(seed: int, folder: Path, database: Database, kills: int | None = None) -> Outcome:
    """Do the drill of a seed; the session's folders go where ONETAPE_HOME says."""
    begun, todo = time.monotonic(), plan(seed, kills)
    url = database.server.url_of(f"drill_{seed}_{time.time_ns():x}")
    past = {"clock": "rows", "speed": 3.0} if replays(seed) else {}
    venue = Venue(folder, seed, rate=20 if past else 60, **past)
    session: Session | None = None
    try:
        with open_tape(url) as tape:
            session = trade(
                Churn, venue=("sim", venue.client), account=ACCOUNT, limits=LIMITS,
                subscribe=INSTRUMENTS, cash=CASH, tape=tape, catalog="", watch=WATCH,
            )  # fmt: skip
            session.wait(timeout=60)
            with ThreadPoolExecutor(len(todo)) as aside:
                struck = []
                for kill in todo:
                    moment(kill, venue)
                    struck.append(aside.submit(strike, kill, session, venue, database))
                    if not overlaps(seed):
                        struck[-1].result()
                for one in struck:
                    one.result()
            recovered(session, venue)
            session.stop()
            findings = examine(
                tape, session.id, venue.client, venue.journal, clocks=not replays(seed)
            )
            told = session.view.told
            restarts = len(told.restarts) if told is not None else 0
        return Outcome(seed, todo, findings, restarts, time.monotonic() - begun)
    finally:
        if session is not None:
            end_all(session)
        venue.kill()


def moment(kill: Kill, venue: Venue) -> None:
    """Wait for the moment of a kill."""
    if kill.after_bytes:
        goal, end = venue.written() + kill.after_bytes, time.monotonic() + 3.0
        while venue.written() < goal and time.monotonic() < end:
            time.sleep(0.002)
    time.sleep(kill.after_s)


def strike(kill: Kill, session: Session, venue: Venue, database: Database) -> None:
    """Kill, and have it back after a while."""
    if kill.victim == "trader":
        kill_trader(session)
    elif kill.victim == "supervisor":
        kill_supervisor(session)
        time.sleep(min(kill.away_s, 1.0))
        session.supervise()
    else:
        victim = venue if kill.victim == "venue" else database
        with victim.turn:
            victim.kill()
            time.sleep(kill.away_s)
            victim.start()


class Written(Protocol):
    """A venue, as far as it can be told whether orders come."""

    def written(self) -> int:
        """Return the bytes of its journal."""
        ...


def recovered(session: Session, venue: Written) -> None:
    """Wait until the session trades again: it runs, and the venue hears of it."""

    def runs() -> bool:
        view = session.view
        if view.state in ("failed", "killed", "lost", "stopped"):
            raise RunError(f"session {session.id} is {view.state}: {view.why}\n{session.log(60)}")
        status = view.status
        return view.state == "running" and status is not None and not status.tape_lag > 5_000

    until(runs, 90, "running again")
    goal = venue.written() + 4_000
    until(lambda: runs() and venue.written() > goal, 60, f"trading again\n{session.log(60)}")
