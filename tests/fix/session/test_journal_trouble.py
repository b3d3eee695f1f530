"""The journal in trouble: killed while it writes, no room, no right to write."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from onetape_fix.session.journal import Journal
from onetape_fix.session.store import StoreError

HERE = Path(__file__).parent
SESSION = "FIX.4.4:US->THEM"
D = b"8=FIX.4.4\x019=1\x0135=D\x0111=a\x0110=000\x01"
NOBODY = 65_534


def ran(program: str, *given: object) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(HERE / program), *map(str, given)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Nobody may write into the folder; for root, by being nobody for a while."""
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


def test_what_was_acknowledged_is_there_after_every_kill(tmp_path: Path) -> None:
    told = ran("killed.py", tmp_path, 40, 7)
    assert told["lost"] == 0
    assert told["acknowledged"] > 1_000


def check_full(told: dict[str, Any]) -> None:
    assert "cannot be written" in told["trouble"]
    assert told["kept"] > 20
    assert told["again"] == ["refused", "refused"]
    assert told["stood"] == [told["kept"] + 1, told["kept"]]  # nothing of it counts
    assert told["after"] == [told["kept"] + 2, told["kept"] + 1]
    assert told["found"] == told["after"]
    assert told["whole"]
    assert told["cut"] == 0


def test_a_file_that_may_not_grow_refuses_and_goes_on_once_it_may(tmp_path: Path) -> None:
    told = ran("filled.py", tmp_path, 100_000)
    assert told["again"][0] == "refused"
    assert told["stood"][1] >= told["kept"]
    assert told["found"] == told["after"]
    assert told["whole"]


def test_a_full_disk_refuses_and_goes_on_once_there_is_room(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("a small disk needs mount and root; the limit of a file is tested above")
    how = [mount, "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small)]
    if subprocess.run(how, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount; the limit of a file is tested above")
    try:
        (small / "ballast").write_bytes(b"0" * 100_000)
        check_full(ran("filled.py", small, 0))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_folder_that_cannot_be_written_is_refused_with_what_to_set(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    with (
        without_rights(folder),
        pytest.raises(StoreError, match="Permission denied; set FileStorePath"),
    ):
        Journal(folder, SESSION)


def test_a_journal_whose_folder_became_read_only_keeps_on_and_refuses_a_reset(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "store"
    journal = Journal(folder, SESSION, limit=500)
    with without_rights(journal.folder):
        for seq in range(1, 50):  # over the size at which a new file would be begun
            journal.sent(seq, D, seq)
        before = (journal.next_out, journal.position, journal.epoch)
        with pytest.raises(StoreError, match="cannot begin a segment: Permission denied"):
            journal.reset(99)
        assert (journal.next_out, journal.position, journal.epoch) == before
    journal.reset(100)
    assert (journal.next_out, journal.epoch) == (1, 100)
    journal.close()
