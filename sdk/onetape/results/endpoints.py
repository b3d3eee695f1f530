# pyright: standard
"""Endpoints: the venue and the feed of a session as they are said, and as they may be shown.

Secrets    A config goes to a file and to a process; it names secrets and never holds them:
           "env:NAME", "file:PATH" or "keyring:NAME".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from onetape.errors import SettingsError
from onetape.run.folder import Endpoint
from onetape.run.venues import adapter, simulated

SIM = "sim"
SECRET = ("password", "passwd", "pwd", "secret", "token", "api_key", "apikey", "private_key",
          "passphrase", "credential", "authorization", "auth")  # fmt: skip
USERINFO = re.compile(r"://[^/@\s]*:[^/@\s]+@")
REFERENCE = ("env:", "file:", "keyring:")


def both(
    venue: Any, feed: Any, mode: str, cash: Mapping[str, str], latency: str
) -> tuple[Endpoint, Endpoint]:
    """Return venue and feed: a simulated venue fills what is paper, on the feed's own quotes."""
    to = endpoint("venue", venue)
    of = endpoint("feed", feed) if feed is not None else to
    given = {"cash": dict(cash), "latency": float(latency)}
    if _inside(to) and _inside(of):  # one world has one config, whoever opens it first
        to = of = Endpoint(SIM, {**given, **to.config, **of.config})
    elif _inside(to):
        to = Endpoint(SIM, {**given, **to.config})
    if mode == "paper" and to.adapter != SIM and simulated(to.adapter, to.config):
        return to, of  # what is paper is filled there
    if mode == "paper" and to.adapter != SIM and of.adapter == SIM:
        raise SettingsError(
            f"venue {to.adapter!r} with a simulated feed found in mode paper, which sends no order "
            'to a venue; venue="sim" expected, or mode="live"'
        )
    if mode == "paper" and of.adapter != SIM:
        own = to.config if to.adapter == SIM else given
        return Endpoint(SIM, {**own, "paper": True}), of
    return to, of


def _inside(end: Endpoint) -> bool:
    """Tell whether an end is a simulated venue of the trader's own process."""
    return end.adapter == SIM and not end.config.get("address")


def endpoint(name: str, given: Any) -> Endpoint:
    """Return what a name, {"adapter": name, ...} or (name, {...}) means; SettingsError if none."""
    if isinstance(given, Endpoint):
        return given
    if isinstance(given, str) and given:
        return Endpoint(given, {})
    if isinstance(given, Mapping) and isinstance(given.get("adapter"), str):
        rest = {str(key): value for key, value in given.items() if key != "adapter"}
        inner: Any = rest.pop("config", {})
        return _plain(name, Endpoint(given["adapter"], {**inner, **rest}))
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping):  # pyright: ignore[reportUnknownArgumentType]
        return _plain(name, Endpoint(str(given[0]), dict(given[1])))  # pyright: ignore[reportUnknownArgumentType]
    raise SettingsError(
        f'{name}={given!r} found; a name as "sim", ("sim", {{...}}) or {{"adapter": "sim", ...}} '
        "expected"
    )


def _plain(name: str, made: Endpoint) -> Endpoint:
    try:
        return msgspec.json.decode(msgspec.json.encode(made), type=Endpoint)
    except (TypeError, msgspec.MsgspecError) as err:
        raise SettingsError(
            f"the config of {name} has to be plain data (text, numbers, lists, maps): {err}"
        ) from err


def check(*ends: Endpoint) -> None:
    """Raise UnknownVenue for an adapter that is not installed, SettingsError for a secret."""
    for end in ends:
        adapter(end.adapter)
        _refuse_secrets(end)


def _refuse_secrets(end: Endpoint) -> None:
    for key, value in _leaves(end.config):
        held = isinstance(value, str) and not value.startswith(REFERENCE)
        if held and (is_secret(key) or USERINFO.search(value)):
            raise SettingsError(
                f"{key} in the config of {end.adapter} holds a secret; a reference to it is "
                f'expected, as "env:{key.upper()}" or "file:/run/secrets/{key}"'
            )


def is_secret(key: str) -> bool:
    """Tell whether a key of a config is of something that is not shown."""
    return any(word in key.lower() for word in SECRET)


def redacted(config: Any) -> Any:
    """Return a config as it may be shown."""
    if isinstance(config, Mapping):
        told: Mapping[Any, Any] = config
        return {k: "***" if is_secret(str(k)) else redacted(v) for k, v in told.items()}
    if isinstance(config, list | tuple):
        return [redacted(one) for one in config]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(config, str) and "://" in config and "@" in config:
        scheme, _, rest = config.partition("://")
        return f"{scheme}://***@{rest.rpartition('@')[2]}"
    return config


def _leaves(config: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(config, Mapping):
        told: Mapping[Any, Any] = config
        for key, value in told.items():
            yield str(key), value
            yield from _leaves(value)
    elif isinstance(config, list | tuple):
        for one in config:  # pyright: ignore[reportUnknownVariableType]
            yield from _leaves(one)


def with_data(
    venue: Endpoint, feed: Endpoint, names: Sequence[str], catalog: str
) -> tuple[Endpoint, Endpoint]:
    """Return both with the datasets of a catalog; SettingsError where nothing replays them."""
    if not (_inside(venue) and _inside(feed)):
        raise SettingsError(
            f"data= found with venue {venue.adapter!r} and feed {feed.adapter!r}; a dataset is "
            'replayed by the simulated venue only: venue="sim"'
        )
    more = {"data": list(names), "catalog": catalog}
    same = venue == feed
    venue = Endpoint(SIM, {**venue.config, **more})
    return venue, venue if same else Endpoint(SIM, {**feed.config, **more})
