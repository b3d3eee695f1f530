# pyright: standard
"""The trader: one live session's parts, put together, started and ended in order.

Start    lease, connect, reconcile, then the strategy; breaks stop it unless accepted by name.
Trade    rows, reports, timers and words go through the kernel one after another.
Stop     no more rows; cancel what is ours; flatten if asked; drain; keep the data; close the tape.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from nautilus_trader.model import Currency

from onetape.errors import RunError, SettingsError
from onetape.market.instruments import Instrument
from onetape.risk.joining import joined
from onetape.risk.limitbook import from_json, to_json
from onetape.risk.rungs import ladder_of
from onetape.run import ports
from onetape.run.approval import Who
from onetape.run.asked import flatten
from onetape.run.bridge import Ways
from onetape.run.carry import Carried
from onetape.run.fence import Lease, stream_of
from onetape.run.folder import LiveSpec
from onetape.run.following import Following, standing
from onetape.run.gated import RowMarket
from onetape.run.handover import Handover
from onetape.run.hearing import Hearing
from onetape.run.keep import Keep
from onetape.run.kernel import Kernel, Setup
from onetape.run.line import Line
from onetape.run.live_gate import LastLine, gate_of
from onetape.run.logon import quietly, reached
from onetape.run.loud import guarded
from onetape.run.missed import Missed, canceled, kept
from onetape.run.notes import RISK, Notes, noted
from onetape.run.outbox import Outbox
from onetape.run.receiving import Paper, Receiving
from onetape.run.saving import Saving, load
from onetape.run.sitting import opened, sources
from onetape.tape import kinds, kinds_live
from onetape.tape.event import Event
from onetape.tape.port import Tape

CANCEL_S, AWAY_S, FLAT_S, DRAIN_S = 10.0, 30.0, 10.0, 20.0
PAUSE_S, AGAIN_S = 0.01, 0.25
COUNTED = {
    kinds.OrderSubmitted: "orders",
    kinds.OrderFilled: "fills",
    kinds.OrderDenied: "denied",
}
DENY = "deny"
_log = logging.getLogger(__name__)


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
        self.spec, self.tape, self.lease, self.folder = spec, tape, lease, folder
        self.venue, self.feed = ends
        self.strategy = strategy
        self.stream = stream_of(spec.session)
        self.state, self.detail, self.error = "starting", "", ""
        self.ended = asyncio.Event()
        self.flatten = spec.flatten_on_stop
        self.venue_state = "disconnected"
        self.instruments: dict[str, Instrument] = {}
        self.moved: Callable[[], None] = lambda: None  # told when the state changed
        self.opened = False  # its first word is on the tape
        self.patience = 5.0  # seconds for which a venue that cannot be reached is tried again
        self._halted_by = ""  # the scope that a person halted at the door
        self.halted = ""  # why nothing may leave any more; set from anywhere, at once
        self.counts: Counter[str] = Counter()
        self.kernel: Kernel
        self.line: Line
        self.outbox: Outbox
        self.carried: Carried
        self.hearing: Hearing
        self.saving: Saving
        self.last_line: LastLine
        self._market: RowMarket
        self._early: list[ports.AnyReport | ports.AnyWord] = []
        self._equity: Decimal | None = None
        self.receiving = Receiving(self.feed, self.ended.set)
        self._leaving: set[str] = set()  # orders that may leave although the session stops
        self._following: Following | None = None
        self.missed = Missed(self)
        self._notes = Notes(tape)

    # -- start

    async def begin(self) -> None:
        """Do everything up to the first row; raises what stands in the way, with the tape told."""
        before = await asyncio.to_thread(self.lease.take)
        await reached(lambda: self.venue.connect(guarded(self._report, self.fail)), self.patience)
        hear = guarded(self.receiving.take, self.fail)
        await reached(lambda: self.feed.connect(hear), self.patience)
        self.instruments = await self._known()
        self._open()
        self.to("reconciling")
        heard, head = await asyncio.to_thread(standing, self.tape)
        for fact in heard:
            self.kernel.note(self._joined(fact), "input/risk")
        handover = Handover(self.spec, self.tape, self.venue, self.instruments)
        await handover.take(before, self.kernel, self.hearing, self.carried)
        saved, named = handover.saved, type(self.strategy).__name__
        if saved is not None and saved.strategy.rpartition("-")[0] == named:
            self.kernel.note(saved, "input/state")
            load(self.strategy, saved)
        await self._start()
        self._following = Following(self.tape, head, self.hear)

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
        spec, feed, instruments = self.spec, self.feed, self.instruments
        start = self.receiving.now - 1 if feed.replayed else time.time_ns()
        who = Who(spec.account, spec.trader, spec.desk)
        gate, self._market = gate_of(spec.limits, who, spec.currency, instruments)
        setup = Setup(
            strategy=self.strategy,
            sources=sources(spec.feed.adapter, spec.subscriptions, instruments),
            instruments=instruments,
            account=spec.account,
            currency=spec.currency,
            session=spec.session,
            start=max(start, 1),
            replayed=feed.replayed,
            gate=gate,
            ladder=ladder_of(spec.options.get("ladder", ())),
        )
        self.line = Line(self.tape, self.stream, spec.book, self._tape_moved)
        self.kernel = kernel = Kernel(setup, self._onward, self.fail)
        kernel.attached = self._attached
        kernel.recorder.venue = frozenset((spec.venue.adapter, self.venue.name))
        kernel.done = self.receiving.quiet
        self.last_line = LastLine(gate, kernel)
        self.carried = Carried({name: i.multiplier for name, i in instruments.items()})
        self.saving = Saving(kernel, self.strategy)
        self.hearing = Hearing(kernel, self.carried, spec.account, instruments)
        keep = None
        if self.folder is not None and spec.catalog:
            listed, made_up = instruments.values(), feed.synthetic
            keep = Keep(self.folder, spec.session, feed.name, listed, synthetic=made_up)
        self.receiving.begin(kernel, keep, Paper.of(self.venue, instruments))
        kernel.note(opened(spec, self.strategy, instruments), "run")
        account = kinds.AccountOpened(spec.account, "margin", spec.currency)
        kernel.note(account, f"account/{spec.account}")
        self.opened = True
        self.to("starting")

    def _attached(self, host: Any) -> None:
        self._market.host = host

    def _onward(self, events: list[Event]) -> None:
        self.line.take(events)
        for event in events:
            fact = event.fact
            self.counts[COUNTED.get(type(fact), "events")] += 1
            if isinstance(fact, kinds_live.RiskDecided) and fact.verdict == DENY:
                self.counts["denied"] += 1
            self.carried.take(fact, event.ts_event)
            if isinstance(fact, kinds_live.RiskMoved) and event.stream != "input/risk":
                self._notes.take(noted(RISK, fact))  # the ladder's: it holds beyond this session

    async def _start(self) -> None:
        kernel, spec = self.kernel, self.spec
        self.outbox = Outbox(self.line, failed=self.fail)
        ways = Ways(
            venue=self.venue,
            account=spec.account,
            trader=spec.trader,
            currency=Currency.from_str(spec.currency),
            recorded=self._recorded,
            last_line=self.last_line.may,
            halted=self._halted,
            changed=self.last_line.changed,
            unknown=self.hearing.unknown,
            unheard=self.hearing.unheard,
            quiet=self.receiving.quiet,
            moment=kernel.moment,
            grounds=kernel.grounds,
        )
        await kernel.start(self.outbox, ways)
        self._take_early()
        for wanted in spec.subscriptions:
            one = ports.Subscription(wanted.instrument, wanted.data, wanted.step)
            self.receiving.health.watch(one, kernel.now)
            await self.feed.subscribe(one)
        self.receiving.run(self.line, self.fail)
        self.saving.start()
        self.to("running")
        await self.feed.begin()

    # -- while it trades

    def to(self, state: str, detail: str = "") -> None:
        """Come to a state, and say so."""
        self.state, self.detail = state, detail
        self.kernel.note(kinds_live.SessionMoved(state, detail), "session")
        self._recorded()
        self.line.send()
        self.moved()

    def _recorded(self) -> int:
        self.kernel.recorder.flush()
        return self.kernel.recorder.count

    def _halted(self, order: Any) -> str:
        if self.state == "stopping" and str(order.client_order_id) not in self._leaving:
            return "the session is stopping: nothing new leaves"
        return self.halted or self.missed.unsure or self.last_line.halted(order)

    def _report(self, report: ports.AnyReport | ports.AnyWord) -> None:
        if not self.started:
            self._early.append(report)
        elif isinstance(report, ports.VenueState):
            self._venue_moved(report)
        elif isinstance(report, ports.Notice | ports.Difference):
            self.hearing.word(report, self.venue.name)
        else:
            self.kernel.bridge.take(report)

    def _take_early(self) -> None:
        early, self._early = self._early, []
        for report in early:
            self._report(report)

    def _venue_moved(self, moved: ports.VenueState) -> None:
        self.venue_state = moved.state
        fact = kinds_live.VenueMoved(self.venue.name, moved.state, moved.detail)
        self.kernel.call(lambda: self.kernel.note(fact, "input/venue"))
        self.missed.moved(moved.state)

    # -- what is looked at

    @property
    def started(self) -> bool:
        """Whether its strategy runs."""
        return self.opened and self.kernel.started

    def mark(self, instrument: str) -> Decimal | None:
        """Return the last price of an instrument; None before the first."""
        return self.receiving.mark(instrument)

    def equity(self) -> Decimal | None:
        """Return what the account is worth in the session's currency; None while unknown."""
        if self.started:
            try:
                self._equity = self.kernel.host.worth.equity()
            except (SettingsError, ArithmeticError):  # no rate for a currency yet
                self._equity = None
        return self._equity

    def gate_state(self) -> str:
        """Return the trading state that its orders are under."""
        return "HALTED" if self.halted else self.last_line.standing()

    # -- what persons and the tape say

    def cancel(self, named: str) -> None:
        """Cancel one order by its id, or "all"."""
        for order in self.kernel.bridge.working():
            if named in ("all", str(order.client_order_id)):
                self.kernel.bridge.cancel(order.client_order_id, order.instrument_id)
        for name, instrument in kept(self).items():
            if named in ("all", name):
                self.kernel.bridge.cancel(name, instrument)

    def halt(self, moved: kinds_live.RiskMoved) -> None:
        """Halt on a person's word, said to everybody; ACTIVE of the same scope lifts it."""
        self._halted_by = moved.scope
        self._notes.take(noted(RISK, moved))
        self.hear(moved)

    def hear(self, fact: kinds.Fact) -> None:
        """Follow the tape's control streams: states, limits, kills, overrides."""
        lifts = isinstance(fact, kinds_live.RiskMoved) and (fact.state, fact.scope)
        if lifts == ("ACTIVE", self._halted_by):
            self.halted = self._halted_by = ""
        self.kernel.call(lambda: self.kernel.note(self._joined(fact), "input/risk"))

    def _joined(self, fact: kinds.Fact) -> kinds.Fact:
        """Limits of the tape stand beside those that the session was started with."""
        if not isinstance(fact, kinds_live.LimitsSet):
            return fact
        both = joined(from_json(self.spec.limits), from_json(fact.rules, fact.version))
        return msgspec.structs.replace(fact, rules=to_json(both))

    def halt_now(self, why: str) -> None:
        """Let no order leave from here on; may be called from a signal handler."""
        self.halted = why

    def fence(self, held: bool) -> None:
        """Learn whether the lease is held: without it nothing leaves."""
        if not held and not self.halted:
            self.halted = "the lease of the account is not held"
        elif held and self.halted.startswith("the lease"):
            self.halted = ""

    # -- trouble

    def fail(self, error: BaseException) -> None:
        """Come to an end because of an error."""
        self.error = f"{type(error).__name__}: {error}"
        _log.error("%s", "".join(traceback.format_exception(error)))
        self.ended.set()

    def _tape_moved(self, down: bool, why: str) -> None:
        self.detail = f"the tape cannot be written: {why}" if down else ""
        self.moved()

    # -- the end

    async def end(self) -> str:
        """End the session in order; return the state that it ended in."""
        self.to("stopping", self.detail)
        await quietly(self.feed.disconnect())
        if ran := self.started:
            if left := await canceled(self, AWAY_S, CANCEL_S):
                said = f"orders may still work at {self.venue.name}: {', '.join(left[:5])}"
                self.error = self.error or f"RunError: {len(left)} {said}"
            if self.flatten:
                self.kernel.call(lambda: self._leaving.update(flatten(self.kernel)))
                await self._until(self._flat, FLAT_S)
            await self._until(self._settled, DRAIN_S)
            self.equity()
            try:
                self.saving.now()
            except Exception as err:  # its state is lost, and said: the session ends all the same
                self.error = self.error or f"on_save: {type(err).__name__}: {err}"
            await self.kernel.stop()
        self.receiving.stop()
        self.saving.stop()
        if self._following is not None:
            self._following.stop()
        self.missed.stop()
        await quietly(self.venue.disconnect())
        self.missed.late(self._early if ran else [])
        for fact in await asyncio.to_thread(self.receiving.kept, self.spec.catalog):
            self.kernel.note(fact, "data")
        return "failed" if self.error else "stopped"

    def _settled(self) -> bool:
        """Say whether nothing is under way; what is in the engine comes before its answer."""
        if self.kernel.commanded and not len(self.kernel.inputs):
            self.kernel.barrier()
        return self.kernel.still

    async def close(self, state: str) -> None:
        """Say the last word and let go of the tape."""
        self.to(state, self.error or self.detail)
        status = "failed" if self.error else "completed"
        self.kernel.note(kinds.RunClosed(status, self.error), "run")
        self._recorded()
        await self.line.close()
        await self._until(lambda: not self._notes.left, DRAIN_S)
        self._notes.close()
        self.lease.release()

    def _flat(self) -> bool:
        held = self.kernel.exposure.held
        return not any(q for (who, _), q in held.items() if who == self.kernel.name)

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not done() and time.monotonic() < until:
            await asyncio.sleep(PAUSE_S)
