"""The numbers that are missing from the peer: what came early, and what was asked for.

No clock and no wire: the session asks what to do and does it.

early    messages with higher numbers than the one expected, by number; None stands for one that
         was dealt with when it came (a Logon, a ResendRequest) and only takes its number.
Memory   `ROOM` messages and `ROOM_BYTES`; what finds no place is asked for again.
"""

from __future__ import annotations

from onetape_fix.wire import Message

ROOM = 20_000  # messages
ROOM_BYTES = 32 << 20
PATIENCE = 10.0  # seconds without progress after which a request counts as lost
TRIES = 3  # requests without progress until the peer is taken not to resend


class Gap:
    """See the module."""

    __slots__ = ("_bytes", "asked_at", "chunk_end", "early", "highest", "reached", "tries", "until")

    def __init__(self) -> None:
        self.early: dict[int, Message | None] = {}
        self.highest = 0  # the highest number seen
        self.until = 0  # the last number asked for, 0: none is missing
        self.chunk_end = 0  # the last number of the present request
        self.asked_at = 0.0
        self.reached = 0  # the number expected when there was progress last
        self.tries = 0
        self._bytes = 0

    @property
    def open(self) -> bool:
        """Whether something was asked for and has not all come."""
        return self.until > 0

    def hold(self, seq: int, message: Message | None) -> None:
        """Keep a message that came early."""
        self.highest = max(self.highest, seq)
        if seq in self.early:
            return
        size = 0 if message is None else len(message.raw)
        if len(self.early) < ROOM and self._bytes + size <= ROOM_BYTES:
            self.early[seq] = message
            self._bytes += size

    def take(self, seq: int) -> Message | None:
        """The early message with this number, which must be there."""
        message = self.early.pop(seq)
        if message is not None:
            self._bytes -= len(message.raw)
        return message

    def forget(self, expected: int) -> None:
        """Let go of what is below the expected number: it has been dealt with otherwise."""
        for seq in [seq for seq in self.early if seq < expected]:
            self.take(seq)

    def asked(self, begin: int, until: int, chunk: int, now: float) -> int:
        """Note a request from `begin` on; return the last number of it."""
        self.until = until
        self.chunk_end = min(begin + chunk - 1, until) if chunk else until
        self.asked_at = now
        self.reached = begin
        return self.chunk_end

    def missing(self, expected: int) -> int:
        """The last number to ask for, when `expected` is the first; 0: nothing is missing."""
        if self.early:
            return max(min(self.early) - 1, 0)
        return self.highest if self.highest >= expected else 0
