# pyright: standard
"""Progress of long work, where somebody is looking: a terminal or a notebook."""

from __future__ import annotations

import sys
from typing import Any

LONG = 500_000  # rows from which on a bar is shown unasked


class Silent:
    """A bar that shows nothing."""

    def update(self, rows: int) -> None:
        """Take no notice."""

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def bar(rows: int | None, said: str, wanted: bool | None) -> Any:
    """Return a progress bar over `rows` (None: unknown); `wanted` None shows it on long work."""
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    long = rows is None or rows >= LONG
    if wanted is False or (wanted is None and not (watched and long)):
        return Silent()
    from tqdm.std import tqdm

    return tqdm(total=rows, desc=said, unit=" rows", unit_scale=True, leave=False)
