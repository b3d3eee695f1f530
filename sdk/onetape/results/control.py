"""Control: kill and arm again, trading states, limits with approval, overrides; for people.

    ot.kill("firm", "runaway quotes")                     every working order, now
    ot.rearm("firm", who="ann", second="bob", reason="feed mended")
    ot.set_state("strategy:EmaCross", "REDUCING", who="ann", reason="news")
    ot.propose_limits(book, who="ann", reason="new desk"); ot.approve_limits(version, second="bob")

Who may do what is in `risk.approve`: one person tightens, a second one is needed to loosen.
Persons are plain text here: nobody is asked to prove who he is until sign-in comes. All of it is
on the tape (streams "kill", "risk", "limits"), for traders that follow it and for ever.
Raises   Refused where a rule does not let something pass, SettingsError for what makes no sense,
         TapeUnavailable where the tape cannot be reached; only a kill goes on without it.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from onetape.errors import Refused, SettingsError
from onetape.results import reach
from onetape.results.reach import VenueSpec
from onetape.risk import approve
from onetape.risk.checks import CHECKS
from onetape.risk.kill import ARMED, Scope, in_force, standing
from onetape.risk.limitbook import LimitBook, from_json, load, loosened, to_json
from onetape.run.notes import KILL, LIMITS, RISK, Noted, absorb, events, facts, noted, record
from onetape.tape.event import Event
from onetape.tape.kinds import AnyFact
from onetape.tape.kinds_live import (
    KillMoved,
    LimitsProposed,
    LimitsSet,
    OverrideGranted,
    RiskMoved,
)
from onetape.tape.port import Tape

if TYPE_CHECKING:
    import polars as pl

    from onetape.run.killing import KillResult

MINUTE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True, repr=False)
class Change:
    """What was changed, in words and as the facts that say so on the tape."""

    said: str
    facts: tuple[AnyFact, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"said": self.said, "facts": [msgspec.to_builtins(one) for one in self.facts]}

    def __repr__(self) -> str:
        return self.said

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.said)}</pre>"


# -- kill


def kill(
    scope: str = "firm",
    reason: str = "",
    *,
    who: str = "",
    venues: Iterable[VenueSpec | dict[str, Any]] | None = None,
    drill: bool = False,
    patience: float = 10.0,
    tape: Tape | Callable[[], Tape] | None = None,
) -> KillResult:
    """Halt a scope and cancel every working order in it; done only when the venues say so.

    scope     "firm", "desk:X", "account:X", "strategy:X", "trader:X", "venue:X", "instrument:X"
    reason    why, in words; needed
    who       who asks, by default the user of this computer
    venues    where to cancel: `VenueSpec`s, or dicts of adapter, config and accounts; None: those
              of the live sessions of this computer
    drill     marked as a drill; everything is done all the same
    patience  seconds after which it ends, done or not
    tape      open, or what opens it; None: the default one. It is not waited for

    Holdings are not touched: canceling is not liquidating. Killing again is harmless.
    """
    asked = list(venues) if venues is not None else None
    said = {"reason": reason, "who": who or getpass.getuser(), "drill": drill}
    return reach.kill(tape, Scope.of(scope), asked, patience, **said)


def rearm(
    scope: str,
    *,
    who: str,
    second: str,
    reason: str,
    accept: Sequence[str] = (),
    tape: Tape | None = None,
) -> Change:
    """Let a killed scope trade again; a second person stands for it.

    accept   what the kill left and is taken as it is, each by name as the kill named it

    Raises Refused: no kill, one that has not ended, orders left that are not accepted, no
    second person, or the scope was halted anew meanwhile.
    """
    aim, on = str(Scope.of(scope)), _opened(tape)

    def arm(known: list[Event]) -> list[Noted]:
        dead = in_force((event.fact for event in known), aim)
        for one in dead or [None]:
            if why := approve.arming_refused(one, who, second, reason, accept):
                raise Refused(why)
        if why := _halted_anew(on, aim, known):
            raise Refused(why)
        return [noted(KILL, _armed(one, who, second, reason, accept)) for one in dead]

    def free(_: list[Event]) -> list[Noted]:
        if why := _halted_anew(on, aim, events(on, KILL)):
            raise Refused(why)
        return [noted(RISK, RiskMoved(aim, "ACTIVE", reason, who, second))]

    made = [*record(on, KILL, arm), *record(on, RISK, free)]
    return Change(f"{aim} is armed again and ACTIVE ({who}, {second}: {reason})", _facts(made))


def _armed(last: KillMoved, who: str, second: str, reason: str, accept: Sequence[str]) -> KillMoved:
    taken = tuple(one for one in last.working if one in accept)
    return KillMoved(
        last.kill, last.scope, ARMED, who, reason, last.venue, 0, taken, second, last.drill
    )


def _halted_anew(tape: Tape, scope: str, kills: list[Event]) -> str:
    """Return why a scope stays halted: a kill began of which its stream does not know yet."""
    ours = [e.ts_event for e in kills if isinstance(e.fact, KillMoved) and e.fact.scope == scope]
    for event in reversed(events(tape, RISK)):
        fact = event.fact
        if isinstance(fact, RiskMoved) and fact.scope == scope:
            new = event.ts_event > max(ours, default=0)
            anew = new and fact.state == "HALTED" and fact.reason.startswith("kill ")
            return f"{scope} was halted anew by {fact.who} ({fact.reason})" if anew else ""
    return ""


# -- trading states


def set_state(
    scope: str,
    state: str,
    *,
    who: str,
    reason: str,
    second: str | None = None,
    tape: Tape | None = None,
) -> Change:
    """Move a scope to ACTIVE, REDUCING, CANCEL_ONLY or HALTED.

    Tightening takes one person, loosening a second one; a killed scope is armed again instead.
    Raises Refused where that is not so.
    """
    aim, on = str(Scope.of(scope)), _opened(tape)
    approve.strictness(state)

    def move(known: list[Event]) -> list[Noted]:
        last = approve.states(event.fact for event in known).get(aim)
        ask = RiskMoved(aim, state, reason, who, second or "")
        killed = [*in_force(facts(on, KILL), aim), None][0]
        if why := approve.move_refused(last.state if last else "ACTIVE", ask, killed):
            raise Refused(why)
        return [noted(RISK, ask)]

    made = record(on, RISK, move)
    return Change(f"{aim} is {state} ({who}: {reason})", _facts(made))


def states(tape: Tape | None = None) -> pl.DataFrame:
    """Return one row for each scope that was ever spoken of: its state, why, who, since when."""
    import polars as pl

    on = _opened(tape)
    killed = standing(facts(on, KILL))
    rows: dict[str, dict[str, Any]] = {}
    for event in events(on, RISK):
        fact = event.fact
        if isinstance(fact, RiskMoved):
            rows[fact.scope] = {
                "scope": fact.scope,
                "state": fact.state,
                "reason": fact.reason,
                "who": fact.who,
                "second": fact.second,
                "since": _time(event),
                "kill": killed[fact.scope].state if fact.scope in killed else None,
            }
    names = ("scope", "state", "reason", "who", "second")
    shape: dict[str, Any] = dict.fromkeys(names, pl.String)
    shape |= {"since": _moments(), "kill": pl.String}
    return pl.DataFrame(list(rows.values()), schema=shape)


def kills(tape: Tape | None = None) -> pl.DataFrame:
    """Return one row for each step of each kill, drills included, in order."""
    import polars as pl

    rows = [
        {"at": _time(event), **msgspec.to_builtins(event.fact)}
        for event in events(_opened(tape), KILL)
    ]
    names = ("kill", "scope", "state", "who", "reason", "venue", "second")
    shape: dict[str, Any] = {"at": _moments()} | dict.fromkeys(names, pl.String)
    shape |= {"requests": pl.Int64, "working": pl.List(pl.String), "drill": pl.Boolean}
    return pl.DataFrame([{key: row[key] for key in shape} for row in rows], schema=shape)


# -- limits


def propose_limits(
    book: LimitBook | str | Path,
    *,
    who: str,
    reason: str,
    base: str | None = None,
    tape: Tape | None = None,
) -> Change:
    """Ask for new limits; what only tightens takes force at once, else a second person approves.

    book   a LimitBook, or a file's path
    base   the version that it was made from; None: the one in force now

    Raises Refused where other limits are in force by now, or these say the same.
    """
    new = book if isinstance(book, LimitBook) else load(book)
    on = _opened(tape)

    def ask(known: list[Event]) -> list[Noted]:
        stand = approve.limits_stand(event.fact for event in known)
        on_top = stand.version if base is None else base
        looser = _loosened(stand.in_force, new)
        fact = LimitsProposed(new.version, to_json(new), on_top, who, reason, looser)
        if why := approve.proposal_refused(stand, fact):
            raise Refused(why)
        made = [noted(LIMITS, fact)]
        if not looser:
            force = LimitsSet(new.version, fact.rules, on_top, who, "", reason)
            made.append(noted(LIMITS, force))
        return made

    made = _facts(record(on, LIMITS, ask))
    if isinstance(made[-1], LimitsSet):
        return Change(f"limits {new.version} are in force: they only tighten", made)
    looser = "; ".join(getattr(made[0], "loosens", ()))
    said = f"limits {new.version} wait for a second person: they loosen {looser}"
    return Change(f'{said}\n  ot.approve_limits("{new.version}", second=...)', made)


def _loosened(force: LimitsSet | None, new: LimitBook) -> tuple[str, ...]:
    if force is None:
        return ("everything: no limits were in force",)
    return loosened(from_json(force.rules, force.version), new)


def approve_limits(version: str, *, second: str, tape: Tape | None = None) -> Change:
    """Put proposed limits in force, as somebody else than who proposed them.

    Raises Refused: no such proposal, the same person, or other limits are in force by now.
    """

    def force(known: list[Event]) -> list[Noted]:
        stand = approve.limits_stand(event.fact for event in known)
        if why := approve.approval_refused(stand, version, second):
            raise Refused(why)
        asked = stand.proposed[version]
        fact = LimitsSet(version, asked.rules, asked.base, asked.who, second, asked.reason)
        return [noted(LIMITS, fact)]

    made = _facts(record(_opened(tape), LIMITS, force))
    return Change(f"limits {version} are in force (approved by {second})", made)


def limits_in_force(tape: Tape | None = None) -> LimitBook | None:
    """Return the limits that are in force on a tape; None where none were ever approved."""
    force = approve.limits_stand(facts(_opened(tape), LIMITS)).in_force
    return None if force is None else from_json(force.rules, force.version)


def limits_history(tape: Tape | None = None) -> pl.DataFrame:
    """Return one row for each proposal and each taking of force, in order."""
    import polars as pl

    rows = [
        {
            "at": _time(event),
            "what": "in force" if isinstance(event.fact, LimitsSet) else "proposed",
            **msgspec.to_builtins(event.fact),
        }
        for event in events(_opened(tape), LIMITS)
    ]
    names = ("what", "version", "base", "who", "second", "reason")
    shape: dict[str, Any] = {"at": _moments()} | dict.fromkeys(names, pl.String)
    shape |= {"loosens": pl.List(pl.String), "rules": pl.String}
    return pl.DataFrame([{key: row.get(key) for key in shape} for row in rows], schema=shape)


# -- overrides


def override(
    client_order_id: str,
    checks: Iterable[str],
    *,
    who: str,
    second: str,
    reason: str,
    minutes: float = approve.OVERRIDE_MINUTES,
    tape: Tape | None = None,
) -> Change:
    """Let one named order pass the named checks once, for at most fifteen minutes.

    checks   as the gate names them, such as "R06"; R01 and R02 are never overridden
    who      who has verified it for risk; `second` authorizes

    Raises Refused where that is not so, or the order had its override already; SettingsError
    for a check that the gate does not have.
    """
    named = (checks,) if isinstance(checks, str) else tuple(checks)
    known_checks = sorted({check.id for check in CHECKS})
    if strange := [check for check in named if check not in known_checks]:
        listed = ", ".join(known_checks)
        raise SettingsError(f"no check {', '.join(map(repr, strange))}; the gate has {listed}")

    def grant(known: list[Event]) -> list[Noted]:
        now = time.time_ns()
        until = now + int(minutes * MINUTE_NS)
        fact = OverrideGranted(client_order_id, named, who, second, reason, until)
        why = approve.override_refused((event.fact for event in known), fact, minutes)
        if why:
            raise Refused(why)
        return [Noted(RISK, now, fact)]

    made = _facts(record(_opened(tape), RISK, grant))
    passes = f"order {client_order_id} may pass {', '.join(named)} once"
    return Change(f"{passes}, for {minutes:g} minutes ({who}, {second}: {reason})", made)


# -- what all share


def _opened(tape: Tape | None) -> Tape:
    """Return the tape, with everything on it that an earlier kill could not put there."""
    if tape is None:
        from onetape.results.tape import open_tape

        tape = open_tape()
    elif isinstance(tape, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SettingsError(f"{tape!r} found; an open tape expected: ot.open_tape({tape!r})")
    absorb(tape, reach.spool_folder())
    return tape


def _facts(made: Iterable[Event]) -> tuple[AnyFact, ...]:
    return tuple(event.fact for event in made)


def _time(event: Event) -> datetime:
    return datetime.fromtimestamp(event.ts_event // 1_000 / 1e6, UTC)


def _moments() -> Any:
    import polars as pl

    return pl.Datetime("us", "UTC")
