# pyright: standard
"""The clock that a strategy sees: the engine's, with each callback under the host's eyes.

An error in a timer's callback would be printed by the engine and forgotten; and what a timer
does must not pass for a reaction to the row before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nautilus_trader.trading import Strategy as EngineStrategy

from onetape.run.strategy import Strategy

if TYPE_CHECKING:
    from onetape.run.host import Host

SETTERS = frozenset(
    ("set_time_alert", "set_time_alert_ns", "set_timer", "set_timer_ns", "register_default_handler")
)


class Clock:
    """The engine's clock; all of its methods are there."""

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    def __getattr__(self, name: str) -> Any:
        host = self._host
        found = getattr(host.clock, name)
        if name not in SETTERS:
            return found

        def set_(*args: Any, **kwargs: Any) -> Any:
            kept = [host.timer(a) if callable(a) else a for a in args]
            named = {k: host.timer(v) if callable(v) else v for k, v in kwargs.items()}
            return found(*kept, **named)

        return set_


def watched(strategy: Any, host: Host) -> None:
    """Give a strategy its host, and a clock that the host watches."""
    if isinstance(strategy, Strategy):
        strategy._host = host
        return
    kind, clock = type(strategy), host.own_clock
    if isinstance(strategy, EngineStrategy):  # `clock` cannot be set on an instance of it
        members = {"clock": property(lambda _self: clock), "__module__": kind.__module__}
        if host.stage.live is not None:  # the engine's own would give ids of the wall clock
            members["order_factory"] = property(lambda _self: host.factory)
        made: Any = type(kind.__name__, (kind,), members)
        strategy.__class__ = made


def unwatched(strategy: Any) -> None:
    """Give a plain engine strategy its own clock back."""
    if isinstance(vars(type(strategy)).get("clock"), property) and not isinstance(
        strategy, Strategy
    ):
        strategy.__class__ = type(strategy).__base__
