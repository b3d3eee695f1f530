"""Many drills over FIX, some at a time, all on one database server.

python -m drills.fix_many RUNS [FIRST_SEED] [AT_ONCE]     (with tests/ on PYTHONPATH)
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from onetape.tape.embedded import Server, serve

from .evidence import Findings
from .fix_drill import FixOutcome, drill, plan


class FixMany:
    """A pool of drills; `folder` is short (sockets) and goes away with whoever made it."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self._ending = ExitStack()
        self._server: Server = self._ending.enter_context(serve(folder / "tape"))
        self._pool = self._ending.enter_context(ThreadPoolExecutor(workers))

    def __enter__(self) -> FixMany:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def begin(
        self,
        seeds: Iterable[int],
        done: Callable[[FixOutcome], None] = lambda _: None,
        kills: int | None = None,
    ) -> dict[int, Future[FixOutcome]]:
        """Begin the drills of seeds; `done` is told of each."""

        def one(seed: int) -> FixOutcome:
            outcome = self._one(seed, kills)
            done(outcome)
            return outcome

        return {seed: self._pool.submit(one, seed) for seed in seeds}

    def _one(self, seed: int, kills: int | None) -> FixOutcome:
        try:
            return drill(seed, self._folder / f"b{seed}", self._server, kills)
        except Exception:  # what did not come to its end has not held
            wrong = Findings(mismatched=[traceback.format_exc()])
            return FixOutcome(seed, plan(seed, kills), wrong, 0, 0.0)


def many(runs: int, seed: int = 5_000, workers: int = 1) -> dict[str, Any]:
    """Do the drills of so many seeds from `seed` on; return the sums."""
    begun, before = time.monotonic(), os.environ.get("ONETAPE_HOME")
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="fd", dir=memory if memory.is_dir() else None) as made:
        folder = Path(made)
        folder.chmod(0o711)
        os.environ["ONETAPE_HOME"] = made
        try:
            with FixMany(folder, workers) as pool:
                drilled = pool.begin(range(seed, seed + runs), _tell)
                outcomes = [one.result() for one in drilled.values()]
        finally:
            os.environ.pop("ONETAPE_HOME")
            if before is not None:
                os.environ["ONETAPE_HOME"] = before
    return _summed(outcomes) | {"seconds": round(time.monotonic() - begun, 1), "workers": workers}


def _summed(outcomes: list[FixOutcome]) -> dict[str, Any]:
    found = [one.findings for one in outcomes]
    kills = Counter(kill.victim for one in outcomes for kill in one.kills)
    return {
        "runs": len(outcomes),
        "held": sum(one.held for one in found),
        "kills": dict(kills),
        "orders": sum(one.orders for one in found),
        "fills": sum(one.fills for one in found),
        "messages": sum(one.messages for one in outcomes),
        "lost": sum(len(one.lost) for one in found),
        "doubled": sum(len(one.doubled) for one in found),
        "mismatched": sum(len(one.mismatched) for one in found),
        "restarts": sum(one.restarts for one in outcomes),
        "failed": {one.seed: str(one.findings) for one in outcomes if not one.findings.held},
        "synthetic": True,
    }


def _tell(one: FixOutcome) -> None:
    said = f"seed {one.seed}: {'held' if one.findings.held else one.findings}"
    print(f"{said} ({one.seconds:.1f} s)", file=sys.stderr, flush=True)


if __name__ == "__main__":
    print(json.dumps(many(*map(int, sys.argv[1:4])), indent=1))
