"""Small partitions for an empty tape, so that a few events close some."""

from __future__ import annotations

from onetape.tape.server import connect


def small(url: str, step: int, upto: int) -> None:
    """Replace the partitions of a tape without events by some of `step` events each."""
    asked = """SELECT inhrelid::regclass::text FROM pg_inherits
        WHERE inhparent = 'onetape.event'::regclass"""
    with connect(url) as connection:
        for (name,) in connection.execute(asked).fetchall():
            connection.execute(f"DROP TABLE {name}")
        connection.execute("SELECT onetape.ensure_partitions(%s, %s)", [upto, step])
