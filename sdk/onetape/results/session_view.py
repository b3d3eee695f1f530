# pyright: standard
"""What is known of a session at one moment, read from its folder and from nothing else."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import polars as pl

from onetape.errors import RunError
from onetape.run import processes
from onetape.run.folder import (
    ENDED,
    Status,
    Supervision,
    read_spec,
    read_status,
    read_supervision,
)

MONEY = pl.Decimal(38, 18)
POSITIONS = pl.Schema(
    {
        "instrument": pl.String(),
        "quantity": MONEY,
        "average_price": MONEY,
        "mark": MONEY,
        "unrealized": MONEY,
    }
)
FEEDS = pl.Schema(
    {
        "instrument": pl.String(),
        "data": pl.String(),
        "state": pl.String(),
        "age_s": pl.Float64(),
        "rows": pl.Int64(),
    }
)
FRESH_S = 60.0  # after which a session that was never supervised is lost and not just starting
AT_IT = (
    "stuck",
    "restarting",
    "stopping",
    "killing",
)  # the supervisor has the word


class PnL(NamedTuple):
    """Money of a session now, in `currency`; `equity` is None while no price is known."""

    realized: Decimal
    unrealized: Decimal
    equity: Decimal | None
    currency: str

    @property
    def total(self) -> Decimal:
        """Realized and unrealized."""
        return self.realized + self.unrealized


@dataclass(frozen=True)
class Health:
    """How a session is beside its money.

    heartbeat_s   seconds since the trader's last turn, None before the first
    supervised    whether a supervisor is there; without one nothing starts it again
    tape_lag      events that wait to be durable
    """

    state: str
    supervised: bool
    heartbeat_s: float | None
    attempt: int
    restarts: tuple[str, ...]
    venue: str
    gate: str
    denied: int
    tape_lag: int
    feeds: pl.DataFrame

    @property
    def ok(self) -> bool:
        """Whether nothing is to be looked at: it runs as it should, or stopped in good order."""
        if self.state == "stopped":
            return True
        live = all(state == "live" for state in self.feeds["state"])
        well = self.state == "running" and self.supervised and self.gate in ("", "ACTIVE")
        return well and live and self.venue in ("", "connected")

    def __repr__(self) -> str:
        beat = "none yet" if self.heartbeat_s is None else f"{self.heartbeat_s:.1f} s ago"
        lines = [
            f"{'ok' if self.ok else 'LOOK'}: {self.state}, heartbeat {beat}",
            f"  venue {self.venue or '–'}, gate {self.gate or '–'}, {self.denied:,} denied, "
            f"{self.tape_lag:,} events wait for the tape",
        ]
        if not self.supervised and self.state not in ENDED:
            lines.append("  no supervisor: session.supervise() starts one")
        lines += [f"  restarted: {why}" for why in self.restarts]
        for row in self.feeds.iter_rows(named=True):
            age = "" if row["age_s"] is None else f", last {row['age_s']:.1f} s ago"
            lines.append(
                f"  {row['instrument']} {row['data']}: {row['state']}, {row['rows']:,} rows{age}"
            )
        return "\n".join(lines)


class View(NamedTuple):
    """One moment of a session; `status` is None before its trader said anything."""

    state: str
    status: Status | None
    told: Supervision | None
    supervised: bool
    trading: bool  # whether its trader's process runs

    @classmethod
    def of(cls, folder: Path) -> View:
        """Return how a session is now; raises RunError for what is no session's folder."""
        try:
            told, status = read_supervision(folder), read_status(folder)
        except RunError:  # another version wrote it: it can be listed, not told of
            return cls("unreadable", None, None, False, False)
        supervised = told is not None and processes.alive(told.pid, told.birth)
        trading = told is not None and processes.alive(told.trader_pid, told.trader_birth)
        if told is None and status is None:
            age = time.time() - read_spec(folder).created / 1e9
            return cls("starting" if age < FRESH_S else "lost", None, None, False, False)
        return cls(state_of(told, status, supervised, trading), status, told, supervised, trading)

    @property
    def alive(self) -> bool:
        """Whether a process of it runs."""
        return self.supervised or self.trading

    @property
    def why(self) -> str:
        """What is said of its state: the error where it failed."""
        said = self.status.error or self.status.detail if self.status is not None else ""
        return said or (self.told.detail if self.told is not None else "")

    @property
    def positions(self) -> pl.DataFrame:
        """What it holds."""
        held = self.status.positions if self.status is not None else ()
        rows = [[getattr(one, name) for name in POSITIONS] for one in held]
        return pl.DataFrame(rows, schema=POSITIONS, orient="row")

    @property
    def pnl(self) -> PnL:
        """What it earned."""
        one = self.status or Status("", 0, "")
        return PnL(one.realized, one.unrealized, one.equity, one.currency)

    @property
    def health(self) -> Health:
        """How it is."""
        one = self.status or Status("", 0, "")
        rows = [[getattr(feed, name) for name in FEEDS] for feed in one.feeds]
        beat = max(0.0, (time.time_ns() - one.heartbeat) / 1e9) if one.heartbeat else None
        return Health(
            state=self.state,
            supervised=self.supervised,
            heartbeat_s=beat,
            attempt=self.told.attempt if self.told is not None else 0,
            restarts=tuple(again.why for again in self.told.restarts) if self.told else (),
            venue=one.venue_state,
            gate=one.gate_state,
            denied=one.denied,
            tape_lag=one.tape_lag,
            feeds=pl.DataFrame(rows, schema=FEEDS, orient="row"),
        )


def state_of(
    told: Supervision | None, status: Status | None, supervised: bool, trading: bool
) -> str:
    """Return the state in one word, of what both processes said and whether they run."""
    if status is not None and status.state in ENDED:
        return status.state
    if not (supervised or trading):
        return "lost"
    if supervised and told is not None and told.state in AT_IT:
        return told.state
    if status is None:
        return "starting"
    if told is None or not trading:  # what the status tells is of a process that is gone
        return "restarting"
    if status.pid != told.trader_pid:
        return "starting"
    return status.state


def seen(folder: Path) -> View:
    """Return how a session is, "lost" where its files cannot be read."""
    try:
        return View.of(folder)
    except RunError:
        return View("lost", None, None, False, False)
