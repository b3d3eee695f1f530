# pyright: standard
"""The trader: one live session's parts, put together, started and ended in order.

Start    lease, connect, reconcile, then the strategy; breaks stop it unless accepted by name.
Trade    rows, reports, timers and words go through the kernel one after another.
Stop     no more rows; cancel what is ours; flatten if asked; drain; keep the data; close the tape.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from nautilus_trader.model import Currency

from onetape.errors import NotReconciled, OnetapeError, RunError, SettingsError
from onetape.market.instruments import Instrument
from onetape.run import ports
from onetape.run.bridge import Ways
from onetape.run.carry import Carried
from onetape.run.fence import Lease, stream_of
from onetape.run.folder import LiveSpec
from onetape.run.kernel import Kernel, Setup
from onetape.run.line import Line
from onetape.run.outbox import Outbox
from onetape.run.reconcile import Outcome, reconcile
from onetape.run.sitting import opened, sources
from onetape.run.wire import EXTERNAL, external, fact_of_report
from onetape.tape import kinds, kinds_live
from onetape.tape.event import Event
from onetape.tape.port import Tape

CANCEL_S, FLAT_S, DRAIN_S = 10.0, 10.0, 2.0
PAUSE_S = 0.01
COUNTED = {
    kinds.OrderSubmitted: "orders",
    kinds.OrderFilled: "fills",
    kinds.OrderDenied: "denied",
}


class Trader:
    """A session while it lives. `ended` is set when it should come to its end."""

    def __init__(
        self,
        spec: LiveSpec,
        tape: Tape,
        lease: Lease,
        ends: tuple[ports.Venue, ports.Feed],
        strategy: Any,
        folder: Path | None = None,
    ) -> None:
        self.folder = folder
        self.spec, self.tape, self.lease = spec, tape, lease
        self.venue, self.feed = ends
        self.strategy = strategy
        self.stream = stream_of(spec.session)
        self.state, self.detail, self.error = "starting", "", ""
        self.ended = asyncio.Event()
        self.flatten = spec.flatten_on_stop
        self.venue_state = "disconnected"
        self.instruments: dict[str, Instrument] = {}
        self.moved: Callable[[], None] = lambda: None  # told when the state changed
        self.kernel: Kernel
        self.line: Line
        self.outbox: Outbox
        self.carried: Carried
        self._last: dict[str, ports.AnyRow] = {}
        self._equity: Decimal | None = None
        self._early: list[ports.AnyReport | ports.VenueState] = []
        self.opened = self.started = False
        self.counts: Counter[str] = Counter()
        self.fenced = True
        self._feed_now = 0  # what time a replayed feed says it is
        self._row_out = False  # a paced feed waits for us to be done with its row
        self._asking = False
        self._multipliers: dict[str, Decimal] = {}

    # -- start

    async def begin(self) -> None:
        """Do everything up to the first row; raises what stands in the way, with the tape told."""
        before = await asyncio.to_thread(self.lease.take)
        await self.venue.connect(self._report)
        await self.feed.connect(self._fed)
        self.instruments = await self._known()
        self._multipliers = {name: i.multiplier for name, i in self.instruments.items()}
        self._open()
        await self._reconciled(before)
        await self._start()

    async def _known(self) -> dict[str, Instrument]:
        spec = self.spec
        told = [msgspec.json.decode(text, type=Instrument) for text in spec.instruments]
        if not told:
            told = [*await self.venue.instruments(), *await self.feed.instruments()]
        known = {instrument.id: instrument for instrument in told}
        missing = [w.instrument for w in spec.subscriptions if w.instrument not in known]
        if missing:
            raise RunError(
                f"{missing[0]} was asked for; the venue and the feed have {', '.join(known)}"
            )
        return known

    def _open(self) -> None:
        spec, feed = self.spec, self.feed
        start = self._feed_now - 1 if feed.replayed else time.time_ns()
        setup = Setup(
            strategy=self.strategy,
            sources=sources(spec.feed.adapter, spec.subscriptions, self.instruments),
            instruments=self.instruments,
            account=spec.account,
            currency=spec.currency,
            session=self.spec.session,
            start=max(start, 1),
            replayed=feed.replayed,
        )
        self.line = Line(self.tape, self.stream, spec.book, self._tape_moved)
        self.kernel = Kernel(setup, self._onward, self._failed)
        self.kernel.done = self.quiet
        self.carried = Carried(self._multipliers)
        self.kernel.note(opened(spec, self.strategy, self.instruments), "run")
        self.kernel.note(
            kinds.AccountOpened(spec.account, "margin", spec.currency), f"account/{spec.account}"
        )
        self.opened = True
        self.to("starting")

    def _onward(self, events: list[Event]) -> None:
        self.line.take(events)
        for event in events:
            fact = event.fact
            self.counts[COUNTED.get(type(fact), "events")] += 1
            self.carried.take(fact)

    async def _reconciled(self, before: str) -> None:
        spec, kernel = self.spec, self.kernel
        self.to("reconciling")
        ours = self._before(before)
        currencies = {name: i.currency for name, i in self.instruments.items()}
        outcome = await reconcile(self.venue, spec.account, ours, currencies)
        await self._take_over(before, ours)
        for one in outcome.said:
            kernel.recorder.tell(one.fact, one.ts or kernel.now, kernel.now)
        for found in outcome.breaks:
            kernel.note(found, "recon")
            if found.break_id in spec.accept:
                accepted = kinds_live.BreakAccepted(found.break_id, spec.trader, "accept=")
                kernel.note(accepted, "input/accepted")
        counts = (*outcome.counts, len(outcome.breaks))
        kernel.note(kinds_live.Reconciled(self.venue.name, spec.account, *counts), "recon")
        kernel.recorder.flush()
        self._refuse(outcome)
        self._seed(ours)
        if spec.on_restart == "cancel":
            await self._cancel_left(outcome.working)

    def _before(self, stream: str) -> Carried:
        """Return what the session before left, with the terms of orders from before it."""
        ours = Carried(self._multipliers)
        if not stream or not self.tape.version(stream):
            return ours
        for event in self.tape.recording(stream):
            ours.first = ours.first or event.ts_event
            ours.take(event.fact)
            carried = event.fact
            if isinstance(carried, kinds_live.AccountCarried) and carried.orders:
                older = self._before(carried.session)
                ours.first = min(ours.first, older.first or ours.first)
                ours.working |= {k: v for k, v in older.working.items() if k in carried.orders}
        return ours

    async def _take_over(self, before: str, ours: Carried) -> None:
        """Say what the account begins with: what was carried, or what the venue says at first."""
        spec, kernel = self.spec, self.kernel
        if ours.cash or ours.stakes:
            carried = ours.carry(spec.account, self.venue.name, before)
            kernel.note(carried, f"account/{spec.account}")
            return
        for cash in await self.venue.cash(spec.account):
            fact = kinds.CashDeposited(spec.account, cash.currency, cash.total)
            kernel.note(fact, f"account/{spec.account}", 1)
            ours.take(fact)

    def _refuse(self, outcome: Outcome) -> None:
        open_breaks = [b for b in outcome.breaks if b.break_id not in self.spec.accept]
        if not open_breaks:
            return
        told = "; ".join(f"{b.break_id}: {b.ours} here, {b.theirs} there" for b in open_breaks)
        names = ", ".join(repr(b.break_id) for b in open_breaks)
        raise NotReconciled(
            f"our books and {self.venue.name} differ for account {self.spec.account}: {told}. "
            f"Nothing was started. Find out why; accept=[{names}] takes them as they are",
            open_breaks,
        )

    def _seed(self, ours: Carried) -> None:
        ours.seed(self.kernel.exposure)
        for name, known in ours.working.items():
            self.carried.working.setdefault(name, known)

    async def _cancel_left(self, working: list[ports.OrderStatus]) -> None:
        """Cancel what an earlier session left working, and wait until the venue has."""
        left = [o for o in working if o.client_order_id in self.carried.working]
        left = [o for o in left if self._whose(o.client_order_id) != EXTERNAL]
        for order in left:
            named = (order.client_order_id, order.venue_order_id, order.instrument)
            self.venue.cancel(ports.CancelOrder(*named))
        until = time.monotonic() + CANCEL_S
        while any(o.client_order_id in self.carried.working for o in left):
            if time.monotonic() > until:
                still = [
                    o.client_order_id for o in left if o.client_order_id in self.carried.working
                ]
                raise RunError(
                    f"the venue does not say that it canceled {', '.join(still)}, left by the "
                    "session before; cancel them there, or start with on_restart='keep'"
                )
            await asyncio.sleep(PAUSE_S)
            self._take_early()

    async def _start(self) -> None:
        kernel, spec = self.kernel, self.spec
        self.outbox = Outbox(self.line)
        ways = Ways(
            venue=self.venue,
            account=spec.account,
            trader=spec.trader,
            currency=Currency.from_str(spec.currency),
            recorded=self._recorded,
            last_line=self._last_line,
            halted=self._halted,
            changed=lambda _order, _command: "",
            unknown=self._unknown,
            unheard=self._unheard,
            quiet=self.quiet,
            moment=kernel.moment,
        )
        await kernel.start(self.outbox, ways)
        self.started = True
        self._take_early()
        for wanted in spec.subscriptions:
            one = ports.Subscription(wanted.instrument, wanted.data, wanted.step)
            await self.feed.subscribe(one)
        self.to("running")
        await self.feed.begin()

    # -- while it trades

    def to(self, state: str, detail: str = "") -> None:
        """Come to a state, and say so."""
        self.state, self.detail = state, detail
        self.kernel.note(kinds_live.SessionMoved(state, detail), "session")
        self.kernel.recorder.flush()
        self.line.send()
        self.moved()

    def _recorded(self) -> int:
        self.kernel.recorder.flush()
        return self.kernel.recorder.count

    def _last_line(self, order: Any) -> str:
        return ""

    def _halted(self, order: Any) -> str:
        return ""

    def _fed(self, row: ports.AnyRow | ports.FeedSignal) -> None:
        if isinstance(row, ports.FeedSignal):
            self._feed_now = row.ts_event
            if row.signal == "ended":
                self.kernel.call(self._fed_out)
            return
        self._row_out = True
        self._last[row.instrument] = row
        self.counts["rows"] += 1
        self.kernel.row(row)

    def _fed_out(self) -> None:
        self.detail = "the replayed day has ended"
        self.ended.set()

    def _report(self, report: ports.AnyReport | ports.VenueState) -> None:
        if not self.started:
            self._early.append(report)
        elif isinstance(report, ports.VenueState):
            self._venue_moved(report)
        else:
            self.kernel.bridge.take(report)

    def _take_early(self) -> None:
        early, self._early = self._early, []
        for report in early:
            if isinstance(report, ports.VenueState):
                self._venue_moved(report)
            elif self.started:
                self.kernel.bridge.take(report)
            else:
                self._unknown(report)

    def _venue_moved(self, moved: ports.VenueState) -> None:
        self.venue_state = moved.state
        fact = kinds_live.VenueMoved(self.venue.name, moved.state, moved.detail)
        self.kernel.call(lambda: self.kernel.note(fact, "input/venue"))

    def quiet(self) -> None:
        """When nothing is under way: let a paced feed go on."""
        kernel = self.kernel
        if not (self._row_out and self.feed.paced):
            return
        if kernel.still:
            self._row_out = self._asking = False
            self.feed.handled()
        elif kernel.commanded and not len(kernel.inputs) and not self._asking:
            self._asking = True
            kernel.barrier()
        if not kernel.commanded:
            self._asking = False

    # -- reports past the engine

    def _whose(self, name: str) -> str:
        known = self.carried.working.get(name)
        if known is not None:
            return known.order.strategy
        return self.kernel.host.name if name in self.kernel.bridge.orders else EXTERNAL

    def _unknown(self, report: ports.AnyReport) -> None:
        """Record a report of an order that the engine does not hold: nothing is dropped."""
        name = report.client_order_id or f"EXT-{report.venue_order_id}"
        if name not in self.carried.working and isinstance(report, ports.Accepted | ports.Filled):
            self._tell(external(_guessed(report, self.spec.account)), report.ts_event)
        self._unheard(report)

    def _unheard(self, report: ports.AnyReport) -> None:
        name = report.client_order_id
        currency = self.instruments[report.instrument].currency
        whose = self._whose(name) if self.started else self._whose_early(name)
        fact = fact_of_report(report, whose, self.spec.account, currency)
        if fact is not None:
            self._tell(fact, report.ts_event)
        elif isinstance(report, ports.Corrected):
            self._corrected(report, whose)

    def _whose_early(self, name: str) -> str:
        known = self.carried.working.get(name)
        return known.order.strategy if known is not None else EXTERNAL

    def _corrected(self, report: ports.Corrected, whose: str) -> None:
        old = self.carried.trades.get(report.trade_id)
        ids = (report.client_order_id, report.instrument, whose)
        self._tell(kinds.OrderVoided(*ids, report.trade_id, "corrected"), report.ts_event)
        if old is not None:
            new = msgspec.structs.replace(
                old,
                trade_id=f"{report.trade_id}-C{report.ts_event}",
                quantity=report.quantity,
                price=report.price,
            )
            self._tell(new, report.ts_event)

    def _tell(self, fact: kinds.OrderFact, ts: int) -> None:
        kernel = self.kernel
        before = (
            self.carried.trades.get(fact.trade_id) if isinstance(fact, kinds.OrderVoided) else None
        )
        kernel.recorder.tell(fact, ts, kernel.now)
        if isinstance(fact, kinds.OrderFilled):
            self._move(fact, 1)
        elif before is not None:
            self._move(before, -1)
        self.line.send()

    def _move(self, fill: kinds.OrderFilled, sign: int) -> None:
        exposure = self.kernel.exposure
        size = (fill.quantity if fill.side == "BUY" else -fill.quantity) * sign
        exposure.filled(fill.client_order_id, (fill.strategy, fill.instrument), size)
        value = fill.price * self._multipliers.get(fill.instrument, Decimal(1))
        exposure.paid(fill.currency, size * value)
        exposure.paid(fill.commission_currency, fill.commission * sign)

    # -- what is looked at

    def mark(self, instrument: str) -> Decimal | None:
        """Return the last price of an instrument; None before the first."""
        row = self._last.get(instrument)
        if row is None or isinstance(row, ports.Quote):
            return None if row is None else (row.bid + row.ask) / 2
        return row.price if isinstance(row, ports.Trade) else row.close

    def equity(self) -> Decimal | None:
        """Return what the account is worth in the session's currency; None while unknown."""
        if self.started:
            try:
                self._equity = self.kernel.host.worth.equity()
            except (SettingsError, ArithmeticError):  # no rate for a currency yet
                self._equity = None
        return self._equity

    def feeds(self) -> tuple[Any, ...]:
        """Return how each subscription is."""
        return ()

    def gate_state(self) -> str:
        """Return the trading state of the account."""
        return "ACTIVE"

    # -- what persons say

    def person(self, side: str, said: dict[str, Any]) -> str:
        """Send a person's order, through the same door as any other."""
        terms = {k: v for k, v in said.items() if k not in ("side", "quantity")}
        return self.kernel.host.intents.order(side, said["quantity"], **terms)

    def cancel(self, named: str) -> None:
        """Cancel one order by its id, or "all"."""
        for order in self._open_orders():
            if named in ("all", str(order.client_order_id)):
                self.kernel.bridge.cancel(order.client_order_id, order.instrument_id)

    def move(self, scope: str, state: str, reason: str, who: str) -> None:
        """Come to a trading state, on the tape's or a person's word."""

    def halt_now(self, why: str) -> None:
        """Let no order leave from here on; may be called from a signal handler."""

    def fence(self, held: bool) -> None:
        """Learn whether the lease is held."""

    # -- trouble

    def _failed(self, error: BaseException) -> None:
        self.error = f"{type(error).__name__}: {error}"
        self.ended.set()

    def _tape_moved(self, down: bool, why: str) -> None:
        self.detail = f"the tape cannot be written: {why}" if down else ""
        self.moved()

    # -- the end

    async def end(self) -> str:
        """End the session in order; return the state that it ended in."""
        kernel = self.kernel
        self.to("stopping", self.detail)
        await _quietly(self.feed.disconnect())
        if self.started:
            kernel.call(self._cancel_ours)
            await self._until(lambda: not self._open_orders(), CANCEL_S)
            if self.flatten:
                kernel.call(self._flatten)
                await self._until(self._flat, FLAT_S)
            await self._until(lambda: kernel.still, DRAIN_S)
            self.equity()
            await kernel.stop()
            self.started = False
        await _quietly(self.venue.disconnect())
        return "failed" if self.error else "stopped"

    async def close(self, state: str) -> None:
        """Say the last word and let go of the tape."""
        self.to(state, self.error or self.detail)
        status = "failed" if self.error else "completed"
        self.kernel.note(kinds.RunClosed(status, self.error), "run")
        self.kernel.recorder.flush()
        await self.line.close()
        self.lease.release()

    def _open_orders(self) -> list[Any]:
        return self.kernel.bridge.working()

    def _cancel_ours(self) -> None:
        for order in self._open_orders():
            self.kernel.bridge.cancel(order.client_order_id, order.instrument_id)

    def _flatten(self) -> None:
        for name in self.instruments:
            self.kernel.host.intents.target(0, None, name, "flatten", "close")

    def _flat(self) -> bool:
        held = self.kernel.exposure.held
        return not any(q for (who, _), q in held.items() if who == self.kernel.host.name)

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not done() and time.monotonic() < until:
            await asyncio.sleep(PAUSE_S)


def _guessed(report: ports.Accepted | ports.Filled, account: str) -> ports.OrderStatus:
    """Return what can be said of an order that a report is the first word of."""
    side, size = ("BUY", Decimal(0))
    if isinstance(report, ports.Filled):
        side, size = report.side, report.quantity
    return ports.OrderStatus(
        report.client_order_id, report.venue_order_id, account, report.instrument, side, "MARKET",
        "ACCEPTED", size, Decimal(0), ts_event=report.ts_event,
    )  # fmt: skip


async def _quietly(closing: Any) -> None:
    try:
        await closing
    except OnetapeError:  # it is gone already; the session ends all the same
        return
