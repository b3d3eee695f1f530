# pyright: standard
"""Projections: how far each read model has come, and snapshots of what it held."""

from __future__ import annotations

from alembic import op

revision = "t0002"
down_revision = "t0001"
branch_labels = None
depends_on = None

# A bookmark moves in the same transaction as the rows it stands for.
TABLES = """
CREATE TABLE onetape.projection (
  name text NOT NULL, generation int4 NOT NULL, seq int8 NOT NULL, updated_ns int8 NOT NULL,
  state text NOT NULL CHECK (state IN ('building', 'live')),
  PRIMARY KEY (name, generation)
) WITH (fillfactor = 10);
CREATE UNIQUE INDEX projection_live ON onetape.projection (name) WHERE state = 'live';

CREATE TABLE onetape.snapshot (
  kind text NOT NULL, book text NOT NULL, seq int8 NOT NULL, max_ts int8 NOT NULL,
  n int4 NOT NULL, sha256 bytea NOT NULL, arrow bytea NOT NULL, generation int4 NOT NULL,
  PRIMARY KEY (kind, book, generation, seq)
);
ALTER TABLE onetape.snapshot ALTER COLUMN arrow SET STORAGE EXTERNAL;
"""


def upgrade() -> None:
    """Make the bookmarks and the snapshots."""
    op.execute(TABLES)
