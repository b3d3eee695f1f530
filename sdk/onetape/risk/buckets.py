"""Token buckets for messages, in whole ns: a message costs `Rate.cost`, time pays it back.

A bucket is one number, the time at which it is full again; what is used of it at `ts` is that
time less `ts`. New orders and modifies may use all but the reserve, cancels are only counted:
they never fail, and empty a bucket at most.
"""

from __future__ import annotations

from onetape.risk.resolved import Rate


class Buckets:
    """The buckets of a session, by scope."""

    def __init__(self) -> None:
        self.full_at: dict[str, int] = {}
        self.costs: dict[str, int] = {}

    def used(self, rate: Rate, ts: int) -> int:
        """Return the ns used of a bucket at `ts`, in the price of `rate`."""
        left = self.full_at.get(rate.scope, ts) - ts
        if left <= 0:
            return 0
        cost = self.costs[rate.scope]  # of the rate that the messages were counted at
        return left if cost == rate.cost else -(-left * rate.cost // cost)

    def count(self, rate: Rate, ts: int) -> None:
        """Count one message."""
        used = self.used(rate, ts) + rate.cost
        self.full_at[rate.scope] = ts + min(used, rate.full)
        self.costs[rate.scope] = rate.cost

    def copy(self) -> Buckets:
        new = Buckets()
        new.full_at, new.costs = dict(self.full_at), dict(self.costs)
        return new
