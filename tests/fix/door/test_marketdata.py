"""Market data at the door: requests, books, increments, refusals, listings, halts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import onetape as ot
from onetape.market import Instrument
from onetape.run.ports import Bar
from onetape_fix.wire import rows_of

from .bench import START, Client, D, at_door, config, quote, values
from .test_orders import VERSIONS, run

FEED = {"duties": frozenset(("marketdata",))}
ENTRY = (269, 270, 271, 272, 273, 279, 278, 55, 207, 1003, 2446, 83)


def entries(message: Any, first: int = 269) -> list[dict[int, str]]:
    return [dict(row) for row in rows_of(message.fields, 268, first, ENTRY)]


def offer(made: Any, key: Any = ("AAA.SIM", "quotes", None)) -> Any:
    """Let the world have a stream that the test itself makes the rows of."""
    made.world.player.audience._streams |= {key}
    return made.sessions[0].counter.market


def want(
    person: Client, name: str = "M-1", action: str = "1", update: str = "0", **more: Any
) -> None:
    body: list[Any] = [(262, name), (263, action), (264, more.get("depth", 1)), (265, update)]
    body.append((267, [[(269, kind)] for kind in more.get("kinds", "01")]))
    names = more.get("symbols", ("AAA",))
    person.send(
        "V", [*body, (146, [[(55, s), (207, "SIM")] for s in names]), *more.get("tail", ())]
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_snapshot_shows_the_top_of_the_book(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version], **FEED)) as (_, person):
            want(person, action="0")
            told = await person.get("W")
            assert values(told, 262, 55, 207) == ("M-1", "AAA", "SIM")
            rows = [(r[269], r[270], r[271]) for r in entries(told)]
            assert rows == [("0", "10.00", "1000"), ("1", "10.02", "1000")]

    run(body)


def test_rows_come_with_their_times_to_the_nanosecond_and_only_those_asked_for() -> None:
    async def body() -> None:
        data = {"generator": {"instruments": ["AAA.SIM", "BBB.SIM"], "rate": 50, "seconds": 0.4}}
        mine = config(profile="sim", **FEED)
        async with at_door(mine, shown=False, instruments=[], **data) as (made, person):
            introduced = msgspec.json.decode((await person.get("UI"))[58])
            assert introduced["paced"] is True
            assert introduced["replayed"] is True
            want(person)
            empty = await person.get("W")
            assert empty[268] == "0"
            person.send("UB", [])
            for count in range(2, 100):
                await person.until(
                    lambda n=count: len(person.of("W")) >= n or len(person.of("UX")) > 0
                )
                if person.of("UX"):
                    break
                person.send("UH", [])
            rows = person.of("W")[1:]
            assert [m[83] for m in rows] == [str(n) for n in range(1, len(rows) + 1)]
            assert len(rows) > 5
            assert all(len(e[273]) == 18 for m in rows for e in entries(m))
            signal = msgspec.json.decode(person.of("UX")[-1][58])
            assert signal["signal"] == "ended"
            assert made.world.player.count == 20

    run(body)


def test_a_stepped_market_waits_for_handled() -> None:
    async def body() -> None:
        data = {"generator": {"instruments": ["AAA.SIM"], "rate": 50, "seconds": 1}}
        mine = config(profile="sim", **FEED)
        async with at_door(mine, shown=False, instruments=[], **data) as (_, person):
            want(person)
            person.send("UB", [])
            await person.get("W", 2)
            await person.ping()
            await person.ping()
            assert len(person.of("W")) == 2
            person.send("UH", [])
            await person.get("W", 3)

    run(body)


def test_other_dialects_are_not_waited_for() -> None:
    async def body() -> None:
        data = {"generator": {"instruments": ["AAA.SIM"], "rate": 50, "seconds": 1}}
        async with at_door(config(**FEED), shown=False, instruments=[], **data) as (_, person):
            want(person)
            await person.get("W", 50)

    run(body)


@pytest.mark.parametrize("version", ["4.2", "4.4", "5.0"])
def test_increments_say_new_change_and_delete(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version], **FEED)) as (made, person):
            feed = offer(made)
            want(person, update="1")
            await person.get("W")
            for row in (
                quote("10.01", "10.03"),
                msgspec.structs.replace(quote("10.01", "10.03"), bid_size=D(0)),
                quote("10.00", "10.03"),
            ):
                feed.hear(row)
            last = await person.get("X", 3)
            told = [[(e[279], e[269]) for e in entries(m, 279)] for m in person.of("X")]
            assert told == [
                [("1", "0"), ("1", "1")],
                [("1", "1"), ("2", "0")],
                [("0", "0"), ("1", "1")],
            ]
            assert "278" not in [t for e in entries(last, 279) for t in map(str, e)]

    run(body)


BAD = {
    "an unknown symbol": ({"symbols": ("ZZZ",)}, "0"),
    "an action that is none": ({"action": "7"}, None),
    "too deep a book": ({"depth": 10}, "5"),
    "a kind that is not there": ({"kinds": "03"}, "8"),
    "an unsubscription of nothing": ({"action": "2"}, "1"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_served_is_refused(what: str) -> None:
    more, code = BAD[what]

    async def body() -> None:
        async with at_door(config(**FEED)) as (_, person):
            want(person, **more)
            await person.until(lambda: person.of("Y") or person.of("3"))
            if code is None:  # the dictionary has it first
                assert person.of("3")[0][371] == "263"
            else:
                assert values(person.of("Y")[0], 262, 281) == ("M-1", code)

    run(body)


def test_a_subscription_of_that_name_is_refused_until_it_has_ended() -> None:
    async def body() -> None:
        async with at_door(config(**FEED)) as (made, person):
            offer(made)
            want(person)
            want(person)
            assert (await person.get("Y"))[281] == "1"
            want(person, action="2")
            want(person)
            await person.get("W", 2)
            assert list(made.sessions[0].counter.market.streams) == ["M-1"]

    run(body)


@pytest.mark.parametrize("version", ["4.4", "5.0", "sim"])
def test_the_instruments_are_listed(version: str) -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS[version], **FEED)) as (made, person):
            person.send("x", [(320, "I-1"), (559, "4")])
            told = await person.get("y")
            assert values(told, 320, 560, 146) == ("I-1", "0", "2")
            rows = rows_of(told.fields, 146, 55, (55, 207, 461, 167, 231, 969, 15, 561, 58))
            assert [(dict(r)[55], dict(r)[207]) for r in rows] == [("AAA", "SIM"), ("BBB", "SIM")]
            if version == "sim":
                read = [msgspec.json.decode(dict(r)[58], type=Instrument) for r in rows]
                assert read == list(made.world.core.instruments.values())

    run(body)


def test_a_long_list_comes_in_parts() -> None:
    async def body() -> None:
        many = [
            msgspec.to_builtins(ot.equity(f"N{n:03}.SIM", session=None, tz="UTC"))
            for n in range(450)
        ]
        async with at_door(config(**FEED), instruments=many, shown=False) as (_, person):
            person.send("x", [(320, "I-1"), (559, "4")])
            await person.get("y", 3)
            assert [values(m, 146, 893, 393) for m in person.of("y")] == [
                ("200", "N", "450"), ("200", "N", "450"), ("50", "Y", "450"),
            ]  # fmt: skip

    run(body)


def test_a_definition_is_given_for_one_symbol_and_for_all() -> None:
    async def body() -> None:
        async with at_door(config(**VERSIONS["4.2"], **FEED)) as (_, person):
            person.send("c", [(320, "D-1"), (321, "0"), (55, "BBB"), (207, "SIM")])
            assert values(await person.get("d"), 320, 55, 15) == ("D-1", "BBB", "USD")

    run(body)


def test_halts_are_told_to_who_asked() -> None:
    async def body() -> None:
        async with at_door() as (made, person):
            person.send("e", [(324, "S-1"), (55, "AAA"), (207, "SIM"), (263, "1")])
            assert values(await person.get("f"), 324, 326) == ("S-1", "17")
            made.world.fault("halt", instrument="AAA.SIM")
            assert (await person.get("f", 2))[326] == "2"
            made.world.fault("halt", instrument="AAA.SIM", on=False)
            assert (await person.get("f", 3))[326] == "17"
            person.buy("C-1", 5)
            await person.report("C-1", "F")

    run(body)


def test_a_bar_says_its_step() -> None:
    async def body() -> None:
        async with at_door(config(profile="sim", **FEED)) as (made, person):
            market = offer(made, ("AAA.SIM", "bars", "1-MINUTE"))
            want(person, kinds="4578B", tail=[(58, "1-MINUTE")])
            await person.get("W")
            market.hear(Bar("AAA.SIM", START, "1-MINUTE", D(1), D(4), D("0.5"), D(2), D(7), 3))
            told = await person.get("W", 2)
            assert values(told, 58, 83) == ("1-MINUTE", "3")
            rows = [(e[269], e.get(270), e.get(271)) for e in entries(told)]
            assert rows == [
                ("4", "1", None), ("7", "4", None), ("8", "0.5", None), ("5", "2", None),
                ("B", None, "7"),
            ]  # fmt: skip

    run(body)
