# pyright: standard
"""Session: the handle on a live session.

It holds no state but the folder's path, so that any number of handles, in any process, see the
same. What it shows now comes from the trader's status, several times a second new; orders, fills
and events come from the tape.
"""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from onetape.errors import RunError
from onetape.results import session_page as page
from onetape.results.session_tape import Recorded
from onetape.results.session_view import Health, PnL, View
from onetape.results.text import trimmed
from onetape.run import control, processes
from onetape.run.child import tail
from onetape.run.folder import (
    CONTROL,
    ENDED,
    LOG,
    STREAM,
    SUPERVISOR_DOOR,
    LiveSpec,
    read_spec,
)

if TYPE_CHECKING:
    from onetape.results.run import Run
    from onetape.results.tape import Tape
    from onetape.run.killing import KillResult

SUPERVISOR = ("-m", "onetape.run.supervise")
START_S = 30.0  # that a supervisor has for being there
KILL_S = 60.0  # that a kill may take: the venue has half a minute of it
LOOK_S = 0.02  # between two looks while something is waited for
ALSO = {
    "ended": ENDED,
    "running": ("running", "stopping", "stopped"),
}  # what a wait is content with
Number = int | float | str | Decimal


class Session:
    """A handle on a live session; `ot.session(id)` gives another one, in any process.

    id, spec            what it is
    state               starting, reconciling, running, stopping, stopped, failed, killed; also
                        stuck, restarting, killing (its supervisor is at it) and lost (its
                        processes are gone and it never said that it ended)
    positions, pnl, health      now
    orders, fills, run          from the tape
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec: LiveSpec = read_spec(folder)

    # -- what it is and how it is

    @property
    def id(self) -> str:
        """The session's id; its stream on the tape is "session/" and this."""
        return self.spec.session

    @property
    def view(self) -> View:
        """What is known of it at this moment, of one piece."""
        return View.of(self.folder)

    @property
    def state(self) -> str:
        """Its state in one word, see the class."""
        return self.view.state

    @property
    def positions(self) -> pl.DataFrame:
        """What it holds now: quantity, prices, unrealized; exact."""
        return trimmed(self.view.positions)

    @property
    def pnl(self) -> PnL:
        """Realized, unrealized and equity now, in the session's currency; exact."""
        return self.view.pnl

    @property
    def health(self) -> Health:
        """Feeds, venue, gate, heartbeat, restarts, events that wait for the tape."""
        return self.view.health

    @property
    def orders(self) -> pl.DataFrame:
        """One row an order, as `run.orders`."""
        return self._recorded.orders()

    @property
    def fills(self) -> pl.DataFrame:
        """One row a fill, as `run.fills`."""
        return self._recorded.fills()

    @property
    def run(self) -> Run:
        """The session as a run from the tape, with all that a run can be asked.

        A trader that was started again begins another one: this is the last.
        """
        return self.tape.run((self._recorded.streams() or [STREAM + self.id])[-1])

    @cached_property
    def tape(self) -> Tape:
        """The tape that it writes to."""
        from onetape.results.tape import open_tape

        return open_tape(self.spec.tape_folder or self.spec.tape)

    @cached_property
    def _recorded(self) -> Recorded:
        return Recorded(self.tape, STREAM + self.id)

    def events(self, n: int | None = 20, *, since: int | None = None) -> pl.DataFrame:
        """Return its last `n` events (None: all), or those with a seq beyond `since`.

        A trader that was started again begins another stream: these are of the last one.
        """
        return self._recorded.events(n, since)

    def log(self, lines: int | None = 40) -> page.Text:
        """Return the last lines of what its processes said; None: all."""
        if lines is None and (self.folder / LOG).exists():
            return page.Text((self.folder / LOG).read_text(errors="replace"))
        return page.Text("\n".join(tail(self.folder).splitlines()[-(lines or 0) :]))

    # -- what it can be told

    def wait(self, state: str = "running", timeout: float | None = 60.0) -> Session:
        """Wait until it came to a state; return the handle.

        "running" is also what has run and stops or stopped, "ended" any of its ends.

        Raises RunError when it ended otherwise or after `timeout` seconds, saying why.
        """
        wanted = {"ended": ENDED, "running": ("running", "stopping", "stopped")}.get(
            state, (state,)
        )
        until = time.monotonic() + timeout if timeout is not None else float("inf")
        while (now := self.view).state not in wanted or (state == "ended" and now.alive):
            if (now.state in ENDED and now.state not in wanted) or now.state == "lost":
                raise RunError(f"session {self.id} is {now.state}, not {state}: {now.why}")
            if time.monotonic() > until:
                raise RunError(
                    f"session {self.id} is {now.state} and not {state} after {timeout:g} s"
                    f"{f' ({now.why})' if now.why else ''}; session.log() shows what it does"
                )
            time.sleep(LOOK_S)
        return self

    def stop(self, flatten: bool = False, wait: bool = True) -> Session:
        """Stop it: its orders are canceled, with `flatten` its positions closed, the tape ended.

        Does nothing where it has ended. Raises RunError where it does not end, or not by itself.
        """
        now = self.view
        if now.state in ENDED:
            return self.wait("ended") if wait else self
        if now.state == "lost":
            raise RunError(
                f"session {self.id} is lost: its processes are gone, its orders may still work. "
                "session.supervise() takes it up again, session.kill(reason) cancels its orders"
            )
        door = SUPERVISOR_DOOR if now.supervised else CONTROL
        try:
            closes = flatten or self.spec.flatten_on_stop
            control.ask(self.folder / door, "stop", flatten=closes)
        except RunError:
            if self.view.state not in ENDED:  # it did not end just now
                raise
        if not wait:
            return self
        self.wait("ended", self.spec.watch.stop_s + START_S)
        if (ended := self.view).state == "failed":
            raise RunError(f"session {self.id} did not stop by itself: {ended.why}")
        return self

    def kill(
        self, reason: str, *, who: str | None = None, scope: str = "", timeout: float = KILL_S
    ) -> KillResult:
        """Cancel all orders of its account on the venue's evidence, and end it.

        scope   firm, desk:NAME, account:NAME, strategy:NAME, ...; its account where none is said

        Works with the trader stuck or dead, and without its supervisor.
        """
        from onetape.results.session_kill import killed

        return killed(self, reason, who or getpass.getuser(), scope, timeout)

    def order(
        self,
        side: Literal["BUY", "SELL"],
        quantity: Number,
        *,
        instrument: str | None = None,
        limit: Number | None = None,
        why: str = "",
        who: str | None = None,
        **terms: Any,
    ) -> str:
        """Send a person's order through the same gate; return its client order id."""
        asked = {"instrument": instrument, "limit": limit, **terms}
        said = {name: _plain(value) for name, value in asked.items() if value is not None}
        who = who or getpass.getuser()
        said |= {"side": side, "quantity": str(quantity), "why": why, "who": who}
        return str(control.ask(self.folder / CONTROL, "order", **said).get("client_order_id", ""))

    def cancel(self, order: str = "all", *, why: str = "", who: str | None = None) -> None:
        """Ask for an order, or all of the session's, to be canceled."""
        said = {"client_order_id": order, "why": why, "who": who or getpass.getuser()}
        control.ask(self.folder / CONTROL, "cancel", 5.0, **said)

    def supervise(self, command: Sequence[str] = SUPERVISOR) -> Session:
        """Start a supervisor where there is none: it takes over a living trader, or starts one."""
        now = self.view
        if now.supervised:
            return self
        if now.state in ENDED:
            raise RunError(f"session {self.id} is {now.state}; ot.trade(...) starts another one")
        cwd = self.spec.cwd if self.spec.cwd and Path(self.spec.cwd).is_dir() else "/"
        pid = processes.detached(
            (sys.executable, *command, str(self.folder)), self.folder / LOG, Path(cwd),
            {"PYTHONPATH": os.pathsep.join(self.spec.path)},
        )  # fmt: skip
        born, until = processes.birth(pid), time.monotonic() + START_S
        while not control.answers(self.folder / SUPERVISOR_DOOR):
            gone = not processes.alive(pid, born)
            if gone and self.view.state in ENDED:
                break  # it was over before we looked
            if gone or time.monotonic() > until:
                raise RunError(f"the supervisor of {self.id} did not start:\n{self.log()}")
            time.sleep(LOOK_S)
        return self

    # -- looks

    def __repr__(self) -> str:
        return page.told(self.spec, self.view)

    def _repr_html_(self) -> str:
        return page.card(self.spec, self.view)

    def _ipython_display_(self) -> None:
        from onetape.results.session_display import show

        show(self)

    def to_dict(self) -> dict[str, Any]:
        """Return what is known of it now as plain JSON types."""
        return page.plain(self.spec, self.view)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal | float) else value
