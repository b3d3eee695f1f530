"""Carried: how a strategy gets from the process that asked to the one that trades.

Imported   A class of a module is named ("module:Class") and imported again there.
Copied     A class of a notebook's cell goes as text, with all that it uses of the notebook:
           imports, plain constants, its own functions and base classes. The text of the class
           itself stays what it is in the cell, so that its code hash does too.
Refused    What cannot be written down (a frame, an open file, a variable of an enclosing
           function) is named, with what to do: SettingsError.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
import inspect
import symtable
import sys
import textwrap
from decimal import Decimal
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from onetape.errors import SettingsError
from onetape.run.folder import LiveSpec, replace
from onetape.run.identity import code_of

FILE = "strategy.py"
MODULE = "onetape_session_strategy"
FUTURE = "from __future__ import annotations\n"


class Carried(NamedTuple):
    """A class on its way: "module:Class", or "" and its source; `path` where modules are."""

    named: str
    source: str
    path: tuple[str, ...]


def carry(kind: type) -> Carried:
    """Return a strategy class in a form that another process can load."""
    path = tuple(dict.fromkeys(one or str(Path.cwd()) for one in sys.path))
    home = _home(kind)
    if home is not None:
        named = f"{kind.__module__}:{kind.__qualname__}"
        return Carried(named, "", path if str(home) in path else (*path, str(home)))
    return Carried("", _Text().of(kind), path)


def load(spec: LiveSpec, folder: Path) -> type:
    """Return the strategy class of a spec; raises SettingsError with what went wrong."""
    try:
        if spec.strategy:
            where, _, name = spec.strategy.partition(":")
            return _part(importlib.import_module(where), name)
        replace(folder / FILE, spec.source.encode())  # a file, so that tracebacks show its lines
        there = importlib.util.spec_from_file_location(MODULE, folder / FILE)
        assert there is not None
        assert there.loader is not None
        module = sys.modules[MODULE] = importlib.util.module_from_spec(there)
        there.loader.exec_module(module)
        return _part(module, spec.strategy_name)
    except Exception as err:
        named = spec.strategy or f"{spec.strategy_name} of the notebook"
        said = f"{type(err).__name__}: {err}"
        raise SettingsError(
            f"strategy {named} cannot be loaded in its own process: {said}"
        ) from err


def _part(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _home(kind: type) -> Path | None:
    """Return the folder from which a class's module can be imported, None where it cannot be."""
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    if module is None or kind.__module__ == "__main__" or file is None:
        return None
    if "<locals>" in kind.__qualname__ or _part_or_none(module, kind.__qualname__) is not kind:
        return None
    names = kind.__module__.split(".")
    place = Path(file).absolute()
    below = [*names, "__init__.py"] if place.name == "__init__.py" else [*names[:-1], place.name]
    if place.parts[-len(below) :] != tuple(below) or place.suffix != ".py":
        return None
    return place.parents[len(below) - 1] if place.exists() else None


def _part_or_none(module: ModuleType, name: str) -> Any:
    try:
        return _part(module, name)
    except AttributeError:
        return None


class _Text:
    """A module's text, made of a class and all that it needs, what is needed first."""

    def __init__(self) -> None:
        self._imports: dict[str, str] = {}  # by the name that they give
        self._parts: list[str] = []
        self._seen: set[int] = set()

    def of(self, kind: type) -> str:
        self._define(kind.__name__, kind)
        imports = "\n".join(sorted(self._imports.values()))
        return f"{FUTURE}\n{imports}\n\n\n" + "\n\n\n".join(self._parts) + "\n"

    def _define(self, name: str, thing: Any) -> None:
        if id(thing) in self._seen:
            return
        self._seen.add(id(thing))
        text = _source_of(name, thing)
        around = vars(sys.modules[thing.__module__]) if thing.__module__ in sys.modules else {}
        for used in _used(text):
            if used in around and used != name:
                self._need(name, used, around[used])
        self._parts.append(text)

    def _need(self, user: str, name: str, thing: Any) -> None:
        if isinstance(thing, ModuleType):
            self._imports[name] = f"import {thing.__name__} as {name}"
        elif (line := _imported(name, thing)) is not None:
            self._imports[name] = line
        elif isinstance(thing, type | FunctionType):
            self._define(name, thing)
        elif (line := _constant(name, thing)) is not None:
            if isinstance(thing, Decimal):
                self._imports["Decimal"] = "from decimal import Decimal"
            if line not in self._parts:
                self._parts.append(line)
        else:
            raise SettingsError(
                f"{user} uses {name}, a {type(thing).__name__} of this notebook, which its own "
                "process cannot have: make it a parameter (ot.param), build it in on_start, or "
                "put the class into a module (.py) and import it"
            )


def _source_of(name: str, thing: Any) -> str:
    """Return the text of one class or function, without its bases."""
    if enclosed := _enclosed(thing):
        raise SettingsError(
            f"{name} takes {', '.join(enclosed)} from the function around it, which another "
            "process cannot have: make them parameters (ot.param)"
        )
    if isinstance(thing, type):
        source = code_of(thing, thing.__mro__[1:])[1]
    else:
        try:
            source = inspect.getsource(thing)
        except (OSError, TypeError):
            source = None
    if source is None:
        raise SettingsError(
            f"the source of {name} is not to be had: define it in a notebook's cell or in a file"
        )
    return textwrap.dedent(source).strip("\n")


def _enclosed(thing: Any) -> list[str]:
    members = vars(thing).values() if isinstance(thing, type) else (thing,)
    codes = [getattr(getattr(one, "fget", one), "__code__", None) for one in members]
    free = {name for code in codes if code is not None for name in code.co_freevars}
    return sorted(free - {"__class__"})


def _used(text: str) -> list[str]:
    """Return the names that a text takes from its module, in order."""
    found: dict[str, None] = {}

    def walk(table: symtable.SymbolTable, top: bool) -> None:
        for one in table.get_symbols():
            if one.is_referenced() and (one.is_global() or (top and not one.is_assigned())):
                found[one.get_name()] = None
        for child in table.get_children():
            walk(child, False)

    walk(symtable.symtable(FUTURE + text, "strategy", "exec"), True)
    return [name for name in found if name not in vars(builtins)]


def _imported(name: str, thing: Any) -> str | None:
    """Return the line that imports a thing of another module, None where there is none."""
    where, called = getattr(thing, "__module__", None), getattr(thing, "__name__", None)
    if not isinstance(where, str) or not isinstance(called, str) or where == "__main__":
        return None
    module = sys.modules.get(where)
    if module is None or _part_or_none(module, called) is not thing:
        return None
    return f"from {where} import {called} as {name}"


def _constant(name: str, thing: Any) -> str | None:
    """Return the line that makes a plain value, None where none does."""
    if isinstance(thing, Decimal):
        return f"{name} = Decimal({str(thing)!r})"
    try:
        same = ast.literal_eval(repr(thing)) == thing
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return f"{name} = {thing!r}" if same is True else None
