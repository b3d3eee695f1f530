# pyright: standard
"""Indicators bound to data: the engine's own, fed before each handler is called.

A price-like indicator (moving average, bands, ATR, MACD) is always in today's share units: it
is fed prices carried forward over splits, and its value is carried back, so that a split makes
no jump. A scale-free one (RSI) needs no such care.

Source   the engine's indicators. An exponential average begins with the simple mean of its first
         `period` values and goes on with alpha = 2 / (period + 1); RSI (0 to 100) and ATR are
         Wilder's (1978): the same beginning, alpha = 1 / period.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nautilus_trader import indicators as engine

from onetape.errors import SettingsError

Reader = Callable[[], float]


class Line:
    """One series of values: `value` now, `previous` at the row before; None until ready."""

    __slots__ = ("name", "previous", "value")

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: Any = None
        self.previous: Any = None

    @property
    def ready(self) -> bool:
        """True once there is a value."""
        return self.value is not None

    def crossed_above(self, other: Line | float) -> bool:
        """Return whether this was at or below `other` one row ago and is above it now."""
        now, before = _pair(other)
        if self.previous is None or before is None:
            return False
        return self.previous <= before and self.value > now

    def crossed_below(self, other: Line | float) -> bool:
        """Return whether this was at or above `other` one row ago and is below it now."""
        now, before = _pair(other)
        if self.previous is None or before is None:
            return False
        return self.previous >= before and self.value < now

    def __float__(self) -> float:
        return float("nan") if self.value is None else float(self.value)

    def __lt__(self, other: Line | float) -> bool:
        return float(self) < float(other)

    def __gt__(self, other: Line | float) -> bool:
        return float(self) > float(other)

    def __repr__(self) -> str:
        shown = "not ready" if self.value is None else f"{self.value:.6g}"
        return f"{self.name}: {shown}"


def _pair(other: Line | float) -> tuple[Any, Any]:
    return (other.value, other.previous) if isinstance(other, Line) else (other, other)


class Indicator(Line):
    """A line with an engine indicator behind it; `lines` are its further series by name."""

    __slots__ = (
        "_engine",
        "_factor",
        "_fields",
        "_lines",
        "_main",
        "_native",
        "_plain",
        "_price_like",
        "_ready",
    )

    def __init__(
        self,
        name: str,
        source: Any,
        *,
        fields: tuple[str, ...] = ("close",),
        price_like: bool = True,
        native: bool = True,
    ) -> None:
        super().__init__(name)
        self._engine = source
        self._fields = fields
        self._price_like = price_like
        self._native = native  # the engine's handle_bar reads just these fields
        self._factor = 1.0
        self._ready = False
        self._plain = False
        self._main: Reader | None = None
        self._lines: tuple[tuple[Line, Reader], ...] = ()

    def update_bar(self, bar: Any) -> None:
        """Take in a bar."""
        source = self._engine
        if self._plain:  # the common case on the hottest path: one value, no split so far
            source.handle_bar(bar)
            self.previous, self.value = self.value, source.value
            return
        if self._native and self._factor == 1.0:
            source.handle_bar(bar)
        else:
            factor = self._factor
            source.update_raw(*[getattr(bar, f).as_double() * factor for f in self._fields])
        self._roll()

    def update_price(self, price: float) -> None:
        """Take in a quote's mid or a trade's price."""
        self._engine.update_raw(*[price * self._factor] * len(self._fields))
        self._roll()

    def _roll(self) -> None:
        if not self._ready:
            if not self._engine.initialized:
                return
            self._ready = True
            self._plain = self._native and self._main is None and not self._lines
            self._plain = self._plain and self._factor == 1.0
        self.previous = self.value
        value = self._engine.value if self._main is None else self._main()
        self.value = value if self._factor == 1.0 else value / self._scale
        for line, read in self._lines:
            line.previous, line.value = line.value, read() / self._scale

    @property
    def _scale(self) -> float:
        return self._factor if self._price_like else 1.0

    def split(self, ratio: float) -> None:
        """Carry on over a split: values now held become values in the new shares."""
        self._factor *= ratio
        self._plain = False
        if self._price_like:
            for line in (self, *[line for line, _ in self._lines]):
                line.value = None if line.value is None else line.value / ratio
                line.previous = None if line.previous is None else line.previous / ratio


class Bollinger(Indicator):
    """Bands `deviations` standard deviations around a mean: `upper`, `middle`, `lower`."""

    __slots__ = ("lower", "middle", "upper")

    def __init__(self, period: int, deviations: float) -> None:
        source = engine.BollingerBands(period, deviations)
        # the engine's handle_bar would take (high + low + close) / 3; the field means the close
        super().__init__(f"bollinger({period}, {deviations:g})", source, native=False)
        self.upper, self.middle, self.lower = Line("upper"), Line("middle"), Line("lower")
        self._main = lambda: source.middle
        self._lines = (
            (self.upper, lambda: source.upper),
            (self.middle, lambda: source.middle),
            (self.lower, lambda: source.lower),
        )


class Macd(Indicator):
    """EMA(fast) - EMA(slow), with `signal`, its own EMA, and `histogram`, the difference."""

    __slots__ = ("histogram", "signal")

    def __init__(self, fast: int, slow: int, signal: int) -> None:
        source = engine.MovingAverageConvergenceDivergence(fast, slow, signal)
        super().__init__(f"macd({fast}, {slow}, {signal})", source)
        self.signal, self.histogram = Line("signal"), Line("histogram")
        self._lines = (
            (self.signal, lambda: source.signal),
            (self.histogram, lambda: source.histogram),
        )


def _moving(kind: Any, label: str) -> Callable[..., Indicator]:
    def make(period: int, field: str = "close") -> Indicator:
        name = f"{label}({_positive(label, period)})"
        return Indicator(name, kind(period), fields=(field,), native=field == "close")

    return make


def _positive(label: str, period: int) -> int:
    if int(period) != period or period < 1:
        raise SettingsError(f"{label}({period}) found, a whole period of at least 1 expected")
    return int(period)


def _rsi(period: int, field: str = "close") -> Indicator:
    wilder = engine.MovingAverageType.Wilder
    source = engine.RelativeStrengthIndex(_positive("rsi", period), wilder)
    return Indicator(
        f"rsi({period})", source, fields=(field,), price_like=False, native=field == "close"
    )


def _atr(period: int) -> Indicator:
    wilder = engine.MovingAverageType.Wilder
    source = engine.AverageTrueRange(_positive("atr", period), wilder)
    return Indicator(f"atr({period})", source, fields=("high", "low", "close"))


def _custom(
    source: Any, fields: tuple[str, ...] = ("close",), price_like: bool = True
) -> Indicator:
    return Indicator(
        type(source).__name__, source, fields=fields, price_like=price_like, native=False
    )


MAKERS: dict[str, Callable[..., Indicator]] = {
    "sma": _moving(engine.SimpleMovingAverage, "sma"),
    "ema": _moving(engine.ExponentialMovingAverage, "ema"),
    "wma": _moving(engine.WeightedMovingAverage, "wma"),
    "hma": _moving(engine.HullMovingAverage, "hma"),
    "dema": _moving(engine.DoubleExponentialMovingAverage, "dema"),
    "rsi": _rsi,
    "atr": _atr,
    "bollinger": Bollinger,
    "macd": Macd,
    "custom": _custom,
}
