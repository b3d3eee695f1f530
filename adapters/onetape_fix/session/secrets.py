"""Secrets: referred to by settings, never held in them; and masked in all that is kept or shown.

A reference is `env:NAME` (a variable of the environment), `file:/path` (the file's text, without
the line end) or `keyring:service/name` (the desktop's key store, where the package `keyring` is
installed). The secret itself is read when it is used and is kept nowhere.

`mask` takes the secrets out of a message before it is written to disk or shown: passwords (554,
925, 1402, 1404), signatures and secure data (89, 91), and of a Logon also its raw data (96) and a
text (58) that looks like a signature. A data field keeps its length, so that the message can
still be taken apart; a password does not, and the message's length and checksum stay as sent.

Raises   SettingsError for a plain secret where a reference is expected, and where one leads
         nowhere. No message of these holds the secret.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path

import msgspec

from onetape.errors import SettingsError

SOH = b"\x01"
WAYS = "env:NAME, file:/path/to/file or keyring:service/name"

_LOGON = b"\x0135=A\x01"
# data fields come first: what stands within them is masked with them, not by itself
_DATA = (b"\x0189=", b"\x0191=", b"\x011402=", b"\x011404=")
_ALWAYS = (*_DATA, b"\x01554=", b"\x01925=")
_OF_LOGON = (b"\x0196=", *_ALWAYS, b"\x0158=")
_LENGTHS = {b"89": b"93", b"91": b"90", b"96": b"95", b"1402": b"1401", b"1404": b"1403"}
# one look that most messages pass: several times faster than asking for each tag
_HOLDS = re.compile(rb"\x01(?:35=A\x01|554=|925=|89=|91=|140[24]=)").search
_STARS = b"***"
_SHORTEST_SIGNATURE = 16  # characters; words of people are shorter or have spaces between them
_IN_TEXT = re.compile(r"(?<![0-9])(554|925|89|91|96|1402|1404)=[^|\x01\s]+")


class Secret(msgspec.Struct, frozen=True):
    """A reference to a secret; `reveal` reads it."""

    reference: str

    def __post_init__(self) -> None:
        way, _, rest = self.reference.partition(":")
        if way not in ("env", "file", "keyring") or not rest:
            raise SettingsError(f"a plain secret found; expected a reference to it: {WAYS}")
        if way == "keyring" and not all(rest.partition("/")[::2]):
            raise SettingsError("keyring: without service/name found; try keyring:service/name")

    def reveal(self) -> str:
        """Return the secret; SettingsError where the reference leads nowhere."""
        way, _, rest = self.reference.partition(":")
        if way == "env":
            return _present(os.environ.get(rest), f"the environment has no {rest}")
        if way == "file":
            return _of_file(Path(rest))
        return _of_keyring(*rest.split("/", 1))

    def beside(self, folder: Path) -> Secret:
        """The same reference, a relative path taken from `folder`."""
        way, _, rest = self.reference.partition(":")
        if way != "file":
            return self
        return Secret(f"file:{folder / Path(rest).expanduser()}")

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"


def mask(raw: bytes) -> bytes:
    """Return a message without its secrets: the very same object where it holds none."""
    if _HOLDS(raw) is None:
        return raw
    for mark in _OF_LOGON if _LOGON in raw else _ALWAYS:
        if mark in raw:
            raw = _masked(raw, mark)
    return raw


def mask_text(text: str) -> str:
    """Return a text for people without the secrets of messages quoted in it."""
    return _IN_TEXT.sub(r"\1=***", text) if "=" in text else text


def _masked(raw: bytes, mark: bytes) -> bytes:
    tag = mark[1:-1]
    length = _LENGTHS.get(tag)
    at = raw.find(mark)
    while at >= 0:
        begin = at + len(mark)
        end = raw.find(SOH, begin)
        end = len(raw) if end < 0 else end
        if length is not None:
            end = raw.find(SOH, max(end, _end_of_data(raw, at, begin, length)))
            end = len(raw) if end < 0 else end  # a length that lies masks more, not less
        stars = _STARS if length is None else b"*" * (end - begin)
        if tag != b"58" or _like_a_signature(raw[begin:end]):
            raw = raw[:begin] + stars + raw[end:]
            end = begin + len(stars)
        at = raw.find(mark, end)
    return raw


def _end_of_data(raw: bytes, at: int, begin: int, length: bytes) -> int:
    """Where a data field ends by the length field before it; it may hold field separators."""
    field = raw.rfind(SOH, 0, at)
    name, _, value = raw[field + 1 : at].partition(b"=")
    if name != length or not value.isdigit() or len(value) > 9:
        return begin
    return min(begin + int(value), len(raw))


def _like_a_signature(value: bytes) -> bool:
    return len(value) >= _SHORTEST_SIGNATURE and b" " not in value


def _present(found: str | None, trouble: str) -> str:
    if not found:
        raise SettingsError(f"{trouble} or it is empty; a secret expected there: set it first")
    return found


def _of_file(path: Path) -> str:
    try:
        found = path.expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as err:
        raise SettingsError(f"the secret's file {path} cannot be read: {err.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"the secret's file {path} is not text; UTF-8 expected") from None
    return _present(found, f"the file {path} holds nothing")


def _of_keyring(service: str, name: str) -> str:
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise SettingsError(
            "keyring: found, and the package keyring is not installed; install it or use env: or"
            " file: instead"
        ) from None
    return _present(keyring.get_password(service, name), f"no key {service}/{name} is kept")
