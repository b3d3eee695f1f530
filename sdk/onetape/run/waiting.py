# pyright: standard
"""Orders that wait for their moment: an open or a close of their own instrument.

Bars tell prices at two moments, so an order for an instrument that has bars only is sent when
one of them comes: the next open, or the next close. Under this_close it goes at once when the
instrument's bar of this very time has been seen, and waits for its next bar otherwise: the
price of an older bar is nobody's to trade at. With latency, a moment must come that much later
than the decision; the order is then there in time for it. What is sent in reaction to a fill
at a moment belongs to that moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from nautilus_trader.model import Bar

if TYPE_CHECKING:
    from onetape.run.host import Host


class Held(NamedTuple):
    """Orders that belong together, and how to send them."""

    orders: list[Any]
    decision: int
    go: Callable[[list[Any]], None]
    due: int  # ns UTC: the earliest moment that they can be there for


class Waiting:
    """One strategy's orders that have not been sent."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.held: defaultdict[Any, list[Held]] = defaultdict(list)  # empty when no order waits
        self._moment: dict[Any, int] = {}  # the latest open or close that orders were sent for
        sources = host.stage.sources
        ticked = {s.instrument_id for s in sources if s.kind != "bars"}
        self._bars = {
            s.instrument_id: [
                each.bar_type for each in sources if each.instrument_id == s.instrument_id
            ]
            for s in sources
            if s.instrument_id not in ticked
        }

    def takes(self, orders: list[Any], decision: int, go: Callable[[list[Any]], None]) -> bool:
        """Hold orders if they must wait, and say so."""
        instrument_id = orders[0].instrument_id
        if instrument_id not in self._bars or self._may_go(instrument_id):
            return False
        stage = self._host.stage
        later = int(stage.hold_until == "bar")  # the next bar is not one of this very time
        due = self._host.clock.timestamp_ns() + stage.latency_ns + later
        self.held[instrument_id].append(Held(orders, decision, go, due))
        return True

    def _may_go(self, instrument_id: Any) -> bool:
        host = self._host
        if host.stage.latency_ns:
            return False
        now = host.clock.timestamp_ns()
        if host.stage.hold_until:
            reacts = host.orders.behind(host.now) is not None
            return reacts and self._moment.get(instrument_id) == now
        row = host.now
        if isinstance(row, Bar) and row.bar_type.instrument_id == instrument_id:
            return row.ts_init == now
        seen = (host.strategy.cache.bar(each) for each in self._bars[instrument_id])
        return any(bar is not None and bar.ts_init == now for bar in seen)

    def due(self, instrument_id: Any, now: int) -> list[Held]:
        """Take out what may be sent for an instrument at its moment `now`."""
        self._moment[instrument_id] = now
        waiting = self.held.get(instrument_id)
        if not waiting:
            return []
        self._keep(instrument_id, [held for held in waiting if held.due > now])
        return [held for held in waiting if held.due <= now]

    def _keep(self, instrument_id: Any, held: list[Held]) -> None:
        if held:
            self.held[instrument_id] = held
        else:
            self.held.pop(instrument_id, None)

    def drop(self, order: str | None = None, instrument: str | None = None) -> bool:
        """Forget held orders, one by id or all of an instrument's; say whether there were any."""
        dropped = False
        for held_for, waiting in list(self.held.items()):
            if order is None and instrument not in (None, str(held_for)):
                continue
            kept: list[Held] = []
            for held in waiting:
                ids = [str(o.client_order_id) for o in held.orders]
                if order is not None and order not in ids:
                    kept.append(held)
                    continue
                dropped = True
                self._host.commands.dropped(ids)
            self._keep(held_for, kept)
        return dropped

    def replace(self, instrument_id: Any, change: Callable[[Any], Any]) -> None:
        """Put changed orders in the place of held ones (a split came between)."""
        waiting = self.held.get(instrument_id, [])
        kept: list[Held] = []
        for held in waiting:
            changed = [change(order) for order in held.orders]
            if all(order is not None for order in changed):
                kept.append(held._replace(orders=changed))
            else:  # no whole unit is left of an order: it and what belongs to it is dropped
                self._host.commands.dropped(str(o.client_order_id) for o in held.orders)
        self._keep(instrument_id, kept)
