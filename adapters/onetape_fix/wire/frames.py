"""Bytes from a socket, cut into whole messages.

A message is whole when 8, 9, 35 open it, the body is as long as 9 says, and the checksum fits.
What is not is given back as `Garbled`, once for each run of bytes that cannot be told apart, and
the search goes on: behind the length that was claimed, as the standard's acceptance cases want it,
or at the next `8=FIX`.

Nothing raises, and how the bytes were chopped up on their way changes nothing. Memory: one
unfinished message, at most `limit` bytes of it.
"""

from __future__ import annotations

import re
from zlib import adler32

from onetape_fix.wire.message import Garbled

LIMIT = 8 << 20  # bytes up to the checksum
START = b"8=FIX"
SEPARATOR = 1
TRAILER = 7  # bytes of 10=nnn and its separator
LONGEST_HEAD = 48  # bytes up to and with "35=": a longer one is no head
HEAD = re.compile(rb"8=FIX[^\x01]{0,16}\x019=([0-9]{1,16})\x0135=")
FEET = [b"10=%03d\x01" % total for total in range(256)]
CHUNK = 256  # bytes whose sum stays below the modulus of adler32


def checksum(data: bytes) -> int:
    """The sum of all bytes, modulo 256.

    The low half of adler32 is that sum modulo 65521: exact for 256 bytes at a time, and several
    times faster than adding them up here.
    """
    if len(data) <= CHUNK or (len(data) <= 2 * CHUNK and data.isascii()):
        return adler32(data, 0) & 0xFF
    total = 0
    for at in range(0, len(data), CHUNK):
        total += adler32(data[at : at + CHUNK], 0) & 0xFFFF
    return total & 0xFF


class Framer:
    """Cuts what a connection delivers into messages. One for each connection."""

    __slots__ = ("_need", "_rest", "_told", "limit")

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._rest = bytearray()  # the start of a message that is not whole yet
        self._need = 0  # with fewer bytes than this nothing new can be said
        self._told = False  # whether the present run of garbage was reported

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished message are held."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes | Garbled]:
        """The messages that `data` completes, in order, and what was garbled between them."""
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._need:
                return []
            data = bytes(rest)
            rest.clear()
        found: list[bytes | Garbled] = []
        at, end = 0, len(data)
        while at < end:
            head = HEAD.match(data, at)
            if head is None:
                step = self._seek(data, at, found)
            else:
                foot = head.end() - 3 + int(head[1])
                stop = foot + TRAILER
                if (
                    stop <= end
                    and foot - at <= self.limit
                    and data[foot:stop] == FEET[checksum(data[at:foot])]
                    and data[foot - 1] == SEPARATOR
                ):
                    self._told = False
                    found.append(data[at:stop])
                    at = stop
                    continue
                step = self._odd(data, at, foot, found)
            if step < 0:
                break
            at = step
        if at < end:
            rest += data[at:]
        return found

    def _odd(self, data: bytes, at: int, foot: int, found: list[bytes | Garbled]) -> int:
        """Looks at a message that is not whole yet or is garbled. Its checksum should be at `foot`.

        Returns where to go on, or -1 to wait for more.
        """
        size = foot - at
        self._told = False
        if size > self.limit:
            self._tell(found, f"{size} bytes are claimed, {self.limit} is the limit")
            return at + len(START)
        tail = data[foot : foot + TRAILER]
        ends = len(data) < foot or data[foot - 1] == SEPARATOR
        if not ends or not b"10=".startswith(tail[:3]):
            self._tell(found, "its length does not lead to the checksum", size)
            return foot
        if len(tail) < TRAILER:
            self._need = size
            return -1
        if tail[6] != SEPARATOR or not tail[3:6].isdigit():
            self._tell(found, "the checksum is not three digits", size)
            return foot
        total = checksum(data[at:foot])
        reason = f"checksum is {total:03d}, 10={tail[3:6].decode()} claimed"
        found.append(Garbled(reason, size + TRAILER))
        return foot + TRAILER

    def _seek(self, data: bytes, at: int, found: list[bytes | Garbled]) -> int:
        """Steps over what is no head at `at`; where to go on, or -1 to wait for more."""
        if data.startswith(START, at):
            if len(data) - at < LONGEST_HEAD and not _hopeless(data[at:]):
                self._need = 0
                return -1
            self._told = False
            self._tell(found, "8, 9 and 35 must come first, in this order")
            at += len(START)
        next_start = data.find(START, at)
        if next_start == at:
            return at
        if next_start < 0:
            next_start = len(data) - _partial_start(data, at)
        if next_start > at:
            self._tell(found, "bytes that belong to no message")
            return next_start
        self._need = 0
        return -1

    def _tell(self, found: list[bytes | Garbled], reason: str, size: int = 0) -> None:
        """Reports the present run of garbage unless that was done."""
        if not self._told:
            found.append(Garbled(reason, size))
            self._told = True


def _partial_start(data: bytes, at: int) -> int:
    """How many bytes at the end of `data` may be the beginning of a start."""
    for size in range(min(len(START) - 1, len(data) - at), 0, -1):
        if START.startswith(data[-size:]):
            return size
    return 0


def _hopeless(head: bytes) -> bool:
    """Whether no further bytes can make `head` the head of a message."""
    parts = head.split(b"\x01", 3)
    if len(parts[0]) > len(START) + 16:
        return True
    if len(parts) > 1:
        length = parts[1]
        if not b"9=".startswith(length[:2]) or len(length) > 2 + 16:
            return True
        if len(parts) > 2 or len(length) > 2:
            digits = length[2:]
            if not digits.isdigit():
                return True
    return len(parts) > 2 and not b"35=".startswith(parts[2][:3])
