"""Two limit books in force at once: of each rule the tighter holds."""

from __future__ import annotations

from decimal import Decimal

from onetape.risk.limitnames import LIMITS
from onetape.risk.rules import LimitBook, Rule, Value, book

ALL = "*"


def joined(one: LimitBook, two: LimitBook) -> LimitBook:
    """Return what both allow; what either needs and neither says is denied."""
    rules = {(rule.scope, rule.name): rule for rule in one.rules}
    for rule in two.rules:
        key = (rule.scope, rule.name)
        known = rules.get(key)
        tighter = (
            rule if known is None else Rule(*key, _tighter(rule.name, known.value, rule.value))
        )
        rules[key] = tighter
    absent = "deny" if "deny" in (one.absent, two.absent) else "allow"
    return book(
        [(r.scope, r.name, r.value) for r in rules.values()], absent, f"{one.version}+{two.version}"
    )


def _tighter(name: str, left: Value, right: Value) -> Value:
    tighter = LIMITS[name].tighter
    if isinstance(left, tuple) and isinstance(right, tuple):
        if tighter != "forbid" and ALL in (*left, *right):
            return right if ALL in left else left
        both = set(left) | set(right) if tighter == "forbid" else set(left) & set(right)
        return tuple(sorted(both))
    if isinstance(left, bool) or isinstance(right, bool):
        return bool(left) or bool(right)
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return min(left, right) if tighter == "low" else max(left, right)
    return left
