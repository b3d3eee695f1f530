"""Proofs: that one event stands on the tape whose chain was published, checked with no database.

    leaf      SHA-256(0x00, header, canonical bytes)
    root      of the batch, reached from the leaf by the path (RFC 6962)
    chain     of the batch, from the chain before it
    ...       one link for each later batch, up to the published anchor

A proof is JSON of hex texts and numbers: `check` needs nothing but SHA-256, and so does anybody
who wants to write it again in another language.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from onetape.errors import BrokenTape, TapeError
from onetape.tape.draft import event_id
from onetape.tape.event import Event, decode
from onetape.tape.ledger import HEADER, chained
from onetape.tape.merkle import climbed

FORMAT = "onetape.proof/1"


class Link(msgspec.Struct, frozen=True, array_like=True):
    """One batch of the chain; `root` and `named` in hex."""

    root: str
    named: str
    seq_lo: int
    seq_hi: int
    recorded_ns: int
    writer: int


class Proof(msgspec.Struct, frozen=True):
    """What leads from an event to a published chain."""

    ledger: str
    seq: int
    stream: str
    payload: str  # the canonical bytes, as text
    header: str  # hex
    path: tuple[str, ...]
    before: str  # the chain before the event's batch
    links: tuple[Link, ...]  # the event's batch first
    chain: str  # what the links lead to
    batch: int  # of `chain`
    anchored_ns: int | None  # when `chain` was published; None: not yet
    format: str = FORMAT

    def save(self, path: str | Path) -> Path:
        """Write the proof as JSON; return its path."""
        Path(path).write_bytes(msgspec.json.encode(self))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Proof:
        """Read a proof; TapeError when the file is none."""
        try:
            return msgspec.json.decode(Path(path).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError) as err:
            raise TapeError(f"{path} is no proof: {err}") from err

    def __repr__(self) -> str:
        told = "not published yet" if self.anchored_ns is None else "published"
        return (
            f"Proof(event {self.seq} of {self.stream}, {len(self.path)} hashes in its batch, "
            f"{len(self.links)} links to chain {self.chain[:12]} of batch {self.batch}, {told})"
        )


def check(proof: Proof, chain: str | None = None) -> Event:
    """Return the proven event. `chain` is what was published (hex), from where it was published.

    Raises BrokenTape when the proof does not lead to it. Without `chain` the proof's own is
    taken, which shows only that it fits itself: what proves is a chain from outside. Ledger,
    batch and time of anchoring are what the database says, for finding the anchor again.
    """
    try:
        payload, header = proof.payload.encode(), bytes.fromhex(proof.header)
        before, path = _hash(proof.before), [_hash(step) for step in proof.path]
        links = [(_hash(one.root), _hash(one.named)) for one in proof.links]
    except ValueError as err:
        raise BrokenTape(proof.seq, f"the proof is not well formed: {err}") from err
    if not links or len(header) != HEADER.size:
        raise BrokenTape(proof.seq, "the proof is not well formed: a header and links expected")
    first = proof.links[0]
    leaf = hashlib.sha256(b"\x00" + header + payload).digest()
    told = HEADER.unpack(header)
    if told[0] != proof.seq:
        raise BrokenTape(proof.seq, "the header belongs to another event")
    if event_id(proof.stream, told[4], payload) != told[12]:
        raise BrokenTape(proof.seq, f"the event's id is not that of an event of {proof.stream}")
    index, size = proof.seq - first.seq_lo, first.seq_hi - first.seq_lo + 1
    root = climbed(leaf, index, size, path)
    if root != links[0][0]:
        raise BrokenTape(proof.seq, "the event does not lead to its batch's root: it was changed")
    head, next_lo = before, first.seq_lo
    for link, parts in zip(proof.links, links, strict=True):
        if link.seq_lo != next_lo:
            raise BrokenTape(proof.seq, f"a link begins at {link.seq_lo}, {next_lo} expected")
        place = (link.seq_lo, link.seq_hi, link.recorded_ns, link.writer)
        head = chained(head, *parts, *place)
        next_lo = link.seq_hi + 1
    expected = proof.chain if chain is None else chain.lower()
    if head.hex() != expected:
        raise BrokenTape(
            proof.seq, f"the links lead to chain {head.hex()[:12]}, {expected[:12]} was published"
        )
    return decode(payload)


def _hash(text: str) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != 32:  # else two fields beside each other could be cut anew
        raise ValueError(f"a hash of {len(found)} bytes found, 32 expected")
    return found
