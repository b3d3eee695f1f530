# pyright: standard
"""Telling: how a trader is, for whoever looks: status.json, replaced several times a second."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from onetape.run.folder import FeedHealth, Holding, Status, write_status

if TYPE_CHECKING:
    from onetape.run.trader import Trader

EVERY_S = 0.25
_log = logging.getLogger(__name__)
ZERO = Decimal(0)


class Telling:
    """Writes a trader's status."""

    def __init__(self, trader: Trader, folder: Path, attempt: int) -> None:
        self._trader, self._folder, self._attempt = trader, folder, attempt
        self.again = False  # it ends and is tried again: to whoever looks it is still starting

    async def run(self) -> None:
        """Tell, again and again: the heartbeat is that this loop turns."""
        while True:
            try:
                self.now()
            except OSError as err:  # a full disk ends no trading; the supervisor hears no pulse
                _log.warning("the status cannot be written: %s", err)
            await asyncio.sleep(EVERY_S)

    def now(self) -> None:
        """Tell now."""
        write_status(self._folder, self.status())

    def status(self) -> Status:
        """Return how the trader is."""
        trader, now = self._trader, time.time_ns()
        if not trader.opened:
            return Status(
                trader.spec.session, os.getpid(), trader.state, ts=now, heartbeat=now,
                detail=trader.detail, error=trader.error, attempt=self._attempt,
                currency=trader.spec.currency,
            )  # fmt: skip
        trader.kernel.recorder.flush()
        trader.line.send()
        held = self._holdings()
        counts = trader.counts
        realized = sum((s.realized for s in trader.carried.stakes.values()), ZERO)
        return Status(
            session=trader.spec.session,
            pid=os.getpid(),
            state="starting" if self.again else trader.state,
            ts=now,
            heartbeat=now,
            detail=trader.detail,
            quotes=trader.receiving.rows,
            orders_sent=counts["orders"],
            fills=counts["fills"],
            working=len(trader.carried.working),
            positions=tuple(held),
            realized=realized,
            unrealized=sum((h.unrealized or ZERO for h in held), ZERO),
            equity=trader.equity(),
            currency=trader.spec.currency,
            feeds=self._feeds(),
            venue_state=trader.venue_state,
            gate_state=trader.gate_state(),
            denied=counts["denied"],
            tape_lag=trader.line.behind,
            error=trader.error,
            last_event_seq=trader.kernel.recorder.count,
            attempt=self._attempt,
        )

    def _feeds(self) -> tuple[FeedHealth, ...]:
        return tuple(
            FeedHealth(
                one.instrument,
                one.data,
                one.state,
                one.age_ns / 1e9 if one.rows else None,
                one.rows,
            )
            for one in self._trader.receiving.health.states()
        )

    def _holdings(self) -> list[Holding]:
        trader = self._trader
        made: list[Holding] = []
        names = dict.fromkeys(name for name, _ in trader.carried.stakes)
        for name in names:
            stakes = [s for (of, _), s in trader.carried.stakes.items() if of == name]
            quantity = sum((s.quantity for s in stakes), ZERO)
            cost = sum((s.cost for s in stakes), ZERO)
            if not quantity:
                continue
            multiplier = trader.instruments[name].multiplier
            mark = trader.mark(name)
            gained = None if mark is None else quantity * mark * multiplier - cost
            made.append(Holding(name, quantity, cost / (quantity * multiplier), mark, gained))
        return made
