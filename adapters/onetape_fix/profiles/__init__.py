"""Broker profiles: how brokers differ, as data; and the few things that data cannot say."""

from __future__ import annotations

from onetape_fix.profiles.brokers import names, profile, register
from onetape_fix.profiles.logon import authenticate, verify
from onetape_fix.profiles.model import IdRule, Profile, tells_of
from onetape_fix.profiles.symbols import SymbolMap

__all__ = [
    "IdRule",
    "Profile",
    "SymbolMap",
    "authenticate",
    "names",
    "profile",
    "register",
    "tells_of",
    "verify",
]
