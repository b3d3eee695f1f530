"""A long run in chunks keeps memory flat: four times the rows, hardly more memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import gc, resource, sys
import onetape as ot

class Look(ot.Strategy):
    def on_start(self):
        self.n = 0
    def on_quote(self, quote):
        self.n += 1

data = ot.sample("EURUSD-ticks", rows=int(sys.argv[1]))
short = data.slice(None, data.frame()["ts_init"][20_000])
ot.backtest(Look, short, chunk=10_000)  # everything imported, all pools warm
gc.collect()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ot.backtest(Look, data, chunk=10_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def grown(rows: int) -> float:
    """Return by how many MB a run over `rows` quotes raised the peak of a process."""
    command = [sys.executable, "-c", SCRIPT, str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_the_data():
    assert grown(1_200_000) < grown(300_000) + 60


def test_a_run_of_many_chunks_needs_little_more_than_its_chunks():
    assert grown(200_000) < 80  # as engine objects at once they are more than 150 MB
