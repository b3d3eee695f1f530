# pyright: standard
"""The pieces of pages: head, tiles, static pictures, tables. All text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from onetape.books.definitions import STATISTICS
from onetape.results import page_data as data
from onetape.results import svg
from onetape.results.text import label

if TYPE_CHECKING:
    from onetape.results.run import Run

Cell = tuple[str, str]  # text and classes
NAMES = {
    "sqn": "SQN", "var_95": "VaR 95 %", "es_95": "Expected shortfall 95 %",
    "avg_trade": "Average trade",
    "probabilistic_sharpe": "Probabilistic Sharpe", "deflated_sharpe": "Deflated Sharpe",
    "max_drawdown_duration": "Longest drawdown",
}  # fmt: skip
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
ROWS = 1_000  # of trades in a report
WARNED = 4  # warnings shown at once, the others behind a click


def name_of(statistic: str) -> str:
    """Return a statistic's name as a heading."""
    said = NAMES.get(statistic, label(statistic))
    return said[:1].upper() + said[1:]


def head(run: Run, level: str = "div") -> str:
    """Return strategy, parameters, what it ran on and from when to when."""
    opened = run.opened
    chips = "".join(
        f'<span class="ot-c">{escape(f"{k}={v}")}</span>' for k, v in run.params.items()
    )
    made = '<span class="ot-y">SYNTHETIC DATA</span>' if synthetic(run) else ""
    shown = [
        f"{d.instrument} ({d.rows:,} {' '.join(filter(None, (d.step, d.data)))})"
        for d in opened.datasets
    ]
    more = f" and {len(shown) - 6} more" if len(shown) > 6 else ""
    start, end = (
        min(d.range[0] for d in opened.datasets),
        max(d.range[1] for d in opened.datasets),
    )
    when = f"{day(start, run)} to {day(end, run)}"
    return (
        f'<{level} class="ot-h"><span class="ot-n">{escape(opened.strategy)}</span>{chips}{made}'
        f"</{level}>"
        f'<p class="ot-s">{escape(", ".join(shown[:6]) + more)}, {when}</p>'
    )


def synthetic(run: Run) -> bool:
    """Whether any of the run's data was made up."""
    return any(d.synthetic for d in run.opened.datasets)


def day(ns: int, run: Run) -> str:
    """Return a date in the run's zone, with the time when the run is short."""
    from onetape.results.run import utc

    ranges = [d.range for d in run.opened.datasets]
    short = max(r[1] for r in ranges) - min(r[0] for r in ranges) < 5 * svg.DAY * svg.SECOND
    local = utc(ns).astimezone(ZoneInfo(data.zone(run)))
    return f"{local:%Y-%m-%d %H:%M}" if short else f"{local:%Y-%m-%d}"


def warnings(run: Run) -> str:
    """Return what to know before believing the figures, the made up and the wrong first."""
    heavy = ("SYNTHETIC", "orders were", "optimistic")
    ranked = sorted(run.warnings, key=lambda w: (not any(h in w for h in heavy), ": info:" in w))
    said = [f"<div>{escape(one)}</div>" for one in ranked]
    if len(said) > WARNED + 1:
        rest = f"<summary>{len(said) - WARNED} more</summary>{''.join(said[WARNED:])}"
        said = [*said[:WARNED], f"<details>{rest}</details>"]
    return f'<div class="ot-w">{"".join(said)}</div>' if said else ""


def absent(run: Run) -> str:
    """Return why there is no equity, "" when there is."""
    if run.datasets:
        return ""
    names = escape(", ".join(d.name for d in run.opened.datasets))
    return (
        '<div class="ot-w"><div>No equity, prices or ratios: this run was loaded without its data, '
        "and prices are not on the tape.</div>"
        f"<div>Load it with Run.load(path, data=[…]) naming {names}.</div></div>"
    )


def tiles(run: Run) -> str:
    """Return the figures, each with its formula as a tooltip."""
    drawn = []
    for name, value, tip, tone in data.figures(run):
        number, _, unit = (
            value.rpartition(" ") if value[:1].isdigit() or value[:1] in "−" else (value, "", "")
        )
        small = f" <small>{escape(unit)}</small>" if number and unit else ""
        drawn.append(
            f'<div title="{escape(tip)}"><b>{escape(name_of(name))}</b>'
            f'<span class="{tone}">{escape(number or unit)}{small}</span></div>'
        )
    few = f' style="grid-template-columns:repeat({len(drawn)},1fr)"' if len(drawn) < 6 else ""
    return f'<div class="ot-k"{few}>{"".join(drawn)}</div>'


def caption(left: str, right: str) -> str:
    """Return a picture's heading."""
    return f'<div class="ot-t"><span>{escape(left)}</span><i>{escape(right)}</i></div>'


def pictures(run: Run) -> str:
    """Return the static pictures: equity with drawdown, fills on the most traded price."""
    if not run.datasets:
        return ""
    tz, worth = data.zone(run), data.wealth(run)
    drawn = ""
    if len(worth.times) > 1:
        drawn = caption("Equity and drawdown", f"{run.currency}, {data.city(tz)}")
        drawn += svg.equity(worth.times, worth.equity, worth.drawdown, tz)
    ranked = data.traded(run)
    name, count = ranked[0]
    tape = data.tape(run, name)
    if len(tape.times) > 1:
        which = f"{name}: {count:,} fills" if count else f"{name}: no fills"
        if len(ranked) > 1 and count:
            total = sum(n for _, n in ranked)
            which += f", the most traded of {len(ranked)} instruments ({total:,} fills in all)"
        made = list(tape.fills.select("ts", "price", "quantity", "buy").iter_rows())
        drawn += caption("Fills on price", f"▲ buy  ▼ sell  ·  {which}")
        drawn += svg.fills(tape.times, tape.prices, made, tz)
    return drawn


def fingerprint(run: Run) -> str:
    """Return conventions, versions and fingerprint as a list of terms."""
    terms = [*run.conventions.items()]
    read = ", ".join(f"{d.name} {d.fingerprint[:12]}…" for d in run.opened.datasets[:12])
    terms.append(("data", read))
    body = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in terms)
    size = f"{len(run.recording):,} events"
    named = f"<dt>id</dt><dd><code>{escape(run.id)}</code></dd>" if run.id else ""
    mark = f"{named}<dt>fingerprint</dt><dd><code>{run.fingerprint}</code>, {size}</dd>"
    return f'<dl class="ot-f">{body}{mark}</dl>'


def table(
    heads: Sequence[str], rows: Iterable[Sequence[Cell]], kind: str = "", left: int = 1
) -> str:
    """Return a table; the first `left` columns stand left."""
    top = "".join(
        f'<th class="{"l" if n < left else ""}">{escape(h)}</th>' for n, h in enumerate(heads)
    )
    body = "".join(
        "<tr>" + "".join(f'<td class="{css}">{escape(text)}</td>' for text, css in row) + "</tr>"
        for row in rows
    )
    return framed(kind, top, body)


def framed(kind: str, top: str, body: str) -> str:
    """Return a table's rows in their frame."""
    inner = f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="ot-x {kind}"><table>{inner}</table></div>'


def tone(value: float | None) -> str:
    """Return the class of a signed number."""
    return "" if not value else "gain" if value > 0 else "loss"


def signed(value: float | None, form: str = ",.2f", unit: str = "") -> Cell:
    """Return a number with its sign, and its class."""
    if value is None:
        return "–", "m"
    text = f"{value:+{form}}{unit}".replace("-", "−")
    if not any(digit in text for digit in "123456789"):  # nothing, once rounded: no sign
        return text.lstrip("+−"), ""
    return text, tone(value)


def statistics(run: Run) -> str:
    """Return every statistic with its formula, convention and source."""
    rows: list[list[Cell]] = []
    for name, value in run.stats.items():
        one = STATISTICS[name]
        rows.append([
            (name_of(name), "l"), (data.figure(name, value, run.currency), data.tone(name, value)),
            (one.formula, "l wrap"), (one.convention, "l wrap m"), (one.source, "l wrap m"),
        ])  # fmt: skip
    heads = ("Statistic", "Value", "Formula", "Convention", "Source")
    text = table(heads, rows, "all")
    for name in heads[2:]:
        text = text.replace(f'<th class="">{name}</th>', f'<th class="l">{name}</th>')
    return text


def months(run: Run) -> str:
    """Return the heatmap: a row a year, a column a month, the year's return at the end."""
    years = data.months(run)
    known = sorted(abs(v) for _, row, _ in years for v in row if v is not None)
    most = known[int(len(known) * 0.95)] if known else 1.0
    body = ""
    for year, row, whole in years:
        cells = "".join(heat(v, most, f"{m} {year}") for m, v in zip(MONTHS, row, strict=True))
        text, css = signed(whole * 100, ".1f")
        body += f'<tr><td class="m">{year}</td>{cells}<td class="y {css}">{text}</td></tr>'
    top = "".join(f"<th>{name}</th>" for name in ("", *MONTHS, "Year"))
    return framed("all months", top, body)


def heat(value: float | None, most: float, when: str) -> str:
    """Return a month's cell: the stronger the return, the deeper the colour."""
    if value is None:
        return "<td></td>"
    depth = 0 if not most else round(min(abs(value) / most, 1) * 62)
    colour = "var(--ot-up)" if value > 0 else "var(--ot-dn)"
    text = signed(value * 100, ".1f")[0]
    ground = f"background:color-mix(in srgb,{colour} {depth}%,transparent)"
    return f'<td title="{when}: {text} %" style="{ground}">{text}</td>'


def trades(run: Run) -> str:
    """Return the round trips, newest first."""
    frame = run.trades.sort("entry_ts", descending=True).head(ROWS)
    if not frame.height:
        return '<p class="ot-note">No trades: no fill opened a position.</p>'
    tz = data.zone(run)
    local = [
        pl.col(c).dt.convert_time_zone(tz).dt.strftime("%Y-%m-%d %H:%M:%S")
        for c in ("entry_ts", "exit_ts")
    ]
    floats = pl.col("quantity", "entry_price", "exit_price", "commission", "net").cast(pl.Float64)
    rows: list[list[Cell]] = []
    for one in frame.with_columns(*local, floats).iter_rows(named=True):
        price = [
            ("–", "m") if one[c] is None else (price_text(one[c]), "")
            for c in ("entry_price", "exit_price")
        ]
        side = (("▲ " if one["side"] == "LONG" else "▼ ") + one["side"].lower(), "l")
        ended = (one["exit_ts"] or "open", "l" if one["exit_ts"] else "l m")
        rows.append([
            (one["instrument"], "l"), side, (one["entry_ts"], "l"), ended,
            (f"{one['quantity']:,.10g}", ""), *price, (lasted(one["duration"]), ""),
            (f"{one['commission']:,.2f}", "m"), signed(one["net"]),
            signed(None if one["return"] is None else one["return"] * 100, ",.2f", " %"),
        ])  # fmt: skip
    heads = (
        "Instrument", "Side", f"Entry ({data.city(tz)})", "Exit", "Quantity", "Entry price",
        "Exit price", "Held", "Commission", f"Net ({run.currency})", "Return",
    )  # fmt: skip
    cut = f"The last {ROWS:,} of {run.trades.height:,} trades. " if run.trades.height > ROWS else ""
    note = "Net is after commission; an open trade shows what it realized so far."
    return table(heads, rows, left=4) + f'<p class="ot-note">{cut}{note}</p>'


def price_text(price: float) -> str:
    """Return a price with thousands separated and at least two digits."""
    return f"{price:,.2f}" if abs(price) >= 20 else f"{price:,.5f}"


def lasted(duration: timedelta | None) -> str:
    """Return a duration as one number and its unit."""
    if duration is None:
        return "–"
    seconds = duration.total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def instruments(run: Run) -> str:
    """Return what each instrument brought; "" when there is only one."""
    frame = data.by_instrument(run)
    if frame.height < 2:
        return ""
    rows: list[list[Cell]] = []
    for one in frame.iter_rows(named=True):
        rate = one["win_rate"]
        net = None if one["net"] is None else float(one["net"])
        rows.append([
            (one["instrument"], "l"), (f"{one['fills']:,}", ""), (f"{one['trades'] or 0:,}", ""),
            ("–", "m") if rate is None else (f"{rate * 100:.1f} %", ""), signed(net),
        ])  # fmt: skip
    heads = (
        "Instrument",
        "Fills",
        "Closed trades",
        "Win rate",
        f"Net of closed trades ({run.currency})",
    )
    return "<h3>By instrument</h3>" + table(heads, rows, "all")
