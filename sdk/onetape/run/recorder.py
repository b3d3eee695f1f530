# pyright: standard
"""The recorder: everything that happens in a run, in order, onto the tape.

It serves our strategies and plain engine strategies alike. The engine's events are kept as
they come and put into canonical form in batches, so that recording costs the run little.

Why a closing sweep: the engine stops calling a strategy back once it is stopped, but its
orders may still change; `close` reads each order's own history and records what was missed.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from onetape.run.codec import fact_of
from onetape.tape import event as tape
from onetape.tape.kinds import DecisionMade, Fact
from onetape.tape.recording import Recording

BATCH = 8_192


class Recorder:
    """Collects facts; `close` returns the Recording."""

    def __init__(self, account: str | None = None) -> None:
        self._account = account
        self._waiting: list[tuple[Any, ...]] = []
        self._raws: list[bytes] = []
        self._count = 0
        self._last: dict[str, int] = {}  # client_order_id -> seq of its latest event
        self._seen: defaultdict[str, int] = defaultdict(int)
        self.ignored: set[Any] = set()  # orders that are the engine's bookkeeping, not trades

    def note(
        self,
        fact: Fact,
        ts: int,
        stream: str,
        cause: int | None = None,
        lineage: tape.Lineage | None = None,
    ) -> int:
        """Record a fact of our own at `ts` (ns UTC); return its seq."""
        self._count += 1
        self._waiting.append((fact, ts, stream, cause, lineage))
        return self._count

    def capture(self, event: Any, cause: int | None = None) -> None:
        """Record an engine's order event; `cause` is the decision behind a new order."""
        if self.ignored and event.client_order_id in self.ignored:
            return
        self._count += 1
        self._waiting.append((event, cause))
        if len(self._waiting) >= BATCH:
            self._encode()

    def seq_of(self, client_order_id: str) -> int | None:
        """Return the seq of the latest event of an order."""
        self._encode()
        return self._last.get(client_order_id)

    def _encode(self) -> None:
        seq = len(self._raws)
        for entry in self._waiting:
            seq += 1
            if len(entry) == 2:
                made = self._order_event(seq, *entry)
            else:
                fact, ts, stream, cause, lineage = entry
                made = tape.Event(seq, ts, ts, stream, fact, cause, lineage)
            self._raws.append(tape.encode(made))
        self._waiting.clear()

    def _order_event(self, seq: int, event: Any, cause: int | None) -> tape.Event:
        fact: Any = fact_of(event, self._account)
        order = fact.client_order_id
        why = self._last.get(order, cause)
        self._last[order] = seq
        self._seen[order] += 1
        return tape.Event(seq, event.ts_event, event.ts_init, f"order/{order}", fact, why)

    def sweep(self, orders: list[Any]) -> int:
        """Record the events of `orders` that no callback brought; return how many."""
        self._encode()
        missed: list[tuple[int, str, int, Any]] = []
        for order in orders:
            if order.client_order_id in self.ignored:
                continue
            name = str(order.client_order_id)
            known = self._seen[name]
            if order.event_count != known:
                late = order.events()[known:]
                missed += [(e.ts_event, name, at, e) for at, e in enumerate(late)]
        for *_, event in sorted(missed, key=lambda entry: entry[:3]):
            if str(event.client_order_id) not in self._last:
                name = type(event).__name__
                strategy = str(event.strategy_id)
                fact = DecisionMade(strategy, "order", str(event.instrument_id), why=f"unseen {name}")
                self.capture(event, self.note(fact, event.ts_event, f"strategy/{strategy}"))
            else:
                self.capture(event)
            self._encode()
        return len(missed)

    def close(self) -> Recording:
        """Return the recording of everything so far."""
        self._encode()
        return Recording(self._raws)
