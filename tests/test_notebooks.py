"""The notebooks run from a clean kernel, stay short, and are committed without output."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

BOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom_and_logs_nothing(path: Path, place: Path) -> None:
    place.chmod(0o755)  # under root the tape's server runs as another user, who has to pass
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(place)}}).execute()
    outputs = [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs]
    assert outputs
    assert [out.text for out in outputs if out.get("name") == "stderr"] == []


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_and_committed_without_output(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert len(cells) <= 12
    assert all(len(cell.source.splitlines()) <= 15 for cell in cells)
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_there_are_notebooks() -> None:
    assert [path.stem for path in BOOKS] == [
        "01_first_backtest",
        "02_bring_your_data",
        "03_why_this_fill",
        "04_what_did_we_hold_at",
        "05_replay_a_day",
        "06_prove_it",
        "07_go_live_on_paper",
        "08_trade_over_fix",
    ]
