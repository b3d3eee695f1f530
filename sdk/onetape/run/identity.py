"""Code identity: what a strategy is, as a hash that survives a restart of the process.

The source of the class and of its bases up to ours is hashed, so that a comment counts as a
change and a move to another file does not; so are plain values that its methods take from an
enclosing function. A notebook's source is that of the cell. Where no source can be had (a plain
interactive session), compiled code and class values stand in. Functions that a strategy takes
from elsewhere, and a module's globals, are not followed.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
import textwrap
from contextlib import suppress
from types import CodeType
from typing import Any

from onetape.run.params import Param


def code_of(kind: type, stop: tuple[type, ...]) -> tuple[str, str | None]:
    """Return (hash, source or None) of a class and its bases outside `stop` and its bases."""
    outside = {base for end in stop for base in end.__mro__}
    own = [base for base in kind.__mro__ if base not in outside]
    texts: list[str] = []
    for base in own:
        text = _source(base)
        if text is None:
            compiled = hashlib.sha256()
            for part in own:
                _compiled(vars(part), compiled)
            return compiled.hexdigest(), None
        texts.append(textwrap.dedent(text))
    source = "\n".join(texts)
    told = hashlib.sha256(source.encode())
    for base in own:
        for name, member in sorted(vars(base).items()):
            if (kept := _enclosed(member)) is not None:  # values from around the class
                told.update(f"{name}: {kept}".encode())
    return told.hexdigest(), source


def _source(kind: type) -> str | None:
    """Return the source of a class, from its file or from the notebook cell that made it."""
    for member in vars(kind).values():
        code = getattr(member, "__code__", None)
        if not isinstance(code, CodeType):
            continue
        linecache.checkcache(code.co_filename)  # the file may have changed since it was read
        lines = linecache.getlines(code.co_filename)
        text = "".join(lines)
        try:
            parsed = ast.parse(text)
        except SyntaxError:
            continue
        for node in ast.walk(parsed):
            if not isinstance(node, ast.ClassDef) or node.name != kind.__name__:
                continue
            if node.lineno <= code.co_firstlineno <= (node.end_lineno or 0):
                return ast.get_source_segment(text, node, padded=True)
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return None


def _enclosed(member: Any) -> str | None:
    cells: tuple[Any, ...] = getattr(member, "__closure__", None) or ()
    names: tuple[str, ...] = getattr(getattr(member, "__code__", None), "co_freevars", ())
    plain = (str, int, float, bool, tuple, type(None))
    found: list[str] = []
    for name, cell in zip(names, cells, strict=False):
        with suppress(ValueError):  # an empty cell
            value: Any = cell.cell_contents
            if isinstance(value, plain):
                found.append(f"{name}={value!r}")
    return ", ".join(found) or None


def _compiled(members: Any, into: Any) -> None:
    for name in sorted(members):
        member = members[name]
        member = getattr(member, "__func__", getattr(member, "fget", member))
        code = getattr(member, "__code__", None)
        if isinstance(code, CodeType):
            into.update(name.encode())
            _code(code, into)
        elif not name.startswith("__"):
            value = vars(member) if isinstance(member, Param) else member
            into.update(f"{name}={value!r}".encode())


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
