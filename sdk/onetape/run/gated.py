# pyright: standard
"""A backtest's gate: its state, its market, and a recorder that tells it of every fact.

What a limit is tried on in history is what it would be tried on live: holdings and orders folded
from the facts, prices as the rows brought them, times of the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from onetape.errors import SettingsError
from onetape.market.instruments import Instrument
from onetape.risk.intent import Reference
from onetape.risk.limitbook import book
from onetape.risk.state import InstrumentTerms, State
from onetape.run.approval import Who
from onetape.run.codec import fact_of
from onetape.run.gate import Gate
from onetape.run.gate_doors import GateAlgorithm, announced, closed
from onetape.run.host import Host
from onetape.run.recorder import Recorder
from onetape.run.spec import Spec
from onetape.run.worth import told
from onetape.tape import event as tape
from onetape.tape import kinds


class RowMarket:
    """Prices and rates by the last rows that the engine has.

    While the engine announces an order that it has made by itself, nobody can read its rows; then
    the row at hand, or what was read last, is told.
    """

    def __init__(self) -> None:
        self.host: Host | None = None  # any of the run's: they share the engine's cache
        self._kept: dict[str, Reference | None] = {}
        self._rates: dict[str, Decimal | None] = {}
        self._splits: dict[str, tuple[int, Decimal]] = {}  # the latest: ns UTC, ratio

    def split(self, instrument: str, ratio: Decimal, ts: int) -> None:
        """Learn of a split: rows from before it tell prices of what was before it."""
        self._splits[instrument] = (ts, ratio)

    def reference(self, instrument: str) -> Reference | None:
        """Return the freshest price; None before the first."""
        if self.host is not None:
            try:
                self._kept[instrument] = self.host.worth.reference(instrument)
            except RuntimeError:
                row = self.host.now
                named = getattr(row, "bar_type", row)
                if str(getattr(named, "instrument_id", "")) == instrument:
                    self._kept[instrument] = told(row) or self._kept.get(instrument)
        return self._after_split(instrument, self._kept.get(instrument))

    def _after_split(self, instrument: str, found: Reference | None) -> Reference | None:
        ts, ratio = self._splits.get(instrument, (0, Decimal(1)))
        if found is None or found.ts >= ts:
            return found
        price, bid, ask = (
            None if each is None else each / ratio for each in (found.price, found.bid, found.ask)
        )
        return Reference(price or found.price, found.source, found.ts, bid, ask, found.stale)

    def rate(self, currency: str) -> Decimal | None:
        """Return what one unit of `currency` is in the run's; None when no row tells."""
        if self.host is not None:
            with suppress(RuntimeError):
                try:
                    self._rates[currency] = self.host.worth.rate(currency)
                except SettingsError:
                    self._rates[currency] = None
        return self._rates.get(currency)


class GatedRecorder(Recorder):
    """A recorder that has a gate told of every fact, and judge what nobody let out."""

    gate: Gate
    market: RowMarket
    hosts: list[Host]

    def note(
        self,
        fact: kinds.Fact,
        ts: int,
        stream: str,
        cause: int | None = None,
        lineage: tape.Lineage | None = None,
    ) -> int:
        """Record a fact of our own at `ts` (ns UTC); return its seq."""
        seq = super().note(fact, ts, stream, cause, lineage)
        if isinstance(fact, kinds.SplitApplied):
            self.market.split(fact.instrument, fact.ratio, ts)
        self.gate.take(fact, ts)
        return seq

    def capture(self, event: Any, cause: int | None = None) -> None:
        """Record an engine's order event; `cause` is the decision behind a new order."""
        if self.ignored and event.client_order_id in self.ignored:
            return
        super().capture(event, cause)
        fact: Any = fact_of(event, self._account)
        if isinstance(fact, kinds.OrderInitialized):
            announced(self.gate, self.hosts, fact, event.ts_init, cause)
        self.gate.take(fact, event.ts_init)


def gate_of(spec: Spec, account: str, recorder: GatedRecorder, market: RowMarket) -> Gate:
    """Return the gate of a backtest; it hears of every fact that `recorder` records."""
    instruments = {d.instrument.id: d.instrument for d in spec.datasets}
    limits = spec.limits if spec.limits is not None else book([], "allow")
    state = State(spec.currency, limits, account=account, tz=_zone(instruments.values()))
    for instrument in instruments.values():
        state.know(terms_for_gate(instrument))
    gate = Gate(
        limits,
        state,
        market,
        lambda fact, cause: recorder.note(fact, gate.now, "risk", cause),
        Who(account),
    )
    recorder.gate, recorder.market = gate, market
    return gate


@contextmanager
def standing(hosts: list[Host], market: RowMarket, algorithm: GateAlgorithm) -> Iterator[None]:
    """While this lasts the gate stands; after it nothing of ours holds on to the engine."""
    market.host = hosts[0]
    try:
        with closed(hosts):
            yield
    finally:
        market.host = None
        vars(algorithm).clear()


def terms_for_gate(instrument: Instrument) -> InstrumentTerms:
    """Return what limits need to know of an instrument."""
    return InstrumentTerms(
        instrument.id,
        instrument.tick,
        instrument.currency,
        step=max(instrument.size_increment, instrument.lot),
        multiplier=instrument.multiplier,
        kind=instrument.kind,
        margin_init=instrument.margin_init,
        session=instrument.session,
        tz=instrument.tz,
        expiry=_expiry(instrument),
    )


def _expiry(instrument: Instrument) -> int | None:
    """The end of the last local day."""
    if instrument.expiry is None:
        return None
    last = date.fromisoformat(instrument.expiry[:10]) + timedelta(days=1)
    midnight = datetime(last.year, last.month, last.day, tzinfo=ZoneInfo(instrument.tz))
    return int(midnight.timestamp()) * 1_000_000_000


def _zone(instruments: Iterable[Instrument]) -> str:
    """The zone whose midnight begins a day: that of all instruments, UTC where they differ."""
    zones = {instrument.tz for instrument in instruments}
    return zones.pop() if len(zones) == 1 else "UTC"
