"""The bridge: whatever goes wrong between engine and venue ends in an event, never in silence."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest
from nautilus_trader.model import ClientOrderId, Quantity

from onetape.run import clients
from onetape.run.bridge import KINDS
from onetape.run.live_gate import LastLine
from onetape.run.ports import Accepted, Canceled, Corrected, Filled
from run.hand import scripted

from .desk import AAA, LEVEL, RISING, D, Desk, Live, again, lived

BUY = scripted({1: lambda s: s.buy(2)})
REST = scripted({1: lambda s: s.buy(2, limit=50)})


class Around:
    """The simulated venue, with something in the way of its commands."""

    def __init__(self, inner: Any, **instead: Any) -> None:
        self._inner = inner
        vars(self).update(instead)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def broken(*_: Any) -> None:
    raise OSError("no wire")


def reports(order: str, *kinds: type, **terms: Any) -> Any:
    """Return an act that has the venue report about an order."""

    def act(live: Live) -> None:
        for kind in kinds:
            live._report(kind(order, terms.get("venue_id", "V-9"), AAA, 7, *terms.get("more", ())))

    return act


def first(live: Live) -> str:
    return next(iter(live.orders))


# -- out


def test_an_exception_in_the_gate_ends_in_a_denied_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: Any) -> str:
        raise ValueError("on purpose")

    monkeypatch.setattr(LastLine, "may", wrong)
    live, desk = lived(BUY)
    assert live.lives == [["initialized", "denied"]]
    assert "ValueError: on purpose" in live.facts("order.denied")[0].reason
    assert (live.ended_as, desk.sent) == ("stopped", [])


def test_an_exception_in_the_translation_ends_in_a_denied_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("onetape.run.bridge.new_order", broken)
    live, desk = lived(BUY)
    assert live.lives == [["initialized", "denied"]]
    assert desk.sent == []


def test_an_exception_in_the_venues_send_ends_in_a_rejected_order() -> None:
    live, desk = lived(BUY, wraps=lambda venue: Around(venue, send=broken))
    assert live.lives == [["initialized", "submitted", "rejected"]]
    assert live.facts("order.rejected")[0].reason == "it could not be sent: OSError: no wire"
    assert desk.sent == []
    assert again(live, BUY) is None


def test_a_bracket_whose_entry_cannot_be_sent_leaves_no_exit_behind() -> None:
    strategy = scripted({1: lambda s: s.bracket("buy", 2, stop_loss=50, take_profit=500)})
    live, desk = lived(strategy, wraps=lambda venue: Around(venue, send=broken))
    assert [life[-1] for life in live.lives] == ["rejected", "canceled", "canceled"]
    assert desk.sent == []
    assert again(live, strategy) is None


def test_a_bracket_whose_entry_is_denied_at_the_last_line_leaves_no_exit_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may = LastLine.may
    monkeypatch.setattr(
        LastLine, "may", lambda self, o: "no" if o.parent_order_id is None else may(self, o)
    )
    strategy = scripted({1: lambda s: s.bracket("buy", 2, stop_loss=50, take_profit=500)})
    live, desk = lived(strategy)
    assert [life[-1] for life in live.lives] == ["denied", "canceled", "canceled"]
    assert desk.sent == []


def test_a_change_and_a_cancel_that_cannot_be_sent_are_refused_and_the_order_works_on() -> None:
    def change(s: Any) -> None:
        s.modify_order(ClientOrderId(s.ids[1]), quantity=Quantity.from_int(1))

    plan = {1: lambda s: s.buy(2, limit=50), 3: change, 5: lambda s: s.cancel(s.ids[1])}
    desk = Desk(LEVEL, wraps=lambda venue: Around(venue, modify=broken, cancel=broken))
    live = desk.session(
        scripted(plan), {8: lambda _: desk.world.fault("cancel_unasked", account="A")}
    )
    assert live.lives == [
        ["initialized", "submitted", "accepted", "pending_update", "modify_rejected",
         "pending_cancel", "cancel_rejected", "canceled"],
    ]  # fmt: skip
    assert again(live, scripted(plan)) is None


def test_a_change_that_the_venue_refuses_is_recorded() -> None:
    def change(s: Any) -> None:
        s.modify_order(ClientOrderId(s.ids[1]), quantity=Quantity.from_int(9))

    def refuse(live: Live) -> None:
        desk.core.halt(None, True)

    plan = {1: lambda s: s.buy(2, limit=50), 4: change}
    desk = Desk(LEVEL)
    live = desk.session(scripted(plan), {4: refuse, 8: lambda _: desk.core.halt(None, False)})
    assert {"pending_update"} <= set(live.lives[0])
    assert {"modify_rejected", "updated"} & set(live.lives[0])


def test_an_exit_that_waits_for_its_entry_is_canceled_without_ever_leaving() -> None:
    plan = {
        1: lambda s: s.bracket("buy", 2, limit=50, stop_loss=40, take_profit=90),
        3: lambda s: s.cancel(s.ids[1][2]),
    }
    live, desk = lived(scripted(plan), rows=LEVEL)
    assert len(desk.sent) == 1
    assert live.lives[2] == ["initialized", "submitted", "pending_cancel", "canceled"]
    assert {life[-1] for life in live.lives} == {"canceled"}


def test_nothing_is_awaited_inside_a_command_handler() -> None:
    tree = ast.parse(inspect.getsource(clients))
    handlers = [n for n in ast.walk(tree) if isinstance(n, ast.AsyncFunctionDef)]
    assert {"_submit_order", "_submit_order_list", "_modify_order", "_cancel_order"} <= {
        handler.name for handler in handlers
    }
    waits = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Yield)
    assert not [n for h in handlers for n in ast.walk(h) if isinstance(n, waits)]


# -- in


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_venue_says_twice_is_recorded_once(count: int) -> None:
    def change(s: Any) -> None:
        s.modify_order(ClientOrderId(s.ids[2]), quantity=Quantity.from_int(4))

    plan: dict[int, Any] = {
        1: lambda s: s.buy(2),
        2: lambda s: s.sell(3, limit=400),
        4: change,
        6: lambda s: s.cancel(),
        7: lambda s: s.buy(1, limit=500, post_only=True),
        8: lambda s: s.sell(1, stop=50),
    }
    plain, _ = lived(scripted(plan), rows=LEVEL)
    desk = Desk(LEVEL)
    live = desk.session(
        scripted(plan), {0: lambda _: desk.world.fault("duplicate", count=100 * count)}
    )
    assert live.lives == plain.lives
    assert live.held == desk.holds == 2


@pytest.mark.parametrize("kind", sorted(KINDS, key=lambda kind: kind.__name__))
def test_each_kind_of_report_is_absorbed_when_it_comes_again(kind: type) -> None:
    more: dict[str, tuple[Any, ...]] = {
        "Filled": ("T-77", "BUY", D(1), D(50), D(0), "USD", "MAKER", "A"),
        "Updated": (D(2), D(49)),
        "Rejected": ("no",),
        "ModifyRejected": ("no",),
        "CancelRejected": ("no",),
    }

    def act(live: Live) -> None:
        order = first_of(live)
        for _ in range(3):
            live._report(kind(order, "V-1", AAA, 7, *more.get(kind.__name__, ())))

    def first_of(live: Live) -> str:
        return next(iter(live.kernel.bridge.orders))

    live, _ = lived(REST, {4: act}, rows=LEVEL)
    word = (
        KINDS[kind].removeprefix("Order").replace("Modify", "modify_").replace("Cancel", "cancel_")
    )
    life = live.lives[0]
    assert life.count(word.lower().replace("cancel_ed", "canceled")) <= 1
    assert live.held == (1 if kind is Filled else 0)
    assert again(live, REST) is None


def test_a_fill_that_comes_after_the_cancel_is_recorded_and_counted() -> None:
    def late(live: Live) -> None:
        (order,) = live.kernel.bridge.orders
        live._report(Canceled(order, "V-1", AAA, 7))
        live._report(
            Filled(order, "V-1", AAA, 8, "T-77", "BUY", D(2), D(50), D(1), "USD", "MAKER", "A")
        )

    strategy = scripted(
        {1: lambda s: s.buy(2, limit=50), 8: lambda s: s.signal("held", float(s.position()))}
    )
    live, _ = lived(strategy, {4: late}, rows=LEVEL)
    assert live.lives == [["initialized", "submitted", "accepted", "canceled", "filled"]]
    assert (live.held, live.facts("signal.noted")[0].value) == (2, 2.0)
    assert again(live, strategy) is None


def test_a_bust_takes_the_execution_back_for_the_strategy_too() -> None:
    strategy = scripted({1: lambda s: s.buy(2), 8: lambda s: s.signal("held", float(s.position()))})
    desk = Desk(LEVEL)
    live = desk.session(strategy, {4: lambda _: desk.world.fault("bust")})
    assert live.lives == [["initialized", "submitted", "filled", "voided"]]
    assert live.held == desk.holds == live.facts("signal.noted")[0].value == 0
    assert again(live, strategy) is None


def test_corrections_one_after_the_other_and_a_bust_end_where_the_venue_ends() -> None:
    strategy = scripted({1: lambda s: s.buy(2), 9: lambda s: s.signal("held", float(s.position()))})
    desk = Desk(LEVEL, fees="per_share:0.5:1")
    at = {
        3: lambda _: desk.world.fault("correct", quantity="3", price="100.50"),
        5: lambda _: desk.world.fault("correct", price="100.25"),
    }
    live = desk.session(strategy, at)
    assert live.lives == [["initialized", "submitted", "filled", *["voided", "filled"] * 2]]
    assert live.held == desk.holds == live.facts("signal.noted")[0].value == 3
    assert live.carried.cash["USD"] == desk.core.ledger.account("A").cash["USD"]
    assert again(live, strategy) is None
    desk = Desk(LEVEL)
    live = desk.session(strategy, {**at, 7: lambda _: desk.world.fault("bust")})
    assert live.held == desk.holds == live.facts("signal.noted")[0].value == 0
    assert live.carried.cash["USD"] == desk.core.ledger.account("A").cash["USD"]


def test_orders_that_nobody_here_sent_become_external_ones() -> None:
    def others(live: Live) -> None:
        live._report(Accepted("theirs", "V-7", AAA, 7))
        live._report(
            Filled("theirs", "V-7", AAA, 8, "T-7", "SELL", D(3), D(99), D(0), "USD", "TAKER", "A")
        )
        live._report(
            Filled("", "V-8", AAA, 9, "T-8", "BUY", D(1), D(99), D(0), "USD", "TAKER", "A")
        )

    strategy = scripted({9: lambda s: s.signal("held", float(s.position()))})
    live, _ = lived(strategy, {4: others})
    assert live.orders == {
        "theirs": ["initialized", "accepted", "filled"],
        "EXT-V-8": ["initialized", "filled"],
    }
    assert {f.strategy for f in live.facts("order.initialized")} == {"EXTERNAL"}
    assert (live.held, live.facts("signal.noted")[0].value) == (-2, 0.0)
    assert again(live, strategy) is None


def test_a_correction_of_what_nobody_knows_is_recorded_and_moves_nothing() -> None:
    def act(live: Live) -> None:
        live._report(Corrected("theirs", "V-7", AAA, 7, "T-7", D(3), D(99)))

    live, _ = lived(scripted({}), {4: act})
    assert live.orders == {"theirs": ["voided"]}
    assert live.held == 0


def test_reports_that_come_before_the_strategy_runs_are_not_lost() -> None:
    desk = Desk(RISING)
    live = desk.session(REST, {3: lambda t: t.halt_now("end") or t.ended.set()})
    assert live.lives == [["initialized", "submitted", "accepted", "canceled"]]
    assert desk.working == []


def test_unlucky_orders_of_one_instant_do_not_hold_each_other_up() -> None:
    """The venue's silence about one is not the others' trouble."""
    strategy = scripted(
        {1: lambda s: [s.buy(1, limit=50 + n) for n in range(5)], 3: lambda s: s.buy(1)}
    )
    desk = Desk(LEVEL)
    live = desk.session(strategy, {1: lambda _: desk.world.fault("lose_ack")})
    assert [life[2] for life in live.lives] == ["canceled", *["accepted"] * 4, "filled"]
    assert live.ended_as == "stopped"
