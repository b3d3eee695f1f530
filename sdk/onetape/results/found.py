"""Found: the data and the code of a recorded run, looked for where they usually are."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from onetape.errors import OnetapeError, RunError
from onetape.market.dataset import Dataset
from onetape.settings import settings
from onetape.tape.kinds import DatasetRef, RunOpened


def datasets_of(opened: RunOpened, *, changed: bool = False) -> tuple[Dataset, ...]:
    """Return a run's datasets from the samples and the catalog in force; () unless all are there.

    With `changed`, data of the same name and other content is taken where the same is not found.
    """
    found = [_found(ref, changed) for ref in opened.datasets]
    return tuple(one for one in found if one is not None) if all(found) else ()


def missing(opened: RunOpened) -> list[str]:
    """Return, in words, the datasets that are not to be found here under any content."""
    gone = [ref for ref in opened.datasets if _found(ref, changed=True) is None]
    return [f"{ref.name} ({ref.fingerprint[:12]})" for ref in gone]


def _found(ref: DatasetRef, changed: bool) -> Dataset | None:
    named: list[Dataset] = []
    for look in (_sample, _kept):
        one = look(ref)
        if one is not None:
            named.append(_cut(one, ref))
    same = next((one for one in named if one.fingerprint == ref.fingerprint), None)
    return same or (named[0] if named and changed else None)


def _cut(dataset: Dataset, ref: DatasetRef) -> Dataset:
    """Return the part of a dataset that a run saw, when it saw a part."""
    first, last = (datetime.fromtimestamp(ns // 1_000 / 1e6, UTC) for ns in ref.range)
    if dataset.rows == ref.rows or not (dataset.start <= first and last <= dataset.end):
        return dataset
    try:
        return dataset.slice(first, last + timedelta(microseconds=1))
    except OnetapeError:
        return dataset


def _sample(ref: DatasetRef) -> Dataset | None:
    from onetape.market.samples import sample, samples

    name = ref.name.split("[")[0]
    return sample(name) if name in samples() else None


def _kept(ref: DatasetRef) -> Dataset | None:
    from onetape.market.catalog import Catalog

    where = settings().catalog
    if "://" not in where and not Path(where).is_dir():
        return None
    try:
        return Catalog(where).dataset(ref.fingerprint)
    except OnetapeError:
        try:
            return Catalog(where).dataset(ref.name)
        except OnetapeError:
            return None


def strategy_of(opened: RunOpened) -> Any:
    """Return the strategy class of a recorded run.

    Raises RunError when it cannot be imported here, naming it.
    """
    path = opened.settings["strategy_path"]
    if ", " in opened.strategy:
        raise RunError(
            f"this run had several strategies ({opened.strategy}) and was loaded; a loaded run "
            "of one strategy can be run again, this one with ot.backtest([...])"
        )
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as err:
        raise RunError(
            f"the strategy {path} cannot be imported here ({err}); "
            "import the module that defines it under the same name, then rerun"
        ) from err
    return found
