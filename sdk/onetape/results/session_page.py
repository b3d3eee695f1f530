# pyright: standard
"""How a session looks: in words, as a card in a notebook's cell, as a table of sessions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from typing import Any

import msgspec

from onetape.results import page_parts as parts
from onetape.results import page_style as css
from onetape.results.endpoints import redacted
from onetape.results.session_view import View
from onetape.run.folder import Endpoint, Holding, LiveSpec

Both = tuple[LiveSpec, View]
LOOK = """.ot-o{display:inline-block;width:9px;height:9px;border-radius:50%;margin-right:6px;
background:var(--ot-mu)}.ot-o.up{background:var(--ot-up)}.ot-o.wa{background:var(--ot-wl)}
.ot-o.dn{background:var(--ot-dn)}.ot-b{font-weight:600}.ot table{color:var(--ot-tx)}
"""
TONES = {
    "running": "up",
    "stopped": "",
    "failed": "dn",
    "killed": "dn",
    "lost": "dn",
    "stuck": "dn",
}
SHOWN = 12  # lines of an error
CENT, MICRO = Decimal("0.01"), Decimal("0.000001")


class Text(str):
    """Text that shows itself as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


# -- in words


def told(spec: LiveSpec, view: View) -> str:
    """Return a session in plain text."""
    one, money = view.status, view.pnl
    lines = [f"{spec.session}: {view.state}", f"  {'what':<10}{_what(spec)}, {_where(spec)}"]
    if one is not None:
        equity = "–" if money.equity is None else f"{money.equity:,.2f}"
        lines += [
            f"  {'equity':<10}{equity} {money.currency}, realized {money.realized:+,.2f}, "
            f"unrealized {money.unrealized:+,.2f}",
            f"  {'orders':<10}{one.orders_sent:,} sent, {one.working:,} working, "
            f"{one.fills:,} fills, {one.denied:,} denied",
        ]
        lines += [f"  {'holds':<10}{_held(one)}" for one in one.positions]
    lines += [f"  ! {said}" for said in warnings(view)]
    return "\n".join(lines)


def _held(one: Holding) -> str:
    mark = "" if one.mark is None else f", now {one.mark}"
    return f"{one.quantity} {one.instrument} at {_average(one.average_price)}{mark}"


def _average(price: Decimal) -> Decimal:
    """An average to look at: what a division left behind is cut, the digits of prices stay."""
    tick = price.quantize(CENT)
    return tick if tick == price else price.quantize(MICRO).normalize()


def _what(spec: LiveSpec) -> str:
    params = ", ".join(f"{name}={value}" for name, value in spec.params.items())
    return f"{spec.strategy_name}({params})"


def _where(spec: LiveSpec) -> str:
    feed = "" if spec.feed == spec.venue else f", feed {spec.feed.adapter}"
    return f"{spec.mode} on {spec.venue.adapter}, account {spec.account}{feed}"


def warnings(view: View) -> list[str]:
    """Return what somebody should look at, the worst first."""
    health, said = view.health, []
    if view.state == "lost":
        said.append("its processes are gone and it never said that it ended: session.supervise()")
    elif view.state in ("failed", "killed", "stuck", "restarting") and view.why:
        said.append(f"{view.state}: {_short(view.why)}")
    elif view.trading and not view.supervised:
        said.append("no supervisor watches it: session.supervise() starts one")
    if health.gate not in ("", "ACTIVE"):
        said.append(f"the gate is {health.gate}")
    if health.venue not in ("", "connected"):
        said.append(f"the venue is {health.venue}")
    stale = [row for row in health.feeds.iter_rows(named=True) if row["state"] not in OK_FEEDS]
    said += [f"{row['instrument']} {row['data']} is {row['state']}" for row in stale]
    if health.restarts:
        often = "once" if len(health.restarts) == 1 else f"{len(health.restarts)} times"
        said.append(f"started again {often}, last: {health.restarts[-1]}")
    return said


OK_FEEDS = ("live", "closed", "ended")


def _short(error: str) -> str:
    lines = error.strip().splitlines()
    return "\n".join(["...", *lines[-SHOWN:]] if len(lines) > SHOWN else lines)


def listed(found: Sequence[Both]) -> str:
    """Return sessions as lines."""
    if not found:
        return "no sessions yet: ot.trade(...) starts one"
    rows = [(s.session, v.state, s.mode, s.account, _money(v), _age(v)) for s, v in found]
    wide = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(w) for text, w in zip(row, wide, strict=True)).rstrip() for row in rows
    )


def _money(view: View) -> str:
    return "" if view.status is None else f"{view.pnl.total:+,.2f} {view.pnl.currency}"


def _age(view: View) -> str:
    if view.status is None or not view.status.ts:
        return ""
    return f"{datetime.fromtimestamp(view.status.ts // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def plain(spec: LiveSpec, view: View) -> dict[str, Any]:
    """Return a session as plain JSON types, without secrets."""

    def end(one: Endpoint) -> dict[str, Any]:
        return {"adapter": one.adapter, "config": redacted(one.config)}

    status = None if view.status is None else msgspec.to_builtins(view.status)
    return {
        "session": spec.session,
        "state": view.state,
        "why": view.why,
        "alive": view.alive,
        "supervised": view.supervised,
        "restarts": list(view.health.restarts),
        "strategy": spec.strategy_name,
        "params": spec.params,
        "mode": spec.mode,
        "account": spec.account,
        "venue": end(spec.venue),
        "feed": end(spec.feed),
        "warnings": warnings(view),
        "status": status,
    }


# -- as HTML


def card(spec: LiveSpec, view: View) -> str:
    """Return a session as HTML for a notebook's cell: no script, nothing fetched."""
    return (
        css.style(css.CARD, css.TABLES, LOOK)
        + '<div class="ot ot-card">'
        + _head(spec, view)
        + _warned(view)
        + _tiles(view)
        + _positions(view)
        + _foot(spec, view)
        + "</div>"
    )


def _head(spec: LiveSpec, view: View) -> str:
    chips = "".join(
        f'<span class="ot-c">{escape(f"{k}={v}")}</span>' for k, v in spec.params.items()
    )
    live = '<span class="ot-y">LIVE</span>' if spec.mode == "live" else ""
    mode = live or '<span class="ot-c">paper</span>'
    return (
        f'<div class="ot-h"><span class="ot-n">{escape(spec.strategy_name)}</span>{mode}{chips}'
        f"{_state(view)}</div>"
        f'<p class="ot-s">{escape(_where(spec))}{escape(_since(spec))}</p>'
    )


def _state(view: View) -> str:
    tone = TONES.get(view.state, "wa")
    return f'<span><i class="ot-o {tone}"></i><span class="ot-b">{escape(view.state)}</span></span>'


def _since(spec: LiveSpec) -> str:
    if not spec.created:
        return ""
    return (
        f", since {datetime.fromtimestamp(spec.created // 1_000_000_000, UTC):%Y-%m-%d %H:%M} UTC"
    )


def _warned(view: View) -> str:
    said = "".join(
        f'<div style="white-space:pre-wrap">{escape(one)}</div>' for one in warnings(view)
    )
    return f'<div class="ot-w">{said}</div>' if said else ""


def _tiles(view: View) -> str:
    one, money = view.status, view.pnl
    if one is None:
        return ""
    equity = "–" if money.equity is None else f"{money.equity:,.2f}"
    total, unrealized = parts.signed(_float(money.total)), parts.signed(_float(money.unrealized))
    told = [
        ("Equity", equity, "", "cash and holdings at the last prices", money.currency),
        ("Profit", *total, "realized and unrealized", money.currency),
        ("Unrealized", *unrealized, "of what is held", money.currency),
        ("Orders", f"{one.orders_sent:,}", "", "sent to the venue", f"{one.denied:,} denied"),
        ("Fills", f"{one.fills:,}", "", "executions", ""),
        ("Working", f"{one.working:,}", "", "orders that may still trade", ""),
    ]
    drawn = "".join(
        f'<div title="{escape(tip)}"><b>{name}</b><span class="{tone}">{escape(value)} '
        f"<small>{escape(small)}</small></span></div>"
        for name, value, tone, tip, small in told
    )
    return f'<div class="ot-k">{drawn}</div>'


def _number(value: Decimal) -> str:
    return f"{value:,}".replace("-", "−")


def _float(value: Decimal) -> float:
    return float(value)  # for show: rounded to cents


def _positions(view: View) -> str:
    if view.status is None or not view.status.positions:
        return ""
    rows: list[list[parts.Cell]] = []
    for one in view.status.positions:
        earned = parts.signed(None if one.unrealized is None else _float(one.unrealized))
        mark = "–" if one.mark is None else _number(one.mark)
        cells = [
            (one.instrument, "l"),
            (_number(one.quantity), ""),
            (_number(_average(one.average_price)), ""),
        ]
        rows.append([*cells, (mark, ""), earned])
    heads = ("Instrument", "Quantity", "Average price", "Price now", "Unrealized")
    return parts.caption("Positions", f"{len(rows):,}") + parts.table(heads, rows)


def _foot(spec: LiveSpec, view: View) -> str:
    health, terms = view.health, []
    for row in health.feeds.iter_rows(named=True):
        age = "" if row["age_s"] is None else f", last {row['age_s']:.1f} s ago"
        said = f"{row['instrument']} {row['data']}: {row['state']}, {row['rows']:,} rows{age}"
        terms.append(("feed", said))
    if health.venue or health.gate:
        terms.append(("venue", f"{health.venue or '–'}, gate {health.gate or '–'}"))
    if health.heartbeat_s is not None and view.alive:
        late = f", {health.tape_lag:,} events wait for the tape" if health.tape_lag else ""
        terms.append(("heartbeat", f"{health.heartbeat_s:.1f} s ago{late}"))
    if view.status is not None and view.status.detail and view.state not in ("failed", "killed"):
        terms.append(("said", view.status.detail))
    body = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in terms)
    shown = f"{datetime.fromtimestamp(time.time(), UTC):%H:%M:%S} UTC"
    mark = f"<dt>id</dt><dd><code>{escape(spec.session)}</code>, as of {shown}</dd>"
    return f'<dl class="ot-f">{body}{mark}</dl>'


def table(found: Sequence[Both]) -> str:
    """Return sessions as an HTML table."""
    if not found:
        return f"<pre>{escape(listed(found))}</pre>"
    rows: list[list[parts.Cell]] = []
    for spec, view in found:
        money = ("–", "m") if view.status is None else parts.signed(_float(view.pnl.total))
        tone = {"up": "gain", "dn": "loss"}.get(TONES.get(view.state, ""), "")
        rows.append([
            (spec.session, "l"), (view.state, f"l {tone}"), (spec.mode, "l"), (spec.account, "l"),
            money, (view.pnl.currency, "l m"), (_age(view), "m"),
        ])  # fmt: skip
    heads = ("Session", "State", "Mode", "Account", "Profit", "", "Last word")
    drawn = parts.table(heads, rows, "all", left=4)
    return f'{css.style(css.CARD, css.TABLES, LOOK)}<div class="ot ot-card">{drawn}</div>'
