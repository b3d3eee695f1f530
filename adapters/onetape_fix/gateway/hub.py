"""The gateway: the sessions of one config, dialed, listened for, held, and told of.

It runs in whatever process makes it: `process` makes it one of its own. A session that has
trouble has it alone; what operators have decided (`standing`) holds from the start.

Raises   SettingsError where the config does not make sense or a journal is held by another
         process: nothing is started then. VenueError for a session that is not there.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import quote

from onetape.errors import OnetapeError, SettingsError, VenueError
from onetape_fix.gateway import control
from onetape_fix.gateway.building import profile_of, rules_of, settled
from onetape_fix.gateway.held import Held
from onetape_fix.gateway.line import LocalLine
from onetape_fix.gateway.standing import Standings
from onetape_fix.gateway.status import session_status
from onetape_fix.gateway.ways import Ways
from onetape_fix.session.application import Clock, SystemClock
from onetape_fix.session.journal import Journal
from onetape_fix.session.settings import GatewayConfig, SessionConfig, Settings
from onetape_fix.session.store import MemoryStore, Store

LOOK_S = 1.0  # between two looks at slow listeners and quiet sessions
PROBE_S = 60.0  # between two TestRequests that measure the way
_log = logging.getLogger("onetape_fix")


class Keeper(Protocol):
    """What copies the journals to a database; see `keeping`."""

    def start(self, stores: dict[str, Store]) -> None: ...

    def stop(self) -> None: ...

    def status(self, session: str) -> dict[str, Any]: ...


class Gateway:
    """All sessions of one config; `start` first, from a loop."""

    def __init__(
        self, settings: Settings, *, clock: Clock | None = None, keeper: Keeper | None = None
    ) -> None:
        self.config: GatewayConfig = settings.gateway
        self.clock = clock or cast("Clock", SystemClock())
        self.standings = Standings(None)
        self.enough: Callable[[], None] | None = None  # ends the process, where it is its own
        self._sessions = settings.sessions
        self._keeper = keeper
        self._helds: dict[str, Held] = {}
        self._ways = Ways(self.config, self.clock)
        self._task: asyncio.Task[None] | None = None
        self._began = 0

    # -- sessions

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the sessions, in the config's order."""
        return tuple(config.name for config in self._sessions)

    def held(self, name: str) -> Held:
        """Return a session by name or id; VenueError with close matches where there is none."""
        found = self._helds.get(name)
        if found is None:
            for one in self._helds.values():
                if one.config.id == name:
                    return one
            close = difflib.get_close_matches(name, self.names, 3, 0.4) or self.names[:3]
            raise VenueError(
                f"no session {name!r} in this gateway"
                f"{'; did you mean ' + ' or '.join(close) + '?' if self._helds else ''}"
            )
        return found

    def lines(self) -> dict[str, LocalLine]:
        """Return a line to each session."""
        return {name: LocalLine(self, name) for name in self._helds}

    def line(self, name: str) -> LocalLine:
        """Return a line to a session."""
        return LocalLine(self, name)

    # -- running

    async def start(self) -> None:
        """Open all journals, then let the sessions connect; they come up in their own time."""
        _distinct(self._sessions)
        self._began = self.clock.now()
        self.standings = Standings(beside_journals(self._sessions[0], self.config, "standing"))
        try:
            for config in self._sessions:
                self._helds[config.name] = self._made(config)
            await self._ways.start(list(self._helds.values()))
        except BaseException:
            await self._ways.stop()
            self._let_go()
            raise
        if self._keeper is not None:
            self._keeper.start({name: held.store for name, held in self._helds.items()})
        self._task = asyncio.get_running_loop().create_task(self._look())

    def _made(self, config: SessionConfig) -> Held:
        profile = profile_of(config)
        config = settled(config, profile)
        now = self.clock.now()
        store: Store
        if config.persist:
            here = self.config
            store = Journal(
                config.store, config.name, sync=here.sync, ts=now, limit=here.segment,
                keep=here.keep,
            )  # fmt: skip
        else:
            store = MemoryStore(now)
        rules = rules_of(config, profile)
        held = Held(config, profile, rules, store, self)
        if held.disabled:
            held.tell_alarm("disabled", held.disabled, {})
        return held

    async def stop(self) -> None:
        """Log all sessions out, wait for their answers, and let go of everything."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._ways.stop()
        if self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            await asyncio.to_thread(keeper.stop)
        self._let_go()

    def _let_go(self) -> None:
        for held in self._helds.values():
            for listener in list(held.listeners):
                held.leave(listener)
            try:
                held.store.close()
            except OnetapeError:
                _log.exception("%s: its journal was not closed in good order", held.name)

    # -- what operators do

    def call(self, held: Held) -> None:
        """Have a session connect now."""
        self._ways.call(held)

    def hang_up(self, held: Held, text: str) -> None:
        """Have a session log out and stay out."""
        self._ways.hang_up(held, text)

    async def ask(self, what: str, session: str = "", **args: Any) -> dict[str, Any]:
        """Answer `status` (of one session or of all), `ping`, `stop`, or do what `control` can.

        Raises SettingsError and VenueError as these say.
        """
        if what == "ping":
            return {"name": self.config.name, "pid": os.getpid(), "sessions": list(self.names)}
        if what == "stop":
            if self.enough is None:
                raise SettingsError("this gateway is part of another process; stop that one")
            self.enough()
            return {"done": "stop"}
        if what == "status":
            return self.status(session)
        if session == "all":
            return {"all": [self._one(held, what, dict(args)) for held in self._helds.values()]}
        return control.act(self, self.held(session), what, dict(args))

    def _one(self, held: Held, what: str, args: dict[str, Any]) -> dict[str, Any]:
        try:
            return control.act(self, held, what, args)
        except OnetapeError as err:
            return {"session": held.name, "failed": str(err)}

    def status(self, session: str = "") -> dict[str, Any]:
        """Return how the gateway is, and its sessions or one of them."""
        now = self.clock.now()
        chosen = [self.held(session)] if session else list(self._helds.values())
        told = [session_status(held, now, self._kept(held)) for held in chosen]
        return {
            "gateway": self.config.name,
            "pid": os.getpid(),
            "up_s": round((now - self._began) / 1e9, 1),
            "ready": sum(one["ready"] for one in told),
            "up": sum(one["state"] == "up" for one in told),
            "sessions": told,
        }

    def _kept(self, held: Held) -> dict[str, Any] | None:
        return None if self._keeper is None else self._keeper.status(held.name)

    # -- looking after them

    async def _look(self) -> None:
        """Notice listeners that fall behind, and measure the way of sessions that are up."""
        probed = self.clock.monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            now = self.clock.monotonic()
            probe = now - probed >= PROBE_S
            probed = now if probe else probed
            for held in self._helds.values():
                _look_after(held, self.config.queue)
                if probe and held.up and not held.config.test_request_id:
                    with suppress(OnetapeError):
                        held.session.test_request()


def _look_after(held: Held, most: int) -> None:
    """Say once of a listener that it has fallen behind by more than `most` messages."""
    for listener in list(held.listeners):
        behind = listener.behind
        if listener.slow and behind > most and not listener.told_slow:
            listener.told_slow = True
            text = f"a listener is {behind} messages behind; it reads on in the journal"
            held.alarm("slow_client", text, {"behind": behind})
        elif listener.live:
            listener.told_slow = False


def beside_journals(first: SessionConfig, config: GatewayConfig, what: str) -> Path:
    """Return a file of the gateway's own that is to last as long as the journals."""
    return first.store / f"{quote(config.name, safe='')}.{what}"


def _distinct(sessions: tuple[SessionConfig, ...]) -> None:
    names = [config.name for config in sessions]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(f"{', '.join(twice)} stands in the config twice; names must differ")
    if not names:
        raise SettingsError("the config has no [SESSION]; one at least is expected")
