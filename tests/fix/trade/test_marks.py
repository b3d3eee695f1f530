"""A bookmark stays behind what was emitted, for whoever heard it and was killed before he wrote."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from onetape_fix.trade import marks
from onetape_fix.trade.marks import Mark


def test_what_was_emitted_just_now_is_emitted_again_by_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "SAVE_S", 0.001)
    path = tmp_path / "a.heard"

    async def killed() -> None:
        mark = Mark(path)
        mark.move(1)
        for position in range(2, 20):
            mark.move(position)
            await asyncio.sleep(0.002)

    asyncio.run(killed())
    assert Mark(path).at == 1


def test_what_was_emitted_long_ago_is_behind_the_bookmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "SAVE_S", 0.001)
    monkeypatch.setattr(marks, "BEHIND_S", 0.01)
    path = tmp_path / "a.heard"

    async def long_after() -> None:
        mark = Mark(path)
        for position in (1, 7):
            mark.move(position)
        async with asyncio.timeout(10):
            while Mark(path).at != 7:
                await asyncio.sleep(0.001)

    asyncio.run(long_after())


def test_who_is_left_in_good_order_has_all_of_it_behind_the_bookmark(tmp_path: Path) -> None:
    path = tmp_path / "a.heard"
    mark = Mark(path)
    mark.move(1)
    mark.move(9)
    mark.save()
    assert Mark(path).at == 9
