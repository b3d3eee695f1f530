"""Intents and decisions: what is asked of the gate, and what it answers. Plain data, no engine.

Units    quantities unsigned beside a side, in units of the instrument; prices in quote currency
         per unit; money in the firm's base currency; times in ns UTC.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Protocol

import msgspec

from onetape.tape.fact import Side

Verdict = Literal["allow", "deny", "hold"]


class Intent(msgspec.Struct, frozen=True, gc=False):
    """What somebody wants to do, with everything that a limit can be about.

    A modify carries the terms that the order would have afterwards; `quantity` then includes
    what is filled already.
    """

    kind: Literal["submit", "modify", "cancel"]
    client_order_id: str
    account: str
    strategy: str
    instrument: str
    venue: str
    side: Side
    type: str
    quantity: Decimal
    ts: int
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    time_in_force: str = "GTC"
    expire_time: int | None = None
    reduce_only: bool = False
    post_only: bool = False
    trader: str = ""  # the person behind it, or the release of the strategy's code
    desk: str = ""
    algo: str = ""  # the strategy's code hash: which algorithm decided
    client: str = ""
    list_id: str = ""  # orders that belong together are judged together
    parent: str = ""  # of an order that is only sent once its parent has filled


class Reference(msgspec.Struct, frozen=True, gc=False):
    """A price that others are measured against, and where it is from."""

    price: Decimal
    source: str  # mid, last, close
    ts: int  # ns UTC, when it was received
    bid: Decimal | None = None
    ask: Decimal | None = None
    stale: bool = False  # its feed says so


class Market(Protocol):
    """What the gate asks about prices; answers are inputs of a decision and recorded with it."""

    def reference(self, instrument: str) -> Reference | None:
        """Return the freshest price; None before the first."""
        ...

    def rate(self, currency: str) -> Decimal | None:
        """Return what one unit of `currency` is in the base currency; None when unknown."""
        ...


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The gate's answer; fields as in `tape.kinds_live.RiskDecided`."""

    verdict: Verdict
    code: str = ""
    check: str = ""
    limit: str = ""
    observed: Decimal | None = None
    threshold: Decimal | None = None
    others: tuple[str, ...] = ()
    reference: Reference | None = None
    limits_version: str = ""
    state_version: int = 0
    detail: str = ""

    @property
    def allowed(self) -> bool:
        return self.verdict == "allow"
