# pyright: standard
"""The run's first word on the tape: code, parameters, data and terms, enough to run it again."""

from __future__ import annotations

import hashlib
import platform
from datetime import datetime
from importlib.metadata import version
from typing import Any

import msgspec
from nautilus_trader.trading import Strategy as EngineStrategy

from onetape.market.dataset import Dataset
from onetape.run.identity import code_of
from onetape.run.spec import Recipe, Spec
from onetape.run.strategy import Strategy
from onetape.tape import kinds

CALCULATION = "1"  # raise when the meaning of anything we derive changes


def opened(spec: Spec, strategies: list[Any]) -> kinds.RunOpened:
    """Return the fact that opens a run."""
    codes = [identity(s) for s in strategies]
    params: dict[str, Any] = {}
    for at, strategy in enumerate(strategies):
        prefix = "" if len(strategies) == 1 else f"{at}."
        params |= {prefix + name: value for name, value in params_in(strategy).items()}
    instruments = {d.instrument.id: d.instrument for d in spec.datasets}
    return kinds.RunOpened(
        strategy=", ".join(type(s).__name__ for s in strategies),
        code_hash=codes[0][0] if len(codes) == 1 else _joined([c for c, _ in codes]),
        code="\n".join(text for _, text in codes if text) or None,
        params=params,
        datasets=tuple(_reference(d) for d in spec.datasets),
        instruments=tuple(_json(i) for i in instruments.values()),
        currency=spec.currency,
        settings=_settings(spec, strategies[0]),
        versions={
            "onetape": version("onetape"),
            "engine": f"nautilus_trader {version('nautilus_trader')}",
            "calculation": CALCULATION,
            "python": platform.python_version(),
        },
        recipe=_json(Recipe.of(spec)),
    )


def _settings(spec: Spec, first: Any) -> dict[str, str]:
    ladder = {"ladder": spec.ladder.describe()} if spec.ladder else {}
    return {
        "fill": spec.fill.name,
        "fill_means": spec.fill.says,
        "fees": spec.fees.describe() if spec.fees else "none",
        "slippage": spec.slippage.describe() if spec.slippage else "none",
        "latency_ns": str(spec.latency_ns),
        "account": f"{spec.account}, leverage {spec.leverage}",
        "limits": spec.limits.describe() if spec.limits else "none",
        **ladder,
        "strategy_path": f"{type(first).__module__}:{type(first).__qualname__}",
    }


def identity(strategy: Any) -> tuple[str, str | None]:
    """Return the hash and source of a strategy's code."""
    return code_of(type(strategy), (Strategy, EngineStrategy))


def params_in(strategy: Any) -> dict[str, Any]:
    """Return a strategy's parameters in force; a plain engine strategy declares none."""
    return strategy.params if isinstance(strategy, Strategy) else {}


def _joined(hashes: list[str]) -> str:
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


def _reference(dataset: Dataset) -> kinds.DatasetRef:
    return kinds.DatasetRef(
        name=dataset.name,
        instrument=dataset.instrument.id,
        data=dataset.kind,
        step=dataset.step,
        fingerprint=dataset.fingerprint,
        range=(ns(dataset.start), ns(dataset.end)),
        rows=dataset.rows,
        tz=dataset.tz,
        stamp=dataset.stamp,
        source={},
        synthetic=dataset.synthetic,
        findings=tuple(f"{f.severity}: {f.count} {f.kind} ({f.detail})" for f in dataset.findings),
    )


def ns(moment: datetime) -> int:
    return (
        int(moment.replace(microsecond=0).timestamp()) * 1_000_000_000 + moment.microsecond * 1_000
    )
