"""What a session is made of, from its settings: profile, dictionaries, rules.

Sessions with the same dictionaries share one set of rules: 28 of them cost what one does.
Raises   SettingsError for a profile or dictionary that is not there.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import msgspec

from onetape_fix.profiles import Profile, overlay_of, profile
from onetape_fix.profiles.model import OVERLAYS as OVERLAYS
from onetape_fix.session import SessionConfig
from onetape_fix.spec import LENIENT, Checks, Dictionary, Rules, load, overlaid, shipped

USUAL = {"FIX.4.4": "generic44", "FIX.4.3": "generic44", "FIXT.1.1": "generic50"}
FIXT, APPLICATION = "FIXT.1.1", "FIX.5.0SP2"


def profile_of(config: SessionConfig) -> Profile:
    """Return a session's profile: the one it names, else a generic one of its version; with the
    overlay that the session names."""
    ways = profile(config.profile or USUAL.get(config.begin_string, "generic42"))
    overlay = config.extra.get("Overlay")
    return msgspec.structs.replace(ways, overlay=overlay) if isinstance(overlay, str) else ways


def settled(config: SessionConfig, ways: Profile) -> SessionConfig:
    """Return the settings with what the profile says of its broker."""
    return msgspec.structs.replace(
        config,
        reset_on_logon=config.reset_on_logon or ways.reset_on_logon,
        timestamp_digits=max(config.timestamp_digits, ways.digits)
        if config.timestamp_digits
        else 0,
    )


def rules_of(config: SessionConfig, ways: Profile) -> Rules | None:
    """Return what messages are checked against; None where nothing is to be."""
    checks = config.checks
    if not checks.dictionary:
        return None
    looked_at = Checks(
        order=checks.order,
        values=checks.empty,
        user_fields=checks.user_defined,
        unknown_fields=checks.unknown_fields,
        # fields that an overlay adds to a group stand behind the others: there is no order to check
        group_order=checks.group_order and not ways.overlay,
    )
    apps = tuple(path for _, path in config.app_dictionaries[:1])
    single = config.data_dictionary
    transport = config.transport_dictionary
    return _rules(
        config.begin_string, single, transport, apps, overlay_of(ways), config.lenient, looked_at
    )


@lru_cache(maxsize=64)
def _rules(
    version: str,
    single: Path | None,
    transport: Path | None,
    apps: tuple[Path, ...],
    overlay: Path | None,
    lenient: bool,
    checks: Checks,
) -> Rules:
    types = LENIENT if lenient else frozenset[str]()
    if version != FIXT:
        one = shipped(version) if single is None else load(single)
        return Rules(_with(overlay, one), lenient=types, checks=checks)
    below = shipped(FIXT) if transport is None else load(transport)
    above = load(apps[0]) if apps else load(single) if single else shipped(APPLICATION)
    return Rules(below, _with(overlay, above), lenient=types, checks=checks)


def _with(overlay: Path | None, base: Dictionary) -> Dictionary:
    return base if overlay is None else overlaid(overlay, base)
