# pyright: standard
"""How a dataset looks in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onetape.market.dataset import Dataset


def card_html(data: Dataset) -> str:
    """Return a small table: what it is, how it was read, what was found."""
    badge = " <b style='color:#b35900'>SYNTHETIC</b>" if data.synthetic else ""
    what = f"{data.kind} {data.step or ''}".strip()
    rows = {
        "instrument": f"{data.instrument.id} ({data.instrument.kind}, tick {data.instrument.tick})",
        "rows": f"{data.rows:,} {what}",
        "from": f"{data.start:%Y-%m-%d %H:%M:%S} UTC",
        "to": f"{data.end:%Y-%m-%d %H:%M:%S} UTC",
        "zone": data.tz,
        "fingerprint": data.fingerprint[:16],
        **{f"read as: {k}": str(v) for k, v in data.inferred.items()},
        **{f"{f.severity}: {f.kind}": f"{f.count:,}, {f.detail}" for f in data.findings},
    }
    if data.actions:
        rows["corporate actions"] = str(len(data.actions))
    body = "".join(
        f"<tr><td style='text-align:left'>{escape(k)}</td>"
        f"<td style='text-align:left'>{escape(v)}</td></tr>"
        for k, v in rows.items()
    )
    return f"<b>{escape(data.name)}</b>{badge}<table>{body}</table>"
