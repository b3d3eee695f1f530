"""What the world says in process and what it says over our own dialect: the same, to the digit."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest

from onetape.run.ports import (
    AnyReport,
    CancelOrder,
    Filled,
    ModifyOrder,
    NewOrder,
    Quote,
    Subscription,
    Updated,
)
from onetape_fix.wire import Message, parse_utc, rows_of
from onetape_sim.config import checked
from onetape_sim.inside import Feed, Venue
from onetape_sim.world import World

from .bench import Client, at_door, config
from .test_marketdata import ENTRY

MARKET: dict[str, Any] = {
    "generator": {"instruments": ["AAA.SIM"], "rate": 20, "seconds": 10, "size": 9, "seed": 11},
    "fees": "maker_taker:-1:5",
    "shown": False,
    "instruments": [],
}
KINDS = {
    "0": "Accepted", "8": "Rejected", "F": "Filled", "4": "Canceled", "5": "Updated",
    "C": "Expired", "L": "Triggered", "D": "Updated",
}  # fmt: skip
Act = tuple[str, dict[str, Any]]


def plan(seed: int) -> dict[int, list[Act]]:
    """What is done after which row: orders of all kinds, changes, cancels."""
    draw = random.Random(seed)
    out: dict[int, list[Act]] = {}
    for row in range(1, 180, 2):
        name = f"O-{row}"
        kind = draw.choice(("1", "2", "2", "2", "3", "4", "J", "K"))
        terms: dict[str, Any] = {"side": draw.choice("12"), "kind": kind, "qty": draw.randrange(20)}
        terms["force"] = draw.choice(("1", "1", "1", "3", "4", "0"))
        terms["price"] = Decimal(10_000 + draw.randrange(-9, 10)).scaleb(-2)
        terms["stop"] = Decimal(10_000 + draw.randrange(-9, 10)).scaleb(-2)
        terms["words"] = draw.choice(("", "", "", "6", "E"))
        out[row] = [("new", {"name": name, **terms})]
        if draw.random() < 0.4:
            late = min(row + draw.randrange(1, 5), 199)
            price = terms["price"] + Decimal(draw.randrange(-3, 4)).scaleb(-2)
            change = {"name": name, "qty": draw.randrange(1, 25), "price": price, **terms_of(terms)}
            out.setdefault(late, []).append((draw.choice(("cancel", "replace")), change))
    return out


def terms_of(terms: dict[str, Any]) -> dict[str, Any]:
    return {"kind": terms["kind"], "side": terms["side"], "stop": terms["stop"]}


TYPES = {
    "1": "MARKET", "2": "LIMIT", "3": "STOP_MARKET", "4": "STOP_LIMIT",
    "J": "MARKET_IF_TOUCHED", "K": "LIMIT_IF_TOUCHED",
}  # fmt: skip
FORCES = {"1": "GTC", "3": "IOC", "4": "FOK", "0": "DAY"}
PRICED, STOPPED = frozenset("24K"), frozenset("34JK")


def told_inside(report: AnyReport) -> tuple[Any, ...]:
    """A report as it is compared; `Accepted` and refusals have nothing more to say."""
    kind = type(report).__name__
    about = (kind, report.client_order_id, report.venue_order_id, report.ts_event)
    if isinstance(report, Filled):
        terms = (report.trade_id, report.side, report.quantity, report.price, report.commission)
        return (*about, *terms, report.commission_currency, report.liquidity, report.basis)
    if isinstance(report, Updated):
        return (*about, report.quantity, report.price, report.trigger_price)
    return (*about, getattr(report, "reason", ""))


async def inside(acts: dict[int, list[Act]]) -> tuple[list[Any], list[Any]]:
    """Walk through the plan in process."""
    given = {key: value for key, value in MARKET.items() if key != "shown"}
    world = World(checked(given))
    venue, feed = Venue(world), Feed(world)
    said: list[Any] = []
    rows: list[Quote] = []
    over = asyncio.Event()

    def hear(row: Any) -> None:
        if not isinstance(row, Quote):
            over.set() if getattr(row, "signal", "") == "ended" else None
            return
        rows.append(row)
        for what, terms in acts.get(len(rows), []):
            do_inside(venue, what, terms)
        asyncio.get_running_loop().call_soon(feed.handled)

    await venue.connect(lambda r: said.append(told_inside(r)) if hasattr(r, "ts_event") else None)
    await feed.connect(hear)
    await feed.subscribe(Subscription("AAA.SIM", "quotes"))
    await feed.begin()
    await asyncio.wait_for(over.wait(), 10)
    return said, rows


def do_inside(venue: Venue, what: str, t: dict[str, Any]) -> None:
    name, kind = t["name"], t["kind"]
    price = t["price"] if kind in PRICED else None
    stop = t["stop"] if kind in STOPPED else None
    if what == "new":
        side = "BUY" if t["side"] == "1" else "SELL"
        quantity = Decimal(t["qty"])
        venue.send(NewOrder(
            name, "A", "AAA.SIM", side, TYPES[kind], quantity, FORCES[t["force"]], price, stop,
            post_only=t["words"] == "6", reduce_only=t["words"] == "E",
        ))  # fmt: skip
    elif what == "cancel":
        venue.cancel(CancelOrder(name, None, "AAA.SIM"))
    else:
        venue.modify(ModifyOrder(name, None, "AAA.SIM", Decimal(t["qty"]), price))


def do_outside(person: Client, what: str, t: dict[str, Any], chain: dict[str, str]) -> None:
    name, kind = t["name"], t["kind"]
    if what == "cancel":
        person.cancel(f"X{name}", chain.get(name, name))
        return
    tags: dict[int, Any] = {40: kind, 59: t.get("force", "1"), 18: t.get("words") or None}
    tags[99] = t["stop"] if kind in STOPPED else None
    price = t["price"] if kind in PRICED else None
    body = person.order(name, t["side"], t["qty"], price=price, tags=tags)
    if what == "new":
        person.send("D", body)
        return
    body = [(tag, f"R{name}" if tag == 11 else value) for tag, value in body]
    person.send("G", [(41, chain.get(name, name)), *body])


def told_outside(message: Message, chain: dict[str, str]) -> tuple[Any, ...]:
    """The same of what came over the wire."""
    wire = message[11]
    name = wire[1:] if wire[0] in "XR" else wire
    venue_id = "" if message[37] == "NONE" else message[37]
    ts = parse_utc(message[60])
    if message.type == "9":
        kind = "ModifyRejected" if message[434] == "2" else "CancelRejected"
        return kind, name, venue_id, ts, message.get(58, "")
    kind = KINDS[message[150]]
    about = (kind, name, venue_id, ts)
    if kind == "Filled":
        side = "BUY" if message[54] == "1" else "SELL"
        terms = (message[17], side, Decimal(message[32]), Decimal(message[31]))
        liquidity = {"1": "MAKER", "2": "TAKER"}[message[851]]
        return (*about, *terms, Decimal(message[12]), message[479], liquidity, message[58])
    if kind == "Updated":
        if wire[0] == "R":
            chain[name] = wire
        price, stop = message.get(44), message.get(99)
        terms = (Decimal(message[38]), price and Decimal(price), stop and Decimal(stop))
        return (*about, *terms)
    return (*about, message.get(58, ""))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("begin", ["FIX.4.4", "FIXT.1.1"])
def test_a_stepped_day_is_the_same_in_process_and_over_fix(begin: str, seed: int) -> None:
    acts = plan(seed)

    async def body() -> None:
        wanted, rows = await inside(acts)
        both = frozenset(("order", "marketdata"))
        mine = config(begin=begin, profile="sim", duties=both)
        async with at_door(mine, **MARKET) as (_, person):
            kinds = (267, [[(269, "0")], [(269, "1")]])
            ask = [(262, "M"), (263, "1"), (264, 1), (265, "0"), kinds]
            person.send("V", [*ask, (146, [[(55, "AAA"), (207, "SIM")]])])
            person.send("UB", [])
            said: list[Any] = []
            heard: list[tuple[Any, ...]] = []
            chain: dict[str, str] = {}
            at = 0
            while not any("ended" in m[58] for m in person.of("UX")):
                await person.until(lambda n=at: len(person.heard) > n)
                message = person.heard[at]
                at += 1
                if message.type in ("8", "9"):
                    said.append(told_outside(message, chain))
                elif message.type == "W" and message[268] == "2":
                    heard.append(shown(message))
                    for what, terms in acts.get(len(heard), []):
                        do_outside(person, what, terms, chain)
                    person.send("UH", [])
        assert heard == [(r.ts_event, r.bid, r.bid_size, r.ask, r.ask_size) for r in rows]
        assert said == wanted
        assert len([each for each in said if each[0] == "Filled"]) > 20

    asyncio.run(body())


def shown(message: Message) -> tuple[Any, ...]:
    bid, ask = (dict(row) for row in rows_of(message.fields, 268, 269, ENTRY))
    ts = parse_utc(f"{bid[272]}-{bid[273]}")
    return (ts, *(Decimal(side[tag]) for side in (bid, ask) for tag in (270, 271)))
