"""The commands: what they print for people and for programs, and what they refuse."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from onetape_fix.cli_fix import run as command
from onetape_fix.gateway.remote import RemoteLine

from .peers import Peers, order, run, until
from .test_process import started, stopped

EXAMPLE = Path(__file__).parents[3] / "adapters" / "onetape_fix" / "example.cfg"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONETAPE_HOME", str(tmp_path / "home"))


def said(*argv: str) -> tuple[int, str, str]:
    """Exit code and what was said."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = command(list(argv))
        except SystemExit as end:  # argparse's own
            code = int(end.code or 0)
    return code, out.getvalue(), err.getvalue()


def test_the_example_holds_28_sessions_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["check", str(EXAMPLE), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["sessions"]) == 28
    ports = {int(one["where"][0].rpartition(":")[2]) for one in told["sessions"]}
    assert ports == set(range(7002, 7030))
    duties = {duty for one in told["sessions"] for duty in one["duties"]}
    assert duties == {"order", "marketdata", "dropcopy", "clearing"}
    assert all(not one["troubles"] for one in told["sessions"])
    secrets = re.findall(r"^(?:Password|Username)=(.*)$", EXAMPLE.read_text(), re.M)
    assert secrets
    assert all(one.startswith("env:") for one in secrets)


def test_what_is_wrong_with_a_config_is_told_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.cfg"
    path.write_text("[DEFAULT]\nHeartBtInt=30\nHartBtInt=30\n[SESSION]\nSenderCompID=A\n")
    assert command(["check", str(path)]) == 2
    assert "HartBtInt" in capsys.readouterr().err
    assert command(["check", str(path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "SettingsError"


def test_a_config_without_a_session_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "empty.cfg"
    path.write_text("[DEFAULT]\nHeartBtInt=30\n")
    assert command(["check", str(path)]) == 2
    assert "no [SESSION]" in capsys.readouterr().err


def test_commands_say_what_to_do_where_no_gateway_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["status"]) == 2
    assert "--config FILE; those that run: none" in capsys.readouterr().err
    assert command(["status", "--config", str(EXAMPLE)]) == 1
    assert "onetape fix start" in capsys.readouterr().err


def test_a_day_with_the_commands(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["alpha", "beta"])
        await peers.start()
        config = peers.text(tmp_path)
        code, out, _ = await asyncio.to_thread(said, "start", str(config), "--detach", "--json")
        assert code == 0
        socket = Path(json.loads(out)["socket"])
        try:
            await until(lambda: peers.up() == {"alpha", "beta"})
            line, heard = RemoteLine(socket, "alpha"), []
            await line.open(heard.append)
            await until(lambda: line.up)
            line.send("D", order("A1"))
            await until(lambda: len(heard) > 3)
            await line.close()
            await asyncio.to_thread(the_rest, config)
            await until(lambda: peers.up() == {"beta"})
            code, out, _ = await asyncio.to_thread(said, "stop")
            assert (code, out) == (0, "stopped\n")
            await until(lambda: not peers.up())
        finally:
            await stopped(socket)
            await peers.stop()

    run(test, 60)


def the_rest(config: Path) -> None:
    """What a person does, from other processes."""
    code, out, _ = said("status")
    assert code == 0
    assert "2 of 2 up, 2 ready" in out
    assert "alpha" in out
    code, out, _ = said("status", "--json")
    assert {one["session"] for one in json.loads(out)["sessions"]} == {"alpha", "beta"}
    code, out, _ = said("status", "alpha", "--config", str(config))
    assert "order_ack" in out
    code, out, err = said("disable", "alpha")
    assert code == 2
    assert "--who" in err
    code, out, _ = said("disable", "all", "--who", "ann", "--why", "drill")
    assert (code, out) == (0, "alpha: disable done\nbeta: disable done\n")
    code, out, _ = said("set-seq", "alpha", "--who", "ann", "--out", "30", "--json")
    assert json.loads(out)["next_out"] == 30
    code, out, _ = said("logout", "alpha", "--who", "ann")
    assert code == 0
    code, _, err = said("logout", "alpa", "--who", "ann")
    assert code == 1
    assert "did you mean alpha" in err
    code, out, _ = said("log", "alpha")
    assert "NewOrderSingle" in out
    assert "ClOrdID=A1" in out
    assert "Side=BUY" in out or "Side=Buy" in out
    assert '"who":"ann"' in out
    code, out, _ = said("log", "alpha", "--type", "8", "--order", "A1", "--json")
    (only,) = json.loads(out)["messages"]
    assert (only["name"], only["kind"]) == ("ExecutionReport", "in")
    code, out, _ = said("log", "alpha", "--type", "8", "--order", "A2")
    assert out == "nothing of that is in the journal\n"


def test_a_password_is_shown_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIX_SECRET", "hunter2hunter2")

    async def test() -> None:
        peers = Peers(["alpha"])
        await peers.start()
        config = peers.text(tmp_path)
        text = config.read_text().replace("[SESSION]", "[SESSION]\nPassword=env:FIX_SECRET")
        config.write_text(text)
        socket = await started(config)
        try:
            await until(lambda: peers.up() == {"alpha"})
            for argv in (("status", "--json"), ("log", "alpha", "--admin"), ("check", str(config))):
                code, out, err = await asyncio.to_thread(said, *argv)
                assert code == 0, err
                assert "hunter2" not in out + err
            assert "Password=***" in (await asyncio.to_thread(said, "log", "alpha", "--admin"))[1]
        finally:
            await stopped(socket)
            await peers.stop()
        for path in tmp_path.rglob("*"):
            if path.is_file():
                assert b"hunter2" not in path.read_bytes(), path

    run(test, 60)
