"""A session's dialect: its FIX version, how it names instruments, how fine its clock is.

What a version's dictionary does not know is left out of what is sent (`trimmed`), so that one
mapping serves all versions; the profile "sim" is our own venue's and keeps everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from onetape_fix.profiles import Profile
from onetape_fix.session.settings import SessionConfig
from onetape_fix.spec import Dictionary, GroupSpec, Rules, shipped
from onetape_fix.wire import Body, Value
from onetape_fix.wire.times import format_utc

FIX42, FIX44, FIX50 = "4.2", "4.4", "5.0"
VERSIONS = {
    "FIX.4.0": FIX42,
    "FIX.4.1": FIX42,
    "FIX.4.2": FIX42,
    "FIX.4.3": FIX44,
    "FIX.4.4": FIX44,
    "FIXT.1.1": FIX50,
}
DICTIONARIES = {FIX42: "FIX.4.2", FIX44: "FIX.4.4", FIX50: "FIX.5.0SP2"}
OWN = frozenset(("sim",))  # profiles that keep what no dictionary knows
NANOSECONDS = 9  # digits
FIRST_ID = 4001  # of instruments that are named by 48: numbers in the order of the listing
UNNAMED = "[N/A]"  # 55 where 48 names the instrument


class Dialect(NamedTuple):
    """See the module. `numbers`: the SecurityIDs of instruments, where those name them."""

    version: str
    profile: str
    digits: int
    dictionary: Dictionary | None = None
    numbers: Mapping[str, str] = MappingProxyType({})
    source: str = "8"  # 22

    @property
    def own(self) -> bool:
        """Whether this is our own venue's dialect, which keeps everything."""
        return self.profile in OWN

    def time(self, ns: int) -> str:
        """Return a time as text."""
        return format_utc(ns, self.digits)

    def date_and_time(self, ns: int) -> tuple[str, str]:
        """Return a time as a date and a time of day, as market data entries have it."""
        date, _, of_day = format_utc(ns, self.digits).partition("-")
        return date, of_day

    def named(self, instrument: str) -> list[tuple[int, Value]]:
        """Return the fields that name an instrument."""
        number = self.numbers.get(instrument)
        if number is not None:
            named: list[tuple[int, Value]] = [(48, number), (22, self.source)]
            return [(55, UNNAMED), *named] if self.version == FIX42 else named
        symbol, dot, venue = instrument.rpartition(".")
        if not dot:
            return [(55, instrument or UNNAMED)]
        return [(55, symbol), (207, venue)]

    def meant(self, fields: Mapping[int, str], listed: Mapping[str, object]) -> str:
        """Return the id of the instrument that fields name; what is not listed is given back."""
        security, symbol, venue = fields.get(48), fields.get(55), fields.get(207)
        if security is not None:
            for instrument, number in self.numbers.items():
                if number == security:
                    return instrument
        if symbol in (None, UNNAMED):
            return security or ""
        if venue is not None:
            return f"{symbol}.{venue}"
        if symbol in listed:
            return symbol
        found = [name for name in listed if name.rpartition(".")[0] == symbol]
        return found[0] if len(found) == 1 else symbol

    def trimmed(self, msg_type: str, body: Body) -> list[tuple[int, Value]]:
        """Return a body without what the version's dictionary does not know."""
        if self.dictionary is None or self.own:
            return list(body)
        spec = self.dictionary.messages.get(msg_type)
        if spec is None:
            return list(body)
        return _kept(body, spec.tags, spec.groups)


def _kept(
    body: Body, tags: frozenset[int], groups: Mapping[int, GroupSpec]
) -> list[tuple[int, Value]]:
    out: list[tuple[int, Value]] = []
    for tag, value in body:
        if tag not in tags and tag not in groups:
            continue
        group = groups.get(tag)
        if isinstance(value, list) and group is not None:
            rank = {of_row: at for at, of_row in enumerate(group.order)}
            rows: list[Body] = [
                sorted(_kept(row, group.tags, group.groups), key=lambda f: rank[f[0]])
                for row in value
            ]
            out.append((tag, rows))
            continue
        out.append((tag, value))
    return out


def dialect_of(
    config: SessionConfig, ways: Profile, rules: Rules | None = None, listed: Iterable[str] = ()
) -> Dialect:
    """Return the dialect of a session; `listed` are the instruments in their order."""
    version = VERSIONS[config.begin_string]
    if ways.name in OWN:
        return Dialect(version, ways.name, NANOSECONDS)
    dictionary = shipped(DICTIONARIES[version]) if rules is None else rules.application
    numbers: dict[str, str] = {}
    if ways.symbols == "security_id":
        numbers = {name: str(FIRST_ID + at) for at, name in enumerate(listed)}
    return Dialect(version, ways.name, config.timestamp_digits, dictionary, numbers, ways.id_source)


def plain(text: str) -> str:
    """Return a text that can stand in a field."""
    clean = text.replace("\x01", " ").encode("latin-1", "replace").decode("latin-1")
    return clean or " "
