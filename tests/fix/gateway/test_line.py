"""Lines to sessions of this process: what is heard, what may be sent, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.errors import SettingsError, VenueError, VenueUnavailable
from onetape_fix.gateway.bucket import Bucket
from onetape_fix.gateway.hub import Gateway
from onetape_fix.gateway.line import Inbound, LineAlarm, LineState, Live, Sent
from onetape_fix.session import GatewayConfig, Settings

from .peers import Broker, Peers, holding, order, report, reports, run, sent, until


async def up(gateway: Gateway, name: str = "a", since: int = -1):
    line, heard = gateway.line(name), []
    await line.open(heard.append, since)
    await until(lambda: line.up)
    return line, heard


def test_what_was_sent_and_what_came_are_heard_with_their_positions(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            line, heard = await up(gateway)
            line.send("D", order("A1"), "r1")
            await until(lambda: reports(heard) == ["A1"])
            assert sent(heard) == [("r1", "A1")]
            out, back = heard[-2:]
            assert (out.msg_type, out.seq, out.replayed) == ("D", 2, False)
            assert 0 < out.position < back.position
            assert line.duties == {"order"}
            assert line.profile.name == "generic44"

    run(test)


def test_two_lines_hear_the_same_and_each_its_own_refs_only(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            one, first = await up(gateway)
            _, second = await up(gateway)
            one.send("D", order("A1"), "mine")
            await until(lambda: reports(first) == reports(second) == ["A1"])
            assert (sent(first), sent(second)) == ([("mine", "A1")], [("", "A1")])

    run(test)


def test_what_a_listener_sends_while_it_hears_is_heard_by_all_in_its_order(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            line, second = gateway.line("a"), []

            def answers(one: object) -> None:
                if isinstance(one, Sent) and len(one.message[11]) < 5:
                    line.send("D", order(one.message[11] + "x"))

            await line.open(answers)
            await up_again(gateway, second)
            await until(lambda: line.up)
            line.send("D", order("A"))
            await until(lambda: len(reports(second)) == 5)
            assert [name for _, name in sent(second)] == ["A", "Ax", "Axx", "Axxx", "Axxxx"]
            positions = [one.position for one in second if isinstance(one, Sent | Inbound)]
            assert positions == sorted(set(positions))

    run(test)


async def up_again(gateway: Gateway, heard: list) -> None:
    await gateway.line("a").open(heard.append)


def test_a_position_behind_the_journals_end_is_told_as_another_journal(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            line, heard = await up(gateway)
            line.send("D", order("A1"))
            await until(lambda: reports(heard) == ["A1"])
            _, other = await up(gateway, since=10_000)
            await until(lambda: Live() in other)
            assert reports(other) == ["A1"]
            assert [one.code for one in heard if isinstance(one, LineAlarm)] == ["journal_lost"]

    run(test)


def test_history_is_told_again_and_marked_then_what_happens(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            line, heard = await up(gateway)
            line.send("D", order("A1"))
            await until(lambda: reports(heard) == ["A1"])
            _, later = await up(gateway)
            await until(lambda: Live() in later)
            line.send("D", order("A2"))
            await until(lambda: reports(later) == ["A1", "A2"])
            told = [(type(one), one.replayed) for one in later if isinstance(one, Sent | Inbound)]
            assert told == [(Sent, True), (Inbound, True), (Sent, False), (Inbound, False)]
            assert later.index(Live()) == 3  # state, order, report, and then

    run(test)


def test_history_reaches_back_as_many_days_as_the_config_says(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        config = GatewayConfig(socket=tmp_path / "gw.sock", history=0.0)
        async with holding(peers, tmp_path, gateway=config) as gateway:
            line, heard = await up(gateway)
            line.send("D", order("A1"))
            await until(lambda: reports(heard) == ["A1"])
            none, some = gateway.line("a"), gateway.line("a")
            without: list = []
            everything: list = []
            await none.open(without.append)
            await some.open(everything.append, 0)
            await until(lambda: Live() in without and Live() in everything)
            assert (reports(without), reports(everything)) == ([], ["A1"])

    run(test)


def test_nothing_can_be_sent_before_the_logon_and_nothing_has_left(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        await peers.start()
        await peers.stop("a")
        configs = (peers.config("a", tmp_path),)
        gateway = Gateway(Settings(configs, GatewayConfig(socket=tmp_path / "gw.sock")))
        await gateway.start()
        line, heard = gateway.line("a"), []
        await line.open(heard.append)
        with pytest.raises(VenueUnavailable, match=r"a is not logged on .* nothing has left"):
            line.send("D", order("A1"), "r1")
        await until(lambda: "cannot connect" in gateway.held("a").last_error)
        assert [type(one) for one in heard] == [LineState, Live]
        await gateway.stop()

    run(test)


def test_a_session_that_is_not_there_is_refused_with_close_names(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["broker"])
        async with holding(peers, tmp_path) as gateway:
            with pytest.raises(VenueError, match="did you mean broker"):
                gateway.line("brokr")
            assert gateway.line("FIX.4.4:US-broker->V-broker").name == "broker"

    run(test)


def test_two_sessions_of_one_name_are_refused(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        await peers.start()
        config = peers.config("a", tmp_path)
        gateway = Gateway(Settings((config, config), GatewayConfig(socket=tmp_path / "gw.sock")))
        with pytest.raises(SettingsError, match="stands in the config twice"):
            await gateway.start()
        await peers.stop()

    run(test)


def test_a_journal_that_another_gateway_holds_is_refused_and_nothing_is_started(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        peers = Peers(["a", "b"])
        async with holding(peers, tmp_path):
            configs = (peers.config("b", tmp_path),)
            second = Gateway(Settings(configs, GatewayConfig(socket=tmp_path / "other.sock")))
            with pytest.raises(SettingsError, match="is held by process"):
                await second.start()
            await until(lambda: peers.up() == {"a", "b"})

    run(test)


def test_what_exceeds_the_rate_is_refused_at_once_and_cancels_are_not(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path, throttle=10) as gateway:
            line, _ = await up(gateway)
            left = 8  # two of ten are left to cancels
            for number in range(left):
                line.send("D", order(f"A{number}"))
            with pytest.raises(VenueError, match="throttled: a takes 10 messages a second"):
                line.send("D", order("over"))
            for number in range(left):
                body = [(41, f"A{number}"), (11, f"C{number}"), (55, "ABC"), (54, "1"), (60, "x")]
                line.send("F", body)
            await until(lambda: len(peers.brokers["a"].ids("F")) == left)
            assert peers.brokers["a"].ids("D") == [f"A{number}" for number in range(left)]
            assert (await line.ask("status"))["sessions"][0]["throttled"] == 1

    run(test)


@given(
    st.floats(0.5, 200),
    st.lists(st.tuples(st.floats(0, 0.5), st.booleans()), max_size=200),
)
def test_orders_never_exceed_the_rate_over_any_stretch_of_time(rate, steps) -> None:
    now, bucket, passed = 0.0, Bucket(rate, 0.0), []
    for wait, cancel in steps:
        now += wait
        ok = bucket.take(now, cancel=cancel)
        assert ok or not cancel
        if ok and not cancel:
            passed.append(now)
    for begin in range(len(passed)):
        for end in range(begin, len(passed)):
            most = max(rate, 1.0) + rate * (passed[end] - passed[begin])
            assert end - begin + 1 <= most + 1e-6


def test_a_rate_of_nothing_lets_everything_pass() -> None:
    bucket = Bucket(0, 0.0)
    assert all(bucket.take(0.0) for _ in range(1_000))


def test_alarms_of_the_session_are_heard_on_the_line(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            _, heard = await up(gateway)
            peer = peers.sessions["a"]
            peer.set_out(peer.store.next_out + 5)  # numbers that nobody ever sees
            peer.test_request()
            await until(lambda: any(isinstance(one, LineAlarm) for one in heard))
            assert {one.code for one in heard if isinstance(one, LineAlarm)} == {"gap_filled_over"}

    run(test)


def test_a_session_reject_is_heard_and_counted_by_its_reason(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        peers.brokers["a"].answering = False
        async with holding(peers, tmp_path) as gateway:
            line, heard = await up(gateway)
            line.send("D", order("A1"))
            await until(lambda: peers.brokers["a"].ids("D"))
            body = [(45, 2), (371, 55), (372, "D"), (373, 5), (58, "no such symbol")]
            peers.sessions["a"].send("3", body)
            await until(lambda: any(isinstance(one, Inbound) for one in heard))
            got = next(one for one in heard if isinstance(one, Inbound))
            assert (got.message.type, got.message[45]) == ("3", "2")
            told = gateway.status("a")["sessions"][0]
            assert told["rejects"] == {"3:5": 1}

    run(test)


def test_delays_and_rejects_are_measured_from_orders_and_their_reports(tmp_path: Path) -> None:
    class Filling(Broker):
        def on_message(self, session, message) -> None:
            name = message[11]
            if name == "bad":
                body = [*report(name, "8", "8", message), (103, "3")]
                session.send("8", body)
                return
            session.send("8", report(name, "0", "0", message))
            session.send("8", report(name, "F", "2", message))

    async def test() -> None:
        peers = Peers(["a"])
        peers.sessions["a"].app = Filling()
        async with holding(peers, tmp_path) as gateway:
            line, heard = await up(gateway)
            for name in ("A1", "A2", "bad"):
                line.send("D", order(name))
            await until(lambda: len(reports(heard)) == 5)
            told = gateway.status("a")["sessions"][0]
            assert (told["order_ack"]["count"], told["ack_fill"]["count"]) == (3, 2)
            assert 0 < told["order_ack"]["p50_us"] <= told["order_ack"]["p99_us"] < 5e6
            assert told["rejects"] == {"8:3": 1}
            assert told["types"] == {"in:8": 5, "out:D": 3}

    run(test)
