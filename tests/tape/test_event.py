"""Canonical bytes: every kind of fact there and back, and a chain that feels every byte."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.errors import BrokenTape
from onetape.tape import event as event_room
from onetape.tape import kinds
from onetape.tape.event import GENESIS, Event, Lineage, decode, encode, head_of, link

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
EXACT = st.decimals(
    allow_nan=False, allow_infinity=False, places=None, min_value=-(10**18), max_value=10**18
)
st.register_type_strategy(str, TEXT)
st.register_type_strategy(Decimal, EXACT)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))

FACTS = [st.builds(kind) for kind in kinds.BY_TAG.values()]
LINEAGE = st.none() | st.builds(Lineage)
EVENTS = st.builds(
    Event,
    seq=st.integers(1, 2**40),
    fact=st.one_of(FACTS),
    cause=st.none() | st.integers(1, 2**40),
    lineage=LINEAGE,
    version=st.just(kinds.VERSION),
)


@pytest.mark.parametrize("tag", sorted(kinds.BY_TAG))
def test_every_kind_of_fact_comes_back_as_it_was(tag):
    @given(st.builds(kinds.BY_TAG[tag]))
    def holds(fact: Any) -> None:
        event = Event(1, 2, 3, "s", fact)
        again = decode(encode(event))
        assert again == event
        assert encode(again) == encode(event)
        assert again.kind == tag

    holds()


@given(EVENTS)
def test_whole_events_come_back_as_they_were(event):
    assert decode(encode(event)) == event


def test_canonical_bytes_are_plain_json_with_exact_decimals():
    fact = kinds.CashDeposited("A", "USD", Decimal("0.10"))
    assert encode(Event(1, 2, 3, "account/A", fact)) == (
        b'{"seq":1,"ts_event":2,"ts_init":3,"stream":"account/A","fact":{"kind":"cash.deposited",'
        b'"account":"A","currency":"USD","amount":"0.10"},"cause":null,"lineage":null,"version":1}'
    )


def test_a_mapping_is_written_in_order_of_its_keys():
    given_ = [{"x": 1, "a": 2}, {"a": 2, "x": 1}]
    said = {
        encode(
            Event(
                1,
                0,
                0,
                "s",
                kinds.OrderInitialized(
                    "O",
                    "I",
                    "S",
                    "BUY",
                    "LIMIT",
                    Decimal(1),
                    "GTC",
                    details={k: str(v) for k, v in one.items()},
                ),
            )
        )
        for one in given_
    }
    assert len(said) == 1


@given(st.lists(EVENTS, min_size=1, max_size=5), st.data())
def test_any_changed_byte_changes_the_head_of_the_chain(events, data):
    raws = [encode(event) for event in events]
    at = data.draw(st.integers(0, len(raws) - 1))
    byte = data.draw(st.integers(0, len(raws[at]) - 1))
    changed = bytearray(raws[at])
    changed[byte] ^= data.draw(st.integers(1, 255))
    assert head_of([*raws[:at], bytes(changed), *raws[at + 1 :]]) != head_of(raws)


def test_the_chain_is_sha256_over_the_head_and_the_bytes():
    raws = [b"one", b"two"]
    first = hashlib.sha256(bytes(32) + b"one").digest()
    assert bytes(32) == GENESIS
    assert link(GENESIS, b"one") == first
    assert head_of(raws) == hashlib.sha256(first + b"two").digest()
    assert head_of([]) == GENESIS


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"null",
        b'{"seq":1',
        b'{"seq":1,"ts_event":0,"ts_init":0,"stream":"s","fact":{"kind":"x"}}',
    ],
)
def test_bytes_that_are_no_event_are_refused(raw):
    with pytest.raises(BrokenTape):
        decode(raw)


def test_every_kind_has_its_own_tag_and_is_in_the_union():
    leaves = set(kinds.AnyFact.__args__)
    assert set(kinds.BY_TAG.values()) == leaves
    assert len({kinds.tag_of(k) for k in leaves}) == len(leaves)
    for tag, kind in kinds.BY_TAG.items():
        assert tag.count(".") == 1
        assert msgspec.structs.fields(kind)


def test_an_event_of_an_older_format_is_brought_up_to_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = (
        b'{"seq":1,"ts_event":5,"ts_init":5,"stream":"a","fact":{"kind":"cash.deposited",'
        b'"who":"A","currency":"USD","amount":"7"},"cause":null,"lineage":null,"version":1}'
    )

    def renamed(fact: dict[str, object]) -> dict[str, object]:
        return {("account" if name == "who" else name): value for name, value in fact.items()}

    monkeypatch.setattr(event_room, "VERSION", 3)
    monkeypatch.setitem(event_room.UPCASTS, ("cash.deposited", 1), renamed)
    event = decode(old)
    assert event.fact == kinds.CashDeposited("A", "USD", Decimal(7))
    assert event.version == 3
    with pytest.raises(BrokenTape, match="brought from format version 2 to 3"):
        decode(old.replace(b'"version":1', b'"version":2'))  # no step leads on from there


def test_an_event_of_a_newer_format_says_which_version_is_needed() -> None:
    newer = (
        b'{"seq":1,"ts_event":5,"ts_init":5,"stream":"a","fact":{"kind":"new.kind"},"version":9}'
    )
    with pytest.raises(BrokenTape, match="format version 9: this onetape reads up to 1"):
        decode(newer)
