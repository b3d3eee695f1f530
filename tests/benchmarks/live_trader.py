# pyright: standard
"""The benchmark's trader: the real process of a session, with a clock at each of its two doors.

    python -c "from live_trader import main; main()" FOLDER FIGURES [at-once]

In       when the loop hands over the bytes that a quote came in (`data_received` of the socket),
         and when the strategy begins to handle it.
Out      when `send` of the venue has returned: the bytes of the order are the system's by then.
At once  events count as durable when they are gathered; everything else stays as it is. The tape
         then has what was noted before the session, and nothing of it.
Figures  one JSON object, written when the session has ended.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from array import array
from collections import deque
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from gauges import percentile

import onetape as ot
from onetape.run import live, trader, venues
from onetape.run.line import Line
from onetape.run.ports import Row
from onetape.tape.event import Event
from onetape_sim.wire import Framed

SIZES = 499  # orders of one instrument come again in this many sizes: none is a repeat
clock = time.perf_counter_ns


class Clocks:
    """When quotes came and were handled, and when orders left; ns of one clock."""

    def __init__(self, quotes: int) -> None:
        self.chunk = 0  # when the bytes came that are read now
        self.waiting: deque[int] = deque()  # of quotes that came and were not handled
        self.lags = array("q", bytes(8 * quotes))  # written in place: no growth of ours
        self.handled = self.came = 0
        self.at = 0  # when the quote came that is handled now
        self.begun: dict[str, int] = {}  # by order: when its quote came
        self.spent = array("q")
        self.cpu = self.wall = (0, 0)
        self.terms: list[str] = []

    def take(self) -> int:
        """A quote is handled: return its number."""
        now, at = clock(), self.handled
        self.at = self.waiting.popleft()
        if at < len(self.lags):
            self.lags[at] = now - self.at
        self.handled = at + 1
        if not at:
            self.cpu, self.wall = (time.process_time_ns(), 0), (now, 0)
        elif not at % 64 or self.handled == len(self.lags):
            self.cpu, self.wall = (self.cpu[0], time.process_time_ns()), (self.wall[0], now)
        return at

    def left(self, order: Any) -> None:
        """An order has left."""
        begun = self.begun.pop(order.client_order_id, 0)
        if begun:
            self.spent.append(clock() - begun)
        self.terms.append(
            f"{order.instrument} {order.side} {order.quantity} {order.price} {order.time_in_force}"
        )


CLOCKS = Clocks(0)


class Every(ot.Strategy):
    """Sends an order at the touch with every so many quotes; what does not fill is canceled."""

    every = ot.param(10, 0, 1_000_000)
    last = ot.param(0, 0, 1_000_000_000)  # from this quote on nothing is sent: it could not end

    def on_start(self) -> None:
        self.turns: dict[str, int] = {}

    def on_quote(self, quote: Any) -> None:
        at = CLOCKS.take()
        if not self.every or at % self.every or at >= self.last:
            return
        name = self.instrument
        turn = self.turns[name] = self.turns.get(name, 0) + 1
        order = self.buy if turn % 2 else self.sell
        price = quote.ask_price if turn % 2 else quote.bid_price
        size = 1 + (turn + 1) // 2 % SIZES  # each that is bought is sold
        begun = CLOCKS.at
        name = order(size, limit=price.as_decimal(), time_in_force="IOC")
        CLOCKS.begun[name] = begun


class AtOnce(Line):
    """A line whose events are durable when they are gathered."""

    def _submit(self, events: list[Event]) -> None:
        self._reached(events[-1].seq)


def clocked() -> None:
    """Put the clocks at the doors."""
    received, feeds, made = Framed.data_received, venues.feed, venues.venue

    def data_received(self: Framed, data: bytes) -> None:
        CLOCKS.chunk = clock()
        received(self, data)

    def feed(config: Any) -> Any:
        found = feeds(config)
        connect = found.connect

        async def connected(emit: Any) -> None:
            def heard(said: Any) -> None:
                if isinstance(said, Row):
                    CLOCKS.waiting.append(CLOCKS.chunk)
                    CLOCKS.came += 1
                emit(said)

            await connect(heard)

        found.connect = connected
        return found

    def venue(config: Any) -> Any:
        found = made(config)
        send = found.send

        def sent(order: Any) -> None:
            send(order)
            CLOCKS.left(order)

        found.send = sent
        return found

    Framed.data_received = data_received  # type: ignore[method-assign]
    venues.feed, venues.venue = feed, venue


def figures() -> dict[str, Any]:
    """Return what was measured."""
    lags, seconds = CLOCKS.lags[: CLOCKS.handled], (CLOCKS.wall[1] - CLOCKS.wall[0]) / 1e9
    return {
        "came": CLOCKS.came,
        "handled": CLOCKS.handled,
        "lag_us": _us(lags),
        "orders": len(CLOCKS.terms),
        "order_us": _us(CLOCKS.spent),
        "orders_digest": hashlib.sha256("\n".join(CLOCKS.terms).encode()).hexdigest()[:16],
        "cpu_s": round((CLOCKS.cpu[1] - CLOCKS.cpu[0]) / 1e9, 3),
        "wall_s": round(seconds, 3),
    }


def _us(spent: Any) -> dict[str, float]:
    parts = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(percentile(spent, part) / 1e3, 1) for name, part in parts.items()}


def main() -> None:
    """Trade a session to its end, then write the figures."""
    global CLOCKS
    folder, out, quotes, *more = sys.argv[1:]
    CLOCKS = Clocks(int(quotes))
    clocked()
    if "at-once" in more:
        trader.Line = AtOnce  # type: ignore[misc]
    code = live.main(Path(folder))
    Path(out).write_text(json.dumps(figures() | {"code": code}))
    sys.exit(code)
