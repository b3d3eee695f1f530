"""The live demonstration: a minute of trading at a simulated venue, in well under a minute.

Starts the simulated venue in a process of its own on a socket, trades an EMA cross there on a
minute of seeded quotes (synthetic, and said so), compares what we hold with the venue's own word,
verifies the tape from its bytes, makes the whole session again and compares it byte for byte.
With `fix` the venue is a simulated broker, spoken to by FIX over TLS through a gateway.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from onetape.errors import RunError
from onetape.given import strategy
from onetape.results.rerun import Rerun, rerun
from onetape.results.session import trade
from onetape.results.session_handle import Session
from onetape.results.tape import Tape, open_tape
from onetape.risk.limitfile import starter
from onetape.run import venues
from onetape.tape.audit import Verdict

CASH = 100_000
MARKET = {"instruments": 2, "seconds": 60, "rate": 20, "seed": 20}
WORLD = {"generator": MARKET, "speed": 0, "cash": {"USD": str(CASH)}}
PARAMS = {"fast": 5, "slow": 20}
START_S, TRADE_S = 30.0, 90.0
Step = Callable[[str], None]


@dataclass(frozen=True)
class Wire:
    """What went over FIX, and what of it is kept beside the tape."""

    session: str
    address: str
    messages: int
    kept: int
    alarms: int

    @classmethod
    def of(cls, told: dict[str, Any], tape: Tape, since: int) -> Wire:
        """Return it from a session's status and a tape that its messages were copied to."""
        said = told["messages_in"] + told["messages_out"]
        kept = tape.wire(told["session"], since=since).height
        return cls(told["id"], told["address"] or "", said, kept, told["alarms"])

    @property
    def good(self) -> bool:
        """Whether every message is kept."""
        return 0 < self.messages <= self.kept

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {**asdict(self), "all_kept": self.good}

    def __str__(self) -> str:
        return (
            f"{self.session} at {self.address} over TLS: {self.messages} messages, "
            f"{self.kept} kept word for word, {self.alarms} alarms"
        )


@dataclass(frozen=True)
class DemoLive:
    """What the live demonstration made."""

    session: str
    state: str
    orders: int
    fills: int
    denied: int
    positions: dict[str, Decimal]
    venue_positions: dict[str, Decimal]
    equity: Decimal
    verdict: Verdict
    again: Rerun
    tape: str
    shown: str
    wire: Wire | None = None  # over FIX

    @property
    def rerun_identical(self) -> bool:
        """Whether the session, made again, is the same bytes."""
        return self.again.identical

    @property
    def positions_match_venue(self) -> bool:
        """Whether our positions are those that the venue tells of."""
        return self.positions == self.venue_positions

    @property
    def good(self) -> bool:
        """Whether all of it is as it should be."""
        traded = self.state == "stopped" and self.fills > 0
        if self.wire is not None and not self.wire.good:
            return False
        return traded and self.verdict.ok and self.positions_match_venue

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {
            "session": self.session,
            "state": self.state,
            "orders": self.orders,
            "fills": self.fills,
            "denied": self.denied,
            "positions": {name: str(q) for name, q in self.positions.items()},
            "venue_positions": {name: str(q) for name, q in self.venue_positions.items()},
            "positions_match_venue": self.positions_match_venue,
            "equity": str(self.equity),
            "verified": self.verdict.ok,
            "verified_events": self.verdict.events,
            "rerun_identical": self.rerun_identical,
            "tape": self.tape,
            "market": "synthetic quotes at a simulated venue",
            **({} if self.wire is None else {"fix": self.wire.to_dict()}),
        }

    def __str__(self) -> str:
        held = ", ".join(f"{q} {name}" for name, q in self.positions.items()) or "nothing"
        there = ", ".join(f"{q} {name}" for name, q in self.venue_positions.items()) or "nothing"
        return "\n".join(
            (
                self.shown,
                "",
                f"we hold {held}; the simulated venue says {there}",
                *(() if self.wire is None else (str(self.wire),)),
                f"{self.tape}",
                f"{self.verdict}",
                f"the session made again: {self.again.diff()!r}",
            )
        )


def demo_live(
    folder: Path,
    step: Step = lambda _: None,
    where: str | None = None,
    *,
    fix: bool = False,
) -> DemoLive:
    """Run the live demonstration in `folder`; `step` is told what is being done.

    where   the tape as `ot.open_tape` takes it; None is the default one
    fix     trade at a simulated broker, by FIX over TLS
    """
    folder.mkdir(parents=True, exist_ok=True)
    step("open the tape")
    with open_tape(where) as tape, _there(step, tape, fix=fix) as there_is:
        session = _traded(folder, there_is, tape, step)
        step("ask the venue what it has")
        there = asyncio.run(_asked(there_is.address, session.spec.account))
        wire = there_is.wire()
        step("recompute the whole tape from its bytes")
        verdict = tape.verify(progress=False)
        step("make the session again and compare the tapes byte for byte")
        run = session.run
        again = rerun(run)
        step("done")
        status = session.view.status
        if status is None:
            raise RunError(f"session {session.id} said nothing; its log: {session.log()}")
        held = {one.instrument: one.quantity for one in status.positions}
        return DemoLive(
            session=session.id,
            state=session.state,
            orders=status.orders_sent,
            fills=status.fills,
            denied=status.denied,
            positions=held,
            venue_positions=there,
            equity=run.final_equity,
            verdict=verdict,
            again=again,
            tape=repr(tape),
            shown=repr(session),
            wire=wire,
        )


def _traded(folder: Path, there: There, tape: Tape, step: Step) -> Session:
    step("start a strategy in processes of its own")
    session = trade(
        strategy("ema_cross"),
        venue=there.venue,
        feed=there.venue,
        account=f"DEMO-{uuid4().hex[:6]}",
        limits=starter(CASH),
        subscribe=["GEN000.SIM", "GEN001.SIM"],
        params=PARAMS,
        cash=CASH,
        tape=tape,
        catalog=folder / "catalog",
        name="Demo",
    )
    step("trade a minute of quotes")
    session.wait("stopped", TRADE_S)
    return session


@dataclass(frozen=True)
class There:
    """Where the demonstration trades: what `ot.trade` takes, and the venue's own address."""

    venue: tuple[str, dict[str, Any]]
    address: str
    wire: Callable[[], Wire | None] = lambda: None


@contextmanager
def _there(step: Step, tape: Tape, *, fix: bool) -> Generator[There]:
    """Run the simulated venue of the demonstration, over FIX where that is asked for."""
    if not fix:
        with _venue(step) as address:
            yield There(("sim", {"address": address}), address)
        return
    from onetape_fix import rehearsal

    step("start the simulated broker: FIX over TLS, certificates of its own")
    where = tape.url if tape.server is None else str(tape.server.folder)
    since = time.time_ns()
    with rehearsal.broker(WORLD, tape=where) as broker:
        venue = ("fix", dict[str, Any](broker.config))
        yield There(venue, broker.address, lambda: Wire.of(broker.kept(), tape, since))


@contextmanager
def _venue(step: Step) -> Generator[str]:
    """A simulated venue in a process of its own; its address while it runs."""
    step("start the simulated venue")
    with tempfile.TemporaryDirectory(prefix="onetape-venue-") as made:
        config, socket = Path(made) / "venue.json", Path(made) / "s"
        config.write_text(json.dumps(WORLD))
        command = [
            sys.executable,
            "-m",
            "onetape_sim",
            "serve",
            str(config),
            "--socket",
            str(socket),
        ]
        venue = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + START_S
            while not socket.exists():
                if venue.poll() is not None or time.monotonic() > until:
                    raise RunError("the simulated venue did not start; see what it said above")
                time.sleep(0.02)
            yield f"unix:{socket}"
        finally:
            venue.terminate()
            venue.wait(START_S)


async def _asked(address: str, account: str) -> dict[str, Decimal]:
    """Return the positions that the venue itself tells of."""
    venue = venues.venue({"venue": "sim", "address": address})
    await venue.connect(lambda _: None)
    try:
        told = await venue.positions(account)
    finally:
        await venue.disconnect()
    return {one.instrument: one.quantity for one in told}
