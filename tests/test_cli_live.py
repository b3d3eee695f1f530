"""`onetape live`: what it prints and returns; real processes, the supervisor is the real one.

The commands are added to a parser of the test's own, as `onetape.cli` adds them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run.sessions import begun, end_all, state, until

from onetape import cli_live
from onetape.errors import OnetapeError, RunError, SettingsError
from onetape.risk.limitbook import dumps, starter
from onetape.run.folder import read_spec, sessions_folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ONETAPE_HOME", str(tmp_path / "home"))
    yield
    for folder in sessions_folder().iterdir() if sessions_folder().is_dir() else ():
        end_all(folder)


def asked(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)

    def command(where: Any, name: str, act: Any, says: str) -> argparse.ArgumentParser:
        made = where.add_parser(name, help=says)
        made.add_argument("--json", action="store_true")
        made.set_defaults(act=act)
        return made

    cli_live.add(commands, command)
    args = parser.parse_args(["live", *argv])
    code: int = args.act(args)
    return code


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any]]:
    code = asked(*argv, "--json")
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def folder() -> Path:
    made = begun()
    until(lambda: state(made, "running"))
    return made


def test_a_session_is_listed_looked_at_and_stopped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = told(capsys, "list", "--alive")
    assert (code, [one["session"] for one in found["sessions"]]) == (0, [folder.name])
    code, status = told(capsys, "status")
    assert (code, status["state"], status["alive"]) == (0, "running", True)
    assert status["status"]["positions"][0]["quantity"] == "3"
    assert asked("status", folder.name[:-2]) == 0
    assert "ok: running" in capsys.readouterr().out
    code, stopped = told(capsys, "stop", folder.name, "--flatten")
    assert (code, stopped["state"]) == (0, "stopped")
    assert json.loads((folder / "stop.json").read_text()) == {"flatten": True}
    code, found = told(capsys, "list", "--alive")
    assert found["sessions"] == []
    code, log = told(capsys, "log", folder.name, "-n", "0")
    assert "attempt 1" in log["log"]


def test_a_kill_returns_its_evidence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, killed = told(capsys, "kill", folder.name, "--reason", "fat finger", "--who", "ann")
    assert (code, killed["state"], killed["done"], killed["who"]) == (0, "KILLED", True, "ann")
    until(lambda: state(folder, "killed"))


def test_a_kill_that_leaves_something_returns_1(capsys: pytest.CaptureFixture[str]) -> None:
    folder = begun(options={"venue does not answer": True})
    until(lambda: state(folder, "running"))
    code, killed = told(capsys, "kill", folder.name, "--reason", "test")
    assert (code, killed["state"], killed["done"]) == (1, "KILL_INCOMPLETE", False)


def test_a_session_that_is_not_there_is_told_with_what_there_is(folder: Path) -> None:
    with pytest.raises(SettingsError, match=f"no session 'X'; there is {folder.name}"):
        asked("status", "X")


def test_what_is_wrong_with_a_start_is_told_before_anything_runs(tmp_path: Path) -> None:
    start = ["start", "--strategy", "ema_cross", "--venue", "sim", "--account", "A1"]
    start += ["--data", "GOOG", "--tape", "postgresql://nobody@127.0.0.1:1/none"]
    with pytest.raises(OnetapeError):
        asked(*start)
    config = tmp_path / "venue.json"
    config.write_text("[1")
    with pytest.raises(SettingsError, match="is no JSON map"):
        asked(*start, "--venue-config", str(config))
    with pytest.raises(SettingsError, match="NAME=VALUE expected"):
        asked(*start, "--venue-set", "speed")
    assert not sessions_folder().is_dir()


@pytest.fixture
def start(tmp_path: Path, database: str) -> list[str]:
    """A start whose trader fails: the strategy raises where it is imported a second time."""
    source, once = tmp_path / "mine.py", tmp_path / "imported"
    source.write_text(
        "import onetape as ot, pathlib\n"
        f"seen = pathlib.Path({str(once)!r})\n"
        "assert not seen.exists(), 'imported twice'\n"
        "seen.touch()\n"
        "class Mine(ot.Strategy):\n    lots = ot.param(1)\n"
    )
    limits = tmp_path / "limits.toml"
    limits.write_text(dumps(starter(100_000)))
    return [
        "start", "--strategy", f"{source}:Mine", "--venue", "sim", "--venue-set", "speed=60",
        "--account", "A1", "--limits", str(limits), "--tape", database,
        "--catalog", str(tmp_path), "--data", "GOOG", "-p", "lots=3",
        "--trader", "ann", "--cash", "5000.50",
    ]  # fmt: skip


def test_a_start_passes_on_all_that_was_said_and_tells_why_it_failed(
    start: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunError, match="imported twice"):
        asked(*start)
    capsys.readouterr()
    (folder,) = sessions_folder().iterdir()
    spec = read_spec(folder)
    assert spec.strategy == "mine:Mine"
    assert spec.params == {"lots": 3}
    assert spec.venue.config["speed"] == 60
    assert (spec.trader, spec.account, spec.mode, spec.book) == ("ann", "A1", "paper", "paper")
    assert spec.cash == {"USD": "5000.50"}
    code, status = told(capsys, "status")
    assert (code, status["state"]) == (0, "failed")


def test_an_attached_start_returns_1_when_the_session_fails(
    start: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, ended = told(capsys, *start, "--attach")
    assert (code, ended["state"], ended["alive"]) == (1, "failed", False)
    assert "imported twice" in ended["why"]
