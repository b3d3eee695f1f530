"""The table of an order's states, against rules that are not read from it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from onetape.books.lifecycle import EVENTS, LEGAL, MOVES, STATES, TERMINAL, is_legal, transition
from onetape.tape import kinds

D = Decimal
IDS = ("O1", "GOOG", "S")
RANKS = (  # by FIX's precedence of order states
    {"DENIED", "REJECTED"},
    {"INITIALIZED"},
    {"EMULATED", "RELEASED", "SUBMITTED"},
    {"ACCEPTED"},
    {"TRIGGERED"},
    {"PARTIALLY_FILLED"},
    {"CANCELED", "EXPIRED"},
    {"FILLED"},
)


def rank(status: str) -> int:
    return next(n for n, states in enumerate(RANKS) if status in states)


def test_the_table_knows_every_state_and_every_event_of_an_order():
    own = {kind for kind in kinds.BY_TAG.values() if issubclass(kind, kinds.OrderFact)}
    assert set(EVENTS.values()) == own
    assert set(MOVES) == STATES
    assert all(set(moves) == own for moves in MOVES.values())


LEADS = {"submitted": "SUBMITTED", "accepted": "ACCEPTED", "triggered": "TRIGGERED",
         "canceled": "CANCELED", "expired": "EXPIRED", "filled": "PARTIALLY_FILLED"}  # fmt: skip


@pytest.mark.parametrize("event", LEADS)
def test_the_stronger_of_state_and_report_stands_by_fixs_precedence(event):
    target = LEADS[event]
    for status in STATES - {"PENDING_UPDATE", "PENDING_CANCEL"}:
        to = MOVES[status][EVENTS[event]].to
        if rank(target) > rank(status) and (status, event) != ("REJECTED", "submitted"):
            assert to == target, status
        elif rank(target) < rank(status):
            assert to == status


def test_a_refusal_ends_what_showed_no_sign_of_life_beyond_it():
    for status in STATES:
        refused = MOVES[status][kinds.OrderRejected].to
        filled_or_ended = status in {"PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED"}
        assert refused == (status if filled_or_ended else "REJECTED")
        denied = MOVES[status][kinds.OrderDenied].to
        unsent = status in {"INITIALIZED", "EMULATED", "RELEASED", "SUBMITTED", "DENIED"}
        assert denied == ("DENIED" if unsent else status)


ENGINE = {  # what the engine's own order allows; ours must not call it odd
    "INITIALIZED": "denied emulated released submitted rejected accepted canceled expired "
    "triggered filled",
    "EMULATED": "canceled expired released",
    "RELEASED": "submitted denied canceled",
    "SUBMITTED": "pending_update pending_cancel rejected canceled accepted updated triggered "
    "filled",
    "ACCEPTED": "rejected pending_update pending_cancel canceled triggered updated expired filled",
    "CANCELED": "filled",
    "PENDING_UPDATE": "rejected accepted canceled expired triggered pending_update "
    "pending_cancel modify_rejected updated filled",
    "PENDING_CANCEL": "rejected pending_cancel canceled expired accepted cancel_rejected filled",
    "TRIGGERED": "rejected pending_update pending_cancel canceled expired filled",
    "PARTIALLY_FILLED": "pending_update pending_cancel canceled expired updated filled",
}


def test_what_the_engine_allows_is_legal():
    for status, events in ENGINE.items():
        assert {
            event for event in events.split() if not MOVES[status][EVENTS[event]].legal
        } == set()


def test_a_pending_request_is_left_by_its_answers_and_by_ends_only():
    for status, answers in (
        ("PENDING_UPDATE", {"modify_rejected", "updated"}),
        ("PENDING_CANCEL", {"cancel_rejected"}),
    ):
        ends = {"rejected", "canceled", "expired", "pending_cancel"}
        left = {name for name, kind in EVENTS.items() if MOVES[status][kind].to != status}
        assert left == answers | (ends if status == "PENDING_UPDATE" else ends - {"pending_cancel"})


WORKING = STATES - TERMINAL - {"PENDING_UPDATE", "PENDING_CANCEL"}


def leaves(status: str, event: str) -> str:
    return MOVES[status][EVENTS[event]].to


def test_what_is_no_state_of_its_own_leaves_an_order_as_it_is():
    for status in STATES - {"PENDING_UPDATE", "PENDING_CANCEL"}:
        for event in ("initialized", "modify_rejected", "cancel_rejected", "updated", "voided"):
            assert leaves(status, event) == status
    assert leaves("PENDING_UPDATE", "modify_rejected") == leaves("PENDING_UPDATE", "updated") == "<"
    assert leaves("PENDING_CANCEL", "cancel_rejected") == "<"


def test_a_request_is_pending_for_what_works_and_nothing_else():
    for event, pending in (
        ("pending_update", "PENDING_UPDATE"),
        ("pending_cancel", "PENDING_CANCEL"),
    ):
        assert {status for status in STATES if leaves(status, event) == pending} - {pending} == (
            WORKING | ({"PENDING_UPDATE"} if event == "pending_cancel" else set())
        )
        assert all(leaves(status, event) == status for status in TERMINAL)


def test_an_order_is_emulated_and_released_before_it_is_sent_only():
    assert {s for s in STATES if leaves(s, "emulated") == "EMULATED"} == {"INITIALIZED", "EMULATED"}
    assert {s for s in STATES if leaves(s, "released") == "RELEASED"} == {
        "INITIALIZED", "EMULATED", "RELEASED",
    }  # fmt: skip
    for status in STATES - {"INITIALIZED", "EMULATED"}:
        assert leaves(status, "emulated") == status
        assert leaves(status, "released") == status


@pytest.mark.parametrize("event", [*LEADS, "emulated", "released", "denied", "rejected"])
def test_an_event_of_a_state_leaves_that_state_as_it_is(event):
    state = LEADS.get(event, event.upper())
    assert leaves(state, event) == state


def test_an_end_ends_what_works_or_waits():
    for status in WORKING | {"PENDING_UPDATE", "PENDING_CANCEL"}:
        assert leaves(status, "canceled") == "CANCELED"
        assert leaves(status, "expired") == "EXPIRED"
    assert (leaves("CANCELED", "expired"), leaves("EXPIRED", "canceled")) == ("CANCELED", "EXPIRED")
    assert leaves("EMULATED", "submitted") == leaves("RELEASED", "submitted") == "SUBMITTED"
    assert leaves("REJECTED", "submitted") == "REJECTED"  # said late: it was sent, and refused


def test_nothing_legal_leads_out_of_an_end():
    for status in TERMINAL:
        assert all(m.to == status for m in MOVES[status].values() if m.legal)


def test_what_is_legal_can_be_asked_in_words():
    assert ("CANCELED", "order.filled") in LEGAL  # it was under way
    assert ("FILLED", "order.canceled") not in LEGAL
    assert is_legal("PENDING_CANCEL", kinds.OrderAccepted(*IDS, "A", "V1"))
    refused = kinds.OrderCancelRejected(*IDS, "too late")
    assert transition("PENDING_CANCEL", refused, resting="PARTIALLY_FILLED") == "PARTIALLY_FILLED"
    fill = kinds.OrderFilled(*IDS, "A", "V1", "T", "BUY", D(10), D(1), "USD", D(0), "USD", "TAKER")
    assert transition("ACCEPTED", fill, filled=D(10), quantity=D(10)) == "FILLED"
    assert transition("ACCEPTED", fill, filled=D(10), quantity=D(20)) == "PARTIALLY_FILLED"
