"""Logging on and off: tried again for a while, and never a reason not to come to an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from onetape.errors import OnetapeError, VenueUnavailable

AGAIN_S = 0.25


async def reached(connect: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> None:
    """Connect, and try again for a while where nobody answers."""
    until = time.monotonic() + seconds
    while True:
        try:
            await connect()
            return
        except VenueUnavailable:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(AGAIN_S)


async def quietly(closing: Any) -> None:
    """Log off; one that is gone already is off."""
    try:
        await closing
    except OnetapeError:  # it is gone already; the session ends all the same
        return
