"""The limits that there are: name, unit, what is tighter, who is measured, what it means.

Units    money in the firm's base currency; quantities in units of the instrument; fractions
         0.05 = 5 %; seconds may be decimal.
Tighter  "low": the smaller number, "high": the greater one; "allow": a list of what is allowed
         (shorter is tighter, all that apply must allow); "forbid": a list of what is not;
         "on": a switch, on is tighter.
Own      a limit with own=True is measured on its scope's own sum (a firm's limit on the firm,
         a strategy's on that strategy; those of a trader, venue, instrument or kind on the
         account). All others are about one order or one holding: the tightest rule wins.
Required where absent="deny", an order that has no rule for it at any scope is denied NO_LIMIT.
         Switches that are absent are then on (but `client_tagged`), else off.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Tighter = Literal["low", "high", "allow", "forbid", "on"]


class Named(NamedTuple):
    """One row of the table."""

    unit: str
    tighter: Tighter
    check: str
    meaning: str
    required: bool = False
    own: bool = False


LIMITS: dict[str, Named] = {
    "allow_instruments": Named("list", "allow", "R03", 'ids, "*.VENUE" or "*"'),
    "allow_venues": Named("list", "allow", "R03", "venues that orders may go to"),
    "allow_types": Named("list", "allow", "R03", "order types, as MARKET or LIMIT"),
    "approved_algos": Named("list", "allow", "R03", "code hashes that may trade by themselves"),
    "restricted": Named("list", "forbid", "R04", "instruments that may not be traded"),
    "shortable": Named("list", "allow", "R04", "equities with a locate: may be held short"),
    "reference_age_seconds": Named("seconds", "low", "R05", "how old a price may be", True),
    "price_collar": Named(
        "fraction", "low", "R06", "how far beyond the far touch an order's price may be", True
    ),
    "trigger_collar": Named(
        "fraction", "low", "R06", "a stop's trigger from the price; else price_collar"
    ),
    "price_collar_away": Named(
        "fraction", "low", "R06", "how far behind the market a limit price may be"
    ),
    "price_drift": Named(
        "fraction", "low", "R07", "how far own order prices may move in a period", True
    ),
    "price_drift_seconds": Named("seconds", "high", "R07", "that period, up to 3600; else 300"),
    "max_order_notional": Named(
        "money", "low", "R08", "value of one order at its worst price", True
    ),
    "max_order_quantity": Named("quantity", "low", "R09", "units in one order", True),
    "max_adv_fraction": Named("fraction", "low", "R09", "of the average daily volume, one order"),
    "message_rate": Named(
        "per second", "low", "R10", "new, modify and cancel messages a second", True, True
    ),
    "message_burst": Named("count", "low", "R10", "messages at once; else the rate", own=True),
    "message_reserve": Named(
        "fraction", "high", "R10", "of the burst kept for cancels; else 0.2", own=True
    ),
    "repeat_count": Named(
        "count", "low", "R11", "orders of one strategy, instrument, side that trade", True
    ),
    "repeat_seconds": Named("seconds", "high", "R11", "in this time; else 60"),
    "duplicate_seconds": Named(
        "seconds", "high", "R12", "within which an equal order is a repeat, up to 60", True
    ),
    "self_match": Named("switch", "on", "R13", "on: no order may meet the account's own"),
    "max_open_orders": Named("count", "low", "R14", "working orders", True, True),
    "max_position": Named("quantity", "low", "R15", "holding either way, orders filled", True),
    "max_long": Named("quantity", "low", "R15", "holding long, all buys filled"),
    "max_short": Named("quantity", "low", "R15", "holding short, all sells filled"),
    "late_fill_seconds": Named(
        "seconds", "high", "R15", "how long a canceled order still counts; else 0"
    ),
    "max_gross": Named("money", "low", "R16", "sum of holdings, orders at worst", True, True),
    "max_net": Named("money", "low", "R16", "long less short, orders at worst", own=True),
    "max_daily_notional": Named(
        "money", "low", "R17", "traded today and working, both sides", True, True
    ),
    "max_cash_use": Named("fraction", "low", "R18", "of cash, spent by working buys"),
    "max_margin_use": Named("fraction", "low", "R18", "of equity, taken by initial margin"),
    "reduce_only": Named("switch", "on", "R19", "on: reduce-only orders must reduce"),
    "daily_loss_soft": Named(
        "money", "low", "R20", "loss today after which only exits pass", own=True
    ),
    "daily_loss_hard": Named(
        "money", "low", "R20", "loss today after which nothing passes", True, True
    ),
    "drawdown_soft": Named("money", "low", "R20", "from the peak; then only exits", own=True),
    "drawdown_hard": Named("money", "low", "R20", "from the peak; then nothing", own=True),
    "max_concentration": Named(
        "fraction", "low", "R21", "of the account's equity in one instrument, at worst"
    ),
    "increments": Named("switch", "on", "R22", "on: tick, lot, smallest and largest size"),
    "session_hours": Named("switch", "on", "R22", "on: only in the session, before expiry"),
    "max_unacked": Named("count", "low", "R25", "orders without an answer", True),
    "unacked_seconds": Named("seconds", "low", "R25", "for longer than this; else 5"),
    "tagged": Named("switch", "on", "R27", "on: strategy, account and trader or algo named"),
    "client_tagged": Named("switch", "on", "R27", "on: the client named too; never by default"),
    "deploy_instruments": Named("list", "allow", "R28", "what a new algorithm may trade"),
    "deploy_venues": Named("list", "allow", "R28", "where a new algorithm may trade"),
    "deploy_order_notional": Named("money", "low", "R28", "one order of a new algorithm"),
    "deploy_position_notional": Named("money", "low", "R28", "its worst holding of one instrument"),
    "deploy_orders": Named("count", "low", "R28", "its orders in one day"),
    "deploy_open_orders": Named("count", "low", "R28", "its working orders"),
}

SCOPES = ("firm", "desk", "account", "strategy", "trader", "venue", "instrument", "kind")
MOST: dict[str, int] = {"price_drift_seconds": 3_600, "duplicate_seconds": 60}
MAY_BE_ZERO = frozenset({"message_reserve", "late_fill_seconds", "max_long", "max_short"})


def table() -> str:
    """Return the limits as a Markdown table."""
    lines = ["| limit | unit | tighter | check | meaning | required |", "|---|---|---|---|---|---|"]
    for name, one in LIMITS.items():
        need = "yes" if one.required else ""
        row = f"| `{name}` | {one.unit} | {one.tighter} | {one.check} | {one.meaning} | {need} |"
        lines.append(row)
    return "\n".join(lines)
