"""The fence, on a real server: one session trades an account, and who it is stands on the tape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from onetape.errors import Fenced
from onetape.run.fence import Lease
from onetape.tape.event import Event
from onetape.tape.kinds import CashDeposited
from onetape.tape.kinds_live import LeaseTaken
from onetape.tape.postgres import PostgresTape
from onetape.tape.server import connect
from run.hand import scripted

from .desk import LEVEL, Desk, Live

Make = Callable[..., Lease]


@pytest.fixture
def tape(database: str) -> Iterator[PostgresTape]:
    made = PostgresTape(database)
    yield made
    made.close()


@pytest.fixture
def lease(database: str, tape: PostgresTape) -> Iterator[Make]:
    made: list[Lease] = []

    def make(session: str, account: str = "A") -> Lease:
        made.append(Lease(tape, database, "sim", account, session))
        return made[-1]

    yield make
    for each in made:
        each.release()


def taken(tape: PostgresTape, account: str = "A") -> list[tuple[str, int]]:
    facts = [e.fact for e in tape.recording(f"lease/sim/{account}")]
    return [(f.session, f.epoch) for f in facts if isinstance(f, LeaseTaken)]


def began(tape: PostgresTape, session: str) -> None:
    """Have a session take its account over, on the tape."""
    fact = CashDeposited("A", "USD", 1)  # type: ignore[arg-type]
    tape.append(f"session/{session}", [Event(1, 1, 1, "account/A", fact)], book="paper")


def cut(database: str) -> None:
    """End the connections that hold a lease, as the server does when a process is gone."""
    with connect(database) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks JOIN pg_database d "
            "ON d.oid = database WHERE locktype = 'advisory' AND datname = current_database()"
        )


def test_two_sessions_cannot_trade_one_account_and_the_second_learns_who_does(
    lease: Make, tape: PostgresTape
) -> None:
    assert lease("One").take() == ""
    with pytest.raises(Fenced, match=r"traded by session One \(.* process \d+\)"):
        lease("Two").take(wait=0)
    assert taken(tape) == [("One", 1)]


def test_two_accounts_have_nothing_to_do_with_each_other(lease: Make, tape: PostgresTape) -> None:
    assert lease("One").take() == lease("Two", "B").take(wait=0) == ""
    assert taken(tape, "B") == [("Two", 1)]


def test_the_next_one_takes_over_with_a_higher_epoch_and_knows_whom_it_follows(
    lease: Make, tape: PostgresTape
) -> None:
    for session in ("One", "Two", "Three"):
        each = lease(session)
        before = each.take(wait=5)
        began(tape, session)
        each.release()
    assert before == "session/Two"
    assert taken(tape) == [("One", 1), ("Two", 2), ("Three", 3)]


def test_one_that_ended_before_it_took_the_account_over_is_passed_by(
    lease: Make, tape: PostgresTape
) -> None:
    for session in ("One", "Two"):
        each = lease(session)
        each.take(wait=5)
        if session == "One":
            began(tape, session)
        each.release()
    assert lease("Three").take(wait=5) == "session/One"
    assert taken(tape)[-1] == ("Three", 3)


def test_the_lease_of_one_that_died_is_taken_over(
    lease: Make, tape: PostgresTape, database: str
) -> None:
    dead = lease("One")
    dead.take()
    began(tape, "One")
    cut(database)
    assert lease("Two").take(wait=5) == "session/One"
    assert taken(tape) == [("One", 1), ("Two", 2)]
    assert not dead.held()
    assert not dead.held()


def test_one_whose_connection_breaks_goes_on_when_nobody_came_between(
    lease: Make, tape: PostgresTape, database: str
) -> None:
    one = lease("One")
    one.take()
    assert one.held()
    cut(database)
    assert one.held()
    with pytest.raises(Fenced):
        lease("Two").take(wait=0)
    assert taken(tape) == [("One", 1)]


def test_a_session_that_lost_its_lease_sends_nothing_more(
    lease: Make, tape: PostgresTape, database: str
) -> None:
    """Its orders are refused and its cancels leave; the other has taken over meanwhile."""
    one = lease("One")
    desk = Desk(LEVEL, tape=tape)

    def lose(live: Live) -> None:
        cut(database)
        lease("Two").take(wait=5)
        live.fence(one.held())

    plan: dict[int, Any] = {
        1: lambda s: s.buy(1, limit=50),
        5: lambda s: s.buy(1),
        7: lambda s: s.cancel(),
    }
    live = desk.session(scripted(plan), {3: lose}, lease=one)
    assert live.lives == [
        ["initialized", "submitted", "accepted", "pending_cancel", "canceled"],
        ["initialized", "submitted", "rejected"],
    ]
    assert "lease" in live.facts("order.rejected")[0].reason
    assert (len(desk.sent), desk.working) == (1, [])
    assert taken(tape) == [(one.session, 1), ("Two", 2)]


def test_a_session_that_has_its_lease_again_sends_again(
    lease: Make, database: str, tape: PostgresTape
) -> None:
    one = lease("One")
    desk = Desk(LEVEL, tape=tape)
    at = {3: lambda t: t.fence(False), 6: lambda t: t.fence(one.held())}
    live = desk.session(scripted({4: lambda s: s.buy(1), 8: lambda s: s.buy(1)}), at, lease=one)
    assert [life[-1] for life in live.lives] == ["rejected", "filled"]


def test_a_second_session_does_not_even_begin(lease: Make, tape: PostgresTape) -> None:
    lease("One").take()
    desk = Desk(LEVEL, tape=tape)
    second = lease("Two")
    second.take = lambda: Lease.take(second, wait=0)  # type: ignore[method-assign]
    with pytest.raises(Fenced):
        desk.session(scripted({1: lambda s: s.buy(1)}), lease=second)
    assert desk.sent == []
    assert not [stream for stream in tape.streams() if stream.startswith("session/")]
