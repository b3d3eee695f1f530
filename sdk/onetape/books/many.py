# pyright: standard
"""Many: the positions of a whole account or of everybody at an instant, in columns.

The nearest snapshot that the instant knows wholly (taken at or before `known_at`, nothing in it
later than `true_at`), and what `position_history` tells after it. A row that is on time follows
no row that the instant leaves out, so the last of them is a key's state. A row that came late
may follow one. Such keys are asked for one by one (`held`), and so are those with a void that is
left out, with a figure that does not fit into Decimal(38, 18), and pairs of which several
strategies hold something where the last fill cannot be told from their last events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl

from onetape.books import arrow
from onetape.books.held import State, of_instrument
from onetape.books.past import Instant, Pair
from onetape.books.tables import MONEY

AMOUNTS = ("quantity", "cost", "realized", "commission", "price")
TAIL = """SELECT h.key_id, h.seq, h.ts_event, h.late, h.event, h.quantity::text AS quantity,
  h.cost::text AS cost, h.realized::text AS realized, h.commission::text AS commission,
  h.last_price::text AS price
FROM onetape_books.position_history h
WHERE h.seq > {after} AND h.seq <= {known} AND h.ts_event <= {true}"""
KEYS = """SELECT id AS key_id, account, instrument, strategy, currency,
  multiplier::text AS multiplier, margined
FROM onetape_books.position_key
WHERE book = {book} AND (id > {last_key} OR id = ANY({again}::int8[]))"""
LEFT_OUT = """SELECT DISTINCT account, instrument FROM onetape_books.action
WHERE book = %(book)b AND kind = 'void' AND ts_event > %(true)b
  AND seq > %(after)b AND seq <= %(known)b"""
AFTER = """SELECT k.id, e.seq FROM unnest(%(ids)b::int8[]) AS k(id), LATERAL (
  SELECT h.seq FROM onetape_books.position_history h
  WHERE h.key_id = k.id AND NOT h.late AND h.ts_event > %(true)b
  ORDER BY h.ts_event, h.seq LIMIT 1) e WHERE e.seq <= %(known)b"""
OWNERS = ("key_id", "account", "instrument", "strategy", "currency", "multiplier", "margined")
NAMES = pl.Categorical()
TEXT, WHOLE = pl.String(), pl.Int64()
TAIL_SCHEMA = pl.Schema(
    {"key_id": WHOLE, "seq": WHOLE, "ts_event": WHOLE, "late": pl.Boolean(), "event": TEXT}
    | dict.fromkeys(AMOUNTS, TEXT)
)
KEYS_SCHEMA = pl.Schema(dict.fromkeys(OWNERS, TEXT) | {"key_id": WHOLE, "margined": pl.Boolean()})
FEW = 10_000  # ledger events for which a connection of ADBC's own is not worth its 50 ms
DIGITS = 18
PAIR = ["account", "instrument"]


class Base(NamedTuple):
    """Where a question starts: positions as they stood after `seq`, in columns like State's."""

    seq: int = 0
    max_ts: int = -(2**63)
    last_key: int = 0  # ids above it were handed out later
    again: tuple[int, ...] = ()  # ids that the columns do not hold: ask for them one by one
    states: pl.DataFrame | None = None


class Answer(NamedTuple):
    """Positions in columns (State's names), and those that had to be asked for one by one."""

    columns: pl.DataFrame
    states: list[State]
    base: Base  # how the book stands now, as far as columns tell: what a snapshot keeps


def read(connection: Any, book: str, instant: Instant, base: Base) -> list[pl.DataFrame]:
    """Return the history after `base` and the keys that it does not know."""
    tail = {"after": base.seq, "known": instant.known_at, "true": instant.true_at}
    keys = {"book": book, "last_key": base.last_key, "again": list(base.again)}
    asked = [(TAIL, tail, TAIL_SCHEMA), (KEYS, keys, KEYS_SCHEMA)]
    if instant.known_at - base.seq <= FEW:
        return [arrow.few(connection, *one) for one in asked]
    return arrow.frames(connection, [one[:2] for one in asked])


def of_book(
    connection: Any,
    book: str,
    instant: Instant,
    base: Base,
    told: Sequence[pl.DataFrame],
    account: str | None = None,
) -> Answer:
    """Return the positions of a book, or of an account in it; `told` is what `read` returned."""
    tail, fresh = told
    owners = _owners(base, fresh)
    tail = tail.join(owners.select("key_id"), on="key_id", how="semi")
    last = _last(tail)
    rough = last.filter(pl.any_horizontal(_too_long(name) for name in AMOUNTS))
    last = last.join(rough.select("key_id"), on="key_id", how="anti")
    last = last.with_columns(pl.col(*AMOUNTS).cast(MONEY)).drop("late")
    now = owners.join(last, on="key_id", how="inner")
    if base.states is not None:
        before = base.states.join(tail.select("key_id"), on="key_id", how="anti")
        now = pl.concat([before.select(now.columns), now]).sort("key_id")
    nothing = (pl.col("event") == "void") & pl.all_horizontal(pl.col(c) == 0 for c in AMOUNTS)
    empty = now.filter(nothing)["key_id"]
    now = now.filter(~nothing)
    settled = set(now["key_id"]) if base.again else set[int]()
    again = {*base.again, *rough["key_id"], *empty} - settled
    ends = (_most(base, tail), _top(base, tail))
    stands = Base(instant.known_at, *ends, tuple(sorted(again)), now)
    late = _late(connection, tail, instant)
    unsure = owners.filter(pl.col("key_id").is_in(sorted({*again, *late})))
    pairs = _pairs(unsure) | _left_out(connection, book, instant, base)
    return _answer(connection, book, instant, stands, _Asked(account, pairs))


class _Asked(NamedTuple):
    account: str | None
    pairs: set[Pair]  # to be asked for one by one


def _answer(connection: Any, book: str, instant: Instant, stands: Base, asked: _Asked) -> Answer:
    columns, pairs = stands.states, asked.pairs
    assert columns is not None
    if asked.account is not None:
        columns = columns.filter(pl.col("account") == asked.account)
        pairs = {pair for pair in pairs if pair.account == asked.account}
    shared = columns.filter(pl.struct(PAIR).is_duplicated())
    if shared.height:
        pairs |= _pairs(shared.filter(pl.col("event") != "fill"))
        latest = shared.sort("seq").group_by(PAIR).agg(pl.col("price").last().alias("one_price"))
        columns = columns.join(latest, on=PAIR, how="left", maintain_order="left")
        columns = columns.with_columns(price=pl.coalesce("one_price", "price")).drop("one_price")
    if pairs:
        listed = pl.DataFrame([tuple(p) for p in pairs], schema=PAIR, orient="row")
        listed = listed.cast(dict.fromkeys(PAIR, NAMES))
        columns = columns.join(listed, on=PAIR, how="anti", maintain_order="left")
    one_by_one = (
        of_instrument(connection, book, pair.account, pair.instrument, instant)
        for pair in sorted(pairs)
    )
    return Answer(columns, [state for states in one_by_one for state in states], stands)


def _owners(base: Base, fresh: pl.DataFrame) -> pl.DataFrame:
    names = ("account", "instrument", "strategy", "currency")
    fresh = fresh.with_columns(pl.col(*names).cast(NAMES), pl.col("multiplier").cast(MONEY))
    if base.states is None:
        return fresh.select(OWNERS)
    return pl.concat([base.states.select(OWNERS), fresh.select(OWNERS)])


def _last(tail: pl.DataFrame) -> pl.DataFrame:
    """Return the last row of each key."""
    ordered = tail.sort("seq").with_row_index("row")
    rows = ordered.group_by("key_id").agg(pl.col("row").max())["row"].sort()
    return ordered[rows].drop("row")


def _late(connection: Any, tail: pl.DataFrame, instant: Instant) -> list[int]:
    """Return the keys of which a row that counts follows one that is left out."""
    late = tail.filter("late").group_by("key_id").agg(pl.col("seq").max())
    if not late.height:
        return []
    asked = {"ids": late["key_id"].to_list(), "true": instant.true_at, "known": instant.known_at}
    first = dict(connection.cursor(binary=True).execute(AFTER, asked).fetchall())
    return [key for key, seq in late.iter_rows() if seq > first.get(key, seq)]


def _left_out(connection: Any, book: str, instant: Instant, base: Base) -> set[Pair]:
    asked = {"book": book, "true": instant.true_at, "after": base.seq, "known": instant.known_at}
    rows = connection.cursor(binary=True).execute(LEFT_OUT, asked).fetchall()
    return {Pair(*row) for row in rows}


def _pairs(owners: pl.DataFrame) -> set[Pair]:
    return {Pair(*row) for row in owners.select(PAIR).iter_rows()}


def _too_long(name: str) -> pl.Expr:
    """Tell which amounts have no exact place in Decimal(38, 18)."""
    parts = pl.col(name).str.splitn(".", 2)
    whole, digits = parts.struct.field("field_0"), parts.struct.field("field_1")
    long = (digits.str.len_bytes().fill_null(0) > DIGITS) | (whole.str.len_bytes() > DIGITS)
    return pl.when(pl.col(name).str.len_bytes() > DIGITS).then(long).otherwise(pl.lit(False))


def _most(base: Base, tail: pl.DataFrame) -> int:
    newest: Any = tail["ts_event"].max()
    return base.max_ts if newest is None else max(base.max_ts, newest)


def _top(base: Base, tail: pl.DataFrame) -> int:
    newest: Any = tail["key_id"].max()
    return base.last_key if newest is None else max(base.last_key, newest)
