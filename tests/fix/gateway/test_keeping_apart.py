"""One session's journal that cannot be read: the others are kept, and the trouble is said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from onetape_fix.gateway.keeping import Keeping
from onetape_fix.session import MemoryStore
from onetape_fix.session.store import Record, StoreError

RAW = b"8=FIX.4.4\x0135=D\x0111=O-1\x01"


class Damaged(MemoryStore):
    """A journal whose files were touched."""

    def records(self, since: int = 0) -> Iterator[Record]:
        raise StoreError("its second segment is not what was written")


class Shelf:
    """Stands in for the database: it remembers what it was given."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def bookmark(self, *_: Any) -> int:
        return 0

    def append(self, rows: Any, **_: Any) -> int:
        self.rows += rows
        return len(rows)

    def append_facts(self, *_: Any) -> int:
        return 0

    def seal(self, _: str) -> None:
        return None

    def close(self) -> None:
        pass


def test_a_damaged_journal_leaves_the_others_kept_and_is_named() -> None:
    kept, whole, damaged = Shelf(), MemoryStore(), Damaged()
    for store in (damaged, whole):
        store.sent(1, RAW, time.time_ns())
    keeping = Keeping(kept, "gw", pause=0.01)  # type: ignore[arg-type]
    keeping.start({"a-damaged": damaged, "b-whole": whole})
    until = time.monotonic() + 10
    while not (kept.rows and keeping.trouble) and time.monotonic() < until:
        time.sleep(0.005)
    keeping.stop()
    assert [row.session for row in kept.rows] == ["b-whole"]
    assert "a-damaged" in keeping.trouble
    assert keeping.status("a-damaged")["lag"] == 1
    assert keeping.status("b-whole")["lag"] == 0
