"""Many drills, some at a time: each worker has a database server of its own to be killed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue

from .drill import Outcome, drill, plan
from .evidence import Findings
from .victims import Database


class Many:
    """A pool of drills; `folder` is short (sockets) and goes away with whoever made it."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self._free: SimpleQueue[Database] = SimpleQueue()
        self._ending = ExitStack()
        for number in range(workers):
            database = Database(folder / f"tape{number}")
            self._ending.callback(database.server.stop)
            self._free.put(database)
        self._pool = self._ending.enter_context(ThreadPoolExecutor(workers))

    def __enter__(self) -> Many:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def begin(
        self, seeds: Iterable[int], done: Callable[[Outcome], None] = lambda _: None
    ) -> dict[int, Future[Outcome]]:
        """Begin the drills of seeds; `done` is told of each."""

        def one(seed: int) -> Outcome:
            outcome = self._one(seed)
            done(outcome)
            return outcome

        return {seed: self._pool.submit(one, seed) for seed in seeds}

    def _one(self, seed: int) -> Outcome:
        database = self._free.get()
        try:
            return drill(seed, self._folder / f"venue{seed}", database)
        except Exception:  # what did not come to its end has not held
            wrong = Findings(mismatched=[traceback.format_exc()])
            return Outcome(seed, plan(seed), wrong, 0, 0.0)
        finally:
            with suppress(Exception), database.turn:
                database.start()
            self._free.put(database)
