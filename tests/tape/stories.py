"""Events to put on a tape: short streams of deposits and fills, numbered from where one says."""

from __future__ import annotations

from decimal import Decimal

from onetape.tape import kinds
from onetape.tape.event import Event, Lineage

D = Decimal


def deposits(count: int, first: int = 1, amount: object = 1, account: str = "A") -> list[Event]:
    """Return the events `first` to `first + count - 1` of a stream, each caused by the last."""
    fact = kinds.CashDeposited(account, "USD", D(str(amount)))
    return [
        Event(seq, seq * 10, seq * 10, f"account/{account}", fact, seq - 1 or None)
        for seq in range(first, first + count)
    ]


def fill(seq: int, quantity: object = 10, account: str = "A", instrument: str = "GOOG") -> Event:
    """Return one fill with a lineage."""
    fact = kinds.OrderFilled(
        f"O{seq}", instrument, "S", account, f"V{seq}", f"T{seq}", "BUY", D(str(quantity)),
        D("100.50"), "USD", D("0.1"), "USD", "TAKER",
    )  # fmt: skip
    lineage = Lineage("f" * 64, f"bar {instrument}", seq * 10, "c" * 64, "p" * 16, "1")
    return Event(seq, seq * 10, seq * 10 + 1, f"order/O{seq}", fact, lineage=lineage)
