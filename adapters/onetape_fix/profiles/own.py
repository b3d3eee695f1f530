"""Profiles that are not in the package: found by the file, the module or the name that leads there.

    Profile=acme.py          PROFILE of a file; a relative path is taken from the .cfg's folder
    Profile=acme.py:SPOT     another name in it
    Profile=acme_fix:SPOT    a name in a module that can be imported
    Profile=acme             what an installed package offers so in the group `onetape.fix_profiles`

A profile of one's own is code: it runs in every process that reads the .cfg, as whoever runs that.
Its `overlay` may be a path, which is taken from the folder of the file or module.

Raises   SettingsError where that leads nowhere, or to something that is no profile.
"""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import msgspec

from onetape.errors import SettingsError
from onetape_fix.profiles.model import Profile

GROUP = "onetape.fix_profiles"
USUAL = "PROFILE"


def offered() -> tuple[str, ...]:
    """Return the names that installed packages offer."""
    from importlib.metadata import entry_points  # megabytes, for those who need it

    return tuple(sorted(entry_points(group=GROUP).names))


def found(named: str) -> Profile | None:
    """Return the profile that a name leads to; None for a plain name that nobody offers."""
    where, colon, what = named.partition(":")
    if where.endswith(".py"):
        return _in(_of_file(Path(where).expanduser().absolute()), what or USUAL)
    if colon:
        return _in(_imported(where), what or USUAL)
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP, name=named):
        return _in(_imported(point.module), point.attr or USUAL)
    return None


def _of_file(path: Path) -> ModuleType:
    try:
        facts = path.stat()
    except OSError as err:
        raise SettingsError(
            f"Profile: {path} cannot be read: {err.strerror}; a relative path is taken from the "
            ".cfg's folder"
        ) from None
    return _run(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=64)
def _run(path: Path, _mtime: int, _size: int) -> ModuleType:
    """Return the module of a file; it runs once as long as the file does not change."""
    loader = SourceFileLoader(f"onetape_fix profile {path}", str(path))
    module = ModuleType(loader.name)
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # its classes look themselves up there
    try:
        loader.exec_module(module)
    except Exception as err:  # whatever it is that its author did
        del sys.modules[module.__name__]
        raise SettingsError(f"Profile: {path} does not run: {type(err).__name__}: {err}") from err
    return module


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as err:
        raise SettingsError(
            f"Profile: the module {name!r} cannot be imported: {type(err).__name__}: {err}. "
            "Install it where the gateway runs, or name its file: Profile=acme.py"
        ) from err


def _in(module: ModuleType, name: str) -> Profile:
    made = getattr(module, name, None)
    where = module.__file__ or module.__name__
    if not isinstance(made, Profile):
        said = "not there" if made is None else f"of the type {type(made).__name__}"
        raise SettingsError(f"Profile: {name} of {where} is {said}; a Profile expected")
    overlay = Path(made.overlay or "")
    if overlay.suffix == ".xml" and not overlay.is_absolute():
        return msgspec.structs.replace(made, overlay=str(Path(where).parent / overlay))
    return made
