"""A drill: a trader and a broker under load, killed at seeded points, then the account.

Kills   of the broker, of the trader, or of both within one moment; the next comes once so many
        more records were written since the last, or so many milliseconds passed, as the seed says.
        A killed side is started again after a seeded while, on its own journal.
Points  are the work's, not the clock's: a fast machine and a slow one are killed at like moments.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .account import Account, account, read
from .counterparts import Broker, Process
from .gateways import Client, GatewayProcess

AWAY_S = (0.0, 0.4)
RECORDED = 150  # bytes of records for an order, about


class Ours(Broker):
    """The simulated broker of this repository, in a process."""

    def command(self) -> list[str]:
        """See `Process`."""
        return [sys.executable, "-m", "fix.interop.broker", *self._told(),
                "--sessions", str(self.sessions)]  # fmt: skip


class Trader(Process):
    """Our initiators, in a process."""

    def __init__(self, folder: Path, broker: Broker, orders: int, seconds: float) -> None:
        super().__init__(folder, "trader")
        self.broker, self.orders, self.seconds = broker, orders, seconds
        self.written = folder / "trader.records"

    def command(self) -> list[str]:
        """See `Process`."""
        more = ["--by-order"] if self.broker.reports == 1 else []
        return [
            sys.executable, "-m", "fix.interop.trader", "--port", str(self.broker.port),
            "--store", str(self.folder / "trader-store"), "--records", str(self.written),
            "--sessions", str(self.broker.sessions), "--orders", str(self.orders),
            "--seconds", str(self.seconds), *more,
        ]  # fmt: skip


@dataclass(slots=True)
class Drilled:
    """What came of a drill."""

    seed: int
    account: Account
    finished: bool
    kills: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    said: str = ""


class Drill:
    """One run of a client against a broker; `victims` names what may be killed, one or several
    processes at a time, in any order among them."""

    def __init__(
        self, client: Trader | Client, broker: Broker, victims: dict[str, list[Process]], seed: int
    ) -> None:
        self.client, self.broker, self.victims, self.seed = client, broker, victims, seed
        self.draw = random.Random(seed)
        self.done: Counter[str] = Counter()

    def run(self, kills: int, first: list[Process]) -> Drilled:
        """Start `first` in order, then the client; kill, wait, return the account."""
        begun = time.monotonic()
        finished = False
        try:
            for one in (*first, self.client):
                one.start()
            for _ in range(kills):
                if not self._worked(*self._share(kills)):
                    break
                self._kill()
            finished = self._ended(begun + self.client.seconds)
        finally:
            for one in (self.client, *first):
                one.end()
        found = account(read(self.client.written), self.broker.records())
        words = "" if finished else "; ".join(o.last_words()[-600:] for o in (self.client, *first))
        spent = round(time.monotonic() - begun, 1)
        return Drilled(self.seed, found, finished, dict(self.done), spent, words)

    def _share(self, kills: int) -> tuple[int, float]:
        """Return how many bytes of records are to pass before the next kill, and how long after."""
        whole = self.client.orders * self.broker.sessions * RECORDED
        share = whole / (kills + 1)
        return int(self.draw.uniform(0.1, 0.9) * share), self.draw.uniform(0, 0.02)

    def _worked(self, passed: int, then: float) -> bool:
        """Wait until so much is written; False where the client is done before."""
        goal, until = self._size() + passed, time.monotonic() + 60
        while self._size() < goal:
            if not self.client.alive or time.monotonic() > until:
                return False
            time.sleep(0.002)
        time.sleep(then)
        return True

    def _size(self) -> int:
        return self.client.written.stat().st_size if self.client.written.exists() else 0

    def _kill(self) -> None:
        victim = self.draw.choice(sorted(self.victims))
        self.done[victim] += 1
        sides = list(self.victims[victim])
        self.draw.shuffle(sides)
        for side in sides:
            side.kill()
        time.sleep(self.draw.uniform(*AWAY_S))
        for side in sides:
            side.start()

    def _ended(self, until: float) -> bool:
        """Wait for the client to be done with all orders."""
        running = self.client.running
        while running is not None and time.monotonic() < until:
            if running.poll() is not None:
                return running.returncode == 0
            time.sleep(0.01)
        return False


def drill(
    kind: type[Broker], folder: Path, seed: int, *, sessions: int = 28, orders: int = 20,
    kills: int = 3, victims: tuple[str, ...] = ("broker", "trader", "both"), seconds: float = 60.0,
) -> Drilled:  # fmt: skip
    """Drill our sessions in one process with a kind of broker."""
    broker = kind(folder, sessions)
    trader = Trader(folder, broker, orders, seconds)
    named: dict[str, list[Process]] = {
        "broker": [broker], "trader": [trader], "both": [broker, trader]
    }  # fmt: skip
    return Drill(trader, broker, {one: named[one] for one in victims}, seed).run(kills, [broker])


def gateway_drill(
    kind: type[Broker], folder: Path, seed: int, *, sessions: int = 28, orders: int = 20,
    kills: int = 3, victims: tuple[str, ...] = ("gateway", "broker", "both"),
    seconds: float = 200.0,
) -> Drilled:  # fmt: skip
    """Drill a gateway's process, with its client, and a kind of broker."""
    broker = kind(folder, sessions)
    gateway = GatewayProcess(folder, broker)
    client = Client(folder, gateway, sessions, orders, seconds)
    named: dict[str, list[Process]] = {
        "broker": [broker], "gateway": [gateway], "both": [broker, gateway], "client": [client],
    }  # fmt: skip
    told = {one: named[one] for one in victims}
    try:
        return Drill(client, broker, told, seed).run(kills, [broker, gateway])
    finally:
        gateway.clear()
