"""Commands that adapters bring: found by the entry point `onetape.commands`.

Each entry point names a module with `add(commands, command)`, where `command(commands, name, act,
help)` makes a subparser that has --json, as all of ours. One that cannot be loaded is listed all
the same and says, when it is called, what is in its way: it must not take the others with it.
"""

from __future__ import annotations

import argparse
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from onetape.errors import SettingsError

GROUP = "onetape.commands"


def add(commands: Any, command: Any) -> None:
    """Add the commands of all installed adapters to a parser; `command` makes one."""
    for found in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        try:
            found.load().add(commands, command)
        except (ImportError, AttributeError) as err:
            _broken(commands, command, found, err)


def _broken(commands: Any, command: Any, found: EntryPoint, err: Exception) -> None:
    said = f"the command {found.name!r} ({found.value}) cannot be loaded: {err}"

    def act(_args: argparse.Namespace) -> int:
        raise SettingsError(f"{said}; install its package anew, or remove it")

    command(commands, found.name, act, "cannot be loaded").add_argument("rest", nargs="*")
