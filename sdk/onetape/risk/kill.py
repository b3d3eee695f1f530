"""Kill: the states of taking back every working order of a scope, as a pure machine.

    ARMED -> CANCELLING -> VERIFYING -> KILLED | KILL_INCOMPLETE -> ARMED (a second person)

Evidence   KILLED is said only on the venues' word: each venue that was asked has named no working
           order in scope, in answers that span `quiet_ns`. That requests were sent is no evidence,
           nor is silence. A venue that names an order after all takes the word KILLED back.
Again      a kill may be asked for in any state; it then begins anew under the same id.
Units      times in ns, of one clock that never goes back; orders by `client_order_id`, or by
           "venue:NAME/ID" where the venue knows none of ours.
Why        resting orders have survived "flat" reports elsewhere, because sending was taken for
           done. Canceling is not liquidating: what is held stays held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from onetape.errors import Refused, SettingsError
from onetape.tape.kinds_live import KillMoved

ARMED, CANCELLING, VERIFYING = "ARMED", "CANCELLING", "VERIFYING"
KILLED, KILL_INCOMPLETE = "KILLED", "KILL_INCOMPLETE"
KINDS = ("firm", "desk", "account", "strategy", "trader", "venue", "instrument")
VENUE_KNOWS = frozenset({"firm", "account", "venue", "instrument"})
QUIET_NS = 300_000_000


class Subject(Protocol):
    """Whose an order is, as far as it is known; "" where it is not."""

    @property
    def account(self) -> str: ...
    @property
    def strategy(self) -> str: ...
    @property
    def trader(self) -> str: ...
    @property
    def desk(self) -> str: ...
    @property
    def instrument(self) -> str: ...
    @property
    def venue(self) -> str: ...


class Scope(NamedTuple):
    """What a kill or a state is about; text form "firm" or "KIND:NAME"."""

    kind: str
    name: str = ""

    @classmethod
    def of(cls, text: str) -> Scope:
        """Return the scope that a text means; raises SettingsError with the known kinds."""
        kind, colon, name = text.strip().partition(":")
        if kind == "firm" and not colon:
            return cls("firm")
        if kind not in KINDS[1:] or not name.strip():
            known = ", ".join(f"{one}:NAME" for one in KINDS[1:])
            raise SettingsError(f"scope {text!r} found; firm, {known} expected")
        return cls(kind, name.strip())

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind

    @property
    def told_by_venue(self) -> bool:
        """Whether a venue's own list says what is in scope, with no help of our tape."""
        return self.kind in VENUE_KNOWS

    def covers(self, order: Subject) -> bool:
        """Tell whether an order is in scope."""
        if self.kind == "strategy":  # people say EmaCross, the engine EmaCross-000
            return self.name in (order.strategy, order.strategy.rpartition("-")[0])
        return self.kind == "firm" or getattr(order, self.kind) == self.name


class Word(NamedTuple):
    """The last that a venue said: what works, and from when to when it named nothing."""

    working: tuple[str, ...]
    since: int | None = None
    until: int | None = None

    def quiet(self, span_ns: int) -> bool:
        """Tell whether it has named no order for so long."""
        if self.working or self.since is None or self.until is None:
            return False
        return self.until - self.since >= span_ns


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill; every method returns the kill as it is afterwards.

    venues   who has to say that nothing works
    words    their last word; None for one that gave none, or was lost since
    why      of a venue or an order that stands in the way, in words
    """

    kill: str
    scope: str
    venues: tuple[str, ...] = ()
    state: str = ARMED
    requests: int = 0
    quiet_ns: int = QUIET_NS
    words: Mapping[str, Word | None] = field(default_factory=dict[str, "Word | None"])
    why: Mapping[str, str] = field(default_factory=dict[str, str])

    def begun(self, venues: Iterable[str]) -> Kill:
        """Begin, from any state: earlier words of the venues count no longer."""
        asked = tuple(dict.fromkeys(venues))
        words: dict[str, Word | None] = dict.fromkeys(asked)
        return replace(self, state=CANCELLING, venues=asked, words=words, why={}, requests=0)

    def requested(self, count: int = 1) -> Kill:
        """Count requests that were handed to a venue."""
        return replace(self, requests=self.requests + count)

    def verifying(self) -> Kill:
        """Go on to ask what still works; what was said before the requests is no evidence."""
        return replace(self, state=VERIFYING) if self.state == CANCELLING else self

    def told(self, venue: str, working: Iterable[str], ts: int) -> Kill:
        """Take a venue's word on which orders in scope still work.

        Raises SettingsError for a venue that was not asked.
        """
        if venue not in self.venues:
            raise SettingsError(f"{venue} was not asked; {', '.join(self.venues)} expected")
        named, last = tuple(dict.fromkeys(working)), self.words.get(venue)
        word = Word(named)
        if not named and self.state != CANCELLING:
            begun = last.since if last is not None and last.since is not None else ts
            word = Word((), begun, max(ts, begun))
        why = {key: said for key, said in self.why.items() if key != f"venue:{venue}"}
        state = KILL_INCOMPLETE if named and self.state == KILLED else self.state
        return replace(self, words={**self.words, venue: word}, why=why, state=state)

    def lost(self, venue: str, why: str) -> Kill:
        """Note that a venue does not answer: what it said last counts no longer, unless the
        kill was over by then."""
        if self.state not in (CANCELLING, VERIFYING):
            return self
        said = {**self.why, f"venue:{venue}": why}
        return replace(self, words={**self.words, venue: None}, why=said)

    def hindered(self, order: str, why: str) -> Kill:
        """Note why an order is not gone: its cancel was rejected, or could not be sent."""
        return replace(self, why={**self.why, order: why})

    @property
    def proven(self) -> bool:
        """Whether every venue asked has named nothing for long enough; False when none was."""
        heard = [self.words.get(venue) for venue in self.venues]
        return bool(heard) and all(word and word.quiet(self.quiet_ns) for word in heard)

    def judged(self) -> Kill:
        """Return the kill as KILLED where the evidence is there; else as it is."""
        return replace(self, state=KILLED) if self.state == VERIFYING and self.proven else self

    def ended(self) -> Kill:
        """End now: KILLED on evidence, else KILL_INCOMPLETE."""
        if self.state not in (CANCELLING, VERIFYING):
            return self
        done = self.judged()
        return done if done.state == KILLED else replace(self, state=KILL_INCOMPLETE)

    def armed(self, accepted: Iterable[str] = ()) -> Kill:
        """Arm again; raises Refused as `rearm_refused` says."""
        if why := rearm_refused(self.state, self.left, accepted):
            raise Refused(why)
        return replace(self, state=ARMED)

    @property
    def left(self) -> tuple[str, ...]:
        """What is not known to be gone: orders, and "venue:NAME" for a venue without a word."""
        named: list[str] = []
        for venue in self.venues:
            word = self.words.get(venue)
            named += [f"venue:{venue}"] if word is None else word.working
        return tuple(dict.fromkeys(named))

    @property
    def told_why(self) -> str:
        """Why it is not done, in one line: like reasons stand together, with the first orders."""
        groups: dict[str, list[str]] = {}
        for key in self.left:
            groups.setdefault(self.why.get(key, _unsaid(key)), []).append(key)
        parts = [f"{why}: {_some(keys)}" for why, keys in groups.items()]
        if not self.venues:
            parts.append("no venue was known to ask")
        elif not parts and not self.proven:
            parts.append("the venues have not been quiet for long enough")
        return "; ".join(parts)


def _unsaid(key: str) -> str:
    return "gave no word" if key.startswith("venue:") else "still working by the venue's word"


def _some(keys: list[str], most: int = 5) -> str:
    more = f" and {len(keys) - most:,} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


def rearm_refused(state: str, left: Iterable[str], accepted: Iterable[str] = ()) -> str:
    """Return why a kill cannot be armed again, "" when it can.

    left       orders that are not known to be gone (`KillMoved.working`)
    accepted   those of them that are taken as they are; each must be named
    """
    if state == ARMED:
        return "nothing to arm: no kill of this scope is in force"
    if state not in (KILLED, KILL_INCOMPLETE):
        return f"the kill is still {state}; wait for its end, or kill again to repeat it"
    known = set(accepted)
    missing = [one for one in left if one not in known]
    if missing:
        return (
            f"not known to be gone: {_some(missing)}; kill again, "
            "or accept each of them by name once the venue was asked by other means"
        )
    return ""


def standing(facts: Iterable[object]) -> dict[str, KillMoved]:
    """Return the last fact of each scope's kill, in the order in which the scopes were killed."""
    last: dict[str, KillMoved] = {}
    for fact in facts:
        if isinstance(fact, KillMoved):
            last[fact.scope] = fact
    return last


def in_force(facts: Iterable[object], scope: str) -> list[KillMoved]:
    """Return the last fact of each kill of a scope that was not armed again, in their order.

    There may be several: who kills while the tape cannot be read does not know of the others.
    """
    last: dict[str, KillMoved] = {}
    for fact in facts:
        if isinstance(fact, KillMoved) and fact.scope == scope:
            last[fact.kill] = fact
    return [fact for fact in last.values() if fact.state != ARMED]
