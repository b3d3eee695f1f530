# pyright: standard
"""What `ot.trade` was asked for, checked before any process is started, as a LiveSpec."""

from __future__ import annotations

import difflib
import importlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from onetape.errors import OnetapeError, SettingsError
from onetape.market.catalog import Catalog
from onetape.market.dataset import Dataset
from onetape.market.instruments import Instrument
from onetape.results import endpoints
from onetape.risk.rungs import ladder_of
from onetape.run.carried import carry
from onetape.run.folder import Endpoint, LiveSpec, Wanted, Watch, folder_of
from onetape.run.strategy import Strategy
from onetape.settings import settings

if TYPE_CHECKING:
    from onetape.results.tape import Tape

DATA = "data"  # the catalog in a session's folder
NO_LIMITS = """no limits found, and nothing trades without; limits=PATH of a limits file expected.
A starter file for a paper account of 100,000 is written by

    onetape limits write limits.toml --equity 100000 --currency USD

or, from Python, by Path("limits.toml").write_text(dumps(starter(100_000, "USD"))) with both from
onetape.risk.limitbook; then say limits="limits.toml"."""


def specified(strategy: Any, tape: Tape, **given: Any) -> tuple[LiveSpec, tuple[Dataset, ...]]:
    """Return the spec of a session, and the datasets that its own folder has to hold.

    Raises SettingsError, which says what does not fit and what would.
    """
    kind, params = _strategy(strategy, given["params"])
    carried = carry(kind)
    mode, account = _mode(given["mode"]), _text("account", given["account"])
    currency = _text("currency", given["currency"])
    cash, latency = _cash(given["cash"], currency), _seconds(given["latency"])
    session = _id(given["name"] or kind.__name__)
    data = _datasets(given["data"])
    venue, feed = endpoints.both(given["venue"], given["feed"], mode, cash, latency)
    catalog = _catalog(given["catalog"])
    kept = _kept(data, catalog)
    if data:
        where = catalog if kept else str(folder_of(session) / DATA)
        venue, feed = endpoints.with_data(venue, feed, [one.name for one in data], where)
    endpoints.check(venue, feed)
    instruments = tuple(d.instrument for d in data) or _instruments(given["instruments"])
    spec = LiveSpec(
        session=session,
        strategy=carried.named,
        source=carried.source,
        path=carried.path,
        cwd=str(Path.cwd()),
        strategy_name=kind.__name__,
        params=params,
        mode=mode,
        book=mode,
        account=account,
        trader=given["trader"],
        desk=given["desk"],
        venue=venue,
        feed=feed,
        subscriptions=_subscriptions(given["subscribe"], data, feed),
        instruments=tuple(_json(one) for one in instruments),
        cash=cash,
        currency=currency,
        limits=_limits(given["limits"]),
        tape=tape.url,
        tape_folder=str(tape.server.folder) if tape.server is not None else "",
        catalog=catalog,
        previous=given["previous"],
        accept=tuple(given["accept"]),
        on_restart=_one_of("on_restart", given["on_restart"], ("cancel", "keep")),
        latency=latency,
        flatten_on_stop=bool(given["flatten_on_stop"]),
        options=dict(given["options"] or {}) | _ladder(given["ladder"], given["account"]),
        watch=given["watch"] or Watch(),
        created=time.time_ns(),
    )
    return spec, () if kept else data


# -- the strategy


def _strategy(
    strategy: Any, params: Mapping[str, Any] | None
) -> tuple[type[Strategy], dict[str, Any]]:
    found = _named(strategy) if isinstance(strategy, str) else strategy
    given = dict(params or {})
    if isinstance(found, Strategy):
        given = {**found.params, **given}
        _refuse_set_by_hand(found)
        found = type(found)
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise SettingsError(
            f"strategy {strategy!r} found, a subclass of ot.Strategy, an instance or a known name "
            "expected"
        )
    return found, found(**given).params  # a wrong parameter is told before anything is started


def _named(name: str) -> Any:
    known = {point.name: point for point in entry_points(group="onetape.strategies")}
    if name in known:
        return known[name].load()
    where, _, attribute = name.partition(":")
    try:
        if attribute:
            return getattr(importlib.import_module(where), attribute)
    except (ImportError, AttributeError) as err:
        raise SettingsError(f"strategy {name!r} cannot be loaded: {err}") from err
    listed = ", ".join(sorted(known)) or "none"
    raise SettingsError(f"no strategy {name!r}; known: {listed}; or say module:Class")


def _refuse_set_by_hand(strategy: Strategy) -> None:
    """Another process makes its own instance from the parameters, and has nothing else."""
    if type(strategy).__init__ is not Strategy.__init__:
        return
    extra = set(vars(strategy)) - set(strategy.params) - set(vars(type(strategy)()))
    if extra:
        raise SettingsError(
            f"{', '.join(sorted(extra))} was set on the {type(strategy).__name__} by hand, which "
            "its own process cannot see: make it a parameter (ot.param) or set it in on_start"
        )


# -- its data


def _datasets(data: Any) -> tuple[Dataset, ...]:
    listed = () if data is None else (data,) if isinstance(data, Dataset) else tuple(data)
    for one in listed:
        if not isinstance(one, Dataset):
            raise SettingsError(
                f"data holds {type(one).__name__}, datasets expected, as ot.sample(...)"
            )
    return listed


def _kept(data: tuple[Dataset, ...], catalog: str) -> bool:
    """Tell whether the catalog in use holds the datasets already."""
    return bool(catalog) and all(_in(catalog, one) for one in data)


def _in(catalog: str, dataset: Dataset) -> bool:
    if "://" not in catalog and not Path(catalog).is_dir():
        return False
    try:
        return Catalog(catalog).dataset(dataset.name).fingerprint == dataset.fingerprint
    except OnetapeError:
        return False


def _subscriptions(given: Any, data: tuple[Dataset, ...], feed: Endpoint) -> tuple[Wanted, ...]:
    if given is None:
        if not data and feed.adapter != endpoints.SIM:
            raise SettingsError(
                'no subscriptions found; say what the strategy sees: subscribe=["EUR/USD.SIM"] for '
                'quotes, or [("GOOG.XNAS", "bars", "1-MINUTE")]'
            )
        return tuple(Wanted(one.instrument.id, one.kind, one.step) for one in data)
    listed = [given] if isinstance(given, str | Wanted) else list(given)
    return tuple(_wanted(one) for one in listed)


def _wanted(one: Any) -> Wanted:
    parts = one.split("/bars/") if isinstance(one, str) and "/bars/" in one else one
    if isinstance(parts, Wanted):
        return parts
    if isinstance(parts, str):
        return Wanted(parts, "quotes")
    listed = [str(part) for part in parts]
    if isinstance(one, str):
        listed = [listed[0], "bars", listed[1]]
    kinds = {"quotes": 2, "trades": 2, "bars": 3}
    if len(listed) < 2 or kinds.get(listed[1]) != len(listed):
        raise SettingsError(
            f'{one!r} found in subscribe; "EUR/USD.SIM" (quotes), ("EUR/USD.SIM", "trades") or '
            '("GOOG.XNAS", "bars", "1-MINUTE") expected'
        )
    return Wanted(*listed)


def _catalog(given: Any) -> str:
    where = str(settings().catalog if given is None else given)
    return where if not where or "://" in where else str(Path(where).expanduser().absolute())


def _instruments(given: Any) -> tuple[Instrument, ...]:
    listed = (given,) if isinstance(given, Instrument) else tuple(given or ())
    for one in listed:
        if not isinstance(one, Instrument):
            raise SettingsError(f'{one!r} found in instruments, ot.equity("GOOG.XNAS") expected')
    return listed


def _json(one: Instrument) -> str:
    return msgspec.json.encode(one, order="deterministic").decode()


# -- terms


def _limits(given: Any) -> str:
    from onetape.risk.limitbook import to_json
    from onetape.risk.limits import limits_of

    book = limits_of(given)
    if book is None:
        raise SettingsError(NO_LIMITS)
    if book.absent != "deny":
        raise SettingsError(
            'limits found that allow whatever they do not name (absent="allow"), which is for '
            "backtests; a complete set expected: ot.starter_limits(...), ot.load_limits(...)"
        )
    return to_json(book)


def _mode(mode: Any) -> Any:
    return _one_of("mode", mode, ("paper", "live"))


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> Any:
    if value not in known:
        close = difflib.get_close_matches(str(value), known, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise SettingsError(
            f"{name}={value!r} found, {' or '.join(map(repr, known))} expected{hint}"
        )
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{name}={value!r} found, a name expected, as {name}='PAPER-1'")
    return value.strip()


def _cash(cash: Any, currency: str) -> dict[str, str]:
    given: Mapping[Any, Any] = cash if isinstance(cash, Mapping) else {currency: cash}
    try:
        exact = {str(code): Decimal(str(amount)) for code, amount in given.items()}
    except ArithmeticError:
        exact = {currency: Decimal("NaN")}
    if not all(amount.is_finite() and amount >= 0 for amount in exact.values()):
        raise SettingsError(f"cash={cash!r} found, an amount or amounts by currency expected")
    return {code: str(amount) for code, amount in exact.items()}


def _seconds(latency: Any) -> str:
    seconds = latency.total_seconds() if isinstance(latency, timedelta) else latency
    try:
        exact = Decimal(str(seconds))
    except ArithmeticError:
        exact = Decimal("NaN")
    if not (exact.is_finite() and 0 <= exact < 86_400):
        raise SettingsError(f"latency={latency!r} found, seconds from 0 to a day expected")
    return str(exact)


def _id(name: str) -> str:
    plain = "".join(c if (c.isalnum() and c.isascii()) or c in "_.+" else "_" for c in name)
    return f"{plain}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"


def _ladder(given: Any, account: str) -> dict[str, Any]:
    """Return the ladder as plain text, checked; nothing where there is none.

    A rung without a scope is about the session's account: it acts beyond the session.
    """
    words = [given] if isinstance(given, str) else [str(one) for one in given]
    rungs = [
        w if len(w.partition(":")[0].split()) != 2 else f"account:{account} {w}" for w in words
    ]
    ladder_of(rungs)
    return {"ladder": rungs} if rungs else {}
