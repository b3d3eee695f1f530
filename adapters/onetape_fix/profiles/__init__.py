"""Broker profiles: how brokers differ, as data; and the few things that data cannot say."""

from __future__ import annotations

from onetape_fix.profiles.brokers import names, profile, register
from onetape_fix.profiles.logon import authenticate, stated, verify
from onetape_fix.profiles.model import Authenticator, IdRule, Logon, Profile, overlay_of, tells_of
from onetape_fix.profiles.symbols import SymbolMap

__all__ = [
    "Authenticator",
    "IdRule",
    "Logon",
    "Profile",
    "SymbolMap",
    "authenticate",
    "names",
    "overlay_of",
    "profile",
    "register",
    "stated",
    "tells_of",
    "verify",
]
