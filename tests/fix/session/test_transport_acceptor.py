"""Being dialed: a Logon says whose connection it is; strangers have little time and few bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fix.session.sockets import StandIn, config, logon, until
from onetape.errors import SettingsError
from onetape_fix.session.acceptor import Acceptor, Limits, by_comp_ids, shared
from onetape_fix.session.settings import Tls
from onetape_fix.wire import parse

LOCAL = ("127.0.0.1", 0)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def door(target: str, **more: Any) -> StandIn:
    return StandIn(config(role="acceptor", **{"target": target, **more}))


@asynccontextmanager
async def listening(*sessions: StandIn, **limits: Any) -> AsyncIterator[tuple[Acceptor, list[str]]]:
    told: list[str] = []
    acceptor = Acceptor(
        LOCAL, by_comp_ids(sessions), limits=Limits(**limits), turned_away=told.append
    )
    await acceptor.start()
    try:
        yield acceptor, told
    finally:
        await acceptor.stop()


async def said(acceptor: Acceptor, data: bytes) -> Streams:
    reader, writer = await asyncio.open_connection(*acceptor.address)
    writer.write(data)
    return reader, writer


async def ended(streams: Streams) -> None:
    reader, writer = streams
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 10) == b""  # not a word
    writer.close()


def walk(steps: Callable[[], Any]) -> None:
    asyncio.run(steps())


def test_many_sessions_share_a_port_and_each_gets_its_own() -> None:
    async def steps() -> None:
        sessions = [door(f"CLIENT{n}") for n in range(28)]
        async with listening(*sessions) as (acceptor, _):
            streams = [await said(acceptor, logon(f"CLIENT{n}")) for n in reversed(range(28))]
            await until(lambda: all(session.heard for session in sessions))
            for n, session in enumerate(sessions):
                assert session.heard == logon(f"CLIENT{n}")
            assert acceptor.waiting == 0
        assert all(session.lost == ["closed by us"] for session in sessions)
        for stream in streams:
            await ended(stream)

    walk(steps)


def test_what_came_with_the_logon_is_handed_over_with_it() -> None:
    async def steps() -> None:
        session = door("US")
        async with listening(session) as (acceptor, _):
            _, writer = await said(acceptor, logon() + b"8=FIX.4.4\x019=half")
            await until(lambda: session.heard.endswith(b"half"))
            writer.write(b"more")
            await until(lambda: session.heard == logon() + b"8=FIX.4.4\x019=halfmore")

    walk(steps)


def test_a_logon_may_come_a_byte_at_a_time() -> None:
    async def steps() -> None:
        session = door("US")
        async with listening(session) as (acceptor, _):
            _, writer = await said(acceptor, b"")
            for byte in logon():
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
            await until(lambda: session.heard == logon())

    walk(steps)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (logon("NOBODY"), "no session here for NOBODY->THEM in FIX.4.4"),
        (logon("US", "OTHERS"), "no session here for US->OTHERS"),
        (logon(begin="FIX.4.2"), "no session here for US->THEM in FIX.4.2"),
        (logon().replace(b"35=A", b"35=0").replace(b"10=", b"10="), "not FIX"),
        (b"GET / HTTP/1.1\r\n\r\n" * 100, "not FIX"),
        (b"x" * 5_000, "not FIX"),
    ],
)
def test_who_is_not_known_is_turned_away_without_a_word(data: bytes, why: str) -> None:
    async def steps() -> None:
        session = door("US")
        async with listening(session, logon_size=1_000) as (acceptor, told):
            await ended(await said(acceptor, data))
            await until(lambda: told)
            assert why in told[0]
            assert told[0].startswith("127.0.0.1: ")
            assert session.heard == b""
            assert (acceptor.refused, acceptor.waiting) == (1, 0)

    walk(steps)


def test_who_says_another_thing_than_a_logon_first_is_turned_away() -> None:
    from onetape_fix.wire import Encoder

    async def steps() -> None:
        async with listening(door("US")) as (acceptor, told):
            beat = Encoder("FIX.4.4", [(49, "US"), (56, "THEM")]).encode(
                "0", 1, "20240304-12:00:00", []
            )
            await ended(await said(acceptor, beat))
            assert "not a Logon" in told[0]

    walk(steps)


def test_a_stranger_who_says_nothing_is_turned_away_in_time() -> None:
    async def steps() -> None:
        async with listening(door("US"), logon_timeout=0.05) as (acceptor, told):
            await ended(await said(acceptor, b"8=FIX.4.4\x01"))
            assert "no Logon within 0.05 s" in told[0]

    walk(steps)


def test_a_logon_without_end_is_turned_away() -> None:
    async def steps() -> None:
        async with listening(door("US"), logon_size=1_000) as (acceptor, told):
            await ended(await said(acceptor, b"8=FIX.4.4\x019=999\x0135=A\x01" + b"y" * 1_200))
            await until(lambda: told)
            assert acceptor.waiting == 0

    walk(steps)


def test_only_so_many_strangers_may_wait() -> None:
    async def steps() -> None:
        session = door("US")
        async with listening(session, strangers=3) as (acceptor, told):
            waiting = [await said(acceptor, b"8") for _ in range(3)]
            await until(lambda: acceptor.waiting == 3)
            await ended(await said(acceptor, b""))
            assert "too many connections" in told[0]
            waiting[0][1].close()
            await until(lambda: acceptor.waiting == 2)
            await said(acceptor, logon())  # and there is room again
            await until(lambda: session.heard)

    walk(steps)


def test_a_second_connection_of_a_session_is_closed_and_the_first_stays() -> None:
    async def steps() -> None:
        session = door("US")
        async with listening(session) as (acceptor, _):
            _, first = await said(acceptor, logon())
            await until(lambda: session.heard)
            reader, _ = await said(acceptor, logon())
            assert await asyncio.wait_for(reader.read(), 10) == b""
            assert session.lost == []
            first.write(b"still here")
            await until(lambda: session.heard.endswith(b"still here"))

    walk(steps)


def test_a_port_that_is_taken_is_said_and_a_stopped_one_is_free_again() -> None:
    async def steps() -> None:
        async with listening(door("US")) as (acceptor, _):
            other = Acceptor(acceptor.address, lambda _: None)
            with pytest.raises(SettingsError, match=r"cannot listen on 127\.0\.0\.1:\d+: "):
                await other.start()
        await other.start()
        await other.stop()

    walk(steps)


# -- whose Logon


def found(sessions: list[StandIn], raw: bytes) -> Any:
    return by_comp_ids(sessions)(parse(raw))


def test_the_nearest_sub_ids_are_taken() -> None:
    any_sub, desk = door("US"), door("US", target_sub="desk")
    assert found([any_sub, desk], logon(sender_sub="desk")) is desk
    assert found([any_sub, desk], logon(sender_sub="other")) is any_sub
    assert found([any_sub, desk], logon()) is any_sub
    assert found([desk], logon()) is None
    assert found([door("US", sender_sub="fx")], logon(target_sub="fx")) is not None


def test_of_sessions_that_differ_in_their_qualifier_one_that_is_down_is_taken() -> None:
    one, two = door("US", qualifier="1"), door("US", qualifier="2")
    one.state = "up"
    assert found([one, two], logon()) is two
    two.state = "up"
    assert found([one, two], logon()) in (one, two)


def test_sessions_are_grouped_by_where_they_listen_and_must_agree_on_tls() -> None:
    tls = Tls(certificate=Path("a.pem"))
    a, b = door("A", listen=("127.0.0.1", 1)), door("B", listen=("127.0.0.1", 1))
    c = door("C", listen=("127.0.0.1", 2), tls=tls)
    dials = StandIn(config())
    groups = shared([a, b, c, dials])
    assert groups == {("127.0.0.1", 1): [a, b], ("127.0.0.1", 2): [c]}
    with pytest.raises(SettingsError, match=r"share 127\.0\.0\.1:2 and differ in TLS"):
        shared([c, door("D", listen=("127.0.0.1", 2))])
