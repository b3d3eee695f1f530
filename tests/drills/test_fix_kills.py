"""kill -9 of trader, supervisor, gateway and broker while a session trades over FIX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from .fix_drill import VICTIMS, FixOutcome, plan
from .fix_many import FixMany

QUICK, KILLS, MORE, AT_ONCE = (2,), 3, range(10, 30), 2
Drilled = dict[int, Future[FixOutcome]]


@pytest.fixture(scope="module")
def many(new_place: Callable[[], Path]) -> Iterator[FixMany]:
    folder = new_place()
    folder.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch, FixMany(folder, AT_ONCE) as made:
        patch.setenv("ONETAPE_HOME", str(folder))
        yield made


@pytest.fixture(scope="module")
def quick(many: FixMany) -> Drilled:
    return many.begin(QUICK, kills=KILLS)


@pytest.fixture(scope="module")
def more(many: FixMany) -> Drilled:
    return many.begin(MORE)


@pytest.mark.parametrize("seed", QUICK)
def test_whatever_is_killed_over_fix_tape_broker_and_both_journals_agree(
    seed: int, quick: Drilled
) -> None:
    outcome = quick[seed].result()
    assert outcome.findings.held, f"{outcome.kills}\n{outcome.findings}"
    assert outcome.messages > 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", MORE)
def test_the_same_at_many_more_moments_over_fix(seed: int, more: Drilled) -> None:
    outcome = more[seed].result()
    assert outcome.findings.held, f"{outcome.kills}\n{outcome.findings}"


def test_the_drills_kill_each_part() -> None:
    assert len({kill.victim for seed in QUICK for kill in plan(seed, KILLS)}) == KILLS
    assert {kill.victim for seed in MORE for kill in plan(seed)} == set(VICTIMS)
