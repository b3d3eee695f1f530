"""Where a number comes from, by the log: down to the row, the data and the code."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from onetape.books import asof
from onetape.books.frames import frame
from onetape.books.projector import Projector
from onetape.books.provenance import Origin, effects, origin
from onetape.errors import OnetapeError, SettingsError
from onetape.tape import kinds
from onetape.tape.event import Event, Lineage
from onetape.tape.postgres import PostgresTape

from .tapes import DAY, Tape

DATA = kinds.DatasetRef(
    "goog_daily", "GOOG", "bars", "1d", "f" * 64, (0, DAY), 250, "UTC", "close", {}, True
)
SEEN = Lineage("f" * 64, "bar GOOG", DAY, "c" * 64, "p" * 16, "1")


def opened() -> kinds.RunOpened:
    return kinds.RunOpened(
        "Cross", "c" * 64, None, {"fast": 10}, (DATA,), (), "USD", {}, {}, mode="live"
    )


def decided(quantity: int) -> kinds.DecisionMade:
    return kinds.DecisionMade("S", "buy", "GOOG", Decimal(quantity), why="it crossed")


@pytest.fixture
def story() -> list[Event]:
    """A run: 2 decides, 3 orders, 4 and 5 fill; then 6 decides, 7 orders, 8 fills."""
    tape = (
        Tape().on(1).add(opened()).add(decided(10)).order("O3").fill(4, 100, client_order_id="O3")
    )
    tape.fill(6, 101, client_order_id="O3").on(2).add(decided(1)).order("O7", 1)
    tape.fill(1, 102, client_order_id="O7").deposit(50)
    causes = {3: 2, 4: 3, 5: 3, 7: 6, 8: 7}
    return [
        Event(e.seq, e.ts_event, e.ts_init, e.stream, e.fact, causes.get(e.seq), _seen(e))
        for e in tape.events
    ]


def _seen(event: Event) -> Lineage | None:
    return SEEN if isinstance(event.fact, kinds.DecisionMade) else None


@pytest.fixture
def place(database: str, story: list[Event]) -> str:
    with PostgresTape(database) as tape, Projector(tape) as projector:
        tape.append("first", Tape().deposit(1).deposit(2).events, book="live")
        tape.append("run", story, book="live")
        projector.catch_up()
    return database


def titles(node: Origin) -> Any:
    return (node.title, node.seq, [titles(below) for below in node.rests_on])


GROUNDS = [
    ("bar GOOG", None, [("dataset", None, [])]),
    ("code", None, []),
    ("parameters", None, []),
]
DECISION = ("decision", 4, GROUNDS)
ORDER = ("order", 5, [DECISION])


def test_a_fill_leads_to_its_order_its_decision_the_row_the_data_and_the_code(place: str):
    found = origin(place, 6)
    assert titles(found) == ("fill", 6, [ORDER])
    says = [node.says for node in found.walk()]
    assert "BUY 4 GOOG at 100, commission 0 USD, 1970-01-02 00:00:00Z" in says
    assert 'S wanted buy 10 GOOG because "it crossed", 1970-01-02 00:00:00Z' in says
    assert f"SYNTHETIC goog_daily, 250 rows, sha256 {'f' * 64}" in says
    assert "row at 1970-01-02 00:00:00Z" in says
    assert f"Cross, sha256 {'c' * 64}" in says


def test_a_position_leads_to_its_fills_and_what_they_share_is_one_node(place: str):
    found = origin(place, ("position", "live", "A", "GOOG"))
    assert [node.seq for node in found.rests_on] == [6, 7, 10]
    first, second, _ = found.rests_on
    assert first.rests_on[0] is second.rests_on[0]
    assert len([node for node in found.walk() if node.title == "decision"]) == 2


def test_rows_of_frames_lead_to_what_they_rest_on(place: str):
    position = asof.at(place, account="A", instrument="GOOG").positions
    assert [node.seq for node in origin(place, position).rests_on] == [6, 7, 10]
    assert titles(origin(place, frame(place, "fills")[0])) == ("fill", 6, [ORDER])
    order = origin(place, frame(place, "orders")[0])
    assert (order.title, [node.seq for node in order.rests_on]) == ("order", [5, 6, 7])
    cash = origin(place, frame(place, "cash")[0].row(0, named=True))
    assert (cash.title, cash.seq) == ("cash.deposited", 1)
    equity = origin(place, frame(place, "equity")[-1])
    assert [node.seq for node in equity.rests_on] == [1, 2, 6, 7, 10, 11]
    early = origin(place, frame(place, "positions")[0])
    assert [node.seq for node in early.rests_on] == [6]
    exposed = origin(place, frame(place, "exposure"))
    assert [node.seq for node in exposed.rests_on] == [6, 7, 10]
    trade = origin(place, frame(place, "trades")[0])
    assert [node.seq for node in trade.rests_on] == [6, 7, 10]


def test_a_fill_that_was_taken_back_is_no_longer_what_a_position_rests_on(
    place: str, story: list[Event]
):
    with PostgresTape(place) as tape, Projector(tape) as projector:
        void = kinds.OrderVoided("O3", "GOOG", "S", "T4")
        tape.append("run", [Event(10, DAY, DAY, "run", void, 4)])
        projector.catch_up()
    now = origin(place, ("position", "live", "A", "GOOG"))
    assert [node.seq for node in now.rests_on] == [7, 10]
    before = asof.at(place, known_at=11).positions
    assert [node.seq for node in origin(place, before).rests_on] == [6, 7, 10]


def test_what_an_event_led_to_are_the_events_with_it_among_their_causes(place: str):
    assert [(node.title, node.seq) for node in effects(place, 4)] == [
        ("order", 5),
        ("fill", 6),
        ("fill", 7),
    ]
    assert effects(place, 10) == []


def test_a_tree_prints_once_what_is_shared_and_turns_into_plain_types(place: str):
    found = origin(place, ("position", "live", "A", "GOOG"))
    text = repr(found)
    assert text.count("BUY 10 MARKET") == 1
    assert "order #5  (as above)" in text
    assert found.to_dict()["rests_on"][0]["rests_on"][0]["title"] == "order"
    assert "<pre" in found._repr_html_()


def test_what_leads_nowhere_is_refused_with_what_was_expected(place: str):
    with pytest.raises(OnetapeError, match="no event with seq 99"):
        origin(place, 99)
    with pytest.raises(SettingsError, match="leads to no event"):
        origin(place, ("position", "live", "A", "MSFT"))
    with pytest.raises(SettingsError, match="ledger seq"):
        origin(place, "O3")
    with pytest.raises(SettingsError, match="3 rows found"):
        origin(place, frame(place, "fills"))
