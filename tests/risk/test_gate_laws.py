"""Laws of the gate (P2-P7): monotone, closed on failure, the same again, and never for cancels."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.risk.checks import CHECKS, Check, decide, decide_list
from onetape.risk.intent import Intent
from onetape.risk.limitbook import LIMITS, book
from onetape.risk.state import State
from onetape.tape import kinds, kinds_live

from .room import FULL, NOON, SECOND, A, B, Room, accepted, ended, fill, full, intent, only

SIZES = {
    "MAX_VALUE", "MAX_VOLUME", "MAX_LONG", "MAX_SHORT", "GROSS_EXPOSURE", "NET_EXPOSURE",
    "CREDIT_LIMIT", "CASH", "MARGIN", "CONCENTRATION", "WOULD_INCREASE",
}  # fmt: skip
SIDES = st.sampled_from(["BUY", "SELL"])
PRICES = st.sampled_from([None, "98.00", "99.99", "100.00", "100.01", "102.00"])
QUANTITIES = st.integers(1, 60)
TIGHT: dict[str, Any] = {
    "max_order_notional": 4_000, "max_order_quantity": 45, "max_position": 50, "max_gross": 6_000,
    "max_net": 5_500, "max_daily_notional": 12_000, "max_open_orders": 4, "max_unacked": 100,
    "max_concentration": "0.5", "self_match": False, "duplicate_seconds": "0.000000001",
    "late_fill_seconds": 0, "price_drift": 1,
}  # fmt: skip
ORDERS = st.lists(st.tuples(SIDES, QUANTITIES, PRICES, st.sampled_from([A, B])), max_size=6)
HELD = st.integers(-60, 60)


def room_with(held: int, orders: list[Any], kind: str = "margin", **limits: Any) -> Room:
    """Return a room that holds and awaits something; what is denied is left out."""
    room = Room(full(**{**TIGHT, **limits}), kind, cash=10_000)
    if held:
        room.hold(held)
    for at, (side, quantity, price, instrument) in enumerate(orders):
        price = price and (price if instrument == A else str(Decimal(price) - 50))
        room.send(intent(side, quantity, price, client_order_id=f"W-{at}", instrument=instrument))
    return room


def codes(answer: Any) -> set[str]:
    return {answer.code, *answer.others} - {""} if not answer.allowed else set()


@given(HELD, ORDERS, SIDES, PRICES, QUANTITIES, QUANTITIES, st.booleans(), st.booleans(),
       st.sampled_from(["cash", "margin"]))  # fmt: skip
def test_what_is_denied_for_its_size_is_denied_when_larger(
    held: int, orders: list[Any], side: str, price: str | None, less: int, more: int,
    exit: bool, reducing: bool, kind: str,
) -> None:  # fmt: skip
    room = room_with(held, orders, kind)
    if reducing:
        room.take(kinds_live.RiskMoved("firm", "REDUCING", "why", "ann"))
    small = room.ask(intent(side, less, price, reduce_only=exit))
    large = room.ask(intent(side, less + more, price, reduce_only=exit))
    assert codes(small) & SIZES <= codes(large)


@given(HELD, ORDERS, st.sampled_from(["HALTED", "CANCEL_ONLY"]), SIDES, QUANTITIES,
       st.sampled_from(["firm", "account:ACC", "strategy:S", "trader:ann", "venue:XNAS",
                        "instrument:" + A]))  # fmt: skip
def test_a_halted_scope_lets_nothing_pass_but_cancels(
    held: int, orders: list[Any], state: str, side: str, quantity: int, scope: str
) -> None:
    room = room_with(held, orders)
    room.take(kinds_live.RiskMoved(scope, state, "why", "ann"))
    for kind in ("submit", "modify"):
        answer = room.ask(intent(side, quantity, kind=kind, reduce_only=True))
        assert f"STATE_{state}" in codes(answer)
    assert room.ask(intent(side, quantity, kind="cancel")).allowed
    room.take(kinds_live.RiskMoved(scope, "ACTIVE", "why", "ann", "bob"))
    assert f"STATE_{state}" not in codes(room.ask(intent(side, quantity)))


@given(st.integers(0, 10_000), st.sampled_from(["", "X", "W-0"]), st.decimals(), st.integers())
def test_a_cancel_is_never_denied(flood: int, order: str, quantity: Decimal, ts: int) -> None:
    room = room_with(10, [("BUY", 5, "99.99", A)], message_rate=1, message_burst=2)
    room.take(kinds_live.KillMoved("K", "firm", "CANCELLING", "ann", "why"))
    room.take(kinds_live.VenueMoved("XNAS", "disconnected"))
    one = msgspec.structs.replace(
        intent(), kind="cancel", client_order_id=order, quantity=quantity, ts=ts, instrument="?"
    )
    for _ in range(min(flood, 50)):
        room.state.intend(msgspec.structs.replace(one, ts=NOON))
    assert room.ask(one).allowed


def test_ten_thousand_cancels_empty_the_bucket_and_no_more() -> None:
    room = Room(full(message_rate=50, message_burst=100))
    for _ in range(10_000):
        room.state.intend(intent(kind="cancel"))
    assert room.ask(intent()).code == "MSG_RATE"
    later = NOON + 2 * SECOND  # the bucket is full again
    room.market.quote(A, "99.99", "100.01", later)
    assert room.ask(intent(ts=later)).allowed


def test_new_orders_leave_the_reserve_and_the_rate_is_kept_over_time() -> None:
    room = Room(full(message_rate=50, message_burst=100, max_unacked=10_000, max_open_orders=9_999))
    sent = 0
    for at in range(2_000):  # a thousand tries a second for two seconds
        one = intent("BUY", 1, "99.00", client_order_id=f"M-{at}", ts=NOON + at * SECOND // 1_000)
        room.market.quote(A, "99.99", "100.01", one.ts)
        if "MSG_RATE" not in codes(room.ask(one)):
            room.state.intend(one)
            sent += 1
    assert sent == 80 + 99  # four fifths of the burst, then fifty a second


# -- the same again


FACTS = st.lists(
    st.tuples(st.sampled_from(["new", "modify", "cancel", "fill", "canceled", "void", "halt"]),
              st.integers(0, 5), SIDES, QUANTITIES, PRICES),
    max_size=25,
)  # fmt: skip


def played(steps: list[Any], room: Room, log: list[tuple[str, Any, int]]) -> list[bytes]:
    """Play steps, note what the state is folded from, and return the decisions' bytes."""
    found: list[bytes] = []

    def fold(fact: kinds.Fact, ts: int) -> None:
        room.state.take(fact, ts)
        log.append(("take", fact, ts))

    for at, (what, which, side, quantity, price) in enumerate(steps):
        ts = NOON + at * SECOND // 10
        one = intent(side, quantity, price, client_order_id=f"O-{which}", ts=ts,
                     kind=what if what in ("modify", "cancel") else "submit")  # fmt: skip
        if what in ("new", "modify", "cancel"):
            answer = room.ask(one)
            found.append(msgspec.json.encode(answer))
            log.append(("ask", one, ts))
            if answer.allowed:
                room.state.intend(one, answer)
                log.append(("intend", (one, answer), ts))
        elif what == "fill":
            size = quantity if side == "BUY" else -quantity
            fold(fill(one.client_order_id, size, 100, f"T-{at}"), ts)
        elif what == "canceled":
            fold(ended(one), ts)
        elif what == "void":
            fold(kinds.OrderVoided(one.client_order_id, A, "S", f"T-{at - 1}"), ts)
        else:
            state = "HALTED" if quantity % 2 else "ACTIVE"
            fold(kinds_live.RiskMoved("strategy:S", state, "why", "ann", "bob"), ts)
    return found


@given(FACTS)
def test_a_replay_gives_every_decision_again_byte_for_byte(steps: list[Any]) -> None:
    log: list[tuple[str, Any, int]] = []
    first = played(steps, Room(full(**TIGHT)), log)
    room = Room(full(**TIGHT))
    again: list[bytes] = []
    for what, thing, ts in log:
        if what == "take":
            room.state.take(thing, ts)
        elif what == "intend":
            room.state.intend(*thing)
        else:
            again.append(msgspec.json.encode(room.ask(thing)))
    assert again == first


@given(FACTS, SIDES, QUANTITIES, PRICES)
def test_deciding_changes_nothing_and_a_copy_answers_the_same(
    steps: list[Any], side: str, quantity: int, price: str | None
) -> None:
    room = Room(full(**TIGHT))
    played(steps, room, [])
    probe = intent(side, quantity, price, client_order_id="PROBE", ts=NOON + 3 * SECOND)
    room.market.quote(A, "99.99", "100.01", probe.ts)
    copy = room.state.copy()
    first = room.ask(probe)
    assert room.ask(probe) == first == decide(probe, room.market, copy, room.limits)
    decide_list([probe, probe], room.market, room.state, room.limits)
    assert room.ask(probe) == first
    copy.intend(probe)
    copy.take(fill("PROBE", quantity), probe.ts)
    assert room.ask(probe) == first


# -- closed on failure


JUNK = st.sampled_from(
    [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal(-1), Decimal(0), None, "ten"]
)


@given(st.sampled_from(["quantity", "price", "trigger_price"]), JUNK, st.booleans())
def test_a_number_that_is_none_denies(name: str, junk: Any, strict: bool) -> None:
    good = intent(price="100.00", type="STOP_LIMIT", trigger_price="100.00")
    room = Room(full() if strict else only(max_order_quantity=1_000))
    assert room.ask(good).allowed
    answer = room.ask(msgspec.structs.replace(good, **{name: junk}))
    assert answer.verdict == "deny"
    assert (answer.code, answer.check) == ("GATE_ERROR", "R01")


@given(st.sampled_from(["price", "bid", "ask"]), JUNK)
def test_a_reference_that_is_no_price_denies(name: str, junk: Any) -> None:
    room = Room()
    good = room.market.references[A]
    if junk is None and name != "price":
        return  # a reference may have no touch
    room.market.references[A] = msgspec.structs.replace(good, **{name: junk})
    assert room.ask(intent()).code == "GATE_ERROR"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"instrument": "ZZZ.XNAS"}, "RISK_STATE_UNKNOWN"),
        ({"account": "OTHER"}, "RISK_STATE_UNKNOWN"),
        ({"kind": "modify"}, "RISK_STATE_UNKNOWN"),
        ({"kind": "replace"}, "GATE_ERROR"),
        ({"side": "LONG"}, "GATE_ERROR"),
        ({"type": "LIMIT"}, "GATE_ERROR"),
        ({"type": "STOP_MARKET"}, "GATE_ERROR"),
        ({"ts": None}, "GATE_ERROR"),
    ],
)
def test_what_is_not_known_or_makes_no_sense_denies(change: dict[str, Any], code: str) -> None:
    answer = Room().ask(msgspec.structs.replace(intent(), **change))
    assert answer.verdict == "deny"
    assert answer.code == code or code in answer.others


@pytest.mark.parametrize("name", [n for n, one in LIMITS.items() if one.required])
def test_a_required_limit_that_is_absent_denies_or_is_not_tried(name: str) -> None:
    answer = Room(full(**{name: None})).ask(intent())
    assert (answer.verdict, answer.code, answer.limit) == ("deny", "NO_LIMIT", name)
    assert Room(full("allow", **{name: None})).ask(intent()).allowed


def test_limits_long_and_short_together_stand_for_the_position() -> None:
    assert Room(full(max_position=None, max_long=10, max_short=10)).ask(intent()).allowed
    assert Room(full(max_cash_use=None)).ask(intent()).allowed
    assert Room(full(max_cash_use=None, max_margin_use=None)).ask(intent()).code == "NO_LIMIT"


@pytest.mark.parametrize("at", range(len(CHECKS)), ids=[f"{c.id}-{c.codes[0]}" for c in CHECKS])
def test_a_check_that_raises_denies_and_is_named(at: int) -> None:
    def broken(_case: Any) -> Any:
        raise ZeroDivisionError("broken")

    table = tuple(
        Check(c.id, c.codes, c.limits, broken) if i == at else c for i, c in enumerate(CHECKS)
    )
    room = Room()
    answer = room.ask(intent(), checks=table)
    assert (answer.verdict, answer.code, answer.check) == ("deny", "GATE_ERROR", CHECKS[at].id)
    assert "broken" in answer.detail
    assert room.ask(intent(kind="cancel"), checks=table).allowed


def test_a_state_that_was_not_told_of_the_limits_denies() -> None:
    room = Room()
    room.limits = full(message_rate=49)
    assert room.ask(intent()).code == "RISK_STATE_UNKNOWN"
    room.state.under(room.limits)
    assert room.ask(intent()).allowed
    bare = State("USD")
    assert decide(intent(), room.market, bare, room.limits).code == "RISK_STATE_UNKNOWN"


# -- modifies and limits


SAME = tuple(c for c in CHECKS if c.id in {"R05", "R06", "R08", "R09", "R13", "R15", "R16", "R17",
                                           "R18", "R19", "R21", "R22"})  # fmt: skip


@given(HELD, ORDERS, SIDES, QUANTITIES, QUANTITIES, PRICES.filter(bool), PRICES.filter(bool),
       st.sampled_from(["cash", "margin"]), st.booleans())  # fmt: skip
def test_a_modify_is_judged_as_the_new_order_without_the_old(
    held: int, orders: list[Any], side: str, old: int, new: int, at: str, then: str, kind: str,
    reducing: bool,
) -> None:  # fmt: skip
    with_it, without = room_with(held, orders, kind), room_with(held, orders, kind)
    before = intent(side, old, at, client_order_id="M")
    with_it.state.intend(before)
    with_it.take(accepted(before))
    for room in (with_it, without):
        if reducing:
            room.take(kinds_live.RiskMoved("strategy:S", "REDUCING", "why", "ann"))
    changed = with_it.ask(intent(side, new, then, client_order_id="M", kind="modify"), checks=SAME)
    sent = without.ask(intent(side, new, then, client_order_id="M"), checks=SAME)
    assert msgspec.structs.replace(changed, state_version=0) == msgspec.structs.replace(
        sent, state_version=0
    )


def looser(name: str, value: Any, step: int) -> Any:
    tighter = LIMITS[name].tighter
    if tighter == "on":
        return False
    if tighter == "allow":
        return [*value, "*"]
    if tighter == "forbid":
        return value[1:]
    value = Decimal(str(value))
    if tighter == "high":
        return value / (1 + step)
    return value * (1 + step)


@given(HELD, ORDERS, SIDES, QUANTITIES, PRICES, st.sampled_from(sorted(FULL)), st.integers(1, 9))
def test_raising_a_limit_never_turns_allow_into_deny(
    held: int, orders: list[Any], side: str, quantity: int, price: str | None, name: str, step: int
) -> None:
    room = room_with(held, orders)
    probe = intent(side, quantity, price, client_order_id="PROBE", ts=NOON + step)
    before = room.ask(probe)
    now = {rule.name: rule.value for rule in room.limits.rules}
    rules = [("firm", n, looser(n, v, step) if n == name else v) for n, v in now.items()]
    room.under(book(rules))
    after = room.ask(probe)
    assert after.allowed or not before.allowed
    assert codes(after) <= codes(before)


# -- lists


def test_a_list_is_judged_with_those_before_counted_and_all_or_none() -> None:
    room = Room(full(max_position=20))
    three = [intent(quantity=q, client_order_id=f"L-{q}") for q in (8, 9, 4)]
    answers = decide_list(three, room.market, room.state, room.limits)
    assert [a.code for a in answers] == ["LIST_DENIED", "LIST_DENIED", "MAX_LONG"]
    assert all(a.allowed for a in decide_list(three[:2], room.market, room.state, room.limits))
    assert room.state.order("L-8") is None


def test_a_bracket_passes_as_one_and_its_exits_do_not_count_against_the_limits() -> None:
    room = Room(full(max_position=10, shortable=[]), kind="cash")
    bracket: list[Intent] = [
        intent("BUY", 10, "100.00", client_order_id="E", list_id="L"),
        intent("SELL", 10, "103.00", client_order_id="T", list_id="L", parent="E",
               reduce_only=True),
        intent("SELL", 10, type="STOP_MARKET", trigger_price="97.00", client_order_id="P",
               list_id="L", parent="E", reduce_only=True),
    ]  # fmt: skip
    answers = decide_list(bracket, room.market, room.state, room.limits)
    assert [a.code for a in answers] == ["", "", ""]
    for one, answer in zip(bracket, answers, strict=True):
        room.state.intend(one, answer)
    assert room.state.keeping.unacked["XNAS"].keys() == {"E"}  # the exits wait for their entry
