"""How a gateway's sessions reach their peers: who is dialed, who is listened for, and the pulse.

A session that an operator has logged out is neither dialed nor let in until he lets it. On the
way out every session says Logout and waits for its answer as long as its LogoutTimeout says.

Units    seconds.
Raises   SettingsError from `start` where an address to listen at cannot be had.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from onetape_fix.session.acceptor import Acceptor, Limits, by_comp_ids, shared
from onetape_fix.session.application import Clock
from onetape_fix.session.connection import Connected
from onetape_fix.session.settings import GatewayConfig
from onetape_fix.session.transport import Dialer, pulse

if TYPE_CHECKING:
    from onetape_fix.gateway.held import Held

LOOK_S = 0.02
_log = logging.getLogger("onetape_fix")


class Ways:
    """The connections of one gateway."""

    def __init__(self, config: GatewayConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self._helds: dict[str, Held] = {}
        self._acceptors: list[Acceptor] = []
        self._pulse: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self, helds: Iterable[Held]) -> None:
        """Listen, and dial; the sessions come up in their own time."""
        self._helds = {held.name: held for held in helds}
        sessions = [held.session for held in self._helds.values()]
        for address, those in shared(sessions).items():
            config = self._config
            limits = Limits(logon_size=config.logon_size, write_limit=config.write_limit)
            acceptor = Acceptor(
                address, by_comp_ids(those), tls=those[0].config.tls, limits=limits,
                trouble=self._trouble,
            )  # fmt: skip
            await acceptor.start()
            self._acceptors.append(acceptor)
        self._pulse = asyncio.get_running_loop().create_task(
            pulse(lambda: sessions, self._config.tick, self._trouble)
        )
        for held in self._helds.values():
            if held.config.role == "initiator":
                held.dialer = Dialer(
                    held.session, clock=self._clock, trouble=self._trouble,
                    connect_timeout=self._config.connect_timeout,
                    write_limit=self._config.write_limit,
                )  # fmt: skip
                if not held.out:
                    held.dialer.start()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Return where this gateway is listening."""
        return [acceptor.address for acceptor in self._acceptors]

    def call(self, held: Held) -> None:
        """Dial now, without waiting for the next attempt's turn."""
        if held.dialer is not None:
            held.dialer.start()
            held.dialer.nudge()

    def hang_up(self, held: Held, text: str) -> None:
        """Log out, and dial no more."""
        task = asyncio.get_running_loop().create_task(self._leave(held, text))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def stop(self) -> None:
        """Log all out, and end all connections."""
        await asyncio.gather(*(self._leave(held, "") for held in self._helds.values()))
        for acceptor in self._acceptors:
            await acceptor.stop()
        self._acceptors.clear()
        task, self._pulse = self._pulse, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _leave(self, held: Held, text: str) -> None:
        """Say Logout, wait for the answer, and stop dialing before it would be dialed again."""
        session = held.session
        session.logout(text)
        until = self._clock.monotonic() + held.config.logout_timeout + 1.0
        while session.state != "down" and self._clock.monotonic() < until:
            await asyncio.sleep(LOOK_S)
        if held.dialer is not None:
            await held.dialer.stop()

    def _trouble(self, session: Connected, err: BaseException) -> None:
        held = self._helds.get(session.name)
        if held is None:
            return
        if isinstance(err, ConnectionError):
            _log.warning("%s: %s", held.name, err)
            held.last_error = str(err)
        else:
            _log.error("%s failed", held.name, exc_info=err)
            held.alarm("failed", f"the session's own code failed: {err!r}")
