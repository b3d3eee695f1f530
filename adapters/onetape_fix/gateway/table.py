"""The status of a gateway as a table for people."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

COLORS = {"up": "green", "logon": "yellow", "logout": "yellow", "down": "red"}
COLUMNS = ("session", "duties", "state", "in", "out", "msg/s", "rtt", "ack p50/p99", "gap",
           "rejects", "reconnects", "database", "said")  # fmt: skip
RIGHT = frozenset(COLUMNS[3:12])


def overview(told: dict[str, Any]) -> Table:
    """Return all sessions, one a line."""
    sessions: list[dict[str, Any]] = told["sessions"]
    title = f"{told['gateway']}: {told['up']} of {len(sessions)} up, {told['ready']} ready"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in RIGHT else "left", no_wrap=name != "said")
    for one in sessions:
        table.add_row(*_cells(one))
    return table


def _cells(one: dict[str, Any]) -> list[Text | str]:
    state = one["state"] if one["ready"] or one["state"] != "up" else "up, not ready"
    color = "yellow" if state == "up, not ready" else COLORS.get(one["state"], "")
    ack = one["order_ack"]
    kept = one["database"]
    rate = f"{one['messages_in_per_s']:g}/{one['messages_out_per_s']:g}"
    said = one["disabled"] or one["out"] or one["last_error"] or one["last_text"]
    return [
        one["session"],
        "+".join(one["duties"]),
        Text(state, style=color),
        str(one["next_in"]),
        str(one["next_out"]),
        rate,
        _us(one["heartbeat_rtt_us"]),
        f"{_us(ack['p50_us'])}/{_us(ack['p99_us'])}" if ack["count"] else "",
        str(one["gap"] or ""),
        str(sum(one["rejects"].values()) or ""),
        str(one["reconnects"] or ""),
        "" if kept is None else f"-{kept['lag']}" if kept["lag"] else "kept",
        said,
    ]


def details(one: dict[str, Any]) -> Table:
    """Return everything of one session."""
    table = Table(title=one["session"], title_justify="left", box=None, show_header=False)
    table.add_column(style="dim")
    table.add_column()
    for key, value in one.items():
        if isinstance(value, dict):
            parts: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
            table.add_row(key, ", ".join(f"{name} {part}" for name, part in parts.items()))
        elif isinstance(value, list):
            items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            table.add_row(key, ", ".join(str(item) for item in items))
        else:
            table.add_row(key, "" if value is None else str(value))
    return table


def _us(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f} us" if value < 10_000 else f"{value / 1000:.0f} ms"
