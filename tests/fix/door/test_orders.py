"""Orders at the door, in its versions: what is sent, and what is heard of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from onetape.run.ports import NewOrder
from onetape_fix.wire import format_utc

from .bench import START, Client, D, at_door, client, config, door, quote, show, values

VERSIONS: dict[str, dict[str, str]] = {
    "4.2": {"begin": "FIX.4.2", "profile": "generic42"},
    "4.4": {"begin": "FIX.4.4", "profile": "generic44"},
    "5.0": {"begin": "FIXT.1.1", "profile": "generic50"},
    "sim": {"begin": "FIX.4.4", "profile": "sim"},
    "sim50": {"begin": "FIXT.1.1", "profile": "sim"},
}
ALL = pytest.mark.parametrize("version", VERSIONS)
FILL = {"4.2": "1"}


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(body())


async def resting(person: Client, name: str = "L-1", price: str = "9.50", qty: Any = 10) -> str:
    """A buy order below the market; its OrderID."""
    person.buy(name, qty, price=price)
    return (await person.report(name, "0"))[37]


@ALL
def test_a_market_order_is_filled_with_its_terms(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (_, person):
            person.buy("C-1", 5)
            await person.until(lambda: person.reports("C-1"))
            filled = person.reports("C-1")[-1]
            kind = {"4.2": "2"}.get(version, "F")
            assert values(filled, 150, 39, 32, 31, 14, 151, 6) == (
                (kind, "2", "5", "10.02", "5", "0", "10.02")
            )
            assert values(filled, 37, 17, 54, 38, 40, 59, 1) == (
                ("V-2", "T-1", "1", "5", "1", "1", "A")
            )
            assert filled.get(20) == ("0" if version == "4.2" else None)
            assert values(filled, 12, 13) == ("0.01", "3")

    run(body)


@ALL
def test_parts_add_up_and_the_last_one_says_filled(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (made, person):
            show(made, quote("10.00", "10.02", 4))
            person.buy("C-1", 10, price="10.02")
            part = await person.report("C-1", FILL.get(version, "F"))
            assert values(part, 39, 32, 14, 151) == ("1", "4", "4", "6")
            show(made, quote("9.99", "10.01", 100))
            await person.until(lambda: person.reports("C-1")[-1][39] == "2")
            last = person.reports("C-1")[-1]
            assert values(last, 32, 31, 14, 151, 6) == ("6", "10.02", "10", "0", "10.02")

    run(body)


@ALL
def test_a_cancel_is_confirmed_under_its_own_id_and_names_the_order(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (_, person):
            venue_id = await resting(person)
            person.cancel("X-1", "L-1")
            done = await person.report("X-1", "4")
            assert values(done, 41, 37, 39, 151, 14) == ("L-1", venue_id, "4", "0", "0")
            person.cancel("X-2", "X-1")  # the id that counts now
            late = await person.get("9")
            assert values(late, 11, 41, 434, 102, 39) == ("X-2", "X-1", "1", "0", "4")
            assert late[58] == "Order L-1 is CANCELED"

    run(body)


@ALL
def test_new_terms_chain_the_ids_and_fills_come_under_the_last(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (made, person):
            await resting(person)
            person.replace("R-1", "L-1", 12, price="9.60")
            first = await person.report("R-1", "5")
            assert values(first, 41, 38, 44, 151) == ("L-1", "12", "9.60", "12")
            person.replace("R-2", "R-1", 8, price="9.60")
            second = await person.report("R-2", "5")
            assert values(second, 41, 38, 39) == ("R-1", "8", "0")
            show(made, quote("9.40", "9.50"))
            await person.until(lambda: person.reports("R-2")[-1].get(39) == "2")
            assert person.reports("R-2")[-1][14] == "8"

    run(body)


@ALL
def test_what_cannot_be_replaced_is_refused_and_the_order_keeps_its_id(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (_, person):
            await resting(person)
            person.replace("R-1", "L-1", 12, price="9.605")
            refused = await person.get("9")
            assert values(refused, 11, 41, 434, 39) == ("R-1", "L-1", "2", "0")
            assert "9.605 is not a multiple of the tick" in refused[58]
            person.cancel("X-1", "L-1")
            assert (await person.report("X-1", "4"))[41] == "L-1"

    run(body)


@ALL
def test_requests_about_orders_that_nobody_knows_are_refused(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (_, person):
            person.cancel("X-1", "NEVER")
            first = await person.get("9")
            assert values(first, 11, 37, 39, 102, 58) == (
                ("X-1", "NONE", "8", "1", "Order NEVER not found")
            )
            person.replace("R-1", "NEVER", 5, price="9")
            second = await person.get("9", 2)
            assert values(second, 11, 434, 102) == ("R-1", "2", "1")

    run(body)


REFUSED = {
    "symbol": ({"symbol": "ZZZ"}, "unknown instrument ZZZ.SIM", "1"),
    "account": ({"tags": {1: "B"}}, "unknown account B", "15"),
    "tick": ({"price": "9.123"}, "price 9.123 is not a multiple of the tick 0.01", "99"),
    "size": ({"qty": "0.5"}, "quantity 0.5 is not a positive multiple of 1", "13"),
    "force": ({"tags": {59: "7"}}, "time in force AT_THE_CLOSE is not currently supported", "99"),
    "type": ({"tags": {40: "P"}}, "order type 40=P is not supported", "11"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_an_order_that_the_venue_refuses_is_rejected_with_its_words(wrong: str) -> None:
    terms, text, code = REFUSED[wrong]

    async def body() -> None:
        async with at_door() as (_, person):
            person.buy("C-1", **terms)
            told = await person.report("C-1", "8")
            assert values(told, 39, 58, 103, 151, 14) == ("8", text, code, "0", "0")

    run(body)


def test_fix_42_has_no_reject_codes_above_eight() -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS["4.2"])) as (_, person):
            person.buy("C-1", "0.5")
            assert (await person.report("C-1", "8"))[103] == "0"

    run(body)


@ALL
def test_an_id_that_was_used_is_refused_and_the_first_order_lives(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (made, person):
            venue_id = await resting(person)
            person.buy("L-1", 3, price="9.10")
            again = await person.report("L-1", "8")
            assert values(again, 103, 37, 58) == ("6", "NONE", "duplicate client_order_id")
            assert list(made.world.core.ledger.working) == ["L-1"]
            person.send("H", [(11, "L-1"), (37, venue_id), (55, "AAA"), (207, "SIM"), (54, "1")])
            kind = "0" if version == "4.2" else "I"
            await person.until(lambda: person.reports("L-1")[-1].get(17) == "0")
            assert values(person.reports("L-1")[-1], 150, 39) == (kind, "0")

    run(body)


@pytest.mark.parametrize("flag", [43, 97])
def test_an_order_that_comes_again_is_answered_by_its_status_and_works_once(flag: int) -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            order = person.order("C-1", "1", 5)
            person.send("D", order)
            await person.report("C-1", "F")
            more = [(43, "Y"), (122, format_utc(START, 3))] if flag == 43 else [(97, "Y")]
            person.send("D", order, header=more)
            status = await person.report("C-1", "I")
            assert values(status, 17, 39, 14, 32) == ("0", "2", "5", None)
            assert len(made.world.core.ledger.fills) == 1

    run(body)


def test_requests_that_come_again_are_not_done_twice() -> None:
    async def body() -> None:
        async with at_door() as (_, person):
            await resting(person)
            cancel = [(41, "L-1"), (11, "X-1"), (55, "AAA"), (207, "SIM"), (54, "1")]
            cancel.append((60, format_utc(START, 3)))
            person.send("F", cancel)
            await person.report("X-1", "4")
            person.send("F", cancel, header=[(97, "Y")])
            await person.until(lambda: [m for m in person.of("8") if m[150] == "I"])
            assert not person.of("9")
            assert len([m for m in person.of("8") if m[150] == "4"]) == 1

    run(body)


@ALL
def test_a_status_request_books_nothing_and_names_its_question(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (made, person):
            show(made, quote("10.00", "10.02", 4))
            person.buy("C-1", 10, price="10.02")
            await person.report("C-1", FILL.get(version, "F"))
            asked = [(11, "C-1"), (55, "AAA"), (207, "SIM"), (54, "1")]
            if version != "4.2":
                asked.insert(0, (790, "Q-7"))
            person.send("H", asked)
            await person.until(lambda: person.reports("C-1")[-1].get(17) == "0")
            told = person.reports("C-1")[-1]
            assert values(told, 39, 14, 151, 6, 32) == ("1", "4", "6", "10.02", None)
            assert told.get(20) == ("3" if version == "4.2" else None)
            assert told.get(790) == (None if version == "4.2" else "Q-7")
            person.send("H", [(11, "NOBODY"), (55, "AAA"), (207, "SIM"), (54, "1")])
            await person.until(lambda: person.reports("NOBODY"))
            assert values(person.reports("NOBODY")[0], 39, 37, 103) == ("8", "NONE", "5")

    run(body)


@pytest.mark.parametrize("version", ["4.4", "5.0", "sim"])
def test_all_working_orders_are_told_when_asked_and_none_is_told_as_none(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (_, person):
            person.send("AF", [(584, "M-1"), (585, "7"), (1, "A")] if version == "sim" else
                        [(584, "M-1"), (585, "7")])  # fmt: skip
            none = await person.get("8")
            assert values(none, 584, 911, 912, 39, 37, 103) == (("M-1", "0", "Y", "8", "NONE", "5"))
            for at in range(3):
                await resting(person, f"L-{at}", f"9.{at}0")
            person.send("AF", [(584, "M-2"), (585, "7")])
            await person.until(lambda: len([m for m in person.of("8") if m.get(584) == "M-2"]) == 3)
            told = [m for m in person.of("8") if m.get(584) == "M-2"]
            assert [values(m, 11, 911, 912, 150) for m in told] == [
                ("L-0", "3", "N", "I"), ("L-1", "3", "N", "I"), ("L-2", "3", "Y", "I"),
            ]  # fmt: skip

    run(body)


@pytest.mark.parametrize("version", ["4.4", "5.0", "sim"])
def test_a_mass_cancel_says_how_many_and_each_is_reported(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (_, person):
            for at in range(3):
                await resting(person, f"L-{at}", f"9.{at}0")
            stamp = (60, format_utc(START, 3))
            person.send("q", [(11, "Q-1"), (530, "7"), stamp])
            told = await person.get("r")
            assert values(told, 11, 530, 531, 533) == ("Q-1", "7", "7", "3")
            canceled = [m for m in person.of("8") if m[150] == "4"]
            assert [values(m, 11, 41, 58) for m in canceled] == [
                (f"L-{at}", None, "mass cancel") for at in range(3)
            ]
            person.send("q", [(11, "Q-2"), (530, "9"), stamp])
            assert values(await person.get("r", 2), 531, 532) == ("0", "99")

    run(body)


def test_an_order_ends_when_it_expires_and_stops_say_when_they_are_triggered() -> None:
    async def body() -> None:
        async with at_door(config(profile="sim")) as (made, person):
            later = made.world.player.now + 7_200_000_000_001
            ends = format_utc(later - 3_600_000_000_000, 9)
            person.buy("G-1", 5, price="9.00", tags={59: "6", 126: ends})
            told = await person.report("G-1", "0")
            assert told[126] == ends
            person.buy("S-1", 5, price="10.10", tags={40: "4", 99: "10.05"})
            stop = await person.report("S-1", "0")
            assert values(stop, 40, 99, 44, 636) == ("4", "10.05", "10.10", "N")
            show(made, quote("10.10", "10.12", ts=later))
            expired = await person.report("G-1", "C")
            assert values(expired, 39, 151) == ("C", "0")
            fired = await person.report("S-1", "L")
            assert values(fired, 39, 636, 60) == (("0", "Y", format_utc(later, 9)))

    run(body)


@pytest.mark.parametrize(("version", "kind"), [("4.2", "D"), ("4.4", "D"), ("5.0", "L")])
def test_a_version_without_a_word_for_triggers_tells_of_a_restatement(
    version: str, kind: str
) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (made, person):
            person.buy("S-1", 5, price="10.10", tags={40: "4", 99: "10.05"})
            await person.report("S-1", "0")
            show(made, quote("10.12", "10.14"))
            told = await person.report("S-1", kind)
            assert (378 in told) == (kind == "D")

    run(body)


@pytest.mark.parametrize("version", ["4.2", "4.4", "5.0"])
def test_a_list_of_orders_is_acknowledged_and_each_goes_its_way(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (_, person):
            rows = []
            for at, price in enumerate(("9.10", "10.02"), 1):
                row = [(11, f"L-{at}"), (67, at), (1, "A"), (55, "AAA"), (207, "SIM"), (54, "1")]
                row += [(60, format_utc(START, 3)), (38, 5), (40, "2"), (44, price), (59, "1")]
                if version == "4.2":
                    row.insert(3, (21, "1"))
                rows.append(row)
            person.send("E", [(66, "LIST-1"), (394, "3"), (68, 2), (73, rows)])
            told = await person.get("N")
            assert values(told, 66, 68, 73) == ("LIST-1", "2", "2")
            assert (await person.report("L-1", "0"))[66] == "LIST-1"
            await person.until(lambda: any(m[39] == "2" for m in person.reports("L-2")))

    run(body)


@ALL
def test_busts_and_corrections_name_the_execution_and_what_is_left_of_it(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (made, person):
            person.buy("C-1", 5)
            await person.until(lambda: person.reports("C-1"))
            made.world.fault("correct", trade_id="T-1", quantity=4, price="10.01")
            await person.until(lambda: len(person.reports("C-1")) == 2)
            corrected = person.reports("C-1")[-1]
            assert values(corrected, 19, 32, 31, 14, 6) == ("T-1", "4", "10.01", "4", "10.01")
            made.world.fault("bust", trade_id="T-1", reason="fat finger")
            await person.until(lambda: len(person.reports("C-1")) == 3)
            busted = person.reports("C-1")[-1]
            assert values(busted, 19, 14, 6, 58) == ("T-1", "0", "0", "fat finger")
            ids = [m[17] for m in person.reports("C-1")]
            assert len(set(ids)) == 3
            if version == "4.2":
                assert (corrected[20], busted[20]) == ("2", "1")
            else:
                assert (corrected[150], busted[150]) == ("G", "H")

    run(body)


def test_sessions_share_one_book_and_each_hears_of_its_own_orders() -> None:
    async def body() -> None:
        one, two = config("ONE", extra={"Account": "A"}), config("TWO", extra={"Account": "B"})
        async with (
            door(one, two, shown=False) as made,
            client(made, "ONE") as buyer,
            client(made, "TWO") as seller,
        ):
            seller.sell("S-1", 5, price="10.50", tags={1: "B"})
            await seller.report("S-1", "0")
            buyer.buy("S-1", 5, price="10.50")  # the same id, another session
            bought, sold = await buyer.report("S-1", "F"), await seller.report("S-1", "F")
            assert values(bought, 31, 54, 851) == ("10.50", "1", "2")
            assert values(sold, 31, 54, 851) == ("10.50", "2", "1")
            assert bought[37] != sold[37]
            assert {m[54] for m in buyer.of("8")} == {"1"}

    run(body)


def test_an_order_that_did_not_come_by_fix_is_told_to_the_account() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.take(NewOrder("MANUAL", "A", "AAA.SIM", "BUY", "MARKET", D(2)))
            made.world.take(NewOrder("OTHER", "B", "AAA.SIM", "BUY", "MARKET", D(2)))
            told = await person.report("MANUAL", "F")
            assert values(told, 1, 32) == ("A", "2")
            await person.ping()
            assert not person.reports("OTHER")

    run(body)


def test_what_is_told_while_a_session_is_away_waits_for_it() -> None:
    async def body() -> None:
        async with door() as made:
            async with client(made) as person:
                await resting(person, "L-1", "9.90")
                seq = person.seq
            await gone(made)
            show(made, quote("9.80", "9.85"))
            again = Client(made.sessions[0].config, made.addresses["CLIENT"][1])
            again.seq = seq
            await again.log_on()
            told = await again.report("L-1", "F")
            assert 43 not in told
            await again.leave()

    run(body)


async def gone(made: Any) -> None:
    async with asyncio.timeout(5):
        while any(session.linked for session in made.sessions):
            await asyncio.sleep(0.005)


def test_a_type_that_the_session_does_not_serve_gets_a_business_reject() -> None:
    async def body() -> None:
        async with at_door(config(duties=frozenset(("marketdata",)))) as (_, person):
            person.buy("C-1", 5)
            told = await person.get("j")
            assert values(told, 372, 380) == ("D", "3")

    run(body)
