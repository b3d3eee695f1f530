# pyright: standard
"""Keeping: how long things are kept, what may not be dropped, and the keys of persons."""

from __future__ import annotations

from alembic import op

revision = "t0003"
down_revision = "t0002"
branch_labels = None
depends_on = None

# Of a class the newest row counts, so that what the policy was is never lost. A hold is released
# by its own row, once. Only subject_key forgets: that is what it is for (and no
# statistics are kept of its keys, which would hold copies of some).
TABLES = """
CREATE TABLE onetape.retention_class (
  name text NOT NULL, kinds text[] NOT NULL, days int4 NOT NULL CHECK (days >= 0),
  basis text NOT NULL, changed_ns int8 NOT NULL,
  PRIMARY KEY (name, changed_ns)
);
CREATE TABLE onetape.legal_hold (
  id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, reason text NOT NULL, scope jsonb NOT NULL,
  placed_ns int8 NOT NULL, placed_by text NOT NULL, released_ns int8, released_by text,
  CHECK ((released_ns IS NULL) = (released_by IS NULL))
);
CREATE TABLE onetape.segment_dropped (
  seq_lo int8 PRIMARY KEY REFERENCES onetape.archive_segment (seq_lo),
  dropped_ns int8 NOT NULL, dropped_by text NOT NULL, why text NOT NULL
);
CREATE TABLE onetape.subject_key (
  subject text PRIMARY KEY, wrapped bytea, master text NOT NULL, made_ns int8 NOT NULL,
  erased_ns int8, erased_by text, why text,
  CHECK ((wrapped IS NULL) = (erased_ns IS NOT NULL))
);
ALTER TABLE onetape.subject_key ALTER COLUMN wrapped SET STATISTICS 0;
"""

GUARDS = """
CREATE FUNCTION onetape.only_released() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.released_ns IS NULL AND NEW.released_ns IS NOT NULL
     AND (NEW.id, NEW.reason, NEW.scope, NEW.placed_ns, NEW.placed_by)
       = (OLD.id, OLD.reason, OLD.scope, OLD.placed_ns, OLD.placed_by) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a hold is never changed, only released, and only once'
    USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER only_released BEFORE UPDATE ON onetape.legal_hold
  FOR EACH ROW EXECUTE FUNCTION onetape.only_released();
CREATE TRIGGER nothing_is_changed BEFORE DELETE ON onetape.legal_hold
  FOR EACH ROW EXECUTE FUNCTION onetape.refuse();
CREATE TRIGGER nothing_is_taken_back BEFORE TRUNCATE ON onetape.legal_hold
  FOR EACH STATEMENT EXECUTE FUNCTION onetape.refuse();
"""
GUARDED = ("retention_class", "segment_dropped")

YEARS_7, YEARS_5 = 2557, 1827  # days, with the leap days that such a span can hold
CLASSES = (
    ("orders", ["order.*"], YEARS_7, "SOX 7 years, MiFID II 5 years (7 on request)"),
    ("decisions", ["decision.*", "run.*"], YEARS_7, "MiFID II, records of algorithms: 5 years"),
    ("risk", ["risk.*"], YEARS_7, "MiFID II, records of controls: 5 years"),
    ("cash", ["cash.*", "account.*", "action.*"], YEARS_7, "SOX 7 years; tax and commercial law"),
    ("signals", ["signal.*"], YEARS_5, "MiFID II 5 years where a signal led to an order"),
    ("personal", ["person.*"], YEARS_5, "MiFID II and money laundering rules: 5 years"),
)
SUPPORTS = "supports a firm's own policy, have counsel confirm"


def upgrade() -> None:
    """Make the classes with their defaults, the holds, the drops and the keys."""
    op.execute(TABLES)
    op.execute(GUARDS)
    put = "INSERT INTO onetape.retention_class VALUES (%s, %s, %s, %s, 0)"
    for name, kinds, days, basis in CLASSES:
        op.get_bind().exec_driver_sql(put, (name, kinds, days, f"{basis}; {SUPPORTS}"))
    for table in GUARDED:
        each = f"ON onetape.{table} FOR EACH ROW EXECUTE FUNCTION onetape.refuse()"
        whole = f"ON onetape.{table} FOR EACH STATEMENT EXECUTE FUNCTION onetape.refuse()"
        op.execute(f"CREATE TRIGGER nothing_is_changed BEFORE UPDATE OR DELETE {each}")
        op.execute(f"CREATE TRIGGER nothing_is_taken_back BEFORE TRUNCATE {whole}")
