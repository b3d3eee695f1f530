"""Rows of the wire: what one message is on the tape's database, and the bytes that prove it.

Row      a row's bytes are those of PostgreSQL's binary COPY format for the columns in COLUMNS:
         they are sent to the server and hashed alike.
Digest   of a batch: SHA-256 over each session's head (its number, then gateway, session and
         journal, each with a zero behind) and its rows, sessions by number, rows by position.
Chain    chain(n) = SHA-256(chain(n-1), digest(n), batch, rows, recorded_ns, ts_lo, ts_hi), in
         a gateway; chain(0) = SHA-256(the gateway's name).
Fitting  a message that a counterpart sent is kept whatever is in it: texts lose zeros and what is
         beyond 200 characters, numbers stop at 64 bits. `raw` is kept as it is.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Iterable
from typing import NamedTuple

from onetape.errors import TapeError

COLUMNS = (
    "epoch", "seq", "ts", "position", "batch", "session_id", "copy", "inbound", "possdup",
    "msg_type", "client_order_id", "venue_order_id", "exec_id", "raw",
)  # fmt: skip
FIXED = struct.Struct(">h" + "iq" * 5 + "ii" * 2 + "i?" * 2)
SIZE, NUMBER = struct.Struct(">i"), struct.Struct(">i")
LINK = struct.Struct(">qqqqq")
SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
NULL = SIZE.pack(-1)
LONGEST = 200  # characters of an id
INT8, INT4 = (1 << 63) - 1, (1 << 31) - 1
LATEST = 9_000_000_000 * 10**9  # ns: the year 2255


class WireRow(NamedTuple):
    """One message as it went over the wire.

    `copy` is 0 for the first of its number, then 1, 2, 3: the log sees to it where the caller
    does not count (see `WireLog.append`). `position` is the message's place in the gateway's own
    journal, from 1 on, rising. `raw` has its secrets masked.
    """

    gateway: str
    session: str
    epoch: int  # ns UTC, when the numbers last began at 1
    direction: str  # "in" or "out"
    seq: int
    copy: int
    ts: int  # ns UTC, on the gateway's clock
    msg_type: str
    possdup: bool
    client_order_id: str
    venue_order_id: str
    exec_id: str
    raw: bytes
    position: int


def packed(row: WireRow, session: int, copy: int, batch: int) -> bytes:
    """Return a row's bytes, without what surrounds all rows."""
    fixed = FIXED.pack(
        14, 8, row.epoch, 8, _number(row.seq), 8, row.ts, 8, row.position, 8, batch,
        4, session, 4, copy, 1, row.direction == "in", 1, row.possdup,
    )  # fmt: skip
    kind = _text(row.msg_type)
    ids = (_nullable(row.client_order_id), _nullable(row.venue_order_id), _nullable(row.exec_id))
    size = SIZE.pack
    return b"".join((fixed, size(len(kind)), kind, *ids, size(len(row.raw)), row.raw))


def key_of(row: WireRow) -> tuple[int, bool, int]:
    """Return what a row's copies have in common, in its session."""
    return row.epoch, row.direction == "in", _number(row.seq)


def _number(number: int) -> int:
    return max(-INT8, min(INT8, number))


def _text(text: str) -> bytes:
    return text[:LONGEST].replace("\x00", "\ufffd").encode("utf-8", "replace")


def _nullable(text: str) -> bytes:
    if not text:
        return NULL
    made = _text(text)
    return SIZE.pack(len(made)) + made


def copied(rows: Iterable[bytes]) -> bytes:
    """Return rows as the server takes them."""
    return b"".join((SIGNATURE, *rows, END))


def head_of(session: int, gateway: str, name: str, journal: str) -> bytes:
    """Return what stands before a session's rows in a digest."""
    return NUMBER.pack(session) + f"{gateway}\0{name}\0{journal}\0".encode()


def begin(gateway: str) -> bytes:
    """Return the chain before a gateway's first batch."""
    return hashlib.sha256(gateway.encode()).digest()


def chained(chain: bytes, digest: bytes, *link: int) -> bytes:
    """Return the chain's next value; `link` is batch, rows, recorded_ns, ts_lo, ts_hi."""
    return hashlib.sha256(chain + digest + LINK.pack(*link)).digest()


def month_of(ts: int) -> int:
    """Return the UTC month of a time as a number such as 202506."""
    at = time.gmtime(ts // 10**9)
    return at.tm_year * 100 + at.tm_mon


def checked(row: WireRow) -> WireRow:
    """Return a row that a gateway may hand in; TapeError for one that no journal can hold."""
    for name, text in (("gateway", row.gateway), ("session", row.session)):
        if not 0 < len(text) <= LONGEST or "\x00" in text:
            raise TapeError(f"{name} {text[:40]!r} found, 1 to {LONGEST} characters expected")
    if row.direction not in ("in", "out"):
        raise TapeError(f"direction {row.direction!r} found, in or out expected")
    if not (0 < row.position <= INT8 and 0 <= row.ts < LATEST and 0 <= row.epoch < LATEST):
        raise TapeError(
            f"a message of {row.session} at position {row.position}, time {row.ts} and epoch "
            f"{row.epoch} found; a position from 1 on and times in ns UTC expected"
        )
    return row
