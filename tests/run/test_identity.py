"""Code identity: what changes a strategy changes its hash, in files and in notebook cells."""

from __future__ import annotations

import linecache
from typing import Any

import onetape as ot
from onetape.run.identity import code_of

CELL = """
class Hold(ot.Strategy):
    size = {size}

    def on_bar(self, bar):
        self.target(self.size)
"""


def cell(number: int, size: int) -> Any:
    """Return the class that a notebook cell defines, the way a kernel compiles it."""
    name, text = f"<cell-{number}>", CELL.format(size=size)
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    scope: dict[str, Any] = {"ot": ot, "__name__": "__main__"}
    exec(compile(text, name, "exec"), scope)
    return scope["Hold"]


def test_a_notebooks_cell_is_the_source_and_a_changed_cell_is_other_code() -> None:
    one, again, other = cell(1, 5), cell(2, 5), cell(3, 6)
    hashes = [code_of(kind, (ot.Strategy,)) for kind in (one, again, other)]
    assert hashes[0] == hashes[1]
    assert hashes[0][0] != hashes[2][0]
    assert "size = 5" in (hashes[0][1] or "")


def test_without_any_source_values_and_code_still_tell_strategies_apart() -> None:
    def made(size: int) -> Any:
        scope: dict[str, Any] = {"ot": ot, "__name__": "nowhere"}
        exec(CELL.format(size=size), scope)
        return code_of(scope["Hold"], (ot.Strategy,))

    assert made(5)[1] is None
    assert made(5) == made(5)
    assert made(5) != made(6)


def test_a_value_taken_from_around_the_class_counts() -> None:
    def made(size: int) -> Any:
        class Hold(ot.Strategy):
            def on_bar(self, bar: Any) -> None:
                self.target(size)

        return code_of(Hold, (ot.Strategy,))[0]

    assert made(1) == made(1)
    assert made(1) != made(2)
