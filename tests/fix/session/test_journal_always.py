"""A journal that syncs each record: what could not be brought to the disk does not count."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onetape_fix.session.journal import Journal
from onetape_fix.session.store import StoreError

SESSION = "FIX.4.4:US->THEM"
D = b"8=FIX.4.4\x019=1\x0135=D\x0111=a\x0110=000\x01"


def test_an_order_that_was_refused_for_the_disk_is_not_there_to_be_resent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, SESSION, sync="always")
    journal.sent(1, D, 1)

    def fails(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fails)
        with pytest.raises(StoreError):
            journal.sent(2, D, 2)
    assert (journal.next_out, journal.position) == (2, 1)
    with pytest.raises(StoreError):
        journal.close()
    again = Journal(tmp_path, SESSION, sync="always")
    assert (again.next_out, again.position) == (2, 1)
    assert [seq for seq, _, _ in again.outbound(1, 9)] == [1]
    again.close()
