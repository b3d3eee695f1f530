"""The kill's states: what counts as evidence, and that nothing else does."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from onetape.errors import SettingsError
from onetape.risk.kill import (
    ARMED,
    CANCELLING,
    KILL_INCOMPLETE,
    KILLED,
    VERIFYING,
    Kill,
    Refused,
    Scope,
    standing,
)
from onetape.run.ours import Own
from onetape.tape.kinds_live import KillMoved

VENUES = ("SIM", "ALT")
QUIET = 10


def begun(*venues: str) -> Kill:
    return Kill("k1", "firm", quiet_ns=QUIET).begun(venues or VENUES)


def test_a_kill_is_done_once_every_venue_has_named_nothing_for_long_enough() -> None:
    kill = begun().verifying()
    for ts in (0, QUIET):
        kill = kill.told("SIM", (), ts).told("ALT", (), ts)
    assert kill.judged().state == KILLED
    assert kill.judged().left == ()


def test_a_venue_that_named_nothing_once_is_not_believed_yet() -> None:
    kill = begun("SIM").verifying().told("SIM", (), 0)
    assert kill.judged().state == VERIFYING
    assert kill.ended().state == KILL_INCOMPLETE
    assert "quiet" in kill.told_why


def test_what_a_venue_said_before_the_requests_is_no_evidence() -> None:
    kill = begun("SIM").told("SIM", (), 0).told("SIM", (), QUIET).verifying()
    assert kill.judged().state == VERIFYING


def test_a_venue_that_fell_silent_has_to_begin_again() -> None:
    kill = begun("SIM").verifying().told("SIM", (), 0).lost("SIM", "SIM is silent")
    kill = kill.told("SIM", (), QUIET)
    assert kill.judged().state == VERIFYING
    assert kill.told("SIM", (), 2 * QUIET).judged().state == KILLED


def test_a_silent_venue_leaves_the_kill_incomplete_and_is_named_with_the_reason() -> None:
    kill = begun().verifying().told("SIM", (), 0).told("SIM", (), QUIET)
    kill = kill.lost("ALT", "ALT is silent").ended()
    assert kill.state == KILL_INCOMPLETE
    assert kill.left == ("venue:ALT",)
    assert kill.told_why == "ALT is silent: venue:ALT"


def test_an_order_that_was_not_canceled_is_listed_with_the_venues_reason() -> None:
    kill = begun("SIM").verifying().hindered("O-7", "rejected (locked)")
    kill = kill.told("SIM", ("O-7", "O-8"), 0).ended()
    assert kill.left == ("O-7", "O-8")
    assert kill.told_why == "rejected (locked): O-7; still working by the venue's word: O-8"


def test_a_venue_that_names_an_order_after_all_takes_the_word_killed_back() -> None:
    kill = begun("SIM").verifying().told("SIM", (), 0).told("SIM", (), QUIET).judged()
    assert kill.told("SIM", ("O-1",), 3 * QUIET).state == KILL_INCOMPLETE


def test_without_a_venue_nothing_is_proven() -> None:
    kill = Kill("k1", "firm").begun(()).verifying().ended()
    assert kill.state == KILL_INCOMPLETE
    assert "no venue" in kill.told_why


def test_a_word_of_a_venue_that_was_not_asked_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match="ALT was not asked"):
        begun("SIM").told("ALT", (), 0)


@pytest.mark.parametrize("state", [ARMED, CANCELLING, VERIFYING])
def test_only_a_kill_that_has_ended_can_be_armed_again(state: str) -> None:
    kills = {ARMED: Kill("k", "firm"), CANCELLING: begun(), VERIFYING: begun().verifying()}
    with pytest.raises(Refused):
        kills[state].armed()


def test_a_kill_that_left_orders_is_armed_again_only_when_each_is_accepted_by_name() -> None:
    kill = begun("SIM").verifying().told("SIM", ("O-1", "O-2"), 0).ended()
    with pytest.raises(Refused, match="O-2"):
        kill.armed(["O-1"])
    assert kill.armed(["O-1", "O-2"]).state == ARMED


def test_the_standing_of_a_scope_is_its_last_fact() -> None:
    first = KillMoved("k1", "firm", CANCELLING, "ann", "x")
    last = KillMoved("k1", "firm", KILLED, "ann", "x")
    other = KillMoved("k2", "account:A", CANCELLING, "ann", "x")
    assert standing([first, other, last]) == {"firm": last, "account:A": other}


def test_a_scope_covers_what_it_names() -> None:
    own = Own("O-1", "GOOG.XNAS", "Cross", Decimal(1), "A", "ann", "desk-1")
    inside = ["firm", "account:A", "strategy:Cross", "trader:ann", "desk:desk-1",
              "instrument:GOOG.XNAS"]  # fmt: skip
    outside = ["account:B", "strategy:cross", "trader:bob", "desk:2", "instrument:GOOG"]
    assert all(Scope.of(text).covers(own) for text in inside)
    assert not any(Scope.of(text).covers(own) for text in outside)
    for text in inside:
        assert str(Scope.of(text)) == text


@pytest.mark.parametrize("text", ["", "firm:x", "book:A", "account", "account:", "desk: "])
def test_a_scope_that_means_nothing_is_refused_with_those_that_do(text: str) -> None:
    with pytest.raises(SettingsError, match="account:NAME"):
        Scope.of(text)


class Kills(RuleBasedStateMachine):
    """Venues say what they like, in any order; a kill is ended and begun anew at any moment."""

    orders = st.lists(st.sampled_from(["O-1", "O-2", "O-3"]), max_size=3, unique=True)

    def __init__(self) -> None:
        super().__init__()
        self.kill = Kill("k1", "firm", quiet_ns=QUIET)
        self.now = 0
        self.said: dict[str, tuple[str, ...] | None] = {}
        self.quiet: dict[str, int | None] = {}

    @rule(venues=st.lists(st.sampled_from(VENUES), unique=True))
    def begin(self, venues: list[str]) -> None:
        self.kill = self.kill.begun(venues)
        self.said = dict.fromkeys(venues)
        self.quiet = dict.fromkeys(venues)

    @rule()
    def verify(self) -> None:
        self.kill = self.kill.verifying()

    @precondition(lambda self: self.said)
    @rule(data=st.data(), orders=orders, later=st.integers(0, 2 * QUIET))
    def told(self, data: st.DataObject, orders: list[str], later: int) -> None:
        venue = data.draw(st.sampled_from(sorted(self.said)))
        self.now += later
        self.kill = self.kill.told(venue, orders, self.now)
        self.said[venue] = tuple(orders)

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def lost(self, data: st.DataObject) -> None:
        venue = data.draw(st.sampled_from(sorted(self.said)))
        if self.kill.state in (CANCELLING, VERIFYING):
            self.said[venue] = None
        self.kill = self.kill.lost(venue, "silent")

    @rule()
    def judge(self) -> None:
        self.kill = self.kill.judged()

    @rule()
    def end(self) -> None:
        self.kill = self.kill.ended()

    @rule(accepted=orders)
    def arm(self, accepted: list[str]) -> None:
        try:
            self.kill = self.kill.armed(accepted)
        except Refused:
            return
        assert all(not one or set(one) <= set(accepted) for one in self.said.values() if one)
        assert None not in self.said.values()

    @invariant()
    def never_killed_while_a_venues_last_word_names_a_working_order(self) -> None:
        if self.kill.state == KILLED:
            assert self.said
            assert all(word == () for word in self.said.values())

    @invariant()
    def what_is_left_is_what_the_last_words_name(self) -> None:
        named = {one for word in self.said.values() for one in word or ()}
        silent = {f"venue:{venue}" for venue, word in self.said.items() if word is None}
        assert set(self.kill.left) == named | silent


TestKills = Kills.TestCase
