"""Laws of the journal: it answers as the store in memory does, and whatever byte it dies at."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from onetape_fix.session import marks
from onetape_fix.session.journal import Journal
from onetape_fix.session.store import MemoryStore, Store

SESSION = "FIX.4.4:US->THEM"
Operation = tuple[str, int, bytes]


def message(kind: str, text: str) -> bytes:
    return f"8=FIX.4.4\x019=1\x0135={kind}\x0134=1\x0158={text}\x0110=000\x01".encode("latin-1")


RAW = st.builds(
    message,
    st.sampled_from(["D", "8", "0", "A", "j", "BE"]),
    st.one_of(st.text("abc ", max_size=40), st.just("x\x01554=hunter2"), st.just("y" * 700)),
)
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["sent"] * 4
            + ["received"] * 4
            + ["copy", "seen", "set_in", "set_out", "note", "flush", "reset"]
        ),
        st.integers(1, 12),
        RAW,
    ),
    max_size=40,
)


def apply(store: Store, operation: Operation, ts: int) -> None:
    what, number, raw = operation
    if what == "sent":
        store.sent(store.next_out, raw, ts)
    elif what == "copy":
        store.sent(number, raw, ts, copy=True)
    elif what == "received":
        store.received(store.next_in, raw, ts, advance=True)
    elif what == "seen":
        store.received(number, raw, ts, advance=False)
    elif what == "set_in":
        store.set_in(number, ts)
    elif what == "set_out":
        store.set_out(number, ts)
    elif what == "note":
        store.note(f"number {number}", ts)
    elif what == "reset":
        store.reset(ts)
    else:
        store.flush()


def told(store: Store) -> tuple[object, ...]:
    return (
        store.next_in,
        store.next_out,
        store.epoch,
        store.position,
        list(store.records()),
        list(store.outbound(1, 99)),
        list(store.outbound(3, 7)),
        list(store.outbound(5, 5)),
        list(store.records(4)),
        list(store.records(store.position - 2)),
    )


def remembered(operations: list[Operation], count: int) -> MemoryStore:
    """What the store in memory says after `count` records."""
    store = MemoryStore(7)
    for ts, operation in enumerate(operations):
        if store.position == count:
            break
        apply(store, operation, ts)
    return store


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="onetape-journal-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def opened(path: Path, limit: int) -> Journal:
    return Journal(path, SESSION, sync="never", ts=7, limit=limit)


@settings(max_examples=120)
@given(OPERATIONS, st.sampled_from([300, 2_000, 1 << 20]), st.sampled_from([1, 200, 1 << 16]))
def test_a_journal_says_what_the_store_in_memory_says(
    operations: list[Operation], limit: int, spacing: int
) -> None:
    with folder() as path, patch.object(marks, "SPACING", spacing):
        memory, journal = MemoryStore(7), opened(path, limit)
        for ts, operation in enumerate(operations):
            apply(memory, operation, ts)
            apply(journal, operation, ts)
        assert told(journal) == told(memory)
        journal.close()
        again = opened(path, limit)
        assert told(again) == told(memory)
        assert again.cut == 0
        again.close()


@settings(max_examples=150)
@given(
    OPERATIONS,
    st.sampled_from([400, 2_000, 1 << 20]),
    st.floats(0, 1),
    st.sampled_from([b"", b"\0" * 50, b"\xf1J" * 30, b"8=FIX.4.4\x01"]),
    OPERATIONS,
)
def test_killed_at_any_byte_it_reopens_as_it_was_a_while_before_and_keeps_all_that_was_synced(
    operations: list[Operation], limit: int, share: float, garbage: bytes, later: list[Operation]
) -> None:
    with folder() as path, patch.object(marks, "SPACING", 200):
        journal = opened(path, limit)
        synced, safe = 0, {}
        for ts, operation in enumerate(operations):
            apply(journal, operation, ts)
            if operation[0] == "flush":
                synced = journal.position
                safe = {p.name: p.stat().st_size for p in journal.folder.glob("*.journal")}
        last = max(journal.folder.glob("*.journal"))
        kept, size = safe.get(last.name, 0), last.stat().st_size
        journal.close()
        cut = kept + round(share * (size - kept))
        with last.open("r+b") as file:
            file.truncate(cut)
            file.seek(cut)
            file.write(garbage)

        again = opened(path, limit)
        assert again.position >= synced
        expected = remembered(operations, again.position)
        assert told(again) == told(expected)
        for ts, operation in enumerate(later, 1_000):  # and it goes on from there
            apply(expected, operation, ts)
            apply(again, operation, ts)
        assert told(again) == told(expected)
        again.close()
