"""An order that waited in front of a gateway that did not turn: it does not leave any more."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from onetape_fix.gateway.frames import Framed, Kept, Open, Post, State, ToClient
from onetape_fix.gateway.remote import RemoteLine
from onetape_fix.gateway.server import serving
from onetape_fix.session import GatewayConfig

from .peers import Peers, holding, order, run, until

MINUTE = 60_000_000_000


@pytest.mark.parametrize(("kind", "leaves"), [("D", False), ("F", True)])
def test_an_order_older_than_it_may_be_is_refused_and_a_cancel_leaves(
    tmp_path: Path, kind: str, leaves: bool
) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        peers.brokers["a"].answering = False
        config = GatewayConfig(socket=tmp_path / "gw.sock")
        async with (
            holding(peers, tmp_path, gateway=config) as gateway,
            serving(gateway, config.socket),
        ):
            heard: list = []
            _, wire = await asyncio.get_running_loop().create_unix_connection(
                lambda: Framed(ToClient, lambda _, one: heard.append(one), lambda _: None),
                str(config.socket),
            )
            wire.post(Open(1, "a", -1))
            await until(lambda: any(isinstance(one, State) and one.up for one in heard))
            wire.post(Post(1, kind, order("A1"), "A1", time.time_ns() - MINUTE))
            if leaves:
                await until(lambda: peers.brokers["a"].ids("F") == ["A1"])
            else:
                await until(lambda: any(isinstance(one, Kept) for one in heard))
                (kept,) = [one for one in heard if isinstance(one, Kept)]
                assert "waited" in kept.why
                assert peers.brokers["a"].ids("D") == []
            wire.close()

    run(test)


def test_a_line_says_when_it_posted(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        config = GatewayConfig(socket=tmp_path / "gw.sock")
        async with (
            holding(peers, tmp_path, gateway=config) as gateway,
            serving(gateway, config.socket),
        ):
            took: list[int] = []
            gateway.held("a").in_time = lambda _, posted: took.append(posted)
            line = RemoteLine(config.socket, "a")
            await line.open(lambda _: None)
            await until(lambda: line.up)
            line.send("D", order("A1"), "A1")
            await until(lambda: peers.brokers["a"].ids("D") == ["A1"])
            assert abs(time.time_ns() - took[0]) < MINUTE
            await line.close()

    run(test)
