"""Questions at the door: executions, positions, cash; drop copies and trade capture."""

from __future__ import annotations

import pytest

from onetape_fix.wire import format_utc, rows_of

from .bench import at_door, client, config, door, quote, show, values
from .test_orders import VERSIONS, gone, run

SIDE = (54, 37, 11, 1, 12, 13, 479, 1444)
POSITION = (703, 704, 705)


@pytest.mark.parametrize("version", ["4.4", "5.0", "sim"])
def test_executions_are_told_from_a_time_on_and_none_is_told_as_none(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (made, person):
            person.send("AD", [(568, "T-0"), (569, "0")])
            assert values(await person.get("AQ"), 568, 748, 749) == ("T-0", "0", "0")
            person.buy("C-1", 5)
            first = await person.report("C-1", "F")
            person.sell("C-2", 3)
            second = await person.report("C-2", "F")
            person.send("AD", [(568, "T-1"), (569, "0")])
            await person.get("AE", 2)
            assert (await person.get("AQ", 2))[748] == "2"
            told = person.of("AE")
            assert [values(m, 568, 17, 32, 31, 60, 912, 570, 487) for m in told] == [
                ("T-1", "T-1", "5", "10.02", first[60], "N", "Y", "0"),
                ("T-1", "T-2", "3", "10.00", second[60], "Y", "Y", "0"),
            ]
            side = dict(rows_of(told[0].fields, 552, 54, SIDE)[0])
            assert side[54] == "1"
            assert (side[37], side[11], side[1], side[12]) == (first[37], "C-1", "A", "0.01")
            after = [(568, "T-2"), (569, "1"), (580, [[(75, second[60][:8]), (60, second[60])]])]
            person.send("AD", after)
            await person.get("AE", 3)
            assert person.of("AE")[2][17] == "T-2"
            made.world.fault("bust", trade_id="T-1")
            person.send("AD", [(568, "T-3"), (569, "0")])
            assert (await person.get("AQ", 4))[748] == "1"

    run(body)


@pytest.mark.parametrize("version", ["4.4", "5.0", "sim"])
def test_positions_have_their_side_and_average_price(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version])) as (_, person):
            day = format_utc(1, 3)
            ask = [(710, "P-1"), (724, "0"), (1, "A"), (581, "1"), (715, day[:8]), (60, day)]
            person.send("AN", ask)
            assert values(await person.get("AO"), 710, 727, 728) == ("P-1", "0", "2")
            person.sell("C-1", 5)
            await person.report("C-1", "F")
            person.send("AN", ask)
            told = await person.get("AP")
            assert values(told, 710, 727, 55, 207, 1, 730) == (
                ("P-1", "1", "AAA", "SIM", "A", "10.00")
            )
            row = dict(rows_of(told.fields, 702, 703, POSITION)[0])
            assert (row.get(704), row.get(705)) == (None, "5")
            assert (await person.get("AO", 2))[728] == "0"

    run(body)


@pytest.mark.parametrize("version", ["4.4", "5.0", "sim"])
def test_cash_is_told_by_currency(version: str) -> None:
    async def body() -> None:
        cash = {"USD": "1000", "EUR": "7.5"}
        async with at_door(config(**VERSIONS[version]), cash=cash) as (_, person):
            person.send("BB", [(909, "C-1"), (1, "A")])
            await person.get("BA", 2)
            assert [values(m, 909, 15, 901, 911, 912) for m in person.of("BA")] == [
                ("C-1", "EUR", "7.5", "2", "N"), ("C-1", "USD", "1000", "2", "Y"),
            ]  # fmt: skip
            person.send("BB", [(909, "C-2"), (1, "SOMEBODY")])
            assert values(await person.get("BA", 3), 911, 912, 901) == ("0", "Y", None)

    run(body)


def test_a_silent_venue_answers_nothing_and_tells_all_of_it_later() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            made.world.fault("silence")
            person.buy("C-1", 5)
            person.send("AD", [(568, "T-1"), (569, "0")])
            await person.ping()
            assert not person.of("8")
            assert not person.of("AQ")
            made.world.fault("silence", on=False)
            await person.report("C-1", "F")

    run(body)


@pytest.mark.parametrize("version", ["4.2", "4.4", "5.0"])
def test_a_drop_copy_hears_what_the_order_sessions_hear_in_its_own_version(version: str) -> None:
    async def body() -> None:
        copy = config("COPY", **VERSIONS[version], duties=frozenset(("dropcopy",)), extra={})
        async with (
            door(config(), copy) as made,
            client(made) as person,
            client(made, "COPY") as watcher,
        ):
            person.buy("C-1", 5)
            await person.report("C-1", "F")
            person.buy("L-1", 5, price="9.00")
            person.cancel("X-1", "L-1")
            person.cancel("X-2", "NEVER")
            await person.get("9")
            kind = {"4.2": "2"}.get(version, "F")
            copied = await watcher.report("C-1", kind)
            assert values(copied, 17, 37, 1, 32, 31) == ("T-1", "V-2", "A", "5", "10.02")
            await watcher.report("X-1", "4")
            assert not watcher.of("9")
            assert [m[17] for m in watcher.of("8")] == [m[17] for m in person.of("8")]

    run(body)


@pytest.mark.parametrize("version", ["4.4", "5.0"])
def test_clearing_hears_each_execution_once_with_busts_and_corrections(version: str) -> None:
    async def body() -> None:
        clear = config("CLEAR", **VERSIONS[version], duties=frozenset(("clearing",)), extra={})
        async with (
            door(config(), clear) as made,
            client(made) as person,
            client(made, "CLEAR") as clerk,
        ):
            person.buy("C-1", 5)
            first = await clerk.get("AE")
            assert values(first, 487, 17, 32, 31, 570) == ("0", "T-1", "5", "10.02", "N")
            made.world.fault("correct", trade_id="T-1", quantity=4)
            second = await clerk.get("AE", 2)
            assert values(second, 487, 32) == ("2", "4")
            made.world.fault("bust", trade_id="T-1")
            third = await clerk.get("AE", 3)
            assert third[487] == "1"
            if version == "4.4":
                assert (second.get(19), third.get(19)) == (None, None)
            assert len({m[571] for m in clerk.of("AE")}) == 3
            assert not clerk.of("8")

    run(body)


def test_a_drop_copy_that_was_away_is_told_what_it_missed() -> None:
    async def body() -> None:
        copy = config("COPY", duties=frozenset(("dropcopy",)), extra={})
        async with door(config(), copy) as made:
            async with client(made) as person:
                person.buy("C-1", 5)
                await person.report("C-1", "F")
            await gone(made)
            async with client(made, "COPY") as watcher:
                assert (await watcher.report("C-1", "F"))[17] == "T-1"

    run(body)


def test_a_drop_copy_of_one_account_hears_of_no_other() -> None:
    async def body() -> None:
        one = config("ONE", extra={"Account": "A"})
        two = config("TWO", extra={"Account": "B"})
        copy = config("COPY", duties=frozenset(("dropcopy",)), extra={"Account": "B"})
        async with (
            door(one, two, copy) as made,
            client(made, "ONE") as first,
            client(made, "TWO") as second,
            client(made, "COPY") as watcher,
        ):
            first.buy("C-1", 5)
            await first.report("C-1", "F")
            second.buy("C-2", 5, tags={1: "B"})
            await watcher.until(lambda: watcher.reports("C-2"))
            assert {m[1] for m in watcher.of("8")} == {"B"}

    run(body)


def test_the_wrong_position_of_the_world_is_told_over_fix() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            show(made, quote("10.00", "10.02"))
            made.world.fault("wrong_position", instrument="AAA.SIM", quantity=77)
            day = format_utc(1, 3)
            ask = [(710, "P-1"), (724, "0"), (1, "A"), (581, "1"), (715, day[:8]), (60, day)]
            person.send("AN", ask)
            row = dict(rows_of((await person.get("AP")).fields, 702, 703, POSITION)[0])
            assert row[704] == "77"

    run(body)
