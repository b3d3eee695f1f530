"""Strategies on their way to another process: named, copied with what they use, or refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import onetape as ot
from onetape.errors import SettingsError
from onetape.run.carried import carry, load
from onetape.run.identity import code_of
from onetape.run.strategy import Strategy
from onetape_strategies.ema_cross import EmaCross

from .sessions import spec

NOTEBOOK = """
import linecache, sys
from decimal import Decimal
import onetape as ot
from onetape import Strategy
from math import sqrt as root

LOTS = Decimal("2.5")
NAMES = ("a", "b")

def sized(x):
    return LOTS * len(NAMES) * helper(x)

def helper(x):
    return Decimal(root(x))

class Base(Strategy):
    scale = ot.param(4)

class Mine(Base):
    def on_bar(self, bar):
        NAMES_ = [bar for bar in NAMES]
        self.buy(sized(self.scale), why="up")

import msgspec
from onetape.run.carried import carry
from onetape.run.identity import code_of
carried = carry(Mine)
sys.stdout.buffer.write(msgspec.json.encode([carried, code_of(Mine, (Strategy,))[0]]))
"""


def carried_from_a_notebook(text: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a text as `__main__`, as a notebook's cell is."""
    cell = folder / "cell.py"
    cell.write_text(text)
    return subprocess.run([sys.executable, str(cell)], capture_output=True, check=False)


def test_a_class_of_a_module_is_named_and_imported(tmp_path: Path) -> None:
    carried = carry(EmaCross)
    assert carried.named == "onetape_strategies.ema_cross:EmaCross"
    assert carried.source == ""
    assert load(spec(strategy=carried.named), tmp_path) is EmaCross


def test_a_file_of_strategies_brings_its_folder_along(tmp_path: Path) -> None:
    from onetape import given

    path = tmp_path / "my_own_cross.py"
    path.write_text("import onetape as ot\n\nclass Cross(ot.Strategy):\n    pass\n")
    carried = carry(given.strategy(f"{path}:Cross"))
    assert carried.named == "my_own_cross:Cross"
    assert str(tmp_path) in carried.path


def test_a_class_of_a_notebook_takes_along_what_it_uses_and_keeps_its_code_hash(
    tmp_path: Path,
) -> None:
    done = carried_from_a_notebook(NOTEBOOK, tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    (named, source, _), code = msgspec.json.decode(done.stdout)
    assert named == ""
    kind = load(spec(strategy="", source=source, strategy_name="Mine"), tmp_path)
    assert issubclass(kind, Strategy)
    assert kind(scale=9).params == {"scale": 9}
    assert sys.modules[kind.__module__].sized(4) == 10
    assert code_of(kind, (Strategy,))[0] == code


def test_what_cannot_be_carried_is_named_with_what_to_do(tmp_path: Path) -> None:
    frame = NOTEBOOK.replace('NAMES = ("a", "b")', "import polars as pl\nNAMES = pl.Series([1])")
    said = carried_from_a_notebook(frame, tmp_path).stderr.decode()
    assert "Mine uses NAMES, a Series of this notebook" in said
    assert "make it a parameter" in said


def test_a_variable_of_an_enclosing_function_is_refused() -> None:
    size = 3

    class Enclosed(ot.Strategy):
        def on_bar(self, bar: object) -> None:
            self.buy(size)

    with pytest.raises(SettingsError, match="Enclosed takes size from the function around it"):
        carry(Enclosed)


def test_a_strategy_that_does_not_load_says_why(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be loaded in its own process: ModuleNotFound"):
        load(spec(strategy="no_such_module:Cross"), tmp_path)
    with pytest.raises(SettingsError, match="NameError"):
        load(spec(strategy="", source="class A(Missing): pass", strategy_name="A"), tmp_path)
