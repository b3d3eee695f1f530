"""The file of order ids on a full disk: nothing leaves, and the file can be read afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onetape.errors import VenueError
from onetape_fix.profiles import IdRule
from onetape_fix.trade.ids import Ids


def test_a_pair_that_was_half_written_is_taken_back_and_nothing_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = Ids(IdRule(), tmp_path / "a.ids")
    ids.root("C1")
    write = os.write

    def half(fd: int, data: bytes) -> int:
        return write(fd, data[:5])

    with monkeypatch.context() as full:
        full.setattr(os, "write", half)
        with pytest.raises(VenueError, match="nothing has left"):
            ids.root("C2")
    assert ids.client("C2") is None
    ids.root("C3")
    ids.close()
    again = Ids(IdRule(), tmp_path / "a.ids")
    assert [again.client(name) for name in ("C1", "C2", "C3")] == ["C1", None, "C3"]
    again.close()
