"""Two processes with a venue on one session (a trader, and a kill): one file of ids."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from onetape_fix.profiles import IdRule
from onetape_fix.trade import ids as module
from onetape_fix.trade.ids import Ids

NOW = 1_704_726_000_000_000_000
SHORT = IdRule(max_length=6, alphabet="0123456789")
OTHER = """
import sys
from pathlib import Path
from onetape_fix.profiles import IdRule
from onetape_fix.trade.ids import Ids
ids = Ids(IdRule(), Path(sys.argv[1]), now=lambda: 1_704_726_000_000_000_000)
print("here", flush=True)
sys.stdin.readline()
print(" ".join(ids.next("theirs") for _ in range(300)), flush=True)
"""


def frozen() -> int:
    return NOW


@pytest.mark.parametrize("rule", [IdRule(), SHORT])
def test_ids_of_two_on_one_file_never_meet(rule: IdRule, tmp_path: Path) -> None:
    path = tmp_path / "s.ids"
    first, second = Ids(rule, path, frozen), Ids(rule, path, frozen)
    wires = [made.next(name) for _ in range(50) for made, name in ((first, "A"), (second, "B"))]
    assert len(set(wires)) == len(wires)
    assert {first.client(wire) for wire in wires[:-1]} == {"A", "B"}  # each knows the other's
    again = Ids(rule, path, frozen)
    assert [again.client(wire) for wire in wires] == ["A", "B"] * 50


def test_ids_of_two_processes_never_meet(tmp_path: Path) -> None:
    path = tmp_path / "s.ids"
    ours = Ids(IdRule(), path, frozen)
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    ) as other:  # fmt: skip
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "here\n"
        other.stdin.write("go\n")
        other.stdin.flush()
        mine = [ours.next("ours") for _ in range(300)]
        theirs = other.stdout.readline().split()
    assert len({*mine, *theirs}) == 600
    again = Ids(IdRule(), path, frozen)
    assert {again.client(wire) for wire in mine} == {"ours"}
    assert {again.client(wire) for wire in theirs} == {"theirs"}


def test_what_one_writes_after_another_has_tidied_the_file_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.ids"
    old = Ids(IdRule(), path, lambda: NOW - 100 * module.DAY_NS)
    for _ in range(20):
        old.next("old")
    ours = Ids(IdRule(), path, frozen)
    monkeypatch.setattr(module, "COMPACT", 10)
    Ids(IdRule(), path, frozen)  # tidies
    wire = ours.next("O-1")
    assert Ids(IdRule(), path, frozen).client(wire) == "O-1"


def test_one_who_stands_still_with_the_file_in_hand_does_not_hold_up_a_cancel(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.ids"
    ours = Ids(IdRule(), path, frozen)
    with path.open("rb") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        begun = time.monotonic()
        wire = ours.next("O-1")
        assert time.monotonic() - begun < 1
        other = Ids(IdRule(), path, frozen).next("O-2")
    assert Ids(IdRule(), path, frozen).client(wire) == "O-1"
    assert ours.next("O-3") not in (wire, other)
    assert ours.client(other) == "O-2"


def test_one_who_wrote_without_the_file_in_hand_does_not_make_it_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.ids"
    ours, other = Ids(IdRule(), path, frozen), Ids(IdRule(), path, frozen)
    write = os.write

    def between(handle: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        monkeypatch.setattr(module, "PATIENCE_S", 0.0)
        other.next("O-2")  # it waited for long enough: ours has the file in hand
        return write(handle, data)

    monkeypatch.setattr(os, "write", between)
    wires = [ours.next("O-1"), ours.next("O-3"), other.next("O-4")]
    again = Ids(IdRule(), path, frozen)
    assert [again.client(wire) for wire in wires] == ["O-1", "O-3", "O-4"]
