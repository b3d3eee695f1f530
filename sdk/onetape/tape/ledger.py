"""The ledger: what one row of the durable tape is, and the bytes that prove it.

A stream is one ordered story: a run, a live session, the limits, the people. An event's own
`seq` is its version in its stream, 1, 2, 3. The ledger puts the events of all streams in one
order, gapless, with `seq` of its own; commit order is that order.

Leaf     SHA-256 over 0x00, the header and the event's canonical bytes (RFC 6962, 2.1).
Header   seq, stream, version, ts_event, ts_init, cause, then the numbers under which source,
         calculation, account, instrument and kind stand in the table `dimension`, the event's
         format and its id: big-endian, as in HEADER.
Named    a dimension or stream used for the first time is part of the batch that names it.
Chain    chain(n) = SHA-256(chain(n-1), root(n), named(n), seq_lo, seq_hi, recorded_ns, writer);
         chain(0) is 32 zero bytes. `recorded_ns` rises strictly.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from onetape.tape.event import GENESIS, Event, decode

HEADER = struct.Struct(">qqqqqqiiiiih16s")
LINK = struct.Struct(">qqqi")
NOTHING = bytes(32)  # the digest of a batch that names nothing new
COLUMNS = (
    "seq",
    "stream_id",
    "version",
    "ts_event",
    "ts_init",
    "cause",
    "source_id",
    "calculation_id",
    "account_id",
    "instrument_id",
    "kind_id",
    "format",
    "event_id",
    "payload",
)


class Row(NamedTuple):
    """An event as the ledger keeps it; zero stands for none among causes and ids."""

    seq: int
    stream_id: int
    version: int
    ts_event: int
    ts_init: int
    cause: int  # a version in the same stream
    source_id: int
    calculation_id: int
    account_id: int
    instrument_id: int
    kind_id: int
    format: int
    event_id: bytes
    payload: bytes


class Entry(NamedTuple):
    """An event as readers get it."""

    seq: int  # place in the ledger
    recorded: int  # ns UTC, of its batch
    stream: str
    version: int  # place in the stream
    book: str  # whose books it moves: "live", "paper", or the stream of a backtest
    payload: bytes

    @property
    def event(self) -> Event:
        """The event as it was written: `seq` and `cause` count in its stream."""
        return decode(self.payload)

    @property
    def placed(self) -> Event:
        """The event under its places in the ledger, for folds over several streams.

        `seq` is the ledger's, `stream` the ledger's too; the cause, a version, is left out.
        """
        told = decode(self.payload)
        return Event(
            self.seq, told.ts_event, told.ts_init, self.stream, told.fact, None, told.lineage
        )


class Receipt(NamedTuple):
    """What was made durable: the ledger's places of one append, `recorded` in ns UTC."""

    stream: str
    first_seq: int
    last_seq: int
    version: int  # of the stream, after it
    recorded: int
    repeated: bool = False  # it had been recorded before


class Head(NamedTuple):
    """The end of a ledger."""

    seq: int = 0
    batch: int = 0
    recorded: int = 0
    chain: bytes = GENESIS


class Batch(NamedTuple):
    """What was committed together."""

    batch_id: int
    seq_lo: int
    seq_hi: int
    recorded: int
    writer_id: int
    root: bytes
    named: bytes
    chain: bytes


class Named(msgspec.Struct, frozen=True, array_like=True):
    """A text that got a number: an account, an instrument, a stream with its book."""

    id: int
    kind: str
    key: str
    book: str = ""


def leaf(row: Row) -> bytes:
    """Return the leaf hash of a row."""
    return leaf_of(HEADER.pack(*row[:13]), row[13])


def leaf_of(header: bytes, payload: bytes) -> bytes:
    """Return the leaf hash of a packed header and canonical bytes."""
    return hashlib.sha256(b"\x00" + header + payload).digest()


def digest(named: Sequence[Named]) -> bytes:
    """Return what a batch says of the names it used first."""
    if not named:
        return NOTHING
    return hashlib.sha256(msgspec.json.encode(named)).digest()


def chained(
    chain: bytes, root: bytes, named: bytes, lo: int, hi: int, recorded: int, writer: int
) -> bytes:
    """Return the chain's next value."""
    return hashlib.sha256(chain + root + named + LINK.pack(lo, hi, recorded, writer)).digest()
