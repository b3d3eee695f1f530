"""Loud: an error in a session's own work ends the session, never in silence.

Tasks end unheard by default, and what an adapter's callback raises is the adapter's to swallow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


def loud(
    work: Coroutine[Any, Any, None], failed: Callable[[BaseException], None]
) -> asyncio.Task[None]:
    """Start a task; `failed` is told of the error that it ends by."""
    task = asyncio.get_running_loop().create_task(work)

    def ended(done: asyncio.Task[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            failed(error)

    task.add_done_callback(ended)
    return task


def guarded[T](
    take: Callable[[T], None], failed: Callable[[BaseException], None]
) -> Callable[[T], None]:
    """Return `take` so that what it raises goes to `failed` instead of to who called."""

    def heard(said: T) -> None:
        try:
            take(said)
        except Exception as err:
            failed(err)

    return heard
