"""The config of a simulated venue: plain data, checked in one place.

A `World` is named by `world`; whoever names it first in a process says what it is made of, all
others may name it only. README.md has the table of keys.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from onetape.errors import SettingsError


class Generator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A seeded market: mids walk on the tick grid, around them a spread and sizes.

    `instruments` is how many there are, or their ids; `rate` rows a second over all of them;
    `start` ISO time in UTC; `spread` and `size` are the largest, in ticks and units.
    """

    instruments: int | tuple[str, ...] = 1
    seed: int = 7
    rate: float = 10.0
    seconds: float = 60.0
    start: str = "2024-01-08T14:30:00"
    price: Decimal = Decimal(100)
    tick: Decimal = Decimal("0.01")
    spread: int = 3
    size: int = 500


def _dollars() -> dict[str, Decimal]:
    return {"USD": Decimal(100_000)}


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a simulated venue is made of; times are seconds, in the rows' time unless said."""

    world: str = "default"
    name: str = "SIM"
    data: str | tuple[str, ...] = ()
    catalog: str | None = None
    samples: bool = False
    generator: Generator | None = None
    instruments: tuple[dict[str, Any], ...] = ()  # more that can be traded, without data
    start: str | None = None
    end: str | None = None
    speed: float = 0.0
    clock: Literal["rows", "wall"] = "rows"
    settle: bool = False
    latency: float = 0.0
    fees: str = "free"
    cash: dict[str, Decimal] = msgspec.field(default_factory=_dollars)
    accounts: tuple[str, ...] = ()
    self_match: Literal["skip", "cancel_resting", "cancel_aggressor", "allow"] = "skip"
    cancel_on_disconnect: bool = False
    faults: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict[str, dict[str, Any]])
    journal: str | None = None
    paper: bool = False
    address: str | None = None
    heartbeat: float = 1.0
    timeout: float = 5.0

    @property
    def names(self) -> tuple[str, ...]:
        """The datasets' names."""
        return (self.data,) if isinstance(self.data, str) else self.data


OF_CONNECTION = frozenset(("address", "accounts", "heartbeat", "timeout"))


def checked(config: Mapping[str, object]) -> Config:
    """Return a config that can be used; SettingsError says what is wrong with it."""
    known = Config.__struct_fields__
    for key in config:
        if key not in known:
            close = difflib.get_close_matches(key, known, 2)
            hint = (
                f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known)}"
            )
            raise SettingsError(f"unknown key {key!r} in the config of a simulated venue; {hint}")
    try:
        made = msgspec.convert(dict(config), Config, strict=False)
    except msgspec.ValidationError as err:
        raise SettingsError(f"the config of a simulated venue does not fit: {err}") from None
    _refuse(made)
    return made


def _refuse(made: Config) -> None:
    if made.speed < 0 or made.latency < 0:
        raise SettingsError(
            f"speed {made.speed} and latency {made.latency} found; zero or more expected"
        )
    if made.clock == "wall" and made.speed != 1:
        raise SettingsError(f'clock "wall" with speed {made.speed} found; speed 1.0 expected')
    if made.paper and (made.names or made.generator or made.address):
        raise SettingsError(
            "paper with data, a generator or an address found: a paper venue fills against the "
            "rows of another feed; leave them out"
        )
    if made.names and made.generator:
        raise SettingsError("data and generator found; one of the two expected")
    for code, amount in made.cash.items():
        if not amount.is_finite():
            raise SettingsError(f"cash of {amount} {code} found, a finite amount expected")
