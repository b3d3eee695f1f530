"""Merkle trees: the vectors of RFC 6962, and every leaf proves itself and nothing else."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.tape import merkle

DATA = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
LEAVES = [hashlib.sha256(b"\x00" + data).digest() for data in DATA]


def by_definition(leaves: list[bytes]) -> bytes:
    """Return the root as section 2.1 of the RFC defines it, split by split."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = by_definition(leaves[:split]), by_definition(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def test_the_known_roots_of_certificate_transparency_come_out() -> None:
    assert merkle.root([]).hex().startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert merkle.root(LEAVES[:1]).hex().startswith("6e340b9cffb37a989ca544e6bb780a2c")
    assert merkle.root(LEAVES[:2]).hex().startswith("fac54203e7cc696cf0dfcb42c92a1d9d")
    assert merkle.root(LEAVES).hex().startswith("5dc9da79a70659a9ad559cb701ded9a2")


@given(size=st.integers(1, 70), data=st.data())
def test_the_root_is_that_of_the_definition_and_each_leaf_climbs_to_it(
    size: int, data: st.DataObject
) -> None:
    leaves = [hashlib.sha256(bytes([n])).digest() for n in range(size)]
    root = merkle.root(leaves)
    assert root == by_definition(leaves)
    at = data.draw(st.integers(0, size - 1))
    steps = merkle.path(leaves, at)
    assert merkle.climbed(leaves[at], at, size, steps) == root
    assert merkle.climbed(leaves[at], at, size, [*steps, root]) is None
    if size > 1:
        other = data.draw(st.integers(0, size - 1).filter(lambda n: n != at))
        assert merkle.climbed(leaves[other], at, size, steps) != root
        assert merkle.climbed(leaves[at], at, size, steps[:-1]) != root


def test_a_leaf_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="leaf 8 of 8"):
        merkle.path(LEAVES, 8)
    assert merkle.climbed(LEAVES[0], 9, 8, []) is None
