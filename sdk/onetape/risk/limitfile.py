"""Limits as a file: TOML with a table per scope, readable and written by people.

    version = "2026-07-desk-a"        # else made from the rules
    absent = "deny"

    [firm]
    max_order_notional = "250000"

    [strategy."*"]                    # each strategy by itself
    max_open_orders = 200

    [kind.fx]
    price_collar = "0.01"

Numbers may stand bare or in quotes; both are read exactly. A file that ends in .json holds the
canonical JSON of `to_json`.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, cast

from onetape.errors import SettingsError
from onetape.risk.limitnames import LIMITS, SCOPES
from onetape.risk.rules import Absent, LimitBook, Value, book, from_json

KEYS = ("version", "absent")
PAPER: dict[str, str] = {  # parts of the account's equity
    "max_order_notional": "0.25",
    "max_gross": "2",
    "max_net": "2",
    "max_daily_notional": "20",
    "daily_loss_soft": "0.01",
    "daily_loss_hard": "0.02",
    "drawdown_soft": "0.05",
    "drawdown_hard": "0.10",
}
FIRM: dict[str, Any] = {
    "allow_instruments": ["*"], "allow_venues": ["*"], "restricted": [],
    "reference_age_seconds": "2", "price_drift": "0.10", "price_drift_seconds": "300",
    "trigger_collar": "0.20", "max_order_quantity": "1000000", "max_position": "1000000",
    "message_rate": "50", "message_burst": "100", "message_reserve": "0.2",
    "repeat_count": "20", "repeat_seconds": "60", "duplicate_seconds": "0.5", "self_match": True,
    "late_fill_seconds": "2", "max_cash_use": "0.9", "max_margin_use": "0.9",
    "reduce_only": True, "max_concentration": "1", "increments": True, "session_hours": True,
    "max_unacked": "5", "unacked_seconds": "5", "tagged": True,
}  # fmt: skip
COLLARS = {
    "equity": "0.05", "fx": "0.01", "future": "0.05", "option": "0.10", "crypto_perpetual": "0.05",
}  # fmt: skip


def starter(equity: Decimal | int | str, currency: str = "USD") -> LimitBook:
    """Return a complete set of limits for a paper account of `equity` in base `currency`.

    One order up to a quarter of the equity, holdings up to twice it, 20 times it a day; a loss
    of 1 % in a day leaves exits only, 2 % stops; collars of 5 % (currencies 1 %, options 10 %).
    """
    try:
        whole = Decimal(str(equity))
    except InvalidOperation:
        whole = Decimal("NaN")
    if not (whole.is_finite() and whole > 0):
        raise SettingsError(f"equity={equity} found, a positive amount of {currency} expected")
    money = [("firm", name, whole * Decimal(part)) for name, part in PAPER.items()]
    firm = [("firm", name, value) for name, value in FIRM.items()]
    kinds = [(f"kind:{kind}", "price_collar", value) for kind, value in COLLARS.items()]
    return book([*firm, *money, *kinds, ("strategy:*", "max_open_orders", 200)], "deny")


def load(path: str | Path) -> LimitBook:
    """Return the limits in a file; raises SettingsError when there is none or it is malformed."""
    where = Path(path)
    try:
        text = where.read_text(encoding="utf-8")
    except OSError as err:
        raise SettingsError(
            f"no limits can be read from {where} ({err.strerror}); expected a TOML file, "
            "`limitbook.dumps(limitbook.starter(100_000))` writes one to begin with"
        ) from err
    try:
        return from_json(text) if where.suffix == ".json" else loads(text)
    except SettingsError as err:
        raise SettingsError(f"{where}: {err}") from err


def loads(text: str) -> LimitBook:
    """Return the limits in TOML text."""
    try:
        told = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as err:
        raise SettingsError(f"this is no TOML ({err}); expected tables as [firm]") from err
    rules: list[tuple[str, str, Any]] = []
    for what, content in told.items():
        if what in KEYS:
            continue
        if not isinstance(content, dict):
            raise SettingsError(
                f"{what}={content!r} stands in no scope; expected it below [firm] or another of "
                f"{', '.join(SCOPES)}"
            )
        rules += _rules(what, cast(dict[str, Any], content))
    absent = cast(Absent, told.get("absent", "deny"))
    return book(rules, absent, str(told.get("version", "")))


def _rules(what: str, content: dict[str, Any]) -> list[tuple[str, str, Any]]:
    if what == "firm":
        return [("firm", name, value) for name, value in content.items()]
    made: list[tuple[str, str, Any]] = []
    for whose, limits in content.items():
        if not isinstance(limits, dict):
            raise SettingsError(f'[{what}] {whose} has no name; expected [{what}."NAME"]')
        told = cast(dict[str, Any], limits)
        made += [(f"{what}:{whose}", name, value) for name, value in told.items()]
    return made


def dumps(limits: LimitBook) -> str:
    """Return the limits as TOML text with a comment for each; `loads` reads it back."""
    lines = [
        "# Limits of onetape. All rules that apply to an order must be kept.",
        f'version = "{limits.version}"' if not limits.version.startswith("sha-") else "",
        f'absent = "{limits.absent}"',
    ]
    scope = ""
    for rule in limits.rules:
        if rule.scope != scope:
            scope = rule.scope
            what, _, name = scope.partition(":")
            lines += ["", f"[{what}]" if not name else f"[{what}.{_quoted(name)}]"]
        named = LIMITS[rule.name]
        lines.append(f"{rule.name} = {_toml(rule.value)}  # {named.unit}: {named.meaning}")
    return "\n".join(line for at, line in enumerate(lines) if line or at > 2) + "\n"


def _toml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_quoted(word) for word in value) + "]"
    return f'"{value:f}"'


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
