# pyright: standard
"""Backtest: run strategies over datasets on the engine and return what happened, as a tape."""

from __future__ import annotations

from typing import Any

from onetape import progress
from onetape.errors import RunError, TapeError
from onetape.market.actions import Split
from onetape.risk.exposure import Exposure
from onetape.run import engine, feed
from onetape.run.actions import Actions
from onetape.run.commands import Traded
from onetape.run.fills import Walk
from onetape.run.host import Host, Stage
from onetape.run.opening import CALCULATION, identity, ns, opened, params_in
from onetape.run.recorder import Recorder
from onetape.run.rows import in_turn
from onetape.run.spec import Spec
from onetape.run.spool import Spool
from onetape.run.trouble import strategy_error
from onetape.tape import kinds
from onetape.tape.recording import Recording

ACCOUNT = "BACKTEST-001"


def execute(spec: Spec, spool: Spool | None = None) -> Recording:
    """Run a backtest and return its recording; `spool` takes it to a durable tape meanwhile.

    Raises StrategyError when a strategy's callback raised (its own error is the cause), and
    RunError when the engine could not go on.
    """
    return _Run(spec, spool).go()


class _Run:
    def __init__(self, spec: Spec, spool: Spool | None) -> None:
        self.spec, self.spool = spec, spool
        self.strategies = [make() for make in spec.makers]
        self.recorder = Recorder(ACCOUNT, spool.take if spool else None)
        self.instruments = {d.instrument.id: d.instrument for d in spec.datasets}
        self.end = max(ns(d.end) for d in spec.datasets) + 1_000
        self.walk = Walk() if spec.fill.adds == "path" else None
        self.sources = feed.sources(list(spec.datasets), spec.fill.adds)
        self.start = min(feed.begins(source) for source in self.sources)

    def go(self) -> Recording:
        self._open()
        built = engine.build(self.instruments.values(), self._terms())
        hosts = self._hosts()
        try:
            for host in hosts:
                host.attach()
            in_turn(hosts)
            Actions(hosts, self.start, self.end).attach()
            for strategy in self.strategies:
                built.add_strategy(strategy)
            self._drive(built, hosts)
            self.recorder.sweep(built.cache.orders())
        except BaseException as err:  # Ctrl-C too: what happened until then is kept
            if self.spool is not None and not isinstance(err, TapeError):
                self._close("failed", f"{type(err).__name__}: {err}")
            raise
        finally:
            built.dispose()
            for host in hosts:
                host.detach()
        return self._close("completed")

    def _close(self, status: str, detail: str = "") -> Recording:
        self.recorder.note(kinds.RunClosed(status, detail), self.end, "run")
        recording = self.recorder.close()
        if self.spool is not None:
            self.spool.close()
        return recording

    def _terms(self) -> engine.Terms:
        spec = self.spec
        splits = any(
            isinstance(action, Split) and self.start < action.ts <= self.end
            for dataset in spec.datasets
            for action in dataset.actions
        )
        ticked = {d.instrument.id for d in spec.datasets if d.kind != "bars"}
        by_bars = self.instruments.keys() - ticked
        return engine.Terms(
            ticked=frozenset(self.instruments[name].venue for name in ticked),
            barred=frozenset(self.instruments[name].venue for name in by_bars),
            cash=spec.cash,
            currency=spec.currency,
            account=spec.account,
            leverage=spec.leverage,
            fees=spec.fees,
            slippage=spec.slippage,
            latency_ns=spec.latency_ns,
            walk=self.walk,
            bar_execution=spec.fill.adds != "path",
            splits=splits,
        )

    def _hosts(self) -> list[Host]:
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
            walk=self.walk,
            first=self.strategies[0],
            alone=len(self.strategies) == 1,
            splits=self._terms().splits,
            latency_ns=spec.latency_ns,
            currency=spec.currency,
            limits=spec.limits,
            calculation=CALCULATION,
            account=ACCOUNT,
        )
        return [Host(s, stage, identity(s)[0], params_in(s)) for s in self.strategies]

    def _drive(self, built: Any, hosts: list[Host]) -> None:
        rows = sum(d.rows for d in self.spec.datasets)
        bar = progress.bar(rows, "backtest", self.spec.progress)
        try:
            for parts, read in feed.chunks(self.sources, self.spec.chunk):
                for part in parts:
                    built.add_data(part, validate=False, sort=False)
                built.sort_data()  # stable: rows of one time stay in the order of the datasets
                self._step(hosts, lambda: built.run(streaming=True))
                built.clear_data()
                bar.update(read)
            self._step(hosts, built.end)
        finally:
            bar.close()

    def _step(self, hosts: list[Host], act: Any) -> None:
        trouble: BaseException | None = None
        try:
            act()
        except Exception as err:
            trouble = err
        for host in hosts:
            if host.failure is not None:
                raise strategy_error(host, *host.failure)
        if trouble is not None:
            raise RunError(f"the engine stopped: {trouble}") from trouble

    def _open(self) -> None:
        spec, note = self.spec, self.recorder.note
        note(opened(spec, self.strategies), self.start, "run")
        stream = f"account/{ACCOUNT}"
        base = spec.cash[0][0] if len(spec.cash) == 1 else None
        note(kinds.AccountOpened(ACCOUNT, spec.account, base, spec.leverage), self.start, stream, 1)
        for code, amount in spec.cash:
            note(kinds.CashDeposited(ACCOUNT, code, amount), self.start, stream, 1)
        if self.spool is not None:
            self.recorder.flush()
