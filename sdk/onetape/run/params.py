"""Parameters of a strategy: a default, bounds, and a clear word when they are broken."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from onetape.errors import SettingsError

Value = str | int | float | bool | None


class Param:
    """A strategy's parameter; read as a plain attribute."""

    def __init__(self, default: Value, lo: Any, hi: Any, choices: Sequence[Value] | None) -> None:
        self.default, self.lo, self.hi = default, lo, hi
        self.choices = tuple(choices) if choices is not None else None
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.check(self.default)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        return instance.__dict__.get(self.name, self.default)

    def __set__(self, instance: Any, value: Value) -> None:
        instance.__dict__[self.name] = self.check(value)

    def check(self, value: Any) -> Any:
        """Return `value` if it is within bounds; raises SettingsError."""
        if isinstance(value, float) and not isfinite(value):  # the tape's JSON keeps no other
            raise SettingsError(f"{self.name}={value!r} found, a finite number or None expected")
        if self.choices is not None and value not in self.choices:
            options = ", ".join(map(repr, self.choices))
            raise SettingsError(f"{self.name}={value!r} found, one of {options} expected")
        try:
            low = self.lo is not None and value < self.lo
            high = self.hi is not None and value > self.hi
        except TypeError:
            kind = type(self.default).__name__
            raise SettingsError(f"{self.name}={value!r} found, {kind} expected") from None
        if low or high:
            least = "-inf" if self.lo is None else self.lo
            bounds = f"{least} to {'inf' if self.hi is None else self.hi}"
            raise SettingsError(f"{self.name}={value!r} found, {bounds} expected")
        return value


def param(
    default: Value, lo: Any = None, hi: Any = None, *, choices: Sequence[Value] | None = None
) -> Any:
    """Declare a strategy's parameter with inclusive bounds or a list of choices.

    >>> class Cross(Strategy):
    ...     fast = param(10, lo=2, hi=50)
    """
    return Param(default, lo, hi, choices)


def params_of(kind: type) -> dict[str, Param]:
    """Return the declared parameters of a strategy class, in order of declaration."""
    found: dict[str, Param] = {}
    for base in reversed(kind.__mro__):
        found |= {name: value for name, value in vars(base).items() if isinstance(value, Param)}
    return found


def assign(instance: object, given: Mapping[str, Value]) -> None:
    """Set parameters by name; raises SettingsError for an unknown one, with close matches."""
    known = params_of(type(instance))
    for name, value in given.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            listed = ", ".join(known) or "none"
            raise SettingsError(
                f"{type(instance).__name__} has no parameter {name!r} (it has {listed}){hint}"
            )
        setattr(instance, name, value)
