"""Reconciliation: what a venue did while nobody looked is booked once, what does not fit stops."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onetape as ot
from onetape.errors import NotReconciled, VenueUnavailable
from onetape.run import ports
from onetape.run import reconcile as module
from onetape.run.carry import Carried
from onetape.run.reconcile import Outcome, reconcile
from onetape.run.wire import fact_of_report
from onetape.tape import kinds
from onetape_sim import ledger
from onetape_sim.core import Core
from onetape_sim.fees import parse
from run.hand import scripted

from .desk import AAA, LEVEL, RISING, D, Desk, again

USD = {AAA: "USD"}
START = 1_704_726_000_000_000_000
REST = scripted(
    {1: lambda s: s.buy(2), 2: lambda s: s.buy(1, limit=50), 3: lambda s: s.sell(1, limit=104)}
)
NOTHING = scripted({})


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)


class Said:
    """A venue that answers from a ledger."""

    name = "SIM"

    def __init__(self, book: Any) -> None:
        self.book = book

    async def status(self, name: str) -> Any:
        return ledger.status(self.book, name)

    async def orders(self, account: str) -> Any:
        return ledger.orders(self.book, account)

    async def fills(self, account: str, since: int) -> Any:
        return ledger.fills(self.book, account, since)

    async def positions(self, account: str) -> Any:
        return ledger.positions(self.book, account)

    async def cash(self, account: str) -> Any:
        return ledger.cash(self.book, account)


def history(seed: int) -> tuple[Core, list[kinds.Fact | None]]:
    """Return a venue after a random day, and what our tape would have of it; None: a market row.

    An order's intent stands before what the venue says of it; some intents were never sent, some
    orders are not ours.
    """
    draw = random.Random(seed)
    core = Core(parse("per_share:0.5:1"), {"USD": D(1_000_000)})
    core.list(ot.equity(AAA))
    told: list[Any] = []
    ours: set[str] = set()
    mid = 1_000

    def hear() -> None:
        for _, report in core.ledger.out:
            if report.client_order_id in ours:
                told.append(fact_of_report(report, "S-000", "A", "USD"))
        core.ledger.out.clear()

    for n in range(40):
        mid += draw.choice((-2, -1, 0, 1, 2))
        size = D(draw.choice((2, 5)))
        core.row(ports.Quote(AAA, START + n, D(mid) / 10, D(mid + 1) / 10, size, size))
        hear()
        name, side = f"O-{n}", draw.choice(("BUY", "SELL"))
        price = draw.choice((None, D(mid + draw.randrange(-3, 4)) / 10))
        kind = "MARKET" if price is None else "LIMIT"
        quantity = D(draw.choice((1, 3, 9)))
        match draw.choice(("ours", "ours", "ours", "lost", "theirs", "cancel", "nothing")):
            case "ours" | "lost" as what:
                ours.add(name)
                terms: Any = {"side": side, "type": kind, "quantity": quantity, "price": price}
                begun = kinds.OrderInitialized(name, AAA, "S-000", time_in_force="GTC", **terms)
                told.append(begun)
                if what == "ours":
                    core.submit(ports.NewOrder(name, "A", AAA, side, kind, quantity, price=price))  # type: ignore[arg-type]
            case "theirs":
                core.submit(ports.NewOrder(name, "A", AAA, side, kind, quantity, price=price))  # type: ignore[arg-type]
            case "cancel" if core.ledger.working:
                core.cancel(ports.CancelOrder(draw.choice(sorted(core.ledger.working)), None, AAA))
            case _:
                pass
        hear()
    return core, told


def compared(core: Core, ours: Carried) -> Outcome:
    return asyncio.run(reconcile(Said(core.ledger), "A", ours, USD))  # type: ignore[arg-type]


@given(st.integers(0, 100_000), st.floats(0, 1))
@settings(max_examples=60)
def test_whatever_part_of_a_day_our_tape_has_afterwards_it_says_what_the_venue_says(
    seed: int, part: float
) -> None:
    core, told = history(seed)
    intents = [f for f in told if isinstance(f, kinds.OrderInitialized)]
    prefix = told[: round(len(told) * part)]
    ours = Carried({AAA: D(1)})
    ours.first = 1
    ours.take(kinds.CashDeposited("A", "USD", D(1_000_000)))
    sent = [f for f in intents if f not in prefix and f.client_order_id in core.ledger.orders]
    for fact in prefix:
        ours.take(fact)
    for fact in sent:  # nothing leaves before its intent is durable
        ours.take(fact)
    outcome = compared(core, ours)
    account = core.ledger.account("A")
    assert outcome.breaks == []
    assert ours.held(AAA) == account.held.get(AAA, 0)
    assert ours.cash["USD"] == account.cash["USD"]
    assert set(ours.trades) == set(core.ledger.fills)
    fills = [one.fact.trade_id for one in outcome.said if isinstance(one.fact, kinds.OrderFilled)]
    assert len(fills) == len(set(fills))
    mine = {name: w for name, w in ours.working.items() if w.order.strategy != "EXTERNAL"}
    there = core.ledger.working
    assert set(mine) == {name for name in there if name in {f.client_order_id for f in intents}}
    assert all(
        (w.filled, w.quantity) == (there[n].filled, there[n].new.quantity) for n, w in mine.items()
    )
    assert all(known.accepted for known in mine.values())
    assert compared(core, ours)[:2] == ([], [])


# -- sessions one after the other


def ended(live: Any) -> None:
    live.ended.set()


class Mute:
    """A venue that takes no cancels: what works goes on working."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def cancel(self, order: Any) -> None:
        raise OSError("the process is gone")


def crashed(desk: Desk, strategy: type, row: int) -> str:
    """Trade, and go before a row as a process that dies does: nothing is canceled."""

    def die(live: Any) -> None:
        live.cancel = lambda _: None
        live.kernel.bridge.working = list
        live.ended.set()

    return desk.session(strategy, {row: die}).stream


def test_fills_that_nobody_saw_are_booked_once_and_the_strategy_holds_them() -> None:
    desk = Desk(RISING)
    crashed(desk, REST, 3)
    core = desk.core  # the sell at 104 trades while nobody looks
    core.row(ports.Quote(AAA, core.ledger.now + 1, D(105), D(106), D(100), D(100)))
    core.ledger.out.clear()
    live = desk.session(NOTHING)
    assert live.held == desk.holds
    assert desk.working == []
    third = desk.session(NOTHING)
    assert [e.kind for e in third.recording if e.kind == "order.filled"] == []
    assert third.held == desk.holds
    assert again(live, NOTHING) is None


def test_what_an_earlier_session_left_working_is_canceled_before_the_strategy_starts() -> None:
    desk = Desk(LEVEL)
    crashed(desk, REST, 5)
    assert len(desk.working) == 2
    live = desk.session(NOTHING)
    assert desk.working == []
    canceled = [e.seq for e in live.recording.of_kind("order.canceled")]
    running = next(
        e.seq for e in live.recording.of_kind("session.moved") if e.fact.state == "running"
    )
    assert len(canceled) == 2
    assert max(canceled) < running


def test_it_may_be_kept_and_what_becomes_of_it_is_booked() -> None:
    desk = Desk(RISING)
    crashed(desk, REST, 3)
    assert len(desk.working) == 1
    live = desk.session(NOTHING, on_restart="keep")
    assert desk.holds == live.held


def test_an_order_that_never_left_is_closed_as_rejected_and_not_sent_again() -> None:
    desk = Desk(LEVEL, wraps=lambda venue: Lost(venue))
    first = crashed(desk, REST, 5)
    desk.wraps = lambda venue: venue
    assert desk.sent == []
    live = desk.session(NOTHING)
    assert desk.sent == []
    assert {tuple(life) for life in live.lives} == {("rejected",)}
    assert "never reached the venue" in live.facts("order.rejected")[0].reason
    (carried,) = live.facts("account.carried")
    assert (carried.session, len(carried.orders)) == (first, 3)


class Lost(Mute):
    """A wire that swallows orders."""

    def send(self, order: Any) -> None:
        pass


def test_orders_of_somebody_else_become_external_ones_and_are_left_alone() -> None:
    desk = Desk(LEVEL)
    desk.session(NOTHING, {3: ended})
    desk.core.submit(ports.NewOrder("theirs", "A", AAA, "BUY", "LIMIT", D(1), price=D(50)))
    desk.core.ledger.out.clear()
    live = desk.session(NOTHING)
    assert live.orders == {"theirs": ["initialized", "accepted"]}
    assert desk.working == ["theirs"]
    assert (live.ended_as, live.facts("recon.done")[0].orders) == ("stopped", 1)
    after = desk.session(NOTHING)
    assert after.orders == {}


BREAKS: dict[str, tuple[str, Any]] = {
    "position": (
        f"quantity:{AAA}",
        lambda d: d.world.fault("wrong_position", instrument=AAA, quantity=7),
    ),
    "cash": ("cash:USD", lambda d: d.core.ledger.account("A").cash.update(USD=D(5))),
}


@pytest.mark.parametrize("what", BREAKS)
def test_what_does_not_fit_stops_the_start_and_is_named(what: str) -> None:
    name, spoil = BREAKS[what]
    desk = Desk(LEVEL)
    desk.session(REST, {5: ended})
    before = len(desk.sent)
    spoil(desk)
    with pytest.raises(NotReconciled, match=name) as refused:
        desk.session(REST)
    assert [b.break_id for b in refused.value.breaks] == [name]
    told = desk.tape.recording(desk.before)
    assert [e.fact.break_id for e in told.of_kind("recon.break")] == [name]
    assert [e.fact.state for e in told.of_kind("session.moved")][-1] == "failed"
    assert len(desk.sent) == before
    live = desk.session(NOTHING, accept=(name,))
    assert live.ended_as == "stopped"
    assert [(f.break_id, f.who) for f in live.facts("recon.accepted")] == [
        (name, "whoever started it")
    ]
    assert again(live, NOTHING) is None


def test_a_bust_that_nobody_saw_is_a_break_and_no_made_up_fill() -> None:
    desk = Desk(LEVEL)
    desk.session(REST, {5: ended})
    desk.world.fault("bust")
    with pytest.raises(NotReconciled, match="quantity:"):
        desk.session(NOTHING)


def test_a_correction_that_nobody_saw_is_booked_and_one_that_was_seen_is_not_booked_again() -> None:
    desk = Desk(LEVEL)
    desk.session(REST, {4: lambda _: desk.world.fault("correct", price="100.50"), 5: ended})
    live = desk.session(NOTHING, {7: ended})
    assert live.orders == {}
    desk.world.fault("correct", price="100.25", quantity="3")
    live = desk.session(NOTHING)
    assert list(live.orders.values()) == [["voided", "filled"]]
    assert live.held == desk.holds == 3
    assert live.carried.cash["USD"] == desk.core.ledger.account("A").cash["USD"]


class Dumb(Mute):
    """A venue that does not answer one question."""

    question = "positions"

    async def positions(self, account: str) -> Any:
        raise VenueUnavailable("the venue does not say")


def test_a_venue_that_does_not_answer_stops_the_start_and_the_next_one_knows_all() -> None:
    desk = Desk(LEVEL)
    first = desk.session(REST, {5: ended})
    desk.wraps = Dumb
    with pytest.raises(VenueUnavailable, match="does not say"):
        desk.session(REST)
    desk.wraps, desk.before = (lambda venue: venue), first.stream
    live = desk.session(NOTHING)
    assert live.held == desk.holds == 2
    assert live.facts("recon.done")[0].breaks == 0


def test_the_first_session_of_an_account_begins_with_what_the_venue_says() -> None:
    live = Desk(LEVEL, cash={"USD": "5", "EUR": "7"}).session(NOTHING)
    assert {f.currency: f.amount for f in live.facts("cash.deposited")} == {"USD": 5, "EUR": 7}


def test_what_was_held_before_counts_for_limits_and_for_sizes() -> None:
    desk = Desk(LEVEL)
    desk.session(scripted({1: lambda s: s.buy(2)}), {3: ended})
    strategy = scripted({2: lambda s: s.buy(2), 4: lambda s: s.target(3), 6: lambda s: s.close()})
    live = desk.session(strategy, limits=ot.limits(max_position=3))
    assert [f.code for f in live.facts("risk.decided")] == ["MAX_LONG", "", ""]
    assert desk.holds == live.held == Decimal(0)
    assert again(live, strategy) is None
