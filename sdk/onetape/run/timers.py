# pyright: standard
"""Timers of a live strategy: the engine clock's calls, kept by the session's own time.

A timer that comes due is an input like a row: it has a stamp and stands on the tape, so that a
rerun lets it come due at the same place. On a replayed day time is the rows' own, and a timer
comes due before the first row that is not earlier than it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from nautilus_trader.common import TimeEvent
from nautilus_trader.core import UUID4

from onetape.errors import SettingsError

if TYPE_CHECKING:
    from onetape.run.host import Host


class Due(NamedTuple):
    """A timer's next time."""

    at: int
    turn: int
    name: str


class Timer:
    """One named timer or alert; `every` is 0 for an alert."""

    def __init__(self, at: int, every: int, stop: int, call: Callable[[Any], object]) -> None:
        self.at, self.every, self.stop, self.call = at, every, stop, call
        self.void = False  # it was canceled after its time had come, before its turn


class Timers:
    """What is to come due, in order; `wake` is told when the first of them changed."""

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self._named: dict[str, Timer] = {}
        self._heap: list[Due] = []
        self._turns = count()
        self._out: list[tuple[str, Timer]] = []  # those whose time has come and whose turn has not
        self.wake = wake

    @property
    def next(self) -> int | None:
        """When the next timer comes due, in ns UTC."""
        while self._heap:
            due = self._heap[0]
            timer = self._named.get(due.name)
            if timer is not None and timer.at == due.at:
                return due.at
            heapq.heappop(self._heap)  # it was canceled or set anew
        return None

    def names(self) -> list[str]:
        """Return the names of what is set."""
        return list(self._named)

    def set(self, name: str, timer: Timer) -> None:
        """Set a timer, in the place of one of the same name."""
        self._void(name)
        self._named[name] = timer
        heapq.heappush(self._heap, Due(timer.at, next(self._turns), name))
        self.wake()

    def cancel(self, name: str) -> None:
        """Forget a timer."""
        self._void(name)
        self._named.pop(name, None)

    def clear(self) -> None:
        """Forget all."""
        self._void(None)
        self._named.clear()

    def pop(self) -> tuple[str, Timer] | None:
        """Take out what comes due first, and set its next time."""
        if self.next is None:
            return None
        due = heapq.heappop(self._heap)
        timer = self._named[due.name]
        fired = Timer(timer.at, timer.every, timer.stop, timer.call)
        after = timer.at + timer.every
        if timer.every and (not timer.stop or after <= timer.stop):
            timer.at = after
            heapq.heappush(self._heap, Due(after, next(self._turns), due.name))
        else:
            del self._named[due.name]
        self._out.append((due.name, fired))
        return due.name, fired

    def turn(self, timer: Timer) -> bool:
        """Say whether a timer that was popped may be called, now that its turn has come."""
        self._out = [one for one in self._out if one[1] is not timer]
        return not timer.void

    def _void(self, name: str | None) -> None:
        for of, timer in self._out:
            timer.void = timer.void or name in (None, of)

    def fire(self, name: str) -> Timer | None:
        """Take out a timer by name, whatever its time: a rerun knows when it came due."""
        timer = self._named.get(name)
        if timer is None:
            return None
        while (popped := self.pop()) is not None:
            if popped[0] == name:
                return popped[1]
        return None


class LiveClock:
    """The clock that a live strategy sees; times are those of the input being handled."""

    def __init__(self, host: Host, timers: Timers) -> None:
        self._host, self._timers = host, timers
        self._default: Callable[[Any], object] | None = None

    def timestamp_ns(self) -> int:
        """Return the time of what is being handled, in ns UTC."""
        live = self._host.stage.live
        assert live is not None
        return live.now

    def timestamp_us(self) -> int:
        return self.timestamp_ns() // 1_000

    def timestamp_ms(self) -> int:
        return self.timestamp_ns() // 1_000_000

    def timestamp(self) -> float:
        return self.timestamp_ns() / 1e9

    def utc_now(self) -> datetime:
        return datetime.fromtimestamp(self.timestamp_ns() / 1e9, UTC)

    @property
    def timer_count(self) -> int:
        return len(self._timers.names())

    def timer_names(self) -> list[str]:
        return self._timers.names()

    def next_time_ns(self, name: str) -> int:
        """Return when a timer comes due; 0 when there is none of that name."""
        timer = self._timers._named.get(name)
        return timer.at if timer is not None else 0

    def register_default_handler(self, handler: Callable[[Any], object]) -> None:
        self._default = handler

    def set_timer(
        self,
        name: str,
        interval: timedelta,
        start_time: datetime | None = None,
        stop_time: datetime | None = None,
        callback: Callable[[Any], object] | None = None,
        *_more: Any,
        **_else: Any,
    ) -> None:
        """Call back every `interval`, first one interval after the start."""
        span = round(interval.total_seconds() * 1e9)
        self.set_timer_ns(name, span, _at(start_time), _at(stop_time), callback)

    def set_timer_ns(
        self,
        name: str,
        interval_ns: int,
        start_time_ns: int | None = None,
        stop_time_ns: int | None = None,
        callback: Callable[[Any], object] | None = None,
        *_more: Any,
        **_else: Any,
    ) -> None:
        """Call back every `interval_ns`."""
        if interval_ns <= 0:
            raise SettingsError(f"timer {name}: interval {interval_ns} found, more than 0 expected")
        start = start_time_ns or self.timestamp_ns()
        call = self._call(name, callback)
        self._timers.set(name, Timer(start + interval_ns, interval_ns, stop_time_ns or 0, call))

    def set_time_alert(
        self,
        name: str,
        alert_time: datetime,
        callback: Callable[[Any], object] | None = None,
        *_more: Any,
        **_else: Any,
    ) -> None:
        """Call back once, at `alert_time`."""
        self.set_time_alert_ns(name, _at(alert_time) or 0, callback)

    def set_time_alert_ns(
        self,
        name: str,
        alert_time_ns: int,
        callback: Callable[[Any], object] | None = None,
        *_more: Any,
        **_else: Any,
    ) -> None:
        """Call back once, at `alert_time_ns`; a time that has passed comes due at once."""
        at = max(alert_time_ns, self.timestamp_ns())
        self._timers.set(name, Timer(at, 0, 0, self._call(name, callback)))

    def cancel_timer(self, name: str) -> None:
        self._timers.cancel(name)

    def cancel_timers(self) -> None:
        self._timers.clear()

    def _call(self, name: str, callback: Callable[[Any], object] | None) -> Callable[[Any], object]:
        chosen = callback or self._default or getattr(self._host.strategy, "on_time_event", None)
        if chosen is None:
            raise SettingsError(f"timer {name} has no callback: give callback=, or on_time_event")
        return self._host.timer(chosen)


def time_event(name: str, ts: int) -> Any:
    """Return the event that a timer's callback gets."""
    return TimeEvent(name, UUID4(), ts, ts)


def _at(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp()) * 1_000_000_000 + aware.microsecond * 1_000
