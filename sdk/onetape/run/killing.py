"""Killing: a kill carried out, by whatever process is asked, with connections of its own.

Order     1 the scope is HALTED on the tape; 2 every venue is asked to cancel, all at once;
          3 their lists of working orders are read until they name none; 4 KILLED, or
          KILL_INCOMPLETE with what is left and why. No strategy process is needed for it.
Tape      is waited for a quarter of a second at most. What it does not take is kept in a file
          beside and put on the tape later (`run.notes.absorb`); a trader sends nothing while the
          tape cannot be written, so that the halt is not missed.
Again     killing what is killed, or being killed, repeats it under the same id and says so.
Persons   are plain text, taken as they are said; sign-in comes later.
Drill     does everything, on the venues that it is given, and is marked as a drill.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from onetape.errors import SettingsError
from onetape.risk.approve import unsaid
from onetape.risk.kill import ARMED, CANCELLING, KILL_INCOMPLETE, KILLED, Kill, Scope, standing
from onetape.run.folder import home
from onetape.run.notes import KILL, RISK, Notes, facts, noted
from onetape.run.ours import Reading, Whose, aside
from onetape.run.ports import Venue
from onetape.run.sweep import Case, Pace, Sweep
from onetape.tape.kinds_live import KillMoved, RiskAlert, RiskMoved
from onetape.tape.port import Tape

PATIENCE_S = 10.0
KNOWN = 0.8  # of the time for the tape: to learn whether the scope was killed before
LOOK_S = 0.002
Accounts = Mapping[str, Sequence[str]] | Sequence[str]


@dataclass(frozen=True, slots=True)
class KillResult:
    """What became of a kill.

    working     what is not known to be gone: orders, "venue:NAME" for a venue without a word
    detail      why, "" when it is done
    repeated    the state that the scope's kill was in before, "" for a first one
    fills       executions that were reported while it went on
    strangers   working orders at the venues that no session of ours sent, where the scope is
                one that only our tape can tell
    widened     all orders of the accounts were canceled, as the tape could not tell whose they are
    seconds     until it was decided; the tape may have taken longer
    recorded    whether all is on the tape; else it is in `kept`, and goes there later
    """

    kill: str
    scope: str
    state: str
    who: str
    reason: str
    venues: tuple[str, ...] = ()
    requests: int = 0
    working: tuple[str, ...] = ()
    detail: str = ""
    repeated: str = ""
    drill: bool = False
    fills: int = 0
    strangers: tuple[str, ...] = ()
    widened: bool = False
    recorded: bool = True
    kept: str = ""
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """Whether the venues themselves say that nothing in scope works."""
        return self.state == KILLED

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        names = self.__dataclass_fields__
        return {name: getattr(self, name) for name in names} | {"done": self.done}

    def __repr__(self) -> str:
        what = "drill, " if self.drill else ""
        lines = [
            f"{self.state} {self.scope} ({what}{self.kill}, by {self.who}: {self.reason})",
            f"  asked       {', '.join(self.venues) or 'no venue'}: {self.requests:,} requests,"
            f" {self.fills:,} fills meanwhile, {self.seconds:.2f} s",
        ]
        if self.repeated:
            lines.append(f"  repeated    this scope was {self.repeated} already")
        if self.detail:
            lines.append(f"  left        {self.detail}")
        if self.strangers:
            lines.append(f"  not ours    {len(self.strangers):,} orders that no session sent")
        if self.widened:
            lines.append("  widened     to whole accounts: the tape could not be read")
        if not self.recorded:
            lines.append(f"  recorded    not yet: kept in {self.kept}")
        if not self.done:
            lines.append("  now         kill again, or ask the venue by other means")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


@dataclass(frozen=True, slots=True)
class How:
    """How a kill goes about it.

    spool   the folder for what the tape does not take (default: "unrecorded" in our own home)
    whose   the account, trader and desk of sessions (by stream) that do not say so themselves
    """

    pace: Pace = field(default_factory=Pace)
    spool: Path | None = None
    whose: Mapping[str, Whose] | None = None
    quiet_s: float = 0.3


def spool_folder() -> Path:
    """Return where facts are kept that the tape did not take."""
    return home() / "unrecorded"


async def kill(  # noqa: PLR0913 - what is killed, where, by whom, and how long it may take
    tape: Tape | None,
    venues: Mapping[str, Venue],
    scope: str,
    reason: str,
    who: str,
    *,
    accounts: Accounts,
    patience_s: float = PATIENCE_S,
    drill: bool = False,
    how: How | None = None,
) -> KillResult:
    """Cancel every working order in a scope, and say so only on the venues' own word.

    tape        where it is recorded and our orders are found; None: it could not be opened
    venues      connections of the kill's own, by name; they are logged on here, and off again
    accounts    the accounts to be asked for, of each venue by its name, or of all alike
    patience_s  after which it ends, done or not

    Raises SettingsError for a malformed scope, or where nobody or no reason is named; whatever
    goes wrong afterwards is in the result.
    """
    aim = Scope.of(scope)
    if why := unsaid(who, reason):
        raise SettingsError(why)
    return await _Killing(tape, aim, reason, who, drill, how or How()).run(
        _reached(aim, venues, accounts), patience_s
    )


def _reached(
    scope: Scope, venues: Mapping[str, Venue], accounts: Accounts
) -> dict[str, tuple[Venue, tuple[str, ...]]]:
    """Return the venues that are to be asked, each with its accounts."""
    found: dict[str, tuple[Venue, tuple[str, ...]]] = {}
    for name, venue in venues.items():
        if scope.kind == "venue" and scope.name not in (name, venue.name):
            continue
        of_it = accounts.get(name, ()) if isinstance(accounts, Mapping) else accounts
        asked = tuple(dict.fromkeys(of_it))
        if scope.kind == "account":
            asked = tuple(one for one in asked if one == scope.name)
        if asked:
            found[name] = (venue, asked)
    return found


class _Killing:
    """One kill on its way."""

    def __init__(
        self, tape: Tape | None, scope: Scope, reason: str, who: str, drill: bool, how: How
    ) -> None:
        self._tape, self._scope, self._how = tape, scope, how
        self._reason, self._who, self._drill = reason, who, drill
        self._notes = Notes(tape)
        self._case: Case | None = None
        self._names = ""
        self._before = ""

    async def run(
        self, venues: dict[str, tuple[Venue, tuple[str, ...]]], patience_s: float
    ) -> KillResult:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        reading = Reading(self._tape, self._how.whose)
        made = Kill(await self._id(), str(self._scope), quiet_ns=int(self._how.quiet_s * 1e9))
        case = Case(self._scope, made.begun(venues), reading, begun + patience_s, self._how.pace)
        self._case, self._names = case, ",".join(venues)
        path = (self._how.spool or spool_folder()) / f"{made.kill}-{secrets.token_hex(3)}.jsonl"
        await self._halt(begun + case.pace.write_s, path)
        await self._sweep([Sweep(case, name, *one) for name, one in venues.items()])
        case.kill = case.kill.ended()
        seconds = loop.time() - begun
        self._note(case.kill)
        recorded = await self._settled(path)
        return self._result(recorded, "" if recorded else str(path), seconds)

    async def _id(self) -> str:
        """Return the id of the scope's kill that is in force, else a new one."""
        if (tape := self._tape) is not None:
            known = aside(lambda: standing(facts(tape, KILL)).get(str(self._scope)))
            await asyncio.wait([known], timeout=self._how.pace.write_s * KNOWN)
            last = known.result() if known.done() and known.exception() is None else None
            if last is not None and last.state != ARMED:
                self._before = last.state
                return last.kill
        return f"kill-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"

    async def _halt(self, until: float, path: Path) -> None:
        """Halt the scope on the tape; where that takes too long, keep it in a file and go on."""
        assert self._case is not None
        kill = self._case.kill
        why = f"kill {kill.kill}: {self._reason}"
        halted = self._notes.take(noted(RISK, RiskMoved(kill.scope, "HALTED", why, self._who)))
        self._note(kill)
        loop = asyncio.get_running_loop()
        while not (halted.done() or self._notes.trouble) and loop.time() < until:
            await asyncio.sleep(LOOK_S)
        if not halted.done():
            await asyncio.wait([aside(lambda: self._notes.keep(path))], timeout=0.05)

    async def _sweep(self, sweeps: list[Sweep]) -> None:
        assert self._case is not None
        case = self._case
        work = [asyncio.ensure_future(sweep.run()) for sweep in sweeps]
        try:
            if sweeps:
                asked = [asyncio.ensure_future(sweep.asked.wait()) for sweep in sweeps]
                await asyncio.wait(asked, timeout=case.left_s)
                case.kill = case.kill.verifying()
                self._note(case.kill)
            # the time that is said holds even where an adapter does not give way
            await asyncio.wait(work, timeout=case.left_s + case.pace.answer_s) if work else None
        finally:
            for one in work:
                one.cancel()
        await asyncio.gather(*work, return_exceptions=True)

    def _note(self, kill: Kill) -> None:
        reason = self._reason
        if kill.state == KILL_INCOMPLETE:
            reason = f"{reason}; left: {kill.told_why}"
            alert = RiskAlert("kill", "critical", kill.scope, f"{kill.kill}: {kill.told_why}")
            self._notes.take(noted(RISK, alert))
        working = kill.left if kill.state != CANCELLING else ()
        moved = KillMoved(
            kill.kill, kill.scope, kill.state, self._who, reason, self._names, kill.requests,
            working, drill=self._drill,
        )  # fmt: skip
        self._notes.take(noted(KILL, moved))

    async def _settled(self, path: Path) -> bool:
        """Give the tape its time; keep what it has not taken; tell whether it took all."""
        until = asyncio.get_running_loop().time() + self._how.pace.settle_s
        while (
            self._tape is not None
            and self._notes.left
            and asyncio.get_running_loop().time() < until
        ):
            await asyncio.sleep(0.01)
        self._notes.close()
        return not self._notes.keep(path)

    def _result(self, recorded: bool, kept: str, seconds: float) -> KillResult:
        assert self._case is not None
        case, made = self._case, self._case.kill
        return KillResult(
            kill=made.kill,
            scope=made.scope,
            state=made.state,
            who=self._who,
            reason=self._reason,
            venues=made.venues,
            requests=made.requests,
            working=made.left if made.state != KILLED else (),
            detail=made.told_why if made.state != KILLED else "",
            repeated=self._before,
            drill=self._drill,
            fills=case.fills,
            strangers=tuple(sorted(case.strangers)),
            widened=case.widened,
            recorded=recorded,
            kept=kept,
            seconds=seconds,
        )
