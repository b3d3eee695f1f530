"""Which messages are orders and which cancel them, to whoever may have to hold them back."""

from __future__ import annotations

NEW = frozenset(("D", "G", "E"))  # what a session with trading disabled does not let out
CANCELS = frozenset(("F", "q"))  # what is never refused
