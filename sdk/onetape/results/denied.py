"""What the gate refused in a run: what the limits would have kept from being sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from onetape.books.exact import EXACT, TINY
from onetape.books.tables import MONEY, TEXT, TIME, WHOLE
from onetape.tape.event import Event
from onetape.tape.kinds import RiskDenied
from onetape.tape.kinds_live import RiskDecided

COLUMNS = pl.Schema(
    {"ts_event": TIME}
    | dict.fromkeys(("strategy", "instrument", "side"), TEXT)
    | dict.fromkeys(("quantity", "price"), MONEY)
    | dict.fromkeys(("code", "check", "limit"), TEXT)
    | dict.fromkeys(("observed", "threshold"), MONEY)
    | {"detail": TEXT, "seq": WHOLE}
)


def denied(events: Iterable[Event]) -> pl.DataFrame:
    """Return one row for each order or change that was denied or held; older tapes' too."""
    rows: list[tuple[Any, ...]] = []
    for event in events:
        fact = event.fact
        if isinstance(fact, RiskDecided) and fact.verdict != "allow":
            what = (fact.side, _round(fact.quantity), _round(fact.price))
            why = (fact.code, fact.check, fact.limit)
            seen = (_round(fact.observed), _round(fact.threshold), fact.detail)
        elif isinstance(fact, RiskDenied):
            what, why = (fact.side, _round(fact.quantity), None), ("", "", fact.limit)
            seen = (_round(fact.observed), _round(fact.threshold), "")
        else:
            continue
        rows.append((event.ts_event, fact.strategy, fact.instrument, *what, *why, *seen, event.seq))
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    return pl.DataFrame(
        [
            _series(name, column, kind)
            for (name, kind), column in zip(COLUMNS.items(), columns, strict=True)
        ]
    )


def _series(name: str, column: Sequence[Any], kind: pl.DataType) -> pl.Series:
    if kind == TIME:
        whole = pl.Series(name, column, dtype=pl.Int64())
        return whole.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    return pl.Series(name, column, dtype=kind)


def _round(value: Decimal | None) -> Decimal | None:
    """Round half even to 1e-18, as all frames do; what is no number is not shown."""
    return None if value is None or not value.is_finite() else EXACT.quantize(value, TINY)
