"""A session made again from its inputs: the same bytes, or the first decision that differs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from nautilus_trader.model import (
    ClientOrderId,
    InstrumentId,
    OrderSide,
    Price,
    Quantity,
    TriggerType,
)

import onetape as ot
from onetape.risk.limitbook import to_json
from onetape.tape.kinds_live import RiskMoved
from run.hand import scripted

from .desk import AAA, LEVEL, RISING, D, Desk, again, lived, remade

MOST = ot.limits(max_position=10)


def end(live: Any) -> None:
    live.ended.set()


def moved(s: Any) -> None:
    s.modify_order(ClientOrderId(s.ids[1]), price=Price.from_str("98.00"))


def held_child(s: Any) -> None:
    s.cancel(s.ids[1][1])


def emulated(s: Any) -> None:
    make = s.order_factory.stop_market
    terms = {"emulation_trigger": TriggerType.BID_ASK}
    name = InstrumentId.from_str(AAA)
    s.submit_order(
        make(name, OrderSide.BUY, Quantity.from_int(4), Price.from_str("104.00"), **terms)
    )


PLANS: dict[str, dict[int, Any]] = {
    "market": {1: lambda s: s.buy(2), 3: lambda s: s.close()},
    "limit": {1: lambda s: s.sell(2, limit=104)},
    "stop": {1: lambda s: s.buy(2, stop=104)},
    "stop limit": {1: lambda s: s.buy(2, stop=104, limit=106)},
    "immediate or cancel": {1: lambda s: s.buy(2, limit=90, time_in_force="IOC")},
    "post only": {1: lambda s: s.buy(2, limit=500, post_only=True)},
    "bracket": {1: lambda s: s.bracket("buy", 2, stop_loss=50, take_profit=105)},
    "bracket on a limit": {
        1: lambda s: s.bracket("sell", 2, limit=104, stop_loss=500, take_profit=50)
    },
    "two brackets": {
        1: lambda s: s.bracket("buy", 2, stop_loss=50, take_profit=105),
        2: lambda s: s.bracket("sell", 1, stop_loss=106, take_profit=20),
    },
    "canceled child": {
        1: lambda s: s.bracket("buy", 2, limit=50, stop_loss=40, take_profit=105),
        2: held_child,
    },
    "modify": {1: lambda s: s.buy(2, limit=90), 2: moved, 4: lambda s: s.cancel(s.ids[1])},
    "cancel all": {
        1: lambda s: [s.buy(2, limit=90), s.sell(1, limit=400)],
        2: lambda s: s.cancel(),
    },
    "denied": {1: lambda s: s.buy(20), 2: lambda s: s.buy(3)},
    "denied list": {
        1: lambda s: s.bracket("buy", 20, stop_loss=50, take_profit=105),
        3: lambda s: s.buy(1),
    },
    "too large a change": {1: lambda s: s.buy(9, limit=90), 2: lambda s: s.modify_order(
        ClientOrderId(s.ids[1]), quantity=Quantity.from_int(11))},
    "emulated": {1: emulated},
    "exit": {1: lambda s: s.buy(3), 2: lambda s: s.buy(1, limit=50), 4: lambda s: s.market_exit()},
    "signals": {1: lambda s: s.signal("edge", 0.5), 2: lambda s: s.target(weight=0.001)},
}  # fmt: skip


@pytest.mark.parametrize("plan", PLANS)
def test_a_session_made_again_gives_the_same_bytes(plan: str) -> None:
    strategy = scripted(PLANS[plan])
    live, _ = lived(strategy, limits=MOST)
    assert live.ended_as == "stopped"
    assert any(kind.startswith(("order.", "signal.")) for kind in live.kinds())
    assert again(live, strategy) is None


FAULTS = ("duplicate", "late", "lose_ack", "reject", "bust", "correct", "cancel_unasked")


def busy() -> type:  # noqa: C901 - one thing after the other
    """A strategy that does a little of everything, timers too."""

    class Busy(ot.Strategy):
        size: int = ot.param(2, lo=1, hi=5)

        def on_start(self) -> None:
            self.n = 0
            self.slow = self.ema(3)
            self.clock.set_timer("beat", timedelta(seconds=3), callback=self.beat)

        def beat(self, event: Any) -> None:
            self.signal("beats", self.n)
            self.buy(1, limit=90, why="the beat")

        def on_quote(self, quote: Any) -> None:
            self.n += 1
            if self.slow.ready:
                self.signal("slow", self.slow.value)
            if self.n == 2:
                self.buy(self.size)
            if self.n in (3, 8):
                self.bracket("sell", 2, stop_loss=112, take_profit=90)
            if self.n == 4:
                self.resting = self.sell(1, limit=140)
                self.buy(50)
            if self.n == 6:
                self.modify_order(ClientOrderId(self.resting), price=Price.from_str("139.00"))

        def on_order_filled(self, event: Any) -> None:
            self.signal("filled", float(event.last_qty.as_double()))
            if self.n < 5:
                self.buy(1, limit=80)

    return Busy


def test_a_day_of_everything_gives_the_same_bytes() -> None:
    """Persons, corrections, a halt and its end, and a flat end among the strategy's own doings."""
    desk = Desk(RISING)

    def correct(_: Any) -> None:
        desk.world.fault("correct", price="100.50")

    at = {
        3: correct,
        4: lambda t: t.ask("order", side="buy", quantity=3, limit=95, why="a hunch"),
        5: lambda t: t.ask("order", side="sell", quantity=1),
        6: lambda t: t.ask("cancel"),
        7: lambda _: desk.world.fault("bust"),
        8: lambda t: t.hear(RiskMoved("strategy:Nobody", "HALTED", "lunch", "Ada")),
    }
    live = desk.session(busy()(size=3), at, limits=MOST, flatten_on_stop=True)
    assert live.ended_as == "stopped"
    assert {"session.asked", "risk.moved", "timer.fired", "order.voided"} <= set(live.kinds())
    assert {"order.updated", "order.canceled", "order.rejected"} & set(live.kinds())
    assert "deny" in {fact.verdict for fact in live.facts("risk.decided")}
    assert live.held == desk.holds == 0
    assert again(live, busy()(size=3)) is None


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("row", [2, 4])
def test_what_a_venue_does_wrong_is_made_again_too(fault: str, row: int) -> None:
    desk = Desk(RISING)
    terms: dict[str, Any] = {"late": {"seconds": 2}, "cancel_unasked": {"account": "A"}}.get(
        fault, {}
    )
    if fault == "correct":
        terms = {"price": "99.50"}
    live = desk.session(busy(), {row: lambda _: desk.world.fault(fault, **terms)}, limits=MOST)
    assert live.held == desk.holds
    assert again(live, busy()) is None


def test_a_halt_in_the_middle_is_made_again() -> None:
    strategy = scripted({2: lambda s: s.buy(1), 5: lambda s: s.buy(1), 7: lambda s: s.buy(1)})
    live, _ = lived(strategy, {4: lambda t: t.ask("halt", reason="enough")}, limits=MOST)
    assert live.lives == [["initialized", "submitted", "filled"]]
    assert [f.code for f in live.facts("risk.decided")] == ["", "STATE_HALTED", "STATE_HALTED"]
    assert again(live, strategy) is None


def test_a_persons_order_names_who_gave_it_and_what_follows_names_it() -> None:
    live, _ = lived(scripted({}), {3: lambda t: t.ask("order", side="sell", quantity=1)})
    (asked,) = live.recording.of_kind("session.asked")
    (decided,) = live.recording.of_kind("decision.made")
    (begun,) = live.recording.of_kind("order.initialized")
    assert (asked.fact.who, decided.cause, begun.cause) == ("Ada", asked.seq, decided.seq)
    assert decided.lineage is not None
    assert decided.lineage.what == "a person's word"
    assert live.answers[0].result() == {"client_order_id": begun.fact.client_order_id}


@pytest.mark.parametrize(
    "said",
    [{"limit": "100.005"}, {"quantity": "a lot"}, {"quantity": "0.5"}, {"instrument": "X.Y"}],
)
def test_a_persons_order_that_makes_no_sense_is_told_to_the_person_and_stops_nobody(
    said: Any,
) -> None:
    strategy = scripted({4: lambda s: s.buy(1), 8: lambda s: s.buy(1)})
    at = {4: lambda t: t.ask("order", **{"side": "buy", "quantity": 1, **said}),
          5: lambda t: t.ask("order", **{"side": "buy", "quantity": 1, **said})}  # fmt: skip
    live, desk = lived(strategy, at)
    assert [type(answer.exception()).__name__ for answer in live.answers] != ["NoneType"] * 2
    assert (live.ended_as, desk.holds, live.kinds().count("session.asked")) == ("stopped", 2, 2)
    assert again(live, strategy) is None


def test_other_parameters_part_at_the_first_decision_that_differs() -> None:
    live, _ = lived(busy()(size=3), limits=MOST)
    parted = again(live, busy()(size=2))
    assert parted is not None
    assert parted.left is not None
    assert parted.left.kind in ("signal.noted", "decision.made")


def test_other_code_parts_at_the_decision_that_it_takes_otherwise() -> None:
    live, _ = lived(scripted({1: lambda s: s.buy(2), 4: lambda s: s.buy(2)}))
    for other in ({1: lambda s: s.buy(2), 4: lambda s: s.sell(2)}, {1: lambda s: s.buy(2)}):
        parted = again(live, scripted(other))
        assert parted is not None
        assert parted.left is not None
        assert parted.left.kind == "decision.made"
        assert parted.left.fact.intent == "buy"


def test_other_limits_part_at_the_gates_answer() -> None:
    strategy = scripted({1: lambda s: s.buy(2)})
    live, _ = lived(strategy, limits=MOST)
    opened = live.recording.opened
    recipe = msgspec.json.decode(opened.recipe)
    recipe["live"]["limits"] = to_json(ot.limits(max_position=1))
    events = list(live.recording)
    fact = msgspec.structs.replace(opened, recipe=msgspec.json.encode(recipe).decode())
    events[0] = msgspec.structs.replace(events[0], fact=fact)
    live.recording = type(live.recording).of(events)
    parted = again(live, strategy)
    assert parted is not None
    assert parted.left is not None
    assert parted.left.kind == "risk.decided"


def test_a_row_that_is_missing_parts_at_what_was_made_of_it() -> None:
    strategy = scripted({1: lambda s: s.buy(2), 4: lambda s: s.buy(2)})
    live, _ = lived(strategy)
    del live.rows[4]
    parted = again(live, strategy)
    assert parted is not None


def test_a_strategy_that_raises_raises_again_at_the_same_place() -> None:
    def wrong(s: Any) -> None:
        s.buy(1)
        raise ValueError("on purpose")

    strategy = scripted({1: lambda s: s.buy(2, limit=50), 4: wrong})
    live, desk = lived(strategy)
    assert live.ended_as == "failed"
    assert desk.working == []
    assert again(live, strategy) is None


def test_a_session_that_followed_another_is_made_again_from_what_it_took_over() -> None:
    desk = Desk(RISING)
    first = scripted({1: lambda s: s.buy(3), 2: lambda s: s.buy(1, limit=50)})
    desk.session(first, {5: end})
    second = scripted({1: lambda s: s.target(weight=0.001), 3: lambda s: s.sell(1)})
    live = desk.session(second)
    assert live.held == desk.holds
    assert again(live, second) is None
    assert remade(live, second).fingerprint == live.recording.fingerprint


def test_a_quiet_market_is_made_again() -> None:
    strategy = scripted({})
    live, _ = lived(strategy, rows=LEVEL)
    assert again(live, strategy) is None
    assert live.held == D(0)
