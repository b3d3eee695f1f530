"""Event: one fact, with its place in the order of things, its cause and its lineage.

Canonical bytes are the JSON that msgspec writes for the struct: fields in declared order,
decimals as strings, no spaces. The chain is SHA-256: head(n) = H(head(n-1) || bytes(n)),
head(0) = 32 zero bytes; the last head is the fingerprint of a tape.

Why JSON: an auditor can read it with no tool of ours, for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from onetape.errors import BrokenTape
from onetape.tape.kinds import VERSION, AnyFact, tag_of

GENESIS = bytes(32)


class Lineage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a derived fact comes from.

    `source` is a dataset's fingerprint (or a feed's name); `ts` the `ts_event` of the row that
    was being handled; `what` the row's kind and instrument; `code` and `params` the hashes of
    the strategy's source and parameters; `calculation` the version of our own derivations.
    """

    source: str
    what: str
    ts: int
    code: str
    params: str
    calculation: str


class Event(msgspec.Struct, frozen=True, gc=False):
    """A fact on the tape. `seq` starts at 1 and has no gaps; `cause` is an earlier `seq`."""

    seq: int
    ts_event: int
    ts_init: int
    stream: str
    fact: AnyFact
    cause: int | None = None
    lineage: Lineage | None = None
    version: int = VERSION

    @property
    def kind(self) -> str:
        """The stable tag of the fact, such as "order.filled"."""
        return tag_of(type(self.fact))


_encoder = msgspec.json.Encoder(order="deterministic", decimal_format="string")
_decoder = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """Return the canonical bytes of an event."""
    return _encoder.encode(event)


def decode(raw: bytes) -> Event:
    """Return the event that `raw` is the canonical form of.

    An event of an older format is brought up to this one by the steps in UPCASTS; this is the
    one way in for files, tables, followers and rebuilds alike.

    Raises BrokenTape when the bytes are not an event of a known kind.
    """
    try:
        event = _decoder.decode(raw)
    except msgspec.MsgspecError as err:
        return _upcast(raw, err)
    return event if event.version == VERSION else _upcast(raw, None)


Upcast = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTS: dict[tuple[str, int], Upcast] = {}  # (kind, format it comes from): the fact's new form


def _upcast(raw: bytes, trouble: Exception | None) -> Event:
    try:
        told: Any = msgspec.json.decode(raw)
        fact, found = told["fact"], int(told.get("version", VERSION))
    except (msgspec.MsgspecError, TypeError, KeyError, ValueError) as err:
        said = trouble or err
        raise BrokenTape(0, f"{said}; expected an event of format version {VERSION}") from err
    if found > VERSION:
        newer = f"an event of format version {found}: this onetape reads up to {VERSION}"
        raise BrokenTape(0, f"{newer}; use the version that wrote it, or a later one")
    if found == VERSION:
        raise BrokenTape(0, f"{trouble}; expected an event of format version {VERSION}")
    for version in range(found, VERSION):
        step = UPCASTS.get((fact.get("kind", ""), version))
        fact = step(fact) if step is not None else fact
    try:
        return msgspec.convert({**told, "fact": fact, "version": VERSION}, Event)
    except msgspec.MsgspecError as err:
        raise BrokenTape(0, f"{err}, brought from format version {found} to {VERSION}") from err


def link(head: bytes, raw: bytes) -> bytes:
    """Return the chain's next head."""
    return hashlib.sha256(head + raw).digest()


def head_of(raws: Iterable[bytes], head: bytes = GENESIS) -> bytes:
    """Return the chain's head after `raws`."""
    sha256 = hashlib.sha256
    for raw in raws:
        head = sha256(head + raw).digest()
    return head
