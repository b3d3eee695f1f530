"""Counterparts that nobody here wrote: our sessions trade with them, and either side is killed.

Each is skipped, with what is absent, where it is not installed. What a counterpart loses is told:
the session that lost it has an alarm, and the order is booked as a break, never forgotten.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .counterparts import Broker, Executor, JsPureFix, QuickFix
from .drill import Ours, drill, gateway_drill


class Forgetful(QuickFix):
    """A broker whose session store is gone after a crash."""

    def kill(self) -> None:
        """Die, and lose the store."""
        super().kill()
        shutil.rmtree(self.store)


THEIRS = (QuickFix, Executor, JsPureFix)
SESSIONS, ORDERS = 6, 12


def here(kind: type[Broker]) -> type[Broker]:
    """Return the counterpart, or skip with what is absent."""
    if kind.missing():
        pytest.skip(kind.missing())
    return kind


@pytest.mark.parametrize("kind", [Ours, *THEIRS])
def test_every_order_is_answered_and_every_answer_is_heard(
    kind: type[Broker], tmp_path: Path
) -> None:
    found = drill(here(kind), tmp_path, 1, sessions=SESSIONS, orders=ORDERS, kills=0)

    assert found.finished, found
    assert found.account.whole, found
    assert found.account.orders == SESSIONS * ORDERS
    assert found.account.reports == SESSIONS * ORDERS * kind.reports
    assert found.account.repeated_orders == found.account.repeated_reports == 0


@pytest.mark.parametrize("victim", ["trader", "broker", "both"])
@pytest.mark.parametrize("kind", [Ours, QuickFix, Executor])
def test_kills_lose_nothing_with_a_counterpart_that_keeps_what_it_sent(
    kind: type[Broker], victim: str, tmp_path: Path
) -> None:
    found = drill(
        here(kind), tmp_path, 7, sessions=SESSIONS, orders=ORDERS, kills=2, victims=(victim,)
    )

    assert found.kills, "the work was over before a kill"
    assert found.finished, found
    assert found.account.whole, found
    assert found.account.orders == SESSIONS * ORDERS


@pytest.mark.parametrize("kind", [Ours, QuickFix])
def test_a_killed_gateway_and_its_broker_lose_nothing(kind: type[Broker], tmp_path: Path) -> None:
    found = gateway_drill(here(kind), tmp_path, 3, sessions=SESSIONS, orders=ORDERS, kills=2)

    assert sum(found.kills.values()) == 2, "the work was over before a kill"
    assert found.finished, found
    assert found.account.whole, found
    assert found.account.orders == SESSIONS * ORDERS


@pytest.mark.parametrize("victim", ["trader", "broker"])
def test_what_jspurefix_loses_is_told_by_alarms(victim: str, tmp_path: Path) -> None:
    found = drill(
        here(JsPureFix), tmp_path, 7, sessions=SESSIONS, orders=ORDERS, kills=2, victims=(victim,)
    )

    assert found.finished, found  # nothing waits for ever: each order is filled or a break
    assert found.account.seen, found
    assert not found.account.strange, found


def test_a_broker_that_lost_its_store_is_told_by_an_alarm(tmp_path: Path) -> None:
    found = drill(
        here(Forgetful), tmp_path, 7, sessions=SESSIONS, orders=ORDERS, kills=1, victims=("broker",)
    )

    assert found.kills == {"broker": 1}
    assert found.account.alarms.get("seq_too_low", 0) >= 1, found
    assert found.finished, found
    assert found.account.seen, found
