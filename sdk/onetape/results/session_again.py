"""A session made again: its tape, its rows and its strategy, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from onetape.errors import OnetapeError, RunError
from onetape.market.dataset import Dataset
from onetape.results.found import strategy_of
from onetape.run import carried
from onetape.run.folder import SPEC, STREAM, Endpoint, LiveSpec, folder_of, read_spec, replace
from onetape.settings import settings
from onetape.tape.kinds import RunOpened
from onetape.tape.kinds_live import DataKept
from onetape.tape.recording import Recording


def is_session(opened: RunOpened) -> bool:
    """Say whether a run was a live session."""
    return opened.mode in ("paper", "live") and '"live":' in opened.recipe


def data_of(recording: Recording, session: str | None) -> tuple[Dataset, ...]:
    """Return what a session received, from the catalog that kept it; () unless it has all."""
    from onetape.market.catalog import Catalog

    kept = [e.fact for e in recording if isinstance(e.fact, DataKept)]
    found: list[Dataset] = []
    for place in dict.fromkeys((_catalog(session), settings().catalog)):
        if not kept or not place or ("://" not in place and not Path(place).is_dir()):
            continue
        catalog = Catalog(place)
        try:
            found = [catalog.dataset(fact.dataset) for fact in kept]
        except OnetapeError:  # not here: perhaps in the next one
            continue
        return tuple(found)
    return ()


def again(recording: Recording, datasets: tuple[Dataset, ...], session: str | None) -> Recording:
    """Make a session again from its inputs; raises RunError when something of it is missing."""
    if not datasets and any(e.kind == "decision.made" and e.lineage for e in recording):
        raise RunError(
            "the data of this session is not at hand: it is kept in the catalog that ot.trade was "
            "given; set ONETAPE_CATALOG to it, or load the run with data=[...]"
        )
    with tempfile.TemporaryDirectory(prefix="onetape-again-") as made:
        folder = Path(made)
        _written(folder, recording, datasets, session)
        path = os.pathsep.join(read_spec(folder).path)  # the strategy's module may need it
        ran = subprocess.run(
            [sys.executable, "-m", "onetape.run.again", str(folder)],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        if ran.returncode:
            said = ran.stderr.strip().splitlines()
            raise RunError(
                f"the session could not be made again: {said[-1] if said else 'no word'}"
            )
        return Recording.load(folder / "again.onetape")


def _written(
    folder: Path, recording: Recording, datasets: tuple[Dataset, ...], session: str | None
) -> None:
    recording.save(folder / "session.onetape")
    files: list[dict[str, str | None]] = []
    for at, dataset in enumerate(datasets):
        file = f"{at}.parquet"
        dataset.scan().collect().write_parquet(folder / file)
        files.append(
            {"file": file, "instrument": dataset.instrument.id, "data": dataset.kind,
             "step": dataset.step}
        )  # fmt: skip
    (folder / "rows.json").write_bytes(msgspec.json.encode(files))
    replace(folder / SPEC, msgspec.json.encode(_strategy(recording.opened, session)))


def _strategy(opened: RunOpened, session: str | None) -> LiveSpec:
    """Return a spec that says no more than where the strategy is."""
    known = _spec(session)
    if known is not None and known.source:
        return known
    named = carried.carry(strategy_of(opened))
    nowhere = Endpoint("none")
    return LiveSpec(
        "again", named.named, opened.strategy, nowhere, nowhere, "", "", "",
        source=named.source, path=named.path,
    )  # fmt: skip


def _spec(session: str | None) -> LiveSpec | None:
    if session is None:
        return None
    try:
        name = re.sub(r"-r\d+$", "", session.removeprefix(STREAM))  # a restart has no folder
        return read_spec(folder_of(name))
    except OnetapeError:  # its folder was cleared away: the tape has what matters
        return None


def _catalog(session: str | None) -> str:
    known = _spec(session)
    return known.catalog if known is not None else ""
