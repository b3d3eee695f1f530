"""Connections: dialing with patience, a bound for slow readers, troubles kept where they are."""

from __future__ import annotations

import asyncio
import random
import socket
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.session.sockets import NOWHERE, Hands, StandIn, config, logon, until
from onetape_fix.session import connection as connections
from onetape_fix.session.acceptor import Acceptor
from onetape_fix.session.application import Application, SystemClock
from onetape_fix.session.connection import Connection
from onetape_fix.session.machine import Session
from onetape_fix.session.schedule import Schedule
from onetape_fix.session.settings import Tls
from onetape_fix.session.store import MemoryStore
from onetape_fix.session.transport import LOOK, STABLE, Backoff, Dialer, pulse

LOCAL = ("127.0.0.1", 0)


class Peer(asyncio.Protocol):
    """Listens, and does with each connection what it is told."""

    def __init__(self, *, closes: bool = False, reads: bool = True) -> None:
        self.closes, self.reads = closes, reads
        self.met: list[asyncio.Transport] = []
        self.heard = b""
        self.port = 0

    async def start(self, port: int = 0) -> Peer:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: self, "127.0.0.1", port)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        self.server.close()
        for transport in self.met:
            transport.abort()

    def connection_made(self, transport: Any) -> None:
        self.met.append(transport)
        if self.closes:
            transport.close()
        elif not self.reads:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self.heard += data


# -- waiting


@given(st.integers(0, 9), st.floats(0, 120), st.integers(1, 40))
def test_waits_grow_to_the_longest_and_are_never_less_than_half(
    seed: int, longest: float, count: int
) -> None:
    backoff = Backoff(longest, random.Random(seed))
    waits = [backoff.next() for _ in range(count)]
    for place, wait in enumerate(waits):
        full = min(0.5 * 2**place, longest)
        assert full / 2 <= wait <= full
    backoff.again()
    assert backoff.next() <= 0.5


def test_two_sessions_do_not_dial_in_step() -> None:
    waits = [[Backoff(30, random.Random(seed)).next() for _ in range(5)] for seed in range(2)]
    assert waits[0] != waits[1]


def test_hosts_are_tried_in_turn_and_a_round_without_luck_waits_longer_each_time() -> None:
    async def walk() -> None:
        hands = Hands()
        hands.stop_after = 6
        told: list[str] = []
        ours = StandIn(config((NOWHERE, ("127.0.0.1", 7)), reconnect=3.0))
        dialer = Dialer(
            ours, clock=hands, rng=random.Random(1), sleep=hands.sleep,
            trouble=lambda _, err: told.append(str(err)),
        )  # fmt: skip
        dialer.start()
        await until(lambda: len(hands.slept) == 6)
        assert dialer.attempts == 12
        assert all(later > sooner for sooner, later in pairwise(hands.slept[:3]))
        assert 1.5 <= hands.slept[-1] <= 3.0
        assert "127.0.0.1:7" in dialer.last_error
        assert "Connect call failed" in dialer.last_error or "refused" in dialer.last_error
        assert len(told) == 12  # each host's own trouble
        await dialer.stop()
        assert not dialer.running

    asyncio.run(walk())


def test_the_same_trouble_is_told_once() -> None:
    async def walk() -> None:
        hands = Hands()
        hands.stop_after = 5
        told: list[str] = []
        dialer = Dialer(
            StandIn(config((NOWHERE,))), clock=hands, sleep=hands.sleep,
            trouble=lambda _, err: told.append(str(err)),
        )  # fmt: skip
        dialer.start()
        await until(lambda: len(hands.slept) == 5)
        assert len(told) == 1
        await dialer.stop()

    asyncio.run(walk())


def test_a_second_host_is_taken_without_a_wait_when_the_first_is_dead() -> None:
    async def walk() -> None:
        peer, hands = await Peer().start(), Hands()
        ours = StandIn(config((NOWHERE, ("127.0.0.1", peer.port))))
        dialer = Dialer(ours, clock=hands, sleep=hands.sleep)
        dialer.start()
        await until(lambda: peer.heard)
        assert hands.slept == []
        assert peer.heard == logon()
        assert dialer.address == ("127.0.0.1", peer.port)
        await dialer.stop()
        peer.stop()

    asyncio.run(walk())


def test_a_venue_that_turns_us_away_is_not_hammered() -> None:
    async def walk() -> None:
        peer, hands = await Peer(closes=True).start(), Hands()
        hands.stop_after = 8
        ours = StandIn(config((("127.0.0.1", peer.port),), reconnect=60.0))
        dialer = Dialer(ours, clock=hands, rng=random.Random(3), sleep=hands.sleep)
        dialer.start()
        await until(lambda: len(hands.slept) == 8)
        assert dialer.connections == len(ours.lost) == 8
        assert hands.slept[-1] > 25
        await dialer.stop()
        peer.stop()

    asyncio.run(walk())


def test_after_a_connection_that_lasted_the_next_is_sought_soon() -> None:
    async def walk() -> None:
        peer, hands = await Peer().start(), Hands()
        ours = StandIn(config((("127.0.0.1", peer.port),)))
        dialer = Dialer(ours, clock=hands, rng=random.Random(3), sleep=hands.sleep)
        dialer.start()
        for count in range(1, 6):
            await until(lambda count=count: len(peer.met) == count and ours.link is not None)
            hands.at += round((STABLE + 1) * 1e9)
            peer.met[-1].close()
            await until(lambda count=count: len(ours.lost) == count)
        await until(lambda: len(hands.slept) >= 5)
        assert max(hands.slept) <= 0.5
        assert ours.lost == ["the peer closed the connection"] * 5
        await dialer.stop()
        peer.stop()

    asyncio.run(walk())


def test_a_nudge_ends_the_wait() -> None:
    async def walk() -> None:
        sleeps: list[float] = []

        async def for_ever(seconds: float) -> None:
            sleeps.append(seconds)
            await asyncio.Event().wait()

        dialer = Dialer(StandIn(config((NOWHERE,))), sleep=for_ever)
        dialer.start()
        for count in (1, 2, 3):
            await until(lambda count=count: len(sleeps) == count)
            dialer.nudge()
        await until(lambda: dialer.attempts == 4)
        await dialer.stop()

    asyncio.run(walk())


def test_nothing_is_dialed_outside_of_the_sessions_hours() -> None:
    async def walk() -> None:
        peer = await Peer().start()
        noon = round(datetime(2024, 3, 5, 12, tzinfo=UTC).timestamp()) * 1_000_000_000
        hands = Hands(noon)
        hours = Schedule(start=13 * 3600, end=14 * 3600)
        ours = StandIn(config((("127.0.0.1", peer.port),), schedule=hours))
        dialer = Dialer(ours, clock=hands, sleep=hands.sleep)
        dialer.start()
        await until(lambda: ours.link)
        assert hands.now() == noon + 3600 * 1_000_000_000
        assert max(hands.slept) <= LOOK
        assert dialer.attempts == 1
        await dialer.stop()
        peer.stop()

    asyncio.run(walk())


def test_a_host_that_does_not_answer_is_given_up() -> None:
    async def walk() -> None:
        peer, hands = await Peer().start(), Hands()  # takes the connection and says nothing
        hands.stop_after = 1
        ours = StandIn(config((("127.0.0.1", peer.port),), tls=Tls()))
        dialer = Dialer(ours, sleep=hands.sleep, connect_timeout=0.1)
        dialer.start()
        await until(lambda: hands.slept)
        assert "nobody answered in time" in dialer.last_error
        assert ours.lost == []
        await dialer.stop()
        peer.stop()

    asyncio.run(walk())


def test_stopping_ends_the_connection_and_it_can_be_started_again() -> None:
    async def walk() -> None:
        peer = await Peer().start()
        ours = StandIn(config((("127.0.0.1", peer.port),)))
        dialer = Dialer(ours)
        for count in (1, 2):
            dialer.start()
            await until(lambda: ours.link)
            await dialer.stop()
            assert ours.lost == ["closed by us"] * count
            assert dialer.connection is None or not ours.link
        peer.stop()

    asyncio.run(walk())


# -- a connection


async def joined(peer: Peer, ours: StandIn, limit: int = 1 << 16, **more: Any) -> Connection:
    loop = asyncio.get_running_loop()
    made = Connection(ours, limit=limit, **more)
    await loop.create_connection(lambda: made, "127.0.0.1", peer.port)
    return made


def test_a_peer_that_does_not_read_is_cut_off_and_memory_stays_bounded() -> None:
    async def walk() -> None:
        peer, ours = await Peer(reads=False).start(), StandIn(config())
        made = await joined(peer, ours)
        most = 0
        for _ in range(10_000):
            made.write(b"x" * 10_000)
            most = max(most, made.waiting)
            if made.why:
                break
        await made.gone.wait()
        assert "does not read" in ours.lost[0]
        assert most <= (1 << 16) + 10_000
        peer.stop()

    asyncio.run(walk())


def test_a_wish_for_a_tick_waits_until_a_slow_peer_reads() -> None:
    async def walk() -> None:
        peer, ours = await Peer(reads=False).start(), StandIn(config())
        made = await joined(peer, ours, limit=8 << 20)
        assert ours.wake is not None
        ours.wake()
        ours.wake()
        await until(lambda: ours.ticks == 1)
        while made.waiting < 4 << 20:
            made.write(b"x" * 100_000)
        ours.wake()
        for _ in range(20):
            await asyncio.sleep(0)
        assert ours.ticks == 1
        peer.met[0].resume_reading()
        await until(lambda: ours.ticks == 2)
        peer.stop()
        await made.gone.wait()
        assert ours.wake is None

    asyncio.run(walk())


def test_what_was_written_last_leaves_before_the_end() -> None:
    async def walk() -> None:
        peer, ours = await Peer().start(), StandIn(config())
        made = await joined(peer, ours, limit=32 << 20)
        made.write(b"y" * (8 << 20))
        made.close()
        made.write(b"too late")
        await made.gone.wait()
        await until(lambda: len(peer.heard) == len(logon()) + (8 << 20))
        assert not peer.heard.endswith(b"late")
        peer.stop()

    asyncio.run(walk())


def test_a_peer_that_never_takes_what_was_written_last_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def walk() -> None:
        monkeypatch.setattr(connections, "LINGER", 0.05)
        peer, ours = await Peer(reads=False).start(), StandIn(config())
        made = await joined(peer, ours, limit=32 << 20)
        made.write(b"y" * (16 << 20))
        made.close()
        await asyncio.wait_for(made.gone.wait(), 5)
        assert ours.lost == ["closed by us"]
        peer.stop()

    asyncio.run(walk())


def test_dead_peers_are_noticed_by_the_system_too() -> None:
    async def walk() -> None:
        peer, ours = await Peer().start(), StandIn(config())
        made = await joined(peer, ours)
        sock: Any = made.extra("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20
        made.close()
        await made.gone.wait()
        peer.stop()

    asyncio.run(walk())


def test_a_session_that_fails_is_cut_off_with_its_trouble_told() -> None:
    async def walk() -> None:
        peer, ours = await Peer().start(), StandIn(config())
        told: list[tuple[str, str]] = []
        made = await joined(peer, ours, trouble=lambda who, err: told.append((who.name, str(err))))
        ours.fails = ValueError("a mistake")
        await until(lambda: peer.met)
        peer.met[0].write(b"8=FIX")
        await made.gone.wait()
        assert told == [("FIX.4.4:US->THEM", "a mistake")]
        assert ours.lost == ["the session failed: a mistake"]
        peer.stop()

    asyncio.run(walk())


def test_the_pulse_goes_on_when_a_session_fails() -> None:
    async def walk() -> None:
        good, bad = StandIn(config()), StandIn(config())
        bad.fails = ValueError("a mistake")
        told: list[str] = []
        task = asyncio.create_task(
            pulse(lambda: [bad, good], 0.001, lambda _, err: told.append(str(err)))
        )
        await until(lambda: good.ticks > 3)
        task.cancel()
        assert set(told) == {"a mistake"}

    asyncio.run(walk())


# -- with real sessions


class Desk(Application):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_message(self, session: Session, message: Any) -> None:
        self.heard.append(message[58])


def test_two_sessions_talk_over_a_socket_and_meet_again_after_it_broke() -> None:
    async def walk() -> None:
        desks = Desk(), Desk()
        theirs = Session(config(role="acceptor"), None, MemoryStore(), desks[1], SystemClock())  # type: ignore[arg-type]
        acceptor = Acceptor(LOCAL, lambda _: theirs)
        await acceptor.start()
        hosts = (("127.0.0.1", acceptor.address[1]),)
        ours = Session(config(hosts, reconnect=0.05), None, MemoryStore(), desks[0], SystemClock())  # type: ignore[arg-type]
        dialer = Dialer(ours)
        dialer.start()
        ticking = asyncio.create_task(pulse(lambda: [ours, theirs], 0.01))
        for text in ("one", "two", "three"):
            await until(lambda: ours.state == theirs.state == "up")
            ours.send("B", [(58, text)])
            theirs.send("B", [(58, text)])
            await until(lambda text=text: all(text in desk.heard for desk in desks))
            assert dialer.connection is not None
            dialer.connection.abort("pulled")
            await until(lambda: ours.state == "down")
        assert [desk.heard for desk in desks] == [["one", "two", "three"]] * 2
        await dialer.stop()
        await acceptor.stop()
        ticking.cancel()

    asyncio.run(walk())
