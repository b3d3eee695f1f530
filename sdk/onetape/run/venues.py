"""Venues and feeds by name: adapters are found by the entry point `onetape.venues`.

A config is plain data: {"venue": "sim", ...} or a name alone. Everything but `venue` goes to the
adapter as it is; secrets are named there, never held.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import cast

from onetape.errors import SettingsError, UnknownVenue
from onetape.run.ports import Adapter, Feed, Venue

GROUP = "onetape.venues"
Config = str | Mapping[str, object]


def names() -> list[str]:
    """Return the names of all adapters that are installed."""
    return sorted({found.name for found in entry_points(group=GROUP)})


def adapter(name: str) -> Adapter:
    """Return the adapter called `name`.

    Raises UnknownVenue, with close matches, where none is installed; SettingsError where one is
    and cannot be used.
    """
    found = {each.name: each for each in entry_points(group=GROUP)}
    if name not in found:
        close = difflib.get_close_matches(name.lower(), found, 3, 0.4)
        hint = f"Did you mean {' or '.join(close)}? " if close else ""
        there = ", ".join(sorted(found)) or "none"
        raise UnknownVenue(
            f"no venue adapter {name!r} is installed. {hint}There are {there}; "
            f"others come with packages that have an entry point {GROUP!r}."
        )
    try:
        made: object = found[name].load()
    except (ImportError, AttributeError) as err:
        raise SettingsError(
            f"the venue adapter {name!r} ({found[name].value}) cannot be loaded: {err}"
        ) from err
    missing = [part for part in ("venue", "feed") if not callable(getattr(made, part, None))]
    if missing:
        raise SettingsError(
            f"the venue adapter {name!r} has no {' and no '.join(missing)}; an object with "
            "venue(config) and feed(config) expected"
        )
    return cast(Adapter, made)


def simulated(name: str, config: Mapping[str, object]) -> bool:
    """Return whether an adapter says that the venue of a config is a simulated one; one that is
    not installed says nothing."""
    if name not in names():
        return False
    asked = getattr(adapter(name), "simulated", None)
    return callable(asked) and bool(asked(config))


def venue(config: Config) -> Venue:
    """Return the venue that a config names; errors as for `adapter`."""
    name, said = _parted(config)
    return adapter(name).venue(said)


def feed(config: Config) -> Feed:
    """Return the feed that a config names; errors as for `adapter`."""
    name, said = _parted(config)
    return adapter(name).feed(said)


def _parted(config: Config) -> tuple[str, dict[str, object]]:
    if isinstance(config, str):
        return config, {}
    said = dict(config)
    name = said.pop("venue", None)
    if not isinstance(name, str):
        raise SettingsError(
            f"venue={name!r} found in {dict(config)}, the name of an adapter expected, as in "
            '{"venue": "sim", ...}'
        )
    return name, said
