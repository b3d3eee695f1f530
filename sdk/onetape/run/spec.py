# pyright: standard
"""Spec: one backtest, its arguments checked before anything runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from nautilus_trader.trading import Strategy as EngineStrategy

from onetape.errors import RunError, SettingsError
from onetape.market.dataset import Dataset
from onetape.risk.limitbook import LimitBook, from_json, to_json
from onetape.risk.limits import limits, limits_of
from onetape.risk.rungs import Ladder, ladder_of
from onetape.run.engine import account_terms
from onetape.run.fees import Bps, Fees, PerShare, Slippage
from onetape.run.fills import Fill, convention
from onetape.run.params import assign
from onetape.run.strategy import Strategy
from onetape.tape import kinds

TERMS: dict[str, tuple[Any, str]] = {
    "fees": ((Bps, PerShare), "ot.bps(20), ot.per_share(...), ot.maker_taker(...)"),
    "slippage": (Slippage, "ot.ticks(1)"),
}
CHUNK = 32_768  # rows at a time: what the caches hold runs faster than what they do not


@dataclass(frozen=True)
class Spec:
    """One backtest, checked; `execute` runs it."""

    makers: tuple[Callable[[], Any], ...]  # each gives a fresh strategy
    datasets: tuple[Dataset, ...]
    cash: tuple[tuple[str, Decimal], ...]
    currency: str
    fill: Fill
    fees: Fees | None = None
    slippage: Slippage | None = None
    latency_ns: int = 0
    account: str = "margin"
    leverage: Decimal = Decimal(1)
    limits: LimitBook | None = None
    ladder: Ladder | None = None
    progress: bool | None = None
    chunk: int = CHUNK


def specify(strategy: Any, data: Any, **terms: Any) -> Spec:
    """Check the arguments of `ot.backtest` and return them as a Spec; SettingsError if amiss."""
    for name, (kinds_of, example) in TERMS.items():
        if terms.get(name) is not None and not isinstance(terms[name], kinds_of):
            raise SettingsError(f"{name}={terms[name]!r} found, {example} or None expected")
    datasets = _datasets(data, terms.pop("start", None), terms.pop("end", None))
    fill = convention(terms.pop("fill", None), {d.kind for d in datasets})
    cash, currency = terms.pop("cash"), terms.pop("currency")
    kind, leverage = account_terms(terms.pop("account", "margin"))
    allowed, ladder = limits_of(terms.pop("limits", None)), terms.pop("ladder", None)
    return Spec(
        makers=_makers(strategy, terms.pop("params", None) or {}),
        datasets=datasets,
        cash=_cash(cash, currency),
        currency=currency,
        fill=fill,
        latency_ns=_latency(terms.pop("latency", 0)),
        account=kind,
        leverage=leverage,
        limits=allowed,
        ladder=None if ladder is None else ladder_of(ladder),
        **terms,
    )


class Recipe(msgspec.Struct, frozen=True, omit_defaults=True):
    """A spec's terms as they are kept in `run.opened`.

    `limits` are a limit book's version and rules; tapes of earlier versions have the names and
    values of limits there, which `limits_kept` reads as well.
    """

    cash: tuple[tuple[str, Decimal], ...]
    fill: str
    fees: Fees | None
    slippage: Slippage | None
    latency_ns: int
    account: str
    leverage: Decimal
    limits: dict[str, Any] | None
    ladder: Ladder | None = None

    @classmethod
    def of(cls, spec: Spec) -> Recipe:
        """Return the terms of a spec."""
        same = [name for name in cls.__struct_fields__ if name not in ("fill", "limits")]
        kept = None
        if (book := spec.limits) is not None:
            kept = {"version": book.version, **msgspec.json.decode(to_json(book))}
        return cls(**{n: getattr(spec, n) for n in same}, fill=spec.fill.name, limits=kept)

    def limits_kept(self) -> LimitBook | None:
        """Return the limits, whatever version wrote them."""
        if self.limits is None:
            return None
        if "rules" in self.limits:
            return from_json(msgspec.json.encode(self.limits), self.limits["version"])
        given = {name: value for name, value in self.limits.items() if value is not None}
        return limits(**given)


def specify_again(opened: kinds.RunOpened, strategy: Any, datasets: tuple[Dataset, ...]) -> Spec:
    """Return the spec that `opened` tells of, with a strategy class and data at hand."""
    if not opened.recipe:
        raise RunError("this tape keeps no recipe: it was recorded by a version that wrote none")
    recipe = msgspec.json.decode(opened.recipe, type=Recipe)
    same = [name for name in Recipe.__struct_fields__ if name not in ("fill", "limits")]
    terms = {name: getattr(recipe, name) for name in same}
    return Spec(
        makers=_makers(strategy, opened.params),
        datasets=datasets,
        currency=opened.currency,
        fill=convention(recipe.fill, {d.kind for d in datasets}),
        limits=recipe.limits_kept(),
        **terms,
    )


def _datasets(data: Any, start: Any, end: Any) -> tuple[Dataset, ...]:
    listed = [data] if isinstance(data, Dataset) else list(data)
    wrong = [d for d in listed if not isinstance(d, Dataset)]
    if wrong or not listed:
        found = type(wrong[0]).__name__ if wrong else "nothing"
        raise SettingsError(
            f"data holds {found}, datasets expected: ot.sample(...), catalog.dataset(...), or "
            "ot.Dataset.from_frame(frame, instrument=...)"
        )
    twice = [d.name for at, d in enumerate(listed) if any(d is e or d == e for e in listed[:at])]
    if twice:
        raise SettingsError(f"data holds {twice[0]} twice; each dataset once expected")
    if start is None and end is None:
        return tuple(listed)
    return tuple(d.slice(start, end) for d in listed)


def _makers(given: Any, params: Mapping[str, Any]) -> tuple[Callable[[], Any], ...]:
    made: list[Callable[[], Any]] = []
    listed = list(given) if isinstance(given, list | tuple) else [given]
    if not listed:
        raise SettingsError("no strategy found, a subclass of ot.Strategy or several expected")
    for each in listed:
        if isinstance(each, type) and issubclass(each, Strategy):
            each(**params)  # a wrong parameter is told before anything runs
            made.append(lambda each=each: each(**params))
        elif isinstance(each, type) and issubclass(each, EngineStrategy):
            made.append(each)
        elif isinstance(each, EngineStrategy):
            made.append(_again(each, params))
        else:
            raise SettingsError(
                f"strategy {each!r} found, a subclass of ot.Strategy (or an instance) expected"
            )
    return tuple(made)


def _again(instance: Any, params: Mapping[str, Any]) -> Callable[[], Any]:
    """Return a maker of strategies like `instance`; the engine runs an instance only once."""
    kind = type(instance)
    if isinstance(instance, Strategy):
        if kind.__init__ is Strategy.__init__:
            _alike(instance, params)  # a wrong parameter is told before anything runs
            return lambda: _alike(instance, params)
        assign(instance, params)
    fresh = [instance]

    def make() -> Any:
        if not fresh:
            raise RunError(
                f"this {kind.__name__} has run already and an instance runs once: "
                "give the class, or a new instance"
            )
        return fresh.pop()

    return make


def _alike(instance: Strategy, params: Mapping[str, Any]) -> Strategy:
    made = type(instance)(**instance.params)
    vars(made).update(copy.deepcopy(vars(instance)))  # what was set on it by hand
    assign(made, params)
    return made


def _cash(cash: Any, currency: str) -> tuple[tuple[str, Decimal], ...]:
    given = cash if isinstance(cash, Mapping) else {currency: cash}
    try:
        exact = tuple((code, Decimal(str(amount))) for code, amount in given.items())
    except ArithmeticError:
        raise SettingsError(
            f"cash={cash!r} found, an amount or amounts by currency expected"
        ) from None
    for code, amount in exact:
        if not amount.is_finite() or amount < 0:
            raise SettingsError(f"cash of {amount} {code} found, zero or more expected")
    return exact


def _latency(latency: Any) -> int:
    """Seconds (a number) or a timedelta, as nanoseconds."""
    seconds = latency.total_seconds() if hasattr(latency, "total_seconds") else float(latency)
    if not 0 <= seconds < 86_400:
        raise SettingsError(f"latency={latency!r} found, seconds from 0 to a day expected")
    return round(seconds * 1e9)
