"""What the README of the FIX adapter says is so: its blocks run, its keys and commands exist."""

from __future__ import annotations

import linecache
import re
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onetape.cli import main
from onetape_fix.door import faults
from onetape_fix.profiles import Profile, names
from onetape_fix.session import CODES
from onetape_fix.session.keytable import GATEWAY, PROFILE, SESSION
from onetape_fix.session.settings import read
from onetape_fix.trade.config import Config
from onetape_sim.faults import NAMES as OF_WORLD

from .guide import HOUSE, README, blocks, put, section, table

SHELLS = [text for language, _, text in blocks() if language == "sh"]
STANDARD = {"SocketConnectHost1", "SocketConnectPort1", "AppDataDictionary"}
ACCOUNT = {"account"}  # a key of the venue's config that says nothing: orders name theirs


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short path, for unix sockets; the commands' own home in it."""
    with tempfile.TemporaryDirectory(prefix="fr") as name:
        place = Path(name)
        monkeypatch.chdir(place)
        yield place


def ran(*argv: str) -> str:
    command = [sys.executable, "-m", "onetape.cli", *argv]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def test_the_python_blocks_run(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [text for language, name, text in blocks() if language == "python" and not name]
    assert found
    module = types.ModuleType("fix_readme")
    monkeypatch.setitem(sys.modules, "fix_readme", module)
    for number, text in enumerate(found):
        cell = f"<FIX README block {number}>"
        linecache.cache[cell] = (len(text), None, text.splitlines(keepends=True), cell)
        exec(compile(text, cell, "exec"), vars(module))
    assert "NewOrderSingle" in capsys.readouterr().out


def test_the_first_session_is_five_commands(folder: Path) -> None:
    put(folder, "broker_sim.cfg", "broker.cfg")
    first, *others = SHELLS[0].splitlines()
    assert len(others) == 4
    venue = subprocess.Popen(
        [sys.executable, "-m", "onetape.cli", *first.split()[1:]], stdout=subprocess.PIPE, text=True
    )
    try:
        assert venue.stdout is not None
        while "is open" not in venue.stdout.readline():
            assert venue.poll() is None
        ran(*others[0].split()[1:])
        ran(*others[1].split()[1:])
        until = time.monotonic() + 20
        while "1 of 1 up" not in ran(*others[2].split()[1:]):
            assert time.monotonic() < until
        assert "Logon" in ran(*others[3].split()[1:])
        assert "stopped" in ran("fix", "stop", "--config", "broker.cfg")
    finally:
        venue.terminate()
        venue.wait(20)


def test_every_command_exists(capsys: pytest.CaptureFixture[str]) -> None:
    told = set(re.findall(r"onetape (fix|sim) ([a-z][\w-]*)", README))
    assert told >= {("fix", "status"), ("fix", "mass-cancel"), ("sim", "fault")}
    for command, what in told:
        with pytest.raises(SystemExit) as stopped:
            main([command, what, "--help"])
        assert stopped.value.code == 0, (command, what)
        assert "--json" in capsys.readouterr().out


def test_all_that_operators_do_is_told() -> None:
    from onetape_fix.cli_fix import ACTIONS

    rows = table(section("What operators do"), "command")
    assert {word.removeprefix("onetape fix ") for row in rows for word in row} == set(ACTIONS)


def test_the_keys_of_a_venues_config_are_all_there() -> None:
    rows = table(section("Config of a venue and a feed"), "key")
    told = {word for row in rows for word in row}
    assert told == set(Config.__struct_fields__) - ACCOUNT


def test_the_defaults_of_the_tables_are_the_codes() -> None:
    from onetape_fix.session.settings import GatewayConfig

    text = section("The .cfg file")
    for key, default in re.findall(r"^\| `(\w+)` \|.*\| `?(\d[\d.]*)`? \|$", text, re.M):
        found = GATEWAY.get(key.lower())
        made: Any = GatewayConfig() if found else None
        if found is not None:
            assert getattr(made, found.field) == float(default), key
    text = section("Config of a venue and a feed")
    for key, default in re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", text, re.M):
        assert getattr(Config("x"), key) == float(default), key


def test_every_key_of_a_cfg_file_exists() -> None:
    text = section("The .cfg file")
    rows = table(text, "key of a session")
    of_session = {word for row in rows for word in row} - {"Profile.NAME"}
    known = {key.name for key in SESSION.values()} | set(PROFILE.values())
    assert of_session <= known
    assert set(PROFILE.values()) <= of_session
    rows = table(text, "key of [GATEWAY]")
    assert {word for row in rows for word in row} == {key.name for key in GATEWAY.values()}
    named = set(re.findall(r"`([A-Z][a-z]+[A-Z]\w+)(?:=[^`]*)?`", README)) - {"IdRule"}
    others = {"Authenticator", "Difference", "MarketDepth"}
    assert named <= known | {key.name for key in GATEWAY.values()} | STANDARD | others


def test_the_files_of_the_readme_are_read(folder: Path) -> None:
    put(folder)
    for path in sorted(folder.glob("*.cfg")):
        assert read(path).sessions
        ran("fix", "check", path.name)


def test_what_is_said_of_profiles_exists() -> None:
    fields = set(Profile.__struct_fields__)
    told = set(re.findall(r"profile: `(\w+)`", README))
    assert told
    assert told <= fields
    rules = section("1. Read the broker's rules of engagement")
    of_rules = re.findall(r"^\| .* \| (.*) \|$", rules, re.M)
    words = {word for row in of_rules if "profile" in row for word in re.findall(r"`(\w+)`", row)}
    assert words - {"symbols", "Overlay"} <= fields
    shipped = set(re.findall(r"`(generic\d+|tt|lmax|binance|coinbase|sim)`", README))
    assert shipped <= set(names())


def test_every_alarm_exists() -> None:
    told = set(re.findall(r"alarm `(\w+)`", README))
    assert told
    assert told <= set(CODES)


def test_every_fault_of_the_certification_exists_and_takes_what_is_said() -> None:
    seen = 0
    for row in table(section("6. Certification"), "fault"):
        for word in row:
            name, *pairs = word.split()
            if name in ("kill", "onetape"):
                continue
            args: dict[str, object] = {}
            for pair in pairs:
                key, _, value = pair.partition("=")
                args[key] = {"true": True}.get(value, int(value) if value.isdigit() else value)
            if faults.named(name, args) is None:
                msgspec.convert(args, OF_WORLD[name])
            seen += 1
    assert seen > 15


@pytest.mark.parametrize("readme", ["README.md", "door/README.md"])
def test_every_link_leads_somewhere(readme: str) -> None:
    path = HOUSE / readme
    for target in re.findall(r"\]\((?!http)([^)]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_the_doors_faults_are_all_told() -> None:
    text = (HOUSE / "door" / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(\w+)(?:\([^)]*\))?`", text))
    assert set(faults.NAMES) <= told
