"""A drop copy whose line was lost: what it told meanwhile counts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from onetape.run.ports import Filled
from onetape_fix.gateway.line import Inbound, LineState, Live
from onetape_fix.trade.config import checked
from onetape_fix.trade.lines import lines_of
from onetape_fix.trade.venue import Venue

from .desk import NOW, Desk

CFG = """[DEFAULT]
ConnectionType=initiator
SenderCompID=ME
TargetCompID=B
NonStopSession=Y
BeginString=FIX.4.4
HeartBtInt=30
SocketConnectHost=127.0.0.1
SocketConnectPort=1
FileStorePath={folder}/store
[SESSION]
SessionName=orders
[SESSION]
SessionName=copy
SenderCompID=MECOPY
Role=dropcopy
"""


def fill(at: Desk, exec_id: str, position: int, replayed: bool) -> Inbound:
    body = {37: "V7", 11: "HAND", 17: exec_id, 150: "F", 39: "1", 55: "AAA", 207: "X", 54: "1"}
    return Inbound(
        at.message("8", body | {38: 30, 14: 10, 151: 20, 32: 10, 31: 10}), position, NOW, replayed
    )


def test_what_a_copy_told_while_its_line_was_lost_is_told_and_older_things_are_not(
    tmp_path: Path,
) -> None:
    path, at = tmp_path / "t.cfg", Desk()
    path.write_text(CFG.format(folder=tmp_path))
    said: list[Any] = []

    async def body() -> None:
        config = checked({"config": str(path), "dropcopy": ["copy"]})
        venue = Venue(config)
        venue._flow.begin(said.append)
        shared = lines_of(config.config, config.gateway).shared("copy")
        hear = venue._copy(venue._copies[0], shared)
        hear(LineState(True))
        hear(fill(at, "OLD", 1, True))
        hear(Live())
        hear(fill(at, "E1", 2, False))
        hear(LineState(False))
        hear(LineState(True))
        hear(fill(at, "E2", 3, True))  # it came while the gateway was gone
        hear(Live())

    asyncio.run(body())
    assert [each.trade_id for each in said if isinstance(each, Filled)] == ["E1", "E2"]
