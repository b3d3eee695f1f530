"""The ladder: it tightens and never loosens, one spike does nothing, a sale never overshoots."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.errors import SettingsError
from onetape.risk.ladder import STRICTNESS, evaluate
from onetape.risk.rungs import (
    Act,
    Consent,
    Holding,
    Ladder,
    Observed,
    Price,
    Rung,
    State,
    ladder_of,
    rung,
)

D = Decimal
S = 1_000_000_000
ACCOUNT = "account:A1"
OPTED = (Consent("A1", "risk", "second"),)


def lossy(*steps: tuple[int, str], **terms: Any) -> Ladder:
    """Return a ladder of one account with a threshold of loss for each step."""
    rungs = tuple(Rung("loss", D(at), step, ACCOUNT) for at, step in steps)  # type: ignore[arg-type]
    return Ladder(rungs, **terms)


def climb(ladder: Ladder, losses: list[Any], **seen: Any) -> list[tuple[int, Act]]:
    """Return what is done at each evaluation; the scope's state follows the acts."""
    state, done, at = State(), [], "ACTIVE"
    for number, loss in enumerate(losses):
        value = None if loss is None else D(loss)
        observed = Observed(ACCOUNT, state=at, loss=value, **seen)
        state, acts = evaluate(ladder, state, [observed], number * S)
        done += [(number, act) for act in acts]
        at = next((act.state for act in reversed(acts) if act.what == "move"), at)
    return done


def held(quantity: int, now: int, exits: int = 0, values: tuple[str, ...] = ("100", "100")) -> Any:
    """Return a holding with fresh prices, one source each."""
    prices = tuple(Price(D(value), f"source {n}", now) for n, value in enumerate(values))
    return Holding("AAA.XNAS", D(quantity), D(exits), prices)


def test_each_step_comes_at_its_own_threshold():
    ladder = lossy((100, "warn"), (200, "reduce_only"), (300, "halt"), (400, "cancel"), hold=1)
    done = climb(ladder, [50, 100, 250, 300, 400])
    assert [(n, a.what, a.state) for n, a in done] == [
        (1, "alert", ""),
        (2, "alert", ""),
        (2, "move", "REDUCING"),
        (3, "alert", ""),
        (3, "move", "HALTED"),
        (4, "alert", ""),
        (4, "cancel", ""),
    ]
    assert (done[3][1].observed, done[3][1].threshold) == (300, 300)


def test_a_spike_of_one_tick_only_warns():
    steps = ((100, "warn"), (200, "reduce_only"), (300, "halt"), (400, "flatten"))
    done = climb(lossy(*steps), [0, 10_000, 0, 10_000, 10_000, 0])
    assert [a.what for _, a in done] == ["alert", "alert"]
    assert {a.severity for _, a in done} == {"warning"}


def test_a_step_is_taken_after_so_many_evaluations_in_a_row_and_once():
    done = climb(lossy((200, "halt"), hold=3), [200, 200, 199, 200, 200, 200, 500, 500])
    assert [(n, a.what) for n, a in done] == [(5, "alert"), (5, "move")]


def test_it_does_not_flap_around_a_threshold():
    done = climb(lossy((200, "warn")), [200, 195, 200, 181, 201, 179, 200])
    assert [n for n, _ in done] == [0, 6]


def test_what_a_person_has_loosened_stays_until_the_measure_has_been_low_again():
    ladder, state = lossy((200, "halt"), hold=1), State()
    moves: list[int] = []
    for now, loss in enumerate([200, 250, 250, 100, 200]):
        seen = Observed(ACCOUNT, state="ACTIVE", loss=D(loss))  # a person loosens each time
        state, acts = evaluate(ladder, state, [seen], now)
        moves += [now for act in acts if act.what == "move"]
    assert moves == [0, 4]


def test_a_measure_that_nobody_knows_stops_what_adds_to_risk_and_calls_somebody_once():
    done = climb(lossy((100, "warn"), (200, "halt"), hold=2), [None, None, None, None])
    assert [(n, a.what, a.state, a.severity) for n, a in done] == [
        (1, "alert", "", "critical"),
        (1, "move", "REDUCING", "critical"),
    ]


def test_stale_data_never_sells():
    with pytest.raises(SettingsError, match="stale data"):
        rung("stale 5: flatten")
    ladder = ladder_of(["account:A1 stale 2: reduce_only"])
    state: State = State()
    acts: tuple[Act, ...] = ()
    for now in range(3):
        seen = Observed(ACCOUNT, stale_ns=2 * S)
        state, acts = evaluate(ladder, state, [seen], now)
    assert [a.state for a in acts if a.what == "move"] == ["REDUCING"]


def test_without_consent_flattening_is_a_proposal_for_persons():
    done = climb(lossy((10, "flatten"), hold=1), [10, 20], holdings=(held(70, 0),))
    (proposed,) = [a for _, a in done if a.what == "propose"]
    assert [(e.side, e.quantity, e.limit) for e in proposed.exits] == [("SELL", 70, D("95.00"))]
    assert not [a for _, a in done if a.what in ("exit", "cancel")]


@pytest.mark.parametrize(
    ("values", "age"), [(("100",), 0), (("100", "102"), 0), (("100", "100"), 6 * S)]
)
def test_prices_that_are_single_apart_or_old_sell_nothing_but_stop_and_alarm(values, age):
    ladder = lossy((10, "flatten"), consents=OPTED, hold=2)
    state, acts = State(), []
    for now in range(20 * S, 25 * S, S):
        seen = Observed(ACCOUNT, loss=D(50), holdings=(held(10, now - age, values=values),))
        state, more = evaluate(ladder, state, [seen], now)
        acts += more
    assert {a.what for a in acts} == {"alert", "move"}
    assert {a.state for a in acts if a.what == "move"} == {"REDUCING"}
    assert not state.work


def test_consent_needs_two_persons_and_an_account():
    for wrong in (("A1", "risk", "risk"), ("A1", "risk", ""), ("", "risk", "second")):
        with pytest.raises(SettingsError, match="two persons"):
            Consent(*wrong)


def sale(ladder: Ladder, fills: list[int], **more: Any) -> tuple[int, list[Act], State]:
    """Sell 100 units, each exit filling as told; return what is left, what was done, the state."""
    state, left, done, orders = State(), 100, [], more.get("orders", 0)
    answers, now, at = iter(fills), 0, "ACTIVE"
    for _ in range(120):
        now += 30 * S
        seen = Observed(ACCOUNT, at, D(500), orders=orders, holdings=(held(left, now),))
        state, acts = evaluate(ladder, state, [seen], now)
        for act in acts:
            at = act.state or at
            if act.what == "cancel":
                orders = more.get("stuck", 0)
            for exit_ in act.exits:
                left -= min(int(exit_.quantity), next(answers, int(exit_.quantity)))
        done += acts
    return left, done, state


def test_an_account_that_opted_in_is_sold_in_slices_after_its_orders_are_gone():
    left, done, state = sale(lossy((10, "flatten"), consents=OPTED), [], orders=4)
    assert left == 0
    assert [a.what for a in done if a.what in ("cancel", "exit")] == ["cancel"] + ["exit"] * 5
    assert [e.quantity for a in done for e in a.exits] == [20] * 5
    assert [a.state for a in done if a.what == "move"] == ["REDUCING", "HALTED"]
    assert state.work[ACCOUNT].over == "flat"


def test_an_exit_that_comes_to_nothing_is_tried_a_few_times_then_a_person_is_called():
    left, done, state = sale(lossy((10, "flatten"), consents=OPTED), [20, 0, 0, 0])
    assert left == 80
    assert sum(a.what == "exit" for a in done) == 4
    assert "a person must go on" in done[-2].detail
    assert done[-1].state == "HALTED"
    assert "does not sell" in state.work[ACCOUNT].over


def test_orders_that_do_not_go_stop_the_sale():
    left, done, _ = sale(lossy((10, "flatten"), consents=OPTED), [], orders=3, stuck=1)
    assert left == 100
    assert [a.what for a in done].count("cancel") == 3
    assert "1 orders do not go" in done[-2].detail


def test_a_halt_in_an_account_that_may_be_sold_leaves_the_way_out_open():
    done = climb(lossy((10, "halt"), consents=OPTED, hold=1), [10])
    assert [a.state for _, a in done if a.what == "move"] == ["REDUCING"]


amounts = st.integers(-40, 40)


@given(
    first=st.integers(-300, 300).filter(bool),
    filled=st.lists(st.tuples(st.integers(0, 100), amounts, st.booleans()), max_size=60),
    slices=st.integers(1, 7),
)
def test_no_holding_ever_crosses_zero_by_a_sale_whatever_fills(first, filled, slices):
    """Exits fill in part and late; others trade too, never across zero by themselves."""
    ladder = lossy((1, "flatten"), consents=OPTED, hold=1, slices=slices)
    state, position, now, ids = State(), first, 0, set[str]()
    working: list[int] = []  # what is left of each exit, unsigned
    for share, other, stays in filled:
        now += 61 * S
        seen = Observed(ACCOUNT, "REDUCING", D(9), holdings=(held(position, now, sum(working)),))
        state, acts = evaluate(ladder, state, [seen], now)
        state = msgspec.json.decode(msgspec.json.encode(state), type=State)  # a restart
        for exit_ in (e for act in acts for e in act.exits):
            assert (exit_.side == "SELL") == (position > 0)
            assert exit_.id not in ids
            ids.add(exit_.id)
            working.append(int(exit_.quantity))
        side, total = (1 if position > 0 else -1), sum(working)
        assert total <= abs(position)
        done = total * share // 100
        position -= side * done
        working = [total - done] if stays and total > done else []
        assert position * side >= 0
        if (position + other) * position > 0 and abs(position + other) >= sum(working):
            position += other


@given(
    losses=st.lists(st.one_of(st.none(), st.integers(0, 50)), max_size=40),
    thresholds=st.lists(
        st.tuples(st.integers(1, 50), st.sampled_from(["warn", "reduce_only", "halt", "cancel"])),
        max_size=5,
    ),
    hold=st.integers(1, 3),
)
def test_a_scope_is_only_ever_tightened(losses, thresholds, hold):
    at = STRICTNESS["ACTIVE"]
    for _, act in climb(lossy(*thresholds, hold=hold), losses):
        if act.what == "move":
            assert STRICTNESS[act.state] > at
            at = STRICTNESS[act.state]


def test_rungs_are_read_from_words_and_wrong_ones_say_what_is_expected():
    assert rung("loss 1000: halt") == Rung("loss", D(1000), "halt", "firm")
    assert rung("account:A1 drawdown 0.05: warn") == Rung("drawdown", D("0.05"), "warn", ACCOUNT)
    for wrong in ("loss: halt", "loss 1000 halt", "luck 3: halt", "loss ten: halt", "loss 1: sell"):
        with pytest.raises(SettingsError, match="MEASURE NUMBER: STEP"):
            rung(wrong)
    with pytest.raises(SettingsError, match="positive"):
        rung("loss 0: halt")


def test_the_state_survives_a_restart_as_json():
    ladder = lossy((200, "halt"), hold=2)
    state, _ = evaluate(ladder, State(), [Observed(ACCOUNT, loss=D(200))], 0)
    state = msgspec.json.decode(msgspec.json.encode(state), type=State)
    _, acts = evaluate(ladder, state, [Observed(ACCOUNT, loss=D(200))], S)
    assert [act.what for act in acts] == ["alert", "move"]
