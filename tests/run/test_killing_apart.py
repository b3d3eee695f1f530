"""A kill against a venue in a process of its own, with no session alive."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onetape.risk.kill import KILL_INCOMPLETE, KILLED
from onetape.run.killing import How, KillResult, kill
from onetape.run.notes import KILL, facts
from onetape.run.ports import MassCancel
from onetape.tape.memory import MemoryTape

from .counterparty import session
from .simulated import Simulated, simulated

THOUSAND = [f"O-{n}" for n in range(1_000)]


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Simulated]:
    with simulated(tmp_path) as one:
        yield one


def killed(
    tape: Any, venue: Any, tmp_path: Path, scope: str = "firm", patience_s: float = 10.0
) -> KillResult:
    how = How(spool=tmp_path / "unrecorded", quiet_s=0.05)
    return asyncio.run(
        kill(tape, {"SIM": venue}, scope, "runaway", "ann", accounts=["A"],
             patience_s=patience_s, how=how)
    )  # fmt: skip


def single(venue: Any) -> Any:
    """Make a venue one that knows no mass cancel."""

    async def unknown(_: MassCancel) -> None:
        return None

    venue.mass_cancel = unknown
    return venue


@pytest.mark.parametrize("mass", [True, False], ids=["mass cancel", "single cancels"])
def test_a_thousand_orders_at_a_venue_of_its_own_are_gone_with_no_session_alive(
    there: Simulated, tmp_path: Path, mass: bool
) -> None:
    there.place(THOUSAND)
    tape = MemoryTape()
    venue = there.venue() if mass else single(there.venue())
    made = killed(tape, venue, tmp_path)
    assert (made.state, there.working()) == (KILLED, [])
    assert made.requests >= (1 if mass else 1_000)
    assert [fact.state for fact in facts(tape, KILL)] == ["CANCELLING", "VERIFYING", "KILLED"]  # type: ignore[union-attr]


def test_the_orders_of_one_strategy_go_and_those_of_another_stay(
    there: Simulated, tmp_path: Path
) -> None:
    there.place(["O-1", "O-2", "P-1"])
    tape = MemoryTape()
    session(tape, ["O-1", "O-2"])
    session(tape, ["P-1"], key="Other-20240108T093000-ffffff", strategy="Other")
    assert killed(tape, there.venue(), tmp_path, "strategy:Cross").state == KILLED
    assert there.working() == ["P-1"]


def test_a_venue_that_dropped_everybody_is_connected_to_again(
    there: Simulated, tmp_path: Path
) -> None:
    there.place(THOUSAND)
    there.fault("disconnect", seconds=0.3)
    assert killed(MemoryTape(), there.venue(), tmp_path).state == KILLED
    assert there.working() == []


def test_a_silent_venue_is_named_and_a_later_kill_finishes_it(
    there: Simulated, tmp_path: Path
) -> None:
    there.place(["O-1"])
    there.fault("silence", seconds=3.0)
    tape = MemoryTape()
    first = killed(tape, there.venue(), tmp_path, patience_s=0.5)
    assert (first.state, first.working) == (KILL_INCOMPLETE, ("venue:SIM",))
    assert "SIM is silent" in first.detail
    second = killed(tape, there.venue(), tmp_path, patience_s=20)
    assert (second.state, second.kill, second.repeated) == (KILLED, first.kill, KILL_INCOMPLETE)


def test_a_venue_that_died_is_out_of_reach_and_nothing_is_concluded(
    there: Simulated, tmp_path: Path
) -> None:
    there.place(["O-1"])
    there.process.kill()
    there.process.wait()
    made = killed(MemoryTape(), there.venue(), tmp_path, patience_s=0.5)
    assert (made.state, made.working) == (KILL_INCOMPLETE, ("venue:SIM",))
    assert "nobody answers" in made.detail
