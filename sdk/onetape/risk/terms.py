"""What the gate knows of an instrument, in a small form of its own, and when it trades.

Units    tick in price, step in units of the instrument, multiplier in quote currency per unit
         and point; `margin_init` the part of the value that is held as margin; `adv` the average
         daily volume in units; `expiry` ns UTC, the first instant at which it trades no more.
Session  local times of `tz` as ("09:30", "16:00"), both ends inside; a start after the end runs
         over midnight; Saturdays and Sundays are closed. None trades around the clock. Holidays
         and halts are told by a state of the scope "instrument:ID".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from onetape.risk.exact import ONE, SECOND

QUARTER = 900 * SECOND  # offsets of zones are whole quarters of an hour
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ANY_TIME = frozenset({"AT_THE_OPEN", "AT_THE_CLOSE"})  # they wait for their auction


class InstrumentTerms(msgspec.Struct, frozen=True, gc=False):
    """One instrument, as far as limits are concerned."""

    id: str
    tick: Decimal
    currency: str
    step: Decimal = ONE  # what quantities are multiples of
    multiplier: Decimal = ONE
    kind: str = "equity"
    min_quantity: Decimal | None = None
    max_quantity: Decimal | None = None
    margin_init: Decimal | None = None  # None: one part in the account's leverage
    adv: Decimal | None = None
    session: tuple[str, str] | None = None
    tz: str = "UTC"
    expiry: int | None = None
    reduce_only_kept: bool = True  # the venue never lets a reduce-only order open a position


def in_session(terms: InstrumentTerms, ts: int) -> bool:
    """Say whether `ts` (ns UTC) is within the instrument's session."""
    if terms.session is None:
        return True
    weekday, start_of_quarter = _local(terms.tz, ts // QUARTER)
    if weekday >= 5:
        return False
    now = start_of_quarter + ts % QUARTER
    opens, closes = _nanos(terms.session[0]), _nanos(terms.session[1])
    if opens <= closes:
        return opens <= now <= closes
    return now >= opens or now <= closes


@lru_cache(maxsize=4_096)
def _local(tz: str, quarter: int) -> tuple[int, int]:
    """Return the weekday and the ns since midnight at the start of a quarter of an hour."""
    local = (EPOCH + timedelta(minutes=15 * quarter)).astimezone(ZoneInfo(tz))
    return local.weekday(), (local.hour * 60 + local.minute) * 60 * SECOND


@lru_cache(maxsize=256)
def _nanos(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return (int(hours) * 60 + int(minutes)) * 60 * SECOND


DAY = 86_400 * SECOND


@lru_cache(maxsize=1_024)
def _zone_day(tz: str, quarter: int) -> int:
    local = (EPOCH + timedelta(minutes=15 * quarter)).astimezone(ZoneInfo(tz))
    return local.toordinal()


def day_of(tz: str, ts: int) -> int:
    """Return a number that is the same for all times of one day of the zone."""
    return ts // DAY if tz == "UTC" else _zone_day(tz, ts // QUARTER)
