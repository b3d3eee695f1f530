"""The symbol map: our instrument ids, and what a broker calls the same thing.

An id is SYMBOL.VENUE. Where a broker has no name of its own for it, 55 is the symbol and 207 the
venue. Brokers of "security_id" profiles name instruments by 48 and 22 alone: the ids must be told
once, by the config's `symbols` or the broker's security list.

Raises   VenueError for an instrument that a message cannot name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from onetape.errors import VenueError
from onetape_fix.profiles.model import Profile

SYMBOL, SECURITY_ID, ID_SOURCE, EXCHANGE = 55, 48, 22, 207
UNNAMED = "[N/A]"  # what 55 must be at brokers that go by 48 and yet want it


class SymbolMap:
    """Two-way; `venue` is put behind a symbol that comes without its exchange."""

    def __init__(
        self, profile: Profile, venue: str, named: Mapping[str, str] | None = None
    ) -> None:
        self._profile, self._venue = profile, venue
        self._to: dict[str, str] = {}
        self._from: dict[str, str] = {}
        for instrument, theirs in (named or {}).items():
            self.learn(instrument, theirs)

    def learn(self, instrument: str, theirs: str) -> None:
        """Remember that the broker calls an instrument so."""
        self._to[instrument] = theirs
        self._from[theirs] = instrument

    def fields(self, instrument: str) -> list[tuple[int, str]]:
        """Return the fields that name an instrument."""
        theirs = self._to.get(instrument)
        symbol, _, venue = instrument.rpartition(".")
        if self._profile.symbols == "security_id":
            if theirs is None:
                raise VenueError(
                    f"{instrument} has no id at this broker ({self._profile.name}), which names "
                    f'instruments by id; write "symbols": {{"{instrument}": "ID"}} to the config'
                )
            return [(SYMBOL, UNNAMED), (SECURITY_ID, theirs), (ID_SOURCE, self._profile.id_source)]
        if theirs is not None:
            return [(SYMBOL, theirs)]
        return [(SYMBOL, symbol), (EXCHANGE, venue)] if symbol else [(SYMBOL, instrument)]

    def instrument(self, get: Callable[[int], str | None]) -> str:
        """Return our id of what a message (its `get`) names; "" where it names nothing."""
        theirs, symbol = get(SECURITY_ID), get(SYMBOL)
        for name in (theirs, symbol):
            if name and name in self._from:
                return self._from[name]
        if not symbol or symbol == UNNAMED:
            return f"{theirs}.{self._venue}" if theirs else ""
        return f"{symbol}.{get(EXCHANGE) or self._venue}"
