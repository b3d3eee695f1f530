"""O11: ids as brokers want them, kept before anything leaves; and O10, what never leaves late."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.errors import SettingsError
from onetape_fix.profiles import IdRule
from onetape_fix.trade.ids import DAY_NS, Ids

from .desk import D, Desk

DIGITS = "0123456789"
SHORT = IdRule(max_length=20)


class Clock:
    def __init__(self) -> None:
        self.now = 1_704_726_000_000_000_000

    def __call__(self) -> int:
        return self.now


def test_an_id_that_fits_goes_out_as_it_is() -> None:
    assert Ids(SHORT).root("C1") == "C1"


@pytest.mark.parametrize(
    "rule", [SHORT, IdRule(max_length=20, alphabet=DIGITS), IdRule(max_length=9, alphabet=DIGITS)]
)
@given(names=st.lists(st.text(min_size=21, max_size=40), unique=True, max_size=30))
def test_an_id_that_does_not_fit_stands_under_one_that_does(rule: IdRule, names) -> None:
    ids = Ids(rule)
    wires = [ids.root(name) for name in names] + [ids.next(name) for name in names]
    assert all(rule.allows(wire) for wire in wires)
    assert len(set(wires)) == len(wires)
    assert [ids.client(wire) for wire in wires] == names * 2


def test_pairs_outlive_the_process_and_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "s.ids"
    ids = Ids(SHORT, path)
    long = "O-20240108-143000-001-000-1"
    wires = [ids.root(long), ids.next(long), ids.root("C2")]
    with path.open("ab") as file:
        file.write(b'[19730,"torn')
    again = Ids(SHORT, path)
    assert [again.client(wire) for wire in wires] == [long, long, "C2"]
    assert again.next(long) not in wires
    assert again.wire(long) == wires[0]
    again.close()
    assert Ids(SHORT, path).client(wires[0]) == long


def test_an_id_on_the_wire_already_is_not_used_for_another_order(tmp_path: Path) -> None:
    ids = Ids(SHORT)
    taken = ids.next("C1")
    assert ids.root(taken) != taken


def test_numbers_that_run_short_begin_anew_each_day_where_the_broker_lets_them() -> None:
    clock = Clock()
    ids = Ids(IdRule(max_length=2, alphabet=DIGITS, unique_per_day=True), now=clock)
    monday = [ids.next("C") for _ in range(40)]
    clock.now += DAY_NS
    tuesday = [ids.next("D") for _ in range(40)]
    assert set(monday) & set(tuesday)
    assert ids.client(tuesday[-1]) == "D"


def test_numbers_that_run_out_are_an_error_and_not_a_repeat() -> None:
    ids = Ids(IdRule(max_length=1, alphabet=DIGITS))
    with pytest.raises(SettingsError, match="no ids"):
        [ids.next("C") for _ in range(20)]


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.ids"
    path.write_text("hello\n")
    with pytest.raises(SettingsError, match="no file of order ids"):
        Ids(SHORT, path)


def test_a_long_execution_id_becomes_a_short_one_always_the_same() -> None:
    at = Desk()
    at.new()
    (fill,) = at.fill("E" * 50, 10, 10)
    assert len(fill.trade_id) <= 36
    assert at.fill("E" * 50, 10, 10) == []
    (busted,) = at.report("H", t17="E2", t19="E" * 50, t14=0)
    assert busted.trade_id == fill.trade_id


def test_an_execution_id_that_a_broker_uses_again_next_day_is_another_execution() -> None:
    at = Desk(exec_ids_per_day=True)
    at.new()
    monday = at.fill("1", 10, 10, t75="20240108")
    assert at.fill("1", 10, 10, t75="20240108") == []
    tuesday = at.fill("1", 10, 20, t75="20240109")
    assert [x.trade_id for x in monday + tuesday] == ["20240108-1", "20240109-1"]


def test_a_restarted_process_knows_its_long_ids_from_the_file_alone(tmp_path: Path) -> None:
    name = "O-20240108-143000-001-000-1"
    before = Desk("generic42", tmp_path)
    wire = before.new(name)
    assert wire != name
    after = Desk("generic42", tmp_path)  # the session's kept history has dropped the order
    (fill,) = after.fill("E2", 10, 20, wire=wire)
    assert fill.client_order_id == name
    assert after.flow.book.find(name).unseen == D(10)
    assert not after.doubtful
