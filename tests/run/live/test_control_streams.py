"""What is written on the tape's control streams reaches sessions that run, and that start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import onetape as ot
from onetape.risk.limitbook import LimitBook, to_json
from onetape.run.following import standing
from onetape.tape.event import Event
from onetape.tape.kinds import Fact
from onetape.tape.kinds_live import KillMoved, LimitsSet, OverrideGranted, RiskMoved
from onetape.tape.memory import MemoryTape
from run.hand import scripted

from .desk import LEVEL, Desk, Live, again

HALT = RiskMoved("account:A", "HALTED", "enough", "Ada")
READY = RiskMoved("account:A", "ACTIVE", "again", "Ada", "Bob")
BUYS = scripted({n: lambda s: s.buy(1) for n in (1, 6, 9)})


def limits_set(limits: LimitBook) -> LimitsSet:
    return LimitsSet(limits.version, to_json(limits), "", "Ada", "", "a test")


def write(tape: Any, stream: str, *facts: Fact) -> None:
    """Put facts on a control stream, as whoever may does."""
    at = tape.version(stream)
    events = [Event(at + n, n, n, stream, fact) for n, fact in enumerate(facts, 1)]
    tape.append(stream, events, book="control")


def written(desk: Desk, stream: str, fact: Fact) -> Callable[[Live], None]:
    """Write a fact while the session runs, and let no row come until it has been heard."""

    def act(live: Live) -> None:
        heard = live.kernel.recorder.count
        write(desk.tape, stream, fact)
        live.wait_for(lambda: live.kernel.recorder.count > heard)

    return act


def verdicts(live: Live) -> list[str]:
    return [f.code or f.verdict for f in live.facts("risk.decided")]


@pytest.mark.parametrize(
    ("stream", "fact", "then"),
    [
        ("risk", HALT, ["STATE_HALTED"] * 2),
        ("risk", RiskMoved("firm", "CANCEL_ONLY", "enough", "Ada"), ["STATE_CANCEL_ONLY"] * 2),
        ("risk", RiskMoved("firm", "REDUCING", "enough", "Ada"), ["WOULD_INCREASE"] * 2),
        ("risk", RiskMoved("account:B", "HALTED", "enough", "Ada"), ["allow"] * 2),
        ("limits", limits_set(ot.limits(max_position=1)), ["MAX_LONG"] * 2),
        ("limits", limits_set(ot.limits(max_position=500)), ["allow"] * 2),
        ("kill", KillMoved("K1", "account:A", "CANCELLING", "Ada", "enough"), ["STATE_HALTED"] * 2),
    ],
)
def test_a_word_on_the_tape_reaches_a_session_that_runs(
    stream: str, fact: Fact, then: list[str]
) -> None:
    desk = Desk(LEVEL)
    live = desk.session(BUYS, {4: written(desk, stream, fact)}, limits=ot.limits(max_position=9))
    assert verdicts(live) == ["allow", *then]
    assert len(desk.sent) == 1 + then.count("allow")
    assert [e.stream for e in live.recording if e.kind == fact_kind(fact)] == ["input/risk"]
    assert again(live, BUYS) is None


def fact_kind(fact: Fact) -> str:
    return Event(1, 1, 1, "x", fact).kind


def test_a_session_that_is_armed_again_trades_again() -> None:
    desk = Desk(LEVEL)
    at = {4: written(desk, "risk", HALT), 8: written(desk, "risk", READY)}
    live = desk.session(BUYS, at)
    assert verdicts(live) == ["allow", "STATE_HALTED", "allow"]
    assert live.gate_state() == "ACTIVE"


def test_what_stands_on_the_tape_holds_from_the_first_order_on() -> None:
    desk = Desk(LEVEL)
    write(desk.tape, "risk", READY, HALT)
    live = desk.session(BUYS)
    assert verdicts(live) == ["STATE_HALTED"] * 3
    assert live.gate_state() == "HALTED"
    assert desk.sent == []
    assert again(live, BUYS) is None


def test_of_limits_on_the_tape_and_of_the_session_the_tighter_holds() -> None:
    desk = Desk(LEVEL)
    write(desk.tape, "limits", limits_set(ot.limits(max_position=2, max_open_orders=50)))
    live = desk.session(BUYS, limits=ot.limits(max_position=9, max_order_quantity=1))
    assert verdicts(live) == ["allow", "allow", "MAX_LONG"]
    (heard,) = live.facts("limits.set")
    assert "max_order_quantity" in heard.rules
    assert '"2"' in heard.rules


def test_an_override_on_the_tape_lets_one_order_pass() -> None:
    desk = Desk(LEVEL)
    much = scripted({6: lambda s: s.buy(1)})
    named = "O-20240108-150000-00beef-000-1"
    grant = OverrideGranted(named, ("R15",), "Ada", "Bob", "once", 1_704_726_600_000_000_000)
    write(desk.tape, "risk", grant)
    live = desk.session(much, limits=ot.limits(max_long=0), session="Hand-20240108T150000-00beef")
    assert list(live.orders) == [named]
    assert again(live, much) is None


def test_of_each_scope_only_the_last_word_stands_and_of_overrides_all() -> None:
    tape = MemoryTape()
    assert standing(tape) == ([], 0)
    grants = [OverrideGranted(f"O-{n}", ("R15",), "Ada", "Bob", "once", 9) for n in (1, 2)]
    write(tape, "risk", HALT, *grants, READY, RiskMoved("firm", "REDUCING", "", "Ada"))
    write(tape, "limits", *(limits_set(ot.limits(max_position=n)) for n in (1, 2)))
    facts, head = standing(tape)
    assert head == 7
    assert [f for f in facts if isinstance(f, RiskMoved)] == [
        READY,
        RiskMoved("firm", "REDUCING", "", "Ada"),
    ]
    assert [f for f in facts if isinstance(f, OverrideGranted)] == grants
    assert [f.rules for f in facts if isinstance(f, LimitsSet)] == [
        to_json(ot.limits(max_position=2))
    ]
