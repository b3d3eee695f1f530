"""Fact: the base of everything that is recorded, and the words that facts share."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Side = Literal["BUY", "SELL"]
Scalar = str | int | float | bool | None
# Belongs to a person and can be erased: sealed before it is recorded, see `tape.personal`.
Personal = Annotated[str, msgspec.Meta(extra={"personal": True})]


class Fact(msgspec.Struct, frozen=True, tag_field="kind", gc=False):
    """Base of every recorded fact; the tag stands in `kind` when written.

    Facts hold no cycles, so the collector need not walk the many that a run makes (gc=False).
    """
