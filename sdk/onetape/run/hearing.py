# pyright: standard
"""Hearing: what a venue says of orders that the engine does not hold, or will not take up.

Orders of an earlier session, orders that somebody else sent, executions that are taken back or
corrected: all are recorded with the venue's word, and move what the session counts on. An order
whose beginning nobody here saw begins as an external one.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from onetape.market.instruments import Instrument
from onetape.run import ports
from onetape.run.carry import CORRECTED, ENDED, Carried
from onetape.run.kernel import Kernel
from onetape.run.wire import EXTERNAL, external, fact_of_report
from onetape.tape import kinds, kinds_live

ZERO = Decimal(0)


class Hearing:
    """Records reports past the engine."""

    def __init__(
        self, kernel: Kernel, carried: Carried, account: str, instruments: Mapping[str, Instrument]
    ) -> None:
        self._kernel, self._carried = kernel, carried
        self._account, self._instruments = account, instruments

    def unknown(self, report: ports.AnyReport) -> None:
        """Record a report of an order that the engine does not hold."""
        name = _named(report)
        self._kernel.recorder.flush()
        begins = isinstance(report, ports.Accepted | ports.Filled)
        if begins and not self._carried.knows(name):
            self.tell(external(_guessed(report, self._account)), report.ts_event)
        self.unheard(report)

    def word(self, said: ports.Notice | ports.Difference, venue: str) -> None:
        """Record what a venue says of itself: an alert, or a break between two of its books."""
        note, call = self._kernel.note, self._kernel.call
        if isinstance(said, ports.Notice):
            scope = f"venue:{venue}"
            alert = kinds_live.RiskAlert(said.code, said.level, scope, said.text)
            call(lambda: note(alert, "input/venue"))
            return
        parts = (said.what, said.key, said.ours, said.theirs)
        found = kinds_live.BreakFound(f"{said.what}:{said.key}", venue, self._account, *parts)
        told = f"{found.break_id}: {said.ours} here, {said.theirs} there"
        alert = kinds_live.RiskAlert("reconciliation", "critical", f"account:{self._account}", told)
        call(lambda: note(found, "recon"))
        call(lambda: note(alert, "input/venue"))

    def unheard(self, report: ports.AnyReport) -> None:
        """Record a report that the engine did not take up."""
        self._kernel.recorder.flush()
        known = self._instruments.get(report.instrument)
        currency = known.currency if known is not None else ""
        whose = self._whose(_named(report))
        if isinstance(report, ports.Corrected):
            self._corrected(report, whose)
            return
        if isinstance(report, ports.Busted):
            called = self._carried.called(report.trade_id)
            report = msgspec.structs.replace(report, trade_id=called)
        fact = fact_of_report(report, whose, self._account, currency)
        if fact is not None and not self._known(_named(report), fact):
            named = msgspec.structs.replace(fact, client_order_id=_named(report))
            self.tell(named, report.ts_event)

    def tell(self, fact: kinds.OrderFact, ts: int) -> None:
        """Record a fact at the venue's time, and count it."""
        kernel = self._kernel
        before = None
        if isinstance(fact, kinds.OrderVoided):
            before = self._carried.trades.get(fact.trade_id)
        earlier = before is not None and not self._gated(before)
        kernel.recorder.tell(fact, ts, kernel.now)
        if before is not None and earlier:  # the gate has only what came of it: take that back
            side = "SELL" if before.side == "BUY" else "BUY"
            back = msgspec.structs.replace(
                before, side=side, trade_id=f"void {before.trade_id}", commission=-before.commission
            )
            kernel.setup.gate.take(back, kernel.now)
        if isinstance(fact, kinds.OrderFilled):
            self._move(fact, 1)
        elif before is not None:
            self._move(before, -1)

    def _gated(self, fill: kinds.OrderFilled) -> bool:
        """Tell whether the gate heard of a fill itself: not of those of earlier sessions."""
        gate = self._kernel.setup.gate
        return gate is None or (fill.client_order_id, fill.trade_id) in gate.state.keeping.trades

    def _known(self, name: str, fact: kinds.OrderFact) -> bool:
        """Tell whether this stands on the tape already: reports and answers may say the same."""
        carried = self._carried
        if isinstance(fact, kinds.OrderFilled):
            return fact.trade_id in carried.trades
        if isinstance(fact, kinds.OrderAccepted):
            working = carried.working.get(name)
            return name in carried.over or (working.accepted if working else name in carried.whose)
        return isinstance(fact, ENDED) and name in carried.over

    def _whose(self, name: str) -> str:
        known = self._carried.working.get(name)
        if known is not None:
            return known.order.strategy
        ours = self._kernel.started and name in self._kernel.bridge.orders
        return self._kernel.name if ours else self._carried.whose.get(name, EXTERNAL)

    def _corrected(self, report: ports.Corrected, whose: str) -> None:
        """A correction is the old execution taken back and a new one in its place."""
        called = self._carried.called(report.trade_id)
        old = self._carried.trades.get(called)
        ids = (report.client_order_id, report.instrument, whose)
        self.tell(kinds.OrderVoided(*ids, called, "corrected"), report.ts_event)
        if old is not None:
            new = msgspec.structs.replace(
                old,
                trade_id=f"{report.trade_id}{CORRECTED}{report.ts_event}",
                quantity=report.quantity,
                price=report.price,
            )
            self.tell(new, report.ts_event)

    def _move(self, fill: kinds.OrderFilled, sign: int) -> None:
        exposure = self._kernel.exposure
        size = (fill.quantity if fill.side == "BUY" else -fill.quantity) * sign
        exposure.filled(fill.client_order_id, (fill.strategy, fill.instrument), size)
        known = self._instruments.get(fill.instrument)
        multiplier = known.multiplier if known is not None else Decimal(1)
        exposure.paid(fill.currency, size * fill.price * multiplier)
        exposure.paid(fill.commission_currency, fill.commission * sign)


def _named(report: ports.AnyReport) -> str:
    return report.client_order_id or f"EXT-{report.venue_order_id}"


def _guessed(report: ports.Accepted | ports.Filled, account: str) -> ports.OrderStatus:
    """Return what can be said of an order that a report is the first word of."""
    side, size = ("BUY", ZERO)
    if isinstance(report, ports.Filled):
        side, size = report.side, report.quantity
    return ports.OrderStatus(
        report.client_order_id, report.venue_order_id, account, report.instrument, side, "MARKET",
        "ACCEPTED", size, ZERO, ts_event=report.ts_event,
    )  # fmt: skip
