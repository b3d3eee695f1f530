# pyright: standard
"""Again: a live session made once more from its inputs, on the same code, to the same bytes.

What came from outside (rows, a venue's reports, timers, persons' words, states) is handed over at
the stamps that it had; what the strategy and the gate made of it is made anew. Where the new tape
parts from the old one, code, parameters, limits or data are not what they were.

Nothing leaves: there is no venue, and the tape is in memory.

    python -m onetape.run.again FOLDER

does it in a process of its own, since a thread holds one live node: FOLDER has the session's tape
(`session.onetape`), its rows (`*.parquet`, with `rows.json`) and its strategy (`spec.json`); the
new tape goes to `again.onetape`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from nautilus_trader.model import Currency

from onetape.market.instruments import Instrument
from onetape.risk.rungs import ladder_of
from onetape.run import ports
from onetape.run.approval import Who
from onetape.run.asked import FLATTEN, flatten, heard
from onetape.run.bridge import KINDS, Ways
from onetape.run.carried import load
from onetape.run.carry import Carried
from onetape.run.contingent import Change
from onetape.run.folder import Wanted, read_spec
from onetape.run.given_again import Kept, Row, report_of, rows_of
from onetape.run.hearing import Hearing
from onetape.run.inputs import Input, Stamps
from onetape.run.kernel import Kernel, Setup
from onetape.run.live_gate import LastLine, gate_of
from onetape.run.outbox import Outbox
from onetape.run.saving import load as restore
from onetape.run.sitting import sources
from onetape.tape import kinds, kinds_live
from onetape.tape.event import Event
from onetape.tape.recording import Recording

VERBATIM = ("input/", "session", "run", "account/", "recon", "data")
WAIT_S = 5.0  # for the engine to deal with something
PARTED_S = 1.0  # for what it was to make of it, once nothing is under way
TURN_S = 0.0005
SENT = (kinds.OrderSubmitted, kinds.OrderDenied)


class Forced(Stamps):
    """Stamps that are said beforehand."""

    def __init__(self, start: int) -> None:
        super().__init__(True, start)

    def next(self, ts: int = 0) -> int:  # noqa: ARG002 - it was said
        return self.last

    def say(self, stamp: int) -> None:
        """Say the stamp of the next input."""
        self.last = stamp


class _Durable:
    """A line on which everything is durable at once."""

    durable_to = 1 << 62

    def send(self) -> None:
        pass


class _Nowhere:
    """A venue that nothing reaches."""

    def __init__(self, name: str) -> None:
        self.name = name

    def send(self, order: ports.NewOrder) -> None:
        pass

    def modify(self, change: ports.ModifyOrder) -> None:
        pass

    def cancel(self, order: ports.CancelOrder) -> None:
        pass


class Script:
    """One session's second life."""

    def __init__(self, recording: Recording, rows: Iterable[Row], strategy: Any) -> None:
        self.recording, self.rows, self.strategy = recording, rows, strategy
        self.made: list[Event] = []
        self.error: BaseException | None = None
        opened = recording.opened
        self.instruments = {
            i.id: i for i in (msgspec.json.decode(t, type=Instrument) for t in opened.instruments)
        }
        self.recipe = msgspec.json.decode(opened.recipe)["live"]
        self.kernel = self._kernel(opened)
        self.carried = Carried({name: i.multiplier for name, i in self.instruments.items()})
        account = self.recipe["account"]
        self.hearing = Hearing(self.kernel, self.carried, account, self.instruments)
        self._started = False

    def _onward(self, events: list[Event]) -> None:
        self.made += events
        for event in events:
            self.carried.take(event.fact)

    def _kernel(self, opened: kinds.RunOpened) -> Kernel:
        wanted = tuple(msgspec.convert(w, Wanted) for w in self.recipe["subscriptions"])
        first = self.recording[0]
        who = Who(*(self.recipe.get(name, "") for name in ("account", "trader", "desk")))
        self.gate, self._market = gate_of(
            self.recipe["limits"], who, opened.currency, self.instruments
        )
        setup = Setup(
            strategy=self.strategy,
            sources=sources(self.recipe["feed"]["adapter"], wanted, self.instruments),
            instruments=self.instruments,
            account=self.recipe["account"],
            currency=opened.currency,
            session=self.recipe["session"],
            start=first.ts_event,
            replayed=True,
            serial=True,
            gate=self.gate,
            ladder=ladder_of(self.recipe["options"].get("ladder", ())),
        )
        kernel = Kernel(setup, self._onward, self._failed)
        kernel.attached = self._attached
        told = [e.fact.venue for e in self.recording if isinstance(e.fact, kinds_live.Reconciled)]
        kernel.recorder.venue = frozenset((self.recipe["venue"]["adapter"], *told))
        self.last_line = LastLine(self.gate, kernel)
        kernel.stamps = kernel.inputs.stamps = Forced(first.ts_event)
        return kernel

    def _attached(self, host: Any) -> None:
        self._market.host = host

    def _failed(self, error: BaseException) -> None:
        self.error = error.with_traceback(None)  # its frames would keep the node alive

    async def play(self) -> Recording:
        """Hand everything over; return the new tape, up to where it may have parted."""
        try:
            for item in self._items():
                if isinstance(item, Row):
                    await self._row(item)
                elif not await self._event(item):
                    break
        finally:
            await self.kernel.stop() if self._started else None
        self.kernel.recorder.flush()
        return Recording.of(self.made)

    def _items(self) -> Iterator[Row | Event]:
        """Yield rows and events in the order in which they were dealt with."""
        first = self.recording[0].ts_init
        rows = (row for row in self.rows if row.stamp > first)  # not those before a restart
        row = next(rows, None)
        for event in self.recording:
            while row is not None and row.stamp <= event.ts_init:
                yield row
                row = next(rows, None)
            yield event
        while row is not None:
            yield row
            row = next(rows, None)

    async def _row(self, item: Row) -> None:
        await self._begin()
        self._stamp(item.stamp)
        self.kernel.row(item.row)
        await self._quiet()

    async def _event(self, event: Event) -> bool:
        """Hand an input over, or see that what is derived was made; False where tapes part."""
        kernel = self.kernel
        if kernel.recorder.count >= event.seq:
            return True  # it was made anew already
        if event.stream == "risk" and isinstance(event.fact, kinds_live.RiskDecided):
            return await self._last_line(event, event.fact)
        if not self._given(event):
            await self._begin()
            await self._until(lambda: kernel.recorder.count >= event.seq, PARTED_S)
            return kernel.recorder.count >= event.seq
        if kernel.recorder.count < event.seq - 1:
            return False
        return await self._give(event)

    async def _last_line(self, event: Event, fact: kinds_live.RiskDecided) -> bool:
        """Have the last line judge again what it judged: nothing here leaves by it."""
        kernel, name = self.kernel, fact.client_order_id
        await self._begin()
        bridge = kernel.bridge
        await self._until(lambda: name in bridge.came, PARTED_S)
        order = bridge.orders.get(name)
        if order is None:
            return False
        self._stamp(event.ts_init)
        if fact.intent == "modify":
            made = bridge.client.cache.instrument(order.instrument_id)
            terms = Change(
                order.client_order_id, order.instrument_id, made.make_qty(fact.quantity),
                _priced(made, fact.price), _priced(made, fact.trigger_price),
            )  # fmt: skip
            kernel.moment(event.ts_init)
            self.last_line.changed(order, terms)
        else:
            kernel.inputs.give(Input("event", lambda stamp: bridge.judge(order, stamp)))
        await self._quiet()
        return kernel.recorder.count >= event.seq

    def _given(self, event: Event) -> bool:
        fact = event.fact
        if event.stream.startswith(VERBATIM):
            return True
        derived = (
            kinds.OrderInitialized, kinds.OrderPendingUpdate, kinds.OrderPendingCancel,
            kinds.OrderEmulated, kinds.OrderReleased,
        )  # fmt: skip
        if isinstance(fact, kinds.OrderInitialized) and fact.strategy == "EXTERNAL":
            return True
        return isinstance(fact, kinds.OrderFact) and not isinstance(fact, derived)

    async def _give(self, event: Event) -> bool:
        fact, kernel = event.fact, self.kernel
        if isinstance(fact, kinds_live.SessionMoved) and fact.state == "running":
            await self._begin()
        self._stamp(event.ts_init)
        if isinstance(fact, kinds.OrderFact):
            if not await self._order(event, fact):
                return False
        elif isinstance(fact, kinds_live.TimerFired) and not fact.strategy:
            kernel.call(kernel.look)
        elif isinstance(fact, kinds_live.TimerFired):
            timer = kernel.timers.fire(fact.name)
            if timer is None:  # it was never set: other code, or other parameters
                return False
            kernel.timers.turn(timer)
            kernel.call(lambda: kernel.fire(fact.name, timer.call))
        elif isinstance(fact, kinds_live.SessionAsked) and event.stream.startswith("input/"):
            kernel.call(lambda: self._asked(fact, event.stream))
        else:
            if isinstance(fact, kinds_live.StateLoaded):
                restore(self.strategy, fact)
            kernel.now = event.ts_init
            kernel.recorder.note(fact, event.ts_event, event.stream, event.cause, event.lineage)
        if self._started:
            await self._quiet()
        return True

    def _asked(self, fact: kinds_live.SessionAsked, stream: str) -> None:
        """Do again what a person asked for; what it raised was told to who asked."""
        with suppress(Exception):
            flatten(self.kernel) if stream == FLATTEN else heard(self.kernel, fact)

    async def _order(self, event: Event, fact: kinds.OrderFact) -> bool:
        kernel, name = self.kernel, fact.client_order_id
        known = self._started and name in kernel.bridge.orders
        if isinstance(fact, SENT) and self._started:
            bridge = kernel.bridge
            await self._until(lambda: name in bridge.came, PARTED_S)
            if name not in bridge.came:
                return False
            order = bridge.orders[name]
            kernel.inputs.give(Input("event", lambda stamp: bridge.judge(order, stamp)))
            return True
        if isinstance(fact, kinds.OrderFilled) and event.lineage is not None:
            kernel.recorder.grounds[fact.trade_id] = event.lineage
        venue_id = kernel.bridge.venue_ids.get(name, "") if known else ""
        report = report_of(fact, event.ts_event, venue_id)
        if not known or report is None or type(report) not in KINDS:
            kernel.now = event.ts_init
            self._tell(event, fact)
            return True
        kernel.bridge.venue_ids[name] = report.venue_order_id
        kernel.bridge.announce(name, report)
        return True

    def _stamp(self, stamp: int) -> None:
        stamps = self.kernel.stamps
        assert isinstance(stamps, Forced)
        stamps.say(stamp)

    async def _begin(self) -> None:
        if self._started:
            return
        self._started = True
        self.kernel.recorder.flush()
        self.carried.seed(self.kernel.exposure)
        line: Any = _Durable()
        venue: Any = _Nowhere(self.recipe["venue"]["adapter"])
        kernel = self.kernel
        nothing: Callable[..., str] = lambda *_: ""  # noqa: E731
        ways = Ways(
            venue=venue,
            account=self.recipe["account"],
            trader=self.recipe.get("trader", ""),
            currency=Currency.from_str(self.recording.opened.currency),
            recorded=lambda: kernel.recorder.count,
            last_line=self.last_line.may,
            halted=nothing,
            changed=self.last_line.changed,
            unknown=lambda _: None,
            unheard=self._unheard,
            quiet=lambda: None,
            moment=kernel.moment,
            grounds=kernel.grounds,
        )
        await kernel.start(Outbox(line), ways)

    def _unheard(self, _report: ports.AnyReport) -> None:
        """The engine refuses the same report again: it is told past it, as it was then."""
        event = self.recording.seq(self.kernel.recorder.count + 1)
        if isinstance(event.fact, kinds.OrderFact):
            self._tell(event, event.fact)

    def _tell(self, event: Event, fact: kinds.OrderFact) -> None:
        """Tell past the engine what was told past it; before the start nothing counts on it."""
        kernel = self.kernel
        if self._started:
            kernel.recorder.flush()
            self.hearing.tell(fact, event.ts_event)
        else:
            kernel.recorder.tell(fact, event.ts_event, event.ts_init)

    async def _quiet(self) -> None:
        """Wait until everything that an input led to was dealt with."""
        kernel = self.kernel
        await self._until(lambda: not len(kernel.inputs))
        if kernel.commanded:
            kernel.barrier()
        await self._until(lambda: kernel.still)

    async def _until(self, done: Callable[[], bool], seconds: float = WAIT_S) -> None:
        for _ in range(int(seconds / TURN_S)):
            if done():
                return
            await asyncio.sleep(TURN_S if _ > 3 else 0)


def _priced(instrument: Any, price: Decimal | None) -> Any:
    return None if price is None else instrument.make_price(price)


def main(folder: Path) -> int:
    """Make the session of a folder again."""
    spec = read_spec(folder)
    recording = Recording.load(folder / "session.onetape")
    strategy: Any = load(spec, folder)(**recording.opened.params)
    files = msgspec.json.decode((folder / "rows.json").read_bytes(), type=list[Kept])
    frames = [(kept, pl.read_parquet(folder / kept.file)) for kept in files]
    script = Script(recording, rows_of(frames), strategy)
    asyncio.run(script.play()).save(folder / "again.onetape")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
