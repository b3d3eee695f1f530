"""The supervisor: a small process that keeps a live session's trader alive, or ends it.

    python -m onetape.run.supervise FOLDER

No strategy runs in it, it holds no venue connection and decides nothing about orders: so it
still answers when the trader does not.

Crash      A trader that ended without saying that it was done is started again in the same
           folder, with a pause that doubles. After too many in a while the session has failed
           and its orders are canceled at the venue. A first start that ends by itself before it
           ran is not tried again: the same would happen.
Stuck      A trader whose heartbeat stands still is told to halt (SIGUSR1), then ended, and its
           orders are canceled at the venue. What is counted is turns of our own clock without a
           new heartbeat, so that a step of the wall clock or a suspended machine is no silence.
Stop       SIGTERM or `stop` at its door: the trader stops by itself; one that does not is ended.
Kill       SIGUSR2 or `kill` at its door: the trader is halted, or ended when it does not say
           within 200 ms that it is; then all orders in the scope are canceled on the venue's
           evidence (see killing.py).
Orphans    A supervisor that was killed leaves its trader running; the next one takes it over.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from onetape.errors import RunError
from onetape.run import control
from onetape.run.canceling import cancel, inside, ready, words
from onetape.run.child import Child, Pulse, tail
from onetape.run.folder import (
    CONTROL,
    ENDED,
    SUPERVISOR_DOOR,
    LiveSpec,
    Restart,
    Status,
    Supervision,
    alone,
    read_spec,
    read_status,
    read_supervision,
    tape_held,
    write_status,
    write_supervision,
)
from onetape.run.processes import birth

TRADER = (sys.executable, "-m", "onetape.run.live")
LOOK_S = 0.05  # between two looks at the trader
HALT_S = 0.2  # that a trader has for saying that it is halted, in a kill
STOP_S = 5.0  # that a halted trader has for ending its tape, where the kill waits for that
LONGEST_PAUSE_S = 30.0
Killer = Callable[[LiveSpec, str, str, str], Awaitable[dict[str, Any]]]
_log = logging.getLogger("supervisor")


class Order(msgspec.Struct):
    """What the supervisor was told to do."""

    what: Literal["stop", "kill"]
    flatten: bool | None = None
    scope: str = ""
    reason: str = ""
    who: str = ""


class Supervisor:
    """Supervises the session in `folder`; `command` starts its trader, `killer` cancels orders."""

    def __init__(self, folder: Path, command: Sequence[str] = TRADER, killer: Killer | None = None):
        self.folder = folder
        self.spec = read_spec(folder)
        self._command = tuple(command)
        self._killer = killer or cancel
        self._order: Order | None = None
        self._wake = asyncio.Event()
        self._over = False
        self._killed: asyncio.Future[dict[str, Any]] | None = None
        before = read_supervision(folder) or Supervision(0, "", "")
        self._told = msgspec.structs.replace(before, pid=os.getpid(), birth=birth(os.getpid()))

    async def run(self) -> None:
        """Supervise until the session has ended. Raises RunError where another one does."""
        with alone(self.folder):
            self._tell("watching")
            door = await control.serve(self.folder / SUPERVISOR_DOOR, self._handlers())
            self._listen()
            try:
                await self._supervise()
            finally:
                self._over = True
                self._tell("ended", self._told.detail)
                if self._killed is not None and not self._killed.done():
                    self._killed.set_exception(RunError("the supervisor ended before the kill did"))
                await door.close()

    # -- what it is told

    def _handlers(self) -> dict[str, control.Handler]:
        return {
            "ping": lambda _: {"pid": os.getpid()},
            "status": lambda _: msgspec.to_builtins(self._told),
            "stop": self._stop_asked,
            "kill": self._kill_asked,
        }

    def _listen(self) -> None:
        loop, who = asyncio.get_running_loop(), f"{getpass.getuser()} (signal)"
        kill = Order("kill", reason="SIGUSR2", who=who)
        loop.add_signal_handler(signal.SIGTERM, self._told_to, Order("stop"))
        loop.add_signal_handler(signal.SIGUSR2, self._told_to, kill)

    def _stop_asked(self, args: dict[str, Any]) -> dict[str, Any]:
        self._told_to(Order("stop", flatten=args.get("flatten")))
        return {"asked": True}

    async def _kill_asked(self, args: dict[str, Any]) -> dict[str, Any]:
        if self._over:
            raise RunError("the session has just ended; kill the account itself: ot.kill(...)")
        self._told_to(Order("kill", **args))
        if self._killed is None:
            self._killed = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._killed)

    def _told_to(self, order: Order) -> None:
        _log.warning("told to %s %s", order.what, f"({order.reason})" if order.reason else "")
        if self._order is None or order.what == "kill":  # a second word does not undo the first
            self._order = order
            self._wake.set()

    # -- the life of the trader

    async def _supervise(self) -> None:
        trader: Child | None = self._adopted() or self._started()
        self._ready = asyncio.create_task(asyncio.to_thread(ready, self.spec))
        while trader is not None:
            came = await self._watched(trader)
            if self._order is not None:
                break
            if came == "stuck":
                if not await self._unstuck(trader):
                    continue
                why = f"no heartbeat for {self.spec.watch.stuck_s:g} s, ended"
            elif await self._done(trader):
                return
            else:
                why = f"the trader {trader.epitaph()}"
            trader = await self._again(why)
        if self._order is not None:
            await self._carry_out(trader)

    def _adopted(self) -> Child | None:
        before = Child(self._told.trader_pid, self._told.trader_birth)
        if before.ended():
            return None
        _log.warning("took over trader %d of a supervisor that is gone", before.pid)
        return before

    def _started(self) -> Child:
        attempt = self._told.attempt + 1
        trader = Child.started((*self._command, str(self.folder), str(attempt)), self.folder)
        _log.info("started trader %d, attempt %d", trader.pid, attempt)
        self._tell("watching", trader_pid=trader.pid, trader_birth=trader.birth, attempt=attempt)
        return trader

    async def _watched(self, trader: Child) -> str:
        """Return once something has to be done: "ended", "stuck" or "asked"."""
        pulse = Pulse(self.spec.watch, trader.pid)
        while self._order is None:
            if trader.ended():
                return "ended"
            if pulse.silent(self._status(), time.monotonic()):
                return "stuck"
            await self._nap(LOOK_S)
        return "asked"

    async def _unstuck(self, trader: Child) -> bool:
        """Halt a stuck trader, or end it; return False when it came back or something is asked."""
        before = self._status(trader)
        silent = self.spec.watch.stuck_s if before else self.spec.watch.start_s
        said = f"trader {trader.pid} is stuck: no heartbeat for {silent:g} s"
        _log.error("%s; it is told to halt", said)
        self._tell("stuck", said)
        trader.send(signal.SIGUSR1)
        until = time.monotonic() + self.spec.watch.halt_s
        while time.monotonic() < until and self._order is None and not trader.ended():
            now = self._status(trader)
            if now is not None and (before is None or now.heartbeat != before.heartbeat):
                _log.warning("trader %d goes on", trader.pid)
                self._tell("watching", f"the trader was stuck ({said}) and goes on, halted")
                return False
            await self._nap(LOOK_S)
        if self._order is not None:
            return False
        await self._end(trader)
        if self.spec.watch.cancel_stuck:
            await self._cancel("the trader was stuck")
        return True

    async def _done(self, trader: Child) -> bool:
        """Tell whether a trader's end was meant, or came so early that it would come again."""
        status = self._status(trader)
        if status is not None and status.state in ENDED:
            _log.info("the trader has %s: %s", status.state, status.detail)
            await self._swept(status)
            return True
        if not self._ran(status) and trader.code > 0:
            self._conclude("failed", "the start failed", trader.said() or trader.epitaph())
            return True
        return False

    async def _swept(self, status: Status) -> None:
        """Cancel what a trader that failed left working, or what it never came to look at."""
        theirs = status.error.startswith("Fenced")  # another session has the account
        if status.state == "failed" and not theirs and (status.working or status.attempt > 1):
            canceled = await self._cancel("the trader failed")
            self._conclude("failed", f"{status.detail}. {canceled}")

    def _ran(self, status: Status | None) -> bool:
        """Tell whether the strategy ever ran: if not, the session has nothing at the venue."""
        ran = status is not None and status.state not in ("starting", "reconciling")
        return ran or self._told.attempt > 1

    async def _again(self, why: str) -> Child | None:
        """Start the trader again after a pause; None where that happened too often or is over."""
        watch, now = self.spec.watch, time.time_ns()
        since = now - int(watch.window_s * 1e9)
        recent = [one for one in self._told.restarts if one.ts > since]
        if len(recent) >= watch.restarts:
            often = f"{why}; started again {len(recent)} times in {watch.window_s:g} s, given up"
            canceled = await self._cancel(often)
            self._conclude("failed", f"{often}. {canceled}", tail(self.folder))
            return None
        pause = min(watch.backoff_s * 2 ** len(recent), LONGEST_PAUSE_S)
        _log.error("%s; started again in %g s", why, pause)
        restarts = (*self._told.restarts, Restart(now, why))[-20:]
        self._tell("restarting", why, restarts=restarts)
        until = time.monotonic() + pause
        while self._order is None and (left := until - time.monotonic()) > 0:
            await self._nap(left)
        return self._started() if self._order is None else None

    # -- the end of it

    async def _carry_out(self, trader: Child | None) -> None:
        if self._order is not None and self._order.what == "stop" and await self._stop(trader):
            return
        await self._kill(trader)

    async def _stop(self, trader: Child | None) -> bool:
        """Stop; return False when a kill was asked for meanwhile."""
        order = self._order
        assert order is not None
        self._tell("stopping")
        if trader is not None and not trader.ended():
            flatten = {} if order.flatten is None else {"flatten": order.flatten}
            if not await self._ask("stop", 5.0, **flatten):
                trader.send(signal.SIGTERM)
            until = time.monotonic() + self.spec.watch.stop_s
            while not trader.ended() and time.monotonic() < until and self._order is order:
                await self._nap(LOOK_S)
        if self._order is not order:
            return False
        status = self._status(trader)
        if trader is not None and trader.ended():
            if status is not None and status.state in ENDED:
                await self._swept(status)
                return True
            if not self._ran(status):
                self._conclude("stopped", "stopped before the strategy ran")
                return True
        late = f"the trader did not stop within {self.spec.watch.stop_s:g} s"
        why = "no trader ran" if trader is None else trader.epitaph() if trader.ended() else late
        if trader is not None:
            await self._end(trader)
        canceled = await self._cancel(f"stop: {why}")
        self._conclude("failed", f"stopped the hard way: {why}. {canceled}", tail(self.folder))
        return True

    async def _kill(self, trader: Child | None) -> None:
        order = self._order
        assert order is not None
        scope = order.scope or f"account:{self.spec.account}"
        said = {"scope": scope, "reason": order.reason, "who": order.who}
        self._tell("killing", order.reason)
        halted = trader is not None and await self._ask("halt", HALT_S, **said)
        if trader is not None and not halted:
            trader.send(signal.SIGUSR1)
            await self._end(trader)
        elif trader is not None and inside(self.spec.venue):  # its end is the evidence
            await self._stopped_or_ended(trader, STOP_S)
        outcome = await self._evidence(scope, order.reason, order.who)
        if self._killed is not None and not self._killed.done():
            self._killed.set_result(outcome)  # who asked need not wait for the rest
        if trader is not None and not trader.ended():
            await self._stopped_or_ended(trader, self.spec.watch.stop_s)
        self._conclude("killed", f"{order.reason} ({order.who}): {words(outcome)}")

    async def _stopped_or_ended(self, trader: Child, patience_s: float) -> None:
        await self._ask("stop", 5.0, flatten=False, reason="killed", who="supervisor")
        until = time.monotonic() + patience_s
        while not trader.ended() and time.monotonic() < until:
            await self._nap(LOOK_S)
        await self._end(trader)

    async def _end(self, trader: Child) -> None:
        trader.send(signal.SIGKILL, group=True)
        while not trader.ended():  # the kernel does it, once it can
            await asyncio.sleep(LOOK_S)

    async def _cancel(self, reason: str) -> str:
        """Cancel what the session has at the venue; return what came of it, in words."""
        scope = f"account:{self.spec.account}"
        return words(await self._evidence(scope, reason, "supervisor"))

    async def _evidence(self, scope: str, reason: str, who: str) -> dict[str, Any]:
        try:
            return await self._killer(self.spec, scope, reason, who)
        except Exception as err:  # told to whoever asked, and kept in the status
            _log.exception("the orders of %s could not be canceled", scope)
            return {"state": "KILL_INCOMPLETE", "detail": f"{type(err).__name__}: {err}"}

    async def _ask(self, what: str, timeout: float, **args: Any) -> bool:
        try:
            await asyncio.to_thread(control.ask, self.folder / CONTROL, what, timeout, **args)
        except RunError as err:
            _log.warning("%s", err)
            return False
        return True

    # -- what is told of it

    def _status(self, trader: Child | None = None) -> Status | None:
        """Return the status, of just this trader where one is given."""
        try:
            status = read_status(self.folder)
        except RunError:
            _log.exception("the trader's status cannot be read")
            return None
        return None if status and trader and status.pid != trader.pid else status

    def _conclude(self, state: str, detail: str, error: str = "") -> None:
        """Write the last word where the trader, which is gone, did not."""
        _log.warning("%s: %s", state, detail)
        status = self._status() or Status(self.spec.session, 0, state)
        last = {"state": state, "detail": detail, "error": error or status.error}
        try:
            write_status(self.folder, msgspec.structs.replace(status, ts=time.time_ns(), **last))
        except OSError:
            _log.exception("the last word cannot be written")
        self._told = msgspec.structs.replace(self._told, detail=detail)

    def _tell(self, state: str, detail: str = "", **more: Any) -> None:
        told = {"state": state, "detail": detail, "ts": time.time_ns(), **more}
        self._told = msgspec.structs.replace(self._told, **told)
        try:
            write_supervision(self.folder, self._told)
        except OSError:  # a full disk: what it does is worth more than what it says
            _log.exception("the supervisor's state cannot be written")

    async def _nap(self, seconds: float) -> None:
        """Wait, but not once something is asked."""
        self._wake.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)


def main(folder: Path, command: Sequence[str] = TRADER, killer: Killer | None = None) -> int:
    """Supervise a session; return the process's exit code."""
    form = "%(asctime)s %(name)s %(levelname)s %(message)s"
    logging.basicConfig(level=logging.INFO, format=form)
    try:
        supervisor = Supervisor(folder, command, killer)
        with tape_held(supervisor.spec):
            asyncio.run(supervisor.run())
    except RunError as err:
        _log.error("%s", err)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
