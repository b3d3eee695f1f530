"""What other venues do differently, as the counterpart: by the session's profile.

LMAX-like      instruments by 48/22 alone; a message rate, and a ban of 15 s for who exceeds it
TT-like        TargetCompID is not looked at; U2 asks for the day's orders again, their end is
               said by News (35=B)
Binance-like   no ResendRequest in either direction, 141=Y must be said, Ed25519 in the Logon, no G
Coinbase-like  141=Y must be said, a signature in 58, 8013 says whether orders go with the session,
               resends are gap fills

Credentials are checked wherever the acceptor's settings name some.
"""

from __future__ import annotations

from collections import deque

from onetape_fix.door import reports
from onetape_fix.door.faults import Throttle
from onetape_fix.door.seat import Seat
from onetape_fix.profiles import Profile, verify
from onetape_fix.session import Secret, SessionConfig
from onetape_fix.wire import Body, Message

BAN = 15.0  # seconds
MUST_RESET = frozenset(("binance", "coinbase"))
ANY_TARGET = frozenset(("tt",))
LIMITED = frozenset(("lmax", "binance", "coinbase"))
CANCELS_ON_DISCONNECT = 8013  # Coinbase's
YES = frozenset(("Y", "S", "1", "true", "yes"))


class Peculiar:
    """See the module. `cancels`: the session's orders go with it."""

    def __init__(self, config: SessionConfig, ways: Profile, seat: Seat) -> None:
        self.config, self.ways = config, ways
        self._seat = seat
        self._asked = config.extra.get("CancelOnDisconnect") in YES
        self.cancels = self._asked
        self._banned_until = 0.0
        self._times: deque[float] = deque()
        limited = ways.throttle if ways.name in LIMITED else 0.0
        self._rate = config.throttle or limited

    @property
    def any_target(self) -> bool:
        """Whether any TargetCompID will do."""
        return self.ways.name in ANY_TARGET

    def objection(self, message: Message, now: float) -> str | None:
        """Return why a Logon is turned away; None where it is not. `now` is monotonic."""
        if now < self._banned_until:
            return f"banned for {self._banned_until - now:.0f} more seconds: too many messages"
        if self.ways.name in MUST_RESET and message.get(141) != "Y":
            return "ResetSeqNumFlag (141=Y) is required"
        said = message.get(CANCELS_ON_DISCONNECT)
        self.cancels = self._asked if said is None else said in YES
        return verify(self.config, self.ways, message) or None

    def too_fast(self, now: float, limit: Throttle | None) -> bool:
        """Count a message; True where it is one too many in a second, which leads to a ban."""
        rate = self._rate if limit is None else limit.rate
        if now < self._banned_until:
            return True
        if rate <= 0:
            return False
        times = self._times
        times.append(now)
        while times[0] <= now - 1.0:
            times.popleft()
        if len(times) <= rate:
            return False
        times.clear()
        self._banned_until = now + (BAN if limit is None else limit.ban)
        return True

    def recover(self, message: Message) -> None:
        """Answer U2: the state of all orders of the session, then News."""
        seat = self._seat
        for entry in list(seat.desk.entries.values()):
            if entry.session == seat.name:
                msg_type, body = reports.rendered(reports.status(entry, seat.now), seat.dialect)
                seat.say(msg_type, body)
        lines: list[Body] = [[(58, message.get(320, "all orders"))]]
        news: Body = [(148, "Recovery complete"), (33, lines)]
        seat.say("B", seat.dialect.trimmed("B", news))


def accounts_of(config: SessionConfig) -> tuple[str, ...]:
    """Return the accounts that a session may trade for and hear of: Account=A,B of its settings."""
    said = config.extra.get("Account", "")
    text = said.reveal() if isinstance(said, Secret) else said
    return tuple(name.strip() for name in text.split(",") if name.strip())
