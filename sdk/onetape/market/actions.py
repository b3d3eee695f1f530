"""Corporate actions: splits and dividends, derived from prices or given by hand.

Time     `ts` is ns UTC, the session open of the ex-date: the holder of the night before is
         entitled, and the first trade of the ex-date is already in new shares, ex dividend.
Units    `ratio` is new shares per old; `amount` is currency per share held at that time.
Method   `derive` reads them from raw and adjusted closes. With f = adjusted / raw, a factor ratio
         r = f[t-1] / f[t] below one is an action of day t: a split where the raw price jumped
         along with r and r is near one over a small rational, else a dividend (1 - r) * C[t-1].
Limits   Stock dividends below 6:5 look like cash and are read as a dividend; a cash and a share
         distribution on one day are read as one split. Adjusted closes
         carry rounding noise, so a dividend must exceed it; amounts are rounded to the cent and
         are within a few cents of what was declared, which is what the adjusted close still knows.
         A dividend paid in other currency or shares is not recognised.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from fractions import Fraction

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from onetape.errors import MarketDataError, SettingsError
from onetape.market.instruments import Instrument

SPLIT_TOLERANCE = 0.02
SPLIT_JUMP = 0.15  # the day's own return may hide this much of a split's jump


class Split(msgspec.Struct, frozen=True, tag="split"):
    """From `ts` on, one old share is `ratio` new ones."""

    ts: int
    ratio: Decimal

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "ratio", _plain(self.ratio, "split ratio"))
        if self.ratio <= 0:
            raise SettingsError(f"split ratio is {self.ratio}; expected new shares per old, > 0.")


class Dividend(msgspec.Struct, frozen=True, tag="dividend"):
    """Who holds a share before `ts` is paid `amount` of `currency`."""

    ts: int
    amount: Decimal
    currency: str = "USD"

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "amount", _plain(self.amount, "dividend"))


Action = Split | Dividend


def _plain(value: Decimal | int | str, what: str) -> Decimal:
    """Return a decimal without trailing zeros, so that equal actions have equal fingerprints."""
    try:
        return Decimal(format(Decimal(str(value)).normalize(), "f"))
    except InvalidOperation:
        raise SettingsError(f"{what} is {value!r}; expected a number.") from None


def session_open_ns(day: date, instrument: Instrument) -> int:
    """Return the session open of a local day as ns UTC (local midnight without a session)."""
    from datetime import datetime, time
    from zoneinfo import ZoneInfo

    opens = instrument.session[0] if instrument.session else "00:00"
    at = datetime.combine(day, time.fromisoformat(opens), ZoneInfo(instrument.tz))
    return int(at.timestamp()) * 1_000_000_000


def derive(
    days: Sequence[date],
    close: NDArray[np.float64],
    adjusted: NDArray[np.float64],
    instrument: Instrument,
) -> tuple[Action, ...]:
    """Return the actions that lead from `close` to `adjusted`, one value per day each."""
    if not len(days) == len(close) == len(adjusted):
        raise MarketDataError("days, close and adjusted close differ in length.")
    factor = adjusted / close
    ratio = factor[:-1] / factor[1:]
    # half a cent of rounding in either adjusted close, unless it is kept to more digits
    cents = bool(np.all(np.abs(adjusted * 100 - np.rint(adjusted * 100)) < 1e-6))
    unit = 0.005 if cents else 1e-6
    noise = 2 * unit * (1 / adjusted[:-1] + 1 / adjusted[1:])
    actions: list[Action] = []
    for at in map(int, np.flatnonzero(np.abs(1 - ratio) > noise)):
        ts = session_open_ns(days[at + 1], instrument)
        split = _split(float(ratio[at]), float(close[at + 1] / close[at]))
        if split is not None:
            actions.append(Split(ts, split))
            continue
        amount = Decimal(str(round((1 - float(ratio[at])) * float(close[at]), 2)))
        if amount > 0:
            actions.append(Dividend(ts, amount, instrument.currency))
    return tuple(actions)


def _split(ratio: float, jump: float) -> Decimal | None:
    if 0.85 < ratio < 1.18 or abs(jump / ratio - 1) > SPLIT_JUMP:
        return None
    if abs(jump - ratio) > abs(jump - 1):  # the raw price did not follow: a large dividend
        return None
    small = Fraction(1 / ratio).limit_denominator(10)
    if not small or abs(float(small) * ratio - 1) > SPLIT_TOLERANCE:
        return None
    return Decimal(small.numerator) / Decimal(small.denominator)


def adjust(frame: pl.LazyFrame, actions: Sequence[Action], mode: str) -> pl.LazyFrame:
    """Return bars back-adjusted to the last share, as floats, for research only.

    `mode` "splits" divides prices before a split by its ratio and multiplies volume; "all" also
    scales prices before an ex-date by 1 - D / C, C being the last close before it. Prices become
    Float64 since adjusted prices lie on no tick; orders and books use the raw ones.
    """
    if mode not in ("splits", "all"):
        raise SettingsError(f'adjust is {mode!r}; expected None, "splits" or "all".')
    prices = [c for c in ("open", "high", "low", "close") if c in frame.collect_schema().names()]
    if len(prices) < 4:
        raise MarketDataError("only bars can be adjusted; ticks keep the prices that were traded.")
    frame = frame.with_columns(pl.col(*prices, "volume").cast(pl.Float64))
    if not actions:
        return frame
    price, volume = pl.lit(1.0), pl.lit(1.0)
    closes = _closes_before(frame, actions) if mode == "all" else {}
    for action in actions:
        before = pl.col("ts_event") < pl.lit(action.ts).cast(pl.Datetime("ns", "UTC"))
        if isinstance(action, Split):
            price = price * pl.when(before).then(1 / float(action.ratio)).otherwise(1.0)
            volume = volume * pl.when(before).then(float(action.ratio)).otherwise(1.0)
        elif action.ts in closes:
            factor = 1 - float(action.amount) / closes[action.ts]
            price = price * pl.when(before).then(factor).otherwise(1.0)
    return frame.with_columns(
        *(pl.col(p) * price for p in prices), volume=pl.col("volume") * volume
    )


def _closes_before(frame: pl.LazyFrame, actions: Sequence[Action]) -> dict[int, float]:
    kept = frame.select(pl.col("ts_event").to_physical(), "close").collect()
    times = kept["ts_event"].to_numpy()
    dividends = [a.ts for a in actions if isinstance(a, Dividend)]
    at = np.searchsorted(times, np.array(dividends, dtype=np.int64)) - 1
    return {ts: float(kept["close"][int(i)]) for ts, i in zip(dividends, at, strict=True) if i >= 0}
