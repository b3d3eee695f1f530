"""The files of a journal: how a record is written, and how it is read and judged.

A segment is a file `<number>-<first position>.journal`: a head, then records. All are framed
alike: mark, CRC-32 of what follows, kind, flags, length of the body, position, seq, ts, body
(little-endian). The head's body says whose journal it is and where the numbers stood when the
segment was begun, so that only the last one must be read to go on.

A record is whole, or the file ends within it (`torn`: the writer died), or it is damaged: then
whole ones follow, and nothing may be concluded from the file without a person.

Units    ts ns UTC, sizes and offsets in bytes.
Raises   Damaged where the bytes at an offset are no record.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import msgspec

MARK = b"\xf1J"
PREFIX = struct.Struct("<2sI")  # mark, checksum of the rest
FIELDS = struct.Struct("<BBIqqq")  # kind, flags, length of the body, position, seq, ts
FIXED = PREFIX.size + FIELDS.size
CHUNK = 256 << 10  # bytes read at once

IN, OUT, IN_COPY, OUT_COPY, SET_IN, SET_OUT, RESET, NOTE, HEAD = range(1, 10)
RESENDABLE = 1  # a flag


class Damaged(Exception):
    """No record at `offset`; the journal decides what that means."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"no record at byte {offset}")
        self.offset = offset


class Item(NamedTuple):
    """A record as it stands in a file, from `offset` to `end`."""

    offset: int
    end: int
    kind: int
    flags: int
    position: int
    seq: int
    ts: int
    body: bytes


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Where a journal stood when a segment was begun; `marks` is the index so far."""

    session: str
    position: int
    next_in: int
    next_out: int
    epoch: int
    marks: list[list[int]] = []
    stretches: list[tuple[int, int]] = []


class Segment(NamedTuple):
    """A file of a journal; records from position `first` on are in it."""

    number: int
    first: int
    path: Path

    @classmethod
    def of(cls, folder: Path, number: int, first: int) -> Segment:
        """The segment of a number and a first position."""
        return cls(number, first, folder / f"{number:08d}-{first:020d}.journal")


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Head).decode


def packed(kind: int, flags: int, position: int, seq: int, ts: int, body: bytes) -> bytes:
    """A record as it is written."""
    rest = FIELDS.pack(kind, flags, len(body), position, seq, ts) + body
    return PREFIX.pack(MARK, crc32(rest)) + rest


def packed_head(head: Head, ts: int) -> bytes:
    """A head as it is written."""
    return packed(HEAD, 0, head.position, 0, ts, _encode(head))


def listed(folder: Path) -> list[Segment]:
    """The segments of a journal, the oldest first."""
    found: list[Segment] = []
    for path in folder.glob("*.journal"):
        number, _, first = path.stem.partition("-")
        if number.isdigit() and first.isdigit():
            found.append(Segment(int(number), int(first), path))
    return sorted(found)


def items(path: Path, offset: int = 0) -> Iterator[Item]:
    """The records of a file from an offset on; Damaged where it does not end with a whole one.

    The file is read in pieces: memory is bounded by the longest record.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from _items(fd, offset)
    finally:
        os.close(fd)


def _items(fd: int, base: int) -> Iterator[Item]:
    size = os.fstat(fd).st_size  # what is being appended meanwhile is not looked at
    data, at = b"", 0  # `base` is the offset of data[0] in the file
    while base + at < size:
        need = FIXED if len(data) - at < FIXED else FIXED + _length(data, at)
        if base + at + need > size:
            raise Damaged(base + at)
        if len(data) - at < need:
            base += at
            data, at = data[at:], 0
            more = os.pread(fd, min(max(CHUNK, need), size - base - len(data)), base + len(data))
            if not more:
                raise Damaged(base)
            data += more
            continue
        item = _item(data, at, base)
        if item is None:
            raise Damaged(base + at)
        yield item
        at += need


def _length(data: bytes, at: int) -> int:
    return int.from_bytes(data[at + 8 : at + 12], "little")


def _item(data: bytes, at: int, base: int) -> Item | None:
    """The record at data[at], which holds it wholly as its length says; None: it is none."""
    mark, checksum = PREFIX.unpack_from(data, at)
    kind, flags, length, position, seq, ts = FIELDS.unpack_from(data, at + PREFIX.size)
    end = at + FIXED + length
    if mark != MARK or crc32(memoryview(data)[at + PREFIX.size : end]) != checksum:
        return None
    return Item(base + at, base + end, kind, flags, position, seq, ts, data[at + FIXED : end])


def head_of(path: Path) -> tuple[Head, Item]:
    """The head of a segment; Damaged where it is not whole."""
    for item in items(path):
        if item.kind != HEAD:
            break
        try:
            return _decode(item.body), item
        except msgspec.MsgspecError:
            break
    raise Damaged(0)


def torn(path: Path, offset: int) -> bool:
    """Whether nothing whole stands after an offset: what does was never written to its end."""
    data = path.read_bytes()[offset:]
    at = data.find(MARK)
    while at >= 0:
        fits = len(data) - at >= FIXED and at + FIXED + _length(data, at) <= len(data)
        if fits and _item(data, at, 0) is not None:
            return False
        at = data.find(MARK, at + 1)
    return True
