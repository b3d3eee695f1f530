"""The venue's words and the wire's: what `trade.words` has, and what only a venue says.

Where FIX has no word of its own for something of ours, the nearest is taken and the reader can
still tell: a reduce-only order is 18=E ("do not increase"), post-only 18=6.
"""

from __future__ import annotations

from onetape_fix.trade.words import (
    CLOSED,
    FORCE_OF,
    FORCES,
    LIQUIDITY,
    POST_ONLY,
    REDUCE_ONLY,
    SIDE_OF,
    SIDES,
    TYPE_OF,
    TYPES,
)

__all__ = [
    "CLOSED", "EXEC_OF", "FORCES", "FORCE_OF", "LIQUIDITY_OF", "POST_ONLY", "REDUCE_ONLY", "SIDES",
    "SIDE_OF", "STATUS_OF", "TYPES", "TYPE_OF", "UNKNOWN", "WAITING",
]  # fmt: skip

# 39 by the state of `ports.OrderStatus`; a triggered order is a new one that works (636=Y)
STATUS_OF = {
    "NEW": "A",
    "ACCEPTED": "0",
    "TRIGGERED": "0",
    "PARTIALLY_FILLED": "1",
    "FILLED": "2",
    "CANCELED": "4",
    "PENDING_CANCEL": "6",
    "REJECTED": "8",
    "EXPIRED": "C",
    "PENDING_UPDATE": "E",
}
WAITING = frozenset(("STOP_LIMIT", "LIMIT_IF_TOUCHED", "STOP_MARKET", "MARKET_IF_TOUCHED"))

LIQUIDITY_OF = {name: number for number, name in LIQUIDITY.items()}

# 150 by what is told; a fill is F, but 1 or 2 before FIX 4.3
EXEC_OF = {
    "new": "0",
    "done": "3",
    "canceled": "4",
    "replaced": "5",
    "pending_cancel": "6",
    "rejected": "8",
    "suspended": "9",
    "expired": "C",
    "restated": "D",
    "pending_replace": "E",
    "fill": "F",
    "correct": "G",
    "bust": "H",
    "status": "I",
    "triggered": "L",
}

UNKNOWN = "NONE"  # 37 of an order that the venue does not have
