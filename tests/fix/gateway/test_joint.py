"""Lines of one process to one gateway: they share a connection and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from onetape.errors import VenueError, VenueUnavailable
from onetape_fix.gateway.line import Inbound, LineState
from onetape_fix.gateway.remote import RemoteLine
from onetape_fix.gateway.server import serving
from onetape_fix.session import GatewayConfig

from .peers import Peers, holding, order, reports, run, until


def states(heard: list) -> list[bool]:
    return [one.up for one in heard if isinstance(one, LineState)]


def test_lines_share_a_connection_and_each_hears_its_own_session_only(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a", "b"])
        config = GatewayConfig(socket=tmp_path / "gw.sock")
        async with (
            holding(peers, tmp_path, gateway=config) as gateway,
            serving(gateway, config.socket) as server,
        ):
            first, second, again = (RemoteLine(config.socket, name) for name in "aba")
            heard: list[list] = [[], [], []]
            lines = (first, second, again)
            await asyncio.gather(
                *(line.open(h.append) for line, h in zip(lines, heard, strict=True))
            )
            await until(lambda: all(line.up for line in lines))
            assert server.count == 1
            first.send("D", order("A1"), "one")
            second.send("D", order("B1"), "two")
            await until(lambda: all(any(isinstance(o, Inbound) for o in h) for h in heard))
            assert [reports(h) for h in heard] == [["A1"], ["B1"], ["A1"]]
            # one that leaves, and one that never was there, leave the others on it
            await first.close()
            with pytest.raises(VenueError):
                await RemoteLine(config.socket, "nobody").open(heard[0].append)
            again.send("D", order("A2"))
            await until(lambda: reports(heard[2]) == ["A1", "A2"])
            assert (reports(heard[0]), server.count, first.up) == (["A1"], 1, False)
            await asyncio.gather(second.close(), again.close())
            await until(lambda: server.count == 0)
            # and it begins anew
            await first.open(heard[0].append)
            await until(lambda: first.up and server.count == 1)
            await first.close()

    run(test)


def test_a_listener_that_fails_takes_its_own_line_off_the_connection(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a", "b"])
        config = GatewayConfig(socket=tmp_path / "gw.sock")
        async with (
            holding(peers, tmp_path, gateway=config) as gateway,
            serving(gateway, config.socket) as server,
        ):
            bad, good = RemoteLine(config.socket, "a"), RemoteLine(config.socket, "b")
            heard: list = []

            def fails(one: object) -> None:
                if isinstance(one, Inbound):
                    raise ValueError("a bug in a strategy")

            await bad.open(fails)
            await good.open(heard.append)
            await until(lambda: bad.up and good.up)
            bad.send("D", order("A1"))
            await until(lambda: not bad.up)
            good.send("D", order("B1"))
            await until(lambda: reports(heard) == ["B1"])
            await until(lambda: not gateway.held("a").listeners)
            assert server.count == 1
            await asyncio.gather(bad.close(), good.close())

    run(test)


def test_all_lines_are_told_that_the_gateway_is_gone_and_come_back_on_one(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a", "b"])
        config = GatewayConfig(socket=tmp_path / "gw.sock")
        async with holding(peers, tmp_path, gateway=config) as gateway:
            lines = [RemoteLine(config.socket, name) for name in "ab"]
            heard: list[list] = [[], []]
            async with serving(gateway, config.socket):
                for line, hears in zip(lines, heard, strict=True):
                    await line.open(hears.append)
                await until(lambda: all(line.up for line in lines))
            await until(lambda: [states(h)[-1] for h in heard] == [False, False])
            with pytest.raises(VenueUnavailable):
                await RemoteLine(config.socket, "a").open(print)
            async with serving(gateway, config.socket) as server:
                await until(lambda: all(line.up for line in lines))
                assert server.count == 1
                await asyncio.gather(*(line.close() for line in lines))

    run(test)
