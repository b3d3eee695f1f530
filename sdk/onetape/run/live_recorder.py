# pyright: standard
"""The recorder of a live session: its gate is told of every fact, at the session's time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from onetape.market.instruments import Instrument
from onetape.run.codec import fact_of
from onetape.run.gate import Gate
from onetape.run.recorder import Recorder
from onetape.tape import event as tape
from onetape.tape import kinds
from onetape.tape.kinds import OrderFact
from onetape.tape.kinds_live import AccountCarried, KillMoved, RiskMoved, VenueMoved

ZERO = Decimal(0)


class LiveRecorder(Recorder):
    """A recorder that has the gate told of every fact, at the session's time."""

    gate: Gate | None = None
    grounds: dict[str, tape.Lineage]  # by trade: the row that a simulated fill was made on
    instruments: Mapping[str, Instrument]
    venue: frozenset[str] = frozenset()  # the names of where all orders of the session go

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
        if self.gate is not None:
            for part in self._parts(fact):
                self.gate.take(part, ts)
        return seq

    def _grounds(self, fact: Any) -> tape.Lineage | None:
        return (
            self.grounds.pop(fact.trade_id, None) if isinstance(fact, kinds.OrderFilled) else None
        )

    def _parts(self, fact: kinds.Fact) -> Iterator[kinds.Fact]:
        """Yield what a fact is to the gate: what was carried are holdings, bought at their cost."""
        if not isinstance(fact, AccountCarried):
            yield fact
            yield from self._listed(fact)
            return
        cash = dict(fact.cash)
        for instrument, strategy, quantity, cost in fact.positions:
            known = self.instruments[instrument]
            currency = known.currency
            cash[currency] = cash.get(currency, ZERO) + cost
            side = "BUY" if quantity > 0 else "SELL"
            price = cost / (quantity * known.multiplier)
            yield kinds.OrderFilled(
                f"carried {strategy}", instrument, strategy, fact.account, "", "carried",
                side, abs(quantity), price, currency, ZERO, currency, "NO_LIQUIDITY_SIDE",
            )  # fmt: skip
        for currency, amount in cash.items():
            yield kinds.CashDeposited(fact.account, currency, amount)
        for terms in fact.terms:  # what works at the venue still counts at its worst
            yield msgspec.json.decode(terms, type=kinds.OrderInitialized)
        yield fact  # what the day brought so far

    def _listed(self, fact: kinds.Fact) -> Iterator[kinds.Fact]:
        """Yield what is said of the session's venue for where its instruments are listed too: an
        order names that, and goes to the one venue all the same."""
        listed = sorted({name.rpartition(".")[2] for name in self.instruments} - self.venue)
        if isinstance(fact, VenueMoved):
            yield from (msgspec.structs.replace(fact, venue=one) for one in listed)
        elif isinstance(fact, RiskMoved | KillMoved):
            kind, _, name = fact.scope.partition(":")
            if kind != "venue" or name not in self.venue:
                return
            for one in sorted({*listed, *self.venue} - {name}):
                more = {"kill": f"{fact.kill} {one}"} if isinstance(fact, KillMoved) else {}
                yield msgspec.structs.replace(fact, scope=f"venue:{one}", **more)

    def capture(self, event: Any, cause: int | None = None) -> None:
        """Record an engine's order event; `cause` is the decision behind a new order."""
        super().capture(event, cause)
        if self.gate is not None:
            self.gate.take(fact_of(event, self._account), self.stamp)

    def tell(self, fact: OrderFact, ts_event: int, ts_init: int) -> int:
        """Record what a venue says of an order, past the engine; return its seq."""
        seq = super().tell(fact, ts_event, ts_init)
        if self.gate is not None:
            self.gate.take(fact, ts_init)
        return seq
