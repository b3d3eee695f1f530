# pyright: standard
"""The tape: events, batches, streams, names, anchors, segments; nothing is updated or deleted."""

from __future__ import annotations

from alembic import op

revision = "t0001"
down_revision = None
branch_labels = None
depends_on = None

# Random-key indexes are kept out of the log on purpose: ids are v7 and streams are numbered as
# they come, so that every index grows at its right edge.
TABLES = """
CREATE TABLE onetape.ledger_head (
  one bool PRIMARY KEY DEFAULT true CHECK (one), ledger uuid NOT NULL DEFAULT gen_random_uuid(),
  last_seq int8 NOT NULL, last_batch int8 NOT NULL, last_ns int8 NOT NULL,
  last_dimension int4 NOT NULL, last_stream int8 NOT NULL, chain bytea NOT NULL
) WITH (fillfactor = 10);
INSERT INTO onetape.ledger_head
  (last_seq, last_batch, last_ns, last_dimension, last_stream, chain)
  VALUES (0, 0, 0, 0, 0, decode(repeat('00', 32), 'hex'));

CREATE TABLE onetape.batch (
  batch_id int8 PRIMARY KEY, seq_lo int8 NOT NULL, seq_hi int8 NOT NULL,
  recorded_ns int8 NOT NULL, writer_id int4 NOT NULL,
  root bytea NOT NULL, named bytea NOT NULL, chain bytea NOT NULL
);
CREATE INDEX batch_recorded ON onetape.batch (recorded_ns);
CREATE UNIQUE INDEX batch_seq ON onetape.batch (seq_lo);

CREATE TABLE onetape.dimension (
  id int4 PRIMARY KEY, kind text NOT NULL, key text NOT NULL, batch_id int8 NOT NULL,
  UNIQUE (kind, key)
);
CREATE TABLE onetape.stream (
  id int8 PRIMARY KEY, key text NOT NULL UNIQUE, book text NOT NULL, batch_id int8 NOT NULL
);
CREATE INDEX stream_book ON onetape.stream (book);
CREATE TABLE onetape.stream_head (
  stream_id int8 PRIMARY KEY, version int8 NOT NULL, last_seq int8 NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE onetape.event (
  seq int8 NOT NULL, stream_id int8 NOT NULL, version int8 NOT NULL,
  ts_event int8 NOT NULL, ts_init int8 NOT NULL, cause int8 NOT NULL,
  source_id int4 NOT NULL, calculation_id int4 NOT NULL, account_id int4 NOT NULL,
  instrument_id int4 NOT NULL, kind_id int4 NOT NULL, format int2 NOT NULL,
  event_id uuid NOT NULL, payload bytea NOT NULL,
  PRIMARY KEY (seq)
) PARTITION BY RANGE (seq);

CREATE TABLE onetape.anchor (
  batch_id int8 NOT NULL, seq int8 NOT NULL, chain bytea NOT NULL,
  anchored_ns int8 NOT NULL, target text NOT NULL
);
CREATE TABLE onetape.archive_segment (
  seq_lo int8 PRIMARY KEY, seq_hi int8 NOT NULL, t_lo int8 NOT NULL, t_hi int8 NOT NULL,
  uri text NOT NULL, file_sha256 bytea NOT NULL, root bytea NOT NULL, kinds text[] NOT NULL,
  archived_ns int8 NOT NULL
);
"""

# Partitions are made ahead by whoever writes, with the owner's rights, and in whole steps. They
# are attached, not created in place: that would wait for every reader of the log.
PARTITIONS = """
CREATE FUNCTION onetape.partition_ends() RETURNS int8[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(array_agg(hi ORDER BY hi), '{}') FROM (
    SELECT (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''(\\d+)''\\)'))[1]::int8 AS hi
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'onetape.event'::regclass) p
$$;
CREATE FUNCTION onetape.ensure_partitions(upto int8, step int8) RETURNS int8[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE lo int8; name text;
BEGIN
  IF step < 1 THEN RAISE EXCEPTION 'step % found, 1 or more expected', step; END IF;
  PERFORM pg_advisory_xact_lock(7052601);
  SELECT greatest((SELECT coalesce(max(h), 1) FROM unnest(onetape.partition_ends()) h),
                  (SELECT coalesce(max(seq_hi), 0) + 1 FROM onetape.archive_segment)) INTO lo;
  IF (upto - lo) / step > 500 THEN
    RAISE EXCEPTION 'partitions of % found, larger ones expected: % are asked for at once',
      step, (upto - lo) / step;
  END IF;
  WHILE lo <= upto LOOP
    name := 'event_' || lpad(lo::text, 19, '0');
    EXECUTE format('CREATE TABLE onetape.%I (LIKE onetape.event INCLUDING DEFAULTS, '
                   'PRIMARY KEY (seq), CHECK (seq >= %s AND seq < %s))', name, lo, lo + step);
    EXECUTE format('CREATE UNIQUE INDEX ON onetape.%I (stream_id, version)', name);
    EXECUTE format('CREATE UNIQUE INDEX ON onetape.%I (event_id)', name);
    EXECUTE format('CREATE INDEX ON onetape.%I USING brin (ts_event)', name);
    EXECUTE format('CREATE TRIGGER nothing_is_taken_back BEFORE TRUNCATE ON onetape.%I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION onetape.refuse()', name);
    EXECUTE format('ALTER TABLE onetape.event ATTACH PARTITION onetape.%I '
                   'FOR VALUES FROM (%s) TO (%s)', name, lo, lo + step);
    lo := lo + step;
  END LOOP;
  RETURN onetape.partition_ends();
END $$;
"""

GUARDS = """
CREATE FUNCTION onetape.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% on %: the tape is never changed; record a correction as a new event',
    TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
"""
GUARDED = ("event", "batch", "dimension", "stream", "anchor", "archive_segment")

READABLE = """
CREATE VIEW onetape.event_log AS
SELECT e.seq, b.recorded_ns, s.key AS stream, s.book, e.version, k.key AS kind,
       a.key AS account, i.key AS instrument, src.key AS source, calc.key AS calculation,
       e.ts_event, e.ts_init, nullif(e.cause, 0) AS cause, e.event_id,
       convert_from(e.payload, 'UTF8')::json AS payload
FROM onetape.event e
JOIN onetape.stream s ON s.id = e.stream_id
JOIN onetape.dimension k ON k.id = e.kind_id
JOIN LATERAL (SELECT recorded_ns FROM onetape.batch WHERE seq_lo <= e.seq
              ORDER BY seq_lo DESC LIMIT 1) b ON true
LEFT JOIN onetape.dimension a ON a.id = e.account_id
LEFT JOIN onetape.dimension i ON i.id = e.instrument_id
LEFT JOIN onetape.dimension src ON src.id = e.source_id
LEFT JOIN onetape.dimension calc ON calc.id = e.calculation_id;
"""


def upgrade() -> None:
    """Make the tape."""
    op.execute(TABLES)
    op.execute(GUARDS)
    op.execute(PARTITIONS)
    op.execute(READABLE)
    for table in GUARDED:
        each = f"ON onetape.{table} FOR EACH ROW EXECUTE FUNCTION onetape.refuse()"
        whole = f"ON onetape.{table} FOR EACH STATEMENT EXECUTE FUNCTION onetape.refuse()"
        op.execute(f"CREATE TRIGGER nothing_is_changed BEFORE UPDATE OR DELETE {each}")
        op.execute(f"CREATE TRIGGER nothing_is_taken_back BEFORE TRUNCATE {whole}")
