"""The wire as people read it: one order's story, whole texts, exact prices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from onetape.cli import main
from onetape.errors import SettingsError, TapeError
from onetape.results.tape import open_tape
from onetape.results.wire import sessions_frame, shown, wire_frame
from onetape.tape.postgres import PostgresTape
from onetape.tape.server import connect
from onetape.tape.wirelog import WireLog, WireRow

T0 = 1_782_900_000 * 10**9  # 2026-07-01 10:00 UTC
US = "FIX.4.4:US->THEM"


def row(place: int, direction: str, kind: str, fields: dict[int, str]) -> WireRow:
    """Return a message at a place, one each second."""
    raw = "".join(
        f"{tag}={value}\x01" for tag, value in ({8: "FIX.4.4", 35: kind} | fields).items()
    )
    order, venue, execution = (fields.get(tag, "") for tag in (11, 37, 17))
    times, told = (T0, direction, place, 0, T0 + place * 10**9), (order, venue, execution)
    return WireRow("gw", US, *times, kind, False, *told, raw.encode(), place)


STORY = [
    row(1, "out", "A", {108: "30"}),
    row(2, "out", "D", {11: "O1", 55: "MSFT", 54: "1", 38: "100", 44: "412.25"}),
    row(3, "in", "8", {11: "O1", 37: "V1", 17: "E1", 150: "0", 39: "0", 151: "100", 14: "0"}),
    row(4, "out", "G", {11: "O2", 41: "O1", 55: "MSFT", 54: "1", 38: "50", 44: "412.30"}),
    row(5, "in", "8", {11: "O2", 41: "O1", 37: "V1", 17: "E2", 150: "5", 39: "0"}),
    row(6, "in", "8", {11: "O2", 37: "V1", 17: "E3", 32: "50", 31: "412.2999999999999999991"}),
    row(7, "out", "F", {11: "O9", 41: "O8"}),
    row(8, "in", "9", {11: "O9", 41: "O8", 37: "NONE", 39: "8", 58: "Unknown order"}),
    row(9, "in", "9", {11: "O7", 41: "O6", 37: "NONE", 39: "8", 31: "many", 44: "1E30"}),
]  # fmt: skip


@pytest.fixture
def tape(database: str) -> Iterator[PostgresTape]:
    """A tape with a story on its wire."""
    log = WireLog.open(database)
    log.append(STORY)
    log.close()
    made = PostgresTape(database)
    yield made
    made.close()


def test_an_order_is_found_with_what_replaced_it_by_any_of_its_ids(tape: PostgresTape) -> None:
    for named in ("O1", "O2", "V1"):
        assert wire_frame(tape, order=named)["seq"].to_list() == [2, 3, 4, 5, 6]
    assert wire_frame(tape, order="O9")["seq"].to_list() == [7, 8]
    assert wire_frame(tape, order="nothing").height == 0


def test_a_row_says_what_the_message_says(tape: PostgresTape) -> None:
    filled = wire_frame(tape, US, since="2026-07-01T10:00:06").row(0, named=True)
    assert (filled["name"], filled["direction"], filled["exec_id"]) == (
        "ExecutionReport",
        "in",
        "E3",
    )
    assert filled["last_quantity"] == Decimal(50)
    assert filled["last_price"] == Decimal("412.299999999999999999")  # 18 places
    assert filled["text"].startswith("8=FIX.4.4|35=8|11=O2|37=V1|")
    asked = wire_frame(tape, US, types="D").row(0, named=True)
    assert (asked["side"], asked["price"], asked["symbol"]) == ("BUY", Decimal("412.25"), "MSFT")
    assert (asked["venue_order_id"], asked["replaces"]) == (None, None)
    strange = wire_frame(tape, US).row(-1, named=True)
    assert (strange["last_price"], strange["price"]) == (None, None)


def test_an_empty_frame_has_the_same_columns(tape: PostgresTape) -> None:
    assert wire_frame(tape, until=0).schema == wire_frame(tape).schema
    assert str(wire_frame(tape)["ts"][0]) == "2026-07-01 10:00:01+00:00"


def test_what_makes_no_sense_is_refused(tape: PostgresTape) -> None:
    with pytest.raises(TapeError, match="US->THEM"):
        wire_frame(tape, "FIX.4.4:US->TEM")
    with pytest.raises(SettingsError, match="limit=0"):
        wire_frame(tape, limit=0)
    with pytest.raises(SettingsError, match="since='yesterday'"):
        wire_frame(tape, since="yesterday")


def test_sessions_are_counted_each_way(tape: PostgresTape) -> None:
    told = sessions_frame(tape).row(0, named=True)
    assert (told["session"], told["messages_in"], told["messages_out"]) == (US, 5, 4)
    assert told["last"] > told["first"]


def test_text_that_cannot_be_shown_is_written_out() -> None:
    assert shown(b"58=gr\xc3\xbc\xdf \x00\x1b[31m\x01") == r"58=grü\xdf \x00\x1b[31m|"


def test_a_touched_message_is_named_by_the_tape_and_by_the_command(
    database: str, pg_server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    log = WireLog.open(database)
    log.append(STORY)
    log.close()
    with open_tape(database) as tape:
        assert [one.rows for one in tape.verify_wire()] == [len(STORY)]
        assert all(tape.verify_wire())
        assert main(["verify", "--tape", database]) == 0
        assert "9 messages in 1 batches, as written" in capsys.readouterr().out
        with connect(database) as connection:
            connection.execute("ALTER TABLE onetape.wire DISABLE TRIGGER ALL")
            touched = "UPDATE onetape.wire SET raw = raw || 'x' WHERE seq = 5"
            assert connection.execute(touched).rowcount == 1
        assert not any(tape.verify_wire())
    assert main(["verify", "--tape", database, "--json"]) == 4
    assert not json.loads(capsys.readouterr().out)["ok"]
