"""Who may do what: one person tightens, a second one is needed to loosen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.errors import SettingsError
from onetape.risk import approve
from onetape.risk.approve import STATES
from onetape.risk.kill import ARMED, CANCELLING, KILL_INCOMPLETE, KILLED
from onetape.tape.kinds_live import (
    KillMoved,
    LimitsProposed,
    LimitsSet,
    OverrideGranted,
    RiskMoved,
)

PERSONS = {"": "", " ": "", "ann": "ann", "Ann ": "ann", "ANN": "ann", "bob": "bob",
           "Bob  B": "bob b", "bob b": "bob b"}  # fmt: skip
NAMES = st.sampled_from(list(PERSONS))


def ask(state: str, who: str = "ann", second: str = "") -> RiskMoved:
    return RiskMoved("firm", state, "because", who, second)


def killed(state: str, *working: str) -> KillMoved:
    return KillMoved("k1", "firm", state, "ann", "x", working=working)


@given(st.sampled_from(STATES), st.sampled_from(STATES), NAMES, NAMES)
def test_a_state_is_loosened_only_by_two_different_persons(
    now: str, then: str, who: str, second: str
) -> None:
    refused = approve.move_refused(now, ask(then, who, second), None)
    looser = STATES.index(then) < STATES.index(now)
    first, other = PERSONS[who], PERSONS[second]
    allowed = bool(first) and other != first and (bool(other) or not looser)
    assert (refused == "") == allowed


def test_a_killed_scope_is_not_loosened_by_hand() -> None:
    for state in (CANCELLING, KILLED, KILL_INCOMPLETE):
        why = approve.move_refused("HALTED", ask("ACTIVE", "ann", "bob"), killed(state))
        assert "rearm" in why
    assert not approve.move_refused("HALTED", ask("ACTIVE", "ann", "bob"), killed(ARMED))
    assert not approve.move_refused("REDUCING", ask("HALTED"), killed(KILLED))


def test_a_state_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(SettingsError, match="CANCEL_ONLY"):
        approve.strictness("STOPPED")


@pytest.mark.parametrize(
    ("kill", "who", "second", "accepted", "says"),
    [
        (None, "ann", "bob", (), "nothing to arm"),
        (killed(KILLED), "ann", "", (), "second person"),
        (killed(KILLED), "ann", " ANN", (), "the one who asks"),
        (killed(KILLED), "", "bob", (), "nobody is named"),
        (killed(KILLED), "ann", "bob", (), ""),
        (killed(CANCELLING), "ann", "bob", (), "still CANCELLING"),
        (killed(KILL_INCOMPLETE, "O-1", "venue:SIM"), "ann", "bob", ("O-1",), "venue:SIM"),
        (killed(KILL_INCOMPLETE, "O-1"), "ann", "bob", ("O-1",), ""),
    ],
)
def test_a_kill_is_armed_again_by_two_persons_and_with_nothing_left_unsaid(
    kill: KillMoved | None, who: str, second: str, accepted: tuple[str, ...], says: str
) -> None:
    refused = approve.arming_refused(kill, who, second, "mended", accepted)
    assert says in refused
    assert bool(says) == bool(refused)


def proposed(version: str, base: str = "", who: str = "ann") -> LimitsProposed:
    return LimitsProposed(version, f"rules of {version}", base, who, "because")


def in_force(version: str, base: str = "") -> LimitsSet:
    return LimitsSet(version, f"rules of {version}", base, "ann", "bob", "because")


def test_limits_in_force_are_the_last_ones_that_were_set() -> None:
    stand = approve.limits_stand([proposed("1"), in_force("1"), proposed("2", "1")])
    assert stand.version == "1"
    assert list(stand.proposed) == ["2"]
    assert stand.spent == {"1"}


def test_a_proposal_on_limits_that_are_no_longer_in_force_is_refused_with_the_reason() -> None:
    stand = approve.limits_stand([in_force("1"), proposed("2", "1"), in_force("3", "1")])
    assert "'3' are in force by now" in approve.proposal_refused(stand, proposed("4", "1"))
    assert "'3' are in force by now" in approve.approval_refused(stand, "2", "bob")


def test_limits_are_approved_by_somebody_else() -> None:
    stand = approve.limits_stand([proposed("1")])
    assert "the one who asks" in approve.approval_refused(stand, "1", "Ann")
    assert "second person" in approve.approval_refused(stand, "1", "")
    assert approve.approval_refused(stand, "1", "bob") == ""
    assert "to be approved: 1" in approve.approval_refused(stand, "9", "bob")


def test_a_version_stands_for_one_set_of_rules() -> None:
    stand = approve.limits_stand([in_force("1"), proposed("2", "1")])
    same = LimitsProposed("2", "other rules", "1", "ann", "because")
    assert "waits already" in approve.proposal_refused(stand, same)
    again = approve.limits_stand([in_force("1"), in_force("2", "1")])
    assert "was in force before" in approve.proposal_refused(again, proposed("1", "2"))


def grant(
    order: str = "O-1", checks: tuple[str, ...] = ("R06",), who: str = "ann", second: str = "bob"
) -> OverrideGranted:
    return OverrideGranted(order, checks, who, second, "because", 1)


@pytest.mark.parametrize(
    ("asked", "minutes", "says"),
    [
        (grant(), 15, ""),
        (grant(), 15.1, "at most 15"),
        (grant(), 0, "more than 0"),
        (grant(), float("nan"), "more than 0"),
        (grant(""), 5, "no order"),
        (grant(checks=()), 5, "no check"),
        (grant(checks=("R06", "R01")), 5, "R01 is never overridden"),
        (grant(checks=("R02",)), 5, "R02 is never overridden"),
        (grant(second="ann"), 5, "the one who asks"),
        (grant(second=""), 5, "second person"),
        (grant("O-9"), 5, "for once"),
    ],
)
def test_an_override_is_for_one_order_once_by_two_persons_and_a_quarter_of_an_hour(
    asked: OverrideGranted, minutes: float, says: str
) -> None:
    refused = approve.override_refused([grant("O-9")], asked, minutes)
    assert says in refused
    assert bool(says) == bool(refused)
