"""The profiles that come with the package. Each like a public venue's, none by its permission.

One of your own need not be here: see `own`, and README.md.
"""

from __future__ import annotations

import difflib

from onetape.errors import SettingsError
from onetape_fix.profiles import own
from onetape_fix.profiles.model import LETTERS_AND_DIGITS, ORDERS, IdRule, Profile

RECOVERY = frozenset(("AF", "AD"))
HOLDINGS = frozenset(("AN", "BB"))
MARKET_DATA = frozenset(("V", "x"))
DROP_COPY = frozenset(("AD", "AR"))
LISTS = frozenset(("E",))

GENERIC42 = Profile(
    name="generic42",
    begin_strings=("FIX.4.2",),
    dialect="4.2",
    ids=IdRule(max_length=20, unique_per_day=True),
    supported=ORDERS | frozenset(("V", "c", "e")),
    authenticator="password",
)
GENERIC44 = Profile(
    name="generic44",
    begin_strings=("FIX.4.4", "FIX.4.3"),
    supported=ORDERS | RECOVERY | HOLDINGS | MARKET_DATA | LISTS | {"q", "e", "AR"},
    authenticator="password",
)
GENERIC50 = Profile(
    name="generic50",
    begin_strings=("FIXT.1.1",),
    dialect="5.0",
    supported=ORDERS | RECOVERY | HOLDINGS | MARKET_DATA | LISTS | {"q", "e", "AR"},
    authenticator="password",
    mass_cancel_by="account",
)
SIM = Profile(
    name="sim",
    begin_strings=("FIX.4.4", "FIXT.1.1"),
    supported=ORDERS | RECOVERY | HOLDINGS | MARKET_DATA | frozenset(("q", "e", "AR", "UB", "UH")),
    mass_cancel_by="account",
    snapshots=True,
    overlay="sim",
    digits=9,
)
TT = Profile(
    name="tt",
    begin_strings=("FIX.4.4", "FIX.4.2"),
    ids=IdRule(max_length=50),
    supported=ORDERS | MARKET_DATA | frozenset(("c", "e", "AD", "AN", "AF")),
    overlay="tt",
    authenticator="password",
    exec_ids_per_day=False,
    warns_by_news=True,
)
LMAX = Profile(
    name="lmax",
    begin_strings=("FIX.4.4",),
    ids=IdRule(max_length=20, alphabet=LETTERS_AND_DIGITS),
    symbols="security_id",
    supported=ORDERS | frozenset(("V", "AD")),
    snapshots=True,
    throttle=100.0,
    authenticator="password",
    reset_on_logon=True,
)
BINANCE = Profile(
    name="binance",
    begin_strings=("FIX.4.4",),
    ids=IdRule(max_length=36, alphabet=LETTERS_AND_DIGITS + "-_"),
    supported=frozenset(("D", "F", "q", "V", "x")),
    resend="none",
    replace=False,
    throttle=100.0,
    overlay="binance",
    authenticator="ed25519",
    logon=((25035, "1"),),
    reset_on_logon=True,
    warns_by_news=True,
    digits=6,
)
COINBASE = Profile(
    name="coinbase",
    begin_strings=("FIXT.1.1",),
    dialect="5.0",
    ids=IdRule(max_length=36),
    supported=ORDERS | frozenset(("q", "V", "x", "AF")),
    resend="gapfill",
    cancel_on_disconnect=True,
    throttle=100.0,
    overlay="coinbase",
    authenticator="hmac",
    signature=58,
    logon=((8013, "S"),),
    reset_on_logon=True,
)

_known = {
    each.name: each for each in (GENERIC42, GENERIC44, GENERIC50, TT, LMAX, BINANCE, COINBASE, SIM)
}


SHIPPED = frozenset(_known)


def register(profile: Profile) -> None:
    """Make a profile known under its name; SettingsError where that is taken by another one."""
    if _known.setdefault(profile.name, profile) != profile:
        raise SettingsError(f"a profile {profile.name!r} is there already; give yours another name")


def profile(name: str) -> Profile:
    """Return the profile called `name`, or that it leads to (see `own`); SettingsError with close
    matches for an unknown one."""
    if name in _known:
        return _known[name]
    if (made := own.found(name)) is not None:
        if made.name in SHIPPED:  # "sim" above all: paper orders may leave there
            raise SettingsError(
                f"the profile of {name} is called {made.name!r}, as one of the package; give it "
                "another name"
            )
        _known[made.name] = made
        return made
    there = (*_known, *own.offered())
    close = difflib.get_close_matches(name.lower(), there, 2, 0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(there)}"
    raise SettingsError(
        f"unknown broker profile {name!r}; {hint}; one of your own is named by its file: "
        "Profile=acme.py"
    )


def names() -> tuple[str, ...]:
    """Return the names of all profiles."""
    return tuple(sorted(_known))
