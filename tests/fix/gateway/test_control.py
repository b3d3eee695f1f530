"""What operators do to sessions: that it happens, that it is written down with a name, that it
holds over a restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onetape.errors import SettingsError, VenueError
from onetape_fix.gateway.hub import Gateway
from onetape_fix.gateway.line import LineAlarm
from onetape_fix.session import MemoryStore

from .peers import Peers, holding, order, reports, run, until


def asked(gateway: Gateway, name: str = "a") -> list[dict]:
    """What stands in a session's journal of what operators did."""
    notes = [r.raw.decode() for r in gateway.held(name).store.records() if r.kind == "note"]
    return [json.loads(note) for note in notes if note.startswith("{")]


async def up(gateway: Gateway, name: str = "a"):
    line, heard = gateway.line(name), []
    await line.open(heard.append)
    await until(lambda: line.up)
    return line, heard


def test_nothing_is_done_for_nobody(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            line, _ = await up(gateway)
            with pytest.raises(SettingsError, match="nobody said who asks"):
                await line.ask("logout")
            with pytest.raises(SettingsError, match="there are status, disable"):
                await line.ask("explode", who="ann")
            with pytest.raises(SettingsError, match="takes next_in, next_out"):
                await line.ask("set_seq", who="ann", next=4)
            assert line.up
            assert asked(gateway) == []

    run(test)


def test_a_disabled_session_lets_cancels_out_and_nothing_else(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            line, heard = await up(gateway)
            line.send("D", order("A1"))
            await line.ask("disable", who="ann", why="a runaway strategy")
            for kind in ("D", "G", "E"):
                with pytest.raises(VenueError, match=r"disabled on a: a runaway strategy \(ann\)"):
                    line.send(kind, order("A2"))
            line.send("F", [(41, "A1"), (11, "C1"), (55, "ABC"), (54, "1"), (60, "x")])
            await until(lambda: reports(heard) == ["A1", "C1"])
            assert not gateway.held("a").ready
            await line.ask("enable", who="bob")
            line.send("D", order("A3"))
            await until(lambda: reports(heard)[-1] == "A3")
            assert [(one["action"], one["who"], one["why"]) for one in asked(gateway)] == [
                ("disable", "ann", "a runaway strategy"),
                ("enable", "bob", ""),
            ]
            told = [one for one in heard if isinstance(one, LineAlarm)]
            assert [one.code for one in told] == ["operator", "operator"]

    run(test)


def test_a_session_stays_disabled_and_logged_out_when_the_gateway_is_started_again(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        peers = Peers(["a", "b"])
        async with holding(peers, tmp_path) as gateway:
            await until(lambda: peers.up() == {"a", "b"})
            await gateway.ask("disable", session="a", who="ann")
            await gateway.ask("logout", session="b", who="ann", why="end of day")
            await until(lambda: peers.up() == {"a"})
        async with holding(peers, tmp_path) as gateway:
            line, _ = await up(gateway)
            with pytest.raises(VenueError, match="disabled"):
                line.send("D", order("A1"))
            assert gateway.status("b")["sessions"][0]["out"] == "logged out: end of day (ann)"
            assert peers.up() == {"a"}
            await gateway.ask("logon", session="b", who="ann")
            await until(lambda: peers.up() == {"a", "b"})

    run(test)


def test_a_logout_says_why_to_the_peer_and_lasts_until_the_logon(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            line, _ = await up(gateway)
            await line.ask("logout", who="ann", why="lunch")
            await until(lambda: not line.up and not peers.up())
            assert peers.sessions["a"].facts.last_text == "the peer logged out: lunch"
            await until(lambda: not gateway.held("a").dialer.running)
            await line.ask("logon", who="ann")
            await until(lambda: line.up)

    run(test)


def test_numbers_are_set_and_what_they_were_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            line, _ = await up(gateway)
            said = await line.ask("set_seq", who="ann", next_out=40)
            assert said["before"] == {"next_in": 2, "next_out": 2}
            assert gateway.held("a").store.next_out == 40
            for wrong in (0, -1, "4", True):
                with pytest.raises(SettingsError, match="from 1 on expected"):
                    await line.ask("set_seq", who="ann", next_in=wrong)

    run(test)


def test_a_reset_begins_at_one_on_both_sides(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            line, heard = await up(gateway)
            for number in range(5):
                line.send("D", order(f"A{number}"))
            await until(lambda: len(reports(heard)) == 5)
            await line.ask("reset", who="ann")
            await until(lambda: line.up)
            store, peer = gateway.held("a").store, peers.sessions["a"].store
            assert (store.next_in, store.next_out) == (2, 2)
            assert (peer.next_in, peer.next_out) == (2, 2)
            line.send("D", order("B"))
            await until(lambda: reports(heard)[-1] == "B")

    run(test)


def test_messages_are_asked_for_again_and_heard_again(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path) as gateway:
            line, heard = await up(gateway)
            line.send("D", order("A1"))
            await until(lambda: reports(heard) == ["A1"])
            await line.ask("resend", who="ann", begin=2, end=2)
            await until(lambda: reports(heard) == ["A1", "A1"])
            assert heard[-1].message.possdup
            with pytest.raises(SettingsError, match="a range expected"):
                await line.ask("resend", who="ann", begin=5, end=2)

    run(test)


def test_all_orders_are_canceled_by_one_message_where_the_venue_has_it(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path, throttle=1) as gateway:
            line, _ = await up(gateway)
            await line.ask("disable", who="ann")
            said = await line.ask("mass_cancel", who="ann")
            assert said["way"] == "q"
            await until(lambda: peers.brokers["a"].ids("q") == [said["id"]])

    run(test)


def test_all_orders_are_canceled_one_by_one_where_it_has_not(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"], "FIX.4.2")
        async with holding(peers, tmp_path) as gateway:
            line, heard = await up(gateway)
            for number in range(4):
                line.send("D", order(f"A{number}"))
            await until(lambda: len(reports(heard)) == 4)
            line.send("F", [(41, "A0"), (11, "C0"), (55, "ABC"), (54, "1"), (60, "x")])
            await until(lambda: len(reports(heard)) == 5)
            said = await line.ask("mass_cancel", who="ann", why="drill")
            assert said["canceled"] == ["A1", "A2", "A3"]
            await until(lambda: len(reports(heard)) == 8)
            canceled = {one.message[41] for one in heard[-3:]}
            assert canceled == {"A1", "A2", "A3"}
            assert (await line.ask("mass_cancel", who="ann"))["orders"] == 0

    run(test)


def test_a_session_without_orders_has_none_to_cancel(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path, duties=frozenset(("dropcopy",))) as gateway:
            line, _ = await up(gateway)
            with pytest.raises(VenueError, match="no orders to cancel"):
                await line.ask("mass_cancel", who="ann")
            assert asked(gateway)[-1]["failed"].endswith("no orders to cancel")

    run(test)


def test_an_action_for_all_sessions_says_of_each_what_became_of_it(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a", "b"])
        async with holding(peers, tmp_path) as gateway:
            await until(lambda: peers.up() == {"a", "b"})
            await peers.stop("b")
            await until(lambda: not gateway.held("b").up)
            said = await gateway.ask("mass_cancel", session="all", who="ann")
            assert [("done" in one, one["session"]) for one in said["all"]] == [
                (True, "a"),
                (False, "b"),
            ]
            assert "not logged on" in said["all"][1]["failed"]

    run(test)


def test_an_emergency_is_served_even_where_nothing_can_be_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onetape_fix.session import StoreError

    def full(*_: object) -> None:
        raise StoreError("no space left on the device")

    async def test() -> None:
        peers = Peers(["a"])
        async with holding(peers, tmp_path, persist=False) as gateway:
            line, _ = await up(gateway)
            monkeypatch.setattr(MemoryStore, "note", full)
            await line.ask("disable", who="ann")
            with pytest.raises(VenueError, match="disabled"):
                line.send("D", order("A1"))
            await line.ask("mass_cancel", who="ann")
            await until(lambda: peers.brokers["a"].ids("q"))

    run(test)
