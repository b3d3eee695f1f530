"""28 sessions in one gateway, and three bad hosts among them: the others do not feel it."""

from __future__ import annotations

import asyncio
import socket as sockets
import time
from contextlib import suppress
from pathlib import Path

import pytest

from onetape_fix.gateway import process
from onetape_fix.gateway.remote import RemoteLine, ask_once

from .peers import Peers, order, reports, run, until

NAMES = [f"s{number:02d}" for number in range(28)]
DEAD, REFUSING, FLAPPING, FLOODING = NAMES[:4]
HEALTHY = NAMES[4:]
BEAT = 1


async def flap(peers: Peers, stop: asyncio.Event) -> int:
    """Go away as soon as a session is up, and come back, again and again."""
    count = 0
    while not stop.is_set():
        if FLAPPING in peers.up():
            await peers.stop(FLAPPING)
            await peers.start(FLAPPING)
            count += 1
        await asyncio.sleep(0.01)
    return count


async def flood(peers: Peers, stop: asyncio.Event) -> int:
    """Send as fast as the session takes it, to clients of which one does not read."""
    count = 0
    session = peers.sessions[FLOODING]
    while not stop.is_set():
        if session.state == "up":
            with suppress(Exception):
                for _ in range(40):
                    body = [(148, f"news {count}"), (33, [[(58, "x" * 200)]])]
                    session.send("B", body)
                    count += 1
        await asyncio.sleep(0.01)
    return count


async def deaf(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that opens the flooding session and never reads."""
    from onetape_fix.gateway.frames import LENGTH, Open, _encode

    reader, writer = await asyncio.open_unix_connection(str(path))
    raw = _encode(Open(1, FLOODING, -1))
    writer.write(len(raw).to_bytes(LENGTH) + raw)
    writer.transport.pause_reading()
    return reader, writer


def with_bad_hosts(tmp_path: Path, seconds: float) -> None:
    async def test() -> None:
        peers = Peers(NAMES)
        await peers.start(*[name for name in NAMES if name not in (DEAD, REFUSING)])
        with sockets.socket() as dead:
            dead.bind(("127.0.0.1", 0))
            dead.listen(1)  # connections stand and are never answered
            config = peers.text(tmp_path, BEAT, **{DEAD: dead.getsockname()[1], REFUSING: 1})
            path = await asyncio.to_thread(process.ensure, config)
            try:
                await looked_at(peers, path, seconds)
            finally:
                await asyncio.to_thread(process.stop, path)
                await peers.stop()

    run(test, seconds + 40)


async def looked_at(peers: Peers, path: Path, seconds: float) -> None:
    await until(lambda: set(HEALTHY) <= peers.up())
    status = await ask_once(path, "status")
    ready = {one["session"] for one in status["sessions"] if one["ready"]}
    assert set(HEALTHY) <= ready  # each by itself, whatever the bad ones do
    assert not ready & {DEAD, REFUSING}
    stop = asyncio.Event()
    bad = [asyncio.create_task(what(peers, stop)) for what in (flap, flood)]
    _, writer = await deaf(path)
    line, heard = RemoteLine(path, HEALTHY[0]), []
    await line.open(heard.append)
    await until(lambda: line.up)
    began = time.monotonic()
    numbers = 0
    while time.monotonic() < began + seconds:
        line.send("D", order(f"A{numbers}"))
        numbers += 1
        await asyncio.sleep(0.05)
    widest = {name: peers.sessions[name].widest(began) for name in HEALTHY[1:]}
    late = {name: round(gap - BEAT, 3) for name, gap in widest.items() if gap > BEAT + 1}
    assert not late, f"heartbeats came later than a second after they were due: {late}"
    assert set(HEALTHY) <= peers.up()
    await until(lambda: len(reports(heard)) == numbers)
    stop.set()
    flapped, flooded = await asyncio.gather(*bad)
    assert flapped >= 2
    assert flooded > 500
    told = {one["session"]: one for one in (await ask_once(path, "status"))["sessions"]}
    assert told[FLAPPING]["reconnects"] >= 2
    assert "cannot connect" in told[REFUSING]["last_error"]
    assert told[DEAD]["state"] in ("logon", "down")
    assert told[FLOODING]["listeners"]["behind"] >= 0
    assert all(told[name]["reconnects"] == 0 for name in HEALTHY)
    writer.close()
    await line.close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONETAPE_HOME", str(tmp_path / "home"))


def test_a_dead_a_flapping_and_a_flooding_host_do_not_delay_the_others_heartbeats(
    tmp_path: Path,
) -> None:
    with_bad_hosts(tmp_path, 5)


@pytest.mark.slow
def test_they_do_not_in_a_minute_either(tmp_path: Path) -> None:
    with_bad_hosts(tmp_path, 60)
