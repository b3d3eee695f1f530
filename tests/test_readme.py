"""The README's Python blocks run as one session; its shell commands exist."""

from __future__ import annotations

import linecache
import re
import sys
import types
from pathlib import Path

import pytest

from onetape.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_blocks_run_as_one_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    session = types.ModuleType("readme")  # what is defined can be imported again, as in a notebook
    monkeypatch.setitem(sys.modules, "readme", session)
    assert len(blocks("python")) >= 2
    for number, block in enumerate(blocks("python")):
        cell = f"<README block {number}>"  # its source can be had, as that of a notebook's cell
        linecache.cache[cell] = (len(block), None, block.splitlines(keepends=True), cell)
        exec(compile(block, cell, "exec"), vars(session))
    assert "fingerprint" in capsys.readouterr().out


def test_every_command_in_the_readme_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    named = set(re.findall(r"onetape (\w+)(?: (\w+))?", " ".join(blocks("sh"))))
    known = {command for command, _ in named}
    assert known >= {"demo", "ingest", "catalog", "backtest", "rerun", "trace", "bench", "live"}
    for command, what in named:
        words = [command, what] if command in ("live", "limits", "fix") else [command]
        with pytest.raises(SystemExit) as stopped:
            main([*words, "--help"])
        assert stopped.value.code == 0
        assert "--json" in capsys.readouterr().out


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
