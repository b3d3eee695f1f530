"""Approvals: who may change a trading state, limits, a kill, or let one order pass a check.

One person may tighten; loosening needs a second, another one. Nobody is authenticated here:
persons are the names that they give, compared without regard to case and outer spaces. Sign-in
comes later and will give these rules their names; until then they guard against slips and leave
evidence, not against a person who lies about who he is.

Rules    are pure: each returns why something is refused, "" where it may be done. Facts and
         books go in, words come out; whoever asks turns the words into `Refused`.
States   ACTIVE < REDUCING < CANCEL_ONLY < HALTED; a scope never spoken of is ACTIVE.
Order    where two persons act at once, the stream's order decides: whoever comes second is
         judged on what the first one did.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from onetape.errors import SettingsError
from onetape.risk.kill import ARMED, rearm_refused
from onetape.tape.kinds_live import (
    KillMoved,
    LimitsProposed,
    LimitsSet,
    OverrideGranted,
    RiskMoved,
)

STATES = ("ACTIVE", "REDUCING", "CANCEL_ONLY", "HALTED")
OVERRIDE_MINUTES = 15
NEVER_OVERRIDDEN = {
    "R01": "what is not known cannot be judged by persons either",
    "R02": "a trading state is changed by set_state or rearm, for everybody to see",
}


def person(name: str) -> str:
    """Return a person's name as it is compared."""
    return " ".join(name.split()).casefold()


def second_refused(who: str, second: str | None, what: str) -> str:
    """Return why `second` does not approve what `who` asks for."""
    if not person(second or ""):
        return f"{what} needs a second person"
    if person(second or "") == person(who):
        return f"{what} needs a second person; {second!r} is the one who asks"
    return ""


def unsaid(who: str, reason: str) -> str:
    """Return what is missing of the two things that everybody has to say."""
    if not person(who):
        return "nobody is named; say who asks"
    return "" if reason.strip() else "no reason is given; say why"


# -- trading states


def states(facts: Iterable[object]) -> dict[str, RiskMoved]:
    """Return the last state of each scope, in the order in which they were first spoken of."""
    last: dict[str, RiskMoved] = {}
    for fact in facts:
        if isinstance(fact, RiskMoved):
            last[fact.scope] = fact
    return last


def strictness(state: str) -> int:
    """Return a state's place from ACTIVE (0) to HALTED; raises SettingsError for no state."""
    if state not in STATES:
        raise SettingsError(f"state {state!r} found; {', '.join(STATES)} expected")
    return STATES.index(state)


def move_refused(now: str, ask: RiskMoved, kill: KillMoved | None) -> str:
    """Return why a scope may not be moved by hand.

    now    its state
    ask    what is asked for
    kill   the last fact of a kill of the scope that is in force: arming again loosens that
    """
    if why := unsaid(ask.who, ask.reason):
        return why
    if strictness(ask.state) >= strictness(now):  # no second person is needed, or another one
        return second_refused(ask.who, ask.second, "this") if person(ask.second) else ""
    if kill is not None and kill.state != ARMED:
        return f"{ask.scope} was killed ({kill.state}); rearm is the way back"
    return second_refused(ask.who, ask.second, f"loosening {ask.scope} from {now} to {ask.state}")


def arming_refused(
    kill: KillMoved | None, who: str, second: str, reason: str, accepted: Iterable[str] = ()
) -> str:
    """Return why a kill may not be armed again; `accepted` as in `kill.rearm_refused`."""
    if why := unsaid(who, reason):
        return why
    state = kill.state if kill is not None else ARMED
    left = kill.working if kill is not None else ()
    return rearm_refused(state, left, accepted) or second_refused(who, second, "arming again")


# -- limits


class LimitsStand(NamedTuple):
    """What the stream of limits comes to."""

    in_force: LimitsSet | None
    proposed: dict[str, LimitsProposed]  # by version, those that may still be approved
    stale: dict[str, LimitsProposed]  # those whose base is no longer in force
    spent: frozenset[str]  # versions that were in force once

    @property
    def version(self) -> str:
        return self.in_force.version if self.in_force is not None else ""


def limits_stand(facts: Iterable[object]) -> LimitsStand:
    """Return what is in force and what waits, folded from the stream of limits."""
    force: LimitsSet | None = None
    asked: dict[str, LimitsProposed] = {}
    spent: set[str] = set()
    for fact in facts:
        if isinstance(fact, LimitsProposed):
            asked[fact.version] = fact
        elif isinstance(fact, LimitsSet):
            force = fact
            spent.add(fact.version)
            asked.pop(fact.version, None)
    now = force.version if force is not None else ""
    fresh = {name: one for name, one in asked.items() if one.base == now}
    stale = {name: one for name, one in asked.items() if one.base != now}
    return LimitsStand(force, fresh, stale, frozenset(spent))


def proposal_refused(stand: LimitsStand, ask: LimitsProposed) -> str:
    """Return why limits may not be proposed."""
    if why := unsaid(ask.who, ask.reason):
        return why
    if ask.base != stand.version:
        return (
            f"it changes limits {ask.base or 'none'!r}, but {stand.version or 'none'!r} are in "
            "force by now; read them, change those, propose again"
        )
    if stand.in_force is not None and ask.rules == stand.in_force.rules:
        return f"limits {stand.version!r} in force say the same already"
    if ask.version in stand.spent:
        return f"version {ask.version!r} was in force before; give the new limits another version"
    known = stand.proposed.get(ask.version)
    if known is not None and known.rules != ask.rules:
        return (
            f"version {ask.version!r} waits already, with other rules; give these another version"
        )
    return ""


def approval_refused(stand: LimitsStand, version: str, second: str) -> str:
    """Return why a proposal may not be approved."""
    if version in stand.stale:
        base = stand.stale[version].base
        return (
            f"{version!r} changes limits {base or 'none'!r}, but {stand.version or 'none'!r} are "
            "in force by now; propose it again on top of those"
        )
    if version not in stand.proposed:
        waiting = ", ".join(stand.proposed) or "none waits"
        known = f"{version!r} was in force before" if version in stand.spent else ""
        return f"{known or f'no proposal {version!r}'}; to be approved: {waiting}"
    return second_refused(stand.proposed[version].who, second, f"limits {version!r}")


# -- overrides: check R29 of the gate


def overrides(facts: Iterable[object]) -> dict[str, OverrideGranted]:
    """Return every override that was granted, by the one order that it is for."""
    return {fact.client_order_id: fact for fact in facts if isinstance(fact, OverrideGranted)}


def override_refused(granted: Iterable[object], ask: OverrideGranted, minutes: float) -> str:
    """Return why one order may not pass checks; `granted` are the facts so far.

    One named order, once, for at most fifteen minutes; neither R01 nor R02.
    """
    if why := unsaid(ask.who, ask.reason):
        return why
    if not ask.client_order_id.strip():
        return "no order is named; an override is for one order"
    if not ask.checks:
        return "no check is named; an override says which checks the order may pass"
    for check in ask.checks:
        if check in NEVER_OVERRIDDEN:
            return f"{check} is never overridden: {NEVER_OVERRIDDEN[check]}"
    if not 0 < minutes <= OVERRIDE_MINUTES:
        return f"{minutes} minutes found, more than 0 and at most {OVERRIDE_MINUTES} expected"
    if ask.client_order_id in overrides(granted):
        return f"order {ask.client_order_id} had its override; it is for once"
    return second_refused(ask.who, ask.second, "an override")
