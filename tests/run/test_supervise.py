"""The supervisor, with real processes: a stand-in trader that crashes, hangs and stops."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onetape.errors import RunError
from onetape.run import control, processes
from onetape.run.child import Pulse
from onetape.run.folder import (
    CONTROL,
    SPEC,
    STATUS,
    SUPERVISOR,
    SUPERVISOR_DOOR,
    Status,
    Watch,
    make,
    read_spec,
    read_status,
    read_supervision,
    write_status,
)

from .sessions import QUICK, begun, end_all, ended, log, spec, state, supervised, until

Begin = Callable[..., Path]


@pytest.fixture
def begin() -> Iterator[Begin]:
    folders: list[Path] = []

    def one(**terms: Any) -> Path:
        folders.append(begun(**terms))
        return folders[-1]

    yield one
    for folder in folders:
        end_all(folder)


def running(folder: Path) -> Status:
    until(lambda: state(folder, "running"))
    found = read_status(folder)
    assert found is not None
    return found


def canceled(folder: Path) -> list[dict[str, str]]:
    path = folder / "canceled.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_trader_that_was_killed_is_started_again_in_the_same_folder(begin: Begin) -> None:
    folder = begin()
    first = running(folder)
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: running(folder).pid != first.pid)
    assert running(folder).attempt == 2
    told = read_supervision(folder)
    assert told is not None
    assert [one.why for one in told.restarts] == ["the trader was ended by SIGKILL"]
    assert not canceled(folder)  # the trader itself looks at what its orders have become


def test_a_trader_that_crashes_again_and_again_is_given_up_and_its_orders_are_canceled(
    begin: Begin,
) -> None:
    folder = begin(options={"crashes": True})
    until(lambda: state(folder, "failed"))
    until(lambda: ended(folder))
    status, told = read_status(folder), read_supervision(folder)
    assert status is not None
    assert told is not None
    assert told.attempt == 1 + QUICK.restarts
    assert "started again 3 times" in status.detail
    assert [one["scope"] for one in canceled(folder)] == ["account:A1"]


def test_a_start_that_fails_by_itself_is_not_tried_again_and_tells_why(begin: Begin) -> None:
    folder = begin(options={"cannot start": True})
    until(lambda: state(folder, "failed"))
    until(lambda: ended(folder))
    status, told = read_status(folder), read_supervision(folder)
    assert status is not None
    assert told is not None
    assert "SettingsError: no limits for account A1" in status.error
    assert told.attempt == 1
    assert not canceled(folder)


@pytest.mark.parametrize("option", ["says that it failed"])
def test_a_trader_that_says_that_it_failed_is_left_at_that(begin: Begin, option: str) -> None:
    folder = begin(options={option: True})
    until(lambda: ended(folder))
    status = read_status(folder)
    assert status is not None
    assert (status.state, status.error) == ("failed", "break: 3 ours, 4 theirs")


def test_a_stuck_trader_is_told_to_halt_then_ended_and_its_orders_canceled(begin: Begin) -> None:
    folder = begin()
    first = running(folder)
    control.ask(folder / CONTROL, "hang")
    until(lambda: running(folder).pid != first.pid)
    assert (folder / "told to halt").exists()
    assert canceled(folder) == [
        {"scope": "account:A1", "reason": "the trader was stuck", "who": "supervisor"}
    ]
    assert f"trader {first.pid} is stuck: no heartbeat for 0.4 s" in log(folder)


def test_a_trader_that_was_only_slow_is_left_alive(begin: Begin) -> None:
    folder = begin(watch=Watch(stuck_s=0.3, halt_s=60))
    first = running(folder)
    control.ask(folder / CONTROL, "hang", seconds=1)
    until(lambda: (told := read_supervision(folder)) and "goes on, halted" in told.detail)
    assert running(folder).pid == first.pid
    assert not canceled(folder)


def test_stop_lets_the_trader_stop_by_itself(begin: Begin) -> None:
    folder = begin()
    running(folder)
    control.ask(folder / SUPERVISOR_DOOR, "stop", flatten=True)
    until(lambda: ended(folder))
    status = read_status(folder)
    assert status is not None
    assert (status.state, status.detail) == ("stopped", "as asked")
    assert json.loads((folder / "stop.json").read_text()) == {"flatten": True}
    assert not canceled(folder)
    assert not (folder / SUPERVISOR_DOOR).exists()


def test_a_terminated_supervisor_stops_its_trader(begin: Begin) -> None:
    folder = begin()
    running(folder)
    told = read_supervision(folder)
    assert told is not None
    os.kill(told.pid, signal.SIGTERM)
    until(lambda: ended(folder))
    assert state(folder, "stopped")


def test_a_trader_that_does_not_stop_is_ended_and_its_orders_canceled(begin: Begin) -> None:
    folder = begin(options={"deaf to stop": True}, watch=Watch(stop_s=0.3))
    trader = running(folder)
    born = processes.birth(trader.pid)
    control.ask(folder / SUPERVISOR_DOOR, "stop")
    until(lambda: ended(folder))
    status = read_status(folder)
    assert status is not None
    assert status.state == "failed"
    assert "did not stop within 0.3 s" in status.detail
    assert not processes.alive(trader.pid, born)
    assert len(canceled(folder)) == 1


def test_a_kill_halts_the_trader_then_cancels_and_answers_with_the_evidence(begin: Begin) -> None:
    folder = begin()
    running(folder)
    said = {"scope": "firm", "reason": "fat finger", "who": "ann"}
    answer = control.ask(folder / SUPERVISOR_DOOR, "kill", 30, **said)
    assert answer["state"] == "KILLED"
    assert json.loads((folder / "halt.json").read_text()) == said
    assert canceled(folder) == [said]
    until(lambda: ended(folder))
    status = read_status(folder)
    assert status is not None
    assert status.state == "killed"
    assert status.detail.startswith("fat finger (ann)")


def test_a_kill_works_with_the_trader_stuck(begin: Begin) -> None:
    folder = begin(watch=Watch(stuck_s=3600))
    trader = running(folder)
    born = processes.birth(trader.pid)
    control.ask(folder / CONTROL, "hang")
    answer = control.ask(folder / SUPERVISOR_DOOR, "kill", 30, reason="stuck", who="ann")
    assert answer["state"] == "KILLED"
    assert not processes.alive(trader.pid, born)
    assert [one["scope"] for one in canceled(folder)] == ["account:A1"]


def test_a_kill_that_the_venue_does_not_confirm_says_so(begin: Begin) -> None:
    folder = begin(options={"venue does not answer": True})
    running(folder)
    answer = control.ask(folder / SUPERVISOR_DOOR, "kill", 30, reason="test", who="ann")
    assert answer["state"] == "KILL_INCOMPLETE"
    assert "the venue does not answer" in answer["detail"]
    until(lambda: ended(folder))
    status = read_status(folder)
    assert status is not None
    assert "KILL_INCOMPLETE" in status.detail


def test_a_signal_kills_too(begin: Begin) -> None:
    folder = begin()
    running(folder)
    told = read_supervision(folder)
    assert told is not None
    os.kill(told.pid, signal.SIGUSR2)
    until(lambda: ended(folder))
    assert state(folder, "killed")
    assert canceled(folder)[0]["reason"] == "SIGUSR2"


def test_a_trader_outlives_its_supervisor_and_the_next_one_takes_it_over(begin: Begin) -> None:
    folder = begin()
    trader = running(folder)
    told = read_supervision(folder)
    assert told is not None
    os.kill(told.pid, signal.SIGKILL)
    until(lambda: ended(folder))
    supervised(folder)
    until(lambda: not ended(folder) and control.answers(folder / SUPERVISOR_DOOR))
    assert running(folder).pid == trader.pid
    control.ask(folder / SUPERVISOR_DOOR, "stop")
    until(lambda: ended(folder))
    assert state(folder, "stopped")


def test_there_is_one_supervisor_for_a_session(begin: Begin) -> None:
    folder = begin()
    trader = running(folder)
    second = supervised(folder)
    until(lambda: "another supervisor is at work" in log(folder))
    until(lambda: not processes.birth(second))
    assert running(folder).pid == trader.pid


def test_everything_in_the_folder_is_the_users_own(begin: Begin) -> None:
    folder = begin()
    running(folder)
    until(lambda: control.answers(folder / SUPERVISOR_DOOR))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    for name in (SPEC, STATUS, SUPERVISOR, CONTROL, SUPERVISOR_DOOR, "log.txt", "lock"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name


def test_a_spec_and_a_status_come_back_as_they_were() -> None:
    told = spec(cash={"USD": "100000.01"}, params={"fast": 3}, accept=("b1",))
    folder = make(told)
    assert read_spec(folder) == told
    with pytest.raises(RunError, match="there already"):
        make(told)
    status = Status(told.session, 1, "running", quotes=3)
    write_status(folder, status)
    assert read_status(folder) == status
    (folder / STATUS).write_text("{}")
    with pytest.raises(RunError, match="another version"):
        read_status(folder)


def test_a_suspended_machine_is_no_silence() -> None:
    pulse = Pulse(Watch(stuck_s=10), pid=1)
    status = Status("s", 1, "running", heartbeat=5)
    assert not pulse.silent(status, 0.0)
    assert not pulse.silent(status, 3_600.0)  # we slept as well
    assert not any(pulse.silent(status, 3_600.0 + n) for n in range(9))
    assert any(pulse.silent(status, 3_609.0 + n) for n in range(3))


def test_a_pid_that_was_given_again_is_another_process() -> None:
    me = os.getpid()
    born = processes.birth(me)
    assert processes.alive(me, born)
    assert not processes.alive(me, f"{born}0")
    assert not processes.alive(0, "")
