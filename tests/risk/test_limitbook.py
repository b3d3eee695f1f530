"""Limit books: exact, versioned, readable; a wrong file is refused with what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onetape.errors import SettingsError
from onetape.risk.limitbook import (
    LIMITS,
    book,
    dumps,
    from_json,
    load,
    loads,
    loosened,
    starter,
    table,
    to_json,
)

WHOSE = ("D", "A", "S", "ann", "XNAS", "AAA.XNAS", "equity")


def test_a_starter_set_leaves_no_required_limit_out_and_reads_back_from_its_file(
    tmp_path: Path,
) -> None:
    limits = starter(100_000)
    for kind in ("equity", "fx", "future", "option", "crypto_perpetual"):
        assert limits.resolve((*WHOSE[:6], kind)).missing == ()
    (tmp_path / "limits.toml").write_text(dumps(limits))
    (tmp_path / "limits.json").write_text(to_json(limits))
    for name in ("limits.toml", "limits.json"):
        again = load(tmp_path / name)
        assert again == limits
        assert again.version == limits.version


def test_equal_rules_have_one_version_however_they_are_written() -> None:
    one = book([("firm", "max_gross", "1E+6"), ("firm", "restricted", ["B", "A"])])
    two = book([("firm", "restricted", ["A", "B", "A"]), ("firm", "max_gross", 1_000_000.0)])
    assert one.version == two.version
    assert one.version.startswith("sha-")
    assert from_json(to_json(one), "v7").version == "v7"


def test_the_tightest_of_all_rules_that_apply_wins() -> None:
    limits = book(
        [
            ("firm", "max_order_quantity", 100),
            ("strategy:*", "max_order_quantity", 50),
            ("trader:ann", "max_order_quantity", 70),
            ("trader:bob", "max_order_quantity", 1),
            ("firm", "duplicate_seconds", 1),
            ("venue:XNAS", "duplicate_seconds", 2),
            ("firm", "max_long", 30),
            ("instrument:AAA.XNAS", "max_position", 20),
        ]
    )
    found = limits.resolve(WHOSE)
    assert found.quantity == (50, "strategy:* max_order_quantity")
    assert found.duplicate == (2, "venue:XNAS duplicate_seconds")
    assert found.long == found.short == (20, "instrument:AAA.XNAS max_position")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[firm]\nmax_ordr_quantity = 1", "did you mean max_order_quantity"),
        ("[firm]\nmax_gross = 'ten'", "a positive number expected"),
        ("[firm]\nmax_gross = -1", "a positive number expected"),
        ("[firm]\nmax_gross = 0", "a positive number expected"),
        ("[firm]\nmax_gross = true", "a positive number expected"),
        ("[firm]\nmax_open_orders = 1.5", "a whole number"),
        ("[firm]\nprice_drift_seconds = 9999", "at most 3600"),
        ("[firm]\nself_match = 1", "true or false"),
        ("[firm]\nrestricted = 'A'", "a list of text"),
        ("[stratgy.X]\nmax_gross = 1", "did you mean strategy"),
        ("[strategy]\nmax_gross = 1", "has no name"),
        ("max_gross = 1", "stands in no scope"),
        ("absent = 'maybe'", '"allow" or "deny"'),
        ("[firm", "no TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_what_was_expected(
    text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "limits.toml").write_text(text)
    with pytest.raises(SettingsError, match=said) as told:
        load(tmp_path / "limits.toml")
    assert "limits.toml" in str(told.value)


def test_a_missing_file_and_text_that_is_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="starter"):
        load(tmp_path / "none.toml")
    for text in ("{", "[]", '{"rules": 3}'):
        with pytest.raises(SettingsError, match="no limits in JSON"):
            from_json(text)
    with pytest.raises(SettingsError, match="twice"):
        book([("firm", "max_gross", 1), ("firm", "max_gross", 2)])


@pytest.mark.parametrize(
    ("name", "old", "new", "looser"),
    [
        ("max_gross", 10, 11, True),
        ("max_gross", 10, 9, False),
        ("duplicate_seconds", 2, 1, True),
        ("duplicate_seconds", 1, 2, False),
        ("restricted", ["A", "B"], ["A"], True),
        ("restricted", ["A"], ["A", "B"], False),
        ("allow_venues", ["A"], ["A", "B"], True),
        ("allow_venues", ["A", "B"], ["A"], False),
        ("self_match", True, False, True),
        ("self_match", False, True, False),
    ],
)
def test_what_a_change_loosens_is_named(name: str, old: Any, new: Any, looser: bool) -> None:
    before, after = book([("firm", name, old)]), book([("firm", name, new)])
    assert bool(loosened(before, after)) == looser
    assert loosened(before, before) == ()
    assert loosened(before, book([]))
    assert not loosened(book([]), before) or (name, new) == ("self_match", True)


def test_a_switch_put_off_and_an_absent_that_allows_are_looser() -> None:
    assert loosened(book([]), book([("firm", "self_match", False)]))
    assert loosened(book([], "deny"), book([], "allow")) == ("absent: deny -> allow",)


def test_every_limit_is_in_the_table() -> None:
    assert all(f"`{name}`" in table() for name in LIMITS)
    assert loads("").rules == ()
