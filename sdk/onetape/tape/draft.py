"""Drafts: events made ready to be recorded, with all that the ledger indexes them by.

Id       UUIDv7 (RFC 9562): 48 bits of `ts_init` in ms, then SHA-256 of stream and canonical
         bytes. The same event of the same stream has the same id wherever and whenever it is
         sent, so that sending it twice is recognized; another content is another id.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple, cast

import msgspec

from onetape.errors import BrokenTape, TapeError
from onetape.tape.event import Event, Lineage, encode
from onetape.tape.kinds import BY_TAG, Fact, tag_of

VERSION_7 = 0x7000
VARIANT = 0x2 << 62
LOW_62 = (1 << 62) - 1
RANDOM = struct.Struct(">HQ")
UUID = struct.Struct(">QQ")


class Draft(NamedTuple):
    """What an event will be in the ledger, before it has a place there. Texts, not yet numbers."""

    version: int
    ts_event: int
    ts_init: int
    cause: int
    source: str | None
    calculation: str | None
    account: str | None
    instrument: str | None
    kind: str
    format: int
    event_id: bytes
    payload: bytes


def event_id(stream: str, ts_init: int, payload: bytes) -> bytes:
    """Return the id of an event: 16 bytes, a UUIDv7 that follows from time and content."""
    digest = hashlib.sha256(stream.encode() + b"\x00" + payload).digest()
    high, low = RANDOM.unpack_from(digest)
    ms = ts_init // 1_000_000 if ts_init > 0 else 0
    return UUID.pack(ms << 16 | VERSION_7 | high & 0xFFF, VARIANT | low & LOW_62)


def _whose(tag: str, kind: type[Fact]) -> tuple[str, bool, bool, tuple[str, ...]]:
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    floats = tuple(name for name, of in fields.items() if of is float or of == float | None)
    return tag, "account" in fields, "instrument" in fields, floats


_WHOSE = {kind: _whose(tag, kind) for tag, kind in BY_TAG.items()}


def drafts(
    stream: str, events: Sequence[Event], raws: Sequence[bytes] | None = None
) -> list[Draft]:
    """Return the drafts of a stream's next events; `raws` are their canonical bytes, if at hand.

    Raises BrokenTape when the events do not follow one another.
    """
    fitting("stream", stream)
    if raws is not None and len(raws) != len(events):
        raise TapeError(f"{len(events)} events with {len(raws)} raws found, one for each expected")
    made: list[Draft] = []
    take, prepared, unpack, pack = made.append, _WHOSE.get, RANDOM.unpack_from, UUID.pack
    sha256, salt, new = hashlib.sha256, stream.encode() + b"\x00", cast("Any", tuple).__new__
    given = raws if raws is not None else map(encode, events)
    version = events[0].seq
    if version < 1:
        raise BrokenTape(version, "events of a stream are numbered from 1")
    for event, payload in zip(events, given, strict=True):
        cause, lineage, fact, ts_init = event.cause, event.lineage, event.fact, event.ts_init
        if event.seq != version or (cause is not None and not 0 < cause < version):
            raise _unfollowing(stream, event, version)
        tag, owned, traded, floats = prepared(type(fact)) or _unknown(type(fact))
        for name in floats:
            _finite(tag, name, getattr(fact, name))
        high, low = unpack(sha256(salt + payload).digest())
        ms = ts_init // 1_000_000 if ts_init > 0 else 0
        take(
            new(  # a quarter of the time of Draft(...), and this is done for every event
                Draft,
                (
                    version,
                    event.ts_event,
                    ts_init,
                    cause or 0,
                    *((None, None) if lineage is None else _origin(lineage)),
                    fact.account if owned else None,  # pyright: ignore
                    fact.instrument if traded else None,  # pyright: ignore
                    tag,
                    event.version,
                    pack(ms << 16 | VERSION_7 | high & 0xFFF, VARIANT | low & LOW_62),
                    payload,
                ),
            )
        )
        version += 1
    return made


def _unfollowing(stream: str, event: Event, version: int) -> BrokenTape:
    if event.seq != version:
        return BrokenTape(event.seq, f"found in stream {stream} where {version} was expected")
    why = f"its cause {event.cause} is not an earlier event of its stream"
    return BrokenTape(version, why)


@lru_cache(maxsize=4_096)
def _calculation(code: str, params: str, calculation: str) -> str:
    return f"{code}/{params}/{calculation}"


def _origin(lineage: Lineage) -> tuple[str | None, str]:
    calculation = _calculation(lineage.code, lineage.params, lineage.calculation)
    return lineage.source or None, calculation


LONGEST = 1_000  # bytes of a name; the index over names takes no more than 2,704


def fitting(what: str, text: str) -> None:
    """Raise TapeError for a text that the ledger cannot number."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as err:
        raise TapeError(f"{what} {text!r} found, a text that UTF-8 can write expected") from err
    if not 0 < size <= LONGEST or "\x00" in text:
        shown = text if size <= 40 else f"{text[:40]}..."
        raise TapeError(
            f"{what} {shown!r} of {size} bytes found, 1 to {LONGEST} without a zero expected"
        )


def _finite(tag: str, name: str, value: float | None) -> None:
    if value is not None and not isfinite(value):
        raise TapeError(f"{tag} with {name} {value} found, a number expected: JSON keeps no other")


def _unknown(kind: type[Fact]) -> tuple[str, bool, bool, tuple[str, ...]]:
    raise BrokenTape(0, f"{tag_of(kind)} is no kind that the tape knows: see tape.kinds")
