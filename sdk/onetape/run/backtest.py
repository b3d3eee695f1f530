# pyright: standard
"""Backtest: run strategies over datasets on the engine and return what happened, as a tape."""

from __future__ import annotations

import platform
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import msgspec
from nautilus_trader.trading import Strategy as EngineStrategy

from onetape.errors import OnetapeError, RunError, SettingsError, StrategyError
from onetape.market.actions import Split
from onetape.market.dataset import Dataset
from onetape.market.instruments import Instrument
from onetape.risk.exposure import Exposure
from onetape.risk.limits import Limits
from onetape.run import engine, feed
from onetape.run.actions import Actions
from onetape.run.commands import Traded
from onetape.run.fees import Fees, Slippage
from onetape.run.fills import Fill, convention
from onetape.run.host import Host, Stage
from onetape.run.identity import code_of
from onetape.run.params import assign
from onetape.run.recorder import Recorder
from onetape.run.strategy import Strategy
from onetape.tape import kinds
from onetape.tape.recording import Recording

CALCULATION = "1"  # raise when the meaning of anything we derive changes
ACCOUNT = "BACKTEST-001"
CHUNK = 250_000
SHOW_PROGRESS_FROM = 500_000  # rows


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
    limits: Limits | None = None
    progress: bool | None = None
    chunk: int = CHUNK


def specify(strategy: Any, data: Any, **terms: Any) -> Spec:
    """Check the arguments of `ot.backtest` and return them as a Spec; SettingsError if amiss."""
    datasets = _datasets(data, terms.pop("start", None), terms.pop("end", None))
    fill = convention(terms.pop("fill", None), {d.kind for d in datasets})
    cash, currency = terms.pop("cash"), terms.pop("currency")
    kind, leverage = engine.account_terms(terms.pop("account", "margin"))
    return Spec(
        makers=_makers(strategy, terms.pop("params", None) or {}),
        datasets=datasets,
        cash=_cash(cash, currency),
        currency=currency,
        fill=fill,
        latency_ns=_latency(terms.pop("latency", 0)),
        account=kind,
        leverage=leverage,
        **terms,
    )


class Recipe(msgspec.Struct, frozen=True):
    """A spec's terms as they are kept in `run.opened`."""

    cash: tuple[tuple[str, Decimal], ...]
    fill: str
    fees: Fees | None
    slippage: Slippage | None
    latency_ns: int
    account: str
    leverage: Decimal
    limits: Limits | None

    @classmethod
    def of(cls, spec: Spec) -> Recipe:
        """Return the terms of a spec."""
        return cls(**{name: getattr(spec, name) for name in cls.__struct_fields__ if name != "fill"}, fill=spec.fill.name)


def specify_again(opened: kinds.RunOpened, strategy: Any, datasets: tuple[Dataset, ...]) -> Spec:
    """Return the spec that `opened` tells of, with a strategy class and data at hand."""
    if not opened.recipe:
        raise RunError("this tape keeps no recipe: it was recorded by a version that wrote none")
    recipe = msgspec.json.decode(opened.recipe, type=Recipe)
    terms = {name: getattr(recipe, name) for name in Recipe.__struct_fields__ if name != "fill"}
    return Spec(
        makers=_makers(strategy, opened.params),
        datasets=datasets,
        currency=opened.currency,
        fill=convention(recipe.fill, {d.kind for d in datasets}),
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
    if start is None and end is None:
        return tuple(listed)
    return tuple(d.slice(start, end) for d in listed)


def _makers(given: Any, params: Mapping[str, Any]) -> tuple[Callable[[], Any], ...]:
    made: list[Callable[[], Any]] = []
    for each in given if isinstance(given, list | tuple) else [given]:
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
        assign(instance, params)
        if kind.__init__ is Strategy.__init__:
            return lambda: kind(**instance.params)
    fresh = [instance]

    def make() -> Any:
        if not fresh:
            raise RunError(
                f"this {kind.__name__} has run already and an instance runs once: "
                "give the class, or a new instance"
            )
        return fresh.pop()

    return make


def _cash(cash: Any, currency: str) -> tuple[tuple[str, Decimal], ...]:
    given = cash if isinstance(cash, Mapping) else {currency: cash}
    exact = tuple((code, Decimal(str(amount))) for code, amount in given.items())
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


def execute(spec: Spec) -> Recording:
    """Run a backtest and return its recording.

    Raises StrategyError when a strategy's callback raised (its own error is the cause), and
    RunError when the engine could not go on.
    """
    return _Run(spec).go()


class _Run:
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.strategies = [make() for make in spec.makers]
        self.recorder = Recorder(ACCOUNT)
        self.instruments = {d.instrument.id: d.instrument for d in spec.datasets}
        self.start = min(_ns(d.start) for d in spec.datasets)
        self.end = max(_ns(d.end) for d in spec.datasets) + 1_000
        self.sources = feed.sources(list(spec.datasets), spec.fill.adds)

    def go(self) -> Recording:
        spec = self.spec
        self._open()
        built = engine.build(self.instruments.values(), self._terms())
        try:
            hosts = self._hosts(built)
            for host in hosts:
                host.attach()
            Actions(hosts, self.start, self.end).attach()
            for strategy in self.strategies:
                built.add_strategy(strategy)
            self._drive(built, hosts)
            self.recorder.sweep(built.cache.orders())
        finally:
            built.dispose()
        self.recorder.note(kinds.RunClosed("completed"), self.end, "run")
        return self.recorder.close()

    def _terms(self) -> engine.Terms:
        spec = self.spec
        splits = any(
            isinstance(action, Split) and self.start < action.ts <= self.end
            for dataset in spec.datasets
            for action in dataset.actions
        )
        return engine.Terms(
            cash=spec.cash,
            currency=spec.currency,
            account=spec.account,
            leverage=spec.leverage,
            fees=spec.fees,
            slippage=spec.slippage,
            latency_ns=spec.latency_ns,
            bar_execution=spec.fill.adds != "path",
            splits=splits,
        )

    def _hosts(self, built: Any) -> list[Host]:
        spec = self.spec
        exposure = Exposure()
        for code, amount in spec.cash:
            exposure.deposit(code, amount)
        traded = {name: Traded(i.to_engine()) for name, i in self.instruments.items()}
        stage = Stage(
            recorder=self.recorder,
            exposure=exposure,
            sources=self.sources,
            traded=traded,
            hold_until=spec.fill.hold_until,
            currency=spec.currency,
            limits=spec.limits,
            calculation=CALCULATION,
            account=ACCOUNT,
        )
        return [Host(s, stage, identity(s)[0], params_in(s)) for s in self.strategies]

    def _drive(self, built: Any, hosts: list[Host]) -> None:
        bar = _progress(self.spec.progress, sum(d.rows for d in self.spec.datasets))
        try:
            for parts, rows in feed.chunks(self.sources, self.spec.chunk):
                for part in parts:
                    built.add_data(part, validate=False, sort=False)
                built.sort_data()  # stable: rows of one time stay in the order of the datasets
                self._step(built, hosts, lambda: built.run(streaming=True))
                built.clear_data()
                bar.update(rows)
            self._step(built, hosts, built.end)
        finally:
            bar.close()

    def _step(self, built: Any, hosts: list[Host], act: Any) -> None:
        trouble: BaseException | None = None
        try:
            act()
        except Exception as err:
            trouble = err
        for host in hosts:
            if host.failure is not None:
                raise _strategy_error(host, *host.failure)
        if trouble is not None:
            raise RunError(f"the engine stopped: {trouble}") from trouble

    def _open(self) -> None:
        spec, note = self.spec, self.recorder.note
        first = self.strategies[0]
        codes = [identity(s) for s in self.strategies]
        params: dict[str, Any] = {}
        for at, strategy in enumerate(self.strategies):
            prefix = "" if len(self.strategies) == 1 else f"{at}."
            params |= {prefix + name: value for name, value in params_in(strategy).items()}
        opened = kinds.RunOpened(
            strategy=", ".join(type(s).__name__ for s in self.strategies),
            code_hash=codes[0][0] if len(codes) == 1 else _joined([c for c, _ in codes]),
            code="\n".join(text for _, text in codes if text) or None,
            params=params,
            datasets=tuple(_reference(d) for d in spec.datasets),
            instruments=tuple(_json(i) for i in self.instruments.values()),
            currency=spec.currency,
            settings=self._settings(first),
            versions={
                "onetape": version("onetape"),
                "engine": f"nautilus_trader {version('nautilus_trader')}",
                "calculation": CALCULATION,
                "python": platform.python_version(),
            },
            recipe=msgspec.json.encode(Recipe.of(spec), order="deterministic").decode(),
        )
        note(opened, self.start, "run")
        stream = f"account/{ACCOUNT}"
        base = spec.cash[0][0] if len(spec.cash) == 1 else None
        note(kinds.AccountOpened(ACCOUNT, spec.account, base, spec.leverage), self.start, stream, 1)
        for code, amount in spec.cash:
            note(kinds.CashDeposited(ACCOUNT, code, amount), self.start, stream, 1)

    def _settings(self, first: Any) -> dict[str, str]:
        spec = self.spec
        return {
            "fill": spec.fill.name,
            "fill_means": spec.fill.says,
            "fees": spec.fees.describe() if spec.fees else "none",
            "slippage": spec.slippage.describe() if spec.slippage else "none",
            "latency_ns": str(spec.latency_ns),
            "account": f"{spec.account}, leverage {spec.leverage}",
            "limits": spec.limits.describe() if spec.limits else "none",
            "strategy_path": f"{type(first).__module__}:{type(first).__qualname__}",
        }


def identity(strategy: Any) -> tuple[str, str | None]:
    """Return the hash and source of a strategy's code."""
    return code_of(type(strategy), (Strategy, EngineStrategy))


def params_in(strategy: Any) -> dict[str, Any]:
    """Return a strategy's parameters in force; a plain engine strategy declares none."""
    return strategy.params if isinstance(strategy, Strategy) else {}


def _joined(hashes: list[str]) -> str:
    import hashlib

    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _json(instrument: Instrument) -> str:
    return msgspec.json.encode(instrument, order="deterministic").decode()


def _reference(dataset: Dataset) -> kinds.DatasetRef:
    return kinds.DatasetRef(
        name=dataset.name,
        instrument=dataset.instrument.id,
        data=dataset.kind,
        step=dataset.step,
        fingerprint=dataset.fingerprint,
        range=(_ns(dataset.start), _ns(dataset.end)),
        rows=dataset.rows,
        tz=dataset.tz,
        stamp=dataset.stamp,
        source=_source(dataset.source),
        synthetic=dataset.synthetic,
        findings=tuple(f"{f.severity}: {f.count} {f.kind} ({f.detail})" for f in dataset.findings),
    )


def _source(source: Any) -> dict[str, str]:
    said = msgspec.to_builtins(source)
    if isinstance(said, dict):
        return {str(name): str(value) for name, value in sorted(said.items()) if value is not None}
    return {"source": str(said)}


def _ns(moment: datetime) -> int:
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000_000 + moment.microsecond * 1_000


def _progress(wanted: bool | None, rows: int) -> Any:
    from tqdm.auto import tqdm

    shown = wanted if wanted is not None else rows >= SHOW_PROGRESS_FROM and sys.stderr.isatty()
    return tqdm(total=rows, unit="rows", unit_scale=True, desc="backtest", disable=not shown, leave=False)


def _strategy_error(host: Host, error: BaseException, handler: str, event: Any) -> BaseException:
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return error
    inner = error.__traceback__
    frames = [f for f in traceback.extract_tb(inner) if "/onetape/run/" not in f.filename]
    place = f" ({frames[0].filename}:{frames[0].lineno})" if frames else ""
    while inner is not None and inner.tb_next is not None and _ours(inner):
        inner = inner.tb_next  # begin the shown traceback in the user's own code
    where = "" if event is None else f" while handling {_said(event)}"
    what = f"{type(error).__name__}: {error}"
    hint = "" if not isinstance(error, OnetapeError) else " (the message says what to try)"
    made = StrategyError(f"{host.name}.{handler} raised {what}{where}{place}{hint}")
    made.__cause__ = error.with_traceback(inner)
    return made


def _ours(frame: Any) -> bool:
    return "/onetape/run/" in frame.tb_frame.f_code.co_filename.replace("\\", "/")


def _said(event: Any) -> str:
    ts = getattr(event, "ts_event", None)
    at = "" if ts is None else f" at {datetime.fromtimestamp(ts / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{type(event).__name__} {event}{at}"
