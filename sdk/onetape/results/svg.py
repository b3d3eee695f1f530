# pyright: standard
"""Small static pictures as inline SVG: no script, no file, a few tens of kilobytes at most.

Curves are thinned to the least and the greatest value of each pixel column, so that a picture of
a million rows shows what a picture of all of them would. Colours are classes that the page's
style sets; the attributes beside them serve viewers that strip style sheets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

Array = np.ndarray[Any, Any]
WIDTH, LEFT, RIGHT = 940, 8, 70  # a picture's width and its gutters; values stand at the right
COLUMNS = 400
TITLED = 150  # fills beyond this many are drawn without a tooltip each
SECOND, DAY = 1_000_000_000, 86_400
CLOCK = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
INK = {"line": "#2563c9", "loss": "#c2570c", "gain": "#0a7f78", "mute": "#66717f"}


def kept(times: Array, values: Array, columns: int = COLUMNS) -> Array:
    """Return the places of at most 2 x `columns` + 2 points: each column's least and greatest."""
    known = np.flatnonzero(np.isfinite(values))
    if len(known) <= 2 * columns:
        return known
    at, drawn = times[known], values[known]
    span = max(int(at[-1]) - int(at[0]), 1)
    column = ((at - at[0]) / span * columns).astype(np.int64).clip(0, columns - 1)
    order = np.lexsort((drawn, column))
    last = np.flatnonzero(np.append(np.diff(column[order]) > 0, True))
    first = np.append(0, last[:-1] + 1)
    ends = [0, len(at) - 1]
    return known[np.unique(np.concatenate([ends, order[first], order[last]]))]


def thin(times: Array, values: Array, columns: int = COLUMNS) -> tuple[Array, Array]:
    """Return the points that `kept` names."""
    places = kept(times, values, columns)
    return times[places], values[places]


def steps(low: float, high: float, count: int = 4) -> list[float]:
    """Return round values from `low` to `high`, about `count` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def amount(value: float, step: float) -> str:
    """Return an axis value with as many digits as its step needs, thousands separated."""
    return f"{value:,.{digits(step)}f}".replace("-", "−")


def digits(step: float) -> int:
    """Return how many digits after the point tell values a step apart."""
    if step <= 0:
        return 0
    found = max(0, -math.floor(math.log10(step) + 1e-9))
    return found + bool(round(step * 10**found, 6) % 1)  # a step of 2.5 needs one more


def moments(start: int, end: int, tz: str, count: int = 10) -> list[tuple[int, str]]:
    """Return round instants between two times (ns UTC), named as the zone's clock shows them."""
    zone = ZoneInfo(tz)
    seconds = (end - start) / SECOND
    begin = datetime.fromtimestamp(start / SECOND, UTC).astimezone(zone)
    until = datetime.fromtimestamp(end / SECOND, UTC).astimezone(zone)
    if seconds > 45 * DAY:
        total = (until.year - begin.year) * 12 + until.month - begin.month
        step = next((s for s in (1, 2, 3, 6, 12, 24, 60, 120) if total / s <= count), 240)
        at = [divmod(m, 12) for m in range(begin.year * 12, until.year * 12 + 12, step)]
        named = [datetime(y, m + 1, 1, tzinfo=zone) for y, m in at if y]
        form = "%Y" if step >= 12 else "%b %Y"
    elif seconds > 3 * DAY:
        step = next((s for s in (1, 2, 5, 7, 14) if seconds / DAY / s <= count), 14)
        day = begin.replace(hour=0, minute=0, second=0, microsecond=0)
        named = [day + timedelta(days=n) for n in range(0, int(seconds / DAY) + 2, step)]
        form = "%d %b"
    else:
        step = next((s for s in CLOCK if seconds / s <= count), DAY)
        day = begin.replace(hour=0, minute=0, second=0, microsecond=0)
        skip = int((begin - day).total_seconds() // step)
        named = [day + timedelta(seconds=step * (skip + n)) for n in range(count + 4)]
        form = "%H:%M:%S" if step < 60 else "%H:%M"
    found = [(int(one.timestamp()) * SECOND, one) for one in named]
    return [
        (ns, one.strftime(form).lstrip("0") if form == "%d %b" else one.strftime(form))
        for ns, one in found
        if start <= ns <= end
    ]


@dataclass(frozen=True)
class Axes:
    """A rectangle of a picture: times across, values up."""

    start: int
    end: int
    low: float
    high: float
    top: float
    bottom: float

    def x(self, times: Array | int) -> Any:
        """Return pixels from the left."""
        return LEFT + (times - self.start) / max(self.end - self.start, 1) * (WIDTH - LEFT - RIGHT)

    def y(self, values: Array | float) -> Any:
        """Return pixels from the top."""
        return self.bottom - (values - self.low) / (self.high - self.low) * (self.bottom - self.top)


def axes(times: Array, low: float, high: float, top: float, bottom: float) -> Axes:
    """Return axes around times and values, with room when the values are all the same."""
    pad = (high - low) * 0.04 or abs(high) * 0.01 or 1.0
    return Axes(int(times[0]), int(times[-1]), low - pad, high + pad, top, bottom)


def points(at: Axes, times: Array, values: Array) -> str:
    """Return a path through the points."""
    pairs = zip(at.x(times).tolist(), at.y(values).tolist(), strict=True)
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in pairs)


def grid(at: Axes, count: int, percent: bool = False) -> str:
    """Return horizontal lines with their values at the right."""
    scale = 100 if percent else 1
    values = steps(at.low * scale, at.high * scale, count)
    step = values[1] - values[0] if len(values) > 1 else abs(values[0]) / 100 if values else 0
    edge, drawn = WIDTH - RIGHT, []
    for value in values:
        y = at.y(value / scale)
        text = amount(value, step) + (" %" if percent else "")
        drawn.append(
            f'<path class="g" d="M{LEFT} {y:.1f}H{edge}" stroke="#8884"/>'
            f'<text class="t" x="{edge + 8}" y="{y + 3.5:.1f}">{text}</text>'
        )
    return "".join(drawn)


def dates(at: Axes, tz: str, y: float) -> str:
    """Return the names of round instants along the bottom."""
    drawn = []
    for ns, name in moments(at.start, at.end, tz):
        x = at.x(ns)
        if LEFT + 14 < x < WIDTH - RIGHT - 14:
            drawn.append(
                f'<path class="g" d="M{x:.1f} {at.top:.1f}V{at.bottom:.1f}" stroke="#8883"/>'
                f'<text class="t" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{name}</text>'
            )
    return "".join(drawn)


def picture(height: float, label: str, body: str) -> str:
    """Return the whole SVG element."""
    return (
        f'<svg class="ot-svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(label)}" font-size="11" fill="{INK["mute"]}">{body}</svg>'
    )


def equity(times: Array, money: Array, drawdown: Array, tz: str) -> str:
    """Return equity over drawdown on one time axis."""
    up = axes(times, float(np.nanmin(money)), float(np.nanmax(money)), 8, 170)
    deepest = float(np.nanmin(drawdown)) * 1.08 or -0.01  # a run that never fell gets 1 %
    down = Axes(up.start, up.end, deepest, 0.0, 184, 250)
    line, under = points(up, *thin(times, money)), points(down, *thin(times, drawdown))
    left, right = up.x(up.start), up.x(up.end)
    base, level = up.y(float(money[0])), up.y(float(money[-1]))
    body = (
        dates(Axes(up.start, up.end, 0, 1, 8, 250), tz, 268)
        + grid(up, 4) + grid(down, 2, percent=True)
        + f'<path class="b" d="M{left:.1f} {base:.1f}H{right:.1f}" stroke="#888" '
        'stroke-dasharray="2 4"/>'
        f'<path class="a" d="{line}V{up.bottom}H{left:.1f}Z" fill="{INK["line"]}" '
        'fill-opacity=".09" stroke="none"/>'
        f'<path class="l" d="{line}" fill="none" stroke="{INK["line"]}"/>'
        f'<circle class="e" cx="{right:.1f}" cy="{level:.1f}" r="3" fill="{INK["line"]}"/>'
        f'<path class="d" d="{under}V{down.top}H{left:.1f}Z" fill="{INK["loss"]}" '
        f'fill-opacity=".18" stroke="{INK["loss"]}"/>'
    )  # fmt: skip
    return picture(274, "equity and drawdown", body)


def fills(
    times: Array, prices: Array, made: Sequence[tuple[int, float, float, bool]], tz: str
) -> str:
    """Return the price line with a triangle for each fill (ns, price, quantity, buy)."""
    level = [price for _, price, _, _ in made]
    low, high = min([float(prices.min()), *level]), max([float(prices.max()), *level])
    at = axes(times, low, high, 10, 190)
    body = (
        dates(at, tz, 208)
        + grid(at, 4)
        + f'<path class="p" d="{points(at, *thin(times, prices))}" fill="none" '
        f'stroke="{INK["mute"]}"/>' + marks(at, made, tz)
    )
    return picture(214, "fills on price", body)


def marks(at: Axes, made: Sequence[tuple[int, float, float, bool]], tz: str) -> str:
    """Return up triangles under buys and down triangles over sells; one a pixel when many."""
    zone, many = ZoneInfo(tz), len(made) > TITLED
    shapes: dict[tuple[bool, int, int], str] = {}
    for n, (ns, price, quantity, buy) in enumerate(made):
        x, y = float(at.x(ns)), float(at.y(price))
        key = (buy, round(x), round(y / 3)) if many else (buy, n, 0)
        if key in shapes:
            continue
        away, size = (1 if buy else -1), ("l2 {0}h-4z" if many else "l4 {1}h-8z")
        shape = f"M{x:.1f} {y + 2 * away:.1f}" + size.format(4 * away, 7 * away)
        if not many:
            when = datetime.fromtimestamp(ns / SECOND, UTC).astimezone(zone)
            side = "buy" if buy else "sell"
            what = f"{side} {quantity:,.10g} at {price:,.10g}, {when:%Y-%m-%d %H:%M:%S}"
            shape = f'{shape}"><title>{escape(what)}</title></path>'
        shapes[key] = shape
    drawn = []
    for buy, name in ((True, "gain"), (False, "loss")):
        ours = [shape for key, shape in shapes.items() if key[0] is buy]
        start = f'<path class="{name}" fill="{INK[name]}" fill-opacity="{0.7 if many else 1}" d="'
        if many and ours:
            drawn.append(f'{start}{"".join(ours)}"/>')
        else:
            drawn += [start + shape for shape in ours]
    return "".join(drawn)
