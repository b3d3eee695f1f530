# pyright: standard
"""A tape as one file: Parquet, whole or not at all, with the fingerprint it was saved under."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from onetape.errors import TapeError

FORMAT = "onetape.recording/1"


def save(raws: Sequence[bytes], fingerprint: str, path: Path) -> None:
    """Write canonical bytes to `path` by way of a file beside it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"seq": pa.array(range(1, len(raws) + 1), pa.int64()), "raw": list(raws)})
    said = {"format": FORMAT, "fingerprint": fingerprint, "events": str(len(raws))}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    os.close(handle)
    try:
        pq.write_table(table.replace_schema_metadata(said), name, compression="zstd")
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def load(path: Path) -> tuple[list[bytes], str]:
    """Return the canonical bytes in a file and the fingerprint that they were saved under.

    Raises TapeError when the file is no saved recording.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as err:
        raise TapeError(f"{path} is not a saved recording: {err}") from err
    said = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    if said.get("format") != FORMAT:
        found = said.get("format", "no format mark")
        raise TapeError(f"{path} holds {found}, expected {FORMAT}; was it saved by Run.save?")
    return table.column("raw").to_pylist(), said["fingerprint"]
