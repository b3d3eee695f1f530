"""A token bucket: how many messages a second a venue takes from one session.

What is over the rate is refused to the caller at once: an order that waits in a queue of ours
meets another market than it was meant for. Cancels are never refused. They take their token all
the same, on credit where there is none, so that the rate as a whole is kept by the orders behind
them; a share of the bucket is left to them.

Units    messages and messages per second; times in seconds of a monotonic clock.
"""

from __future__ import annotations

LEFT_TO_CANCELS = 0.2  # of the rate


class Bucket:
    """Tokens of one session; a rate of 0 lets everything pass."""

    __slots__ = ("_at", "_left", "_tokens", "rate", "refused")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self.refused = 0
        self._tokens = self._size
        self._left = rate * LEFT_TO_CANCELS if rate > 2 else 0.0
        self._at = now

    @property
    def _size(self) -> float:
        return max(self.rate, 1.0)

    def take(self, now: float, *, cancel: bool = False) -> bool:
        """Take a token for one message; False where it has to be refused."""
        if self.rate <= 0:
            return True
        self._fill(now)
        if cancel:
            # a credit of one second at most: a storm of cancels must not lock orders out for long
            self._tokens = max(self._tokens - 1.0, -self._size)
            return True
        if self._tokens - 1.0 < self._left - 1e-9:
            self.refused += 1
            return False
        self._tokens -= 1.0
        return True

    def left(self, now: float) -> float:
        """Return how many orders would pass now; infinite without a rate."""
        if self.rate <= 0:
            return float("inf")
        self._fill(now)
        return max(self._tokens - self._left, 0.0)

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self._tokens + (now - self._at) * self.rate, self._size)
            self._at = now
