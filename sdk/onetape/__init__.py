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
    from onetape.results.control import approve_limits as approve_limits
    from onetape.results.control import kill as kill
    from onetape.results.control import kills as kills
    from onetape.results.control import limits_in_force as limits_in_force
    from onetape.results.control import override as override
    from onetape.results.control import propose_limits as propose_limits
    from onetape.results.control import rearm as rearm
    from onetape.results.control import set_state as set_state
    from onetape.results.control import states as states
    from onetape.results.drift import drift as drift
    from onetape.results.replay import replay as replay
    from onetape.results.rerun import rerun as rerun
    from onetape.results.run import Run as Run
    from onetape.results.session import session as session
    from onetape.results.session import sessions as sessions
    from onetape.results.session import trade as trade
    from onetape.results.tape import Tape as Tape
    from onetape.results.tape import open_tape as open_tape
    from onetape.results.tape import prove as prove
    from onetape.risk import limitfile
    from onetape.risk.limits import limits as limits
    from onetape.run.fees import bps as bps
    from onetape.run.fees import maker_taker as maker_taker
    from onetape.run.fees import per_share as per_share
    from onetape.run.fees import ticks as ticks
    from onetape.run.params import param as param
    from onetape.run.strategy import Strategy as Strategy
    from onetape.tape.recording import Recording as Recording
    from onetape.tape.recording import first_difference as first_difference

    load_limits, starter_limits = limitfile.load, limitfile.starter

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
    "approve_limits": "results.control",
    "backtest": "results.backtest",
    "bps": "run.fees",
    "crypto_perpetual": "market.instruments",
    "drift": "results.drift",
    "equity": "market.instruments",
    "first_difference": "tape.recording",
    "future": "market.instruments",
    "fx": "market.instruments",
    "kill": "results.control",
    "kills": "results.control",
    "limits": "risk.limits",
    "limits_in_force": "results.control",
    "load_limits": "risk.limitfile",
    "maker_taker": "run.fees",
    "open_tape": "results.tape",
    "option": "market.instruments",
    "override": "results.control",
    "param": "run.params",
    "per_share": "run.fees",
    "propose_limits": "results.control",
    "prove": "results.tape",
    "rearm": "results.control",
    "replay": "results.replay",
    "rerun": "results.rerun",
    "sample": "market.samples",
    "samples": "market.samples",
    "session": "results.session",
    "sessions": "results.session",
    "set_state": "results.control",
    "starter_limits": "risk.limitfile",
    "states": "results.control",
    "ticks": "run.fees",
    "trade": "results.session",
}

_CALLED = {"load_limits": "load", "starter_limits": "starter"}  # under other names at home

__all__ = sorted([*_HOME, "errors"])  # pyright: ignore[reportUnsupportedDunderAll]
__version__ = "0.4.0"


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("onetape.errors")
    if name not in _HOME:
        import difflib

        close = difflib.get_close_matches(name, __all__, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise AttributeError(f"onetape has no {name!r}{hint}")
    value = getattr(import_module(f"onetape.{_HOME[name]}"), _CALLED.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
