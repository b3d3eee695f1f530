# pyright: standard
"""The host: stands between one strategy and the engine, ours or a plain engine strategy.

It wraps the strategy's handlers on the instance, so that each order can name its cause: the
row, order event or timer that was being handled. It records decisions, tries limits, holds
orders until the moment that the fill convention allows, and keeps the first error.

Why hold orders instead of adding latency: with several instruments, a delayed order would be
matched as soon as any other instrument's row moves the clock, at a price that is already old.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from nautilus_trader import model as engine
from nautilus_trader.common import TimeEvent
from nautilus_trader.trading import Strategy as EngineStrategy

from onetape.errors import SettingsError
from onetape.risk.exposure import Exposure
from onetape.run.clock import Clock, unwatched, watched
from onetape.run.commands import Commands, Traded
from onetape.run.feed import Source
from onetape.run.fills import Walk
from onetape.run.gate_orders import judged
from onetape.run.indicators import Indicator
from onetape.run.intents import Intents
from onetape.run.moment import Moment
from onetape.run.orders import OrderWatch
from onetape.run.recorder import Recorder
from onetape.run.rows import RowWatch
from onetape.run.worth import Worth
from onetape.tape import kinds
from onetape.tape.event import Lineage

if TYPE_CHECKING:
    from onetape.run.gate import Gate

UNTOUCHED = frozenset(("on_save", "on_load"))  # their return values are the engine's
Handler = Callable[..., object]
WRAPPED = (
    "submit_", "modify_", "cancel_", "close_", "market_exit", "subscribe_", "unsubscribe_", "on_",
    "_host",
)  # fmt: skip
NO_EVENT = object()  # on_stop and the like handle nothing


class Word(NamedTuple):
    """A person's word to a live session: where it stands on the tape, and when it came."""

    seq: int
    ts_event: int


@dataclass(frozen=True)
class Stage:
    """What all hosts of a run share."""

    recorder: Recorder
    exposure: Exposure
    sources: tuple[Source, ...]
    traded: Mapping[str, Traded]
    hold_until: str  # "" sends at once, "open" waits for the next open, "bar" for the next bar
    latency_ns: int
    walk: Walk | None  # where bars are walked
    first: Any  # the first strategy: with several, it gets the rows of all
    alone: bool  # one strategy only
    splits: bool  # some share splits while the run goes on
    currency: str
    calculation: str
    account: str
    gate: Gate | None = None  # None: no limits, and nothing is asked
    live: Moment | None = None  # in a live session: its time, its order ids, its end


class Host:
    """One strategy in a run."""

    def __init__(
        self, strategy: Any, stage: Stage, code_hash: str, params: Mapping[str, Any]
    ) -> None:
        self.strategy, self.stage = strategy, stage
        self.exposure, self.traded = stage.exposure, stage.traded
        self.instruments = tuple(dict.fromkeys(s.dataset.instrument.id for s in stage.sources))
        self.intents, self.commands, self.worth = Intents(self), Commands(self), Worth(self)
        self.orders, self.rows = OrderWatch(self), RowWatch(self)
        self.name = type(strategy).__name__
        self.failure: tuple[BaseException, str, Any] | None = None
        self.event: Any = None  # the row, order event or timer being handled
        self.row: Callable[[], Any] = _nothing  # the row, where a thin wrapper has it
        self.stopping = False
        self.late: dict[Any, list[tuple[Any, dict[str, Any]]]] = {}  # for the row after a split
        self.bound: defaultdict[Any, list[Indicator]] = defaultdict(list)
        self._code = code_hash
        self._params = hashlib.sha256(repr(sorted(params.items())).encode()).hexdigest()[:16]
        self._sources = {s.key: s for s in stage.sources}

    # -- attaching

    def attach(self) -> None:
        """Wrap the strategy's handlers and commands on the instance."""
        strategy = self.strategy
        bodies = {
            name: getattr(strategy, name)
            for name in dir(type(strategy))
            if name.startswith("on_")
            and name not in UNTOUCHED
            and _overridden(type(strategy), name)
        }
        for name, body in bodies.items():
            wrap = self.orders.special if name[:9] == "on_order_" else self._event_handler
            setattr(strategy, name, wrap(name, body))
        strategy.on_start = self._start_handler(bodies)
        strategy.on_order_event = self.orders.general(bodies.get("on_order_event"))
        self.rows.attach()
        strategy.on_bar = self.rows.bars(bodies.get("on_bar"))
        strategy.on_quote = self.rows.ticks("on_quote", bodies.get("on_quote"))
        strategy.on_trade = self.rows.ticks("on_trade", bodies.get("on_trade"))
        self.commands.attach()
        watched(strategy, self)

    def detach(self) -> None:
        """Take the wrappers off again: the engine's objects must end on the thread they began on.

        They would otherwise live in cycles until some other thread's collection finds them.
        """
        strategy = self.strategy
        for name in [name for name in vars(strategy) if name.startswith(WRAPPED)]:
            if hasattr(type(strategy), name):
                delattr(strategy, name)
        unwatched(strategy)
        vars(self.commands.waiting).clear()
        for part in (self.commands, self.intents, self.worth, self.orders, self.rows, self):
            vars(part).clear()

    def fail(self, error: BaseException, handler: str, event: Any) -> None:
        """Keep the first error and stop the run at this event.

        It is not raised into the engine, which would print it and go on; `execute` raises it.
        """
        if self.failure is not None:
            return
        self.failure = (error, handler, event)
        if self.stage.live is not None:  # it stops in order: what works at the venue is canceled,
            self.stage.live.failed(error)  # and what becomes of it is recorded as before
            return
        for name in ("on_bar", "on_quote", "on_trade", "on_order_event", "on_stop"):
            setattr(self.strategy, name, _nothing)
        with suppress(RuntimeError):  # while an order is announced the engine hears no command
            self.strategy.shutdown_system(f"{handler} raised")

    def _event_handler(self, name: str, body: Handler) -> Handler:
        def handle(*events: Any) -> None:
            if self.failure is not None:
                return
            before, self.event = self.event, events[0] if events else NO_EVENT
            self.stopping = self.stopping or name == "on_stop"
            try:
                body(*events)
            except BaseException as err:
                self.fail(err, name, self.now)
            finally:
                self.event = before

        return handle

    @cached_property
    def clock(self) -> Any:
        """The engine's own clock for this strategy."""
        return EngineStrategy.clock.__get__(self.strategy)

    @cached_property
    def own_clock(self) -> Any:
        """The clock that the strategy sees."""
        return Clock(self) if self.stage.live is None else self.stage.live.clock(self)

    def timer(self, body: Handler) -> Handler:
        """Wrap a timer's callback: the engine would print its error and go on."""
        handle = self._event_handler(getattr(body, "__name__", "timer"), body)

        def call(event: Any) -> None:
            if self.failure is None:
                handle(event)

        return call

    def _start_handler(self, bodies: dict[str, Handler]) -> Handler:
        def start() -> None:
            self.name = str(self.strategy.strategy_id)
            try:
                if "on_start" in bodies:
                    bodies["on_start"]()
                self.rows.subscribe(frozenset(bodies))
                if self.stage.live is None:
                    self.rows.thin(bodies)
            except BaseException as err:
                self.fail(err, "on_start", None)

        return start

    # -- what intents and signals need

    @property
    def now(self) -> Any:
        """What is being handled: a row, an order event, a timer, or None at start and stop."""
        event = self.event
        if event is None:
            return self.row()
        return None if event is NO_EVENT else event

    @cached_property
    def factory(self) -> Any:
        """The order factory: the engine's, or one whose ids a live session can give again."""
        live = self.stage.live
        return self.strategy.order_factory if live is None else live.factory(self.strategy)

    def send(self, order: Any, decision: int) -> None:
        """Send an order through the one door."""
        self.commands.send(order, decision)

    def send_list(self, orders: Any, decision: int) -> None:
        """Send orders that belong together."""
        self.commands.send_list(orders, decision)

    def drop_held(self, order: str | None = None, instrument: str | None = None) -> bool:
        """Forget orders that wait for their moment."""
        return self.commands.waiting.drop(order, instrument)

    def bind(self, indicator: Indicator, on: Any) -> Indicator:
        """Feed `indicator` with the rows of a dataset, named by instrument, dataset or order."""
        self.rows.thicken()
        self.bound[self._source(on).key].append(indicator)
        return indicator

    def _source(self, on: Any) -> Source:
        sources = self.stage.sources
        if on is None:
            if len(self.instruments) == 1:
                return sources[0]
            listed = ", ".join(self.instruments)
            raise SettingsError(f"say which data this indicator is on: on=... with one of {listed}")
        name = getattr(on, "id", getattr(getattr(on, "instrument", None), "id", on))
        for source in sources:
            if source.dataset is on or str(name) in (
                source.dataset.instrument.id,
                source.dataset.name,
            ):
                return source
        raise SettingsError(
            f"no data for {on!r} in this run; there is {', '.join(self.instruments)}"
        )

    def named(self, instrument: Any) -> str:
        """Return the instrument's id as text, checked; None means the one at hand."""
        if instrument is None:
            return self.ambient_instrument()
        name = str(getattr(instrument, "id", instrument))
        if name not in self.traded:
            raise SettingsError(f"{name} is not in this run; there is {', '.join(self.traded)}")
        return name

    def ambient_instrument(self) -> str:
        """Return the instrument of the row being handled, or the run's only one."""
        if len(self.instruments) == 1:
            return self.instruments[0]
        now = self.now
        if isinstance(now, engine.Bar):
            return str(now.bar_type.instrument_id)
        found = getattr(now, "instrument_id", None)
        if found is None:
            listed = ", ".join(self.instruments)
            raise SettingsError(f"say which instrument: instrument=... with one of {listed}")
        return str(found)

    def decide(self, intent: str, instrument: str | None, **terms: Any) -> int:
        """Record a decision and return its seq."""
        return self.note(kinds.DecisionMade(self.name, intent, instrument, **terms))

    def signal(self, name: str, value: float, instrument: str | None) -> None:
        """Record a derived value with its lineage; one that is not finite is no value yet."""
        if not math.isfinite(value):
            return
        if instrument is None and self.now is not None:
            instrument = self.ambient_instrument()
        self.note(kinds.SignalNoted(self.name, name, value, instrument))

    def note(self, fact: kinds.Fact, cause: int | None = None, ts: int | None = None) -> int:
        """Record a fact of ours with the cause and lineage of what is being handled."""
        now, what, source = self.now, "start or stop", ""
        # while a new order is being announced the engine lets nobody read its clock
        at: int = self._time() if ts is None else ts
        if isinstance(now, engine.Bar):
            key = now.bar_type
        elif isinstance(now, engine.QuoteTick):
            key = ("on_quote", now.instrument_id)
        elif isinstance(now, engine.TradeTick):
            key = ("on_trade", now.instrument_id)
        elif isinstance(now, Word):
            key, what, cause = None, "a person's word", cause or now.seq
        else:
            key = None
            order = self.orders.behind(now)
            if order is not None:
                what = "order"
                cause = cause or self.stage.recorder.seq_of(order)
            elif isinstance(now, TimeEvent):
                what = f"timer {now.name}"
        found = self._sources.get(key)
        if found is not None:
            what, source = found.label, found.dataset.fingerprint
        seen = at if now is None else now.ts_event
        lineage = Lineage(source, what, seen, self._code, self._params, self.stage.calculation)
        return self.stage.recorder.note(fact, at, f"strategy/{self.name}", cause, lineage)

    def _time(self) -> int:
        live = self.stage.live
        return self.clock.timestamp_ns() if live is None else live.now

    def refused(self, orders: list[Any], decision: int | None, **changed: Any) -> bool:
        """Ask the gate, if there is one, about orders that leave together or a changed one."""
        gate = self.stage.gate
        if gate is None:
            return False
        return not judged(gate, orders, self._time(), self._code, decision, self.note, **changed)


def _overridden(kind: type, name: str) -> bool:
    return getattr(kind, name) is not getattr(EngineStrategy, name, None)


def _nothing(*_events: Any) -> None:
    """Stand in for the handlers of a strategy that has failed."""
