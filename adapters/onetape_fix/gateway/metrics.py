"""How a session does: rates, refusals by reason, and how long the venue takes to answer.

A `Meter` is told of every message that was recorded, keeps counts and the last few hundred
delays, and costs a few microseconds for a message. What the session itself counts (its numbers,
bytes, gap, heartbeat) is read from it when somebody asks.

order_ack   from the moment a new order (D) was written to the first report (8) of its ClOrdID
ack_fill    from that report to its first fill
Units       delays in ns by the gateway's own clock; rates per second over the last ten.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onetape_fix.wire import Message

KEPT = 512  # delays that the percentiles are taken from
OPEN = 4_096  # orders whose answer is waited for; the oldest is given up first
WINDOW_S = 10
NS = 1_000_000_000
FILLS = frozenset("12F")  # ExecType
REASONS = {"3": 373, "j": 380, "9": 102, "Y": 281}  # where a refusal says why


class Delays:
    """The last delays of one kind."""

    __slots__ = ("_kept", "count")

    def __init__(self) -> None:
        self._kept: deque[int] = deque(maxlen=KEPT)
        self.count = 0

    def add(self, ns: int) -> None:
        self._kept.append(max(ns, 0))
        self.count += 1

    def told(self) -> dict[str, Any]:
        """Return count, p50 and p99; None while there is nothing to tell."""
        found = sorted(self._kept)
        return {
            "count": self.count,
            "p50_us": None if not found else round(found[len(found) // 2] / 1e3, 1),
            "p99_us": None if not found else round(found[len(found) * 99 // 100] / 1e3, 1),
        }


class Rate:
    """Events per second over the last ten seconds."""

    __slots__ = ("_cells", "_count", "_second", "_since")

    def __init__(self, now: int) -> None:
        self._cells: deque[tuple[int, int]] = deque(maxlen=WINDOW_S + 1)
        self._since = self._second = now // NS
        self._count = 0  # in the present second

    def add(self, now: int) -> None:
        second = now // NS
        if second != self._second:
            self._cells.append((self._second, self._count))
            self._second, self._count = second, 0
        self._count += 1

    def told(self, now: int) -> float:
        second = now // NS
        cells = (*self._cells, (self._second, self._count))
        counted = sum(n for at, n in cells if second - WINDOW_S <= at < second)
        return round(counted / max(min(second - self._since, WINDOW_S), 1), 2)


class Meter:
    """The counts of one session since the gateway began to hold it."""

    __slots__ = ("_acked", "_sent", "_types", "ack_fill", "order_ack", "rate_in", "rate_out",
                 "rejects")  # fmt: skip

    def __init__(self, now: int) -> None:
        self.order_ack, self.ack_fill = Delays(), Delays()
        self.rate_in, self.rate_out = Rate(now), Rate(now)
        self.rejects: Counter[str] = Counter()  # "3:5": session rejects with reason 5
        self._types: Counter[tuple[str, str]] = Counter()  # by way and type
        self._sent: dict[str, int] = {}
        self._acked: dict[str, int] = {}

    def sent(self, msg_type: str, raw: bytes, now: int) -> None:
        """Count a message of ours."""
        self.rate_out.add(now)
        self._types["out", msg_type] += 1
        if msg_type == "D":
            at = raw.find(b"\x0111=") + 4
            if at > 3:
                _keep(self._sent, raw[at : raw.find(b"\x01", at)].decode("latin-1"), now)

    def heard(self, message: Message, now: int) -> None:
        """Count a message of the peer."""
        self.rate_in.add(now)
        kind = message.type
        self._types["in", kind] += 1
        if kind == "8":
            self._report(message, now)
        elif kind in REASONS:
            self.rejects[f"{kind}:{message.get(REASONS[kind], '')}"] += 1

    def _report(self, message: Message, now: int) -> None:
        what = message.get(150) or ""
        if what == "8":
            self.rejects[f"8:{message.get(103, '')}"] += 1
        order = message.get(11) or ""
        if message.possdup or what == "I":
            return  # what is told again says nothing about delays
        since = self._sent.pop(order, None)
        if since is not None:
            self.order_ack.add(now - since)
            _keep(self._acked, order, now)
        if what in FILLS and what:
            acked = self._acked.pop(order, None)
            if acked is not None and since is None:
                self.ack_fill.add(now - acked)

    def told(self, now: int) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "messages_in_per_s": self.rate_in.told(now),
            "messages_out_per_s": self.rate_out.told(now),
            "rejects": dict(sorted(self.rejects.items())),
            "types": {f"{way}:{kind}": n for (way, kind), n in sorted(self._types.items())},
            "order_ack": self.order_ack.told(),
            "ack_fill": self.ack_fill.told(),
        }


def _keep(found: dict[str, int], key: str, now: int) -> None:
    if len(found) >= OPEN:
        del found[next(iter(found))]
    found[key] = now
