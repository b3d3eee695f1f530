"""What the laws are drawn from: messages of any shape, and ways to chop bytes up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from onetape_fix.wire import DATA_TAGS, HEADER_TAGS, Encoder
from onetape_fix.wire.tags import LENGTH_OF

ENCODER = Encoder("FIX.4.4", [(49, "ME"), (56, "BROKER")])
SENT = "20260821-12:00:00.123456"
COUNTS = (453, 555, 268, 146, 802)  # tags that open groups here
LENGTHS = frozenset(LENGTH_OF.values())

TAKEN = DATA_TAGS | LENGTHS | HEADER_TAGS | frozenset(COUNTS) | {10}
plain_tags = st.integers(1, 9_999).filter(lambda tag: tag not in TAKEN)
texts = st.text(
    st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\x01"), min_size=1
)
values = st.one_of(
    texts,
    st.integers(-(10**12), 10**12),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9),
)
plain = st.tuples(plain_tags, values).map(lambda field: [field])
data = st.tuples(
    st.sampled_from(sorted(DATA_TAGS - HEADER_TAGS)),
    st.text(st.characters(min_codepoint=0, max_codepoint=255), min_size=1),
).map(lambda field: [(LENGTH_OF[field[0]], len(field[1])), (field[0], field[1])])


def _flat(parts: list[list[Any]]) -> list[Any]:
    return [field for part in parts for field in part]


def _group(rows: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.sampled_from(COUNTS), st.lists(rows, max_size=4)).map(
        lambda group: [(group[0], list(group[1]))]
    )


bodies = st.recursive(
    st.lists(plain | data, min_size=1, max_size=8).map(_flat),
    lambda inner: st.lists(plain | data | _group(inner), min_size=1, max_size=6).map(_flat),
    max_leaves=12,
)


def flattened(body: Any) -> list[tuple[int, str]]:
    """The fields of `body` as they must be read back."""
    found: list[tuple[int, str]] = []
    for tag, value in body:
        if isinstance(value, list):
            found.append((tag, str(len(value))))
            for row in value:
                found += flattened(row)
        else:
            found.append((tag, f"{value:f}" if isinstance(value, Decimal) else str(value)))
    return found


@st.composite
def chopped(draw: Any, data: bytes) -> list[bytes]:
    """`data` in pieces, single bytes and empty pieces among them."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
