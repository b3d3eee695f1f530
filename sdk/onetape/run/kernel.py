# pyright: standard
"""The kernel of a live session: one strategy on the engine's live node, fed by `Inputs`.

It knows no tape, no socket and no clock but its own, so that a session and its rerun are the same
code: the one gets its inputs from a venue and a feed, the other from what was recorded.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nautilus_trader import model as engine
from nautilus_trader.common import Clock as EngineClock
from nautilus_trader.common import Environment, LogLevel, OrderFactory
from nautilus_trader.config import LoggerConfig
from nautilus_trader.live import LiveExecutionEngineConfig, LiveNode, LiveRiskEngineConfig

from onetape.errors import RunError
from onetape.market.instruments import Instrument
from onetape.risk.exposure import Exposure
from onetape.risk.rungs import Ladder
from onetape.run import ports
from onetape.run.bridge import Bridge, Ways
from onetape.run.commands import Traded
from onetape.run.feed import Source
from onetape.run.gate_doors import closed, unscheduled
from onetape.run.gate_ladder import LadderWatch
from onetape.run.host import Host, Stage
from onetape.run.inputs import Input, Inputs, Stamps
from onetape.run.live_recorder import LiveRecorder
from onetape.run.opening import CALCULATION, identity, params_in
from onetape.run.outbox import Outbox
from onetape.run.timers import LiveClock, Timers, time_event
from onetape.run.wire import Rows
from onetape.tape import kinds, kinds_live
from onetape.tape.event import Event, Lineage

AGAIN = re.compile(r"r\d+")
START_S = 30.0
NO_LADDER = Ladder()
PURGE_MINS = 1  # the engine forgets closed orders after this long, or twice: a session lasts
COMMANDS = (
    "submit_order", "submit_order_list", "modify_order", "cancel_order", "cancel_all_orders",
)  # fmt: skip
OURS = frozenset((engine.OrderInitialized, engine.OrderSubmitted, engine.OrderDenied,
    engine.OrderPendingUpdate, engine.OrderPendingCancel, engine.OrderEmulated,
    engine.OrderReleased))  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """What a kernel is made of. `session` ends in the digits that its order ids carry."""

    strategy: Any
    sources: tuple[Source, ...]
    instruments: dict[str, Instrument]
    account: str
    currency: str
    session: str
    start: int  # ns UTC
    replayed: bool
    serial: bool = False
    gate: Any = None
    ladder: Ladder = NO_LADDER


class Kernel:
    """One strategy, its host, its node. `now` is the stamp of what is being handled."""

    def __init__(
        self,
        setup: Setup,
        onward: Callable[[list[Event]], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.setup, self._onward_failed = setup, failed
        self._now, self._inside = setup.start, False
        self.stamps = Stamps(setup.replayed, setup.start)
        self.inputs = Inputs(self.stamps, 1) if setup.serial else Inputs(self.stamps)
        self.inputs.trouble = self._trouble
        self.recorder = LiveRecorder(setup.account, onward, self._times)
        self.recorder.grounds = {}
        self.recorder.gate, self.recorder.instruments = setup.gate, setup.instruments
        self.exposure = Exposure()
        self.timers = Timers()
        self.commanded = False  # the strategy gave a command that may not have come through yet
        self.seen: Callable[[Any], None] = _nothing  # told of each row before the strategy is
        self.done: Callable[[], None] = _still  # told when something was dealt with
        self.bridge: Bridge
        self.host: Host
        self.ladder: LadderWatch
        self.started = False
        self.name = ""  # the strategy's, as it stands on the tape
        self._node: Any = None
        self._handle: Any = None
        self._doors = ExitStack()
        self._running: asyncio.Future[None] | None = None
        bar_types = {
            (s.dataset.instrument.id, s.dataset.step): s.bar_type
            for s in setup.sources
            if s.bar_type is not None
        }
        self._rows = Rows(setup.instruments, bar_types)

    # -- what the host sees

    @property
    def now(self) -> int:
        """The stamp of what is being handled: of a row also while the engine has it by itself."""
        ahead = None if self._inside else self.inputs.ahead
        return self._now if ahead is None else ahead

    @now.setter
    def now(self, stamp: int) -> None:
        self._now = stamp

    def clock(self, host: Host) -> LiveClock:
        """Return the strategy's clock."""
        return LiveClock(host, self.timers)

    def factory(self, strategy: Any) -> Any:
        """Return an order factory whose ids follow from the session's start and name."""
        begun, tag = _told(self.setup.session)
        clock = EngineClock.new_test()
        clock.set_time(begun or self.setup.start)
        trader = engine.TraderId(f"T-{tag}")
        return OrderFactory(trader, strategy.strategy_id, clock)

    def failed(self, error: BaseException) -> None:
        """Hand the strategy's error on."""
        self._onward_failed(error)

    def _trouble(self, kind: str, err: Exception) -> None:
        """An input could not be handed over: said, and the session ends in order but for a row,
        which is left out."""
        said = f"{kind} left out: {type(err).__name__}: {err}"
        self.note(kinds_live.RiskAlert("input", "critical", "session", said), "input/trouble")
        if kind == "row":
            asyncio.get_running_loop().call_soon(self.done)
        else:
            self.failed(err)

    def _times(self, event: Any) -> tuple[int, int]:
        stamp = self.inputs.event_stamp
        named = (str(event.client_order_id), type(event).__name__)
        if stamp is not None and self.bridge.expected == named:
            self.now = stamp
        return (self.now if type(event) in OURS else event.ts_event), self.now

    def moment(self, stamp: int) -> None:
        """Learn what time it is for what is being done."""
        self.now = stamp

    def grounds(self, fill: ports.AnyReport) -> None:
        """Keep what a simulated fill says that it was made on, for its lineage."""
        if isinstance(fill, ports.Filled):
            source = f"simulated at {self.bridge.ways.venue.name}"
            self.recorder.grounds[fill.trade_id] = Lineage(
                source, fill.basis, fill.ts_event, "", "", CALCULATION
            )

    # -- building

    async def start(self, outbox: Outbox, ways: Ways) -> None:
        """Build the node and start the strategy; returns once its `on_start` is done.

        Raises RunError when the node does not come up.
        """
        strategy = self.setup.strategy
        self.bridge = Bridge(self.inputs, outbox, ways)
        self.bridge.barrier, self.bridge.scripted = self._through, self.setup.serial
        for name in COMMANDS:
            setattr(strategy, name, self._counted(getattr(strategy, name)))
        self.host = Host(strategy, self._stage(), identity(strategy)[0], params_in(strategy))
        self.host.attach()
        self.attached(self.host)
        self._doors.enter_context(closed([self.host]))
        commands = self.host.commands
        commands.ready = unscheduled  # an emulated order comes to the last line when it is let go
        commands.leave = self._counted(commands.leave)
        commands.modify_by = self._counted(commands.modify_by)
        self.ladder = LadderWatch(self.setup.ladder, self.setup.gate, [self.host])
        self.ladder.attach()
        self._watch(strategy)
        self._node = self._built(strategy)
        self._handle = self._node.handle()
        self._running = asyncio.ensure_future(self._node.run_async())
        try:
            async with asyncio.timeout(START_S):
                while not self._up():
                    await asyncio.sleep(0.002)
            self.started, self.name = True, self.host.name
        except TimeoutError:
            raise RunError(f"the engine's node did not come up in {START_S:.0f} s") from None

    def _up(self) -> bool:
        if self._running is not None and self._running.done():
            self._running.result()
            raise RunError("the engine's node ended before it began; its log may say why")
        if self.host.failure is not None:
            return True
        wanted = {source.key for source in self.setup.sources}
        ready = self.bridge.client is not None and self.bridge.data is not None
        return ready and wanted <= self.bridge.subscribed

    def _stage(self) -> Stage:
        setup = self.setup
        return Stage(
            recorder=self.recorder,
            exposure=self.exposure,
            sources=setup.sources,
            traded={name: Traded(i.to_engine()) for name, i in setup.instruments.items()},
            hold_until="",
            latency_ns=0,
            walk=None,
            first=setup.strategy,
            alone=False,  # rows of all sources come, whatever the strategy has handlers for
            splits=False,
            currency=setup.currency,
            calculation=CALCULATION,
            account=setup.account,
            gate=setup.gate,
            live=self,
        )

    def _built(self, strategy: Any) -> Any:
        builder = (
            LiveNode.builder("onetape", engine.TraderId("T-001"), Environment.LIVE)
            .with_logging(LoggerConfig(stdout_level=LogLevel.ERROR))
            .with_reconciliation(False)
            .with_delay_post_stop_secs(0)
            .with_risk_engine_config(LiveRiskEngineConfig(bypass=True))  # the gate is ours
            .with_exec_engine_config(
                LiveExecutionEngineConfig(
                    reconciliation=False,
                    inflight_check_interval_ms=0,
                    purge_closed_orders_interval_mins=PURGE_MINS,
                    purge_closed_orders_buffer_mins=PURGE_MINS,
                )
            )
        )
        node = self.bridge.register(builder, self.setup.instruments).build()
        node.add_strategy(strategy)
        return node

    def _counted(self, command: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.commanded = True
            return command(*args, **kwargs)

        return call

    def _watch(self, strategy: Any) -> None:
        for name in ("on_bar", "on_quote", "on_trade"):
            setattr(strategy, name, self._row_watched(getattr(strategy, name)))
        strategy.on_order_event = self._event_watched(strategy.on_order_event)

    def _row_watched(self, body: Callable[[Any], Any]) -> Callable[[Any], None]:
        def handle(row: Any) -> None:
            self.now, self._inside = self.inputs.row_handled(), True
            self.seen(row)
            if self.host.failure is None:
                body(row)
            self._inside = False
            self.inputs.advance()
            self.done()

        return handle

    def _event_watched(self, body: Callable[[Any], Any]) -> Callable[[Any], None]:
        def handle(event: Any) -> None:
            body(event)
            self.bridge.heard(event)

        return handle

    # -- inputs

    def row(self, row: ports.AnyRow) -> None:
        """Take a row of the feed."""
        if self.timers.next is not None and self.setup.replayed and not self.setup.serial:
            while (due := self.timers.next) is not None and due <= row.ts_event:
                self.due(due)
        self.inputs.give(Input("row", lambda stamp: self._hand(row, stamp), row.ts_event))

    def _hand(self, row: ports.AnyRow, stamp: int) -> bool:
        self.kept(row, stamp)
        self.bridge.data._handle_data(self._rows(row, stamp))
        return True

    attached: Callable[[Host], None] = staticmethod(lambda _host: None)
    kept: Callable[[ports.AnyRow, int], None] = staticmethod(lambda _row, _stamp: None)

    def due(self, at: int = 0) -> None:
        """Let the next timer come due."""
        popped = self.timers.pop()
        if popped is None:
            return
        name, timer = popped
        self.call(lambda: self.timers.turn(timer) and self.fire(name, timer.call), at)

    def look(self) -> None:
        """Have the ladder look although no row came: silence is what it may be about."""
        self.note(kinds_live.TimerFired("", "ladder"), "input/timer")
        self.commanded = True
        self.ladder.look(self.now)

    def fire(self, name: str, call: Callable[[Any], object]) -> None:
        """Call a timer's callback, and say so on the tape."""
        self.note(kinds_live.TimerFired(self.host.name, name), "input/timer")
        self.commanded = True
        call(time_event(name, self.now))

    def call(self, act: Callable[[], object], ts: int = 0) -> None:
        """Do something of ours in its turn, at a stamp of its own."""

        def acted(stamp: int) -> bool:
            self.now = stamp
            act()
            self.done()
            return True

        self.inputs.give(Input("call", acted, ts))

    def note(self, fact: kinds.Fact, stream: str, cause: int | None = None) -> int:
        """Record a fact of the session's own at this moment; return its seq."""
        return self.recorder.note(fact, self._now, stream, cause)

    # -- silence

    def barrier(self) -> None:
        """Ask the engine for a sign that all commands before it have come through."""
        account = engine.AccountId(f"{self.bridge.ways.venue.name}-{self.setup.account}")
        self.setup.strategy.query_account(account)

    def _through(self) -> None:
        self.commanded = False
        self.done()

    @property
    def still(self) -> bool:
        """Whether nothing is under way: no input, no command, nothing that has to leave."""
        return not (len(self.inputs) or self.bridge.outbox.waiting or self.commanded)

    # -- the end

    async def stop(self) -> None:
        """Stop the strategy and the node."""
        node, self._node = self._node, None
        if node is None:
            return
        self.inputs.stopped, self.started = True, False
        self._doors.close()
        self._handle.stop()
        if self._running is not None:
            await self._running
        node.dispose()
        self.host.detach()


def _told(session: str) -> tuple[int, str]:
    """Return when a session was begun and its tag, as its name says: NAME-20240108T093000-1a2b3c,
    with "-r2" behind it where it is a restart."""
    parts = session.split("-")
    again = parts.pop() if AGAIN.fullmatch(parts[-1]) else ""
    try:
        begun = datetime.strptime(parts[-2], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except (ValueError, IndexError):  # another name: the session's start will do
        return 0, parts[-1][-6:] + again
    return int(begun.timestamp()) * 1_000_000_000, parts[-1] + again


def _nothing(_row: Any) -> None:
    pass


def _still() -> None:
    pass
