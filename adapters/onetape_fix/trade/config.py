"""The config of a venue or feed over FIX: plain data, checked in one place.

The sessions themselves are in a .cfg file that `config` names; here is said which of them a trader
uses. README.md has the table of keys.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from onetape.errors import SettingsError
from onetape.market import Instrument
from onetape_fix.session.settings import SessionConfig, Settings, read


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a venue or feed over FIX is made of; times are seconds."""

    config: str
    session: str | None = None
    marketdata: str | None = None
    dropcopy: tuple[str, ...] = ()
    clearing: tuple[str, ...] = ()
    account: str = ""
    name: str | None = None
    instruments: str | tuple[dict[str, Any], ...] = ()
    symbols: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    gateway: Literal["process", "inside"] = "process"
    timeout: float = 10.0
    connect: float = 20.0
    settle: float = 1.0
    grace: float = 5.0
    depth: int = 1
    replayed: bool | None = None
    paced: bool | None = None
    synthetic: bool | None = None


def checked(config: Mapping[str, object]) -> Config:
    """Return a config that can be used; SettingsError says what is wrong with it."""
    known = Config.__struct_fields__
    for key in config:
        if key not in known:
            close = difflib.get_close_matches(key, known, 2)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {_named(known)}"
            raise SettingsError(f"unknown key {key!r} in the config of a FIX venue; {hint}")
    if "config" not in config:
        raise SettingsError(
            'no "config" in the config of a FIX venue; the path of a session file expected there, '
            'as in {"venue": "fix", "config": "broker.cfg"}'
        )
    try:
        return msgspec.convert(dict(config), Config, strict=False)
    except msgspec.ValidationError as err:
        raise SettingsError(f"the config of a FIX venue does not fit: {err}") from None


def _named(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def settings_of(config: Config) -> Settings:
    """Return the sessions that the config's file describes."""
    return read(Path(config.config).expanduser())


def session_of(settings: Settings, named: str | None, duty: str) -> SessionConfig:
    """Return the session called `named`, or the only one with a duty."""
    if named is not None:
        return settings.session(named)
    found = [each for each in settings.sessions if duty in each.duties]
    if len(found) == 1:
        return found[0]
    there = ", ".join(each.name for each in found or settings.sessions) or "none"
    raise SettingsError(
        f"{len(found)} sessions have the role {duty}; exactly one expected, or the config to name "
        f"one of: {there}"
    )


def copies_of(settings: Settings, config: Config) -> list[SessionConfig]:
    """Return the sessions that copy what the order session tells: drop copies and clearing."""
    named = (*config.dropcopy, *config.clearing)
    return [settings.session(name) for name in named]


def listed(config: Config) -> list[Instrument]:
    """Return the instruments that the config tells of; none where the venue is to be asked."""
    told: Any = config.instruments
    try:
        if isinstance(told, str):
            raw = Path(told).expanduser().read_bytes()
            return msgspec.json.decode(raw, type=list[Instrument]) if told else []
        return [msgspec.convert(each, Instrument, strict=False) for each in told]
    except OSError as err:
        raise SettingsError(f"the instruments in {told} cannot be read: {err.strerror}") from None
    except msgspec.MsgspecError as err:
        raise SettingsError(f"the instruments of a FIX venue do not fit: {err}") from None
