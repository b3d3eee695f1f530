"""The venue's words and the wire's: sides, order types, times in force, states.

Where FIX has no word of its own for something of ours, the nearest is taken and the reader can
still tell: a reduce-only order is 18=E ("do not increase"), post-only 18=6.
"""

from __future__ import annotations

from onetape.run.ports import Side

SIDES: dict[str, Side] = {"1": "BUY", "2": "SELL", "3": "BUY", "4": "SELL", "5": "SELL"}
SIDE_OF: dict[str, str] = {"BUY": "1", "SELL": "2"}

TYPES = {
    "1": "MARKET",
    "2": "LIMIT",
    "3": "STOP_MARKET",
    "4": "STOP_LIMIT",
    "J": "MARKET_IF_TOUCHED",
    "K": "LIMIT_IF_TOUCHED",
}
TYPE_OF = {name: letter for letter, name in TYPES.items()}

FORCES = {
    "0": "DAY",
    "1": "GTC",
    "2": "AT_THE_OPEN",
    "3": "IOC",
    "4": "FOK",
    "6": "GTD",
    "7": "AT_THE_CLOSE",
}
FORCE_OF = {name: letter for letter, name in FORCES.items()}

POST_ONLY, REDUCE_ONLY = "6", "E"

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
CLOSED = frozenset(("FILLED", "CANCELED", "REJECTED", "EXPIRED"))
WAITING = frozenset(("STOP_LIMIT", "LIMIT_IF_TOUCHED", "STOP_MARKET", "MARKET_IF_TOUCHED"))

LIQUIDITY_OF = {"MAKER": "1", "TAKER": "2"}

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
