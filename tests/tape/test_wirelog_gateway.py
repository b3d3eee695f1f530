"""A gateway's journals on their way to the tape, while the database or the gateway is killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from onetape.tape.embedded import Server, serve
from onetape.tape.postgres import PostgresTape
from onetape.tape.wirelog import WireLog, WireMoved
from onetape_fix.gateway.keeping import Keeping
from onetape_fix.session.journal import Journal

from .servers import line, process, until
from .wires import T0, US, messages

SESSIONS = ("FIX.4.4:US->A", "FIX.4.4:US->B", "FIX.4.4:US->C")
SHIPS = """
import sys, time
from pathlib import Path
from onetape_fix.gateway.keeping import Keeping, WireLog
from onetape_fix.session.journal import Journal

url, folder = sys.argv[1:]
journal = Journal(Path(folder), "FIX.4.4:US->A", sync="never", ts=time.time_ns())
keeping = Keeping(WireLog.open(url), "gw", pause=0.001)
keeping.start({journal.session: journal})
print("here", flush=True)
while True:
    n = journal.next_in
    raw = f"8=FIX.4.4\\x0135=8\\x0134={n}\\x0117=E{n}\\x01".encode()
    journal.received(n, raw, time.time_ns(), advance=True)
    if n % 7 == 0:
        journal.received(n, raw.replace(b"8\\x01", b"8\\x0143=Y\\x01", 1), time.time_ns(), False)
        journal.note(f"alarm seq_too_low: {n}", time.time_ns())
    if n % 50 == 0:
        print(n, flush=True)
        time.sleep(0.002)
"""


@pytest.fixture
def server(place: Path) -> Iterator[Server]:
    """A server that may be killed."""
    with serve(place) as made:
        yield made


def written(journal: Journal, count: int) -> None:
    """Put messages of all kinds in a journal, and what is no message."""
    for _ in range(count):
        n, ts = journal.next_in, T0 + journal.position * 1_000
        raw = f"8=FIX.4.4\x0135=8\x0134={n}\x0111=C{n}\x0117=E{journal.position}\x01".encode()
        journal.received(n, raw, ts, advance=True)
        if n % 5 == 0:
            journal.received(n, raw.replace(b"\x0134", b"\x0143=Y\x0134"), ts, advance=False)
        if n % 11 == 0:
            journal.note("alarm gap_filled_over: 3 to 5", ts)
        if n % 40 == 0:
            journal.reset(ts + 1)


Told = dict[str, list[tuple[int, int, int, bytes]]]


def told(journals: list[Journal], epoch: int = T0) -> Told:
    """What the journals hold: place, epoch, number and bytes by session."""
    made: Told = {}
    for journal in journals:
        now, rows = epoch, made.setdefault(journal.session, [])
        for record in journal.records():
            now = record.ts if record.kind == "reset" else now
            if record.kind in ("in", "out", "in_copy", "out_copy"):
                rows.append((record.position, now, record.seq, record.raw))
    return made


def kept(log: WireLog) -> Told:
    """What the tape's database holds of it."""
    made: Told = {}
    for row in log.read():
        made.setdefault(row.session, []).append((row.position, row.epoch, row.seq, row.raw))
    return {session: sorted(rows) for session, rows in made.items()}


def test_a_database_that_is_killed_while_it_is_shipped_to_misses_and_doubles_nothing(
    server: Server, tmp_path: Path
) -> None:
    journals = [Journal(tmp_path, name, sync="never", ts=T0) for name in SESSIONS]
    keeping = Keeping(WireLog.open(server.url), "gw", pause=0.005)
    enough = threading.Event()

    def talk() -> None:
        while not enough.wait(0.001):
            for journal in journals:
                written(journal, 3)

    keeping.start({journal.session: journal for journal in journals})
    talking = threading.Thread(target=talk)
    talking.start()
    try:
        for _ in range(3):
            before = keeping.rows
            until(lambda before=before: keeping.rows > before + 300)
            if server.pid is not None:
                os.kill(server.pid, signal.SIGKILL)
            until(lambda: keeping.trouble != "")
            server.revive()
    finally:
        enough.set()
        talking.join()
    until(lambda: all(keeping.status(one.session)["lag"] == 0 for one in journals))
    keeping.stop()
    log = WireLog.open(server.url)
    assert kept(log) == told(journals)
    assert log.verify("gw")[0].ok
    alarms = sum(r.kind == "note" for journal in journals for r in journal.records())
    distinct = {(j.session, r.ts) for j in journals for r in j.records() if r.kind == "note"}
    with PostgresTape(server.url) as tape:
        facts = [entry.event for entry in tape.read(streams=["wire/gw"])]
        found = [event for event in facts if event.kind == "wire.alarm"]
        assert len(found) == len(distinct) == alarms
        assert [event.seq for event in facts] == list(range(1, len(facts) + 1))
        assert tape.verify()
    log.close()
    for journal in journals:
        journal.close()


def test_a_gateway_that_is_killed_while_it_ships_goes_on_where_the_database_is(
    database: str, tmp_path: Path
) -> None:
    for lines in (1, 4, 9, 2):
        with process(SHIPS, database, tmp_path) as gateway:
            assert line(gateway) == "here"
            for _ in range(lines):
                assert line(gateway)
            gateway.kill()
            gateway.wait()
    journal = Journal(tmp_path, SESSIONS[0])
    log = WireLog.open(database)
    keeping = Keeping(WireLog.open(database), "gw", pause=0.005)
    keeping.start({journal.session: journal})
    until(lambda: keeping.status(journal.session)["lag"] == 0)
    keeping.stop()
    assert kept(log) == told([journal], journal.epoch)
    rows = list(log.read())
    assert len({(row.epoch, row.direction, row.seq, row.copy) for row in rows}) == len(rows)
    assert {row.epoch for row in rows} == {journal.epoch}
    assert log.verify("gw")[0].ok
    log.close()
    journal.close()


def test_a_database_that_was_put_back_to_an_older_state_is_filled_again(
    server: Server, tmp_path: Path
) -> None:
    """What a copy of yesterday lacks is still in the journal: a bookmark is never believed long."""
    journal = Journal(tmp_path, SESSIONS[0], sync="never", ts=T0)
    written(journal, 60)
    url = server.url_of("shipped")
    keeping = Keeping(WireLog.open(url), "gw", pause=0.005)
    keeping.start({journal.session: journal})
    until(lambda: keeping.status(journal.session)["lag"] == 0)
    admin = PostgresTape(server.url)  # a database of its own beside

    def run(text: str) -> None:
        with admin._connection() as connection:  # pyright: ignore[reportPrivateUsage]
            connection.execute(text)

    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shipped'")
    run("CREATE DATABASE copied TEMPLATE shipped")
    written(journal, 60)
    until(lambda: keeping.status(journal.session)["lag"] == 0)
    run("DROP DATABASE shipped WITH (FORCE)")
    run("ALTER DATABASE copied RENAME TO shipped")
    written(journal, 10)
    until(lambda: keeping.status(journal.session)["lag"] == 0 and not keeping.trouble)
    log = WireLog.open(url)
    until(lambda: kept(log) == told([journal]))
    keeping.stop()
    log.close()
    journal.close()
    admin.close()


def test_our_own_server_is_started_again_by_whoever_ships(place: Path) -> None:
    log = WireLog.open(place)
    assert log.append(messages(3)) == 3
    assert log.append_facts("wire/gw", [(T0, WireMoved("gw", US, "up"))]) == 1
    with serve(place) as server:
        for first in (4, 7):
            pid = server.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            assert log.append(messages(3, first=first)) == 3
            assert log.append_facts("wire/gw", [(T0 + first, WireMoved("gw", US, "up"))]) == 1
            assert server.pid not in (None, pid)
    assert list(log.read()) == messages(9)
    assert log.seal("gw") is not None
    assert log.verify()[0].ok
    log.close()
