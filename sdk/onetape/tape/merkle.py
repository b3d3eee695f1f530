"""Merkle trees after RFC 6962, section 2.1: one root for many events, a short proof for one.

Leaves arrive hashed (`ledger.leaf`, prefix 0x00); a node is SHA-256(0x01, left, right). A tree
of n leaves splits at the largest power of two below n.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over hashed leaves; of none, SHA-256 of nothing."""
    if not leaves:
        return hashlib.sha256().digest()
    sha256 = hashlib.sha256
    level = list(leaves)
    while len(level) > 1:  # pairing up level by level gives RFC 6962's splits
        paired = [
            sha256(b"\x01" + level[at] + level[at + 1]).digest()
            for at in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from the leaf at `index` to the root, nearest first."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    level, steps = list(leaves), list[bytes]()
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            steps.append(level[beside])
        paired = [
            hashlib.sha256(b"\x01" + level[at] + level[at + 1]).digest()
            for at in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            paired.append(level[-1])
        level, index = paired, index // 2
    return steps


def climbed(leaf: bytes, index: int, size: int, steps: Sequence[bytes]) -> bytes | None:
    """Return the root that `steps` lead to from a leaf; None when they do not fit the tree."""
    at, last, node, left = index, size - 1, leaf, list(steps)
    if not 0 <= index < size:
        return None
    while last > 0:
        if at % 2 or at < last:  # it has a neighbour on this level
            if not left:
                return None
            beside = left.pop(0)
            pair = beside + node if at % 2 else node + beside
            node = hashlib.sha256(b"\x01" + pair).digest()
        at, last = at // 2, last // 2
    return None if left else node
