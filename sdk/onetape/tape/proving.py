# pyright: standard
"""Proving: the way from one event of a ledger to its published chain, read from the database."""

from __future__ import annotations

from typing import Any

from onetape.errors import TapeError
from onetape.tape import merkle
from onetape.tape.audit import HEAD, Audit
from onetape.tape.event import GENESIS
from onetape.tape.ledger import HEADER, Batch, Row, leaf
from onetape.tape.proof import Link, Proof

BATCH_OF = """SELECT batch_id, seq_lo, seq_hi, recorded_ns, writer_id, root, named, chain
FROM onetape.batch WHERE seq_lo <= %b ORDER BY seq_lo DESC LIMIT 1"""


def prove(connection: Any, seq: int) -> Proof:
    """Return the proof of the event at ledger seq `seq`, up to the first anchor after it."""
    audit = Audit(connection)
    audit.learn()
    found = audit.cursor.execute(BATCH_OF, (seq,)).fetchone()
    batch = Batch(*found) if found else None
    if batch is None or seq > batch.seq_hi:
        raise TapeError(f"no event {seq} on this tape: its head says where it ends")
    rows = audit.fetched(batch.seq_lo, batch.seq_hi)
    row = rows[seq - batch.seq_lo]
    leaves = [leaf(one) for one in rows]
    path = tuple(step.hex() for step in merkle.path(leaves, seq - batch.seq_lo))
    asked = "SELECT chain FROM onetape.batch WHERE batch_id = %b"
    earlier = audit.cursor.execute(asked, (batch.batch_id - 1,)).fetchone()
    before = earlier[0] if earlier else GENESIS
    *_, ledger = audit.cursor.execute(HEAD).fetchone()
    asked = """SELECT batch_id, anchored_ns FROM onetape.anchor WHERE batch_id >= %b
    ORDER BY batch_id LIMIT 1"""
    anchored = audit.cursor.execute(asked, (batch.batch_id,)).fetchone()
    links, last = [_link(batch)], batch
    for later in audit.batches(batch.batch_id):
        if anchored and later.batch_id > anchored[0]:
            break
        links.append(_link(later))
        last = later
    return Proof(
        ledger=ledger,
        seq=seq,
        stream=audit.streams[row.stream_id],
        payload=row.payload.decode(),
        header=_header(row),
        path=path,
        before=before.hex(),
        links=tuple(links),
        chain=last.chain.hex(),
        batch=last.batch_id,
        anchored_ns=anchored[1] if anchored else None,
    )


def _link(batch: Batch) -> Link:
    return Link(batch.root.hex(), batch.named.hex(), *batch[1:5])


def _header(row: Row) -> str:
    return HEADER.pack(*row[:13]).hex()
