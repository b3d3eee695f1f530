# pyright: standard
"""What Alembic runs: the steps, on the connection that it was handed, in its transaction."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"], version_table_schema="onetape"
)
context.run_migrations()
