"""What all tests share: Hypothesis draws the same examples on every machine, with no clock."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("onetape", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("onetape")
