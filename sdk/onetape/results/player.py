# pyright: standard
"""How a replay looks: in words, in a notebook's cell, and as a widget to scrub with."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from onetape.results import page_style as css
from onetape.results.text import shown
from onetape.results.trace import exact
from onetape.tape import kinds
from onetape.tape.event import Event

if TYPE_CHECKING:
    import polars as pl

    from onetape.results.replay import Replay

BAR = 30  # characters of the bar in a text
STOPS = 2_000  # places at which the widget's slider stops, at most
BEAT = 120  # ms between two stops while it plays
INK = "#3b82f6"
ROWS = 12  # positions and orders shown
SILENT = ("kind", "client_order_id", "strategy", "account")  # said elsewhere, or of no interest
LOOK = """.ot-b{height:6px;border-radius:3px;background:var(--ot-ln);margin:12px 0 12px;
overflow:hidden}.ot-b>div{height:100%;background:var(--ot-ac)}
.ot-last{margin:0;padding:9px 12px;background:var(--ot-p);border-radius:6px}
.ot-last code{color:var(--ot-mu)}.ot .ot-two{display:flex;gap:24px;flex-wrap:wrap}
.ot .ot-two>div{flex:1 1 320px;min-width:0}"""


def words(event: Event) -> str:
    """Return what an event says, for people."""
    fact = event.fact
    if isinstance(fact, kinds.OrderFilled):
        verb = "bought" if fact.side == "BUY" else "sold"
        paid = f", commission {exact(fact.commission)} {fact.commission_currency}"
        what = f"{verb} {exact(fact.quantity)} {fact.instrument} at {exact(fact.price)}"
        return what + (paid if fact.commission else "")
    if isinstance(fact, kinds.OrderInitialized):
        limit = f" at {exact(fact.price)}" if fact.price is not None else ""
        what = f"{fact.type.lower()} order to {fact.side.lower()} {exact(fact.quantity)}"
        return f"{what} {fact.instrument}{limit}, {fact.client_order_id}"
    if isinstance(fact, kinds.OrderVoided):
        why = f": {fact.reason}" if fact.reason else ""
        return f"trade {fact.trade_id} in {fact.instrument} is taken back{why}"
    if isinstance(fact, kinds.DecisionMade):
        amount = exact(fact.quantity) if fact.weight is None else f"weight {fact.weight}"
        why = f': "{fact.why}"' if fact.why else ""
        return f"{fact.strategy} wants {fact.intent} {amount} {fact.instrument or ''}{why}"
    if isinstance(fact, kinds.CashDeposited):
        return f"{exact(fact.amount)} {fact.currency} arrive in {fact.account}"
    if isinstance(fact, kinds.SplitApplied):
        return f"each {fact.instrument} becomes {exact(fact.ratio)}"
    if isinstance(fact, kinds.RunOpened):
        return f"{fact.strategy} begins"
    if isinstance(fact, kinds.OrderFact):
        return ", ".join([fact.client_order_id, *_said(fact)])
    return ", ".join(_said(fact))


def _said(fact: Any) -> list[str]:
    values = ((name, getattr(fact, name)) for name in fact.__struct_fields__)
    return [
        f"{name.replace('_', ' ')} {exact(value)}"
        for name, value in values
        if name not in SILENT and value not in (None, "", (), {})
    ]


def told(replay: Replay) -> str:
    """Return where a replay is and what is held there, as text."""
    filled = round(BAR * _share(replay))
    lines = [
        f"replay of {replay.title}: {_where(replay)}",
        f"  [{'█' * filled}{'·' * (BAR - filled)}]",
    ]
    if replay.event is not None:
        lines.append(f"  last: #{replay.event.seq} {replay.event.kind}, {words(replay.event)}")
    return "\n".join([*lines, *repr(replay.state).splitlines()[1:]])


def card(replay: Replay) -> str:
    """Return the same as HTML for a notebook's cell: no script, nothing fetched."""
    return css.style(css.CARD, css.TABLES, LOOK) + f'<div class="ot ot-card">{_body(replay)}</div>'


def player(replay: Replay) -> Any:
    """Return a Panel column: a player, and the card that follows it."""
    import panel as pn

    if not pn.extension._loaded:
        pn.extension(inline=True)  # so that a notebook shows it without a network
    dark = pn.config.theme == "dark"
    total = len(replay)
    stride = max(1, total // STOPS)
    pane = pn.pane.HTML(_dressed(replay, dark), sizing_mode="stretch_width", margin=0)
    control = pn.widgets.Player(
        start=0,
        end=total,
        step=stride,
        value=replay.position,
        interval=BEAT,
        show_value=True,
        show_loop_controls=False,
        sizing_mode="stretch_width",
    )

    def go(change: Any) -> None:
        replay.step(int(change.new) - replay.position)
        pane.object = _dressed(replay, dark)

    control.param.watch(go, "value")
    ground = "#11161f" if dark else "#ffffff"
    look = {"background": ground, "padding": "12px 16px", "border-radius": "10px"}
    return pn.Column(control, pane, sizing_mode="stretch_width", max_width=1012, styles=look)


def _dressed(replay: Replay, dark: bool) -> str:
    theme = f".ot.ot-sheet{{{css.DARK if dark else css.LIGHT}}}"
    sheet = css.style(css.CARD, css.TABLES, LOOK, theme)
    return f'{sheet}<div class="ot ot-sheet ot-card">{_body(replay)}</div>'


def _equity(replay: Replay) -> str:
    """Return the run's equity as a picture: what has passed drawn full, what is to come faint."""
    run = replay.run
    if run is None or not run.datasets:
        return ""
    from onetape.results import page_data as data
    from onetape.results import page_parts as parts
    from onetape.results import svg

    worth, ts, tz = data.wealth(run), replay.state.ts, data.zone(run)
    if len(worth.times) < 2:
        return ""
    at = svg.axes(worth.times, float(worth.equity.min()), float(worth.equity.max()), 8, 140)
    known = int(worth.times.searchsorted(ts, side="right"))
    drawn = svg.dates(at, tz, 158) + svg.grid(at, 3)
    for part, look in ((slice(None), 'stroke-opacity=".22"'), (slice(None, known), "")):
        if len(worth.times[part]) > 1:
            line = svg.points(at, *svg.thin(worth.times[part], worth.equity[part]))
            drawn += f'<path class="l" d="{line}" fill="none" stroke="{INK}" {look}/>'
    x = float(at.x(min(max(ts, at.start), at.end)))
    drawn += f'<path class="b" d="M{x:.1f} {at.top}V{at.bottom}" stroke="#888"/>'
    if known and replay.state.equity is not None:
        level = float(at.y(float(replay.state.equity)))
        drawn += f'<circle class="e" cx="{x:.1f}" cy="{level:.1f}" r="3.5" fill="{INK}"/>'
    note = f"{run.currency}, {data.city(tz)}"
    return parts.caption("Equity", note) + svg.picture(164, "equity", drawn)


def _share(replay: Replay) -> float:
    return replay.position / len(replay) if len(replay) else 1.0


def _where(replay: Replay) -> str:
    at = "before the first event" if replay.now is None else f"{replay.now:%Y-%m-%d %H:%M:%S} UTC"
    return f"{at}, event {replay.position:,} of {len(replay):,}"


def _body(replay: Replay) -> str:
    state, event = replay.state, replay.event
    last = "nothing has passed yet"
    if event is not None:
        last = f"<code>#{event.seq} {event.kind}</code> {escape(words(event))}"
    money = [("cash", f"{amount:,.2f} {code}") for code, amount in state.cash.items()]
    if state.equity is not None:
        money.insert(0, ("equity", shown("final_equity", state.equity, state.currency)))
    tiles = "".join(f"<div><b>{name}</b><span>{value}</span></div>" for name, value in money)
    grid = f"grid-template-columns:repeat({len(money)},1fr);max-width:{len(money) * 190}px"
    tables = [
        _table("held", state.positions, ("instrument", "quantity", "average_price", "realized")),
        _table("working", state.orders, ("instrument", "side", "type", "quantity", "price")),
    ]
    return (
        f'<div class="ot-h"><span class="ot-n">Replay</span>'
        f'<span class="ot-c">{escape(replay.title)}</span></div>'
        f'<p class="ot-s">{escape(_where(replay))}</p>'
        f'<div class="ot-b"><div style="width:{_share(replay):.2%}"></div></div>'
        f'<p class="ot-last">{last}</p>'
        + (f'<div class="ot-k" style="{grid}">{tiles}</div>' if tiles else "")
        + f'<div class="ot-two">{"".join(tables)}</div>'
        + _equity(replay)
    )


def _table(name: str, frame: pl.DataFrame, columns: tuple[str, ...]) -> str:
    note = f"{frame.height}" if frame.height else "nothing"
    top = f'<div><div class="ot-t"><span>{name}</span><i>{note}</i></div>'
    if not frame.height:
        return top + "</div>"
    head = "".join(f"<th{_left(one)}>{one.replace('_', ' ')}</th>" for one in columns)
    rows = "".join(
        f"<tr>{''.join(_cell(row, one) for one in columns)}</tr>"
        for row in frame.head(ROWS).iter_rows(named=True)
    )
    body = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'{top}<div class="ot-x"><table>{body}</table></div></div>'


def _cell(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if value is None:
        said = "–"
    elif name == "average_price":
        said = f"{value:,.4f}"
    elif name == "realized":
        said = f"{value:,.2f}"
    else:
        said = exact(value)
    return f"<td{_left(name)}>{escape(said)}</td>"


def _left(name: str) -> str:
    return "" if name in ("quantity", "average_price", "realized", "price") else ' class="l"'
