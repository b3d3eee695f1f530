"""Rules and limit books: what is allowed, to whom; plain data that never changes.

A rule is a scope, the name of a limit and its value. Scopes are "firm", or "desk:X", "account:X",
"strategy:X", "trader:X", "venue:X", "instrument:X", "kind:equity" (kinds of instruments), where
"strategy:*" speaks of each strategy by itself. All rules that apply to an order must be kept.

Version  as given, or "sha-" and 12 hex digits of the rules' canonical JSON.
Absent   "deny": an order without a rule for a required limit is denied NO_LIMIT;
         "allow": what is not set is not tried (backtests).
Raises   SettingsError for an unknown limit or scope and a malformed value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple

import msgspec

from onetape.errors import SettingsError
from onetape.risk.limitnames import LIMITS, MAY_BE_ZERO, MOST, SCOPES
from onetape.risk.resolved import Resolved, Whose, resolved

Absent = Literal["allow", "deny"]
Value = Decimal | tuple[str, ...] | bool


class Rule(NamedTuple):
    """One limit of one scope."""

    scope: str
    name: str
    value: Value

    def __str__(self) -> str:
        return f"{self.scope} {self.name}"


@dataclass(frozen=True, slots=True)
class LimitBook:
    """Rules in force together; made by `book`, `load` or `from_json`."""

    version: str
    rules: tuple[Rule, ...]
    absent: Absent = "deny"
    _kept: dict[Whose, Resolved] = field(
        default_factory=dict[Whose, Resolved], compare=False, repr=False
    )

    def resolve(self, whose: Whose) -> Resolved:
        """Return what applies to one (desk, account, strategy, trader, venue, instrument, kind)."""
        found = self._kept.get(whose)
        if found is None:
            if len(self._kept) >= 10_000:  # names come from outside: do not grow for ever
                self._kept.clear()
            found = self._kept[whose] = resolved(self.rules, self.absent == "deny", whose)
        return found

    def describe(self) -> str:
        """Return the rules in one line."""
        return ", ".join(f"{_short(rule)}={_said(rule.value)}" for rule in self.rules) or "none"


def _short(rule: Rule) -> str:
    return rule.name if rule.scope == "firm" else str(rule)


def _said(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "[" + " ".join(value) + "]" if isinstance(value, tuple) else f"{value:f}"


def book(
    rules: Iterable[tuple[str, str, Any]], absent: Absent = "deny", version: str = ""
) -> LimitBook:
    """Return a limit book of (scope, name, value); numbers may be text, int, float or Decimal.

    Raises SettingsError when a rule is malformed or said twice.
    """
    if absent not in ("allow", "deny"):
        raise SettingsError(f'absent is {absent!r}; expected "allow" or "deny"')
    made: dict[tuple[str, str], Rule] = {}
    for scope, name, value in rules:
        rule = Rule(_scope(scope), name, checked(scope, name, value))
        if (rule.scope, name) in made:
            raise SettingsError(f"{rule} is said twice; keep one of the two")
        made[rule.scope, name] = rule
    kept = tuple(made[key] for key in sorted(made))
    if not version:
        version = "sha-" + hashlib.sha256(_canonical(kept, absent)).hexdigest()[:12]
    return LimitBook(version, kept, absent)


def _scope(scope: str) -> str:
    what, colon, name = scope.partition(":")
    if what not in SCOPES or bool(colon) != (what != "firm") or (colon and not name):
        said = ", ".join("firm" if one == "firm" else f"{one}:NAME" for one in SCOPES)
        close = get_close_matches(what, SCOPES, 1)
        hint = f"; did you mean {close[0]}?" if close and close[0] != what else ""
        raise SettingsError(f"scope {scope!r} found, expected one of {said}{hint}")
    return scope


def checked(scope: str, name: str, value: Any) -> Value:
    """Return a rule's value in its exact form."""
    named = LIMITS.get(name)
    if named is None:
        close = get_close_matches(name, LIMITS, 3, 0.5)
        hint = f"did you mean {', '.join(close)}?" if close else f"there is {', '.join(LIMITS)}"
        raise SettingsError(f"{scope}: no limit is called {name!r}; {hint}")
    if named.unit == "list":
        return _list(scope, name, value)
    if named.unit == "switch":
        if not isinstance(value, bool):
            raise SettingsError(f"{scope} {name} is {value!r}; expected true or false")
        return value
    return _number(scope, name, value)


def _list(scope: str, name: str, value: Any) -> tuple[str, ...]:
    many = isinstance(value, list | tuple | set | frozenset)
    words: list[Any] = list(value) if many else [None]  # pyright: ignore
    if not all(isinstance(word, str) and word.strip() for word in words):
        raise SettingsError(f'{scope} {name} is {value!r}; expected a list of text, as ["*"]')
    return tuple(sorted({str(word).strip() for word in words}))


def _number(scope: str, name: str, value: Any) -> Decimal:
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        number = Decimal(str(value).strip())
    except InvalidOperation:
        number = Decimal("NaN")
    zero = name in MAY_BE_ZERO
    if not number.is_finite() or number < 0 or (number == 0 and not zero):
        wanted = "zero or a positive number" if zero else "a positive number"
        raise SettingsError(f"{scope} {name}={value} found, {wanted} expected")
    if number > MOST.get(name, number):
        raise SettingsError(f"{scope} {name}={value} found, at most {MOST[name]} expected")
    if LIMITS[name].unit == "count" and number != number.to_integral_value():
        raise SettingsError(f"{scope} {name}={value} found, a whole number expected")
    if name == "message_reserve" and number >= 1:
        raise SettingsError(f"{scope} {name}={value} found, a fraction below 1 expected")
    return number


def _canonical(rules: tuple[Rule, ...], absent: str) -> bytes:
    listed = [[rule.scope, rule.name, _plain(rule.value)] for rule in rules]
    return msgspec.json.encode({"absent": absent, "rules": listed})


def _plain(value: Value) -> str | bool | list[str]:
    if isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return list(value)
    text = f"{value:f}"  # 1E+6, 1000000.0 and 1000000 are one limit
    return text.rstrip("0").rstrip(".") if "." in text else text


def to_json(limits: LimitBook) -> str:
    """Return the rules as canonical JSON: the same rules give the same text."""
    return _canonical(limits.rules, limits.absent).decode()


def from_json(text: str | bytes, version: str = "") -> LimitBook:
    """Return the limit book of `to_json`'s text; raises SettingsError when it is none."""
    try:
        told = msgspec.json.decode(text)
        rules = [(str(scope), str(name), value) for scope, name, value in told["rules"]]
        absent = told.get("absent", "deny")
    except (msgspec.MsgspecError, AttributeError, KeyError, TypeError, ValueError) as err:
        wanted = '{"absent":"deny","rules":[["firm","max_order_quantity","100"]]}'
        raise SettingsError(f"these are no limits in JSON ({err!r}); expected {wanted}") from err
    return book(rules, absent, version)


DEFAULTED = frozenset((
    "message_burst", "message_reserve", "trigger_collar", "price_drift_seconds", "repeat_seconds",
    "unacked_seconds",
))  # fmt: skip


def loosened(old: LimitBook, new: LimitBook) -> tuple[str, ...]:
    """Return the rules of which `new` allows more than `old`; empty when it only tightens.

    A rule taken away is looser, one added at a scope is not. Where rules may make up for each
    other (a scope's for a wider one's), it is still named: a person should look.
    """
    now = {(rule.scope, rule.name): rule for rule in new.rules}
    found = [
        f"{rule}: {_said(rule.value)} -> {_said(then.value) if then else 'none'}"
        for rule in old.rules
        if (then := now.get((rule.scope, rule.name))) is None
        or _looser(rule.name, rule.value, then.value)
    ]
    switches = [
        f"{rule}: on -> off"
        for rule in new.rules
        if rule.value is False
        and old.absent == "deny"
        and not any(known[:2] == rule[:2] for known in old.rules)
    ]
    there = {(rule.scope, rule.name) for rule in old.rules}
    switches += [  # what holds where they are absent may be tighter
        f"{rule}: none -> {_said(rule.value)}"
        for rule in new.rules
        if rule.name in DEFAULTED and rule[:2] not in there
    ]
    if old.absent == "deny" and new.absent == "allow":
        switches.append("absent: deny -> allow")
    return (*found, *switches)


def _looser(name: str, old: Value, new: Value) -> bool:
    tighter = LIMITS[name].tighter
    if isinstance(old, tuple) and isinstance(new, tuple):
        gone = set(old) - set(new)
        return bool(gone) if tighter == "forbid" else bool(set(new) - set(old))
    if tighter == "on":
        return bool(old) and not new
    if isinstance(old, Decimal) and isinstance(new, Decimal):
        return new > old if tighter == "low" else new < old
    return True
