"""What a session must still know after its process has died: numbers and messages.

A store keeps the next number expected from the peer and the next of our own, the messages that
were sent (to be resent when the peer asks) and everything else that passed, in the order in which
it passed. `MemoryStore` forgets with the process (tests, throw-away sessions); `journal.Journal`
is the one of files. Both give the same answers.

Units    ts is nanoseconds UTC; a position is the count of records ever written, from 1.
Secrets  what is kept has passed `secrets.mask`; a message that held a secret is not resendable.
Raises   StoreError where a record could not be kept. Nothing of it counts then, and the numbers
         stand where they stood: do not write to the peer what could not be kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol

from onetape.errors import OnetapeError
from onetape_fix.session.secrets import mask, mask_text

Kind = Literal["in", "out", "in_copy", "out_copy", "set_in", "set_out", "reset", "note"]

# Heartbeat, TestRequest, ResendRequest, Reject, SequenceReset, Logout, Logon: never resent
ADMIN = frozenset((b"0", b"1", b"2", b"3", b"4", b"5", b"A"))


class StoreError(OnetapeError):
    """A record could not be kept or read: disk full, read-only folder, damaged file."""


class Record(NamedTuple):
    """One thing that was kept. `in` and `out` moved the number on, the copies did not.

    `seq` is the message's number; of set_in and set_out the new number; else 0.
    """

    position: int
    kind: Kind
    seq: int
    ts: int
    raw: bytes


class Store(Protocol):
    """What the session state machine asks of a store; see the module."""

    @property
    def next_in(self) -> int:
        """The number that the peer's next message should bear."""
        ...

    @property
    def next_out(self) -> int:
        """The number that our next message will bear."""
        ...

    @property
    def epoch(self) -> int:
        """When the numbers began at 1 (ns); when the store was made, before the first reset."""
        ...

    @property
    def position(self) -> int:
        """How many records were ever written: strictly rising, over resets and restarts."""
        ...

    def sent(self, seq: int, raw: bytes, ts: int, copy: bool = False) -> int:
        """Keep a message before it is written to the peer; return its position.

        `copy`: a resend or gap fill, which does not move `next_out`; else it becomes seq + 1.
        """
        ...

    def received(self, seq: int, raw: bytes, ts: int, advance: bool) -> int:
        """Keep a message of the peer; `advance` makes `next_in` seq + 1 in the same record."""
        ...

    def set_in(self, n: int, ts: int) -> None:
        """Expect `n` next."""
        ...

    def set_out(self, n: int, ts: int) -> None:
        """Send `n` next; messages kept under `n` and above are not resent any more."""
        ...

    def reset(self, ts: int) -> None:
        """Begin a new epoch: both numbers 1, nothing to resend."""
        ...

    def note(self, text: str, ts: int) -> None:
        """Keep a session event in words, for people."""
        ...

    def outbound(self, lo: int, hi: int) -> Iterator[tuple[int, bytes, int]]:
        """(seq, raw, ts) of what can be resent of this epoch, lo to hi inclusive, rising.

        Numbers that are missing are for gap fills: administrative, masked or no longer kept.
        """
        ...

    def records(self, since: int = 0) -> Iterator[Record]:
        """The kept records after position `since`, as far as they go when this is called."""
        ...

    def flush(self) -> None:
        """Return once everything kept so far would survive the loss of the machine."""
        ...

    def close(self) -> None:
        """Flush and let go."""
        ...


def is_admin(raw: bytes) -> bool:
    """Whether a message is one of the session's own, by its MsgType (35)."""
    at = raw.find(b"\x0135=")
    return at < 0 or raw[at + 4 : raw.find(b"\x01", at + 4)] in ADMIN


class MemoryStore:
    """A store that ends with the process; of records, and of messages to resend, the last few."""

    __slots__ = ("_kept", "_limit", "_records", "epoch", "next_in", "next_out", "position")

    def __init__(self, ts: int = 0, limit: int = 20_000) -> None:
        self.next_in = 1
        self.next_out = 1
        self.epoch = ts
        self.position = 0
        self._limit = limit
        self._records: deque[Record] = deque(maxlen=limit)
        self._kept: dict[int, tuple[int, bytes, int]] = {}

    def sent(self, seq: int, raw: bytes, ts: int, copy: bool = False) -> int:
        """Keep a message of ours."""
        kept = mask(raw)
        if not copy:
            self._forget(seq)
            self.next_out = seq + 1
            if kept is raw and not is_admin(raw):
                self._kept[seq] = (seq, raw, ts)
                if len(self._kept) > self._limit:
                    del self._kept[next(iter(self._kept))]  # the oldest: numbers rise
        return self._add("out_copy" if copy else "out", seq, ts, kept)

    def received(self, seq: int, raw: bytes, ts: int, advance: bool) -> int:
        """Keep a message of the peer."""
        if advance:
            self.next_in = seq + 1
        return self._add("in" if advance else "in_copy", seq, ts, mask(raw))

    def set_in(self, n: int, ts: int) -> None:
        """Expect `n` next."""
        self.next_in = n
        self._add("set_in", n, ts)

    def set_out(self, n: int, ts: int) -> None:
        """Send `n` next."""
        self._forget(n)
        self.next_out = n
        self._add("set_out", n, ts)

    def reset(self, ts: int) -> None:
        """Begin a new epoch."""
        self.next_in = self.next_out = 1
        self.epoch = ts
        self._kept.clear()
        self._add("reset", 0, ts)

    def note(self, text: str, ts: int) -> None:
        """Keep a session event in words."""
        self._add("note", 0, ts, mask_text(text).encode())

    def outbound(self, lo: int, hi: int) -> Iterator[tuple[int, bytes, int]]:
        """What can be resent, lo to hi inclusive."""
        return iter([self._kept[seq] for seq in sorted(self._kept) if lo <= seq <= hi])

    def records(self, since: int = 0) -> Iterator[Record]:
        """The records after position `since`."""
        behind = self.position - since
        return iter(list(self._records)[-behind:] if behind > 0 else ())

    def flush(self) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """Nothing to let go."""

    def _forget(self, n: int) -> None:
        if n < self.next_out:  # numbers that were set back are used again
            self._kept = {seq: kept for seq, kept in self._kept.items() if seq < n}

    def _add(self, kind: Kind, seq: int, ts: int, raw: bytes = b"") -> int:
        self.position += 1
        self._records.append(Record(self.position, kind, seq, ts, raw))
        return self.position
