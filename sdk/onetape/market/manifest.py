"""Manifests: what the catalog keeps about a dataset besides its rows.

One JSON file a dataset, `<root>/onetape/datasets/<name>.json`; replacing it is the commit.
"""

from __future__ import annotations

from typing import Any

import msgspec

from onetape.market.actions import Dividend, Split
from onetape.market.instruments import Instrument

VERSION = 1


class Finding(msgspec.Struct, frozen=True):
    """Something in the data that a reader should know.

    kind      for example "gap", "spike", "crossed_quote", "off_tick"
    count     how many rows or places
    first_ts  ns UTC of the first and `last_ts` of the last of them
    severity  "info" (normal on some markets), "warning" (look) or "error" (wrong)
    """

    kind: str
    count: int
    first_ts: int
    last_ts: int
    detail: str
    severity: str = "warning"


class DataFile(msgspec.Struct, frozen=True):
    """One Parquet file; `path` below the root, `start` and `end` ns UTC, both inclusive."""

    path: str
    start: int
    end: int
    rows: int


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of a dataset; `files` is empty for one in memory."""

    name: str
    instrument: Instrument
    kind: str
    step: str | None = None
    price: str = "LAST"
    tz: str = "UTC"
    stamp: str = "close"
    fingerprint: str = ""
    rows: int = 0
    start: int = 0
    end: int = 0
    source: tuple[dict[str, Any], ...] = ()
    findings: tuple[Finding, ...] = ()
    inferred: dict[str, Any] = {}
    actions: tuple[Split | Dividend, ...] = ()
    synthetic: bool = False
    files: tuple[DataFile, ...] = ()
    version: int = VERSION


def encode(card: Card) -> bytes:
    """Return the JSON of a manifest, indented for people."""
    return msgspec.json.format(msgspec.json.encode(card), indent=1)


def decode(data: bytes) -> Card:
    """Return the manifest that `encode` wrote; msgspec.ValidationError if it is none."""
    return msgspec.json.decode(data, type=Card)
