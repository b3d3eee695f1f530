"""Where the public dictionaries and scripts are, and a visible skip where they are not."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from onetape_fix.spec import Dictionary, load, shipped

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("FIX_SHARED", ROOT.parent / "shared")) / "fix"
PUBLIC = {
    "FIX.4.2": "FIX42.xml",
    "FIX.4.4": "FIX44.xml",
    "FIXT.1.1": "FIXT11.xml",
    "FIX.5.0SP2": "FIX50SP2.xml",
}
needs_shared = pytest.mark.skipif(
    not (SHARED / "dictionaries").is_dir(), reason=f"no public dictionaries at {SHARED}"
)


@cache
def public(version: str) -> Dictionary:
    return load(SHARED / "dictionaries" / PUBLIC[version])


def both(version: str, ours: bool) -> Dictionary:
    return shipped(version) if ours else public(version)
