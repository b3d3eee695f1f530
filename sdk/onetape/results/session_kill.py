# pyright: standard
"""Killing a session: through its supervisor, or by our own hand where there is none."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from onetape.errors import RunError
from onetape.run import control, processes
from onetape.run.canceling import cancel, inside
from onetape.run.folder import CONTROL, SUPERVISOR_DOOR, alone
from onetape.run.killing import KillResult

if TYPE_CHECKING:
    from onetape.results.session_handle import Session

HALT_S = 0.2  # that the trader has for saying that it is halted
STOP_S = 5.0  # that a halted one has for ending its tape
LOOK_S = 0.02


def killed(session: Session, reason: str, who: str, scope: str, timeout: float) -> KillResult:
    """Kill a session and return what came of it."""
    scope = scope or f"account:{session.spec.account}"
    said = {"scope": scope, "reason": reason, "who": who}
    try:
        outcome = control.ask(session.folder / SUPERVISOR_DOOR, "kill", timeout, **said)
    except RunError:  # there is none, or it does not answer: a kill waits for nobody
        return _by_hand(session, said)
    return _result(outcome, said)


def _by_hand(session: Session, said: Mapping[str, str]) -> KillResult:
    """Do what the supervisor would: halt the trader or end it, then cancel at the venue."""
    with ExitStack() as held:
        with suppress(RunError):  # a stuck supervisor has it
            held.enter_context(alone(session.folder))  # no new one starts the trader meanwhile
        halted = _halted(session, said)
        if not halted or inside(session.spec.venue):  # with a venue inside, its end is the evidence
            _end(session, STOP_S if halted else 0.0)
        with ThreadPoolExecutor(1) as aside:  # a notebook's own loop runs in this thread
            work = cancel(session.spec, said["scope"], said["reason"], said["who"])
            outcome = aside.submit(asyncio.run, work).result()
        _end(session, session.spec.watch.stop_s)
    return _result(outcome, said)


def _halted(session: Session, said: Mapping[str, str]) -> bool:
    try:
        control.ask(session.folder / CONTROL, "halt", HALT_S, **said)
    except RunError:
        return False
    return True


def _end(session: Session, patience_s: float) -> None:
    """Have the trader stop, or end it after a time."""
    if not session.view.trading or (told := session.view.told) is None:
        return
    if patience_s:
        with suppress(RunError):
            control.ask(session.folder / CONTROL, "stop", flatten=False)
    until = time.monotonic() + patience_s
    while session.view.trading and time.monotonic() < until:
        time.sleep(LOOK_S)
    processes.send(told.trader_pid, told.trader_birth, signal.SIGKILL, group=True)
    while session.view.trading:  # the kernel does it, once it can
        time.sleep(LOOK_S)


def _result(told: Mapping[str, Any], said: Mapping[str, str]) -> KillResult:
    known = KillResult.__dataclass_fields__
    fields = {name: value for name, value in told.items() if name in known}
    plain = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return KillResult(**{"kill": "", "state": "", **said, **plain})
