"""What each event makes of an order, in whatever order a venue tells them, and how often."""

from __future__ import annotations

import random
from decimal import Decimal, localcontext

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onetape.books.exact import EXACT
from onetape.books.lifecycle import is_legal, transition
from onetape.books.orders import Order, orders
from onetape.books.positions import Key, positions
from onetape.books.state import Books
from onetape.tape import kinds
from onetape.tape.event import Event

from .tapes import D, Tape

IDS = ("O1", "GOOG", "S")
ACCEPTED = kinds.OrderAccepted(*IDS, "A", "V1")
CANCELED, EXPIRED = kinds.OrderCanceled(*IDS), kinds.OrderExpired(*IDS)
REJECTED, DENIED = kinds.OrderRejected(*IDS, "closed"), kinds.OrderDenied(*IDS, "too large")
CANCELING, UPDATING = kinds.OrderPendingCancel(*IDS), kinds.OrderPendingUpdate(*IDS)
TOO_LATE = kinds.OrderCancelRejected(*IDS, "too late")
EVENTS_TO = {type(CANCELED): "CANCELED", type(EXPIRED): "EXPIRED", type(REJECTED): "REJECTED",
             type(DENIED): "DENIED"}  # fmt: skip
SAID = (
    kinds.OrderSubmitted(*IDS, "A"), ACCEPTED, DENIED, REJECTED, kinds.OrderEmulated(*IDS),
    kinds.OrderReleased(*IDS), kinds.OrderTriggered(*IDS), UPDATING, CANCELING,
    kinds.OrderModifyRejected(*IDS, "too late"), TOO_LATE, CANCELED, EXPIRED,
)  # fmt: skip


def sent(quantity: object = 10) -> Tape:
    return Tape().order(quantity=quantity).add(kinds.OrderSubmitted(*IDS, "A"))


def working(quantity: object = 10) -> Tape:
    return sent(quantity).add(ACCEPTED)


def ours(quantity: Decimal, trade: str = "T", side: str = "BUY") -> kinds.OrderFilled:
    terms = ("A", "V1", trade, side, quantity, D(100), "USD", D(1), "USD", "TAKER")
    return kinds.OrderFilled(*IDS, *terms)  # type: ignore[arg-type]


def fill(tape: Tape, quantity: object, price: object = 100, **other: object) -> Tape:
    return tape.fill(quantity, price, client_order_id="O1", **other)


def order(tape: Tape) -> Order:
    return orders(tape.events)["O1"]


def why(tape: Tape) -> list[str]:
    return [odd.why.partition(": ")[2] for odd in order(tape).oddities]


# -- races


def test_a_fill_may_come_before_the_accept():
    tape = fill(sent(), 4).add(ACCEPTED)
    assert (order(tape).status, order(tape).venue_order_id) == ("PARTIALLY_FILLED", "V1")
    tape = fill(tape, 6).add(ACCEPTED)
    assert (order(tape).status, why(tape)) == ("FILLED", [])


def test_a_fill_while_a_cancel_is_pending_leaves_it_pending_until_nothing_is_left():
    tape = fill(working().add(CANCELING), 4)
    assert (order(tape).status, order(tape).resting) == ("PENDING_CANCEL", "PARTIALLY_FILLED")
    assert order(fill(tape, 6)).status == "FILLED"


def test_a_cancel_refused_after_the_fill_is_no_surprise():
    tape = fill(working().add(CANCELING), 10).add(TOO_LATE)
    assert (order(tape).status, order(tape).reason, why(tape)) == ("FILLED", "too late", [])


def test_an_accept_while_a_cancel_is_pending_is_what_a_refused_cancel_falls_back_to():
    tape = sent().add(CANCELING).add(ACCEPTED)
    assert order(tape).status == "PENDING_CANCEL"
    assert order(tape.add(TOO_LATE)).status == "ACCEPTED"


def test_an_update_answers_an_update_and_leaves_a_pending_cancel_alone():
    tape = working().add(UPDATING).add(CANCELING).add(kinds.OrderUpdated(*IDS, D(8)))
    assert (order(tape).status, order(tape).quantity) == ("PENDING_CANCEL", 8)


@pytest.mark.parametrize("end", [CANCELED, EXPIRED])
def test_a_late_fill_counts_and_the_order_stays_ended_unless_it_is_wholly_filled(end):
    tape = fill(working().add(end), 4)
    assert (order(tape).status, order(tape).filled) == (EVENTS_TO[type(end)], 4)
    tape = fill(tape, 6)
    assert (order(tape).status, order(tape).left, why(tape)) == ("FILLED", 0, [])


@pytest.mark.parametrize("refusal", [REJECTED, DENIED])
def test_a_fill_of_a_refused_order_brings_it_back_to_life(refusal):
    tape = fill(Tape().order().add(refusal), 4)
    assert (order(tape).status, order(tape).is_open) == ("PARTIALLY_FILLED", True)
    assert why(tape) == [f"order.filled while {EVENTS_TO[type(refusal)]}"]


def test_a_refusal_said_of_a_part_that_is_filled_does_not_end_the_order():
    tape = fill(working(), 4).add(REJECTED)  # as of a resend that the venue knows already
    assert (order(tape).status, why(tape)) == (
        "PARTIALLY_FILLED",
        ["order.rejected while PARTIALLY_FILLED"],
    )


def test_an_accept_that_comes_after_the_cancel_does_not_reopen_the_order():
    tape = sent().add(CANCELED).add(ACCEPTED)
    assert (order(tape).status, why(tape)) == ("CANCELED", ["order.accepted while CANCELED"])


def test_more_than_was_wanted_is_booked_and_listed():
    tape = fill(fill(working(), 8), 5)
    one = order(tape)
    assert (one.status, one.filled, one.left) == ("FILLED", 13, -3)
    assert why(tape) == ["trade T5 fills 3 more than the 10 wanted"]


def test_an_update_after_a_part_was_filled_counts_what_is_filled():
    tape = fill(working(), 4).add(UPDATING).add(kinds.OrderUpdated(*IDS, D(20), D(101)))
    one = order(tape)
    assert (one.status, one.quantity, one.left) == ("PARTIALLY_FILLED", 20, 16)
    assert order(tape.add(kinds.OrderUpdated(*IDS, D(4)))).status == "FILLED"


def test_an_update_that_came_through_beside_the_last_fill_reopens_the_order():
    tape = fill(working().add(UPDATING), 10).add(kinds.OrderUpdated(*IDS, D(15)))
    assert (order(tape).status, order(tape).left) == ("PARTIALLY_FILLED", 5)
    assert why(tape) == ["order.updated while FILLED"]


# -- busts, corrections, repeats


def test_a_bust_reopens_an_order_that_its_fill_had_ended():
    tape = fill(fill(working(), 4), 6).void(5)
    assert (order(tape).status, order(tape).filled) == ("PARTIALLY_FILLED", 4)


def test_a_bust_does_not_reopen_an_order_that_was_canceled():
    tape = fill(working(), 4).add(CANCELED).void(4)
    assert (order(tape).status, order(tape).filled) == ("CANCELED", 0)


@pytest.mark.parametrize("name", ["T4", "T4-1"])
def test_a_correction_is_a_bust_and_a_new_fill(name):
    tape = fill(working(), 10).void(4)
    one = order(fill(tape, 10, 99, trade_id=name))
    assert (one.status, one.filled, one.average_price) == ("FILLED", 10, 99)
    assert positions(tape.events)[Key("A", "GOOG", "S")].quantity == 10


def test_an_execution_told_again_says_nothing_new():
    tape = fill(working(), 4, trade_id="T")
    once = order(tape)
    assert order(fill(tape, 4, trade_id="T")) == once


# -- external orders


@pytest.mark.parametrize("fact", [*SAID, kinds.OrderUpdated(*IDS, D(5), D(7))])
def test_any_event_of_an_unknown_order_begins_an_external_one(fact):
    one = order(Tape().add(fact))
    assert (one.external, one.side, one.instrument, one.seqs) == (True, "", "GOOG", (1,))
    assert one.status == transition("INITIALIZED", fact, "INITIALIZED")
    assert one.oddities[0].seq == 1


def test_an_external_order_is_as_large_as_what_is_known_of_it():
    tape = Tape().add(kinds.OrderUpdated(*IDS, D(10), D(7)))
    assert (order(tape).quantity, order(tape).is_open) == (10, True)
    assert order(fill(tape, -4)).left == 6
    one = order(fill(tape, -8))
    assert (one.quantity, one.filled, one.side, one.status) == (12, 12, "SELL", "FILLED")


def test_a_beginning_that_comes_later_gives_an_external_order_its_terms():
    one = order(fill(Tape(), 4).order(quantity=10, price=101))
    assert (one.external, one.type, one.quantity, one.price) == (False, "LIMIT", 10, 101)
    assert (one.status, one.left, one.seqs) == ("PARTIALLY_FILLED", 6, (1, 2))


def test_an_external_order_whose_fill_was_taken_back_is_over():
    one = order(fill(Tape(), 4).void(1))
    assert (one.status, one.filled, one.seqs) == ("CANCELED", 0, (2,))


def test_a_second_beginning_changes_no_terms():
    tape = fill(working(), 4).order(quantity=99)
    assert (order(tape).quantity, order(tape).filled) == (10, 4)
    assert why(tape) == ["order.initialized while PARTIALLY_FILLED"]


# -- laws, over any sequence of events

steps = st.lists(
    st.tuples(st.integers(0, 21), st.integers(1, 8), st.integers(0, 2), st.integers(0, 99)),
    max_size=24,
)
LAW = settings(max_examples=400, deadline=None)
BEGIN = kinds.OrderInitialized(*IDS, "BUY", "LIMIT", D(10), "GTC", price=D(100))


def walk(drawn: list[tuple[int, int, int, int]]) -> list[Event]:
    """Tell of up to three orders, in any order; a void names what stands."""
    told: list[kinds.OrderFact] = []
    stands: list[kinds.OrderFilled] = []
    for what, size, which, pick in drawn:
        fact: kinds.OrderFact
        if what < len(SAID):
            fact = SAID[what]
        elif what < 14:
            fact = BEGIN
        elif what < 16:
            fact = kinds.OrderUpdated(*IDS, D(2 * size))
        elif what < 20 or not stands:
            fact = ours(D(size), f"T{len(told)}", "SELL" if which == 2 else "BUY")
        else:
            gone = stands.pop(pick % len(stands))
            ids = (gone.client_order_id, gone.instrument, gone.strategy, gone.trade_id)
            told.append(kinds.OrderVoided(*ids, "bust"))
            continue
        fact = msgspec.structs.replace(fact, client_order_id=f"O{which}")
        told.append(fact)
        if isinstance(fact, kinds.OrderFilled):
            stands.append(fact)
    return numbered(told)


def numbered(facts: list[kinds.OrderFact]) -> list[Event]:
    return [Event(n, n, n, "run", fact) for n, fact in enumerate(facts, 1)]


def standing_fills(events: list[Event]) -> dict[tuple[str, str], kinds.OrderFilled]:
    found: dict[tuple[str, str], kinds.OrderFilled] = {}
    for fact in (event.fact for event in events):
        if isinstance(fact, kinds.OrderFilled):
            found.setdefault((fact.client_order_id, fact.trade_id), fact)
        elif isinstance(fact, kinds.OrderVoided):
            found.pop((fact.client_order_id, fact.trade_id), None)
    return found


def check(events: list[Event]) -> None:
    folded, stands = orders(events), standing_fills(events)
    assert set(folded) == {e.fact.client_order_id for e in events if tells(e, stands)}
    for name, one in folded.items():
        mine = [f for (whose, _), f in stands.items() if whose == name]
        with localcontext(EXACT):
            assert one.filled == sum((f.quantity for f in mine), D(0))
            assert one.filled_value == sum((f.quantity * f.price for f in mine), D(0))
            assert one.commission.get("USD", D(0)) == sum((f.commission for f in mine), D(0))
        done = one.filled > 0 and one.left <= 0
        said = {type(e.fact) for e in events if e.fact.client_order_id == name}  # type: ignore
        assert (one.status == "FILLED") == done
        if one.is_open:
            assert not done
        elif not done:
            assert said & {*EVENTS_TO, kinds.OrderVoided}
        assert one.resting == one.status or one.status in ("PENDING_UPDATE", "PENDING_CANCEL")
    held = positions(events).values()
    with localcontext(EXACT):
        signed = sum((f.quantity * (1 if f.side == "BUY" else -1) for f in stands.values()), D(0))
        assert sum((p.quantity for p in held), D(0)) == signed
        assert sum((o.filled for o in folded.values()), D(0)) == sum(
            (f.quantity for f in stands.values()), D(0)
        )


def tells(event: Event, stands: dict[tuple[str, str], kinds.OrderFilled]) -> bool:
    """Whether an event is one that an order is known by: a fill that was taken back is not."""
    fact = event.fact
    if not isinstance(fact, kinds.OrderFilled):
        return True
    return stands.get((fact.client_order_id, fact.trade_id)) is fact


@LAW
@given(steps)
def test_orders_and_positions_agree_whatever_a_venue_says(drawn):
    check(walk(drawn))


def test_they_agree_on_many_random_walks():
    draw = random.Random(11)
    for _ in range(1500):
        length = draw.randint(1, 24)
        check(walk([
            (draw.randint(0, 21), draw.randint(1, 8), draw.randint(0, 2), draw.randint(0, 99))
            for _ in range(length)
        ]))  # fmt: skip


@LAW
@given(steps, st.integers(0, 99))
def test_a_report_said_twice_changes_nothing_but_the_list_of_events(drawn, pick):
    events = walk(drawn)
    if not events:
        return
    at = pick % len(events)
    facts = [event.fact for event in events]
    twice = numbered([*facts[: at + 1], facts[at], *facts[at + 1 :]])  # type: ignore[list-item]
    once, again = orders(events), orders(twice)
    assert once.keys() == again.keys()
    for name, one in once.items():
        assert stripped(one) == stripped(again[name])


def stripped(one: Order) -> tuple[object, ...]:
    """An order without the places of its events."""
    return tuple(
        getattr(one, name)
        for name in one.__struct_fields__
        if name not in ("seqs", "ts_last", "ts_init", "oddities")
    )


@LAW
@given(steps)
def test_what_a_status_and_an_event_make_is_what_the_fold_makes(drawn):
    events = [e for e in walk(drawn) if not isinstance(e.fact, kinds.OrderVoided)]
    for place, event in enumerate(events):
        before, after = orders(events[:place]), orders(events[: place + 1])
        name = event.fact.client_order_id  # type: ignore[union-attr]
        if name not in before:
            continue
        was, now = before[name], after[name]
        said = transition(was.status, event.fact, was.resting, now.filled, now.quantity)  # type: ignore[arg-type]
        assert now.status == said
        odd = {one.seq for one in now.oddities} - {one.seq for one in was.oddities}
        if not is_legal(was.status, event.fact) and not was.external:  # type: ignore[arg-type]
            assert odd == {event.seq}


@LAW
@given(steps)
def test_books_kept_one_event_at_a_time_hold_the_same_orders(drawn):
    events = [e for e in walk(drawn) if not isinstance(e.fact, kinds.OrderVoided)]
    books = Books()
    with localcontext(EXACT):
        for event in events:
            books.book(event, "live")
    assert books.shelf("live").orders.by_id == orders(events)
    told = {(why, seq) for _, _, why, seq in books.drain().findings}
    assert told == {(o.why, o.seq) for one in orders(events).values() for o in one.oddities}
