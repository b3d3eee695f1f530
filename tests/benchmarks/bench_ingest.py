"""Ingest 5 M quotes from a polars frame and from CSV, each in a process of its own.

    python tests/benchmarks/bench_ingest.py [rows]

CPU seconds are of `Catalog.ingest` alone (fingerprint, findings and Parquet included), making the
source excluded; peak memory is the process's, with and without what the source itself holds.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS = 5_000_000


def run(rows: int = ROWS) -> dict[str, Any]:
    """Return the measured figures, by kind of source."""
    with tempfile.TemporaryDirectory() as folder:
        figures = {kind: _child(kind, rows, Path(folder)) for kind in ("write_csv", "frame", "csv")}
    figures.pop("write_csv")
    return {"rows": rows, "load": os.getloadavg(), "cpus": os.cpu_count(), **figures}


def _child(kind: str, rows: int, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", kind, str(rows), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _measured(kind: str, rows: int, folder: Path) -> dict[str, float]:
    import onetape.market as market

    source: Any = folder / "quotes.csv"
    if kind != "csv":
        from onetape.market.samples import synthetic_quotes

        source = synthetic_quotes(7, rows)
    if kind == "write_csv":
        source.write_csv(folder / "quotes.csv", datetime_format="%Y-%m-%d %H:%M:%S%.9f")
        return {}
    catalog = market.Catalog(folder / f"catalog-{kind}")
    warm = market.Catalog(folder / f"warm-{kind}")  # imports and the engine's library
    warm.ingest(market.sample("GOOG").frame(), instrument=market.equity("GOOG.XNAS"))
    before, wall, cpu = _peak_mb(), time.perf_counter(), time.process_time()
    instrument = market.fx("EUR/USD.SIM")
    data = catalog.ingest(source, instrument=instrument, synthetic=True, progress=False)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    size = sum(f.stat().st_size for f in Path(catalog.path).rglob("*.parquet"))
    assert data.rows == rows
    return {
        "cpu_s": round(cpu, 2),
        "wall_s": round(wall, 2),
        "rows_per_cpu_s": round(rows / cpu),
        "peak_mb": _peak_mb(),
        "peak_mb_before": before,
        "disk_mb": round(size / 1e6),
    }


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(_measured(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))))
    else:
        print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS), indent=1))
