"""A world: stepped and on the clock, datasets and generators, latency, journals, paper."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

import onetape as ot
import onetape_sim as sim
from onetape.errors import SettingsError, UnknownDataset, UnknownInstrument, UnknownVenue
from onetape.market import Dataset
from onetape.run import venues
from onetape.run.ports import Bar, Canceled, Filled, Quote, Subscription
from onetape_sim.config import Config, Generator
from onetape_sim.faults import NAMES
from onetape_sim.world import world_of

from .benches import AAA, GENERATOR, LISTED, START, D, quote, turn, world
from .desk import Trader

WALK = {"instruments": ["AAA.SIM", "BBB.SIM"], "rate": 200, "seconds": 1, "seed": 3}


async def walked(**config: Any) -> list[Any]:
    """Trade on every tenth quote of a stepped world; return all that was heard."""
    async with world(generator=WALK, fees="bps:1", **config) as (_, name):
        trader = Trader(sim.venue(name), sim.feed(name))

        def react(row: Any) -> None:
            if row.sequence % 10 == 0:
                trader.send(f"m{row.sequence}", "BUY" if row.sequence % 20 else "SELL", 300)
                trader.send(f"l{row.sequence}", "BUY", 5, price=row.bid)

        trader.reacts = react
        await trader.start()
        await trader.until(lambda: "ended" in trader.signals)
        return trader.said


def test_two_walks_through_one_stepped_world_hear_the_same() -> None:
    first, second = asyncio.run(walked(latency=0.02)), asyncio.run(walked(latency=0.02))
    assert first == second
    assert len([each for each in first if isinstance(each, Filled)]) > 10


def test_latency_makes_an_order_meet_the_book_of_the_first_row_after_it() -> None:
    async def body() -> None:
        async with world(generator=WALK, latency=0.1) as (_, name):
            trader = Trader(sim.venue(name), sim.feed(name))
            trader.reacts = lambda row: trader.send("o", "BUY", 1) if row.sequence == 1 else None
            await trader.start(Subscription("AAA.SIM", "quotes"))
            await trader.until(lambda: "ended" in trader.signals)
            (fill,) = trader.heard(Filled)
            rows = [row for row in trader.said if isinstance(row, Quote)]
            assert fill.ts_event >= rows[0].ts_event + 100_000_000
            seen = [row for row in rows if row.ts_event <= fill.ts_event][-1]
            assert fill.price == seen.ask

    asyncio.run(body())


def test_settle_lets_reactions_to_late_reports_belong_to_the_row_that_brought_them() -> None:
    async def body() -> None:
        async with world(generator=WALK, latency=0.02, settle=True) as (_, name):
            trader = Trader(sim.venue(name), sim.feed(name))
            trader.reacts = lambda row: trader.send("o", "BUY", 1) if row.sequence == 1 else None
            hear = trader.hear

            def hear_more(said: Any) -> None:
                hear(said)
                if isinstance(said, Filled) and said.client_order_id == "o":
                    trader.send("answer", "SELL", 1)
                if getattr(said, "detail", "") == "settle":
                    trader.feed.handled()

            trader.hear = hear_more  # type: ignore[method-assign]
            await trader.start()
            await trader.until(lambda: "ended" in trader.signals)
            first, answer = trader.heard(Filled)
            assert answer.ts_event >= first.ts_event + 20_000_000
            asked = [s.ts_event for s in trader.said if getattr(s, "detail", "") == "settle"]
            assert asked == [first.ts_event, answer.ts_event]

    asyncio.run(body())


def test_on_the_clock_the_same_rows_come_by_themselves() -> None:
    async def rows(**config: Any) -> list[Any]:
        async with world(generator=GENERATOR, **config) as (_, name):
            trader = await Trader(sim.venue(name), sim.feed(name)).start()
            await trader.until(lambda: "ended" in trader.signals)
            return [each for each in trader.said if isinstance(each, Quote)]

    assert asyncio.run(rows(speed=50.0)) == asyncio.run(rows())


def test_with_the_walls_clock_rows_are_dated_now() -> None:
    async def body() -> None:
        short = {**GENERATOR, "seconds": 0.1}
        async with world(generator=short, speed=1.0, clock="wall") as (_, name):
            trader = Trader(sim.venue(name), sim.feed(name))
            before = time.time_ns()
            await trader.start()
            assert not trader.feed.replayed
            await trader.until(lambda: "ended" in trader.signals)
            assert all(r.ts_event >= before for r in trader.said if isinstance(r, Quote))

    asyncio.run(body())


def test_two_accounts_hear_of_their_own_orders_only() -> None:
    async def body() -> None:
        async with world(instruments=[LISTED]) as (_, name):
            one = await Trader(sim.venue({**name, "accounts": ["A"]}), account="A").start()
            two = await Trader(sim.venue({**name, "accounts": ["B"]}), account="B").start()
            one.send("sell", "SELL", 5, price="100")
            two.send("buy", "BUY", 5, price="100")
            await turn()
            assert one.events == ["sell Accepted", "sell Filled"]
            assert two.events == ["buy Accepted", "buy Filled"]
            assert [p.quantity for p in await one.venue.positions("A")] == [-5]

    asyncio.run(body())


@pytest.mark.parametrize(("asked", "left"), [(False, ["one"]), (True, [])])
def test_a_client_that_goes_leaves_its_orders_unless_configured(asked: bool, left: Any) -> None:
    async def body() -> None:
        async with world(instruments=[LISTED], cancel_on_disconnect=asked) as (_, name):
            trader = await Trader(sim.venue(name)).start()
            watcher = await Trader(sim.venue(name)).start()
            trader.send("one", "BUY", 5, price="99")
            await trader.venue.disconnect()
            assert [o.client_order_id for o in await watcher.venue.orders("A")] == left
            assert len(watcher.heard(Canceled)) == (1 if asked else 0)

    asyncio.run(body())


def test_a_journal_brings_orders_fills_positions_and_cash_back(tmp_path: Path) -> None:
    journal = str(tmp_path / "journal")

    async def told(venue: Any) -> list[Any]:
        return [
            await venue.orders("A"),
            await venue.fills("A", 0),
            [(p.instrument, p.quantity, p.average_price) for p in await venue.positions("A")],
            [(c.currency, c.total) for c in await venue.cash("A")],
            await venue.status("two"),
        ]

    async def body() -> None:
        terms: dict[str, Any] = {"instruments": [LISTED], "fees": "bps:3", "journal": journal}
        async with world(**terms) as (made, name):
            made.player.seen(quote("99.90", "100.00", 100))
            trader = await Trader(sim.venue(name)).start()
            for order in ("one", "two", "three"):
                trader.send(order, "BUY", 5)
            trader.send("rest", "BUY", 150, price="100.00")  # 85 are left there
            await turn()
            made.fault("bust")
            made.fault("correct", trade_id="T-1", price="99.95")
            before = await told(trader.venue)
        with Path(journal).open("ab") as file:
            file.write(b'{"ts":1,"orders"')  # killed while it wrote
        async with world(**terms) as (made, name):
            trader = await Trader(sim.venue(name)).start()
            assert await told(trader.venue) == before
            made.player.seen(quote("99.00", "99.50", 500))
            assert sum(f.quantity for f in trader.heard(Filled, "rest")) >= 65

    asyncio.run(body())


def test_a_journal_brings_the_place_in_the_data_back(tmp_path: Path) -> None:
    async def some(count: int) -> list[int]:
        terms = {"generator": GENERATOR, "journal": str(tmp_path / "journal")}
        async with world(**terms) as (_, name):
            trader = Trader(sim.venue(name), sim.feed(name))

            def stop(row: Any) -> None:
                trader.answers = row.sequence < count

            trader.reacts = stop
            await trader.start()
            await trader.until(lambda: not trader.answers or "ended" in trader.signals)
            return [row.sequence for row in trader.said if isinstance(row, Quote)]

    assert asyncio.run(some(20)) == list(range(1, 21))
    assert asyncio.run(some(99)) == list(range(21, 51))


def test_paper_fills_name_the_quote_they_were_filled_on() -> None:
    async def body() -> None:
        venue: Any = sim.venue({"fees": "bps:1", "paper": True})
        with pytest.raises(UnknownInstrument, match="know"):
            venue.see(quote("99.90", "100.00"))
        venue.know(AAA)
        trader = await Trader(venue).start()
        venue.see(quote("99.90", "100.00"))
        trader.send("one", "BUY", 5)
        await turn()
        (fill,) = trader.heard(Filled)
        assert fill.basis == f"quote AAA.SIM ts {START} bid 99.90 ask 100.00"
        assert fill.ts_event == START

    asyncio.run(body())


def test_a_bar_market_fills_at_the_next_open_as_a_backtest_does() -> None:
    bars = ot.sample("GOOG").slice("2012-01-01", "2012-02-01")

    async def body() -> list[Any]:
        sim.put("goog", bars)
        async with world(data="goog", cash={"USD": "1000000"}) as (_, name):
            trader = Trader(sim.venue(name), sim.feed(name))

            def react(row: Bar) -> None:
                side = {2: "BUY", 9: "SELL"}.get(row.sequence or 0)
                if side:
                    order = f"o{row.sequence}"
                    trader.venue.send(
                        sim_order(order, side, bars.instrument.id),
                    )

            trader.reacts = react
            await trader.start(Subscription(bars.instrument.id, "bars", "1-DAY"))
            await trader.until(lambda: "ended" in trader.signals)
            return [(f.ts_event, f.side, f.price) for f in trader.heard(Filled)]

    from run.hand import scripted

    run = ot.backtest(scripted({1: lambda s: s.buy(10), 8: lambda s: s.sell(10)}), bars)
    wanted = [
        (e.ts_event, e.fact.side, e.fact.price) for e in run.recording if e.kind == "order.filled"
    ]
    assert asyncio.run(body()) == wanted


def sim_order(name: str, side: Any, instrument: str) -> Any:
    from onetape.run.ports import NewOrder

    return NewOrder(name, "A", instrument, side, "MARKET", D(10))


def test_datasets_are_named_in_a_catalog_or_given(tmp_path: Path) -> None:
    from run.hand import quotes

    data: Dataset = ot.Catalog(tmp_path).ingest(quotes([(0, 100, 101)]), name="day", progress=False)
    for config in ({"catalog": str(tmp_path)}, {"samples": True, "data": "EURUSD-ticks"}):
        named = {"world": "catalog", "data": "day", **config}
        made = world_of(named)
        sim.forget("catalog")
        assert len(made.core.books) == 1
    assert data.rows == 1
    with pytest.raises(UnknownDataset, match="put"):
        sim.venue({"world": "none", "data": "nobody"})


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"sped": 1}, "did you mean speed"),
        ({"speed": -1}, "zero or more"),
        ({"speed": "fast"}, "does not fit"),
        ({"clock": "wall"}, "speed 1.0"),
        ({"fees": "lots"}, "bps:20"),
        ({"generator": {"rate": 0}}, "above zero"),
        ({}, "this config makes none"),
        ({"paper": True, "generator": {}}, "leave them out"),
        ({"data": "x", "generator": {}}, "one of the two"),
        ({"address": "10.0.0.1:7000"}, "loopback"),
        ({"faults": {"flood": {}}, "generator": {}}, "lose_ack"),
    ],
)
def test_a_config_that_cannot_be_used_says_why(config: Any, match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        sim.venue({"world": "wrong", **config})


def test_a_world_is_made_once_and_named_by_all_others() -> None:
    async def body() -> None:
        async with world(generator=GENERATOR, latency=1.0) as (made, name):
            assert sim.venue({**name, "latency": 1.0}).world is made  # type: ignore[attr-defined]
            with pytest.raises(SettingsError, match="there already with latency"):
                sim.venue({**name, "latency": 2.0})

    asyncio.run(body())


def test_adapters_are_found_by_their_entry_point_with_close_matches() -> None:
    assert "sim" in venues.names()
    assert venues.venue({"venue": "sim", "world": "found", "generator": GENERATOR}).name == "SIM"
    sim.forget("found")
    with pytest.raises(UnknownVenue, match="Did you mean sim"):
        venues.feed("smi")
    with pytest.raises(SettingsError, match="the name of an adapter"):
        venues.venue({"world": "x"})


def test_the_readme_names_every_key_and_every_fault() -> None:
    text = Path(sim.__file__).with_name("README.md").read_text()
    for key in (*Config.__struct_fields__, *Generator.__struct_fields__):
        assert f"`{key}`" in text, key
    for fault in NAMES:
        assert f"`{fault}(" in text, fault
