"""A client that does not read: the sessions go on, nothing piles up, nothing is lost."""

from __future__ import annotations

from pathlib import Path

from onetape_fix.gateway.frames import HIGH
from onetape_fix.gateway.line import Inbound, LineAlarm, LineState, Live
from onetape_fix.gateway.remote import RemoteLine
from onetape_fix.gateway.server import serving
from onetape_fix.session import GatewayConfig

from .peers import Peers, holding, order, reports, run, until

BIG = "x" * 4_000


def news(number: int) -> list[tuple[int, object]]:
    return [(148, f"{number}"), (33, [[(58, BIG)]])]


def test_who_does_not_read_is_told_the_rest_when_he_does_and_in_order(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        config = GatewayConfig(socket=tmp_path / "gw.sock", queue=100)
        async with (
            holding(peers, tmp_path, gateway=config) as gateway,
            serving(gateway, config.socket),
        ):
            slow, quick = RemoteLine(config.socket, "a"), gateway.line("a")
            late: list = []
            soon: list = []
            await slow.open(late.append)
            await quick.open(soon.append)
            await until(lambda: slow.up and quick.up)
            transport = slow._connection.wire._transport
            transport.pause_reading()
            held = gateway.held("a")
            for number in range(2_000):
                peers.sessions["a"].send("B", news(number))
                if number % 50 == 0:
                    await until(lambda n=number: held.session.store.next_in > n)
            await until(lambda: sum(isinstance(one, Inbound) for one in soon) == 2_000)
            # what waits for it is bounded, and a person is told
            listener = held.listeners[0]
            assert listener.slow
            assert listener.ear._wire.waiting < 3 * HIGH
            await until(lambda: any(isinstance(a, LineAlarm) for a in soon))
            alarms = [one for one in soon if isinstance(one, LineAlarm)]
            assert [one.code for one in alarms] == ["slow_client"]
            # orders go on meanwhile
            quick.send("D", order("A1"))
            await until(lambda: peers.brokers["a"].ids("D") == ["A1"])
            transport.resume_reading()
            await until(lambda: reports_of_news(late) == 2_000)
            said = [
                one.message[148] for one in late if isinstance(one, Inbound) and 148 in one.message
            ]
            assert said == [str(number) for number in range(2_000)]
            positions = [one.position for one in late if isinstance(one, Inbound)]
            assert positions == sorted(set(positions))
            await until(lambda: reports(late[-1:]) == ["A1"] or "A1" in str(late[-3:]))
            assert late.count(Live()) == 1
            await until(lambda: listener.live)
            await slow.close()

    run(test)


def reports_of_news(heard: list) -> int:
    return sum(isinstance(one, Inbound) and 148 in one.message for one in heard)


def test_a_listener_that_fails_is_left_alone_and_the_others_hear_on(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            bad, good = gateway.line("a"), gateway.line("a")
            heard: list = []

            last: list = []

            def fails(one: object) -> None:
                last.append(one)
                if isinstance(one, Inbound):
                    raise ValueError("a bug in a strategy")

            await bad.open(fails)
            await good.open(heard.append)
            await until(lambda: good.up)
            good.send("D", order("A1"))
            good.send("D", order("A2"))
            await until(lambda: reports(heard) == ["A1", "A2"])
            assert "a bug in a strategy" in str([h for h in heard if isinstance(h, LineAlarm)])
            assert len(gateway.held("a").listeners) == 1
            assert (bad.up, good.up) == (False, True)
            assert last[-1] == LineState(False, last[-1].detail)
            assert "this listener failed" in last[-1].detail
            assert peers.up() == {"a"}

    run(test)
