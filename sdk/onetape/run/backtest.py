# pyright: standard
"""Backtest: run strategies over datasets on the engine and return what happened, as a tape."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from onetape import progress
from onetape.errors import RunError, TapeError
from onetape.market.actions import Split
from onetape.risk.exposure import Exposure
from onetape.risk.rungs import Ladder
from onetape.run import engine, feed
from onetape.run.actions import Actions
from onetape.run.commands import Traded
from onetape.run.fills import Walk
from onetape.run.gate import Gate
from onetape.run.gate_doors import GateAlgorithm
from onetape.run.gate_ladder import LadderWatch
from onetape.run.gated import GatedRecorder, RowMarket, gate_of, standing
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
        onward = spool.take if spool else None
        self.gate: Gate | None = None
        self.market = RowMarket()
        if spec.limits is None and spec.ladder is None:
            self.recorder = Recorder(ACCOUNT, onward)
        else:
            self.recorder = GatedRecorder(ACCOUNT, onward)
            self.gate = gate_of(spec, ACCOUNT, self.recorder, self.market)
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
            with self._gated(built, hosts):
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

    def _gated(self, built: Any, hosts: list[Host]) -> AbstractContextManager[None]:
        """Set up the gate, if there are limits: what it looks at, and its doors."""
        if self.gate is None or not isinstance(self.recorder, GatedRecorder):
            return nullcontext()
        self.recorder.hosts = hosts
        if self._watches:
            LadderWatch(self.spec.ladder or Ladder(), self.gate, hosts).attach()
        algorithm = GateAlgorithm(self.gate, hosts)
        built.add_exec_algorithm(algorithm)
        return standing(hosts, self.market, algorithm)

    @property
    def _watches(self) -> bool:
        """Whether the gate must see the rows: losses are told by prices, not by orders."""
        rules = self.spec.limits.rules if self.spec.limits is not None else ()
        losses = any(rule.name.startswith(("daily_loss", "drawdown")) for rule in rules)
        return losses or self.spec.ladder is not None

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
            alone=len(self.strategies) == 1 and not self._watches,
            splits=self._terms().splits,
            latency_ns=spec.latency_ns,
            currency=spec.currency,
            calculation=CALCULATION,
            account=ACCOUNT,
            gate=self.gate,
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
