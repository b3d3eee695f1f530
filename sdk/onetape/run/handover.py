# pyright: standard
"""Handover: what a session takes over of its account before its strategy starts.

The session before it left a stream; the venue says what it knows; both are reconciled. What fits
is taken over, what was missing is booked, what does not fit stops the start.
"""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

from onetape.errors import NotReconciled, RunError
from onetape.market.instruments import Instrument
from onetape.run import ports
from onetape.run.carry import Carried
from onetape.run.folder import LiveSpec
from onetape.run.hearing import Hearing
from onetape.run.kernel import Kernel
from onetape.run.reconcile import Outcome, reconcile
from onetape.run.wire import EXTERNAL
from onetape.tape import kinds, kinds_live
from onetape.tape.kinds_live import RiskAlert, StateLoaded, StateSaved
from onetape.tape.port import Tape
from onetape.tape.recording import Recording

CANCEL_S = 10.0
LAST = ("CANCELED", "EXPIRED", "REJECTED")
PAUSE_S = 0.01
MARGIN_NS = 60 * 1_000_000_000  # that the venue's clock and ours may be apart


class Handover:
    """One session's beginning; `working` is what still works at the venue afterwards."""

    def __init__(
        self,
        spec: LiveSpec,
        tape: Tape,
        venue: ports.Venue,
        instruments: dict[str, Instrument],
    ) -> None:
        self._spec, self._tape, self._venue = spec, tape, venue
        self._instruments = instruments
        self._since = 0
        self.saved: StateLoaded | None = None  # what the session before saved of its strategy
        self._multipliers = {name: i.multiplier for name, i in instruments.items()}

    def before(self, stream: str) -> Carried:
        """Return what the sessions before left, with the terms of orders from before the last.

        Read back as far as an order reaches that may still work, and over `MARGIN_NS` more: the
        executions that are known must be all that the venue can tell of since `first`.
        """
        ours = Carried(self._multipliers)
        told, ours.first = self._reaching(stream)
        for events in reversed(told):
            for event in events:
                ours.take(event.fact, event.ts_event)
                if isinstance(event.fact, StateSaved):
                    self.saved = StateLoaded(event.fact.strategy, event.fact.state, stream)
                elif isinstance(event.fact, StateLoaded):  # and it ended before it saved anew
                    self.saved = event.fact
        return ours

    def _reaching(self, stream: str) -> tuple[list[Recording], int]:
        """Return the sessions that matter, the newest first, and since when all is known."""
        found: list[Recording] = []
        wanted: set[str] = set()
        since = 0
        while stream and self._tape.version(stream):
            events = self._tape.recording(stream)
            begun = events[0].ts_event
            if not found or wanted:
                since = begun - MARGIN_NS
            found.append(events)
            facts = [event.fact for event in events]
            carried = next((f for f in facts if isinstance(f, kinds_live.AccountCarried)), None)
            if carried is None:
                break
            here = {f.client_order_id for f in facts if isinstance(f, kinds.OrderInitialized)}
            wanted = (wanted if len(found) > 1 else set(carried.orders)) - here
            if not wanted and begun < since:
                break
            stream = carried.session
        return found, max(since, 0)

    async def take(self, stream: str, kernel: Kernel, hearing: Hearing, carried: Carried) -> None:
        """Reconcile with the venue and take over what fits.

        Raises NotReconciled for breaks that were not accepted, VenueUnavailable where the venue
        does not say, RunError where it does not cancel what was left working.
        """
        spec, account = self._spec, self._spec.account
        ours = self.before(stream)
        self._since = ours.first
        await self._begin(stream, ours, kernel)
        currencies = {name: i.currency for name, i in self._instruments.items()}
        carried.follow(ours)
        outcome = await reconcile(self._venue, account, ours, currencies)
        for one in outcome.said:
            kernel.recorder.tell(one.fact, one.ts or kernel.now, kernel.now)
        for found in outcome.breaks:
            kernel.note(found, "recon")
            if found.break_id in spec.accept:
                who = spec.trader or "whoever started it"
                accepted = kinds_live.BreakAccepted(found.break_id, who, "accept=")
                kernel.note(accepted, "recon")
        untold = sorted(ports.ANSWERS - ports.told_by(self._venue))
        if untold:
            said = f"{self._venue.name} never tells its {', '.join(untold)}: they were not compared"
            alert = RiskAlert("reconciliation", "warning", f"account:{account}", said)
            kernel.note(alert, "recon")
        counts = (*outcome.counts, len(outcome.breaks))
        kernel.note(kinds_live.Reconciled(self._venue.name, account, *counts), "recon")
        kernel.recorder.flush()
        self._refuse(outcome)
        ours.seed(kernel.exposure)
        if spec.on_restart == "cancel":
            await self._cancel(outcome.working, carried, hearing)

    async def _begin(self, before: str, ours: Carried, kernel: Kernel) -> None:
        """Say what the account begins with: what was carried, or what the venue says at first."""
        spec, subject = self._spec, f"account/{self._spec.account}"
        if ours.cash or ours.stakes:
            carried = ours.carry(spec.account, self._venue.name, before)
            kernel.note(carried, subject)
            return
        for currency, amount in (await self._cash()).items():
            fact = kinds.CashDeposited(spec.account, currency, amount)
            kernel.note(fact, subject, 1)
            ours.take(fact)

    async def _cash(self) -> dict[str, Decimal]:
        """Return the account's first cash: the venue's word, else what the session was told."""
        account = self._spec.account
        if "cash" not in ports.told_by(self._venue):
            return {code: Decimal(amount) for code, amount in self._spec.cash.items()}
        return {each.currency: each.total for each in await self._venue.cash(account)}

    def _refuse(self, outcome: Outcome) -> None:
        spec = self._spec
        left = [b for b in outcome.breaks if b.break_id not in spec.accept]
        if not left:
            return
        told = "; ".join(f"{b.break_id}: {b.ours} here, {b.theirs} there" for b in left)
        names = ", ".join(repr(b.break_id) for b in left)
        raise NotReconciled(
            f"our books and {self._venue.name} differ for account {spec.account}: {told}. "
            f"Nothing was started. Find out why; accept=[{names}] takes them as they are",
            left,
        )

    async def _cancel(
        self, working: list[ports.OrderStatus], carried: Carried, hearing: Hearing
    ) -> None:
        """Cancel what an earlier session left working; go on once the venue says it is gone."""
        left = [o for o in working if self._mine(o.client_order_id, carried)]
        for order in left:
            named = (order.client_order_id, order.venue_order_id, order.instrument)
            self._venue.cancel(ports.CancelOrder(*named))
        until = time.monotonic() + CANCEL_S
        for order in left:
            name = order.client_order_id
            while name in carried.working:
                await self._learn(name, hearing)
                if name in carried.working and time.monotonic() > until:
                    raise RunError(
                        f"the venue does not say that it canceled {name}, left by the session "
                        "before; cancel it there, or start with on_restart='keep'"
                    )
                await asyncio.sleep(PAUSE_S)

    def _mine(self, name: str, carried: Carried) -> bool:
        known = carried.working.get(name)
        return known is not None and known.order.strategy != EXTERNAL

    async def _learn(self, name: str, hearing: Hearing) -> None:
        """Ask the venue for an order: its own report may come too, and is then a repeat."""
        status = await self._venue.status(name)
        if status is None or status.status not in (*LAST, "FILLED"):
            return
        for fill in await self._venue.fills(self._spec.account, self._since):
            if fill.client_order_id == name:  # it may have traded before the cancel came
                hearing.unheard(fill)
        head = (name, status.venue_order_id, status.instrument, status.ts_event)
        if status.status == "EXPIRED":
            hearing.unheard(ports.Expired(*head))
        elif status.status in LAST:
            made = ports.Rejected if status.status == "REJECTED" else ports.Canceled
            hearing.unheard(made(*head, status.reason or "left by the session before"))
