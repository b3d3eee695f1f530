"""kill -9 of the live process, the venue, the database, the supervisor, at seeded moments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from .drill import VICTIMS, Outcome, plan
from .many import Many

QUICK, MORE, AT_ONCE = range(10), range(10, 40), 4
Drilled = dict[int, Future[Outcome]]


@pytest.fixture(scope="module")
def many(new_place: Callable[[], Path]) -> Iterator[Many]:
    folder = new_place()
    folder.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch, Many(folder, AT_ONCE) as made:
        patch.setenv("ONETAPE_HOME", str(folder))
        yield made


@pytest.fixture(scope="module")
def quick(many: Many) -> Drilled:
    return many.begin(QUICK)


@pytest.fixture(scope="module")
def more(many: Many) -> Drilled:
    return many.begin(MORE)


@pytest.mark.parametrize("seed", QUICK)
def test_whatever_is_killed_no_order_is_lost_none_doubled_and_books_equal_the_venues(
    seed: int, quick: Drilled
) -> None:
    outcome = quick[seed].result()
    assert outcome.findings.held, f"{outcome.kills}\n{outcome.findings}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", MORE)
def test_the_same_at_many_more_moments(seed: int, more: Drilled) -> None:
    outcome = more[seed].result()
    assert outcome.findings.held, f"{outcome.kills}\n{outcome.findings}"


def test_the_quick_drills_kill_each_of_the_four() -> None:
    assert {kill.victim for seed in QUICK for kill in plan(seed)} == set(VICTIMS)
