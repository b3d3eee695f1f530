# pyright: standard
"""Charts that move: hvplot figures for a tear sheet in a notebook and for reports.

Times are shown in the zone of the run's data, named on the axis. Colours read on light and on
dark ground. Curves keep the least and the greatest value of each of 2,000 columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from onetape.results import page_data as data
from onetape.results import page_parts as parts
from onetape.results import page_style as css
from onetape.results.svg import digits, kept, steps

if TYPE_CHECKING:
    from onetape.results.run import Run

COLUMNS = 2_000
CROWD = 400  # more fills than this are drawn small
HALF = 240  # pixels: the height of charts that stand in pairs
FEWEST = 20  # different returns have a distribution worth drawing
INSTRUMENTS = 5  # price charts in one sheet, the most traded first
FILLS = 20_000  # triangles in one chart: the latest
LINE, GAIN, LOSS, MUTE = "#3b82f6", "#12a096", "#e07a1f", "#7b8797"
FONT = "Inter, Segoe UI, Roboto, Helvetica, Arial, sans-serif"
MONEY = "0,0.00"
Tips = Sequence[tuple[str, str]]


def figures(run: Run) -> dict[str, Any]:
    """Return the run's charts as bokeh figures by name; none when its data is not at hand."""
    if not run.datasets:
        return {}
    with _quietly():
        return _drawn(run)


def _drawn(run: Run) -> dict[str, Any]:
    made: dict[str, Any] = {}
    worth = data.wealth(run)
    if len(worth.times) > 1:
        made["equity"], made["drawdown"] = wealth(run, worth)
    for name, count in data.traded(run)[:INSTRUMENTS]:
        tape = data.tape(run, name)
        if len(tape.times) > 1 and (count or not any(k.startswith("fills") for k in made)):
            made[f"fills {name}"] = fills(run, tape)
    rolling = data.rolling_sharpe(run)
    if rolling.height > 1:
        made["sharpe"] = sharpe(rolling)
    if data.daily(run)["return"].n_unique() >= FEWEST:
        made["returns"] = returns(run)
    if "equity" in made:  # what happens at one time stands at one place
        for key, one in made.items():
            if key.startswith(("drawdown", "fills")):
                one.x_range = made["equity"].x_range
    return made


def wealth(run: Run, worth: data.Wealth) -> tuple[Any, Any]:
    """Return equity and drawdown."""
    places = np.union1d(
        kept(worth.times, worth.equity, COLUMNS // 2),
        kept(worth.times, worth.drawdown, COLUMNS // 2),
    )
    frame = pl.DataFrame(
        {
            "time": local(worth.times[places], data.zone(run)),
            "equity": worth.equity[places],
            "drawdown": worth.drawdown[places],
        }
    )
    tips = [
        ("", "@time{%F %T}"),
        ("equity", f"@equity{{{MONEY}}} {run.currency}"),
        ("drawdown", "@drawdown{0.00%}"),
    ]
    start = float(worth.equity[0])
    high = _plot(frame).line(x="time", y="equity", color=LINE, line_width=1.6)
    top = _figure(high, 300, tips, _form(worth.equity))
    _level(top, start)
    if not float(np.ptp(worth.equity)):  # a flat line needs an axis to be flat on
        top.y_range.start, top.y_range.end = start * 0.99, start * 1.01
    ground = _plot(frame).area(x="time", y="drawdown", color=LOSS, alpha=0.25, line_alpha=0)
    low = ground * _plot(frame).line(x="time", y="drawdown", color=LOSS, line_width=1)
    said, form = [tips[0], tips[2]], _form(worth.drawdown, percent=True)
    under = _figure(low, 150, said, form, only="Line")  # a filled shape has no rows to hover on
    under.y_range.end = 0.0
    if not float(worth.drawdown.min()):
        under.y_range.start = -0.01
    under.xaxis.axis_label = data.city(data.zone(run))
    return top, under


def fills(run: Run, tape: data.Tape) -> Any:
    """Return the price line with buys as triangles up and sells as triangles down."""
    tz = data.zone(run)
    places = kept(tape.times, tape.prices, COLUMNS)
    line = pl.DataFrame({"time": local(tape.times[places], tz), "price": tape.prices[places]})
    drawn = _plot(line).line(x="time", y="price", color=MUTE, line_width=1.1, label="price")
    last = tape.fills.tail(FILLS)
    made = last.with_columns(local(last["ts"].to_numpy(), tz).alias("time")).drop("ts")
    size, alpha = (70, 1.0) if made.height <= CROWD else (20, 0.7)
    for buy, colour, marker in ((True, GAIN, "triangle"), (False, LOSS, "inverted_triangle")):
        ours = made.filter(pl.col("buy") == buy)
        if ours.height:
            drawn *= _plot(ours).scatter(
                x="time", y="price", color=colour, marker=marker, size=size,
                alpha=alpha, line_color=None,
                hover_cols=["quantity", "notional"], label="buy" if buy else "sell",
            )  # fmt: skip
    tips = [
        ("", "@time{%F %T}"), ("side", "$name"), ("quantity", "@quantity{0,0.[000000]}"),
        ("price", "@price{0,0.00[0000]}"), ("notional", f"@notional{{{MONEY}}}"),
    ]  # fmt: skip
    figure = _figure(drawn, 300, tips, _form(tape.prices), only="Scatter")
    count = f"{tape.fills.height:,}" if tape.fills.height else "no"
    note = f"{tape.instrument}: {count} fills"
    if tape.fills.height > FILLS:
        note += f", the last {FILLS:,} drawn"
    _title(figure, note)
    _splits(figure, tape, tz)
    figure.xaxis.axis_label = data.city(tz)
    return figure


def sharpe(rolling: pl.DataFrame) -> Any:
    """Return the rolling Sharpe ratio."""
    frame = rolling.select(pl.col("date").cast(pl.Datetime("ms")).alias("time"), "sharpe")
    drawn = _plot(frame).line(x="time", y="sharpe", color=LINE, line_width=1.5)
    figure = _figure(drawn, HALF, [("", "@time{%F}"), ("Sharpe", "@sharpe{0.00}")], form="0.0")
    _level(figure, 0.0)
    return figure


def returns(run: Run) -> Any:
    """Return the distribution of daily returns, with the value at risk."""
    import holoviews as hv
    from bokeh.models import Label, NumeralTickFormatter, Span

    found = data.daily(run)["return"].to_numpy()
    width = max(float(np.ptp(np.quantile(found, [0.005, 0.995]))), 1e-9) / 50
    low, high = np.floor(found.min() / width), np.ceil(found.max() / width) + 1
    edges = np.arange(max(low, -200), min(high, 200) + 1) * width
    counts = np.histogram(found, edges)[0]
    zero = int(np.searchsorted(edges, -width / 2))
    sides = [
        (LOSS, slice(None, zero), slice(None, zero + 1)),
        (GAIN, slice(zero, None), slice(zero, None)),
    ]
    bars = [
        hv.Histogram((edges[e], counts[c]), kdims="return", vdims="days").opts(
            fill_color=colour, line_color=None, fill_alpha=0.85
        )
        for colour, c, e in sides
        if len(counts[c])
    ]
    tips = [("return", "@left{0.00%} to @right{0.00%}"), ("days", "@top{0,0}")]
    figure = _figure(hv.Overlay(bars), HALF, tips, form="0,0")
    figure.xaxis.formatter = NumeralTickFormatter(format="0.0%")
    figure.y_range.start = 0
    risk = run.stats.get("var_95")
    if risk is not None:
        figure.add_layout(
            Span(location=float(risk), dimension="height", line_color=MUTE, line_dash="dashed")
        )
        figure.add_layout(
            Label(
                x=float(risk),
                y=180,
                y_units="screen",
                x_offset=-6,
                text=f"VaR 95 %: {data.figure('var_95', risk)}",
                text_align="right",
                text_color=MUTE,
                text_font_size="11px",
                text_font=FONT,
            )
        )
    return figure


def tearsheet(run: Run) -> Any:
    """Return everything about a run as one Panel column."""
    import panel as pn

    if not pn.extension._loaded:
        pn.extension(inline=True)  # so that a notebook shows it without a network
    dark = pn.config.theme == "dark"
    made = figures(run)
    zone = data.city(data.zone(run))
    rows: list[Any] = [
        _html(parts.head(run) + parts.warnings(run) + parts.absent(run) + parts.tiles(run), dark)
    ]

    def add(name: str, note: str, *items: Any) -> None:
        rows.extend([_html(parts.caption(name, note), dark), *items])

    if "equity" in made:
        add(
            "Equity and drawdown",
            f"{run.currency}, {zone}",
            *(_pane(made[k]) for k in ("equity", "drawdown")),
        )
    prices = [_pane(fig) for key, fig in made.items() if key.startswith("fills")]
    if prices:
        add("Fills on price", f"▲ buy  ▼ sell, {zone}", *prices)
    if run.datasets:
        add("Monthly returns", "per cent", _html(parts.months(run), dark))
    if "sharpe" in made:
        add(f"Rolling Sharpe ratio, {data.WINDOW} days", "annualised", _pane(made["sharpe"]))
    if "returns" in made:
        add("Daily returns", "number of days", _pane(made["returns"]))
    if data.by_instrument(run).height > 1:
        rows.append(_html(parts.instruments(run), dark))
    add("Trades", f"{run.trades.height:,}", _html(parts.trades(run), dark))
    if run.datasets:
        add("Statistics", "what each means", _html(parts.statistics(run), dark))
    add("Conventions and fingerprint", "", _html(parts.fingerprint(run), dark))
    ground = "#11161f" if dark else "#ffffff"
    look = {"background": ground, "padding": "18px 22px", "border-radius": "10px"}
    return pn.Column(*rows, sizing_mode="stretch_width", max_width=1180, styles=look)


def local(times: Any, tz: str) -> pl.Series:
    """Return ns UTC as what the zone's clock shows, to the millisecond that a chart can hold."""
    utc = (
        pl.Series("time", times, dtype=pl.Int64).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    )
    return utc.dt.convert_time_zone(tz).dt.replace_time_zone(None).cast(pl.Datetime("ms"))


@contextmanager
def _quietly() -> Iterator[None]:
    """Draw with bokeh; the caller's own choice of library stands again afterwards."""
    import holoviews as hv
    import holoviews.plotting.bokeh

    before = hv.Store.current_backend
    hv.Store.set_current_backend("bokeh")
    try:
        yield
    finally:
        hv.Store.set_current_backend(before)


def _plot(frame: pl.DataFrame) -> Any:
    """Return a frame's hvplot; `import hvplot.polars` would print its loader into the cell."""
    from hvplot.plotting.core import hvPlotTabularPolars

    return hvPlotTabularPolars(frame)


def _html(body: str, dark: bool) -> Any:
    import panel as pn

    theme = css.DARK if dark else css.LIGHT
    sheet = css.style(css.CARD, css.TABLES, f".ot.ot-sheet{{{theme}}}")
    return pn.pane.HTML(
        f'{sheet}<div class="ot ot-sheet">{body}</div>', sizing_mode="stretch_width", margin=0
    )


def _pane(figure: Any) -> Any:
    import panel as pn

    return pn.pane.Bokeh(figure, sizing_mode="stretch_width", margin=(0, 0, 6, 0))


def _form(values: Any, percent: bool = False) -> str:
    """Return the format of an axis over the values, with the digits that its steps need."""
    scale = 100 if percent else 1
    low, high = float(np.min(values)) * scale, float(np.max(values)) * scale
    marks = steps(low, high, 5)
    places = digits(marks[1] - marks[0]) if len(marks) > 1 else 1 if percent else 2
    return "0,0" + ("." + "0" * places if places else "") + ("%" if percent else "")


def _figure(drawn: Any, height: int, tips: Tips, form: str, only: str = "") -> Any:
    """Return an element as a bokeh figure in our clothes, hover on all glyphs or on one kind."""
    import holoviews as hv
    from bokeh.models import HoverTool

    look = {"height": height, "yaxis": "right"}
    kinds = {type(one).__name__ for one in drawn.traverse() if isinstance(one, hv.Element)}
    options = [getattr(hv.opts, kind)(**look, tools=[], default_tools=[]) for kind in kinds]
    figure = hv.render(drawn.opts(*options), backend="bokeh")
    figure.tools, figure.width, figure.sizing_mode = [], None, "stretch_width"
    figure.add_tools("pan", "box_zoom", "xwheel_zoom", "save", "reset")
    shown = [r for r in figure.renderers if not only or only == type(r.glyph).__name__]
    if shown:
        mode = "mouse" if only == "Scatter" or "left" in shown[0].data_source.data else "vline"
        clock: Any = {"@time": "datetime"}
        figure.add_tools(
            HoverTool(tooltips=list(tips), formatters=clock, mode=mode, renderers=shown)
        )
    _dress(figure, form)
    return figure


def _dress(figure: Any, form: str) -> None:
    """Set type, grid and number formats; values stand at the right, as in the static pictures."""
    from bokeh.models import DatetimeAxis, DatetimeTickFormatter, NumeralTickFormatter

    figure.toolbar.logo, figure.toolbar.autohide = None, True
    figure.toolbar_location, figure.toolbar_inner = "right", True  # plots keep one width
    figure.background_fill_color = figure.border_fill_color = None
    figure.outline_line_color = None
    figure.min_border_left, figure.min_border_right = 12, 84
    figure.min_border_top, figure.min_border_bottom = 8, 26
    for axis in figure.axis:
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = None
        axis.major_label_text_color = axis.axis_label_text_color = MUTE
        axis.major_label_text_font = axis.axis_label_text_font = FONT
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "11px"
        axis.axis_label_text_font_style, axis.axis_label = "normal", None
    for line in figure.grid:
        line.visible, line.grid_line_color, line.grid_line_alpha = True, MUTE, 0.22
    figure.yaxis.formatter = NumeralTickFormatter(format=form)
    figure.yaxis.ticker.desired_num_ticks = 5 if figure.height > 200 else 3
    figure.xaxis.ticker.desired_num_ticks = 6 if figure.height == HALF else 10
    if isinstance(figure.xaxis[0], DatetimeAxis):
        figure.xaxis.formatter = DatetimeTickFormatter(
            years="%Y", months="%b %Y", days="%d %b", hours="%H:%M", minutes="%H:%M",
            hourmin="%H:%M", minsec="%H:%M:%S", seconds="%H:%M:%S", context=None,
        )  # fmt: skip
    for legend in figure.legend:
        legend.visible = False


def _level(figure: Any, value: float) -> None:
    """Add a dashed line across at a value."""
    from bokeh.models import Span

    line = Span(location=value, dimension="width", line_color=MUTE, line_dash="dotted")
    figure.add_layout(line)


def _title(figure: Any, text: str) -> None:
    figure.title.text = text
    figure.title.text_color, figure.title.text_font = MUTE, FONT
    figure.title.text_font_size, figure.title.text_font_style = "12px", "normal"


def _splits(figure: Any, tape: data.Tape, tz: str) -> None:
    """Mark splits, where prices fall and holdings grow."""
    from bokeh.models import Label, Span

    for ns, ratio in tape.splits:
        at = local([ns], tz).dt.epoch("ms")[0]
        line = Span(location=at, dimension="height", line_color=MUTE, line_dash="dashed")
        figure.add_layout(line)
        figure.add_layout(
            Label(
                x=at,
                y=4,
                y_units="screen",
                x_offset=5,
                text=f"split {ratio.normalize():f}:1",
                text_color=MUTE,
                text_font_size="11px",
                text_font=FONT,
            )
        )
