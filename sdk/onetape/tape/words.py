"""Words that several tapes say: the same mistake, the same message."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from onetape.errors import TapeError


def no_such_stream(stream: str, known: Sequence[str]) -> TapeError:
    """Return the error for a stream that is not on a tape, with the closest names."""
    near = difflib.get_close_matches(stream, known, n=3) or list(known[-3:])
    hint = f"the closest are {', '.join(near)}" if near else "the tape is empty"
    return TapeError(f"no stream {stream!r} on this tape ({len(known)} streams); {hint}")
