# pyright: standard
"""Strategy: what a quant writes, once, for backtest, paper and live.

It is the engine's own strategy with four things on top: parameters with bounds, indicators
bound to data, intents (`target`, `buy`, ...) and signals whose reasons are kept on the tape.
The engine's powers (`order_factory`, `clock`, `cache`, `portfolio`) stay at hand.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nautilus_trader.trading import Strategy as EngineStrategy

from onetape.errors import RunError, SettingsError
from onetape.run.indicators import MAKERS, Indicator
from onetape.run.params import Value, assign, param, params_of

if TYPE_CHECKING:
    from onetape.run.host import Host

__all__ = ["Strategy", "param"]

Number = int | float | str | Decimal


class Strategy(EngineStrategy):
    """Base of your strategies. Override what you need:

    on_start()          once, before the first row: bind indicators here
    on_bar(bar)         a bar has closed; `bar.close` etc. are exact engine prices
    on_quote(quote)     a quote; on_trade(trade) likewise
    on_order_event(e)   something happened to one of your orders
    on_stop()           once, after the last row

    Rows of all datasets of the run arrive in order of `ts_init`, with no subscription needed.
    Quantities are in units of the instrument; times in ns UTC. Where `instrument` is left out
    it is that of the row being handled.
    """

    _host: Host | None = None

    def __new__(cls, *_args: Any, **_params: Any) -> Strategy:
        return super().__new__(cls)

    def __init__(self, **params: Value) -> None:
        super().__init__()
        assign(self, params)

    # -- what is known

    @property
    def params(self) -> dict[str, Value]:
        """The parameters in force, by name."""
        return {name: getattr(self, name) for name in params_of(type(self))}

    @property
    def instruments(self) -> tuple[str, ...]:
        """The ids of the run's instruments, in the order of its datasets."""
        return self._in_run().instruments

    @property
    def instrument(self) -> str:
        """The instrument of the row being handled, or the run's only one."""
        return self._in_run().ambient_instrument()

    @property
    def clock(self) -> Any:
        """The engine's clock: `set_timer`, `set_time_alert`, `timestamp_ns`, `utc_now`."""
        return EngineStrategy.clock.__get__(self) if self._host is None else self._host.own_clock

    @property
    def order_factory(self) -> Any:
        """The engine's order factory; a live session's gives ids that belong to the session."""
        live = self._host is not None and self._host.stage.live is not None
        engines: Any = EngineStrategy.order_factory
        return self._host.factory if live and self._host else engines.__get__(self)

    def position(self, instrument: str | None = None) -> Decimal:
        """Return this strategy's holding, signed, in units of the instrument."""
        host = self._in_run()
        name = host.named(instrument)
        return host.exposure.held.get((host.name, name), Decimal(0))

    def equity(self) -> Decimal:
        """Return cash and holdings at the last seen prices, in the run's currency."""
        return self._in_run().worth.equity()

    # -- indicators

    def sma(self, period: int, *, on: Any = None, field: str = "close") -> Indicator:
        """Return a simple moving average bound to a dataset's rows."""
        return self._bind("sma", on, period, field)

    def ema(self, period: int, *, on: Any = None, field: str = "close") -> Indicator:
        """Return an exponential moving average, alpha = 2 / (period + 1)."""
        return self._bind("ema", on, period, field)

    def rsi(self, period: int = 14, *, on: Any = None, field: str = "close") -> Indicator:
        """Return the relative strength index, 0 to 100."""
        return self._bind("rsi", on, period, field)

    def atr(self, period: int = 14, *, on: Any = None) -> Indicator:
        """Return the average true range, in price units."""
        return self._bind("atr", on, period)

    def bollinger(self, period: int = 20, deviations: float = 2.0, *, on: Any = None) -> Any:
        """Return Bollinger bands with `upper`, `middle` and `lower`."""
        return self._bind("bollinger", on, period, deviations)

    def macd(self, fast: int = 12, slow: int = 26, signal: int = 9, *, on: Any = None) -> Any:
        """Return MACD with `signal` and `histogram`."""
        return self._bind("macd", on, fast, slow, signal)

    def indicator(self, source: Any, *args: Any, on: Any = None) -> Indicator:
        """Bind any engine indicator (an instance), or one of ours by name ("hma", 20)."""
        if isinstance(source, str):
            return self._bind(source, on, *args)
        return self._bind("custom", on, source, *args)

    def _bind(self, kind: str, on: Any, *args: Any) -> Any:
        if kind not in MAKERS:
            raise SettingsError(f"no indicator {kind!r}; there are {', '.join(MAKERS)}")
        return self._in_run().bind(MAKERS[kind](*args), on)

    # -- signals and intents

    def signal(self, name: str, value: float, *, instrument: str | None = None) -> None:
        """Keep a derived value on the tape, with the row, code and parameters behind it.

        A value that is not finite (an average that is not ready) is not kept.
        """
        self._in_run().signal(name, float(value), instrument)

    def target(
        self,
        quantity: Number | None = None,
        *,
        weight: float | None = None,
        instrument: str | None = None,
        why: str = "",
    ) -> str | None:
        """Trade to a signed holding, or to a share of equity (`weight` 1.0 is all of it).

        What is already on its way counts. Returns the order's id, or None when there is
        nothing to do.
        """
        if (quantity is None) == (weight is None):
            raise SettingsError("target() takes a quantity or weight=..., one of the two")
        return self._in_run().intents.target(quantity, weight, instrument, why)

    def buy(self, quantity: Number, **terms: Any) -> str:
        """Buy; `limit=`, `stop=`, `time_in_force=`, `post_only=`, `reduce_only=`,
        `instrument=`, `why=` are the terms. Returns the order's id.
        """
        return self._in_run().intents.order("BUY", quantity, **terms)

    def sell(self, quantity: Number, **terms: Any) -> str:
        """Sell; terms as for `buy`."""
        return self._in_run().intents.order("SELL", quantity, **terms)

    def close(self, instrument: str | None = None, *, why: str = "") -> str | None:
        """Trade to a holding of zero; returns the order's id, or None when already flat."""
        return self._in_run().intents.target(0, None, instrument, why, "close")

    def bracket(
        self,
        side: str,
        quantity: Number,
        *,
        stop_loss: Number,
        take_profit: Number,
        limit: Number | None = None,
        instrument: str | None = None,
        why: str = "",
    ) -> tuple[str, ...]:
        """Enter with a stop and a target that cancel one another; returns the three ids."""
        exits = (stop_loss, take_profit)
        return self._in_run().intents.bracket(side, quantity, exits, limit, instrument, why)

    def cancel(
        self, order: str | None = None, *, instrument: str | None = None, why: str = ""
    ) -> None:
        """Cancel one order by id, or all of an instrument's."""
        self._in_run().intents.cancel(order, instrument, why)

    def _in_run(self) -> Host:
        if self._host is None:
            raise RunError(
                f"{type(self).__name__} is not in a run yet: use indicators and intents from "
                "on_start on, and start it with ot.backtest(...)"
            )
        return self._host
