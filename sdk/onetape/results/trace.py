"""Trace: where a number comes from, as a tree that prints well.

    value -> fills -> orders -> decision -> the row that was seen -> dataset hash -> code hash

Every step but the last three is a cause on the tape; the row is found again in the dataset by
the time in the decision's lineage, and the dataset by its content hash.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from onetape.books.words import told
from onetape.errors import SettingsError
from onetape.tape import kinds
from onetape.tape.event import Event, Lineage

if TYPE_CHECKING:
    from onetape.market.dataset import Dataset
    from onetape.results.run import Run

FEED = "feed:"
FILLS_SHOWN = 12


@dataclass(frozen=True)
class Trace:
    """A node: what it is, what it says, and what it rests on."""

    title: str
    says: str = ""
    rests_on: tuple[Trace, ...] = field(default=())

    def lines(self, indent: str = "") -> Iterator[str]:
        """Yield the tree as text lines."""
        yield f"{self.title}  {self.says}".rstrip()
        for at, node in enumerate(self.rests_on):
            last = at == len(self.rests_on) - 1
            branch, under = ("└─ ", "   ") if last else ("├─ ", "│  ")
            for n, line in enumerate(node.lines()):
                yield indent + (branch if n == 0 else under) + line

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as plain JSON types."""
        return {
            "title": self.title,
            "says": self.says,
            "rests_on": [node.to_dict() for node in self.rests_on],
        }

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        return f"<pre style='line-height:1.35'>{html.escape(repr(self))}</pre>"


def trace(run: Run, row: Any) -> Trace:
    """Return where `row` comes from; SettingsError when it leads to no event."""
    said = _plain(row)
    if "equity" in said and "seq" not in said:
        return _worth(run, said)
    if said.get("entry_seqs") is not None:
        seqs: list[int] = [*said["entry_seqs"], *(said["exit_seqs"] or [])]
        net = f"net {exact(said['net'])} {said['currency']}" if "net" in said else ""
        what = f"{said['side']} {exact(said['quantity'])} {said['instrument']} {net}"
        return Trace("trade", what, _each(run, seqs))
    seq = said.get("seq")
    if not isinstance(seq, int):
        raise SettingsError(
            f"{row!r} found, a row of run.fills, orders, positions, trades, signals or equity "
            "expected, or an event or its seq: run.trace(run.fills[-1])"
        )
    return _event(run, run.recording.seq(seq))


def _plain(row: Any) -> dict[str, Any]:
    if isinstance(row, Event):
        return {"seq": row.seq}
    if isinstance(row, pl.DataFrame):
        if row.height != 1:
            raise SettingsError(f"{row.height} rows found, one expected: run.trace(run.fills[-1])")
        return row.row(0, named=True)
    if isinstance(row, dict):
        return cast("dict[str, Any]", row)
    return {"seq": row}


def _each(run: Run, seqs: list[int]) -> tuple[Trace, ...]:
    shown = [_event(run, run.recording.seq(seq)) for seq in seqs[:FILLS_SHOWN]]
    if len(seqs) > FILLS_SHOWN:
        rest = ", ".join(f"#{seq}" for seq in seqs[FILLS_SHOWN:][:50])
        shown.append(Trace(f"and {len(seqs) - FILLS_SHOWN} more", rest))
    return tuple(shown)


def _worth(run: Run, row: dict[str, Any]) -> Trace:
    ts = run.equity.filter(pl.col("ts_event") == row["ts_event"])["ts_event"].dt.timestamp("ns")[0]
    known = run.at(row["ts_event"])
    nodes: list[Trace] = [Trace("cash", f"{amount} {code}") for code, amount in known.cash.items()]
    for held in known.positions.iter_rows(named=True):
        fills = run.fills.filter(
            (pl.col("instrument") == held["instrument"])
            & (pl.col("ts_event").dt.timestamp("ns") <= ts)
        )
        seqs = fills["seq"].to_list()[::-1]
        priced = _priced(run, held["instrument"], ts)
        says = f"{exact(held['quantity'])} {held['instrument']} at {exact(held['average_price'])}"
        earlier = (Trace(f"and {len(seqs) - 3} earlier fills"),) if len(seqs) > 3 else ()
        nodes.append(Trace("position", says, (*priced, *_each(run, seqs[:3]), *earlier)))
    return Trace(
        "equity", f"{exact(row['equity'])} {run.currency} at {row['ts_event']}", tuple(nodes)
    )


def _priced(run: Run, instrument: str, ts: int) -> tuple[Trace, ...]:
    for dataset in run.datasets:
        if dataset.instrument.id == instrument:
            at = pl.lit(ts).cast(pl.Datetime("ns", "UTC"))
            found = (
                dataset.scan()
                .with_row_index("row")
                .filter(pl.col("ts_event") <= at)
                .tail(1)
                .collect()
            )
            if found.height:
                return (Trace("valued at", _row(found.row(0, named=True)), (_dataset(dataset),)),)
    return ()


def _event(run: Run, event: Event) -> Trace:
    fact = event.fact
    below: list[Trace] = []
    if event.cause is not None:
        below.append(_event(run, run.recording.seq(event.cause)))
    if event.lineage is not None:
        below += _lineage(run, event.lineage)
    title = event.kind.replace("order.filled", "fill")
    return Trace(f"{title} #{event.seq}", _says(fact, event), tuple(below))


def _says(fact: Any, event: Event) -> str:
    from onetape.results.run import utc

    at = f"{utc(event.ts_event):%Y-%m-%d %H:%M:%S}Z"
    return f"{fact.strategy}, {at}" if isinstance(fact, kinds.RunOpened) else told(fact, at)


def _lineage(run: Run, lineage: Lineage) -> list[Trace]:
    from onetape.results.run import utc

    if not lineage.code:  # not ours: what a simulated fill was made on
        return [Trace(lineage.source, lineage.what)]
    nodes: list[Trace] = []
    if lineage.source:
        nodes.append(Trace(lineage.what, *_seen(run, lineage)))
    else:
        nodes.append(Trace(lineage.what, f"at {utc(lineage.ts):%Y-%m-%d %H:%M:%S}Z"))
    opened = run.opened
    said = ", ".join(f"{name}={value}" for name, value in run.params.items()) or "none"
    nodes.append(Trace("code", f"{opened.strategy}, sha256 {lineage.code[:16]}"))
    nodes.append(
        Trace("parameters", f"{said} (hash {lineage.params}), calculation {lineage.calculation}")
    )
    return nodes


def _seen(run: Run, lineage: Lineage) -> tuple[str, tuple[Trace, ...]]:
    from onetape.results.run import utc

    when = f"at {utc(lineage.ts):%Y-%m-%d %H:%M:%S}Z"
    for dataset in run.datasets:
        if dataset.fingerprint == lineage.source or _received(dataset, lineage):
            at = pl.lit(lineage.ts).cast(pl.Datetime("ns", "UTC"))
            found = dataset.scan().with_row_index("row").filter(pl.col("ts_event") == at).collect()
            says = "; ".join(_row(r) for r in found.head(3).iter_rows(named=True)) or when
            return says, (_dataset(dataset),)
    for known in run.opened.datasets:
        if known.fingerprint == lineage.source:
            return when, (
                Trace("dataset", f"{known.name}, sha256 {known.fingerprint[:16]} (not at hand)"),
            )
    fed = lineage.source.startswith(FEED)
    return when, (Trace("feed", lineage.source.removeprefix(FEED)),) if fed else ()


def _received(dataset: Dataset, lineage: Lineage) -> bool:
    """Say whether a dataset is what a live session received and kept of the feed that is named."""
    step = f" {dataset.step}" if dataset.step else ""
    what = f"{dataset.kind}{step} {dataset.instrument.id}"
    return lineage.source.startswith(FEED) and lineage.what == what


def exact(value: Any) -> str:
    """Return a number without the zeros that its column's scale adds."""
    if not isinstance(value, Decimal):
        return str(value)
    return f"{value.normalize():f}" if value else "0"


def _row(row: dict[str, Any]) -> str:
    values = ", ".join(
        f"{k} {exact(v)}" for k, v in row.items() if k not in ("row", "ts_event", "ts_init")
    )
    return f"row {row['row']} at {row['ts_event']:%Y-%m-%d %H:%M:%S}Z: {values}"


def _dataset(dataset: Dataset) -> Trace:
    made = "SYNTHETIC " if dataset.synthetic else ""
    rows = f"{dataset.rows:,} rows"
    return Trace(
        "dataset",
        f"{made}{dataset.name}, {rows}, sha256 {dataset.fingerprint[:16]}",
        _files(dataset),
    )


def _files(dataset: Dataset) -> tuple[Trace, ...]:
    nodes: list[Trace] = []
    for source in dataset.source:
        for each in source.get("files", [source]):
            name, sha = each.get("file") or each.get("name"), each.get("sha256")
            if name and sha:
                nodes.append(Trace("file", f"{name}, sha256 {str(sha)[:16]}"))
    return tuple(nodes)
