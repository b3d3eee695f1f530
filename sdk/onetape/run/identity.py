"""Code identity: what a strategy is, as a hash that survives a restart of the process.

The source of the class and of its bases up to ours is hashed, so that a comment counts as a
change and a move to another file does not. Where no source can be had (an interactive session),
the compiled code stands in. Functions that a strategy imports from elsewhere are not followed.
"""

from __future__ import annotations

import hashlib
import inspect
import textwrap
from types import CodeType
from typing import Any


def code_of(kind: type, stop: tuple[type, ...]) -> tuple[str, str | None]:
    """Return (hash, source or None) of a class and its bases outside `stop` and its bases."""
    outside = {base for end in stop for base in end.__mro__}
    own = [base for base in kind.__mro__ if base not in outside]
    texts: list[str] = []
    for base in own:
        try:
            texts.append(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):
            compiled = hashlib.sha256()
            for part in own:
                _compiled(vars(part), compiled)
            return compiled.hexdigest(), None
    source = "\n".join(texts)
    return hashlib.sha256(source.encode()).hexdigest(), source


def _compiled(members: Any, into: Any) -> None:
    for name in sorted(members):
        code = getattr(members[name], "__code__", None)
        if isinstance(code, CodeType):
            into.update(name.encode())
            _code(code, into)


def _code(code: CodeType, into: Any) -> None:
    into.update(code.co_code)
    into.update(repr(code.co_names).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _code(constant, into)
        elif isinstance(constant, frozenset):
            into.update(repr(sorted(repr(one) for one in _items(constant))).encode())
        else:
            into.update(repr(constant).encode())


def _items(constant: Any) -> list[Any]:
    return list(constant)
