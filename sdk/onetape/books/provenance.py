# pyright: standard
"""Provenance: what a number rests on, by the log: fills, orders, decisions, rows, data, code.

    position -> fills -> orders -> decision -> the row that was seen -> dataset, code, parameters

A cause is an earlier version of the same stream, so one recursive query follows all the chains
of any number of fills at once; an event that several fills share is read once, and is one node
in the tree. What stands behind a decision (its lineage) is read from its payload, the names of
datasets from the stream's `run.opened`.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from onetape.books.past import fetch
from onetape.books.projected import opened, written
from onetape.books.words import told
from onetape.errors import SettingsError, TapeError
from onetape.tape import kinds
from onetape.tape.event import Event, Lineage, decode

CHAIN = """WITH RECURSIVE chain AS (
  SELECT e.seq, e.stream_id, e.version, e.cause
  FROM onetape.event e WHERE e.seq = ANY(%(seqs)b::int8[])
  UNION
  SELECT c.seq, c.stream_id, c.version, c.cause
  FROM chain JOIN onetape.event c ON c.stream_id = chain.stream_id AND c.version = chain.cause
  WHERE chain.cause > 0)
SELECT seq, chain.stream_id, chain.version, chain.cause, e.payload
FROM chain JOIN onetape.event e USING (seq)"""
EFFECTS = """WITH RECURSIVE led AS (
  SELECT e.seq, e.stream_id, e.version FROM onetape.event e WHERE e.seq = %(seq)b
  UNION
  SELECT e.seq, e.stream_id, e.version FROM led JOIN onetape.event e
    ON e.stream_id = led.stream_id AND e.version > led.version AND e.cause = led.version)
SELECT e.seq, e.version, e.cause, e.payload FROM led JOIN onetape.event e ON e.seq = led.seq
WHERE e.seq <> %(seq)b ORDER BY e.seq"""
OPENED = """SELECT e.stream_id, e.payload FROM onetape.event e
WHERE e.stream_id = ANY(%(streams)b::int8[]) AND e.version = 1"""
OF_KEY = """SELECT h.seq FROM onetape_books.position_key k
JOIN onetape_books.position_history h ON h.key_id = k.id
WHERE k.book = %(book)b AND k.account = %(account)b AND k.instrument = %(instrument)b
  AND (%(strategy)b::text IS NULL OR k.strategy = %(strategy)b)
  AND h.event <> 'void' AND h.seq <= %(upto)b
  AND NOT EXISTS (SELECT FROM onetape_books.action v
    WHERE v.book = k.book AND v.instrument = k.instrument AND v.account = k.account
      AND v.kind = 'void' AND v.fill_seq = h.seq AND v.seq <= %(upto)b)
ORDER BY h.seq"""
OF_ACCOUNT = """SELECT c.seq FROM onetape_books.cash c
WHERE c.book = %(book)b AND c.account = %(account)b AND c.currency = %(currency)b
  AND c.seq <= %(upto)b AND (c.void_seq IS NULL OR c.void_seq > %(upto)b)
ORDER BY c.seq"""
SEQS = ("entry_seqs", "exit_seqs", "seqs")
END = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Origin:
    """A node: what it is, what it says, where it stands in the ledger, what it rests on."""

    title: str
    says: str = ""
    seq: int | None = None
    rests_on: tuple[Origin, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the tree as text; what was told once is not told again."""
        yield from _lines(self, set())

    def walk(self) -> Iterator[Origin]:
        """Yield this node and all below it, each once."""
        seen: set[int] = set()
        waiting: list[Origin] = [self]
        while waiting:
            node = waiting.pop()
            if id(node) not in seen:
                seen.add(id(node))
                yield node
                waiting.extend(reversed(node.rests_on))

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as plain JSON types."""
        return {
            "title": self.title,
            "says": self.says,
            "seq": self.seq,
            "rests_on": [node.to_dict() for node in self.rests_on],
        }

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        return f"<pre style='line-height:1.35'>{html.escape(repr(self))}</pre>"


class Found(NamedTuple):
    """An event of a chain, with where it stands."""

    seq: int
    stream_id: int
    version: int
    cause: int
    event: Event


def origin(where: Any, what: Any, *, book: str | None = None) -> Origin:
    """Return what a number rests on, down to data and code.

    what    an event's ledger seq; a row of a frame (a dict or a frame of one row) of fills,
            orders, trades, positions, cash, equity, exposure or signals; or
            ("position", book, account, instrument)
    book    whose a row is, where the row does not say it: "live" unless told

    Raises SettingsError when `what` leads to no event, TapeError when the event is not there.
    """
    said = _plain(what)
    with opened(where) as connection:
        title, says, seqs = _roots(connection, said, said.get("book") or book or "live")
        nodes = _trees(connection, seqs)
    if title is None:
        return nodes[0]
    return Origin(title, says, said.get("seq"), tuple(nodes))


def effects(where: Any, seq: int) -> list[Origin]:
    """Return the events of the same stream that have the event at `seq` among their causes."""
    with opened(where) as connection:
        cursor = connection.cursor(binary=True)
        rows = cursor.execute(EFFECTS, {"seq": seq}, prepare=True).fetchall()
        if not rows:
            fetch(connection, [seq])
    return [_node(row[0], decode(bytes(row[3])), ()) for row in rows]


def _plain(what: Any) -> dict[str, Any]:
    if isinstance(what, int) and not isinstance(what, bool):
        return {"seq": what}
    if isinstance(what, tuple) and len(what) == 4 and what[0] == "position":
        return dict(zip(("book", "account", "instrument"), what[1:], strict=True))
    if isinstance(what, Mapping):
        return dict(what)
    frame: Any = what
    height = getattr(frame, "height", None)
    if height == 1:
        return frame.row(0, named=True)
    found = f"{height} rows" if height is not None else repr(what)
    raise SettingsError(
        f"{found} found; a ledger seq, a row of one of the tape's frames (frame[-1]), or "
        "('position', book, account, instrument) expected"
    )


def _roots(connection: Any, said: dict[str, Any], book: str) -> tuple[str | None, str, list[int]]:
    """Return a title, what it says and the seqs that a row rests on; no title for one event."""
    asked = {"strategy": None, **said, "book": book, "upto": said.get("seq") or END}
    cursor = connection.cursor(binary=True)
    if said.get("entry_seqs") is not None:
        seqs = [*said["entry_seqs"], *(said.get("exit_seqs") or ())]
        return "trade", _says(said, "side", "quantity", "instrument", "net", "currency"), seqs
    if said.get("seqs"):
        return "order", _says(said, "side", "quantity", "instrument", "status"), list(said["seqs"])
    if "equity" in said or ("balance" in said and "reason" not in said):
        seqs = [row[0] for row in cursor.execute(OF_ACCOUNT, asked).fetchall()]
        words = _says(said, "account", "equity", "balance", "currency")
        return "equity" if "equity" in said else "cash", words, _some(seqs, said)
    if "account" in said and "instrument" in said and _is_held(said):
        seqs = [row[0] for row in cursor.execute(OF_KEY, asked, prepare=True).fetchall()]
        words = _says(said, "account", "quantity", "instrument", "strategy")
        return "position", words, _some(seqs, said)
    if isinstance(said.get("seq"), int):
        return None, "", [said["seq"]]
    raise SettingsError(f"{said!r} leads to no event; a row with a seq of the ledger expected")


def _is_held(said: Mapping[str, Any]) -> bool:
    """Tell a position or an exposure from one event's row, such as a fill or a signal."""
    return "trade_id" not in said and "reason" not in said and "value" not in said


def _some(seqs: Sequence[int], said: Mapping[str, Any]) -> list[int]:
    if not seqs:
        raise SettingsError(f"{dict(said)!r} leads to no event; are book and account right?")
    return sorted(set(seqs))


def _says(said: Mapping[str, Any], *names: str) -> str:
    return " ".join(_exact(said[name]) for name in names if said.get(name) is not None)


def _exact(value: Any) -> str:
    if not isinstance(value, Decimal):
        return str(value)
    return f"{value.normalize():f}" if value else "0"


def _trees(connection: Any, seqs: Sequence[int]) -> list[Origin]:
    cursor = connection.cursor(binary=True)
    rows = cursor.execute(CHAIN, {"seqs": list(seqs)}, prepare=True).fetchall()
    found = {(row[1], row[2]): Found._make((*row[:4], decode(bytes(row[4])))) for row in rows}
    by_seq = {one.seq: one for one in found.values()}
    for seq in seqs:
        if seq not in by_seq:
            raise TapeError(f"no event with seq {seq} in the log; archived ones have no trace here")
    opened_runs = _opened(cursor, {one.stream_id for one in found.values()})
    made: dict[tuple[int, int], Origin] = {}
    grounds: dict[tuple[int, Lineage], tuple[Origin, ...]] = {}
    for place, one in sorted(found.items()):  # a cause stands before what it led to
        cause = made.get((one.stream_id, one.cause))
        below = () if cause is None else (cause,)
        lineage = one.event.lineage
        if lineage is not None:
            key = (one.stream_id, lineage)
            if key not in grounds:
                grounds[key] = _grounds(lineage, opened_runs.get(one.stream_id))
            below += grounds[key]
        made[place] = _node(one.seq, one.event, below)
    return [made[by_seq[seq].stream_id, by_seq[seq].version] for seq in seqs]


def _opened(cursor: Any, streams: Iterable[int]) -> dict[int, kinds.RunOpened]:
    rows = cursor.execute(OPENED, {"streams": list(streams)}, prepare=True).fetchall()
    facts = {number: decode(bytes(payload)).fact for number, payload in rows}
    return {number: fact for number, fact in facts.items() if isinstance(fact, kinds.RunOpened)}


def _grounds(lineage: Lineage, run: kinds.RunOpened | None) -> tuple[Origin, ...]:
    seen: tuple[Origin, ...] = ()
    if lineage.source:
        known = {one.fingerprint: one for one in run.datasets} if run else {}
        data = known.get(lineage.source)
        if data is None:
            seen = (Origin("feed", lineage.source),)
        else:
            made = "SYNTHETIC " if data.synthetic else ""
            says = f"{made}{data.name}, {data.rows:,} rows, sha256 {data.fingerprint}"
            seen = (Origin("dataset", says),)
    strategy = f"{run.strategy}, " if run else ""
    return (
        Origin(lineage.what, f"row at {written(lineage.ts)}", None, seen),
        Origin("code", f"{strategy}sha256 {lineage.code}"),
        Origin("parameters", f"hash {lineage.params}, calculation {lineage.calculation}"),
    )


TITLES = {"order.filled": "fill", "order.initialized": "order", "decision.made": "decision"}


def _node(seq: int, event: Event, below: tuple[Origin, ...]) -> Origin:
    return Origin(
        TITLES.get(event.kind, event.kind), told(event.fact, written(event.ts_event)), seq, below
    )


def _lines(node: Origin, told: set[int]) -> Iterator[str]:
    place = "" if node.seq is None else f" #{node.seq}"
    again = id(node) in told and node.rests_on
    yield f"{node.title}{place}  {'(as above)' if again else node.says}".rstrip()
    told.add(id(node))
    for at, below in enumerate(() if again else node.rests_on):
        last = at == len(node.rests_on) - 1
        branch, under = ("└─ ", "   ") if last else ("├─ ", "│  ")
        for n, line in enumerate(_lines(below, told)):
            yield (branch if n == 0 else under) + line
