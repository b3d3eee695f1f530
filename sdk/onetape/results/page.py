# pyright: standard
"""Pages: the card in a notebook cell, and reports as one file that opens without a network.

card      static HTML and SVG, no script: it stays readable in a notebook that was closed
report    everything about one run; charts move, tables sort
reports   several runs side by side, then each of them
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from onetape.errors import SettingsError
from onetape.results import page_data as data
from onetape.results import page_parts as parts
from onetape.results import page_style as css

if TYPE_CHECKING:
    from onetape.results.run import Run

COMPARED = (
    "final_equity", "total_return", "annual_return", "sharpe", "max_drawdown", "win_rate",
    "profit_factor", "trades", "fees",
)  # fmt: skip
SORT = """document.querySelectorAll('.ot-x:not(.months) th').forEach(function(h){
h.style.cursor='pointer';h.title='sort';h.onclick=function(){
var b=h.closest('table').tBodies[0],i=h.cellIndex,up=h.dataset.up=h.dataset.up==='1'?'0':'1';
function v(r){var t=r.cells[i].textContent.trim(),
n=parseFloat(t.replace(/,/g,'').replace('\\u2212','-'));
return /^[+\\u2212-]?[\\d.,]+( \\S+)?$/.test(t)?n:t}
Array.from(b.rows).sort(function(x,y){var p=v(x),q=v(y);
var c=typeof p==='number'&&typeof q==='number'?p-q:String(p).localeCompare(String(q));
return up==='1'?c:-c}).forEach(function(r){b.appendChild(r)})}})"""


def card(run: Run) -> str:
    """Return a run as HTML for a notebook cell: no script, nothing fetched."""
    return (
        css.style(css.CARD)
        + '<div class="ot ot-card">'
        + parts.head(run)
        + parts.warnings(run)
        + parts.absent(run)
        + parts.tiles(run)
        + parts.pictures(run)
        + parts.fingerprint(run)
        + "</div>"
    )


def report(run: Run, path: str | Path) -> Path:
    """Write a run as one self-contained HTML file and return its path."""
    return _write([run], Path(path), None)


def reports(runs: Sequence[Run], path: str | Path, title: str = "Runs compared") -> Path:
    """Write several runs as one self-contained HTML file: side by side, then each of them."""
    if not runs:
        raise SettingsError("no runs found, one or more expected: reports([run, other], path)")
    return _write(list(runs), Path(path), title)


def _write(runs: list[Run], path: Path, title: str | None) -> Path:
    from bokeh.embed import components

    from onetape.results import charts

    drawn = [charts.figures(run) for run in runs]
    models = {f"{n}/{k}": fig for n, figs in enumerate(drawn) for k, fig in figs.items()}
    script, divs = components(models) if models else ("", {})
    library = bokeh_inline() if models else ""
    sections = [
        f'<section id="run-{n}">{section(run, {k: divs[f"{n}/{k}"] for k in drawn[n]})}</section>'
        for n, run in enumerate(runs)
    ]
    name = title or f"{runs[0].opened.strategy}: report of a run"
    top = f"<h1>{escape(title)}</h1>{overview(runs)}" if title else ""
    body = top + "".join(sections) if title else sections[0].replace("<section", "<div", 1)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(name)}</title>{css.style(css.CARD, css.TABLES, css.REPORT)}"
        f'{library}</head><body class="ot"><main>{body}{foot(runs)}</main>{script}'
        f"<script>{SORT}</script></body></html>"
    )
    return _atomically(path, page)


def bokeh_inline() -> str:
    """Return bokeh's own script; `render` would add the links that Panel registers with it."""
    from bokeh.resources import Resources

    raw = Resources(mode="inline", components=["bokeh"]).js_raw
    return "".join(f"<script>{text}</script>" for text in raw)


def section(run: Run, divs: dict[str, str]) -> str:
    """Return one run's part of a report, with the charts that were drawn for it."""
    out = [parts.head(run, "h2"), parts.warnings(run), parts.absent(run), parts.tiles(run)]
    zone = escape(data.city(data.zone(run)))
    if "equity" in divs:
        out.append(_titled("Equity and drawdown", f"{run.currency}, {zone}", divs["equity"]))
        out.append(divs["drawdown"])
    prices = [div for key, div in divs.items() if key.startswith("fills")]
    if prices:
        out.append(_titled("Fills on price", f"{zone}; ▲ buy, ▼ sell", "".join(prices)))
    if run.datasets:
        out.append(_titled("Monthly returns", "per cent, of equity", parts.months(run)))
    pair = [("sharpe", f"Rolling Sharpe ratio, {data.WINDOW} days"), ("returns", "Daily returns")]
    halves = "".join(f"<div>{_titled(name, '', divs[k])}</div>" for k, name in pair if k in divs)
    out.append(f'<div class="two">{halves}</div>' if halves else "")
    out.append(parts.instruments(run))
    out.append(_titled("Trades", f"{run.trades.height:,}, newest first", parts.trades(run)))
    if run.datasets:
        out.append(_titled("Statistics", "what each means", parts.statistics(run)))
    out.append(_titled("Where a number comes from", "the last fill, traced", trace_note(run)))
    out.append(_titled("Conventions and fingerprint", "", parts.fingerprint(run)))
    return "".join(out)


def _titled(name: str, note: str, body: str) -> str:
    return f"<h3>{escape(name)} <i>{escape(note)}</i></h3>{body}"


def trace_note(run: Run) -> str:
    """Return the chain of causes of the last fill, or of the run when nothing was filled."""
    found = run.trace(run.fills[-1]) if run.fills.height else None
    if found is None:
        said = "nothing was filled; run.trace(seq) explains any event of the tape"
    else:
        said = f"run.trace(run.fills[-1])\n\n{found!r}"
    return f"<pre>{escape(said)}</pre>"


def overview(runs: Sequence[Run]) -> str:
    """Return a table: one row a run, one column a figure."""
    rows: list[list[parts.Cell]] = []
    for run in runs:
        params = ", ".join(f"{k}={v}" for k, v in run.params.items())
        made = "SYNTHETIC " if parts.synthetic(run) else ""
        names = ", ".join(d.instrument for d in run.opened.datasets)
        row = [(f"{run.opened.strategy}({params})", "l wrap"), (made + names, "l wrap m")]
        if run.datasets:
            stats, code = run.stats, run.currency
            row += [(data.figure(n, stats[n], code), data.tone(n, stats[n])) for n in COMPARED]
        else:
            row += [("–", "m")] * len(COMPARED)
        rows.append(row)
    heads = ["Run", "Data", *(parts.name_of(n) for n in COMPARED)]
    side = parts.table(heads, rows, "all", left=2)
    return f'<p class="ot-s">{links(runs)}</p><h3>Side by side</h3>{side}'


def links(runs: Sequence[Run]) -> str:
    """Return a link to each run's section."""
    drawn = []
    for n, run in enumerate(runs):
        names = [d.instrument for d in run.opened.datasets]
        where = names[0] if len(names) == 1 else f"{len(names)} instruments"
        drawn.append(f'<a href="#run-{n}">{escape(f"{run.opened.strategy} on {where}")}</a>')
    return f"{len(runs)} runs: " + " · ".join(drawn)


def foot(runs: Sequence[Run]) -> str:
    """Return the last line: which versions made this, and that it fetches nothing."""
    versions = ", ".join(f"{k} {v}" for k, v in runs[0].opened.versions.items())
    return f"<footer>{escape(versions)}. This file holds all it needs and fetches nothing.</footer>"


def _atomically(path: Path, text: str) -> Path:
    """Write beside the path and rename, so that no reader ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return path
