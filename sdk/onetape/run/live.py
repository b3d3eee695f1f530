# pyright: standard
"""The trader's process: reads a session's spec, trades it, and tells how it goes.

    python -m onetape.run.live FOLDER [ATTEMPT]

Exit codes   0 it stopped as it was asked to; 1 it failed and status.json says why; 75 a restart
             found its venue or tape away: it is to be tried again.
Signals      SIGTERM stops in order; SIGUSR1 halts at once: no order leaves any more, also when
             the strategy does not give the loop back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from onetape.errors import Fenced, OnetapeError, TapeUnavailable, VenueUnavailable
from onetape.run import control, venues
from onetape.run.asked import Asked
from onetape.run.carried import load
from onetape.run.fence import Lease
from onetape.run.folder import (
    CONTROL,
    Endpoint,
    LiveSpec,
    Status,
    read_spec,
    tape_held,
    write_status,
)
from onetape.run.loud import loud
from onetape.run.telling import Telling
from onetape.run.trader import Trader
from onetape.tape.postgres import PostgresTape

PATIENCE_S = 2.0  # for which the tape's writer tries again by itself
RESTART_S = 60.0  # for which a restarted trader waits for its venue, and its tape
AWAY, AGAIN = (TapeUnavailable, VenueUnavailable), 75
ANSWER_S = 3.0  # that the server has for saying so
LEASE_S = 1.0  # between two looks at whether the lease is held
_log = logging.getLogger(__name__)


def main(folder: Path, attempt: int = 1) -> int:
    """Trade the session of a folder; return the exit code."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    spec = read_spec(folder)
    if attempt > 1:  # what a process that died began is another stream than what follows
        spec = msgspec.structs.replace(spec, session=f"{spec.session}-r{attempt}")
    try:
        with tape_held(spec):
            return asyncio.run(_Process(folder, spec, attempt).run())
    except OnetapeError as err:
        again = attempt > 1 and isinstance(err, AWAY)
        _failed(folder, spec, attempt, err, "starting" if again else "failed")
        return AGAIN if again else 1


def _failed(folder: Path, spec: LiveSpec, attempt: int, err: BaseException, state: str) -> None:
    _log.error("%s", err)
    told = Status(
        spec.session, os.getpid(), state, ts=time.time_ns(), heartbeat=time.time_ns(),
        detail=str(err), error=f"{type(err).__name__}: {err}", attempt=attempt,
    )  # fmt: skip
    write_status(folder, told)


class _Process:
    def __init__(self, folder: Path, spec: LiveSpec, attempt: int) -> None:
        self.folder, self.spec, self.attempt = folder, spec, attempt
        self.trader: Trader | None = None

    async def run(self) -> int:
        """Do all of it; return the exit code."""
        spec = self.spec
        tape = await self._tape()
        try:
            strategy: Any = load(spec, self.folder)(**spec.params)
            lease = Lease(tape, spec.tape, spec.venue.adapter, spec.account, spec.session)
            ends = (_end(venues.venue, spec.venue), _end(venues.feed, spec.feed))
            self.trader = trader = Trader(spec, tape, lease, ends, strategy, self.folder)
            if self.attempt > 1:  # it traded before: the venue may be coming back too
                trader.patience = RESTART_S
            return await self._trade(trader)
        finally:
            await asyncio.to_thread(tape.close)

    async def _tape(self) -> PostgresTape:
        """Open the tape; a restart waits for one that is away."""
        until = time.monotonic() + (RESTART_S if self.attempt > 1 else 0.0)
        while True:
            try:
                return PostgresTape(self.spec.tape, patience=PATIENCE_S)
            except TapeUnavailable:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(LEASE_S)

    async def _trade(self, trader: Trader) -> int:
        telling = Telling(trader, self.folder, self.attempt)
        trader.moved = telling.now
        asked = Asked(trader)
        door = await control.serve(self.folder / CONTROL, asked.handlers())
        self._signals(trader)
        watching = [
            loud(telling.run(), trader.fail),
            loud(self._fenced(trader), trader.fail),
        ]
        try:
            return await self._through(trader, telling)
        finally:
            for task in watching:
                task.cancel()
            await door.close()

    async def _through(self, trader: Trader, telling: Telling) -> int:
        state, again = "failed", False
        try:
            await trader.begin()
            await trader.ended.wait()
        except Exception as err:
            again = telling.again = self.attempt > 1 and isinstance(err, AWAY)
            _log.error("%s", "".join(traceback.format_exception(err)))
            trader.error = f"{type(err).__name__}: {err}"
        if trader.opened:
            state = await trader.end()
            await trader.close(state)
        else:
            trader.lease.release()
            trader.state = state
        if again:  # nothing was traded; the orders of the process before may still work
            trader.state, trader.detail = "starting", f"it is tried again: {trader.error}"
        telling.now()
        _log.info("%s %s %s", trader.stream, state, trader.error)
        return AGAIN if again else 0 if state == "stopped" else 1

    async def _fenced(self, trader: Trader) -> None:
        while True:
            await asyncio.sleep(LEASE_S)
            if trader.opened and trader.state == "running":
                asked = asyncio.to_thread(trader.lease.held)
                try:
                    trader.fence(await asyncio.wait_for(asked, ANSWER_S))
                except TimeoutError:  # a server that hangs cannot say that the lock is ours
                    trader.fence(False)
                if trader.lease.lost and not trader.ended.is_set():
                    trader.fail(Fenced(f"the account was taken over by {trader.lease.lost}"))

    def _signals(self, trader: Trader) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, trader.ended.set)
        with suppress(ValueError):  # only the main thread may
            signal.signal(signal.SIGUSR1, lambda *_: trader.halt_now("signal SIGUSR1"))


def _end(make: Any, end: Endpoint) -> Any:
    return make({**end.config, "venue": end.adapter})


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
