"""A session's way through good and bad days: whatever happens, it ends in order and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import onetape as ot
from onetape.risk.limitbook import book
from run.hand import scripted

from .desk import AAA, LEVEL, D, Desk, Live, again, lived

MOST = ot.limits(max_position=3)


def raising(s: Any) -> None:
    raise ValueError("on purpose")


def test_a_strategy_that_raises_ends_the_session_as_failed_and_leaves_nothing_working() -> None:
    strategy = scripted({1: lambda s: [s.buy(1, limit=50 + n) for n in range(20)], 3: raising})
    live, desk = lived(strategy)
    assert live.ended_as == live.state == "failed"
    assert live.error == "ValueError: on purpose"
    assert desk.working == []
    assert live.lives == [["initialized", "submitted", "accepted", "canceled"]] * 20
    closed = live.facts("run.closed")[0]
    assert (closed.status, closed.detail) == ("failed", "ValueError: on purpose")
    assert again(live, strategy) is None


def test_a_strategy_hears_nothing_more_once_it_has_raised() -> None:
    heard: list[str] = []

    class Wrong(ot.Strategy):
        def on_quote(self, quote: Any) -> None:
            heard.append("quote")
            self.buy(1, limit=50)
            raise ValueError("on purpose")

        def on_order_event(self, event: Any) -> None:
            heard.append(type(event).__name__)

        def on_order_canceled(self, event: Any) -> None:
            heard.append("canceled")

        def on_stop(self) -> None:
            heard.append("stop")

    live, desk = lived(Wrong)
    assert (heard, desk.working) == (["quote", "OrderInitialized"], [])
    assert live.lives[0][0] == "initialized"


def test_on_start_that_raises_ends_the_session_before_a_row_is_traded() -> None:
    class Wrong(ot.Strategy):
        def on_start(self) -> None:
            raise KeyError("no such thing")

        def on_quote(self, quote: Any) -> None:
            self.buy(1)

    live, desk = lived(Wrong)
    assert (live.ended_as, desk.sent) == ("failed", [])
    assert "no such thing" in live.error


@pytest.mark.parametrize("where", ["on_order_event", "on_order_filled", "timer", "on_stop"])
def test_wherever_a_strategy_raises_its_error_is_told(where: str) -> None:
    class Wrong(ot.Strategy):
        def on_start(self) -> None:
            if where == "timer":
                self.clock.set_time_alert_ns("go", 1_704_726_002_000_000_000, self.late)

        def late(self, _: Any) -> None:
            raise ValueError("on purpose")

        def on_quote(self, quote: Any) -> None:
            if where != "timer":
                self.target(1)

    if where != "timer":
        setattr(Wrong, where, lambda *_: Wrong.late(*_, *[None] * (2 - len(_))))
    live, desk = lived(Wrong)
    assert desk.working == []
    assert "on purpose" in live.error or where == "on_stop"


def test_a_strategy_that_sends_ten_thousand_orders_is_stopped_by_the_gate_and_lives() -> None:
    strategy = scripted(
        {1: lambda s: [s.buy(1, limit=50) for _ in range(10_000)], 3: lambda s: s.buy(1)}
    )
    live, desk = lived(strategy, limits=ot.limits(max_open_orders=20))
    assert live.ended_as == "stopped"
    assert len(desk.sent) == 20
    assert desk.working == []
    verdicts = [f.verdict for f in live.facts("risk.decided")]
    assert (verdicts.count("allow"), verdicts.count("deny")) == (20, 9_981)


def test_a_rate_stops_it_too_and_leaves_room_for_cancels() -> None:
    strategy = scripted(
        {1: lambda s: [s.buy(1, limit=50) for _ in range(500)], 2: lambda s: s.cancel()}
    )
    live, desk = lived(strategy, limits=ot.limits(message_rate=10, message_burst=10))
    assert 0 < len(desk.sent) <= 10
    assert {life[-1] for life in live.lives} == {"canceled"}


def test_stopping_cancels_what_works_and_keeps_what_is_held() -> None:
    strategy = scripted({1: lambda s: s.buy(2), 2: lambda s: s.buy(1, limit=50)})
    live, desk = lived(strategy, {4: lambda t: t.ask("stop", reason="lunch")}, rows=LEVEL)
    assert (live.ended_as, desk.working, desk.holds) == ("stopped", [], 2)
    assert [f.what for f in live.facts("session.asked")] == ["stop"]


def test_stopping_flat_sells_what_is_held_and_says_so() -> None:
    strategy = scripted({1: lambda s: s.buy(2), 2: lambda s: s.buy(1, limit=50)})
    live, desk = lived(strategy, {4: lambda t: t.ask("stop", flatten=True)}, rows=LEVEL)
    assert (live.ended_as, desk.working, desk.holds, live.held) == ("stopped", [], 0, 0)
    assert live.lives[-1] == ["initialized", "submitted", "filled"]
    assert again(live, strategy) is None


def test_a_strategy_that_answers_each_cancel_with_an_order_leaves_nothing_behind() -> None:
    def react(s: Any, event: Any) -> None:
        if (
            type(event).__name__ in ("OrderCanceled", "OrderRejected")
            and s.cache.orders_total_count() < 50
        ):
            s.buy(1, limit=50)

    strategy = scripted({1: lambda s: s.buy(1, limit=50)}, react=react)
    live, desk = lived(strategy, rows=LEVEL)
    assert (live.ended_as, desk.working) == ("stopped", [])
    assert any("stopping" in f.reason for f in live.facts("order.rejected"))
    assert again(live, strategy) is None


def test_a_halt_stops_what_was_allowed_and_has_not_left() -> None:
    strategy = scripted({3: lambda s: s.buy(1)})
    live, desk = lived(strategy, {3: lambda t: t.halt_now("signal")})
    assert desk.sent == []
    assert live.lives == [["initialized", "submitted", "rejected"]]
    assert live.facts("order.rejected")[0].reason == "signal"


def test_a_halted_session_may_not_change_its_orders_but_cancel_them() -> None:
    from nautilus_trader.model import ClientOrderId, Quantity

    def more(s: Any) -> None:
        s.modify_order(ClientOrderId(s.ids[1]), quantity=Quantity.from_int(9))

    plan = {1: lambda s: s.buy(1, limit=50), 4: more, 6: lambda s: s.cancel(s.ids[1])}
    live, desk = lived(scripted(plan), {3: lambda t: t.halt_now("signal")}, rows=LEVEL)
    (order,) = desk.core.ledger.orders.values()
    assert order.new.quantity == 1
    assert live.lives == [
        ["initialized", "submitted", "accepted", "pending_update", "modify_rejected",
         "pending_cancel", "canceled"],
    ]  # fmt: skip


STRICT = book([("firm", "reference_age_seconds", 2)], "allow")


def test_a_stale_price_blocks_new_orders_and_not_cancels() -> None:
    """A timer acts five seconds after the last row: what it wants is refused for the old price."""

    class Late(ot.Strategy):
        def on_start(self) -> None:
            self.first = True

        def on_quote(self, quote: Any) -> None:
            if self.first:
                self.first = False
                self.mine = self.buy(1, limit=50)
                self.clock.set_time_alert_ns("late", quote.ts_event + 5_000_000_000, self.late)

        def late(self, event: Any) -> None:
            self.buy(1, limit=60)
            self.cancel(self.mine)

    rows = ((0, 100, 101), (9, 100, 101))
    live, desk = lived(Late, limits=STRICT, rows=rows)
    assert [(f.verdict, f.intent, f.check) for f in live.facts("risk.decided")] == [
        ("allow", "submit", "R05"), ("deny", "submit", "R05"), ("allow", "cancel", "")
    ]  # fmt: skip
    assert len(desk.sent) == 1
    assert again(live, Late) is None


def test_a_feed_that_loses_rows_is_seen() -> None:
    desk = Desk(LEVEL)
    live = desk.session(scripted({}), {3: lambda _: desk.world.fault("gap", count=2)})
    states = [f.state for f in live.facts("feed.moved")]
    assert states[:2] == ["live", "gap"]


def test_a_feed_that_falls_silent_is_seen_in_its_health() -> None:
    desk = Desk(LEVEL)
    seen: list[Any] = []
    live = desk.session(scripted({}), {5: lambda t: seen.extend(t.receiving.health.states())})
    assert [(one.instrument, one.state, one.rows) for one in seen] == [(AAA, "live", 5)]
    assert live.ended_as == "stopped"


def test_an_instrument_that_nobody_has_is_told_at_the_start() -> None:
    from onetape.run.folder import Wanted

    with pytest.raises(ot.errors.RunError, match=r"ZZZ\.XNAS was asked for"):
        Desk().session(scripted({}), subscriptions=(Wanted("ZZZ.XNAS", "quotes"),))


def counted(live: Live) -> tuple[int, int, int]:
    return live.counts["orders"], live.counts["fills"], live.counts["denied"]


def test_the_status_counts_orders_fills_and_refusals_as_the_tape_does() -> None:
    plan: dict[int, Callable[[Any], Any]] = {
        1: lambda s: s.buy(2),
        2: lambda s: s.buy(5),
        3: lambda s: s.sell(1, limit=500),
    }
    live, _ = lived(scripted(plan), limits=MOST)
    assert counted(live) == (2, 1, 1)
    assert (live.held, live.mark(AAA)) == (D(2), D("111.5"))
