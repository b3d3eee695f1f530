"""A client that is slow to read and sends all the same: what left is never told as refused."""

from __future__ import annotations

from pathlib import Path

from onetape_fix.gateway.line import Live, Refused, Sent
from onetape_fix.gateway.remote import RemoteLine
from onetape_fix.gateway.server import serving
from onetape_fix.session import GatewayConfig

from .peers import Peers, holding, order, run, sent, until

BIG = "x" * 4_000


def test_what_left_while_nobody_read_is_not_told_as_refused_when_the_line_is_lost(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        peers.brokers["a"].answering = False
        config = GatewayConfig(socket=tmp_path / "gw.sock")
        async with (
            holding(peers, tmp_path, gateway=config) as gateway,
            serving(gateway, config.socket),
        ):
            line, heard = RemoteLine(config.socket, "a"), []
            await line.open(heard.append)
            await until(lambda: line.up and Live() in heard)
            listener = gateway.held("a").listeners[0]
            transport = line._connection.wire._transport
            transport.pause_reading()
            store = gateway.held("a").store
            number = store.next_in
            while not listener.slow:
                for _ in range(50):
                    peers.sessions["a"].send("B", [(148, "n"), (33, [[(58, BIG)]])])
                number += 50
                await until(lambda n=number: store.next_in >= n)
            line.send("D", order("A1"), "A1")
            await until(lambda: peers.brokers["a"].ids("D") == ["A1"])
            transport.resume_reading()
            await until(lambda: any(isinstance(one, Sent) for one in heard))
            assert sent(heard) == [("A1", "A1")]
            transport.abort()  # as when the gateway is killed
            await until(lambda: heard.count(Live()) == 2)
            assert [one for one in heard if isinstance(one, Refused)] == []
            await line.close()

    run(test)
