"""The shape of the house: small files, short functions, imports one way, one engine room."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

import onetape

ROOT = Path(__file__).parents[1]
FILES = sorted(p for d in ("sdk", "strategies", "adapters") for p in (ROOT / d).rglob("*.py"))
ENGINE_ROOMS = ("run", "market")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_fits_in_the_head(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = node.body[1].lineno if documented and len(node.body) > 1 else node.lineno
            assert (node.end_lineno or 0) - start < 50, f"{node.name} is too long"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_engine_is_imported_only_where_the_house_says(path: Path) -> None:
    if re.search(r"^\s*(from|import) nautilus_trader", path.read_text(), re.MULTILINE):
        assert path.parent.name in ENGINE_ROOMS


def test_only_the_kernel_and_the_clients_meet_the_engines_live_node() -> None:
    met = [p.stem for p in FILES if re.search(r"nautilus_trader\.live", p.read_text())]
    assert sorted(met) == ["clients", "kernel"]


def test_version_and_changelog_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert project["version"] == newest.group(1) == onetape.__version__


def test_no_pandas_in_our_own_code() -> None:
    for path in FILES:
        assert not re.search(r"^\s*(from|import) pandas", path.read_text(), re.MULTILINE), path
