# pyright: standard
"""How long the facts of live trading are kept: sessions, controls, market links."""

from __future__ import annotations

from alembic import op

revision = "t0004"
down_revision = "t0003"
branch_labels = None
depends_on = None

YEARS_7, YEARS_5 = 2557, 1827  # days, with the leap days that such a span can hold
CLASSES = (
    (
        "controls",
        ["limits.*", "kill.*", "recon.*", "lease.*"],
        YEARS_7,
        "MiFID II, records of controls and reconciliations: 5 years",
    ),
    (
        "sessions",
        ["session.*", "strategy.*", "timer.*"],
        YEARS_7,
        "MiFID II, records of algorithms: 5 years",
    ),
    (
        "links",
        ["feed.*", "venue.*", "data.*"],
        YEARS_5,
        "MiFID II 5 years where it explains a decision",
    ),
)
SUPPORTS = "supports a firm's own policy, have counsel confirm"


def upgrade() -> None:
    """Add the classes."""
    put = "INSERT INTO onetape.retention_class VALUES (%s, %s, %s, %s, 0)"
    for name, kinds, days, basis in CLASSES:
        op.get_bind().exec_driver_sql(put, (name, kinds, days, f"{basis}; {SUPPORTS}"))
