"""What can be traded, and how it stands: x -> y, c -> d, e -> f, g -> h.

In our own dialect 58 of a listed instrument holds all of it as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec

from onetape.market import Instrument
from onetape_fix.door.dialect import Dialect
from onetape_fix.door.seat import Seat
from onetape_fix.wire import Body, Message, Value

Fields = list[tuple[int, Value]]
FRAGMENT = 200  # instruments in one message
SECURITY_TYPES = {
    "equity": "CS",
    "fx": "FXSPOT",
    "future": "FUT",
    "option": "OPT",
    "crypto_perpetual": "FUT",
}
CFI = {
    "equity": "ESXXXX",
    "fx": "MRCXXX",
    "future": "FXXXXX",
    "option": "OXXXXX",
    "crypto_perpetual": "FFXXXX",
}
OPEN, HALTED = "17", "2"  # 326
ONE = ("0",)  # 559: one symbol; all others are answered with everything


class Listing:
    """See the module."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.watched: dict[str, str] = {}  # instrument -> the request that subscribed to its state
        self.done: dict[str, Callable[[Message], None]] = {
            "x": self.list,
            "c": self.define,
            "e": self.state,
            "g": self.session,
        }

    def list(self, message: Message) -> None:
        """Answer a SecurityListRequest."""
        seat, request = self.seat, message.get(320, "0")
        found = self._found(message, message.get(559) in ONE)
        parts = [found[at : at + FRAGMENT] for at in range(0, len(found), FRAGMENT)] or [[]]
        for at, part in enumerate(parts, 1):
            rows: list[Body] = [described(each, seat.dialect) for each in part]
            body: Fields = [(320, request), (322, f"L-{request}-{at}")]
            body += [(560, "0" if found else "2"), (393, len(found))]
            body += [(893, "Y" if at == len(parts) else "N"), (146, rows)]
            seat.say("y", seat.dialect.trimmed("y", body))

    def define(self, message: Message) -> None:
        """Answer a SecurityDefinitionRequest: one message for each instrument that fits."""
        seat, request = self.seat, message.get(320, "0")
        found = self._found(message, 55 in message or 48 in message)
        for at, each in enumerate(found, 1):
            body: Fields = [(320, request), (322, f"S-{request}-{at}"), (323, "4")]
            body += [(393, len(found)), *described(each, seat.dialect)]
            seat.say("d", seat.dialect.trimmed("d", body))
        if not found:
            body = [(320, request), (322, f"S-{request}-0"), (323, "5"), (393, 0)]
            seat.say("d", seat.dialect.trimmed("d", body))

    def state(self, message: Message) -> None:
        """Answer a SecurityStatusRequest, and tell of halts from then on where that is asked."""
        instrument = self.seat.instrument(message.values)
        request = message.get(324, "0")
        action = message.get(263, "0")
        if action == "2":
            self.watched.pop(instrument, None)
            return
        if action == "1":
            self.watched[instrument] = request
        self._say_state(instrument, request)

    def halted(self) -> None:
        """Trading has stopped, or goes on: tell those who asked."""
        for instrument, request in self.watched.items():
            self._say_state(instrument, request)

    def session(self, message: Message) -> None:
        """Answer a TradingSessionStatusRequest: one session, always open."""
        body: Fields = [(335, message.get(335, "0")), (336, message.get(336, "1")), (340, "2")]
        self.seat.say("h", self.seat.dialect.trimmed("h", body))

    def _say_state(self, instrument: str, request: str) -> None:
        seat = self.seat
        book = seat.world.core.books.get(instrument)
        body: Fields = [(324, request), *seat.dialect.named(instrument)]
        if book is None:
            body += [(326, "20"), (60, seat.dialect.time(seat.now))]  # unknown or invalid
        else:
            body += [(326, HALTED if book.halted else OPEN), (60, seat.dialect.time(seat.now))]
        seat.say("f", seat.dialect.trimmed("f", body))

    def _found(self, message: Message, one: bool) -> list[Instrument]:
        listed = self.seat.world.core.instruments
        if not one:
            return list(listed.values())
        found = listed.get(self.seat.instrument(message.values))
        return [] if found is None else [found]


def described(instrument: Instrument, dialect: Dialect) -> Fields:
    """Return the fields of an instrument; with a number of its own its symbol is told as well."""
    body = dialect.named(instrument.id)
    if dialect.numbers:
        body = [(55, instrument.symbol), *(f for f in body if f[0] != 55), (207, instrument.venue)]
    body += [(461, CFI[instrument.kind]), (167, SECURITY_TYPES[instrument.kind])]
    if instrument.expiry is not None:
        body.append((541, instrument.expiry.replace("-", "")))
    if instrument.strike is not None:
        body.append((202, instrument.strike))
    if instrument.right is not None:
        body.append((201, "0" if instrument.right == "put" else "1"))
    body += [(231, instrument.multiplier), (969, instrument.tick), (15, instrument.currency)]
    body.append((561, instrument.lot))
    if dialect.own:
        body.append((58, json.dumps(msgspec.to_builtins(instrument))))
    return body
