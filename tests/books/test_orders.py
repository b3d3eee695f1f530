"""What became of each order."""

from __future__ import annotations

import pytest

from onetape.books.orders import Order, orders
from onetape.tape import kinds

from .tapes import D, Tape

IDS = ("O1", "GOOG", "S")


def order(tape: Tape) -> Order:
    return orders(tape.events)["O1"]


def working(quantity: object = 10, price: object = 100) -> Tape:
    tape = Tape().order(quantity=quantity, price=price)
    tape.add(kinds.OrderSubmitted(*IDS, "A"))
    return tape.add(kinds.OrderAccepted(*IDS, "A", "V1"))


def test_an_order_begins_initialized():
    one = order(Tape().order())
    assert (one.status, one.filled, one.average_price, one.seqs) == ("INITIALIZED", 0, None, (1,))


def test_an_order_is_filled_in_parts_and_remembers_each_event():
    tape = working().fill(4, 99, 1, client_order_id="O1")
    assert (order(tape).status, order(tape).left) == ("PARTIALLY_FILLED", 6)
    one = order(tape.on(2).fill(6, 100, 1, client_order_id="O1"))
    assert (one.status, one.average_price, one.commission) == ("FILLED", D("99.6"), {"USD": 2})
    assert one.seqs == (1, 2, 3, 4, 5)
    assert one.ts_last == tape.events[-1].ts_event
    assert not one.is_open


@pytest.mark.parametrize(
    ("fact", "status"),
    [
        (kinds.OrderDenied(*IDS, "too large"), "DENIED"),
        (kinds.OrderRejected(*IDS, "closed"), "REJECTED"),
        (kinds.OrderCanceled(*IDS), "CANCELED"),
        (kinds.OrderExpired(*IDS), "EXPIRED"),
        (kinds.OrderEmulated(*IDS), "EMULATED"),
        (kinds.OrderReleased(*IDS), "RELEASED"),
        (kinds.OrderTriggered(*IDS), "TRIGGERED"),
    ],
)
def test_each_event_leaves_its_status(fact, status):
    assert order(Tape().order().add(fact)).status == status


def test_a_refusal_keeps_its_reason():
    assert order(Tape().order().add(kinds.OrderDenied(*IDS, "too large"))).reason == "too large"


def test_a_refused_request_leaves_the_order_as_it_was():
    tape = working().add(kinds.OrderPendingCancel(*IDS))
    assert order(tape).status == "PENDING_CANCEL"
    assert order(tape.add(kinds.OrderCancelRejected(*IDS, "too late"))).status == "ACCEPTED"


def test_an_update_moves_quantity_and_price():
    tape = working().add(kinds.OrderPendingUpdate(*IDS))
    one = order(tape.add(kinds.OrderUpdated(*IDS, D(20), D(101))))
    assert (one.status, one.quantity, one.price) == ("ACCEPTED", 20, 101)


def test_a_fill_while_a_cancel_is_pending_falls_back_to_partially_filled():
    tape = working().add(kinds.OrderPendingCancel(*IDS)).fill(4, 99, client_order_id="O1")
    assert order(tape).status == "PENDING_CANCEL"
    tape.add(kinds.OrderCancelRejected(*IDS, "too late"))
    assert order(tape).status == "PARTIALLY_FILLED"


def test_a_split_rescales_a_working_order():
    one = order(working().fill(4, 99, client_order_id="O1").split(2))
    assert (one.quantity, one.filled, one.price, one.average_price) == (20, 8, 50, D("49.5"))
    assert one.seqs[-1] == 5


def test_a_split_leaves_a_finished_order_and_other_accounts_alone():
    done = working().add(kinds.OrderCanceled(*IDS)).split(2)
    assert order(done).quantity == 10
    other = working()
    other.account = "B"
    assert order(other.split(2)).quantity == 10


def test_a_voided_fill_reopens_the_order():
    one = order(working().fill(10, 99, client_order_id="O1").void(4))
    assert (one.status, one.filled, one.seqs) == ("ACCEPTED", 0, (1, 2, 3, 5))


def test_an_order_without_its_beginning_is_an_external_one():
    one = order(Tape().fill(-3, 7, client_order_id="O1"))
    assert (one.external, one.side, one.status, one.quantity) == (True, "SELL", "FILLED", 3)
    assert "O1 has no order.initialized" in one.oddities[0].why
