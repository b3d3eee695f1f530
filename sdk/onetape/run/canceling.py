"""Canceling from outside: a session's orders, by its spec alone, with no word of its trader.

Inside     A venue that lives in the trader's process (the simulated one without an address) cannot
           be asked from outside, and ends with the trader. So the trader is ended first; that
           its process is gone is then the evidence that nothing works there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from onetape.errors import OnetapeError, VenueUnavailable
from onetape.run.folder import Endpoint, LiveSpec

if TYPE_CHECKING:
    from onetape.run.ports import Venue
    from onetape.tape.port import Tape

PATIENCE_S = 30.0  # that a venue has for saying that an order is gone
TAPE_S = 2.0  # that the tape's server has for answering: the orders do not wait for it
_log = logging.getLogger(__name__)


async def cancel(spec: LiveSpec, scope: str, reason: str, who: str) -> dict[str, Any]:
    """Cancel all orders in a scope on the venue's evidence, over a connection of our own.

    The trader of a venue that lives in its process has to be gone before.
    Returns the result of `killing.kill` as plain data, with `state` KILLED or KILL_INCOMPLETE.
    Raises UnknownVenue where the adapter is not installed here.
    """
    from onetape.run.killing import kill
    from onetape.run.venues import adapter

    own = f"account:{spec.account}"
    if scope != own and not scope.startswith(("strategy:", "instrument:")):
        # only this account is asked: no other may be said to be killed
        scope, reason = own, f"{reason} (asked for {scope})"
    tape = await _tape(spec)
    try:
        name, config = spec.venue.adapter, spec.venue.config
        gone = cast("Venue", Gone(name)) if inside(spec.venue) else None
        venue = gone or adapter(name).venue(config)
        asked, accounts = {name: venue}, (spec.account,)
        made = await kill(tape, asked, scope, reason, who, accounts=accounts, patience_s=PATIENCE_S)
    finally:
        if tape is not None:
            await asyncio.to_thread(tape.close)
    told = made.to_dict()
    if gone is not None and made.done:
        told["detail"] = "the simulated venue ended with the trader"
    return told


def ready(spec: LiveSpec) -> None:
    """Import what a kill needs, which takes a second that a kill should not wait for."""
    from importlib import import_module

    for needed in ("onetape.run.killing", "onetape.run.venues", "onetape.tape.postgres"):
        import_module(needed)
    if inside(spec.venue):
        return
    from onetape.run.venues import adapter

    try:
        adapter(spec.venue.adapter)
    except OnetapeError as err:
        _log.error("a kill would not reach the venue: %s", err)


def inside(venue: Endpoint) -> bool:
    """Tell whether a venue lives in the trader's own process."""
    return venue.adapter == "sim" and not venue.config.get("address")


class Gone:
    """A venue that ended with the process it lived in: nothing works there, nothing is held."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def connect(self, *_: object) -> None:
        """There is nothing to hear."""

    async def disconnect(self) -> None:
        """Nothing was begun."""

    async def instruments(self) -> tuple[Any, ...]:
        """Nothing is traded."""
        return ()

    def send(self, *_: object) -> None:
        """Refuse: raises VenueUnavailable."""
        raise VenueUnavailable(f"{self.name} ended with the session that it was part of")

    modify = cancel = send

    async def mass_cancel(self, *_: object) -> int:
        """None are left to be canceled."""
        return 0

    async def status(self, *_: object) -> None:
        """It has no such order."""

    async def orders(self, *_: object) -> tuple[Any, ...]:
        """None work."""
        return ()

    async def fills(self, *_: object) -> tuple[Any, ...]:
        """None are known any more."""
        return ()

    positions = cash = orders


def words(outcome: Mapping[str, Any]) -> str:
    """Return what came of a kill as a sentence."""
    detail = str(outcome.get("detail") or "")
    if outcome.get("state") == "KILLED":
        said = "none of its orders works any more"
        return f"{said} ({detail})" if detail else f"{said}, the venue says"
    left = ", ".join(outcome.get("working", ()))
    detail = detail or (f"these may still work: {left}" if left else "")
    return f"{outcome.get('state', 'unknown')}{f': {detail}' if detail else ''}"


async def _tape(spec: LiveSpec) -> Tape | None:
    """Return the session's tape, None where it does not answer soon: the kill does without."""
    if not spec.tape:
        return None
    from onetape.tape.postgres import PostgresTape

    try:
        return await asyncio.wait_for(asyncio.to_thread(PostgresTape, spec.tape), TAPE_S)
    except (OnetapeError, TimeoutError) as err:
        _log.error("the tape cannot be opened, the kill goes on without: %s", err)
        return None
