"""One session over FIX through what a broker may do to it: rejects, busts, corrections, a drop copy
beside it, brackets, a restart after its history is gone; and it is made again to the byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import onetape as ot
from onetape.results.session_handle import Session
from onetape.results.tape import Tape, open_tape
from onetape.tape import kinds
from onetape.tape.kinds_live import BreakFound

from .fix_drill import Desk
from .fix_resting import Brackets, Waits
from .victims import ACCOUNT, end_all, kill_trader, until

GEN = "GEN000.SIM"
D = Decimal
Make = Callable[..., Desk]


@pytest.fixture
def tape(place: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tape]:
    monkeypatch.setenv("ONETAPE_HOME", str(place))
    with open_tape(database) as opened:
        yield opened


@pytest.fixture
def make(place: Path, database: str) -> Iterator[Make]:
    made: list[Desk] = []

    def one(**options: Any) -> Desk:
        made.append(Desk(place / "b", 7, database, tls=False, **options))
        return made[-1]

    yield one
    for desk in made:
        desk.close()


@pytest.fixture
def started() -> Iterator[list[Session]]:
    sessions: list[Session] = []
    yield sessions
    for one in sessions:
        end_all(one)


def facts[T](tape: Tape, kind: type[T]) -> list[T]:
    return [f for e in tape.read() if isinstance(f := e.event.fact, kind)]


def of[T: kinds.OrderFact](tape: Tape, kind: type[T], name: str) -> list[T]:
    def told() -> str:
        return "\n".join(str(e.event.fact) for e in list(tape.read())[-12:])

    def found() -> list[T]:
        return [f for f in facts(tape, kind) if f.client_order_id == name]

    with suppress(AssertionError):
        return until(found, 20)
    raise AssertionError(f"no {kind.__name__} of {name}:\n{told()}")


def listening(session: Session) -> None:
    """Wait until its feeds are live: on others nothing leaves."""

    def live() -> bool:
        status = session.view.status
        return status is not None and {one.state for one in status.feeds} == {"live"}

    until(live, 20, "live feeds")


def held(session: Session) -> dict[str, Decimal]:
    return {p["instrument"]: p["quantity"] for p in session.positions.to_dicts()}


def test_rejects_a_bust_and_a_correction_are_on_the_tape_and_the_session_is_made_again(
    make: Make, tape: Tape, place: Path, started: list[Session]
) -> None:
    desk = make(copy=True)
    session = desk.trade(Waits, tape, catalog=place / "catalog")
    started.append(session)
    session.wait(timeout=60)
    listening(session)

    def buy(quantity: int) -> str:
        return session.order("BUY", quantity, instrument=GEN, why="a drill", who="ann")

    for fault, text in (("reject3", "by the session"), ("rejectj", "by the desk")):
        desk.broker.fault(fault, session="rehearsal", text=text)
        (rejected,) = of(tape, kinds.OrderRejected, buy(1))
        assert text in rejected.reason
    (first,) = of(tape, kinds.OrderFilled, buy(3))
    desk.broker.fault("bust", trade_id=first.trade_id)
    (voided,) = of(tape, kinds.OrderVoided, first.client_order_id)
    assert voided.trade_id == first.trade_id
    until(lambda: held(session) == {} == desk.broker.positions(ACCOUNT), 10, "nothing held")
    (second,) = of(tape, kinds.OrderFilled, buy(3))
    desk.broker.fault("correct", trade_id=second.trade_id, quantity="2", price="99.5")
    until(lambda: held(session) == {GEN: D(2)} == desk.broker.positions(ACCOUNT), 10, "two held")
    until(lambda: desk.broker.status()["gap"] == 0, 10)
    session.stop()
    assert not facts(tape, BreakFound)
    assert tape.verify(progress=False).ok
    made = ot.rerun(session.run)
    assert made.identical, made.diff()


@pytest.mark.slow
def test_a_bracket_takes_its_profit_and_cancels_its_stop(
    make: Make, tape: Tape, started: list[Session]
) -> None:
    desk = make()
    session = desk.trade(Brackets, tape)
    started.append(session)
    session.wait(timeout=60)
    until(lambda: len(facts(tape, kinds.OrderFilled)) >= 2, 40, "entry and target")
    until(lambda: len(facts(tape, kinds.OrderCanceled)) == 1, 10, "the stop's cancel")
    assert desk.broker.positions(ACCOUNT) == {}
    session.stop()
    assert not facts(tape, BreakFound)


@pytest.mark.slow
def test_an_order_outlives_its_trader_and_the_kept_history_and_can_still_be_canceled(
    make: Make, tape: Tape, started: list[Session]
) -> None:
    desk = make()
    config = desk.folder / "broker.cfg"
    said = config.read_text().replace("[GATEWAY]", "[GATEWAY]\nHistory=0.000001")
    config.write_text(said)  # a tenth of a second: as if hours had passed
    session = desk.trade(Waits, tape, on_restart="keep")
    started.append(session)
    session.wait(timeout=60)
    listening(session)
    terms = {"instrument": GEN, "limit": "95.00", "why": "a drill", "who": "ann"}
    kept = session.order("BUY", 3, **terms)
    of(tape, kinds.OrderAccepted, kept)
    kill_trader(session)
    until(lambda: session.view.status.attempt == 2 and session.state == "running", 60, "again")
    assert session.view.status.working == 1
    listening(session)
    session.cancel(kept, why="a drill", who="ann")
    of(tape, kinds.OrderCanceled, kept)
    other = session.order("BUY", 1, instrument=GEN, why="a drill", who="ann")
    of(tape, kinds.OrderFilled, other)
    session.stop()
    assert not facts(tape, BreakFound)
    assert desk.broker.positions(ACCOUNT) == {GEN: D(1)}
