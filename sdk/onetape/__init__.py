"""onetape: quant research and trading on one tape.

>>> import onetape as ot
>>> run = ot.backtest(MyStrategy, ot.sample("GOOG"), cash=10_000, fees=ot.bps(20))

Names are loaded where they are first used, so that importing costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onetape.market.actions import Dividend as Dividend
    from onetape.market.actions import Split as Split
    from onetape.market.catalog import Catalog as Catalog
    from onetape.market.dataset import Dataset as Dataset
    from onetape.market.instruments import Instrument as Instrument
    from onetape.market.instruments import crypto_perpetual as crypto_perpetual
    from onetape.market.instruments import equity as equity
    from onetape.market.instruments import future as future
    from onetape.market.instruments import fx as fx
    from onetape.market.instruments import option as option
    from onetape.market.samples import sample as sample
    from onetape.market.samples import samples as samples
    from onetape.results.backtest import backtest as backtest
    from onetape.results.replay import replay as replay
    from onetape.results.rerun import rerun as rerun
    from onetape.results.run import Run as Run
    from onetape.results.tape import Tape as Tape
    from onetape.results.tape import open_tape as open_tape
    from onetape.results.tape import prove as prove
    from onetape.risk.limits import limits as limits
    from onetape.run.fees import bps as bps
    from onetape.run.fees import maker_taker as maker_taker
    from onetape.run.fees import per_share as per_share
    from onetape.run.fees import ticks as ticks
    from onetape.run.params import param as param
    from onetape.run.strategy import Strategy as Strategy
    from onetape.tape.recording import Recording as Recording
    from onetape.tape.recording import first_difference as first_difference

_HOME = {
    "Catalog": "market.catalog",
    "Dataset": "market.dataset",
    "Dividend": "market.actions",
    "Instrument": "market.instruments",
    "Recording": "tape.recording",
    "Run": "results.run",
    "Split": "market.actions",
    "Strategy": "run.strategy",
    "Tape": "results.tape",
    "backtest": "results.backtest",
    "bps": "run.fees",
    "crypto_perpetual": "market.instruments",
    "equity": "market.instruments",
    "first_difference": "tape.recording",
    "future": "market.instruments",
    "fx": "market.instruments",
    "limits": "risk.limits",
    "maker_taker": "run.fees",
    "open_tape": "results.tape",
    "option": "market.instruments",
    "param": "run.params",
    "per_share": "run.fees",
    "prove": "results.tape",
    "replay": "results.replay",
    "rerun": "results.rerun",
    "sample": "market.samples",
    "samples": "market.samples",
    "ticks": "run.fees",
}

__all__ = sorted([*_HOME, "errors"])  # pyright: ignore[reportUnsupportedDunderAll]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("onetape.errors")
    if name not in _HOME:
        import difflib

        close = difflib.get_close_matches(name, __all__, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise AttributeError(f"onetape has no {name!r}{hint}")
    value = getattr(import_module(f"onetape.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
