"""Two runs side by side: which figures differ, and where the tapes part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from onetape.tape.recording import Difference, first_difference

if TYPE_CHECKING:
    from onetape.results.run import Run


@dataclass(frozen=True)
class Comparison:
    """`left - right`; falsy when the tapes are the same bytes.

    stats   a frame: statistic, left, right, difference; only those that differ
    first   the first difference of the tapes, with its chain of causes, or None
    """

    left: Run
    right: Run
    stats: pl.DataFrame
    first: Difference | None
    notes: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether both tapes are the same bytes."""
        return self.first is None

    def __bool__(self) -> bool:
        return not self.identical

    def __repr__(self) -> str:
        if self.identical:
            return f"identical: both tapes have fingerprint {self.left.fingerprint[:12]}"
        lines = [*self.notes, str(self.first)]
        lines += [
            f"  {name:<24} {left!s:>24} {right!s:>24}"
            for name, left, right, _ in self.stats.iter_rows()
        ]
        return "\n".join(lines)


def compare(left: Run, right: Run, notes: tuple[str, ...] = ()) -> Comparison:
    """Return how `left` differs from `right`."""
    first = first_difference(left.recording, right.recording)
    if first is not None and first.seq == 1:  # the runs were opened differently: say how, go on
        later = first_difference(left.recording, right.recording, start=2)
        notes = (*notes, f"the runs differ in {_opened(left, right)}")
        first = later or first
    return Comparison(left, right, _stats(left, right) if first else _none(), first, notes)


def _opened(left: Run, right: Run) -> str:
    one, two = left.opened, right.opened
    said = [name for name in one.__struct_fields__ if getattr(one, name) != getattr(two, name)]
    said += [
        f"{name}: {one.params.get(name)} and {two.params.get(name)}"
        for name in sorted(one.params.keys() | two.params.keys())
        if one.params.get(name) != two.params.get(name)
    ]
    return ", ".join(said)


def _none() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "statistic": pl.String,
            "left": pl.Float64,
            "right": pl.Float64,
            "difference": pl.Float64,
        }
    )


def _stats(left: Run, right: Run) -> pl.DataFrame:
    if not (left.datasets and right.datasets):
        return _none()  # statistics need prices; the tapes are compared all the same
    rows: list[dict[str, Any]] = []
    for name, one in left.stats.items():
        other = right.stats[name]
        if one != other:
            a = None if one is None else float(one)
            b = None if other is None else float(other)
            gap = None if a is None or b is None else a - b
            rows.append({"statistic": name, "left": a, "right": b, "difference": gap})
    return pl.DataFrame(rows, schema=_none().schema)
