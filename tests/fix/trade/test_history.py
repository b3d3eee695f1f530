"""A restarted process knows its orders again from what went out and came in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from onetape.run.ports import Filled
from onetape_fix.gateway.line import Heard, Inbound, LineAlarm, LineState, Sent
from onetape_fix.trade.flow import Doubts

from .desk import Desk


class Taped(Desk):
    """A desk that keeps what its line told."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.tape: list[Heard] = []
        super().__init__(*args, **more)
        hear = self.flow.hear

        def kept(heard: Heard) -> None:
            self.tape.append(heard)
            hear(heard)

        self.flow.hear = kept

    def again(self, folder: Path | None = None, **more: Any) -> Desk:
        """A new process to which all is told again."""
        made = Desk(self.profile, folder, **more)
        made.flow.end()
        made.said.clear()
        for heard in self.tape:
            assert isinstance(heard, Inbound | Sent)
            made.tell(
                replace(heard, replayed=True, **({"ref": ""} if isinstance(heard, Sent) else {}))
            )
        made.flow.begin(made.said.append)
        return made


def states(at: Desk) -> list[tuple[Any, ...]]:
    return [
        (o.name, o.wire, o.venue_id, o.status, o.quantity, o.price, o.filled, sorted(o.asks))
        for o in at.flow.book
    ]


def busy(**more: Any) -> Taped:
    at = Taped(**more)
    at.new("C1")
    at.report("0")
    at.fill("E1", 10, 10)
    changed = at.modify(price="9")
    at.report("5" if at.profile.replace else "4", changed, t41="C1", t14=10, t44=9)
    if not at.profile.replace:
        at.report("0", at.sent[-1].ref, t37="V1b", t38=20, t44=9)
    at.new("C2")
    at.report("8", "C2", t37="V2")
    at.report("0", "HAND", t37="V3")
    at.new("C3", type="STOP_LIMIT", trigger_price=None)
    at.report("0", "C3", t37="V4")
    at.cancel("C3")
    return at


@pytest.mark.parametrize("replaces", [True, False])
def test_told_again_the_book_is_as_it_was_and_nothing_is_said_or_sent(replaces, tmp_path) -> None:
    before = busy(replace=replaces, folder=tmp_path)
    before.flow.mark.save()
    after = before.again(tmp_path)
    assert states(after) == states(before)
    assert after.kinds() == []
    assert after.sent == []


def test_what_was_not_passed_on_yet_is_said_once_we_are_connected(tmp_path: Path) -> None:
    before = busy(folder=tmp_path)
    before.flow.mark.save()
    held, before.flow.mark.save = before.flow.mark, lambda: None
    held._path = None  # killed from here on
    before.fill("E2", 5, 15, wire="C1")
    after = before.again(tmp_path)
    assert [type(each) for each in after.said[1:]] == [Filled]
    assert after.said[1].trade_id == "E2"


def test_a_first_start_says_nothing_of_the_past() -> None:
    assert busy().again().kinds() == []


def test_a_request_of_the_past_is_answered_now() -> None:
    before = busy()
    wire = before.sent[-1].ref
    after = before.again()
    (said,) = after.report("4", wire, t41="C3", t37="V4")
    assert (said.client_order_id, said.reason) == ("C3", "")


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        (LineState(False, "bye"), ["disconnected"]),
        (LineAlarm("reset", "began anew"), ["reset", "silent", "connected"]),
        (LineAlarm("gap_filled_over", "7 to 9"), ["gap_filled_over", "silent", "connected"]),
        (LineAlarm("seq_too_low", "5 for 9"), ["seq_too_low", "silent", "connected"]),
        (LineAlarm("skew", "2 s"), ["skew"]),
    ],
)
def test_what_leaves_the_books_in_doubt_is_told_so_that_they_are_compared(heard, told) -> None:
    at = Desk()
    at.said.clear()
    at.tell(heard)
    assert [getattr(x, "state", getattr(x, "code", "")) for x in at.said] == told


def test_a_line_that_comes_back_says_so_once() -> None:
    at = Desk()
    for up in (False, False, True, True):
        at.tell(LineState(up, ""))
    assert [x.state for x in at.said] == ["connected", "disconnected", "connected"]


def test_an_order_that_grew_too_old_to_be_sent_again_is_asked_for_and_then_rejected() -> None:
    at = Desk()
    wire = at.new("C1")
    at.tell(LineAlarm("stale_order", "too old", {"client_order_id": wire}))
    assert at.doubtful == ["C1"]

    async def nobody(_order: Any) -> None:
        return None

    async def none(_order: Any) -> list[Any]:
        return []

    async def body() -> None:
        doubts = Doubts(at.flow, 0.0, nobody, none)
        doubts.soon()
        while at.doubtful:
            await asyncio.sleep(0)

    asyncio.run(body())
    assert at.kinds() == ["Notice", "Rejected"]
    assert "too old" in at.said[-1].reason


def test_new_terms_that_grew_too_old_to_be_sent_again_are_refused() -> None:
    at = Desk()
    at.new("C1")
    at.report("0")
    wire = at.modify(price="9")
    at.tell(LineAlarm("stale_order", "too old", {"client_order_id": wire}))
    assert "ModifyRejected" in at.kinds()
    assert not at.flow.book.find("C1").closed
