"""The commands that stop and permit: exit codes, JSON, and what a person reads."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run.simulated import Simulated, simulated

from onetape import cli_risk
from onetape.errors import OnetapeError, SettingsError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONETAPE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Simulated]:
    with simulated(tmp_path) as one:
        yield one


def main(argv: list[str]) -> int:
    """The command line with these commands alone, as `onetape.cli` makes it."""
    parser = argparse.ArgumentParser("onetape")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(where: Any, name: str, act: Any, says: str) -> argparse.ArgumentParser:
        made = where.add_parser(name, help=says)
        made.add_argument("--json", action="store_true")
        made.set_defaults(act=act)
        return made

    cli_risk.add(commands, command)
    args = parser.parse_args(argv)
    return args.act(args)


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any]]:
    code = main([*argv, "--json"])
    return code, json.loads(capsys.readouterr().out)


ANN = ("--who", "ann", "--reason", "because")


def test_a_kill_from_the_shell_ends_with_0_once_the_venue_says_so_and_is_armed_again_by_two(
    there: Simulated, database: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there.place(["O-1", "O-2"])
    config = home / "config.json"
    config.write_text(json.dumps(there.config))
    where = ("--venue", "sim", "--config", str(config), "--account", "A", "--tape", database)
    code, made = told(capsys, "kill", *ANN, *where)
    assert (code, made["state"], made["done"], made["recorded"]) == (0, "KILLED", True, True)
    assert there.working() == []
    code, said = told(capsys, "states", "--tape", database)
    assert [(row["scope"], row["state"], row["kill"]) for row in said["states"]] == [
        ("firm", "HALTED", "KILLED")
    ]
    with pytest.raises(OnetapeError, match="second person"):
        main(["rearm", "firm", *ANN, "--second", "ann", "--tape", database])
    code, said = told(capsys, "rearm", "firm", *ANN, "--second", "bob", "--tape", database)
    assert code == 0
    code, said = told(capsys, "states", "--tape", database)
    assert [row["state"] for row in said["states"]] == ["ACTIVE"]
    assert [row["state"] for row in said["kills"]][-1] == "ARMED"


def test_a_kill_that_is_not_done_ends_with_1_and_says_what_is_left(
    there: Simulated, database: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there.process.kill()
    there.process.wait()
    config = home / "config.toml"
    config.write_text(f'address = "{there.config["address"]}"\naccounts = ["A"]\n')
    where = ("--venue", "sim", "--config", str(config), "--account", "A", "--tape", database)
    assert main(["kill", "account:A", *ANN, "--patience", "0.3", "--drill", *where]) == 1
    said = capsys.readouterr().out
    assert "KILL_INCOMPLETE account:A (drill" in said
    assert "venue:SIM" in said or "venue:sim" in said


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["kill", "all", *ANN], "account:NAME"),
        (["kill", *ANN, "--account", "A"], "--venue"),
        (["kill", *ANN, "--venue", "sim"], "--account"),
        (["kill", *ANN, "--venue", "sim", "--account", "A"], "lives inside"),
        (["kill", *ANN, "--venue", "sim", "--account", "A", "--config", "no.json"], "no.json"),
        (["states", "firm", "--tape", "nowhere"], "no tape in nowhere"),
        (["limits", "check", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_a_mistake_says_what_to_try(argv: list[str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        main(argv)


def test_limits_go_from_a_starter_file_into_force_by_two_persons(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, tape = tmp_path / "limits.toml", ("--tape", database)
    code, wrote = told(capsys, "limits", "write", str(file), "--equity", "50000")
    assert (code, wrote["rules"] > 20) == (0, True)
    with pytest.raises(SettingsError, match="is there already"):
        main(["limits", "write", str(file)])
    code, checked = told(capsys, "limits", "check", str(file))
    assert checked["version"] == wrote["version"]
    code, said = told(capsys, "limits", "show", *tape)
    assert (code, said["version"]) == (0, None)
    code, said = told(capsys, "limits", "propose", str(file), *ANN, *tape)
    assert "wait for a second person" in said["said"]
    code, said = told(capsys, "limits", "approve", wrote["version"], "--second", "bob", *tape)
    assert code == 0
    code, said = told(capsys, "limits", "show", *tape)
    assert said["version"] == wrote["version"]
    assert [row["what"] for row in said["history"]] == ["proposed", "in force"]


def test_a_state_is_set_by_one_and_loosened_by_two(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tape = ("--tape", database)
    assert main(["states", "strategy:Cross", "REDUCING", *ANN, *tape]) == 0
    with pytest.raises(OnetapeError, match="second person"):
        main(["states", "strategy:Cross", "ACTIVE", *ANN, *tape])
    assert main(["states", "strategy:Cross", "ACTIVE", *ANN, "--second", "bob", *tape]) == 0
    capsys.readouterr()
    assert main(["states", *tape]) == 0
    assert "strategy:Cross              ACTIVE" in capsys.readouterr().out
