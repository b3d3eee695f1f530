"""Control of a session over FIX by others: a kill from another process while many orders work, a
person's stop and flatten, and what the trader hears of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import onetape as ot
from onetape.results.session_handle import Session
from onetape.results.tape import Tape, open_tape
from onetape.tape import kinds
from onetape.tape.kinds_live import BreakFound

from .churn import Churn
from .drill import within
from .fix_drill import Desk
from .fix_resting import Rests
from .victims import ACCOUNT, end_all, until

WIDE = within(max_order_quantity=100)


@pytest.fixture
def tape(place: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tape]:
    monkeypatch.setenv("ONETAPE_HOME", str(place))
    with open_tape(database) as opened:
        yield opened


@pytest.fixture
def desk(place: Path, database: str) -> Iterator[Desk]:
    made = Desk(place / "b", 7, database, tls=False)
    yield made
    made.close()


@pytest.fixture
def started(desk: Desk, tape: Tape) -> Iterator[list[Session]]:
    sessions: list[Session] = []
    yield sessions
    for one in sessions:
        end_all(one)


def facts[T](tape: Tape, kind: type[T]) -> list[T]:
    return [f for e in tape.read() if isinstance(f := e.event.fact, kind)]


def status(session: Session) -> Any:
    told = session.view.status
    assert told is not None
    return told


def cancel_ids(tape: Tape) -> Counter[str]:
    rows = tape.wire("rehearsal", types=["F", "G", "q", "D"], direction="out")
    return Counter(rows["client_order_id"].to_list())


def test_a_kill_from_another_process_cancels_all_orders_and_the_trader_hears_of_each(
    desk: Desk, tape: Tape, started: list[Session]
) -> None:
    session = desk.trade(Rests, tape, limits=WIDE)
    started.append(session)
    session.wait(timeout=60)
    until(lambda: status(session).working == 60, 30, "orders at work")
    told = ot.kill(f"account:{ACCOUNT}", "a drill", who="ann", tape=tape)
    assert told.done, told
    assert told.seconds < 5
    until(lambda: status(session).working == 0, 10, "the trader's hearing of it")
    assert len(facts(tape, kinds.OrderCanceled)) == 60
    assert not facts(tape, BreakFound)
    assert session.state == "running"
    session.stop()
    desk.broker.kept()
    assert max(cancel_ids(tape).values()) == 1


@pytest.mark.slow
def test_the_command_kill_of_a_strategy_cancels_one_by_one_on_the_brokers_word(
    desk: Desk, tape: Tape, started: list[Session]
) -> None:
    session = desk.trade(Rests, tape, limits=WIDE)
    started.append(session)
    session.wait(timeout=60)
    until(lambda: status(session).working == 60, 30, "orders at work")
    command = [sys.executable, "-m", "onetape.cli", "kill", "strategy:Rests", "--json"]
    command += ["--reason", "a drill", "--tape", tape.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["state"], told["working"]) == ("KILLED", [])
    assert told["requests"] >= 60
    until(lambda: status(session).working == 0, 10, "the trader's hearing of it")
    session.stop()
    desk.broker.kept()
    assert max(cancel_ids(tape).values()) == 1


@pytest.mark.slow
def test_a_session_that_is_flattened_holds_nothing_at_the_broker_and_leaves_no_order(
    desk: Desk, tape: Tape, started: list[Session]
) -> None:
    session = desk.trade(Churn, tape)
    started.append(session)
    session.wait(timeout=60)
    desk.busy(20_000)
    session.stop(flatten=True)
    last = session.events(60).to_dicts()
    assert desk.broker.positions(ACCOUNT) == {}, (session.log(), last)
    assert session.positions.height == 0
    assert not facts(tape, BreakFound)
