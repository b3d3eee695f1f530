"""The keys of a session file: what each one sets, and how its text is read.

Standard keys mean what they mean in the QuickFIX family; upper and lower case are the same. Keys
of that family that change nothing here are known too (`NEUTRAL`), so that a broker's sample is
read as is; those that would weaken a session are refused (`REFUSED`). Keys that begin with
`Profile.`, and those of `PROFILE`, are handed to the broker profile as they are.

Raises   ValueError with what was expected; `reading` says where.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from onetape.errors import SettingsError
from onetape_fix.session.secrets import Secret

Read = Callable[[str, Path], object]


class Key(NamedTuple):
    """Sets `field` of what the section makes, read by `read`."""

    name: str
    field: str
    read: Read


DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
PRECISION = {
    **{"seconds": 0, "second": 0, "millis": 3, "millisecond": 3, "milliseconds": 3},
    **{"micros": 6, "microsecond": 6, "microseconds": 6, "nanos": 9, "nanosecond": 9},
    **{"nanoseconds": 9, "0": 0, "3": 3, "6": 6, "9": 9},
}
APPLICATION = {  # DefaultApplVerID as 1137 says it
    "FIX.4.0": "2", "FIX.4.1": "3", "FIX.4.2": "4", "FIX.4.3": "5", "FIX.4.4": "6",
    "FIX.5.0": "7", "FIX.5.0SP1": "8", "FIX.5.0SP2": "9",
}  # fmt: skip
PROTOCOLS = {"tlsv1.2": "1.2", "tls12": "1.2", "tlsv1.3": "1.3", "tls13": "1.3"}
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?\Z")
_SECRET_NAME = re.compile(r"password|passphrase|secret|privatekey(?!file)|apikey", re.IGNORECASE)


# -- how a text is read


def text(value: str, _: Path) -> str:
    """As it stands."""
    return value


def profile(value: str, folder: Path) -> str:
    """A profile's name, or module:NAME, or file.py:NAME; a relative file is taken from `folder`."""
    file, colon, name = value.partition(":")
    return f"{path(file, folder)}{colon}{name}" if file.endswith(".py") else value


def flag(value: str, _: Path) -> bool:
    """Y or N."""
    if value.upper() not in ("Y", "N", "YES", "NO", "TRUE", "FALSE"):
        raise ValueError("Y or N")
    return value.upper()[0] in "YT"


def not_flag(value: str, folder: Path) -> bool:
    """N or Y, turned round."""
    return not flag(value, folder)


def whole(value: str, _: Path) -> int:
    """A whole number."""
    if not value.isdecimal():
        raise ValueError("a whole number, 0 or more")
    return int(value)


def number(value: str, _: Path) -> float:
    """A number of 0 or more."""
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise ValueError("a number, 0 or more")
    return found


def age(value: str, folder: Path) -> float | None:
    """Seconds, or `none` for no limit."""
    if value.lower() == "none":
        return None
    try:
        return number(value, folder)
    except ValueError:
        raise ValueError("seconds, or none") from None


def path(value: str, folder: Path) -> Path:
    """A path; a relative one is taken from the folder of the file."""
    return folder / Path(value).expanduser()


def port(value: str, folder: Path) -> int:
    """A port's number; 0: any that is free."""
    found = whole(value, folder)
    if found > 65_535:
        raise ValueError("a port, 0 to 65535")
    return found


def address(value: str, folder: Path) -> tuple[str, int]:
    """host:port."""
    host, _, last = value.rpartition(":")
    if not host or not last.isdecimal():
        raise ValueError("host:port")
    return host.strip("[]"), port(last, folder)


def secret(value: str, folder: Path) -> Secret:
    """A reference to a secret."""
    return Secret(value).beside(folder)


def clock(value: str, _: Path) -> int:
    """HH:MM:SS as seconds after midnight."""
    found = _CLOCK.match(value)
    if found is None:
        raise ValueError("HH:MM:SS (a zone goes to TimeZone)")
    hour, minute, second = found.groups()
    return int(hour) * 3600 + int(minute) * 60 + int(second or 0)


def day(value: str, _: Path) -> int:
    """A day of the week, at least its first two letters."""
    said = value.strip().lower()
    for place, name in enumerate(DAYS):
        if len(said) >= 2 and name.startswith(said.rstrip(".")):
            return place
    raise ValueError("a day such as Monday, Mon or Mo")


def days(value: str, folder: Path) -> frozenset[int]:
    """Days of the week, between commas."""
    return frozenset(day(part, folder) for part in value.split(",") if part.strip())


def role(value: str, _: Path) -> str:
    """initiator or acceptor."""
    if value.lower() not in ("initiator", "acceptor"):
        raise ValueError("initiator or acceptor")
    return value.lower()


def duties(value: str, _: Path) -> frozenset[str]:
    """Order, marketdata, dropcopy, clearing, between commas."""
    return frozenset(part.strip().lower() for part in value.split(",") if part.strip())


def digits(value: str, _: Path) -> int:
    """Digits of a second, as a number or in words."""
    if value.lower() not in PRECISION:
        raise ValueError("0, 3, 6, 9, SECONDS, MILLIS, MICROS or NANOS")
    return PRECISION[value.lower()]


def millis(value: str, folder: Path) -> int:
    """Y: three digits of a second, N: none."""
    return 3 if flag(value, folder) else 0


def version(value: str, _: Path) -> str:
    """The version of application messages, as 1137 says it."""
    return APPLICATION.get(value.upper(), value)


def asking(value: str, folder: Path) -> str:
    """Whether the peer must show a certificate: 0, 1, 2, or Y, N."""
    if value in ("0", "1", "2"):
        return ("no", "may", "must")[int(value)]
    if value.lower() in ("want", "need"):
        return {"want": "may", "need": "must"}[value.lower()]
    return "must" if flag(value, folder) else "no"


def protocols(value: str, _: Path) -> str:
    """The oldest TLS of a list; none below 1.2."""
    said = [part for part in re.split(r"[\s,|]+", value.lower()) if part and part[0] not in "-!"]
    found = [PROTOCOLS[part.lstrip("+")] for part in said if part.lstrip("+") in PROTOCOLS]
    if not found:
        raise ValueError("TLSv1.2 or TLSv1.3; older ones are not spoken")
    return min(found)


def sync(value: str, _: Path) -> str:
    """How a journal comes to the disk."""
    if value.lower() not in ("group", "always", "never"):
        raise ValueError("group, always or never")
    return value.lower()


def tape(value: str, folder: Path) -> str | Secret:
    """A database's URL without a password, or a reference to one with it."""
    if re.match(r"[a-z+0-9]+://[^/@:]*:[^@]+@", value) or "password=" in value.lower():
        raise ValueError("a URL without its password, or a reference: env:NAME, file:/path")
    return secret(value, folder) if value.startswith(("env:", "file:", "keyring:")) else value


def is_secret(name: str) -> bool:
    """Whether a key's value is a secret, by its name: it must be a reference then."""
    return _SECRET_NAME.search(name) is not None


def host_zone() -> str:
    """The time zone of this machine, by its IANA name."""
    said = os.environ.get("TZ", "").lstrip(":")
    if said:
        return said
    link = Path("/etc/localtime")
    _, mark, name = str(link.resolve()).partition("zoneinfo/") if link.exists() else ("", "", "")
    if not mark:
        raise SettingsError(
            "UseLocalTime=Y found, and this machine does not say its zone; set TimeZone"
        )
    return name
