"""How a drift looks: as text, and as a card with a waterfall and a table of its items."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING

from onetape.results import page_style as css
from onetape.results import svg

if TYPE_CHECKING:
    from onetape.results.drift import Drift, Item

SHOWN = 40  # items in a card
TOP, BASE, BAR = 14.0, 150.0, 0.62  # of the waterfall: pixels, and a bar's share of its column


def text(drift: Drift) -> str:
    """Return a drift as plain text."""
    if drift.identical:
        return f"no drift: the same orders, fills and P&L of {_money(drift, drift.pnl)}"
    lines = [f"drift of {_money(drift, drift.gap)}: {_sequence(drift)}"]
    count = Counter(one.kind for one in drift.items if one.instrument)
    rows = [("P&L of the run", drift.pnl), *drift.by_kind().items()]
    rows.append(("P&L of the other", drift.other_pnl))
    for name, amount in rows:
        times = f"  {count[name]:>6,} x" if count[name] else ""
        lines.append(f"  {name:<16}  {amount:>18,.2f}{times}")
    lines += [f"  ! {one.detail}" for one in drift.items if not one.instrument and _noted(one)]
    return "\n".join(lines)


def html(drift: Drift) -> str:
    """Return a drift as HTML for a notebook cell: no script, nothing fetched."""
    head = "no drift" if drift.identical else f"drift {_money(drift, drift.gap)}".replace("-", "−")
    notes = [one.detail for one in drift.items if not one.instrument and _noted(one)]
    said = "".join(f"<div>{escape(one)}</div>" for one in notes)
    return (
        css.style(css.CARD, css.TABLES)
        + '<div class="ot ot-card">'
        + f'<div class="ot-h"><span class="ot-n">{escape(head)}</span></div>'
        + f'<p class="ot-s">{escape(drift.run.opened.strategy)}: {escape(_sequence(drift))}</p>'
        + (f'<div class="ot-w">{said}</div>' if said else "")
        + waterfall(drift)
        + _table(drift)
        + "</div>"
    )


def _sequence(drift: Drift) -> str:
    if drift.sequence_equal:
        return f"the same {len(drift.sequences[0]):,} events of orders"
    return f"the events of orders part at number {(drift.parted or 0) + 1:,}"


def _noted(one: Item) -> bool:
    return one.kind != "residual"


def _money(drift: Drift, amount: Decimal) -> str:
    return f"{amount:,.2f} {drift.currency}"


def waterfall(drift: Drift) -> str:
    """Return the way from one P&L to the other as an inline picture."""
    steps = [(kind, amount) for kind, amount in drift.by_kind().items() if amount]
    level, bars = drift.pnl, [("run", Decimal(0), drift.pnl, "line")]
    for kind, amount in steps:
        bars.append((kind, level, level + amount, "gain" if amount >= 0 else "loss"))
        level += amount
    bars.append(("other", Decimal(0), drift.other_pnl, "line"))
    ends = [float(end) for _, start, stop, _ in bars for end in (start, stop)]
    low, high = min(ends), max(ends)
    axes = svg.Axes(0, len(bars), low, high if high > low else low + 1, TOP, BASE)
    drawn = [svg.grid(axes, 3)]
    for place, (name, start, stop, kind) in enumerate(bars):
        drawn.append(_bar(axes, place, name, float(start), float(stop), kind))
    return svg.picture(BASE + 34, "from one P&L to the other", "".join(drawn))


def _bar(axes: svg.Axes, place: int, name: str, start: float, stop: float, kind: str) -> str:
    left, right = float(axes.x(place)), float(axes.x(place + 1))
    width = (right - left) * BAR
    x, y = left + (right - left - width) / 2, float(axes.y(max(start, stop)))
    height = max(1.0, float(axes.y(min(start, stop))) - y)
    change = stop if kind == "line" else stop - start
    sign = "+" if kind != "line" and change > 0 else ""
    amount = f"{sign}{change:,.2f}".replace("-", "−")
    middle = x + width / 2
    css_class = "e" if kind == "line" else kind
    return (
        f'<rect class="{css_class}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="2" fill="{svg.INK[kind]}"><title>{escape(name)} {amount}'
        f'</title></rect><text class="t" x="{middle:.1f}" y="{BASE + 14:.1f}" '
        f'text-anchor="middle">{escape(name)}</text><text class="t" x="{middle:.1f}" '
        f'y="{BASE + 28:.1f}" text-anchor="middle">{amount}</text>'
    )


def _table(drift: Drift) -> str:
    some = [one for one in drift.items if one.instrument]
    if not some:
        return ""
    largest = sorted(some, key=lambda one: -abs(one.amount))[:SHOWN]
    kept = set(largest)
    rows = "".join(_row(one) for one in some if one in kept)
    more = f"<i>the {SHOWN} largest of {len(some):,}</i>" if len(some) > SHOWN else ""
    heads = "".join(
        f'<th class="l">{name}</th>' for name in ("cause", "decided", "instrument", "what")
    )
    return (
        f'<div class="ot-t"><span>differences</span>{more}</div><div class="ot-x"><table>'
        f"<thead><tr>{heads}<th>{escape(drift.currency)}</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(one: Item) -> str:
    when = datetime.fromtimestamp(one.decided / 1e9, UTC)
    tone = "gain" if one.amount > 0 else "loss" if one.amount < 0 else "m"
    amount = f"{one.amount:+,.2f}".replace("-", "−") if one.amount else "0.00"
    return (
        f'<tr><td class="l">{escape(one.kind)}</td><td class="l m">{when:%Y-%m-%d %H:%M:%S}</td>'
        f'<td class="l">{escape(one.instrument)}</td><td class="l wrap">{escape(one.detail)}</td>'
        f'<td class="{tone}">{amount}</td></tr>'
    )
