"""What applies to one order: the rules of a limit book, resolved once and kept.

The tightest of the rules that apply wins. Of a limit that is measured on its own scope
(`limitnames.Named.own`) every rule stays, with whom it is measured on.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from onetape.risk.exact import SECOND
from onetape.risk.limitnames import LIMITS, SCOPES

Whose = tuple[str, str, str, str, str, str, str]
# desk, account, strategy, trader, venue, instrument, kind: as in SCOPES, the firm left out


class Bound(NamedTuple):
    """A number that may not be passed, and the rule that it is from."""

    value: Decimal
    rule: str


class Own(NamedTuple):
    """A bound on one scope's own sum; `scope` is a key of the state's totals."""

    value: Decimal
    rule: str
    scope: str


class Loss(NamedTuple):
    """What a scope may lose, on a day or from its peak."""

    scope: str
    of_day: bool
    soft: Own | None
    hard: Own | None


class Rate(NamedTuple):
    """A token bucket: ns a message costs, what it holds in ns, and that without the reserve."""

    scope: str
    rule: str
    cost: int
    full: int
    usable: int
    most: Decimal  # messages at once, the reserve left out


class Resolved(msgspec.Struct, kw_only=True, gc=False):
    """The limits of one order's whose; None (or empty) is not tried. Not changed once made."""

    scopes: tuple[str, ...]
    account: str  # the scopes whose cells and totals are looked at
    strategy: str
    missing: tuple[str, ...] = ()  # required, and said nowhere
    not_permitted: str = ""  # the rule that does not allow instrument or venue
    restricted: str = ""  # the rule that forbids the instrument
    unlocated: str = ""  # the rule whose list of what may be short does not hold it
    not_deployed: str = ""  # the rule that keeps a new algorithm out of here
    types: tuple[tuple[frozenset[str], str], ...] = ()
    algos: tuple[tuple[frozenset[str], str], ...] = ()
    reference_age: Bound | None = None
    reference_age_ns: int = 0
    collar: Bound | None = None
    trigger: Bound | None = None
    away: Bound | None = None
    drift: Bound | None = None
    drift_ns: int = 300 * SECOND
    notional: Bound | None = None
    quantity: Bound | None = None
    adv: Bound | None = None
    rates: tuple[Rate, ...] = ()
    repeat: Bound | None = None
    repeat_ns: int = 60 * SECOND
    duplicate: Bound | None = None
    duplicate_ns: int = 0
    self_match: str = ""
    orders: tuple[Own, ...] = ()
    long: Bound | None = None
    short: Bound | None = None
    late_fill_ns: int = 0
    gross: tuple[Own, ...] = ()
    net: tuple[Own, ...] = ()
    daily: tuple[Own, ...] = ()
    cash: Bound | None = None
    margin: Bound | None = None
    reduce_only: str = ""
    losses: tuple[Loss, ...] = ()
    concentration: Bound | None = None
    increments: str = ""
    session: str = ""
    unacked: Bound | None = None
    unacked_ns: int = 5 * SECOND
    tagged: str = ""
    client_tagged: str = ""
    deploy_order: Bound | None = None
    deploy_position: Bound | None = None
    deploy_orders: Bound | None = None
    deploy_open: Bound | None = None
    needs_price: bool = False
    strict: bool = False


BOUNDS = {
    "collar": "price_collar", "away": "price_collar_away", "drift": "price_drift",
    "notional": "max_order_notional", "quantity": "max_order_quantity",
    "adv": "max_adv_fraction", "repeat": "repeat_count", "cash": "max_cash_use",
    "margin": "max_margin_use", "concentration": "max_concentration", "unacked": "max_unacked",
    "deploy_order": "deploy_order_notional", "deploy_position": "deploy_position_notional",
    "deploy_orders": "deploy_orders", "deploy_open": "deploy_open_orders",
    "reference_age": "reference_age_seconds", "duplicate": "duplicate_seconds",
}  # fmt: skip
TIMES = {
    "reference_age_ns": "reference_age_seconds", "drift_ns": "price_drift_seconds",
    "repeat_ns": "repeat_seconds", "duplicate_ns": "duplicate_seconds",
    "late_fill_ns": "late_fill_seconds", "unacked_ns": "unacked_seconds",
}  # fmt: skip
OWNS = {
    "orders": "max_open_orders", "gross": "max_gross", "net": "max_net",
    "daily": "max_daily_notional",
}  # fmt: skip
SWITCHES = {
    "self_match": "self_match", "reduce_only": "reduce_only", "increments": "increments",
    "session": "session_hours", "tagged": "tagged", "client_tagged": "client_tagged",
}  # fmt: skip
LOSSES = (
    (True, "daily_loss_soft", "daily_loss_hard"),
    (False, "drawdown_soft", "drawdown_hard"),
)
PRICED = (
    "collar", "trigger", "away", "drift", "notional", "gross", "net", "daily", "cash", "margin",
    "concentration", "deploy_order", "deploy_position", "reference_age",
)  # fmt: skip
FOR_EITHER = {"max_cash_use": "max_margin_use", "max_margin_use": "max_cash_use"}


def resolved(rules: Iterable[tuple[str, str, Any]], strict: bool, whose: Whose) -> Resolved:
    """Resolve `rules` for `whose`; `strict` where what is absent denies."""
    names = ("", *whose)
    scopes = ["firm", *(f"{s}:{n}" for s, n in zip(SCOPES, names, strict=True) if n)]
    plain, _, number = whose[2].rpartition("-")  # people say EmaCross, the engine EmaCross-000
    if plain and number.isdigit():
        scopes.append(f"strategy:{plain}")
    mine = {*scopes, *(f"{s}:*" for s, n in zip(SCOPES, names, strict=True) if n)}
    found = _Found(whose)
    for rule in rules:
        if rule[0] in mine:
            found.by_name.setdefault(rule[1], []).append((rule[0], rule[2]))
    made = Resolved(
        scopes=tuple(one for one in scopes if not one.startswith("kind:")),
        account=f"account:{whose[1]}",
        strategy=f"strategy:{whose[2]}",
    )
    made.strict = strict
    for attribute, name in BOUNDS.items():
        setattr(made, attribute, found.bound(name))
    for attribute, name in TIMES.items():
        if (bound := found.bound(name)) is not None:
            setattr(made, attribute, int(bound.value * SECOND))
    for attribute, name in OWNS.items():
        setattr(made, attribute, found.own(name))
    for attribute, name in SWITCHES.items():
        setattr(made, attribute, found.switch(name, strict and name != "client_tagged"))
    made.trigger = found.bound("trigger_collar") or made.collar
    made.long = found.tighter("max_long", "max_position")
    made.short = found.tighter("max_short", "max_position")
    made.losses = found.losses()
    made.rates = found.rates()
    found.lists(made)
    made.missing = found.missing() if strict else ()
    made.needs_price = any(getattr(made, name) for name in PRICED)
    return made


class _Found:
    """The rules that apply, by name."""

    def __init__(self, whose: Whose) -> None:
        self.whose = whose
        self.by_name: dict[str, list[tuple[str, Any]]] = {}

    def bound(self, name: str) -> Bound | None:
        told = self.by_name.get(name)
        if not told:
            return None
        pick = max if LIMITS[name].tighter == "high" else min
        scope, value = pick(told, key=lambda one: one[1])
        return Bound(value, f"{scope} {name}")

    def tighter(self, *names: str) -> Bound | None:
        return min((b for n in names if (b := self.bound(n)) is not None), default=None)

    def own(self, name: str) -> tuple[Own, ...]:
        """Return all rules; of equal measure only the tightest."""
        best: dict[str, Own] = {}
        for scope, value in self.by_name.get(name, ()):
            measured = self.measured(scope)
            if measured not in best or value < best[measured].value:
                best[measured] = Own(value, f"{scope} {name}", measured)
        return tuple(best.values())

    def losses(self) -> tuple[Loss, ...]:
        """Return the losses that are watched, each scope's soft and hard bound together."""
        made: list[Loss] = []
        for of_day, soft, hard in LOSSES:
            softs = {own.scope: own for own in self.own(soft)}
            hards = {own.scope: own for own in self.own(hard)}
            scopes = dict.fromkeys([*hards, *softs])
            made += [Loss(one, of_day, softs.get(one), hards.get(one)) for one in scopes]
        return tuple(made)

    def measured(self, scope: str) -> str:
        what = scope.partition(":")[0]
        if what == "firm":
            return "firm"
        own = what if what in ("desk", "account", "strategy") else "account"
        return f"{own}:{self.whose[SCOPES.index(own) - 1]}"

    def switch(self, name: str, default: bool) -> str:
        told = self.by_name.get(name)
        if not told:
            return f"absent {name}" if default else ""
        return next((f"{scope} {name}" for scope, on in told if on), "")

    def rates(self) -> tuple[Rate, ...]:
        """Return the buckets: one for each scope that has a rate, by its own name."""
        made: list[Rate] = []
        reserve = self.bound("message_reserve")
        for scope, value in self.by_name.get("message_rate", ()):
            what, _, name = scope.partition(":")
            key = f"{what}:{self.whose[SCOPES.index(what) - 1]}" if name else scope
            bursts = [v for s, v in self.by_name.get("message_burst", ()) if s == scope]
            burst = max(bursts[0] if bursts else value, Decimal(1))
            part = Decimal(1) - (reserve.value if reserve else Decimal("0.2"))
            cost = -int(-SECOND // value)
            full = int(burst * cost)
            usable = max(cost, int(burst * part) * cost)
            most = Decimal(usable) / cost
            made.append(Rate(key, f"{scope} message_rate", cost, full, usable, most))
        return tuple(made)

    def lists(self, made: Resolved) -> None:
        _, _, _, _, venue, instrument, kind = self.whose
        made.not_permitted = self.left_out("allow_instruments", instrument) or self.left_out(
            "allow_venues", venue
        )
        made.not_deployed = self.left_out("deploy_instruments", instrument) or self.left_out(
            "deploy_venues", venue
        )
        if kind == "equity":
            made.unlocated = self.left_out("shortable", instrument)
        for scope, listed in self.by_name.get("restricted", ()):
            if matches(listed, instrument):
                made.restricted = f"{scope} restricted"
        made.types = self.listed("allow_types")
        made.algos = self.listed("approved_algos")

    def listed(self, name: str) -> tuple[tuple[frozenset[str], str], ...]:
        """Return the lists that leave something out."""
        told = self.by_name.get(name, ())
        return tuple((frozenset(v), f"{s} {name}") for s, v in told if "*" not in v)

    def left_out(self, name: str, word: str) -> str:
        """Return the rule whose list does not hold `word`, or nothing."""
        for scope, listed in self.by_name.get(name, ()):
            if not matches(listed, word):
                return f"{scope} {name}"
        return ""

    def missing(self) -> tuple[str, ...]:
        there = self.by_name.keys()
        absent = [name for name, one in LIMITS.items() if one.required and name not in there]
        if "max_position" in absent and {"max_long", "max_short"} <= there:
            absent.remove("max_position")
        if not there & FOR_EITHER.keys():
            absent.append("max_cash_use")
        return tuple(absent)


def matches(listed: Iterable[str], word: str) -> bool:
    """Say whether a list holds `word`: by name, "*", or "*" and how it ends."""
    return any(one == word or (one.startswith("*") and word.endswith(one[1:])) for one in listed)
