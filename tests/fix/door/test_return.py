"""A door that is killed comes back: with its books, its orders, its ids and its numbers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from onetape_fix import cli_sim
from onetape_fix.door.server import opened
from onetape_fix.session import Settings, read

from .bench import LISTED, Client, config, folder, quote, show, values
from .test_orders import resting, run

CFG = """
[DEFAULT]
ConnectionType=acceptor
SocketAcceptAddress=127.0.0.1
SocketAcceptPort=0
SenderCompID=VENUE
FileStorePath=store
NonStopSession=Y
TimestampPrecision=9
BeginString=FIX.4.4
[SESSION]
TargetCompID=CLIENT
SessionName=CLIENT
Profile=generic44
Account=A
[SESSION]
TargetCompID=COPY
SessionName=COPY
Role=dropcopy
Profile=generic44
"""


@contextlib.asynccontextmanager
async def process(place: Path) -> AsyncIterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A simulated venue as a process of its own, and what it says of itself."""
    (place / "door.cfg").write_text(CFG)
    generator = {"instruments": ["AAA.SIM"], "rate": 1, "seconds": 86_400}
    world = {"journal": "j", "generator": generator, "fees": "bps:1"}
    (place / "world.json").write_text(json.dumps(world))
    command = [sys.executable, "-m", "onetape_fix.cli_sim", "--json", "--fix"]
    command += [str(place / "door.cfg"), "--world", str(place / "world.json")]
    with subprocess.Popen(
        [*command, "--socket", str(place / "s")], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        line = await asyncio.to_thread(running.stdout.readline)
        try:
            yield running, json.loads(line)
        finally:
            if running.poll() is None:
                running.kill()


def port(told: dict[str, Any], name: str = "CLIENT") -> int:
    return int(told["sessions"][name].rpartition(":")[2])


async def back(person: Client, where: int, expected: int) -> Client:
    """The same client at the door that came back; it asks for what it has not heard."""
    again = Client(person.config, where)
    again.seq, again.sent, again.repeats = person.seq, person.sent, True
    await again.log_on()
    if again.of("A")[0].seq > expected:
        again.send("2", [(7, expected), (16, 0)])
    return again


def test_a_killed_door_has_its_orders_and_numbers_and_loses_no_report() -> None:
    async def body() -> None:
        with folder() as name:
            place = Path(name)
            (place / "door.cfg").write_text(CFG)
            mine = read(place / "door.cfg").session("CLIENT")
            async with process(place) as (running, told):
                person = await Client(mine, port(told)).log_on()
                await resting(person, "L-1", "90.00")
                person.replace("R-1", "L-1", 12, price="91.00")
                await person.report("R-1", "5")
                last = max(m.seq for m in person.heard)
                running.kill()
                await person.until(lambda: person.gone)
            async with process(place) as (running, told):
                again = await back(person, port(told), last + 1)
                assert again.of("A")[0].seq == last + 1
                await again.ping()
                again.cancel("X-1", "R-1")
                done = await again.report("X-1", "4")
                assert values(done, 41, 38, 37) == ("R-1", "12", "V-1")
                again.send("D", again.order("L-1", "1", 10, price="90.00"), header=[(97, "Y")])
                await again.until(lambda: values(again.heard[-1], 11, 150, 39) == ("R-1", "I", "4"))
                await again.leave()
                running.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(running.wait) == 0

    run(body)


def test_an_order_that_the_store_never_counted_is_not_done_twice() -> None:
    async def body() -> None:
        with folder() as name:
            place = Path(name)
            settings = Settings(sessions=(config(persist=True, store=place),))
            world = {"instruments": LISTED, "journal": str(place / "j")}
            async with opened(settings, world) as made:
                show(made, quote("10.00", "10.02"))
                person = await Client(made.sessions[0].config, made.addresses["CLIENT"][1]).log_on()
                order = person.order("C-1", "1", 5)
                person.send("D", order)
                await person.report("C-1", "F")
                made.sessions[0].set_in(2)  # as if it had died before it was counted
                await person.leave()
            async with opened(settings, world) as made:
                again = Client(person.config, made.addresses["CLIENT"][1])
                again.seq = 3
                await again.log_on()
                asked = await again.get("2")
                assert values(asked, 7) == ("2",)
                again.send("D", order, seq=2, header=[(43, "Y"), (122, "20260101-00:00:00")])
                status = await again.report("C-1", "I")
                assert values(status, 39, 14) == ("2", "5")
                assert len(made.world.core.ledger.fills) == 1
                await again.leave()

    run(body)


def test_what_the_world_did_and_nobody_was_told_is_told_after_the_return() -> None:
    async def body() -> None:
        with folder() as name:
            place = Path(name)
            copy = config("COPY", persist=True, store=place, duties=frozenset(("dropcopy",)))
            settings = Settings(sessions=(config(persist=True, store=place), copy))
            world = {"instruments": LISTED, "journal": str(place / "j")}
            async with opened(settings, world) as made:
                show(made, quote("10.00", "10.02"))
                person = await Client(made.sessions[0].config, made.addresses["CLIENT"][1]).log_on()
                await resting(person, "L-1", "9.90", 10)
                log = place / "j.fix"
                before = log.read_bytes()
                await person.leave()
                show(made, quote("9.80", "9.90", 4))
                made.world.core.ledger.out.clear()
            log.write_bytes(before)  # killed between the world's journal and the door's log
            async with opened(settings, world) as made:
                again = Client(person.config, made.addresses["CLIENT"][1])
                again.seq = person.seq
                await again.log_on()
                told = await again.report("L-1", "F")
                assert values(told, 17, 32, 31, 14, 151) == ("T-1", "4", "9.90", "4", "6")
                await again.leave()
                watcher = await Client(copy, made.addresses["COPY"][1]).log_on()
                assert (await watcher.report("L-1", "F"))[17] == "T-1"
                assert [m[150] for m in watcher.reports("L-1")] == ["0", "F"]
                await watcher.leave()

    run(body)


def test_an_order_that_never_got_to_the_world_gets_there_after_the_return() -> None:
    async def body() -> None:
        with folder() as name:
            place = Path(name)
            settings = Settings(sessions=(config(persist=True, store=place),))
            world = {"instruments": LISTED, "journal": str(place / "j"), "latency": 3600}
            async with opened(settings, world) as made:
                person = await Client(made.sessions[0].config, made.addresses["CLIENT"][1]).log_on()
                person.buy("L-1", 5, price="9.00")
                await person.ping()
                assert not made.world.core.ledger.orders
                await person.leave()
            async with opened(settings, {**world, "latency": 0}) as made:
                again = Client(person.config, made.addresses["CLIENT"][1])
                again.seq = person.seq
                await again.log_on()
                await again.report("L-1", "0")
                await again.leave()

    run(body)


def test_the_example_reads_and_has_28_sessions_on_ports_of_their_own() -> None:
    settings = read(cli_sim.EXAMPLES / "example_sim.cfg")
    ports = [session.listen[1] for session in settings.sessions if session.listen]
    assert ports == list(range(7002, 7030))
    assert cli_sim.world_in(cli_sim.EXAMPLES / "example_world.json")["clock"] == "wall"
    assert {duty for s in settings.sessions for duty in s.duties} == {
        "order", "marketdata", "dropcopy", "clearing",
    }  # fmt: skip


@pytest.mark.parametrize("words", [["count=2", "session=A"], ["seconds=0.5", "on=false"]])
def test_faults_are_said_as_words(words: list[str]) -> None:
    told = cli_sim.pairs(words)
    assert list(told) == [word.partition("=")[0] for word in words]
    assert told.get("count", 2) == 2
    assert told.get("on", False) is False
