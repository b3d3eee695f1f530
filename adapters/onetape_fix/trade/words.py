"""Our words and the wire's: sides, order types, times in force, states of an order."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from onetape.run.ports import Side

# "minus", "plus", short and short exempt are sides of their own there
SIDES: dict[str, Side] = {
    **{"1": "BUY", "3": "BUY"},
    **{"2": "SELL", "4": "SELL", "5": "SELL", "6": "SELL", "H": "SELL"},
}
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

STATUSES = {
    "0": "ACCEPTED",
    "1": "PARTIALLY_FILLED",
    "2": "FILLED",
    "3": "EXPIRED",
    "4": "CANCELED",
    "5": "ACCEPTED",
    "6": "PENDING_CANCEL",
    "7": "ACCEPTED",
    "8": "REJECTED",
    "9": "ACCEPTED",
    "A": "ACCEPTED",
    "B": "ACCEPTED",
    "C": "EXPIRED",
    "D": "ACCEPTED",
    "E": "PENDING_UPDATE",
}
CLOSED = frozenset(("FILLED", "CANCELED", "REJECTED", "EXPIRED"))

LIQUIDITY = {"1": "MAKER", "2": "TAKER"}


def number(text: str | None) -> Decimal | None:
    """Return a number of the wire; None where there is none, or none that is finite."""
    if text is None:
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def members(text: str) -> frozenset[int]:
    """Return the tags that a text lists: those that may stand in a row of a group."""
    return frozenset(map(int, text.split()))


def first(*values: Decimal | None) -> Decimal | None:
    """Return the first that is told."""
    return next((value for value in values if value is not None), None)
