"""Trouble that kills nobody: a silent venue, a stale feed, a wrong word, a clock that jumps, and
strategies that throw, loop for ever or send ten thousand orders. Real processes throughout."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import onetape as ot
from onetape.errors import RunError, VenueUnavailable
from onetape.results.session import trade
from onetape.results.session_handle import Session
from onetape.results.tape import Tape, open_tape
from onetape.run import venues
from onetape.run.folder import Watch, read_supervision
from onetape.tape.kinds_live import BreakFound, FeedMoved, RiskDecided, VenueMoved

from .churn import Churn
from .drill import INSTRUMENTS, LIMITS, WATCH, within
from .evidence import Findings, examine
from .troubled import FLOOD, Floods, Jumps, Loops, Throws, Waits
from .victims import ACCOUNT, CASH, Database, Venue, end_all, kill_trader, until

GEN = INSTRUMENTS[0]


class Desk:
    """One venue in its own process, one tape, sessions one after another."""

    def __init__(self, folder: Path, url: str) -> None:
        self.venue = Venue(folder / "venue")
        self.tape: Tape = open_tape(url)
        self.sessions: list[Session] = []

    def trade(self, strategy: Any, **terms: Any) -> Session:
        """Start a session and, unless told otherwise, wait until it runs."""
        wait = terms.pop("wait", True)
        given = {"limits": LIMITS, "watch": WATCH, "subscribe": INSTRUMENTS, "catalog": "", **terms}
        made = trade(
            strategy, venue=("sim", self.venue.client), account=ACCOUNT, cash=CASH,
            tape=self.tape, **given,
        )  # fmt: skip
        self.sessions.append(made)
        return made.wait(timeout=60) if wait else made

    def fault(self, name: str, **args: Any) -> None:
        """Begin a fault at the venue."""

        async def begin() -> None:
            venue = venues.venue({"venue": "sim", **self.venue.client, "timeout": 0.3})
            await venue.connect(lambda _: None)
            with suppress(VenueUnavailable):  # it may not even answer this
                await venue.fault(name, **args)
            with suppress(VenueUnavailable):
                await venue.disconnect()

        asyncio.run(begin())

    def busy(self, more: int = 3_000) -> None:
        """Wait until the venue has heard of so much more."""
        goal = self.venue.written() + more
        until(lambda: self.venue.written() > goal, 30, "trading")

    def facts[T](self, kind: type[T]) -> list[T]:
        """Return the facts of a kind that are on the tape by now."""
        return [f for e in self.tape.read() if isinstance(f := e.event.fact, kind)]

    def examined(self, *, clocks: bool = True) -> Findings:
        """Return what became of all sessions."""
        return examine(self.tape, "", self.venue.client, self.venue.journal, clocks=clocks)

    def end(self) -> None:
        """Leave nothing behind."""
        for session in self.sessions:
            end_all(session)
        self.venue.kill()
        self.tape.close()


@pytest.fixture
def desk(place: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("ONETAPE_HOME", str(place))
    made = Desk(place, database)
    yield made
    made.end()


def status(session: Session) -> Any:
    told = session.view.status
    assert told is not None
    return told


def feeds(session: Session) -> set[str]:
    return {one.state for one in status(session).feeds}


def test_a_venue_that_falls_silent_is_seen_and_nothing_of_what_it_did_is_lost(desk: Desk) -> None:
    session = desk.trade(Churn)
    desk.busy()
    desk.fault("silence", seconds=2.0)
    until(lambda: status(session).venue_state == "silent", 10, "silent")
    until(lambda: status(session).venue_state == "connected", 10, "heard again")
    desk.busy()
    session.stop()
    assert [m.state for m in desk.facts(VenueMoved)] == ["connected", "silent", "connected"]
    assert desk.examined().held, desk.examined()


@pytest.mark.slow
def test_on_a_stale_feed_no_order_passes_and_when_it_lives_again_they_do(desk: Desk) -> None:
    session = desk.trade(Waits, limits=within(reference_age_seconds=1))
    until(lambda: feeds(session) == {"live"}, 10, "live feeds")
    first = session.order("BUY", 1, instrument=GEN, why="a drill", who="ann")
    desk.fault("mute")
    until(lambda: feeds(session) == {"stale"}, 20, "stale feeds")
    refused = session.order("BUY", 1, instrument=GEN, why="a drill", who="ann")
    desk.fault("mute", on=False)
    until(lambda: feeds(session) == {"live"}, 20, "live feeds again")
    last = session.order("BUY", 1, instrument=GEN, why="a drill", who="ann")
    until(lambda: status(session).fills == 2, 10, "both fills")
    session.stop()
    said = {d.client_order_id: (d.verdict, d.check) for d in desk.facts(RiskDecided)}
    assert said[first][0] == said[last][0] == "allow"
    assert said[refused] == ("deny", "R05")
    assert {"stale", "live"} <= {m.state for m in desk.facts(FeedMoved)}
    assert desk.examined().held, desk.examined()


@pytest.mark.slow
def test_a_wrong_position_report_stops_a_restart_by_name_and_leaves_nothing_working(
    desk: Desk,
) -> None:
    session = desk.trade(Churn)
    desk.busy()
    desk.fault("wrong_position", instrument=GEN, quantity="777")
    kill_trader(session)
    with pytest.raises(RunError, match=f"NotReconciled.*quantity:{GEN}"):
        session.wait("stopped", 60)
    until(lambda: not session.view.alive, 60, "the supervisor's end")
    assert f"quantity:{GEN}" in {b.break_id for b in desk.facts(BreakFound)}
    desk.fault("wrong_position", instrument=GEN)
    desk.trade(Waits).stop()  # the next session learns what became of all orders
    assert desk.examined().held, desk.examined()


def test_a_wrong_position_after_a_lost_connection_halts_the_account_and_is_told(
    desk: Desk,
) -> None:
    session = desk.trade(Churn)
    desk.busy()
    desk.fault("wrong_position", instrument=GEN, quantity="777")
    desk.fault("disconnect")
    until(lambda: status(session).gate_state == "HALTED", 30, "halted")
    assert session.state == "running"
    session.stop()
    (found,) = desk.facts(BreakFound)
    assert (found.break_id, found.theirs) == (f"quantity:{GEN}", "777")
    desk.fault("wrong_position", instrument=GEN)
    assert desk.examined().held, desk.examined()


@pytest.mark.slow
@pytest.mark.parametrize("hours", [-1, 1])
def test_a_venue_whose_clock_is_an_hour_wrong_changes_nothing_but_times(
    hours: int, desk: Desk
) -> None:
    session = desk.trade(Churn)
    desk.busy()
    desk.fault("clock_offset", seconds=3600 * hours)
    desk.busy()
    session.stop()
    assert desk.examined(clocks=False).held, desk.examined(clocks=False)


@pytest.mark.slow
def test_a_wall_clock_set_back_an_hour_does_not_turn_the_order_of_events(desk: Desk) -> None:
    session = desk.trade(Jumps)
    until(lambda: status(session).quotes > 150, 30, "quotes after the jump")
    session.stop()
    stamps = [e.ts_init for e in desk.tape.recording(f"session/{session.id}")]
    assert stamps == sorted(stamps)
    assert desk.examined(clocks=False).held, desk.examined(clocks=False)


@pytest.mark.slow  # also shown, faster, in tests/run/live
def test_a_strategy_that_throws_ends_with_its_error_and_nothing_working(desk: Desk) -> None:
    session = desk.trade(Throws)
    with pytest.raises(RunError, match="ValueError: what I wanted was not there"):
        session.wait("stopped", 60)
    until(lambda: not session.view.alive, 60, "the supervisor's end")
    assert desk.examined().held, desk.examined()


def test_a_strategy_that_loops_for_ever_is_ended_and_its_orders_are_canceled(desk: Desk) -> None:
    once = Watch(stuck_s=1.5, start_s=60, halt_s=0.3, backoff_s=0.1, restarts=1)
    session = desk.trade(Loops, watch=once)
    with pytest.raises(RunError, match="no heartbeat"):
        session.wait("stopped", 90)
    until(lambda: not session.view.alive, 60, "the supervisor's end")
    told = read_supervision(session.folder)
    assert told is not None
    assert len(told.restarts) == 1
    desk.trade(Waits).stop()  # the next session learns what became of all orders
    assert desk.examined().held, desk.examined()


@pytest.mark.slow  # also shown, faster, in tests/run/live
def test_of_ten_thousand_orders_at_once_only_those_within_the_limits_leave(desk: Desk) -> None:
    session = desk.trade(Floods, limits=within(max_open_orders=25, message_rate=100))
    until(lambda: status(session).denied == FLOOD - 25, 60, "the denials")
    assert session.state == "running"
    session.stop()
    findings = desk.examined()
    assert findings.held, findings
    assert findings.orders == 25


@pytest.mark.slow
def test_of_two_sessions_on_one_account_one_trades_also_when_the_database_was_killed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONETAPE_HOME", str(place))
    place.chmod(0o711)  # the server may run as another user
    database = Database(place / "tape")
    desk = Desk(place, database.server.url_of("fenced"))
    try:
        first = desk.trade(Churn)
        second = desk.trade(Churn, wait=False)
        until(lambda: second.view.status is not None, 30, "the second trader")
        database.kill()
        database.start()
        both = (first, second)
        until(lambda: any(one.state == "failed" for one in both), 60, "one that gives way")
        (left,) = [one for one in both if one.state != "failed"]
        left.wait(timeout=60)
        desk.busy()
        left.stop()
        for one in both:
            until(lambda one=one: not one.view.alive, 60, "the end of both")
        assert "Fenced" in "".join(one.view.why for one in both)
        assert desk.examined().held, desk.examined()
    finally:
        desk.end()
        database.server.stop()


@pytest.mark.slow
def test_a_session_whose_venue_was_killed_is_made_again_byte_for_byte(
    desk: Desk, place: Path
) -> None:
    session = desk.trade(Churn, catalog=place / "catalog")
    desk.busy()
    desk.venue.kill()
    desk.venue.start()
    desk.busy()
    session.stop()
    assert desk.examined().held, desk.examined()
    made = ot.rerun(session.run)
    assert made.identical, made.diff()


@pytest.mark.slow
def test_ten_thousand_orders_without_a_limit_are_all_sent_and_all_canceled(desk: Desk) -> None:
    session = desk.trade(Floods, limits=within(max_order_quantity=100))
    until(lambda: status(session).working == FLOOD, 120, "all orders")
    session.stop()
    findings = desk.examined()
    assert findings.held, findings
    assert findings.orders == FLOOD
