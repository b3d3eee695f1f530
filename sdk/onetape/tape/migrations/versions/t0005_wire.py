# pyright: standard
"""The wire: every raw message of a gateway's sessions, by month, never changed."""

from __future__ import annotations

from alembic import op

revision = "t0005"
down_revision = "t0004"
branch_labels = None
depends_on = None

# The key is unique in each month by index and over all months by the mark, under which a
# session's rows are written (see wirelog_writing). Ids are indexed only where there are any: most
# of what a wire carries is market data and heartbeats.
TABLES = """
CREATE TABLE onetape.wire_session (
  id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  gateway text NOT NULL, session text NOT NULL, journal text NOT NULL,
  UNIQUE (gateway, session, journal)
);
CREATE TABLE onetape.wire (
  epoch int8 NOT NULL, seq int8 NOT NULL, ts int8 NOT NULL, position int8 NOT NULL,
  batch int8 NOT NULL, session_id int4 NOT NULL, copy int4 NOT NULL,
  inbound bool NOT NULL, possdup bool NOT NULL, msg_type text NOT NULL,
  client_order_id text, venue_order_id text, exec_id text, raw bytea NOT NULL
) PARTITION BY RANGE (ts);

CREATE TABLE onetape.wire_batch (
  gateway text NOT NULL, batch int8 NOT NULL, recorded_ns int8 NOT NULL, n int4 NOT NULL,
  ts_lo int8 NOT NULL, ts_hi int8 NOT NULL, digest bytea NOT NULL, chain bytea NOT NULL,
  PRIMARY KEY (gateway, batch)
);
CREATE TABLE onetape.wire_head (
  gateway text PRIMARY KEY, batch int8 NOT NULL, n int8 NOT NULL, recorded_ns int8 NOT NULL,
  chain bytea NOT NULL
) WITH (fillfactor = 10);
CREATE TABLE onetape.wire_mark (
  session_id int4 PRIMARY KEY, position int8 NOT NULL, epoch int8 NOT NULL,
  seq_in int8 NOT NULL, seq_out int8 NOT NULL
) WITH (fillfactor = 30);
"""

# Months are asked for as 202506. As with the log, they are attached, not created in place.
PARTITIONS = """
CREATE FUNCTION onetape.ensure_wire(months int4[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE month int4; name text; since timestamptz; lo int8; hi int8;
BEGIN
  IF cardinality(months) > 240 THEN
    RAISE EXCEPTION '% months are asked for at once, 240 at most expected', cardinality(months);
  END IF;
  PERFORM pg_advisory_xact_lock(7052602);
  FOR month IN SELECT DISTINCT unnest(months) LOOP
    name := 'wire_' || month;
    CONTINUE WHEN to_regclass('onetape.' || name) IS NOT NULL;
    since := make_timestamptz(month / 100, month % 100, 1, 0, 0, 0, 'UTC');
    lo := extract(epoch FROM since) * 1000000000;
    hi := extract(epoch FROM (since AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC')
          * 1000000000;
    EXECUTE format('CREATE TABLE onetape.%I (LIKE onetape.wire INCLUDING DEFAULTS, '
                   'CHECK (ts >= %s AND ts < %s))', name, lo, hi);
    EXECUTE format('CREATE UNIQUE INDEX ON onetape.%I '
                   '(session_id, epoch, inbound, seq, copy)', name);
    EXECUTE format('CREATE INDEX ON onetape.%I (ts)', name);
    EXECUTE format('CREATE INDEX ON onetape.%I (batch)', name);
    EXECUTE format('CREATE INDEX ON onetape.%I (client_order_id) '
                   'WHERE client_order_id IS NOT NULL', name);
    EXECUTE format('CREATE INDEX ON onetape.%I (venue_order_id) '
                   'WHERE venue_order_id IS NOT NULL', name);
    EXECUTE format('CREATE INDEX ON onetape.%I (exec_id) WHERE exec_id IS NOT NULL', name);
    EXECUTE format('CREATE TRIGGER nothing_is_taken_back BEFORE TRUNCATE ON onetape.%I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION onetape.refuse()', name);
    EXECUTE format('ALTER TABLE onetape.wire ATTACH PARTITION onetape.%I '
                   'FOR VALUES FROM (%s) TO (%s)', name, lo, hi);
  END LOOP;
END $$;
"""
GUARDED = ("wire", "wire_batch", "wire_session")

# SOH is shown as |, whatever bytes there are: `encode` cannot fail as a conversion can.
READABLE = """
CREATE VIEW onetape.wire_log AS
SELECT to_timestamp(w.ts / 1000000000.0) AS at, s.gateway, s.session,
       CASE WHEN w.inbound THEN 'in' ELSE 'out' END AS direction, w.seq, w.copy, w.msg_type,
       w.possdup, w.client_order_id, w.venue_order_id, w.exec_id,
       replace(encode(w.raw, 'escape'), chr(1), '|') AS text,
       w.ts, w.epoch, s.journal, w.position, w.batch
FROM onetape.wire w JOIN onetape.wire_session s ON s.id = w.session_id;
"""

YEARS_7 = 2557  # days, with the leap days that such a span can hold
BASIS = (
    "MiFID II, orders as they were sent and received: 5 years (7 on request); "
    "supports a firm's own policy, have counsel confirm"
)


def upgrade() -> None:
    """Make the tables of the wire, and say how long its facts are kept."""
    op.execute(TABLES)
    op.execute(PARTITIONS)
    op.execute(READABLE)
    for table in GUARDED:
        each = f"ON onetape.{table} FOR EACH ROW EXECUTE FUNCTION onetape.refuse()"
        whole = f"ON onetape.{table} FOR EACH STATEMENT EXECUTE FUNCTION onetape.refuse()"
        op.execute(f"CREATE TRIGGER nothing_is_changed BEFORE UPDATE OR DELETE {each}")
        op.execute(f"CREATE TRIGGER nothing_is_taken_back BEFORE TRUNCATE {whole}")
    put = "INSERT INTO onetape.retention_class VALUES (%s, %s, %s, %s, 0)"
    op.get_bind().exec_driver_sql(put, ("wire", ["wire.*"], YEARS_7, BASIS))
