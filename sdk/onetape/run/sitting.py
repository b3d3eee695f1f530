# pyright: standard
"""How a live session begins on the tape, and what its feeds are called there."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import msgspec
from nautilus_trader.model import BarType, InstrumentId

from onetape.market.instruments import Instrument
from onetape.run.feed import Source
from onetape.run.folder import LiveSpec, Wanted
from onetape.run.opening import CALCULATION, identity, params_in
from onetape.tape import kinds

HIDDEN = ("tape", "tape_folder", "path", "accept", "watch", "created", "catalog")


@dataclass(frozen=True)
class FeedData:
    """A subscription, as rows of a dataset are named in lineage: the feed stands for the hash."""

    name: str
    instrument: Instrument
    kind: str
    step: str | None
    fingerprint: str

    @property
    def bar_type(self) -> str | None:
        """The engine's name of its bars."""
        if self.step is None:
            return None
        return f"{self.instrument.id}-{self.step}-LAST-EXTERNAL"


def sources(
    feed: str, wanted: tuple[Wanted, ...], instruments: dict[str, Instrument]
) -> tuple[Source, ...]:
    """Return what a session reads, as its host knows it."""
    made: list[Source] = []
    for one in wanted:
        name = " ".join(part for part in (one.instrument, one.data, one.step) if part)
        data: Any = FeedData(name, instruments[one.instrument], one.data, one.step, f"feed:{feed}")
        bar_type = BarType.from_str(data.bar_type) if data.bar_type else None
        made.append(Source(data, InstrumentId.from_str(one.instrument), bar_type, ""))
    return tuple(made)


def opened(spec: LiveSpec, strategy: Any, instruments: dict[str, Instrument]) -> kinds.RunOpened:
    """Return the fact that opens a session: everything that is needed to make it again."""
    code_hash, code = identity(strategy)
    told = msgspec.to_builtins(spec)
    recipe = {name: value for name, value in told.items() if name not in HIDDEN}
    kind = type(strategy)
    return kinds.RunOpened(
        strategy=spec.strategy_name or kind.__name__,
        code_hash=code_hash,
        code=code,
        params=params_in(strategy),
        datasets=(),
        instruments=tuple(_json(i) for i in instruments.values()),
        currency=spec.currency,
        settings={
            "fill": f"{spec.mode} at {spec.venue.adapter}",
            "fill_means": "orders fill where the venue says so",
            "fees": "as the venue takes them",
            "slippage": "as it comes",
            "latency_ns": spec.latency,
            "account": spec.account,
            "trader": spec.trader,
            "desk": spec.desk,
            "venue": spec.venue.adapter,
            "feed": spec.feed.adapter,
            "limits": str(msgspec.json.decode(spec.limits).get("version", "")),
            "strategy_path": spec.strategy or f"{kind.__module__}:{kind.__qualname__}",
        },
        versions={
            "onetape": version("onetape"),
            "engine": f"nautilus_trader {version('nautilus_trader')}",
            "calculation": CALCULATION,
            "python": platform.python_version(),
        },
        mode=spec.mode,
        recipe=_json({"live": recipe}),
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
