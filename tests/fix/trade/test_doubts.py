"""Orders in doubt: what the answer to our own question tells is told on, and nothing is guessed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from onetape.run.ports import Canceled, Notice, OrderStatus, Rejected
from onetape_fix.gateway.line import Inbound
from onetape_fix.trade import orders as o
from onetape_fix.trade.config import checked
from onetape_fix.trade.flow import Doubts
from onetape_fix.trade.venue import Venue

from .desk import NOW, Desk


def answer(at: Desk, status: str, cum: Any, **more: Any) -> OrderStatus | None:
    body = {37: "V1", 11: "C1", 17: "0", 150: "I", 39: status, 55: "AAA", 207: "X", 54: "1"}
    body |= {38: 30, 14: cum, 151: 0} | {int(tag[1:]): value for tag, value in more.items()}
    return at.flow.asking.status_in(at.message("8", body))


def resolve(at: Desk, status: str, cum: Any, **more: Any) -> None:
    async def ask(order: o.Order) -> OrderStatus | None:
        return answer(at, status, cum, **more)

    async def none(order: o.Order) -> list[Any]:
        return []

    async def body() -> None:
        Doubts(at.flow, 0.0, ask, none).soon()
        while at.doubtful:
            await asyncio.sleep(0)

    asyncio.run(body())


@pytest.mark.parametrize(("status", "kind"), [("4", "Canceled"), ("C", "Expired")])
def test_an_end_that_an_answer_tells_of_is_told_once(status: str, kind: str) -> None:
    at = Desk()
    at.new()
    at.report("0")
    at.fill("E1", 10, 20)
    assert at.doubtful == ["C1"]
    resolve(at, status, 20)
    assert at.kinds().count(kind) == 1
    at.report(status, t14=20)  # the report that was on its way
    assert at.kinds().count(kind) == 1


def test_an_answer_to_somebody_elses_question_does_not_swallow_the_report_of_the_end() -> None:
    at = Desk()
    at.new()
    at.report("0")
    told = answer(at, "4", 0)
    assert told is not None
    assert told.status == "CANCELED"
    assert [type(each) for each in at.report("4")] == [Canceled]


def test_an_end_told_unasked_as_a_status_is_told() -> None:
    at = Desk()
    at.new()
    at.report("0")
    assert [type(each) for each in at.report("I", t39="4", t151=0)] == [Canceled]


def test_an_order_is_not_told_as_rejected_by_a_venue_that_cannot_be_asked(tmp_path: Path) -> None:
    path = tmp_path / "t.cfg"
    path.write_text(
        "[DEFAULT]\nConnectionType=initiator\nSenderCompID=ME\nTargetCompID=B\n"
        f"FileStorePath={tmp_path}/store\nNonStopSession=Y\nBeginString=FIX.4.4\nHeartBtInt=30\n"
        "SocketConnectHost=127.0.0.1\nSocketConnectPort=1\n[SESSION]\nProfile=binance\n"
    )
    at = Desk("binance")
    said: list[Any] = []

    async def body() -> None:
        venue = Venue(checked({"config": str(path), "settle": 0.0}))
        flow = venue._flow
        flow.begin(said.append)
        leave = flow.outgoing.new(at.order("C1"), NOW)
        assert leave is not None
        fields = {37: "V1", 11: "C1", 17: "E1", 150: "F", 39: "1", 55: "AAA", 207: "X", 54: "1"}
        flow.hear(Inbound(at.message("8", fields | {38: 30, 14: 10, 151: 20, 32: 10}), 1, NOW))
        assert flow.executions.doubtful
        while flow.executions.doubtful:
            await asyncio.sleep(0)
        flow.end()

    asyncio.run(body())
    assert [each for each in said if isinstance(each, Rejected)] == []
    assert "fill_unreadable" in [each.code for each in said if isinstance(each, Notice)]
