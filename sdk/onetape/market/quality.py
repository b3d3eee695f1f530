"""Quality: what is odd in market data, found block by block while it is taken in.

Checks work on blocks of 65,536 rows with the last rows of the block before in front, so that the
findings do not depend on how the source was cut into chunks.

spike         a return beyond 12 robust deviations (1.4826 times the median absolute non-zero
              return of the block), 4 times its 98 % quantile and 5 ticks, most of it taken back
              by the next row
gap           bars: further apart than the step, where nearly all are exactly one step apart, else
              than 10 times the usual; ticks: beyond 60 s and 50 times the usual. Nights (other
              local day, for instruments with a session), weekends, Christmas, New Year, the daily
              break of futures and single missing weekdays of daily bars (holidays) are no gaps
stale         the same prices and sizes over and over: 20 bars, 500 quotes, 1,000 trades
duplicates    rows that repeat the row before (kept for ticks, dropped for bars)
crossed_quote bid above ask;  locked_quote  bid equal to ask
bar_shape     high below, or low above, another price of the bar
negative_price, zero_price  allowed for futures and options only; others are refused earlier
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onetape.market.blocks import PRICES, Block, Ints, joined, same_as_before
from onetape.market.instruments import Instrument
from onetape.market.manifest import Finding
from onetape.market.times import DAY, step_ns

Mask = NDArray[np.bool_]
SPIKE_MADS = 12
SPIKE_TAILS = 4
SPIKE_TICKS = 5
STALE = {"bars": 20, "quotes": 500, "trades": 1000}
SMALL = 1_000  # blocks below this take the scale of the block before
SEVERITY = {
    "duplicates": "warning", "out_of_order": "warning", "crossed_quote": "error",
    "locked_quote": "info", "zero_price": "warning", "negative_price": "warning",
    "spike": "warning", "stale": "warning", "gap": "info", "bar_shape": "error",
    "off_tick": "warning", "off_size": "info", "assumed_size": "info",
}  # fmt: skip


@dataclass
class Count:
    """Occurrences of one kind so far."""

    count: int
    first: int
    last: int
    detail: str


class Ledger:
    """Findings in the making, one line a kind."""

    def __init__(self) -> None:
        self._lines: dict[str, Count] = {}

    def note(self, kind: str, count: int, first: int, last: int, detail: str) -> None:
        """Add occurrences of `kind` between `first` and `last` (ns UTC)."""
        line = self._lines.get(kind)
        if line is None:
            self._lines[kind] = Count(count, first, last, detail)
            return
        line.count += count
        line.first, line.last = min(line.first, first), max(line.last, last)

    def note_mask(
        self, kind: str, mask: Mask, ts: Ints, detail: str | Callable[[int], str]
    ) -> None:
        """Add one occurrence for every true value; `detail` tells of the first."""
        at = np.flatnonzero(mask)
        if len(at):
            text = detail if isinstance(detail, str) else detail(int(at[0]))
            self.note(kind, len(at), int(ts[at[0]]), int(ts[at[-1]]), text)

    def findings(self) -> tuple[Finding, ...]:
        """Return what was found, in time order of the first occurrence."""
        lines = sorted(self._lines.items(), key=lambda kv: (kv[1].first, kv[0]))
        return tuple(Finding(k, c.count, c.first, c.last, c.detail, SEVERITY[k]) for k, c in lines)


@dataclass
class _Memory:
    """What the checks carry from block to block."""

    tail: Block | None = None
    run: int = 1
    scale: float = 0.0
    usual: float = 0.0
    regular: bool | None = None


class Inspector:
    """Looks at one dataset's blocks in order; `ledger` holds what it found."""

    def __init__(self, instrument: Instrument, kind: str, step: str | None, ledger: Ledger) -> None:
        self.ledger = ledger
        self._instrument = instrument
        self._kind = kind
        self._step = step_ns(step) if step else None
        self._tick = int(instrument.tick.scaleb(instrument.price_precision))
        self._memory = _Memory()

    def look(self, block: Block) -> None:
        """Check the next block."""
        tail = self._memory.tail
        whole = block if tail is None else joined([tail, block])
        fresh = 0 if tail is None else tail.rows
        self._levels(block)
        if whole.rows > 1:
            self._repeats(whole, fresh)
            self._gaps(whole, fresh)
            self._spikes(whole, fresh)
        self._memory.tail = whole.cut(max(0, whole.rows - 2), whole.rows)

    def _levels(self, block: Block) -> None:
        note, ts, values = self.ledger.note_mask, block.ts, block.values
        for at in PRICES[self._kind]:
            if len(values[at]) and int(values[at].min()) <= 0:
                note("zero_price", values[at] == 0, ts, "prices of zero")
                note("negative_price", values[at] < 0, ts, "prices below zero")
        if self._kind == "quotes":
            bid, ask = values[0], values[1]
            if bool((bid >= ask).any()):
                note("crossed_quote", bid > ask, ts, "bid above ask")
                note("locked_quote", bid == ask, ts, "bid equal to ask")
        if self._kind == "bars":
            o, h, low, c = values[:4]
            wrong = (h < np.maximum(o, c)) | (low > np.minimum(o, c)) | (h < low)
            note("bar_shape", wrong, ts, "high or low inside open and close")

    def _repeats(self, whole: Block, fresh: int) -> None:
        skip = max(0, fresh - 1)
        part = whole.cut(skip, whole.rows)
        if self._kind != "bars":
            same = same_as_before(part)
            self.ledger.note_mask("duplicates", same, part.ts[1:], "rows equal to the row before")
        same = np.ones(part.rows - 1, dtype=bool)
        for column in part.values:
            same &= column[1:] == column[:-1]
        self._stale(same, part.ts)

    def _stale(self, same: Mask, ts: Ints) -> None:
        limit, memory = STALE[self._kind], self._memory
        breaks = np.flatnonzero(~same)
        if not len(breaks):
            self._run_ended(memory.run < limit <= memory.run + len(same), limit, ts, len(ts) - 1)
            memory.run += len(same)
            return
        runs = np.diff(np.concatenate([[-memory.run], breaks, [len(same)]]))
        for at in np.flatnonzero(runs >= limit):
            already = at == 0 and memory.run >= limit
            end = int(breaks[at]) if at < len(breaks) else len(ts) - 1
            self._run_ended(not already, limit, ts, end)
        memory.run = int(runs[-1])

    def _run_ended(self, counts: bool, limit: int, ts: Ints, end: int) -> None:
        if counts:
            at = int(ts[min(end, len(ts) - 1)])
            self.ledger.note("stale", 1, at, at, f"unchanged for {limit} rows or more")

    def _gaps(self, whole: Block, fresh: int) -> None:
        ts = whole.ts[max(0, fresh - 1) :]
        apart = np.diff(ts)
        if not len(apart):
            return
        limit = self._gap_limit(apart)
        at = np.flatnonzero(apart > limit)
        if not len(at):
            return
        real = [int(i) for i in at[:20_000] if not self._closed(int(ts[i]), int(ts[i + 1]))]
        if real:
            first = real[0]
            hours = (int(ts[first + 1]) - int(ts[first])) / 3.6e12
            since = np.datetime64(int(ts[first]) // 10**9, "s")
            text = f"the first {hours:.1f} h long, from {since} UTC"
            self.ledger.note("gap", len(real), int(ts[first]), int(ts[real[-1] + 1]), text)

    def _gap_limit(self, apart: Ints) -> float:
        memory = self._memory
        if self._step is not None and self._step >= DAY:
            return 1.5 * self._step
        if memory.regular is None or len(apart) >= SMALL:
            memory.usual = float(np.quantile(apart, 0.99)) if len(apart) < 4e6 else 0.0
            step = self._step
            memory.regular = step is not None and int((apart == step).sum()) / len(apart) > 0.95
        if self._step is not None:
            return 1.5 * self._step if memory.regular else max(10 * memory.usual, 10 * self._step)
        return max(60e9, 50 * memory.usual)

    def _closed(self, start: int, end: int) -> bool:
        """Say whether the market is normally shut between two times."""
        zone = self._instrument.tz
        first, last = _local(start, zone), _local(end, zone)
        day = np.datetime64(first.date(), "D"), np.datetime64(last.date(), "D")
        if self._step is not None and self._step >= DAY:
            weekdays = int(np.busday_count(day[0], day[1]))
            crypto = self._instrument.kind == "crypto_perpetual"
            return not crypto and weekdays * DAY <= 2 * self._step
        if self._instrument.session is not None:
            return day[0] != day[1]
        if self._instrument.kind == "crypto_perpetual":
            return False
        ahead = (first.date() + timedelta(days=i) for i in range(4))
        saturday = any(d.weekday() >= 5 and d <= last.date() for d in ahead)
        if saturday and end - start < 4 * DAY:
            return True
        if {(d.month, d.day) for d in (first, last)} & {(12, 24), (12, 25), (12, 26), (12, 31),
                                                        (1, 1), (1, 2)}:  # fmt: skip
            return end - start < 4 * DAY
        return self._instrument.kind in ("future", "option") and end - start <= 2 * 3600 * 10**9

    def _spikes(self, whole: Block, fresh: int) -> None:
        values = whole.values
        close = values[3] if self._kind == "bars" else values[0]
        price = close + values[1] if self._kind == "quotes" else close
        level = np.abs(price[:-1]) + 1.0
        move = np.diff(price)
        size = np.abs(move) / level
        if len(move) >= SMALL or not self._memory.scale:
            moved = size[size > 0]
            self._memory.scale = _unusual(moved) if len(moved) else 0.0
        big = np.flatnonzero(size[:-1] > self._memory.scale)
        # the row between move i and i + 1; those judged with the block before are skipped
        big = big[big + 2 >= fresh] if fresh else big
        unit = self._tick * (2 if self._kind == "quotes" else 1)
        big = big[np.abs(move[big]) > SPIKE_TICKS * unit]
        back = np.abs(move[big] + move[big + 1]) < 0.5 * np.abs(move[big])
        hit = big[back] + 1
        if len(hit):
            times = whole.ts[hit]
            shown = f"the first out by {abs(int(move[hit[0] - 1])) / unit:,.0f} ticks and back"
            self.ledger.note("spike", len(hit), int(times[0]), int(times[-1]), shown)


def _unusual(returns: NDArray[np.float64]) -> float:
    if len(returns) > 8192:  # every k-th is enough for a robust scale, and the same every time
        returns = returns[:: len(returns) // 4096]
    middle, high = np.quantile(returns, (0.5, 0.98))
    return max(SPIKE_MADS * 1.4826 * float(middle), SPIKE_TAILS * float(high))


def _local(ns: int, zone: str) -> Any:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    return datetime.fromtimestamp(ns // 10**9, ZoneInfo(zone))
