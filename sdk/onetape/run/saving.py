# pyright: standard
"""Saving: what a strategy wants to find again after a restart, on the tape.

A strategy that overrides `on_save` gives bytes by name; they are kept when they changed, every
`EVERY_S` and at the end, and handed to `on_load` of the session that follows, before `on_start`.
Holdings need none of this: they are folded from the tape.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from typing import Any

from nautilus_trader.trading import Strategy as EngineStrategy

from onetape.errors import RunError
from onetape.run.kernel import Kernel
from onetape.run.loud import loud
from onetape.tape.kinds_live import StateLoaded, StateSaved

EVERY_S = 5.0
MOST = 1 << 18  # bytes of a state: it is an event, not a store


class Saving:
    """Keeps one strategy's state."""

    def __init__(self, kernel: Kernel, strategy: Any) -> None:
        self._kernel, self._strategy = kernel, strategy
        self._saves = type(strategy).on_save is not EngineStrategy.on_save
        self._last: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Save now and then, if there is anything to save."""
        if self._saves:
            self._task = loud(self._run(), self._kernel.failed)

    def stop(self) -> None:
        """Save no more by itself."""
        if self._task is not None:
            self._task.cancel()

    def now(self) -> None:
        """Keep the state if it changed; raises RunError for one that cannot be kept."""
        if not self._saves:
            return
        given = self._strategy.on_save()
        if not isinstance(given, dict) or not all(isinstance(v, bytes) for v in given.values()):
            raise RunError(f"on_save gave {type(given).__name__}; a dict of bytes by name expected")
        if sum(map(len, given.values())) > MOST:
            raise RunError(
                f"on_save gave more than {MOST:,} bytes; keep what cannot be folded anew"
            )
        state = {str(name): b64encode(value).decode() for name, value in sorted(given.items())}
        if state != self._last:
            self._last = state
            self._kernel.note(StateSaved(self._kernel.name, state), "input/state")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self._kernel.call(self.now)


def load(strategy: Any, fact: StateLoaded) -> None:
    """Give a strategy back what it saved."""
    strategy.on_load({name: b64decode(text) for name, text in fact.state.items()})
