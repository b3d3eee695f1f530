# pyright: standard
"""Intake: one source on its way into the catalog's staging folder, in bounded memory.

Rows are written as they come. Where the source goes back in time a new sorted run begins; several
runs are merged by a second pass over the staged files, which also redoes findings and fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from onetape import progress
from onetape.market import layout
from onetape.market.blocks import Block, even
from onetape.market.files import Files, Root, Writer
from onetape.market.ingest import Ordered, Reader, Seal, default_name, distinct
from onetape.market.manifest import Card, DataFile
from onetape.market.merge import merged
from onetape.market.quality import Ledger

OF_SOURCE = ("off_tick", "off_size", "assumed_size", "out_of_order")


class Intake:
    """One source on its way into the staging folder."""

    def __init__(self, root: Root, staging: str, reader: Reader, watched: bool) -> None:
        self._root = root
        self._staging = staging
        self._reader = reader
        self._watched = watched

    def taken(self) -> Card:
        """Write the source's rows to staging and return their card, files in staging."""
        reader = self._reader
        name = default_name(reader)
        card = Card(name=name, instrument=reader.wanted.instrument, kind=reader.kind,
                    step=reader.step)  # fmt: skip
        schema = schema_of(card)
        writer = Writer(self._root, self._staging, schema)
        ledger = reader.ledger
        seal = Seal(reader.kind, reader.step, reader.wanted, ledger)
        ordered = Ordered(ledger)
        wanted = None if self._watched else False
        with progress.bar(reader.source.rows, "ingest", wanted) as bar:
            for begins, block in self._blocks(ordered, bar):
                if begins:
                    writer.new_run()
                if ordered.runs == 1:
                    seal.add(block)
                writer.write(block)
        writer.close()
        runs = writer.runs
        if len(runs) > 1:
            seal, runs = self._sorted(runs, schema)
        lineage = {**reader.source.lineage(), "rows": reader.rows}
        sealed = seal.card(reader, lineage, name)
        return msgspec.structs.replace(sealed, files=tuple(runs[0]))

    def _blocks(self, ordered: Ordered, bar: Any) -> Iterator[tuple[bool, Block]]:
        """Yield (begins a new sorted run, block) in the order of the source."""
        reader = self._reader

        def counted() -> Iterator[tuple[bool, Block]]:
            for begins, block in ordered.over(reader.blocks()):
                bar.update(block.rows)
                yield begins, block

        if reader.kind == "quotes":  # nothing is left out or filled in: blocks stay even
            return counted()
        return _first_run_distinct(counted(), reader)

    def _sorted(self, runs: list[list[DataFile]], schema: Any) -> tuple[Seal, list[list[DataFile]]]:
        reader = self._reader
        ledger = Ledger()
        for found in reader.ledger.findings():
            dropped = found.kind == "duplicates" and reader.kind == "bars"
            if dropped or found.kind in OF_SOURCE:
                ledger.note(found.kind, found.count, found.first_ts, found.last_ts, found.detail)
        reader.ledger = ledger
        rows = max(1024, 262_144 // len(runs))
        streams = [blocks_of(Files(self._root, tuple(r), schema), rows) for r in runs]
        seal = Seal(reader.kind, reader.step, reader.wanted, ledger)
        writer = Writer(self._root, f"{self._staging}/sorted", schema)
        for block in even(distinct(merged(streams), reader.kind, ledger)):
            seal.add(block)
            writer.write(block)
        writer.close()
        return seal, writer.runs


def _first_run_distinct(
    blocks: Iterator[tuple[bool, Block]], reader: Reader
) -> Iterator[tuple[bool, Block]]:
    """Drop repeated bars and fill ids while the source is in order; later runs wait for merging."""
    later: list[Block] = []

    def first_run() -> Iterator[Block]:
        for begins, block in blocks:
            if begins:
                later.append(block)
                return
            yield block

    for block in even(distinct(first_run(), reader.kind, reader.ledger)):
        yield False, block
    for block in later:
        yield True, block
    yield from blocks


def blocks_of(files: Files, rows: int = 65_536) -> Iterator[Block]:
    """Yield the rows of files as blocks."""
    return (layout.from_batch(b) for b in files.batches(None, None, rows))


def schema_of(card: Card) -> Any:
    """Return the Arrow schema of a dataset."""
    bars = layout.bar_type(card.instrument, card.step, card.price) if card.step else None
    return layout.schema(card.instrument, card.kind, bars)
