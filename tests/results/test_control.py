"""What people say to the gate: kill and arm again, states, limits, overrides; who may, and when."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from onetape.errors import Refused, SettingsError
from onetape.results import control
from onetape.results.reach import VenueSpec, venues_of_sessions
from onetape.risk.kill import KILL_INCOMPLETE, KILLED
from onetape.risk.limitbook import LimitBook, book
from onetape.run.control import serve
from onetape.run.notes import KILL, LIMITS, RISK, facts, noted, record
from onetape.run.processes import birth
from onetape.tape.kinds_live import KillMoved, LimitsSet, OverrideGranted, RiskMoved
from onetape.tape.memory import MemoryTape
from onetape.tape.postgres import PostgresTape

ANN = {"who": "ann", "reason": "because"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONETAPE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(params=["memory", "postgres"])
def tape(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryTape()
        return
    with PostgresTape(request.getfixturevalue("database")) as opened:
        yield opened


def at_most(quantity: int, **more: int) -> LimitBook:
    rules = [("firm", "max_order_quantity", quantity)]
    return book([*rules, *(("firm", name, value) for name, value in more.items())])


def killed(tape: Any, state: str = KILLED, *working: str, scope: str = "firm") -> None:
    made = [KillMoved("k1", scope, one, "ann", "x", working=working) for one in
            ("CANCELLING", "VERIFYING", state)]  # fmt: skip
    record(tape, RISK, lambda _: [noted(RISK, RiskMoved(scope, "HALTED", "kill k1: x", "ann"))])
    record(tape, KILL, lambda _: [noted(KILL, one) for one in made])


def state_of(tape: Any, scope: str) -> str:
    rows = {row["scope"]: row["state"] for row in control.states(tape).to_dicts()}
    return rows.get(scope, "ACTIVE")


# -- arming again


def test_a_killed_scope_trades_again_when_two_persons_say_so(tape: Any) -> None:
    killed(tape)
    said = control.rearm("firm", second="bob", tape=tape, **ANN)
    assert "ACTIVE" in repr(said)
    assert state_of(tape, "firm") == "ACTIVE"
    last = control.kills(tape).to_dicts()[-1]
    assert (last["state"], last["who"], last["second"]) == ("ARMED", "ann", "bob")


@pytest.mark.parametrize("second", ["", "ann", " ANN "])
def test_one_person_alone_does_not_arm_again(second: str) -> None:
    tape = MemoryTape()
    killed(tape)
    with pytest.raises(Refused, match="second person"):
        control.rearm("firm", second=second, tape=tape, **ANN)
    assert state_of(tape, "firm") == "HALTED"


def test_what_a_kill_left_has_to_be_accepted_order_by_order() -> None:
    tape = MemoryTape()
    killed(tape, KILL_INCOMPLETE, "O-1", "venue:SIM")
    with pytest.raises(Refused, match="venue:SIM"):
        control.rearm("firm", second="bob", accept=["O-1"], tape=tape, **ANN)
    control.rearm("firm", second="bob", accept=["O-1", "venue:SIM"], tape=tape, **ANN)
    last = [fact for fact in facts(tape, KILL) if isinstance(fact, KillMoved)][-1]
    assert last.working == ("O-1", "venue:SIM")


@pytest.mark.parametrize("state", ["CANCELLING", "VERIFYING"])
def test_a_kill_that_goes_on_is_not_armed_over(state: str) -> None:
    tape = MemoryTape()
    killed(tape, state)
    with pytest.raises(Refused, match=state):
        control.rearm("firm", second="bob", tape=tape, **ANN)


def test_a_scope_that_was_halted_by_a_new_kill_is_not_armed_by_the_old_ones_end() -> None:
    tape = MemoryTape()
    killed(tape)
    again = RiskMoved("firm", "HALTED", "kill k1: again", "cat")
    record(tape, RISK, lambda _: [noted(RISK, again)])  # it has not said CANCELLING yet
    with pytest.raises(Refused, match="halted anew by cat"):
        control.rearm("firm", second="bob", tape=tape, **ANN)
    assert state_of(tape, "firm") == "HALTED"


def test_two_kills_of_one_scope_that_did_not_know_of_each_other_are_armed_together() -> None:
    tape = MemoryTape()
    killed(tape)
    other = KillMoved("k2", "firm", KILL_INCOMPLETE, "bob", "x", working=("O-1",))
    record(tape, KILL, lambda _: [noted(KILL, other)])
    with pytest.raises(Refused, match="O-1"):
        control.rearm("firm", second="bob", tape=tape, **ANN)
    control.rearm("firm", second="bob", accept=["O-1"], tape=tape, **ANN)
    steps = control.kills(tape).filter(pl.col("state") == "ARMED")
    assert steps["kill"].to_list() == ["k1", "k2"]


def test_arming_one_scope_leaves_another_killed(tape: Any) -> None:
    killed(tape)
    killed(tape, scope="account:A")
    control.rearm("account:A", second="bob", tape=tape, **ANN)
    assert (state_of(tape, "account:A"), state_of(tape, "firm")) == ("ACTIVE", "HALTED")


# -- trading states


def test_one_person_tightens_and_two_loosen(tape: Any) -> None:
    control.set_state("strategy:Cross", "REDUCING", tape=tape, **ANN)
    control.set_state("strategy:Cross", "HALTED", tape=tape, **ANN)
    with pytest.raises(Refused, match="second person"):
        control.set_state("strategy:Cross", "REDUCING", tape=tape, **ANN)
    control.set_state("strategy:Cross", "ACTIVE", second="bob", tape=tape, **ANN)
    row = control.states(tape).to_dicts()[0]
    assert (row["state"], row["who"], row["second"]) == ("ACTIVE", "ann", "bob")


def test_a_killed_scope_is_armed_and_not_set_active() -> None:
    tape = MemoryTape()
    killed(tape)
    with pytest.raises(Refused, match="rearm is the way back"):
        control.set_state("firm", "ACTIVE", second="bob", tape=tape, **ANN)


@pytest.mark.parametrize(
    ("scope", "state", "who"), [("firm", "STOPPED", "ann"), ("all", "HALTED", "ann")]
)
def test_a_state_that_makes_no_sense_changes_nothing(scope: str, state: str, who: str) -> None:
    tape = MemoryTape()
    with pytest.raises(SettingsError):
        control.set_state(scope, state, who=who, reason="x", tape=tape)
    assert tape.streams() == []


# -- limits


def test_the_first_limits_need_a_second_person(tape: Any) -> None:
    assert control.limits_in_force(tape) is None
    said = control.propose_limits(at_most(100), tape=tape, **ANN)
    assert "wait for a second person" in repr(said)
    assert control.limits_in_force(tape) is None
    control.approve_limits(at_most(100).version, second="bob", tape=tape)
    assert control.limits_in_force(tape) == at_most(100)


def with_limits(tape: Any, limits: LimitBook) -> None:
    control.propose_limits(limits, tape=tape, **ANN)
    if control.limits_in_force(tape) != limits:
        control.approve_limits(limits.version, second="bob", tape=tape)


def test_tighter_limits_take_force_at_once_and_looser_ones_wait(tape: Any) -> None:
    with_limits(tape, at_most(100))
    control.propose_limits(at_most(50), tape=tape, **ANN)
    assert control.limits_in_force(tape) == at_most(50)
    said = control.propose_limits(at_most(80), tape=tape, **ANN)
    assert "max_order_quantity" in repr(said)
    assert control.limits_in_force(tape) == at_most(50)
    with pytest.raises(Refused, match="the one who asks"):
        control.approve_limits(at_most(80).version, second="Ann", tape=tape)
    control.approve_limits(at_most(80).version, second="bob", tape=tape)
    assert control.limits_in_force(tape) == at_most(80)
    assert control.limits_history(tape)["what"].to_list() == [
        "proposed", "in force", "proposed", "in force", "proposed", "in force",
    ]  # fmt: skip


def test_a_proposal_that_was_overtaken_is_refused_and_says_by_what() -> None:
    tape = MemoryTape()
    with_limits(tape, at_most(100))
    old = control.limits_in_force(tape)
    assert old is not None
    control.propose_limits(at_most(200), tape=tape, **ANN)
    control.propose_limits(at_most(50), tape=tape, **ANN)
    with pytest.raises(Refused, match=at_most(50).version):
        control.approve_limits(at_most(200).version, second="bob", tape=tape)
    with pytest.raises(Refused, match=at_most(50).version):
        control.propose_limits(at_most(40), base=old.version, tape=tape, **ANN)


def test_of_many_who_approve_at_once_one_proposal_wins(tape: Any) -> None:
    with_limits(tape, at_most(10))
    wanted = [at_most(10 + n) for n in range(1, 5)]
    for one in wanted:
        control.propose_limits(one, tape=tape, **ANN)

    def approve(one: LimitBook) -> bool:
        try:
            control.approve_limits(one.version, second="bob", tape=tape)
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(approve, wanted)) == [False, False, False, True]
    assert len([fact for fact in facts(tape, LIMITS) if isinstance(fact, LimitsSet)]) == 2


def test_limits_are_read_from_a_file_and_the_same_ones_are_not_proposed_twice(
    tmp_path: Path,
) -> None:
    tape, file = MemoryTape(), tmp_path / "limits.toml"
    file.write_text('absent = "deny"\n[firm]\nmax_order_quantity = "100"\n')
    control.propose_limits(file, tape=tape, **ANN)
    control.approve_limits(at_most(100).version, second="bob", tape=tape)
    with pytest.raises(Refused, match="say the same already"):
        control.propose_limits(file, tape=tape, **ANN)


# -- overrides


def test_an_override_is_for_one_order_once_and_ends_by_itself(tape: Any) -> None:
    said = control.override("O-1", ["R06"], second="bob", minutes=5, tape=tape, **ANN)
    assert "O-1 may pass R06 once" in repr(said)
    granted = said.facts[0]
    assert isinstance(granted, OverrideGranted)
    assert (granted.who, granted.second, granted.checks) == ("ann", "bob", ("R06",))
    with pytest.raises(Refused, match="for once"):
        control.override("O-1", ["R06"], second="bob", tape=tape, **ANN)
    with pytest.raises(Refused, match="the one who asks"):
        control.override("O-2", ["R06"], second="ann", tape=tape, **ANN)
    with pytest.raises(SettingsError, match="the gate has R01"):
        control.override("O-2", ["price"], second="bob", tape=tape, **ANN)
    with pytest.raises(Refused, match="at most 15"):
        control.override("O-2", ["R06"], second="bob", minutes=16, tape=tape, **ANN)


# -- kill


def spec_of(home: Path, session: str, status: str = "", **spec: Any) -> None:
    folder = home / "sessions" / session
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps(spec))
    if status:
        (folder / "status.json").write_text(json.dumps({"state": status}))


def test_the_venues_of_sessions_are_found_in_their_folders_once_each(home: Path) -> None:
    sim = {"adapter": "sim", "config": {"address": "unix:/nowhere/sim.sock", "name": "PAPER"}}
    spec_of(home, "Cross-1", venue=sim, account="A", trader="ann", desk="d")
    spec_of(home, "Cross-2", venue=sim, account="B")
    spec_of(home, "Cross-3", venue=sim, account="C", status="stopped")
    spec_of(home, "Cross-4", venue=sim, account="A", status="failed")
    found = venues_of_sessions(home)
    assert [(one.name, one.accounts) for one in found.venues] == [("PAPER", ("A", "B"))]
    assert found.whose["session/Cross-1"] == ("A", "ann", "d")


def test_a_session_that_cannot_be_read_is_out_of_reach_and_never_taken_for_killed(
    home: Path,
) -> None:
    folder = home / "sessions" / "Cross-1"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text("{")
    tape = MemoryTape()
    made = control.kill("firm", "drill", who="ann", patience=0.2, tape=tape)
    assert (made.state, made.working) == (KILL_INCOMPLETE, ("venue:Cross-1",))


def inside(home: Path, session: str = "Cross-1", **more: Any) -> Path:
    venue = {"adapter": "sim", "config": {}}
    spec_of(home, session, venue=venue, account="A", strategy_name="Cross", **more)
    return home / "sessions" / session


@contextmanager
def supervised(folder: Path, **outcome: Any) -> Iterator[list[dict[str, Any]]]:
    """Answer at a session's door as its supervisor does; yields what it is asked."""
    asked: list[dict[str, Any]] = []
    loop = asyncio.new_event_loop()

    def kill(args: dict[str, Any]) -> dict[str, Any]:
        asked.append(args)
        return outcome

    door = loop.run_until_complete(serve(folder / "supervisor.sock", {"kill": kill}))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield asked
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(door.close())
    loop.close()


def test_a_venue_inside_a_session_is_killed_with_it_by_its_supervisor(home: Path) -> None:
    with supervised(inside(home), state=KILLED) as asked:
        made = control.kill("firm", "runaway", who="ann", tape=MemoryTape())
    assert (made.state, made.venues) == (KILLED, ("sim",))
    assert asked == [{"scope": "firm", "reason": "runaway", "who": "ann"}]


def test_what_a_supervisor_could_not_do_is_not_taken_for_done(home: Path) -> None:
    with supervised(inside(home), state=KILL_INCOMPLETE, detail="stuck"):
        made = control.kill("firm", "x", who="ann", patience=0.5, tape=MemoryTape())
    assert (made.state, made.working) == (KILL_INCOMPLETE, ("venue:sim",))
    assert "stuck" in made.detail


def test_a_venue_inside_a_session_of_which_nothing_lives_has_ended_with_it(home: Path) -> None:
    inside(home)
    assert control.kill("firm", "x", who="ann", tape=MemoryTape()).state == KILLED


def test_a_venue_inside_a_session_that_lives_without_a_supervisor_is_out_of_reach(
    home: Path,
) -> None:
    folder, me = inside(home), os.getpid()
    told = {"pid": 0, "birth": "", "state": "watching", "trader_pid": me, "trader_birth": birth(me)}
    (folder / "supervisor.json").write_text(json.dumps(told))
    made = control.kill("firm", "x", who="ann", patience=0.5, tape=MemoryTape())
    assert made.state == KILL_INCOMPLETE
    assert "lives inside session Cross-1: end its process" in made.detail


def test_a_session_that_is_not_in_scope_is_left_alone_and_a_drill_ends_none(home: Path) -> None:
    with supervised(inside(home), state=KILLED) as asked:
        control.kill("strategy:Other", "x", who="ann", patience=0.2, tape=MemoryTape())
        control.kill("account:B", "x", who="ann", patience=0.2, tape=MemoryTape())
        made = control.kill("firm", "x", who="ann", patience=0.2, drill=True, tape=MemoryTape())
    assert asked == []
    assert "lives inside" in made.detail


def test_a_venue_whose_config_is_wrong_does_not_keep_the_kill_from_being_recorded() -> None:
    tape = MemoryTape()
    asked = [VenueSpec("nosuch", {}, ("A",))]
    made = control.kill("firm", "drill", who="ann", venues=asked, patience=0.2, tape=tape)
    assert "cannot be made" in made.detail
    assert state_of(tape, "firm") == "HALTED"


def test_a_kill_can_be_asked_for_where_a_loop_runs_as_in_a_notebook() -> None:
    async def cell() -> str:
        made = control.kill("firm", "drill", who="ann", patience=0.1, tape=MemoryTape())
        return made.state

    assert asyncio.run(cell()) == KILL_INCOMPLETE  # no venue was known to ask


def test_a_kill_without_a_tape_is_recorded_by_whoever_comes_next(home: Path) -> None:
    def down() -> Any:
        raise SettingsError("no server here")

    made = control.kill("firm", "drill", who="ann", patience=0.1, tape=down)
    assert not made.recorded
    tape = MemoryTape()
    assert state_of(tape, "firm") == "HALTED"
    assert control.kills(tape)["state"].to_list() == ["CANCELLING", KILL_INCOMPLETE]


def test_a_venue_that_is_asked_for_no_account_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match="accounts"):
        control.kill("firm", "x", venues=[{"adapter": "sim"}], tape=MemoryTape())
