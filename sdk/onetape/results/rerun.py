"""Rerun: the same code on the same data must give the same tape, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onetape.errors import RunError, SettingsError
from onetape.results import session_again
from onetape.results.compare import Comparison, compare
from onetape.results.found import datasets_of, missing, strategy_of
from onetape.results.run import Run

if TYPE_CHECKING:
    from onetape.results.tape import Tape
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


def rerun(run: Run | str, tape: Tape | None = None) -> Rerun:
    """Run the same code on the same data again and set it beside the first.

    run    a run, or the id of one on `tape` (None: the default tape); code, parameters and data
           are then fetched by what `run.opened` says. Data of another content and code that
           changed are run all the same: the difference names which it was.

    Raises RunError when the strategy or the data is not at hand, naming it.
    """
    from onetape.run.backtest import execute

    if not isinstance(run, Run | str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SettingsError(f"{run!r} found, a run or the id of one on the tape expected")
    first = _recorded(run, tape) if isinstance(run, str) else run
    if session_again.is_session(first.opened):
        datasets = first.datasets or session_again.data_of(first.recording, first.id)
        made = session_again.again(first.recording, datasets, first.id)
        return Rerun(first, Run(made, datasets))
    spec = first.spec or _spec(first)
    return Rerun(first, Run(execute(spec), spec.datasets, spec))


def _recorded(named: str, tape: Tape | None) -> Run:
    from onetape.results.tape import open_tape

    return (tape or open_tape()).run(named)


def _spec(run: Run) -> Spec:
    from onetape.run.spec import specify_again

    datasets = run.datasets or datasets_of(run.opened, changed=True)
    if not datasets:
        gone = ", ".join(missing(run.opened))
        raise RunError(
            f"the data of this run is not at hand: {gone}; put it into the catalog that "
            "ONETAPE_CATALOG names, or load the run with data=[...]"
        )
    return specify_again(run.opened, strategy_of(run.opened), datasets)


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
