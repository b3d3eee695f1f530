"""What a gate has allowed: on whose behalf, and in which terms."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from onetape.risk.intent import Intent


class Who(NamedTuple):
    """On whose behalf a run or session trades."""

    account: str
    trader: str = ""
    desk: str = ""
    client: str = ""


class Terms(NamedTuple):
    """What was allowed of an order: exactly this may leave."""

    instrument: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal | None
    trigger_price: Decimal | None
    reduce_only: bool


def terms_of(intent: Intent) -> Terms:
    """Return the terms that an approval is for."""
    return Terms(
        intent.instrument,
        intent.side,
        intent.type,
        intent.quantity,
        intent.price,
        intent.trigger_price,
        intent.reduce_only,
    )
