"""Our own orders, folded from the sessions on a tape: whose they are, and which may still work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from onetape.risk.kill import Scope
from onetape.run.ours import EXTERNAL, Ours, Whose
from onetape.tape import kinds
from onetape.tape.event import Event
from onetape.tape.memory import MemoryTape
from onetape.tape.postgres import PostgresTape

from .counterparty import ID, D, session

FIRM, HERE = Scope("firm"), frozenset({"A"})
OLD, NEW = "Cross-20240108T093000-aaaaaa", "Cross-20240109T093000-bbbbbb"


@pytest.fixture(params=["memory", "postgres"])
def tape(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryTape()
        return
    with PostgresTape(request.getfixturevalue("database")) as opened:
        yield opened


def tell(tape: Any, key: str, *facts: kinds.AnyFact) -> None:
    stream = f"session/{key}"
    first = tape.version(stream) + 1
    events = [Event(seq, seq, seq, stream, fact) for seq, fact in enumerate(facts, first)]
    tape.append(stream, events, book="paper")


def working(tape: Any, scope: Scope = FIRM, whose: dict[str, Whose] | None = None) -> set[str]:
    ours = Ours(whose)
    ours.read(tape)
    return {one.client_order_id for one in ours.working(scope, HERE, "SIM")}


def filled(order: str, quantity: int, trade: str) -> kinds.OrderFilled:
    return kinds.OrderFilled(
        order, ID, "Cross", "A", f"V-{order}", trade, "BUY", D(quantity), D(99), "USD", D(0),
        "USD", "MAKER",
    )  # fmt: skip


def test_an_order_works_until_it_is_filled_canceled_expired_or_refused(tape: Any) -> None:
    session(tape, ["O-1", "O-2", "O-3", "O-4", "O-5", "O-6"], key=OLD)
    tell(
        tape, OLD, filled("O-1", 10, "T-1"), filled("O-2", 4, "T-2"),
        kinds.OrderCanceled("O-3", ID, "Cross"), kinds.OrderExpired("O-4", ID, "Cross"),
        kinds.OrderRejected("O-5", ID, "Cross", "no"),
        kinds.OrderUpdated("O-6", ID, "Cross", D(20)), filled("O-6", 10, "T-6"),
    )  # fmt: skip
    assert working(tape) == {"O-2", "O-6"}


def test_a_later_session_may_tell_the_end_of_an_earlier_ones_order(tape: Any) -> None:
    session(tape, ["O-1", "O-2"], key=OLD)
    session(tape, ["N-1"], key=NEW)
    tell(tape, NEW, kinds.OrderCanceled("O-1", ID, "Cross"))
    assert working(tape) == {"O-2", "N-1"}


def test_an_order_found_at_the_venue_belongs_to_the_session_that_sent_it(tape: Any) -> None:
    session(tape, ["O-1"], key=OLD, strategy="Cross")
    session(tape, ["O-1"], key=NEW, strategy=EXTERNAL)
    assert working(tape, Scope("strategy", "Cross")) == {"O-1"}


def test_what_is_new_on_the_tape_is_read_on_top(tape: Any) -> None:
    session(tape, ["O-1"], key=OLD)
    ours = Ours()
    ours.read(tape)
    session(tape, ["N-1"], key=NEW)
    tell(tape, OLD, kinds.OrderCanceled("O-1", ID, "Cross"))
    ours.read(tape)
    assert {one.client_order_id for one in ours.working(FIRM, HERE, "SIM")} == {"N-1"}


def test_orders_of_another_account_are_not_asked_for(tape: Any) -> None:
    session(tape, ["O-1"], key=OLD)
    session(tape, ["B-1"], key=NEW, account="B")
    assert working(tape) == {"O-1"}


def test_trader_and_desk_are_those_of_the_session(tape: Any) -> None:
    session(tape, ["O-1"], key=OLD, trader="ann")
    session(tape, ["N-1"], key=NEW)
    whose = {f"session/{NEW}": Whose("A", "bob", "rates")}
    assert working(tape, Scope("trader", "ann"), whose) == {"O-1"}
    assert working(tape, Scope("desk", "rates"), whose) == {"N-1"}


def test_the_oldest_of_many_sessions_is_read_too() -> None:
    tape = MemoryTape()
    for day in range(1, 60):
        key = f"Cross-2024{1 + day // 28:02d}{1 + day % 28:02d}T093000-{day:06x}"
        session(tape, [f"O-{day}"], key=key)
    groups: list[int] = []
    ours = Ours()
    ours.read(tape, lambda: groups.append(len(ours.working(FIRM, HERE, "SIM"))))
    assert groups == [4, 36, 59]
    assert {own.client_order_id for own in ours.working(FIRM, HERE, "SIM")} == {
        f"O-{day}" for day in range(1, 60)
    }


def test_a_backtest_on_the_same_tape_has_no_orders_at_a_venue() -> None:
    tape = MemoryTape()
    session(tape, ["O-1"], key=OLD)
    facts = [entry.event.fact for entry in tape.read()]
    stream = "run/Cross-1"
    events = [Event(seq, seq, seq, stream, fact) for seq, fact in enumerate(facts, 1)]
    tape.append(stream, events)
    ours = Ours()
    ours.read(tape)
    assert ours.entries == len(facts)
