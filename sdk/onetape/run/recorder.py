# pyright: standard
"""The recorder: everything that happens in a run, in order, onto the tape.

It serves our strategies and plain engine strategies alike. The engine's events are kept as
they come and put into canonical form in batches, so that recording costs the run little.

Why a closing sweep: the engine stops calling a strategy back once it is stopped, but its
orders may still change; `close` reads each order's own history and records what was missed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import msgspec

from onetape.run.codec import fact_of
from onetape.tape import event as tape
from onetape.tape.kinds import DecisionMade, Fact, OrderFact
from onetape.tape.recording import Recording

BATCH = 8_192
SOON = 256  # when somebody waits for what is recorded
REMEMBERED = 100_000  # orders of a live session, those heard of last
encode_fact = msgspec.json.encode


class Recorder:
    """Collects facts; `close` returns the Recording. `onward` gets every event as it is made."""

    def __init__(
        self,
        account: str | None = None,
        onward: Callable[[list[tape.Event]], None] | None = None,
        times: Callable[[Any], tuple[int, int]] | None = None,
    ) -> None:
        self._account, self._onward, self._times = account, onward, times
        self._batch = BATCH if onward is None else SOON
        self._waiting: list[tuple[Any, ...]] = []
        self._raws: list[bytes] = []
        self._encoded = 0
        self.stamp = 0  # of the latest order event of a live session, ns UTC
        self._count = 0
        self._last: dict[str, int] = {}  # client_order_id -> seq of its latest event
        self._seen: defaultdict[str, int] = defaultdict(int)
        self._behind: dict[
            str, int
        ] = {}  # client_order_id -> decision, of orders without callbacks
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
        if self._onward is not None and len(self._waiting) >= SOON:
            self._encode()
        return self._count

    def capture(self, event: Any, cause: int | None = None) -> None:
        """Record an engine's order event; `cause` is the decision behind a new order."""
        if self.ignored and event.client_order_id in self.ignored:
            return
        self._count += 1
        times = None
        if self._times is not None:
            times = self._times(event)
            self.stamp = times[1]
        self._waiting.append((event, cause, times))
        if len(self._waiting) >= self._batch:
            self._encode()

    def tell(self, fact: OrderFact, ts_event: int, ts_init: int) -> int:
        """Record what a venue says of an order, past the engine; return its seq."""
        self._encode()
        self._count += 1
        order = fact.client_order_id
        self._waiting.append((fact, ts_event, f"order/{order}", self._last.get(order), ts_init))
        self._last[order] = self._count
        self._encode()
        return self._count

    @property
    def count(self) -> int:
        """How many events were recorded."""
        return self._count

    def promise(self, client_order_id: str, decision: int) -> None:
        """Keep the decision behind an order whose events may come without a callback."""
        self._behind[client_order_id] = decision

    def flush(self) -> None:
        """Hand on what was recorded so far."""
        self._encode()

    def seq_of(self, client_order_id: str) -> int | None:
        """Return the seq of the latest event of an order."""
        self._encode()
        return self._last.get(client_order_id)

    def _encode(self) -> None:
        seq = self._encoded
        waiting, self._waiting = self._waiting, []
        kept: list[tape.Event] = []
        for entry in waiting:
            seq += 1
            if len(entry) == 3:
                made = self._order_event(seq, *entry)
            elif isinstance(entry[4], int):
                fact, ts, stream, cause, arrived = entry
                made = tape.Event(seq, ts, arrived, stream, fact, cause)
            else:
                fact, ts, stream, cause, lineage = entry
                made = tape.Event(seq, ts, ts, stream, fact, cause, lineage)
            if self._times is None:  # a live session lasts: its tape is on the server
                self._raws.append(tape.encode(made))
            kept.append(made)
        self._encoded = seq
        if self._onward is not None and kept:
            self._onward(kept)

    def _order_event(
        self, seq: int, event: Any, cause: int | None, times: tuple[int, int] | None
    ) -> tape.Event:
        fact: Any = fact_of(event, self._account)
        order = fact.client_order_id
        why = self._last.pop(order, cause)
        self._last[order] = seq  # behind all others
        if self._times is None:
            self._seen[order] += 1
        elif len(self._last) > REMEMBERED:  # a live session lasts
            del self._last[next(iter(self._last))]
        ts_event, ts_init = times or (event.ts_event, event.ts_init)
        lineage = self._grounds(fact) if self._times is not None else None
        return tape.Event(seq, ts_event, ts_init, f"order/{order}", fact, why, lineage)

    def _grounds(self, _fact: Any) -> tape.Lineage | None:
        """Return what a venue's word rests on, where somebody knows."""
        return None

    def sweep(self, orders: list[Any]) -> int:
        """Record the events of `orders` that no callback brought; return how many."""
        self._encode()
        short = [
            order
            for order in orders
            if order.client_order_id not in self.ignored
            and order.event_count != self._seen[str(order.client_order_id)]
        ]
        known = self._known() if short else Counter()
        missed: list[tuple[int, str, int, Any]] = []
        for order in short:
            name = str(order.client_order_id)
            for at, event in enumerate(order.events()):
                place = (event.ts_event, encode_fact(fact_of(event, self._account)))
                if known[place]:
                    known[place] -= 1
                else:
                    missed.append((event.ts_event, name, at, event))
        for *_, event in sorted(missed, key=lambda entry: entry[:3]):
            self._late(event)
        return len(missed)

    def _known(self) -> Counter[tuple[int, bytes]]:
        events = (tape.decode(raw) for raw in self._raws)
        return Counter(
            (e.ts_event, encode_fact(e.fact)) for e in events if isinstance(e.fact, OrderFact)
        )

    def _late(self, event: Any) -> None:
        name = str(event.client_order_id)
        if name in self._last or name in self._behind:
            self.capture(event, self._behind.get(name))
        else:
            strategy, what = str(event.strategy_id), type(event).__name__
            fact = DecisionMade(strategy, "order", str(event.instrument_id), why=f"unseen {what}")
            self.capture(event, self.note(fact, event.ts_event, f"strategy/{strategy}"))
        self._encode()

    def close(self) -> Recording:
        """Return the recording of everything so far."""
        self._encode()
        return Recording(self._raws)
