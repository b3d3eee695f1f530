"""The ladder: what is done without a person when a loss, a drawdown, an exposure or the age of
prices grows. Pure: `evaluate` takes what was observed and the time, and returns a new state and
what is to be done as plain data; whoever calls it records and does it.

Steps    warn, reduce_only, halt, cancel, flatten, each with its own threshold on one measure of
         one scope. `cancel` and `flatten` stop the scope too, or it would send new orders.
Measures loss of the day, drawdown from the peak, gross and net exposure, all in base currency;
         stale in seconds: the age of the oldest price that something held is valued at.
Laws     - A scope is only ever tightened; loosening is for persons.
         - Beyond a warning a rung acts when its measure was there `hold` evaluations in a row:
           one spike does nothing. It acts once, and again only after the measure has been below
           `release` x threshold: it does not flap, nor undo what a person has loosened.
         - What cannot be measured is not taken for zero: REDUCING and an alarm.
         - Flatten is a proposal. It sells by itself only in an account that risk and a second
           person opted in, see `liquidation`, and never at prices that are old or disagree.
Times    ns UTC. Thresholds are met when reached: observed >= threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from onetape.risk.liquidation import begin, proposal, step, unsure
from onetape.risk.rungs import Act, Ladder, Observed, Rung, Standing, State, Work

STRICTNESS = {"ACTIVE": 0, "REDUCING": 1, "CANCEL_ONLY": 2, "HALTED": 3}
Answer = tuple[State, tuple[Act, ...]]


def evaluate(ladder: Ladder, state: State, observed: Sequence[Observed], now: int) -> Answer:
    """Return the next state and what is to be done, in the order of `observed` and the rungs."""
    acts: list[Act] = []
    rungs, work = dict(state.rungs), dict(state.work)
    for seen in observed:
        climb = _Climb(ladder, seen, now, work.get(seen.scope))
        for each in ladder.rungs:
            if each.scope == seen.scope:
                rungs[each.name] = climb.take(each, rungs.get(each.name, Standing()))
        if climb.work is not None:
            work[seen.scope], more = step(ladder, climb.work, seen, now)
            climb.acts += [act for act in more if act.what != "move" or climb.tightens(act.state)]
        acts += climb.acts
    return State(rungs, work), tuple(acts)


class _Climb:
    """One scope's rungs, one after the other."""

    def __init__(self, ladder: Ladder, seen: Observed, now: int, work: Work | None) -> None:
        self.ladder, self.seen, self.now, self.work = ladder, seen, now, work
        self.state = seen.state
        self.acts: list[Act] = []

    def take(self, rung: Rung, stood: Standing) -> Standing:
        value = self.seen.measured(rung.measure)
        if value is None or not value.is_finite():
            return self._cannot_tell(rung, stood, f"{rung.measure} cannot be measured")
        if value < rung.threshold:
            if value < rung.threshold * self.ladder.release:
                return Standing()
            return msgspec.structs.replace(stood, count=0, blind=0)
        if stood.done:
            return stood
        if rung.step == "flatten" and (why := self._unsure()):
            return self._cannot_tell(rung, stood, why)
        count = stood.count + 1
        if rung.step != "warn" and count < self.ladder.hold:
            return Standing(count=count, alarmed=stood.alarmed)
        self._act(rung, value)
        return Standing(done=True, alarmed=stood.alarmed)

    def _unsure(self) -> str:
        return unsure(self.ladder, self.seen, self.now)

    def _cannot_tell(self, rung: Rung, stood: Standing, why: str) -> Standing:
        """Stop what adds to risk and call somebody, once; a warning has nothing to say."""
        blind = stood.blind + 1
        if rung.step == "warn" or stood.alarmed or blind < self.ladder.hold:
            return msgspec.structs.replace(stood, count=0, blind=blind)
        self.acts.append(Act("alert", rung.scope, rung.name, why, "critical"))
        self._move(rung, "REDUCING", why)
        return msgspec.structs.replace(stood, count=0, blind=blind, alarmed=True)

    def _act(self, rung: Rung, value: Decimal) -> None:
        detail = f"{rung.measure} of {value} reached {rung.threshold}"
        severity = "warning" if rung.step == "warn" else "critical"
        self.acts.append(
            Act("alert", rung.scope, rung.name, detail, severity, value, rung.threshold)
        )
        if rung.step == "reduce_only":
            self._move(rung, "REDUCING", detail)
        elif rung.step in ("halt", "cancel"):
            self._move(rung, self._stopped(), detail)
        if rung.step == "cancel":
            self.acts.append(Act("cancel", rung.scope, rung.name, detail, "critical"))
        if rung.step == "flatten":
            self._flatten(rung, detail)

    def _stopped(self) -> str:
        """HALTED; where exits may be needed REDUCING, since HALTED lets none of them through."""
        return "REDUCING" if self.ladder.consented(self.seen.scope) else "HALTED"

    def _flatten(self, rung: Rung, detail: str) -> None:
        self._move(rung, "REDUCING", detail)
        if not self.ladder.consented(rung.scope):
            exits = proposal(self.ladder, self.seen, self.now)
            said = "; ".join(f"{e.side} {e.quantity} {e.instrument}" for e in exits) or "nothing"
            why = f"{detail}; to be flat: {said}"
            act = Act("propose", rung.scope, rung.name, why, "critical", exits=exits)
            self.acts.append(act)
        elif self.work is None or self.work.over:
            self.work = begin(self.ladder, self.seen, rung.name, self.work)

    def _move(self, rung: Rung, state: str, why: str) -> None:
        if self.tightens(state):
            act = Act("move", rung.scope, rung.name, why, "critical", state=state)
            self.acts.append(act)

    def tightens(self, state: str) -> bool:
        """Say whether a state is stricter than the scope's, and take it for the scope's."""
        stricter = STRICTNESS[state] > STRICTNESS.get(self.state, 3)
        if stricter:
            self.state = state
        return stricter
