"""Rerun: the same code on the same data must give the same tape, byte for byte."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from onetape.errors import RunError
from onetape.results.compare import Comparison, compare
from onetape.results.run import Run

if TYPE_CHECKING:
    from onetape.run.spec import Spec


class Rerun:
    """A run made again, beside the first one.

    run         the new run
    identical   whether both tapes are the same bytes
    """

    def __init__(self, first: Run, again: Run) -> None:
        self.first, self.run = first, again

    @property
    def identical(self) -> bool:
        """Whether both tapes are the same bytes."""
        return not self.diff()

    def diff(self, other: Run | None = None) -> Comparison:
        """Return the difference to `other`, by default to the first run; falsy when none."""
        against = other or self.first
        return compare(self.run, against, _changed(self.run, against))

    def __repr__(self) -> str:
        return f"Rerun {self.diff()!r}"


def rerun(run: Run) -> Rerun:
    """Run the same code on the same data again and set it beside the first.

    Raises RunError when a loaded run's strategy or data is not at hand, naming it.
    """
    from onetape.run.backtest import execute

    spec = run.spec or _spec(run)
    return Rerun(run, Run(execute(spec), spec.datasets, spec))


def _spec(run: Run) -> Spec:
    from onetape.run.spec import specify_again

    run.data()
    path = run.opened.settings["strategy_path"]
    if ", " in run.opened.strategy:
        raise RunError(
            f"this run had several strategies ({run.opened.strategy}) and was loaded from a file; "
            "a loaded run of one strategy can be run again, this one with ot.backtest([...])"
        )
    module, _, name = path.partition(":")
    try:
        strategy: Any = importlib.import_module(module)
        for part in name.split("."):
            strategy = getattr(strategy, part)
    except (ImportError, AttributeError) as err:
        raise RunError(
            f"the strategy {path} cannot be imported here ({err}); "
            "import the module that defines it under the same name, then rerun"
        ) from err
    return specify_again(run.opened, strategy, run.datasets)


def _changed(again: Run, first: Run) -> tuple[str, ...]:
    notes: list[str] = []
    if again.opened.code_hash != first.opened.code_hash:
        notes.append(
            f"the code changed: {first.opened.code_hash[:12]} is now {again.opened.code_hash[:12]}"
        )
    for new, old in zip(again.opened.datasets, first.opened.datasets, strict=False):
        if new.fingerprint != old.fingerprint:
            notes.append(
                f"the data {old.name} changed: {old.fingerprint[:12]} is now {new.fingerprint[:12]}"
            )
    for name, old in first.opened.versions.items():
        if again.opened.versions.get(name) != old:
            notes.append(f"{name} was {old} and is now {again.opened.versions.get(name)}")
    return tuple(notes)
