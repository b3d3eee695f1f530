"""The gateway as a process: started once, found, killed, stopped; and what its clients see."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from onetape.errors import SettingsError, VenueUnavailable
from onetape_fix.gateway import process
from onetape_fix.gateway.line import LineState, Live, Refused
from onetape_fix.gateway.remote import RemoteLine, ask_once

from .peers import Peers, order, reports, run, sent, until


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONETAPE_HOME", str(tmp_path / "home"))
    return tmp_path


async def started(config: Path) -> Path:
    return await asyncio.to_thread(process.ensure, config)


async def stopped(socket: Path) -> None:
    await asyncio.to_thread(process.stop, socket)


def with_gateway(tmp_path: Path, names: list[str], test) -> None:
    """Run a test beside peers and a gateway's process."""

    async def all_of_it() -> None:
        peers = Peers(names)
        await peers.start()
        config = peers.text(tmp_path)
        socket = await started(config)
        try:
            await test(peers, config, socket)
        finally:
            await stopped(socket)
            await peers.stop()

    run(all_of_it)


def test_it_is_started_once_and_found_by_everybody(tmp_path: Path) -> None:
    async def test(peers: Peers, config: Path, socket: Path) -> None:
        pid = process.running(socket)
        assert await started(config) == socket
        assert process.running(socket) == pid
        assert [one["pid"] for one in process.gateways()] == [pid]
        assert (await ask_once(socket, "ping"))["sessions"] == ["a", "b"]

    with_gateway(tmp_path, ["a", "b"], test)


def test_its_socket_and_files_are_its_owners_only(tmp_path: Path) -> None:
    async def test(peers: Peers, config: Path, socket: Path) -> None:
        for path in (socket, socket.with_suffix(".lock"), socket.with_suffix(".log")):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path

    with_gateway(tmp_path, ["a"], test)


def test_a_second_gateway_on_one_config_is_refused(tmp_path: Path) -> None:
    async def test(peers: Peers, config: Path, socket: Path) -> None:
        command = [sys.executable, "-m", "onetape_fix", "gateway", str(config)]
        second = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False
        )
        assert second.returncode == 2
        assert f"runs already (pid {process.running(socket)})" in second.stderr
        await until(lambda: peers.up() == {"a"})

    with_gateway(tmp_path, ["a"], test)


def test_a_config_that_makes_no_sense_is_told_to_who_starts_it(tmp_path: Path) -> None:
    config = tmp_path / "gw.cfg"
    config.write_text(
        "[SESSION]\nBeginString=FIX.4.4\nSenderCompID=A\nTargetCompID=B\nNonsense=1\n"
    )
    with pytest.raises(SettingsError, match="Nonsense"):
        process.ensure(config)


def test_what_keeps_it_from_starting_is_shown_from_its_log(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        await peers.start()
        config = peers.text(tmp_path)
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "gw.standing").write_text("not json")
        with pytest.raises(VenueUnavailable, match="says which sessions are disabled"):
            await started(config)
        await peers.stop()

    run(test)


def test_sigterm_logs_all_sessions_out_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async def test(peers: Peers, config: Path, socket: Path) -> None:
        await until(lambda: peers.up() == {"a", "b"})
        await stopped(socket)
        await until(lambda: not peers.up())
        said = [session.facts.last_text for session in peers.sessions.values()]
        assert all("logged out" in text for text in said)
        assert not socket.exists()
        assert process.gateways() == []

    with_gateway(tmp_path, ["a", "b"], test)


def test_a_client_that_comes_back_with_its_last_position_misses_nothing(tmp_path: Path) -> None:
    async def test(peers: Peers, config: Path, socket: Path) -> None:
        first: list = []
        line = RemoteLine(socket, "a")
        await line.open(first.append)
        await until(lambda: line.up)
        line.send("D", order("A1"), "r1")
        await until(lambda: reports(first) == ["A1"])
        position = first[-1].position
        line.send("D", order("A2"), "r2")
        await until(lambda: peers.brokers["a"].ids("D") == ["A1", "A2"])
        await line.close()  # as a process that was killed

        second: list = []
        again = RemoteLine(socket, "a")
        await again.open(second.append, position)
        await until(lambda: any(isinstance(one, Live) for one in second))
        assert sent(second) == [("", "A2")]
        assert reports(second) == ["A2"]
        assert all(one.replayed for one in second if hasattr(one, "replayed"))
        again.send("D", order("A3"), "r3")
        await until(lambda: reports(second) == ["A2", "A3"])
        assert second[-1].replayed is False
        await again.close()

    with_gateway(tmp_path, ["a"], test)


def test_a_new_client_hears_the_kept_history(tmp_path: Path) -> None:
    async def test(peers: Peers, config: Path, socket: Path) -> None:
        line, heard = RemoteLine(socket, "a"), []
        await line.open(heard.append)
        await until(lambda: line.up)
        for number in range(50):
            line.send("D", order(f"A{number}"))
        await until(lambda: len(reports(heard)) == 50)
        later: list = []
        other = RemoteLine(socket, "a")
        await other.open(later.append)
        await until(lambda: any(isinstance(one, Live) for one in later))
        assert reports(later) == [f"A{number}" for number in range(50)]
        await line.close()
        await other.close()

    with_gateway(tmp_path, ["a"], test)


def test_killed_and_started_again_sessions_go_on_with_their_numbers(tmp_path: Path) -> None:
    async def test(peers: Peers, config: Path, socket: Path) -> None:
        line, heard = RemoteLine(socket, "a"), []
        await line.open(heard.append)
        await until(lambda: line.up)
        for number in range(20):
            line.send("D", order(f"A{number}"), f"r{number}")
        await until(lambda: len(reports(heard)) == 20)
        numbers = peers.sessions["a"].store.next_in
        os.kill(process.running(socket), signal.SIGKILL)
        await until(lambda: isinstance(heard[-1], LineState) and not heard[-1].up)
        await until(lambda: not peers.up())
        # while nobody is there, the broker fills an order
        broker = peers.brokers["a"]
        assert await started(config) == socket
        await until(lambda: line.up, what="the line did not come back")
        assert peers.sessions["a"].store.next_in == numbers + 1  # the logon: nothing began anew
        line.send("D", order("B"), "rB")
        await until(lambda: reports(heard)[-1] == "B")
        assert broker.ids("D") == [f"A{number}" for number in range(20)] + ["B"]
        assert reports(heard) == broker.ids("D")  # each once
        assert [ref for ref, _ in sent(heard)] == [f"r{number}" for number in range(20)] + ["rB"]
        await line.close()

    with_gateway(tmp_path, ["a"], test)


def test_orders_handed_to_a_gateway_that_dies_are_settled_one_by_one(tmp_path: Path) -> None:
    async def test(peers: Peers, config: Path, socket: Path) -> None:
        line, heard = RemoteLine(socket, "a"), []
        await line.open(heard.append)
        await until(lambda: line.up)
        pid = process.running(socket)
        os.kill(pid, signal.SIGSTOP)  # it takes no more, then it dies
        for number in range(200):
            line.send("D", order(f"A{number}"), f"r{number}")
        os.kill(pid, signal.SIGCONT)
        await until(lambda: len(peers.brokers["a"].ids("D")) > 5)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not line.up)
        await started(config)
        await until(lambda: line.up)
        await until(lambda: heard.count(Live()) == 2)
        left = {ref for ref, _ in sent(heard)}
        refused = {one.ref for one in heard if isinstance(one, Refused)}
        assert left | refused == {f"r{number}" for number in range(200)}
        assert not left & refused
        # what was told as refused never reached the broker
        await until(lambda: len(set(peers.brokers["a"].ids("D"))) == len(left))
        assert {f"r{name[1:]}" for name in peers.brokers["a"].ids("D")} == left
        await line.close()

    with_gateway(tmp_path, ["a"], test)


def test_a_line_refuses_to_send_while_no_gateway_is_there(tmp_path: Path) -> None:
    async def test(peers: Peers, config: Path, socket: Path) -> None:
        line, heard = RemoteLine(socket, "a"), []
        await line.open(heard.append)
        await until(lambda: line.up)
        await stopped(socket)
        await until(lambda: not line.up)
        with pytest.raises(VenueUnavailable, match="nothing has left"):
            line.send("D", order("A1"))
        await line.close()
        with pytest.raises(VenueUnavailable, match="onetape fix start"):
            await RemoteLine(socket, "a").open(heard.append)

    with_gateway(tmp_path, ["a"], test)


def test_its_process_loads_no_data_frames_no_engine_and_no_database() -> None:
    code = (
        "import sys, onetape_fix.gateway.process, onetape_fix.gateway.hub, "
        "onetape_fix.gateway.server, onetape_fix.gateway.exposing; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    heavy = {"polars", "pyarrow", "numpy", "pandas", "nautilus_trader", "sqlalchemy", "psycopg"}
    heavy |= {"cryptography"}  # only where a session signs its logon with a key of its kind
    assert not loaded & heavy
