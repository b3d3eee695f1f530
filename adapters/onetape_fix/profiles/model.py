"""A broker's profile: what its sessions understand and how they differ, as plain data.

A profile holds no secret and no address: those are the session's settings. What data cannot say
is how a Logon is signed: that is named here and done in `logon`, or by an `Authenticator`.

Supported  the message types that may be sent to the broker; what is not in it is never sent, and
           what it would have told is not told (see `tells_of`).
Resend     "full": a ResendRequest brings what was missed; "gapfill": it is answered by a gap fill;
           "none": the broker has no such message. In the last two a gap means reconciliation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from onetape.errors import SettingsError
from onetape_fix.session.settings import SessionConfig
from onetape_fix.wire.message import Message

Fields = list[tuple[int, str]]
Dialect = Literal["4.2", "4.4", "5.0"]

ORDERS = frozenset(("D", "F", "G", "H"))
PRINTABLE = "".join(chr(code) for code in range(33, 127))
LETTERS_AND_DIGITS = "".join(c for c in PRINTABLE if c.isalnum())
OVERLAYS = Path(__file__).parent / "overlays"


class Logon(NamedTuple):
    """The parts of a Logon that are signed, as they stand on the wire."""

    sender: str
    target: str
    seq: str
    sent: str


class Authenticator(NamedTuple):
    """A broker's own way to log on.

    sign     returns the fields that prove who we are, in the order to be written
    check    whether a Logon proves it: what a simulated counterpart asks; None believes everybody
    """

    sign: Callable[[SessionConfig, Logon], Fields]
    check: Callable[[SessionConfig, Message, Logon], bool] | None = None


class IdRule(msgspec.Struct, frozen=True):
    """What an id that we make up must be like.

    alphabet         the characters that may stand in it
    unique_per_day   the broker wants it unique within its day only, and uses its own again
    """

    max_length: int = 36
    alphabet: str = PRINTABLE
    unique_per_day: bool = False

    @property
    def numeric(self) -> bool:
        """Whether only digits may stand in it."""
        return self.alphabet.isdigit()

    def allows(self, text: str) -> bool:
        """Whether `text` may be used as it is."""
        return 0 < len(text) <= self.max_length and all(c in self.alphabet for c in text)


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One broker's ways.

    begin_strings   versions that it is known to speak; with FIXT.1.1 the application is 5.0SP2
    dialect         how its execution reports are to be read
    symbols         "symbol": instruments are named in 55; "security_id": in 48 with 22
    replace         it knows G; where not, new terms are a cancel and then a new order
    keeps_clordid   a replaced order is called by its first ClOrdID, not by the request's
    throttle        messages a second that it takes, 0 for any
    authenticator   "none", "password", "hmac", "ed25519", "nonce-sha" (see `logon`), or one's own
    logon           fields that its Logon always has: tag and value
    always          fields that its other messages always have: type, tag and value, as in
                    ("D", 9001, "$Desk"). A value that begins with "$" names a key of the
                    session's settings (Profile.Desk=...), in `logon` too
    overlay         a dictionary of its own fields, merged over the version's: the path of an XML
                    file, or the name of one in the package
    cancel_on_disconnect   for people: what it did is learned from it after the next logon
    snapshots       market data comes as whole books each time (265=0)
    mass_cancel_by  "account": 35=q can name an account; "session": it takes all of the session
    """

    name: str
    begin_strings: tuple[str, ...]
    dialect: Dialect = "4.4"
    ids: IdRule = IdRule()
    symbols: Literal["symbol", "security_id"] = "symbol"
    id_source: str = "8"
    supported: frozenset[str] = ORDERS
    resend: Literal["full", "gapfill", "none"] = "full"
    throttle: float = 0.0
    cancel_on_disconnect: bool = False
    replace: bool = True
    keeps_clordid: bool = False
    exec_ids_per_day: bool = False
    overlay: str | None = None
    authenticator: str | Authenticator = "none"
    signature: int = 96
    logon: tuple[tuple[int, str], ...] = ()
    always: tuple[tuple[str, int, str], ...] = ()
    reset_on_logon: bool = False
    mass_cancel_by: Literal["account", "session"] = "session"
    snapshots: bool = False
    warns_by_news: bool = False
    digits: int = 3

    def speaks(self, begin_string: str) -> bool:
        """Whether it is known to speak this version."""
        return begin_string in self.begin_strings


TOLD_BY = {
    "orders": frozenset(("AF", "H")),
    "status": frozenset(("H", "AF")),
    "fills": frozenset(("AD",)),
    "positions": frozenset(("AN",)),
    "cash": frozenset(("BB",)),
}


def tells_of(profile: Profile) -> frozenset[str]:
    """Return which questions a venue of this profile can answer, by their names in the ports."""
    return frozenset(what for what, ways in TOLD_BY.items() if ways & profile.supported)


def overlay_of(profile: Profile) -> Path | None:
    """Return the file of a profile's own fields; SettingsError where it is not there."""
    if not profile.overlay:
        return None
    own = profile.overlay.endswith(".xml")
    path = Path(profile.overlay) if own else OVERLAYS / f"{profile.overlay}.xml"
    if not path.is_file():
        raise SettingsError(
            f"profile {profile.name!r}: there is no overlay {path}; the path of a QuickFIX XML "
            "file expected"
        )
    return path
