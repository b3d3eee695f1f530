"""What the door says in each version, checked strictly against that version's dictionary."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onetape_fix.session.store import ADMIN
from onetape_fix.spec import Rules, load
from onetape_fix.wire import format_utc

from .bench import START, Client, client, config, door, quote, show
from .test_marketdata import offer, want
from .test_orders import VERSIONS, resting, run

SHARED = Path(os.environ.get("FIX_SHARED", Path(__file__).parents[4] / "shared"))
PUBLIC = SHARED / "fix" / "dictionaries"
NAMES = {"4.2": ("FIX42",), "4.4": ("FIX44",), "5.0": ("FIXT11", "FIX50SP2")}


async def everything(person: Client, version: str) -> None:
    """Have the venue say one of each."""
    await resting(person)
    person.replace("R-1", "L-1", 12, price="9.60")
    await person.report("R-1", "5")
    person.cancel("X-1", "R-1")
    await person.report("X-1", "4")
    person.cancel("X-2", "R-1")
    person.buy("C-0", "0.5")
    person.buy("C-1", 5)
    await person.until(lambda: person.reports("C-1"))
    person.buy("S-1", 5, price="10.10", tags={40: "4", 99: "10.05"})
    person.send("H", [(11, "C-1"), (55, "AAA"), (207, "SIM"), (54, "1")])
    person.send("e", [(324, "S-1"), (55, "AAA"), (207, "SIM"), (263, "0")])
    person.send("c", [(320, "D-1"), (321, "0"), (55, "BBB"), (207, "SIM")])
    if version == "4.2":
        return
    stamp = (60, format_utc(START, 3))
    person.send("q", [(11, "Q-1"), (530, "7"), stamp])
    person.send("AF", [(584, "M-1"), (585, "7")])
    person.send("AD", [(568, "T-1"), (569, "0")])
    person.send("AN", [(710, "P-1"), (724, "0"), (1, "A"), (581, "1"), (715, "20240108"), stamp])
    person.send("BB", [(909, "C-1"), (1, "A")])
    person.send("x", [(320, "I-1"), (559, "4")])
    await person.get("y")


@pytest.mark.parametrize("version", NAMES)
def test_every_message_of_the_door_keeps_to_the_versions_dictionary(version: str) -> None:
    if not PUBLIC.is_dir():
        pytest.skip(f"the public dictionaries are not here: {PUBLIC}")
    found = [load(PUBLIC / f"{name}.xml") for name in NAMES[version]]
    rules = Rules(*found, lenient=frozenset())

    async def body() -> None:
        both = frozenset(("order", "marketdata"))
        mine = config(**VERSIONS[version], duties=both)
        clear = config("CLEAR", **VERSIONS[version], duties=frozenset(("clearing",)), extra={})
        async with (
            door(mine, clear) as made,
            client(made) as person,
            client(made, "CLEAR") as clerk,
        ):
            offer(made)
            want(person, update="1")
            want(person, "M-2", kinds="2", symbols=("ZZZ",))
            await everything(person, version)
            show(made, quote("10.12", "10.14"))
            made.sessions[0].counter.market.hear(quote("10.12", "10.14"))
            made.world.fault("correct", quantity=4)
            made.world.fault("bust")
            made.world.fault("news")
            made.world.fault("rejectj")
            person.buy("C-9", 5)
            await person.until(lambda: any(m.get(380) == "4" for m in person.of("j")))
            await clerk.until(lambda: len(clerk.of("AE")) + len(clerk.of("8")) >= 3)
            heard = [*person.heard, *clerk.heard]
            wrong = [
                (m.type, m.get(150), finding)
                for m in heard
                if m.type.encode() not in ADMIN
                for finding in rules.check(m)
            ]
            assert wrong == []
            told = {m.type for m in heard}
            assert {"8", "9", "W", "X", "Y", "f", "B", "j"} <= told
            if version == "4.2":
                assert "d" in told
            else:
                assert {"AQ", "AE", "AO", "AP", "BA", "r", "y"} <= told

    run(body)
