# pyright: standard
"""A tape as one file: Parquet, whole or not at all, with the fingerprint it was saved under."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from onetape.errors import TapeError

FORMAT = "onetape.recording/1"


def save(raws: Sequence[bytes], fingerprint: str, path: Path) -> None:
    """Write canonical bytes to `path` by way of a file beside it.

    Raises TapeError when the place cannot be written to.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"seq": pa.array(range(1, len(raws) + 1), pa.int64()), "raw": list(raws)})
    said = {"format": FORMAT, "fingerprint": fingerprint, "events": str(len(raws))}
    if path.is_dir():
        raise TapeError(f"{path} is a folder; the name of a file expected, as run.onetape")
    name = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.replace_schema_metadata(said), name, compression="zstd")
        name.replace(path)
    except OSError as err:
        raise TapeError(f"{path} cannot be written ({err}); say another place") from err
    finally:
        with suppress(OSError):
            name.unlink(missing_ok=True)


def load(path: Path) -> tuple[list[bytes], str]:
    """Return the canonical bytes in a file and the fingerprint that they were saved under.

    Raises TapeError when the file is no saved recording.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, ValueError, pa.ArrowException) as err:  # a path, footer or page cannot be read
        raise TapeError(f"{path} is not a saved recording: {err}") from err
    said: dict[bytes, bytes] = table.schema.metadata or {}
    if said.get(b"format") != FORMAT.encode():
        found = said.get(b"format", b"no format mark").decode(errors="replace")
        raise TapeError(f"{path} holds {found}, expected {FORMAT}; was it saved by Run.save?")
    if "raw" not in table.column_names or b"fingerprint" not in said:
        raise TapeError(f"{path} lacks its events or its fingerprint: it was changed or cut")
    raws = table.column("raw").to_pylist()
    if not all(isinstance(raw, bytes) for raw in raws):
        raise TapeError(f"{path} holds something else than the bytes of events: it was changed")
    return raws, said[b"fingerprint"].decode(errors="replace")
