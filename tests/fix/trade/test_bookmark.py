"""How far was told: a fill is told again rather than never, whatever became of file and journal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from onetape.run.ports import Filled, Notice
from onetape_fix.gateway.line import Inbound, LineAlarm, Live, Sent
from onetape_fix.trade.marks import Mark

from .desk import Desk
from .test_history import Taped


def left(folder: Path) -> Taped:
    """A desk whose process is gone after an order; what comes now stands in the journal."""
    at = Taped(folder=folder)
    at.new("C1")
    at.report("0")
    at.flow.end()
    at.flow.hear = at.tape.append
    return at


def attached(before: Taped, folder: Path, shift: int = 0) -> Desk:
    """A new process to which the journal is told, before it is connected."""
    made = Desk(before.profile)
    made.flow = flow_of(before, folder)
    made.said.clear()
    for heard in before.tape:
        assert isinstance(heard, Inbound | Sent)
        more: dict[str, Any] = {"ref": ""} if isinstance(heard, Sent) else {}
        at = heard.position + shift
        made.tell(replace(heard, replayed=True, position=at, **more))
    made.tell(Live())
    return made


def flow_of(before: Taped, folder: Path) -> Any:
    from onetape_fix.profiles import SymbolMap
    from onetape_fix.session import SessionConfig
    from onetape_fix.trade.flow import Flow

    config = SessionConfig(begin_string="FIX.4.4", sender="ME", target="BROKER")
    symbols = SymbolMap(before.profile, "X")
    return Flow(config, before.profile, symbols, lambda _: "USD", folder, grace=5.0)


def fills(at: Desk) -> list[str]:
    return [each.trade_id for each in at.said if isinstance(each, Filled)]


def test_what_was_heard_by_a_process_that_never_came_to_tell_it_is_told_by_the_next(tmp_path):
    before = left(tmp_path)
    before.fill("E1", 10, 10)
    failed = attached(before, tmp_path)  # the session is down: connect() gives up
    failed.flow.end()
    after = attached(before, tmp_path)
    after.flow.begin(after.said.append)
    assert fills(after) == ["E1"]


def test_a_torn_bookmark_has_all_told_again_and_nothing_swallowed(tmp_path: Path) -> None:
    before = left(tmp_path)
    before.fill("E1", 10, 10)
    (mark,) = tmp_path.glob("*.heard")
    mark.write_text("")
    after = attached(before, tmp_path)
    after.flow.begin(after.said.append)
    assert fills(after) == ["E1"]


def test_the_bookmark_is_there_once_the_first_order_has_left(tmp_path: Path) -> None:
    async def killed() -> None:  # before the loop turns again
        Desk(folder=tmp_path).new("C1")
        (path,) = tmp_path.glob("*.heard")
        assert Mark(path).at == 1

    asyncio.run(killed())


def test_a_journal_that_was_begun_anew_is_noticed_and_told_whole(tmp_path: Path) -> None:
    before = left(tmp_path)
    before.flow.mark.at = 5_000
    before.flow.mark.save()
    before.fill("E1", 10, 10)
    after = attached(before, tmp_path)
    after.flow.begin(after.said.append)
    assert fills(after) == ["E1"]
    assert "journal_lost" in [each.code for each in after.said if isinstance(each, Notice)]
    after.flow.end()
    (path,) = tmp_path.glob("*.heard")
    assert Mark(path).at == before.tape[-1].position


def test_a_line_that_comes_back_to_another_journal_has_it_told(tmp_path: Path) -> None:
    before = left(tmp_path)
    after = attached(before, tmp_path, shift=5_000)
    after.flow.begin(after.said.append)
    after.tell(LineAlarm("journal_lost", "it is not the one that was"))
    before.fill("E1", 10, 10)
    after.tell(replace(before.tape[-1], replayed=True))
    assert fills(after) == ["E1"]
