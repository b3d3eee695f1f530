# pyright: standard
"""Missed: what a venue did while it could not be heard.

A connection that was lost may have taken reports, and orders on their way, with it. Once it is
there again the venue is asked for its orders, executions, holdings and cash before anything new
leaves. What was missed goes through the bridge as if it had been reported, so that the strategy,
the engine and the tape hear of it in the one usual way.

Never came   An order that the venue has not heard of, asked for several times, is rejected: it was
             lost with the connection. It is not sent again: the market has moved on.
Breaks       What does not fit even then is recorded, told, and no new order leaves: the account's
             state in this session is HALTED until a person has looked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nautilus_trader import model as engine

from onetape.errors import VenueError
from onetape.run import ports
from onetape.run.reconcile import Finder, Theirs, asked, differ
from onetape.run.wire import EXTERNAL, external
from onetape.tape import kinds, kinds_live

if TYPE_CHECKING:
    from onetape.run.trader import Trader

TRIES, PAUSE_S, DRAIN_S = 4, 0.5, 10.0
MARGIN_NS = 60 * 1_000_000_000  # that reports may have been under way, and clocks be apart
WORKING = frozenset(("ACCEPTED", "PARTIALLY_FILLED", "TRIGGERED", "PENDING_UPDATE"))
LOST = "the request was lost with the connection"
NEVER = "it never reached the venue: the connection was lost"
_log = logging.getLogger(__name__)
Reports = list[ports.AnyReport]
Head = tuple[str, str, str, int]


class Missed:
    """One trader's; `unsure` is why nothing new may leave, "" when all is known."""

    def __init__(self, trader: Trader) -> None:
        self._trader = trader
        self.unsure = ""
        self._since: int | None = None  # when the venue was last heard; None: it always is
        self._task: asyncio.Task[None] | None = None
        self._unknown: list[str] = []  # orders of which a venue never tells

    def moved(self, state: str) -> None:
        """Learn that the way to the venue came to a state."""
        if state == "connected":
            if self._since is not None and self._task is None:
                self._task = asyncio.create_task(self._run(self._since - MARGIN_NS))
            return
        self.stop()
        if self._since is None:
            self._since = self._trader.kernel.stamps.peek()
        self.unsure = "the venue was not heard: it is asked first what happened meanwhile"

    def stop(self) -> None:
        """Ask no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def _run(self, since: int) -> None:
        left = TRIES
        try:
            while True:
                try:
                    left -= 1
                    if await self._fits(since, last=left <= 0):
                        break
                    since = self._trader.kernel.setup.start - MARGIN_NS  # then all of the session
                except VenueError as err:  # it does not say: "unknown" is never "empty"
                    left += 1
                    _log.warning("the venue does not say what was missed: %s", err)
                await asyncio.sleep(PAUSE_S)
        except Exception as err:
            self._trader.fail(err)
            return
        self._since, self.unsure, self._task = None, "", None

    async def _fits(self, since: int, *, last: bool) -> bool:
        """Learn what was missed; return whether all fits, or was said not to."""
        trader = self._trader
        theirs = await asked(trader.venue, trader.spec.account, max(since, 0))
        await self._drained()
        first, then, sure = await self._reports(theirs, last)
        for report in (*first, *self._fills(theirs), *then):
            trader.kernel.bridge.take(report)
        await self._drained()
        breaks: list[kinds_live.BreakFound] = []
        find = Finder(trader.venue.name, trader.spec.account, breaks)
        differ(theirs, trader.carried, find)
        for name in self._unknown:
            find("state", name, "working", "never told")
        if not last and (breaks or not sure):
            return False
        trader.kernel.call(lambda: self._say(theirs, breaks))
        return True

    async def _drained(self) -> None:
        """Wait until what was handed over has been dealt with."""
        kernel, until = self._trader.kernel, time.monotonic() + DRAIN_S
        while len(kernel.inputs) and time.monotonic() < until:
            await asyncio.sleep(0.005)
        kernel.recorder.flush()

    def late(self, reports: Sequence[ports.AnyReport | ports.AnyWord]) -> None:
        """Record what was reported once the strategy had stopped."""
        for report in reports:
            if not isinstance(report, ports.AnyWord):
                self._trader.hearing.unknown(report)

    # -- what was missed, as reports

    def _fills(self, theirs: Theirs) -> list[ports.Filled]:
        known = self._trader.carried.trades
        return [fill for fill in theirs.fills if fill.trade_id not in known]

    async def _reports(self, theirs: Theirs, last: bool) -> tuple[Reports, Reports, bool]:
        """Return what comes before the executions, what after, and whether all is known."""
        trader, bridge = self._trader, self._trader.kernel.bridge
        first: Reports = []
        then: Reports = []
        sure, listed = True, {order.client_order_id: order for order in theirs.orders}
        for order in theirs.orders:
            if order.client_order_id not in bridge.orders:
                self._elsewhere(order)
        ours = {name: str(bridge.orders[name].instrument_id) for name in bridge.out}
        told = "status" in ports.told_by(trader.venue)
        self._unknown = []
        for name, instrument in (ours | kept(trader)).items():
            status = listed.get(name)
            if status is None and told:
                status = await trader.venue.status(name)
            if status is not None:
                self._compare(name, status, first, then)
            elif not told:  # nobody can say what became of it: a person has to look
                self._unknown.append(name)
            elif last:
                then.append(ports.Rejected(name, "", instrument, self._now, NEVER))
            else:
                sure = False
        return first, then, sure

    @property
    def _now(self) -> int:
        return self._trader.kernel.stamps.peek()

    def _elsewhere(self, order: ports.OrderStatus) -> None:
        """Take in an order that somebody else sent meanwhile."""
        trader = self._trader
        name = order.client_order_id or f"EXT-{order.venue_order_id}"
        if trader.carried.knows(name):
            return
        ids = (name, order.instrument, EXTERNAL, trader.spec.account, order.venue_order_id)

        def begin() -> None:
            trader.hearing.tell(external(order), order.ts_event)
            trader.hearing.tell(kinds.OrderAccepted(*ids), order.ts_event)

        trader.kernel.call(begin)

    def _compare(self, name: str, status: ports.OrderStatus, first: Reports, then: Reports) -> None:
        """Say what the venue has of an order and we have not."""
        bridge = self._trader.kernel.bridge
        head = (name, status.venue_order_id, status.instrument, status.ts_event)
        match status.status:
            case "CANCELED":
                then.append(ports.Canceled(*head, status.reason))
            case "EXPIRED":
                then.append(ports.Expired(*head))
            case "REJECTED":
                then.append(ports.Rejected(*head, status.reason))
            case at if at in WORKING and name in bridge.orders:
                if name not in bridge.venue_ids:
                    first.append(ports.Accepted(*head))
                order = bridge.client.cache.order(engine.ClientOrderId(name))
                then += self._terms(order or bridge.orders[name], head, status)
            case _:
                pass

    def _terms(self, order: Any, head: Head, status: ports.OrderStatus) -> Reports:
        """Return the venue's terms where they are others, and what became of open requests."""
        made: Reports = []
        theirs = (status.quantity, status.price, status.trigger_price)
        answer = (*head[:3], self._now, LOST)
        if theirs != tuple(_exact(order, n) for n in ("quantity", "price", "trigger_price")):
            made.append(ports.Updated(*head, *theirs))
        elif order.status.name == "PENDING_UPDATE":
            made.append(ports.ModifyRejected(*answer))
        if order.status.name == "PENDING_CANCEL":
            made.append(ports.CancelRejected(*answer))
        return made

    # -- what came of it

    def _say(self, theirs: Theirs, breaks: list[kinds_live.BreakFound]) -> None:
        trader, note = self._trader, self._trader.kernel.note
        spec, who = trader.spec, trader.spec.trader or "whoever started it"
        for found in breaks:
            note(found, "recon")
            if found.break_id in spec.accept:
                note(kinds_live.BreakAccepted(found.break_id, who, "accept="), "recon")
        counts = (len(theirs.orders), len(theirs.fills), len(theirs.positions or ()), len(breaks))
        note(kinds_live.Reconciled(trader.venue.name, spec.account, *counts), "recon")
        left = [b for b in breaks if b.break_id not in spec.accept]
        if not left:
            return
        said = "; ".join(f"{b.break_id}: {b.ours} here, {b.theirs} there" for b in left)
        scope = f"account:{spec.account}"
        _log.error("after the venue was away our books and its word differ: %s", said)
        note(kinds_live.RiskAlert("reconciliation", "critical", scope, said), "input/risk")
        halted = kinds_live.RiskMoved(scope, "HALTED", f"breaks: {said}", "reconciliation")
        note(halted, "input/recon")  # and, by that, onto the control stream: see Trader._onward


def _exact(order: Any, name: str) -> Decimal | None:
    value = getattr(order, name, None)
    return None if value is None else value.as_decimal()


def kept(trader: Trader) -> dict[str, str]:
    """Return the orders of earlier sessions that still work, and their instruments."""
    known, here = trader.carried.working, trader.kernel.bridge.orders
    orders = [known[name].order for name in known if name not in here]
    return {o.client_order_id: o.instrument for o in orders if o.strategy != EXTERNAL}


def working(trader: Trader) -> list[str]:
    """Return the orders of this session, and of those before it, that have not ended."""
    ours = [str(order.client_order_id) for order in trader.kernel.bridge.working()]
    return [*ours, *kept(trader)]


async def canceled(trader: Trader, patience_s: float, again_s: float) -> list[str]:
    """Cancel all that works, again where the venue was away; return what may still work."""
    kernel, until = trader.kernel, time.monotonic() + patience_s
    while (left := working(trader)) and time.monotonic() < until:
        if trader.venue_state == "connected" and not trader.missed.unsure:
            kernel.call(lambda: trader.cancel("all"))
            await _while(lambda: bool(working(trader)) and trader.venue_state == "connected",
                         min(again_s, until - time.monotonic()))  # fmt: skip
        else:
            await asyncio.sleep(0.02)
    return left


async def _while(going: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while going() and time.monotonic() < until:
        await asyncio.sleep(0.01)
