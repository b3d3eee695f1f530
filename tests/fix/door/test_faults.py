"""What the door does wrong on purpose, one fault after the other, as its peer sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from onetape.errors import SettingsError
from onetape_fix import cli_sim
from onetape_fix.door.faults import NAMES

from .bench import Client, at_door, client, config, door, folder, quote, show, values
from .test_orders import gone, resting, run


async def again(made: Any, seq: int, **more: Any) -> Client:
    """The client comes back, with its numbers."""
    await gone(made)
    person = Client(made.sessions[0].config, made.addresses[made.sessions[0].name][1])
    person.seq = seq
    return await person.log_on(**more)


def test_a_fault_that_is_none_is_refused_and_so_are_its_arguments() -> None:
    async def body() -> None:
        async with at_door() as (made, _):
            for name, args in (("nothing", {}), ("garble", {"amount": 2})):
                with pytest.raises(SettingsError):
                    made.world.fault(name, **args)
            with pytest.raises(SettingsError, match="no session 'X'"):
                made.world.fault("garble", session="X")

    run(body)


def test_a_resend_is_a_gap_fill_over_reports() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            person.buy("C-1", 5)
            await person.report("C-1", "F")
            made.world.fault("gap_fill")
            person.send("2", [(7, 1), (16, 0)])
            assert values(await person.get("4"), 123, 36) == ("Y", "3")
            assert len(person.of("8")) == 1
            made.world.fault("gap_fill", on=False)
            person.send("2", [(7, 1), (16, 0)])
            await person.get("8", 2)
            assert person.of("8")[-1][43] == "Y"

    run(body)


def test_a_resend_request_is_not_answered() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            person.buy("C-1", 5)
            await person.report("C-1", "F")
            made.world.fault("no_resend")
            person.send("2", [(7, 1), (16, 0)])
            await person.ping()
            assert not person.of("4")
            assert not [m for m in person.heard if m.possdup]

    run(body)


def test_the_door_comes_back_short_of_numbers() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            person.buy("C-1", 5)
            await person.report("C-1", "F")
            last = person.heard[-1].seq
            made.world.fault("too_low", by=2)
            await person.until(lambda: person.gone)
            back = await again(made, person.seq)
            assert back.of("A")[0].seq == last - 1
            await back.leave()

    run(body)


def test_numbers_are_skipped_and_the_hole_is_filled_when_asked() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("skip", by=4)
            person.buy("C-1", 5)
            filled = await person.report("C-1", "F")
            assert filled.seq >= 6
            person.send("2", [(7, 2), (16, 5)])
            assert values(await person.get("4"), 34, 123, 36) == ("2", "Y", "6")

    run(body)


def test_the_numbers_begin_anew_unasked() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("reset")
            told = await person.get("A", 2)
            assert values(told, 34, 141) == ("1", "Y")
            person.seq = 1
            person.send("A", [(98, "0"), (108, 30), (141, "Y")])
            person.buy("C-1", 5)
            await person.report("C-1", "F")

    run(body)


@pytest.mark.parametrize("name", ["repeat", "duplicate"])
def test_executions_come_twice_unflagged(name: str) -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            await resting(person, "L-1", "9.90", 5)
            made.world.fault(name)
            show(made, quote("9.80", "9.90"))
            await person.until(lambda: len([m for m in person.of("8") if m[150] == "F"]) == 2)
            first, second = [m for m in person.of("8") if m[150] == "F"]
            assert first[17] == second[17] == "T-1"
            assert second.seq == first.seq + 1
            assert not second.possdup
            assert values(second, 14, 151) == ("5", "0")

    run(body)


def test_reports_have_unknown_tags_unknown_values_and_lack_what_they_must_have() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("unknown_tags")
            await resting(person, "L-1", "9.10")
            assert values(person.reports("L-1")[0], 9999, 31337, 25999) == (
                ("surprise", "?", "inside")
            )
            made.world.fault("unknown_enum", tag=59, value="Z")
            made.world.fault("missing_required", tag=14)
            await resting(person, "L-2", "9.20")
            assert values(person.reports("L-2")[0], 59, 14) == ("Z", None)
            await resting(person, "L-3", "9.30")
            assert values(person.reports("L-3")[0], 59, 14, 9999) == ("1", "0", None)

    run(body)


def test_reports_come_out_of_order() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("unordered", count=2)
            person.buy("C-1", 5, price="10.05")
            await person.report("C-1", "0")
            assert [m[150] for m in person.reports("C-1")] == ["F", "0"]

    run(body)


def test_a_fill_comes_before_the_acknowledgement() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("fill_first")
            await_new = person.order("L-1", "1", 10, price="9.90")
            person.send("D", await_new)
            await person.ping()
            assert not person.reports("L-1")
            show(made, quote("9.80", "9.90", 4))
            await person.report("L-1", "0")
            assert [values(m, 150, 14) for m in person.reports("L-1")] == [("F", "4"), ("0", "0")]

    run(body)


def test_a_garbled_message_is_a_hole_that_a_resend_fills() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("garble")
            person.buy("C-1", 5)
            await person.until(lambda: person.broken)
            hole = person.heard[-1].seq + 1
            person.send("2", [(7, hole), (16, 0)])
            await person.until(lambda: [m for m in person.of("8") if m.possdup])

    run(body)


def test_heartbeats_are_late_and_then_they_come_again() -> None:
    async def body() -> None:
        async with door() as made, client(made, beat=1) as person:
            made.world.fault("delay_heartbeats", seconds=1.1)
            session = made.sessions[0]
            assert session.quiet_until > session.clock.monotonic() + 0.5
            await person.until(lambda: person.of("0") or person.of("1"))
            assert session.clock.monotonic() >= session.quiet_until

    run(body)


def test_a_half_open_connection_says_and_hears_nothing() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("half_open")
            person.buy("C-1", 5)
            person.send("1", [(112, "THERE")])
            show(made, quote("10.00", "10.03"))
            await asyncio.sleep(0.1)
            assert not person.of("8")
            assert not person.of("0")
            assert not person.gone
            assert not made.world.core.ledger.orders

    run(body)


@pytest.mark.parametrize("now", [False, True])
def test_the_connection_ends_in_the_middle_of_a_message(now: bool) -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("hang_up", now=now)
            if not now:
                person.buy("C-1", 5)
            await person.until(lambda: person.gone)
            assert not person.of("8")
            assert (b"\x0110=" in person.raw.rpartition(b"8=FIX")[2]) == now
            back = await again(made, person.seq)
            person = back
            back.send("2", [(7, 2), (16, 0)])
            if not now:
                await back.report("C-1", "F")
            await back.leave()

    run(body)


@pytest.mark.parametrize(("name", "kind", "tag"), [("reject3", "3", 373), ("rejectj", "j", 380)])
def test_the_next_order_is_turned_away(name: str, kind: str, tag: int) -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault(name, reason=5, text="no")
            person.buy("C-1", 5)
            told = await person.get(kind)
            assert values(told, 45, 372, tag, 58) == (("2", "D", "5", "no"))
            if kind == "j":
                assert told[379] == "C-1"
            assert not made.world.core.ledger.orders
            person.buy("C-2", 5)
            await person.report("C-2", "F")

    run(body)


def test_too_many_messages_lead_to_a_logout_and_a_ban() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("throttle", rate=3, ban=60)
            for at in range(5):
                person.buy(f"C-{at}", 1)
            told = await person.get("5")
            assert "rate limit" in told[58]
            assert len(made.world.core.ledger.orders) == 3
            person.send("5", [])
            await person.until(lambda: person.gone)
            await gone(made)
            back = Client(made.sessions[0].config, made.addresses["CLIENT"][1])
            back.seq = person.seq
            await back.log_on(wait=False)
            assert "banned" in (await back.get("5"))[58]
            await back.leave()

    run(body)


def test_a_logon_is_refused_with_a_text_and_the_next_one_is_not() -> None:
    async def body() -> None:
        async with door() as made:
            made.world.fault("refuse_logon", text="not today")
            person = Client(made.sessions[0].config, made.addresses["CLIENT"][1])
            await person.log_on(wait=False)
            assert (await person.get("5"))[58] == "not today"
            await person.leave()
            back = await again(made, 1)
            await back.leave()

    run(body)


def test_a_slow_reader_reads_in_the_end() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("slow_reader", seconds=0.3)
            person.buy("C-1", 5)
            await asyncio.sleep(0.1)
            assert not made.world.core.ledger.orders
            await person.report("C-1", "F")

    run(body)


def test_execution_ids_are_long_and_references_too() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("long_exec_id", length=80)
            person.buy("C-1", 5)
            filled = await person.report("C-1", "F")
            assert len(filled[17]) == 80
            made.world.fault("bust")
            assert (await person.report("C-1", "H"))[19] == filled[17]

    run(body)


def test_a_replaced_order_keeps_its_first_id() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("keep_clordid")
            await resting(person)
            person.replace("R-1", "L-1", 12, price="9.60")
            assert (await person.report("R-1", "5"))[41] == "L-1"
            show(made, quote("9.40", "9.50"))
            assert (await person.report("L-1", "F"))[14] == "12"

    run(body)


def test_orders_go_with_their_session() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("cancel_on_disconnect")
            await resting(person)
            await person.leave()
            back = await again(made, person.seq)
            assert values(await back.report("L-1", "4"), 58, 41) == ("disconnect", None)
            assert not made.world.core.ledger.working
            await back.leave()

    run(body)


def test_requests_are_pending_before_they_are_done() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("pending")
            await resting(person)
            person.replace("R-1", "L-1", 12, price="9.60")
            await person.report("R-1", "5")
            person.cancel("X-1", "R-1")
            await person.report("X-1", "4")
            assert [values(m, 11, 150, 39) for m in person.of("8")] == [
                ("L-1", "0", "0"), ("R-1", "E", "E"), ("R-1", "5", "0"),
                ("X-1", "6", "6"), ("X-1", "4", "4"),
            ]  # fmt: skip

    run(body)


@pytest.mark.parametrize(
    ("kind", "exec_type"), [("restated", "D"), ("done", "3"), ("suspended", "9")]
)
def test_the_venue_tells_of_an_order_unasked(kind: str, exec_type: str) -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            await resting(person)
            made.world.fault("tell", order="L-1", kind=kind, text="so it is")
            assert (await person.report("L-1", exec_type))[58] == "so it is"

    run(body)


def test_news_logouts_and_messages_that_nobody_knows() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("news", text="we close at six")
            assert values(await person.get("B"), 148, 58) == ("notice", "we close at six")
            made.world.fault("alien", type="U77")
            await person.get("U77")
            made.world.fault("logout", text="good night")
            assert (await person.get("5"))[58] == "good night"

    run(body)


def test_a_disconnect_of_the_world_hangs_up_and_refuses() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("disconnect", seconds=60)
            await person.until(lambda: person.gone)
            await gone(made)
            back = Client(made.sessions[0].config, made.addresses["CLIENT"][1])
            back.seq = person.seq
            await back.log_on(wait=False)
            assert "refuses connections" in (await back.get("5"))[58]
            await back.leave()

    run(body)


def test_faults_of_the_world_are_told_over_fix() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("reject", reason="not today")
            person.buy("C-1", 5)
            assert (await person.report("C-1", "8"))[58] == "not today"
            made.world.fault("lose_ack")
            person.buy("L-1", 5, price="9.00")
            await person.ping()
            assert not person.reports("L-1")
            made.world.fault("cancel_unasked", account="A")
            told = await person.report("L-1", "4")
            assert values(told, 58, 41) == ("unasked", None)

    run(body)


def test_faults_begin_over_the_local_socket_for_one_session_or_the_world() -> None:
    async def body() -> None:
        with folder() as place:
            socket = f"{place}/s"
            async with at_door(config(), config("OTHER"), socket=socket) as (made, person):
                await cli_sim.tell(socket, "unknown_tags", {"session": "CLIENT", "count": 2})
                await cli_sim.tell(socket, "clock_offset", {"seconds": 1})
                await resting(person, "L-1", "9.10")
                assert person.reports("L-1")[0][9999] == "surprise"
                assert made.session("OTHER").wrong.next(NAMES["unknown_tags"]) is None
                with pytest.raises(SettingsError, match="no fault"):
                    await cli_sim.tell(socket, "nonsense", {})

    run(body)


def test_a_second_connection_of_a_session_is_turned_away_and_the_first_one_lives() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            twin = Client(made.sessions[0].config, made.addresses["CLIENT"][1])
            await twin.log_on(wait=False)
            await twin.until(lambda: twin.gone)
            await person.ping()
            await twin.leave()

    run(body)
