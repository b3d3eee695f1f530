"""Everything that happens to an order is on the tape, once, with its cause."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from nautilus_trader.model import BarType, OrderSide, Price, Quantity
from nautilus_trader.trading import Strategy as EngineStrategy

import onetape as ot
from onetape.run import recorder
from onetape.run.codec import fact_of

from .busy import Busy, data
from .hand import BARS_TYPE, daily, fills, flat, kinds, quotes, scripted

BARS = daily(
    [
        (100, 105, 95, 101),
        (102, 108, 99, 107),
        (107, 112, 103, 104),
        (103, 104, 90, 92),
        (91, 95, 85, 94),
        (95, 99, 93, 98),
    ]
)
ALL = ["next_open", "this_close", "next_close", "intrabar"]


class Plain(EngineStrategy):
    """An engine strategy that knows nothing of us, and uses the engine's own commands."""

    def on_start(self) -> None:
        self.rows = 0
        bars = BarType.from_str(BARS_TYPE)
        self.subscribe_bars(bars)
        self.name = bars.instrument_id

    def on_bar(self, bar: Any) -> None:
        self.rows += 1
        make, ten = self.order_factory, Quantity.from_int(10)
        if self.rows == 1:
            self.submit_order(make.market(self.name, OrderSide.BUY, ten))
        if self.rows == 2:
            low, high = Price.from_str("80.00"), Price.from_str("200.00")
            listed = make.bracket(
                self.name, OrderSide.BUY, ten, sl_trigger_price=low, tp_price=high
            )
            self.submit_order_list(listed)
        if self.rows == 4:
            self.market_exit()

    def on_stop(self) -> None:
        self.close_all_positions(self.name)
        self.submit_order(
            self.order_factory.limit(
                self.name, OrderSide.BUY, Quantity.from_int(1), Price.from_str("50.00")
            )
        )
        self.cancel_all_orders(self.name)


@pytest.fixture
def cached(monkeypatch: Any) -> list[Any]:
    """Return what the engine's cache says of each order at the end of the next run."""
    found: list[Any] = []
    real = recorder.Recorder.sweep

    def sweep(self: Any, orders: list[Any]) -> int:
        found.extend(
            (str(order.client_order_id), [fact_of(e, "BACKTEST-001") for e in order.events()])
            for order in orders
            if order.client_order_id not in self.ignored
        )
        return real(self, orders)

    monkeypatch.setattr(recorder.Recorder, "sweep", sweep)
    return found


def told(run: Any) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {}
    for event in run.recording:
        if event.stream.startswith("order/"):
            out.setdefault(event.fact.client_order_id, []).append(event.fact)
    return out


def well_caused(run: Any) -> None:
    for event in run.recording:
        assert event.cause is None or 0 < event.cause < event.seq
        if event.stream.startswith("order/"):
            first = run.recording.causes(event.seq)[-1]
            assert first.kind == "decision.made", event


@pytest.mark.parametrize("fill", ALL)
@pytest.mark.parametrize("make", [lambda: Plain, Plain], ids=["class", "instance"])
def test_a_plain_engine_strategy_is_recorded_whole(fill, make, cached):
    run = ot.backtest(make(), BARS, fill=fill)
    assert fills(run)[0][1:3] == ("BUY", 10)
    assert run.positions["quantity"].to_list()[-1] == 0  # market_exit sold all
    assert told(run) == dict(cached)
    well_caused(run)


@pytest.mark.parametrize(
    ("kind", "fill"), [("two bars", f) for f in ALL] + [("mixed", "next_open")]
)
def test_every_order_event_of_the_engine_is_on_the_tape_in_its_order(kind, fill, cached):
    run = ot.backtest(Busy, data(kind), fill=fill, latency=300)
    assert len(cached) > 10
    assert told(run) == dict(cached)
    well_caused(run)


def test_each_event_names_the_one_before_it_as_its_cause():
    run = ot.backtest(scripted({0: lambda s: s.buy(10, limit=98, why="cheap")}), BARS)
    filled = next(iter(run.recording.of_kind("order.filled")))
    chain = run.recording.causes(filled.seq)
    assert [e.kind for e in chain] == [
        "order.filled",
        "order.accepted",
        "order.submitted",
        "order.initialized",
        "decision.made",
    ]
    assert chain[-1].fact.why == "cheap"
    assert chain[-1].lineage.source == BARS.fingerprint
    assert chain[-1].lineage.what == "bars 1-DAY AAA.XNAS"
    assert chain[-1].lineage.ts == chain[-1].ts_event


def test_a_decision_in_reaction_to_a_fill_names_the_fill_as_its_cause():
    class React(ot.Strategy):
        def on_bar(self, bar: Any) -> None:
            if not self.position() and self.is_running:
                self.buy(2)

        def on_order_filled(self, event: Any) -> None:
            if event.is_buy:
                self.sell(1, why="on_order_filled")

        def on_position_opened(self, event: Any) -> None:
            self.signal("opened", 1.0)

    run = ot.backtest(React, BARS)
    by_why = {e.fact.why: e for e in run.recording.of_kind("decision.made")}
    cause = run.recording.seq(by_why["on_order_filled"].cause)
    assert cause.kind == "order.filled"
    signal = next(iter(run.recording.of_kind("signal.noted")))
    assert run.recording.seq(signal.cause).kind == "order.filled"


def test_the_holding_is_up_to_date_in_every_handler_of_a_fill():
    seen: list[Any] = []

    class Look(ot.Strategy):
        def on_start(self) -> None:
            self.buy(7)

        def on_order_filled(self, event: Any) -> None:
            seen.append(("filled", self.position()))

        def on_order_event(self, event: Any) -> None:
            if type(event).__name__ == "OrderFilled":
                seen.append(("event", self.position()))

        def on_position_opened(self, event: Any) -> None:
            seen.append(("opened", self.position()))

    ot.backtest(Look, BARS)
    assert sorted(seen) == [("event", 7), ("filled", 7), ("opened", 7)]


def test_a_timer_is_not_taken_for_a_reaction_to_the_row_before_it():
    class Timed(ot.Strategy):
        def on_start(self) -> None:
            self.clock.set_time_alert_ns("noon", 1704816000_000_000_000, self.noon)

        def on_bar(self, bar: Any) -> None:
            pass

        def noon(self, event: Any) -> None:
            self.buy(1, instrument="AAA.XNAS")

    run = ot.backtest(Timed, BARS)
    (made,) = run.recording.of_kind("decision.made")
    assert made.lineage.what == "timer noon"
    assert made.lineage.source == ""
    assert made.ts_event == made.lineage.ts == 1704816000_000_000_000


def test_orders_sent_while_stopping_are_recorded_with_their_decisions():
    class Tidy(ot.Strategy):
        def on_bar(self, bar: Any) -> None:
            if not self.position():
                self.target(10)

        def on_stop(self) -> None:
            self.close(why="the end")
            self.cancel(self.buy(1, limit=50, why="late"))

    run = ot.backtest(Tidy, BARS, fill="this_close")
    assert [f[1] for f in fills(run)] == ["BUY", "SELL"]
    assert sorted(run.orders["status"].to_list()) == ["CANCELED", "FILLED", "FILLED"]
    sold = list(run.recording.of_kind("order.filled"))[-1]
    assert run.recording.causes(sold.seq)[-1].fact.why == "the end"
    well_caused(run)


def test_an_event_that_no_callback_brought_is_swept_up_at_the_end(monkeypatch, cached):
    real = recorder.Recorder.capture
    lost: list[Any] = []

    def forgetful(self: Any, event: Any, cause: Any = None) -> None:
        if type(event).__name__ == "OrderSubmitted" and not lost:
            lost.append(event)
            return
        real(self, event, cause)

    monkeypatch.setattr(recorder.Recorder, "capture", forgetful)
    run = ot.backtest(scripted({0: lambda s: s.buy(10), 2: lambda s: s.close()}), BARS)
    assert lost
    said = {name: sorted(map(msgspec.json.encode, facts)) for name, facts in told(run).items()}
    assert said == {name: sorted(map(msgspec.json.encode, facts)) for name, facts in cached}
    assert kinds(run).count("order.filled") == 2
    well_caused(run)


def denials(run: Any) -> list[Any]:
    return [e for e in run.recording.of_kind("risk.decided") if e.fact.verdict == "deny"]


@pytest.mark.parametrize(
    ("limits", "order", "name"),
    [
        ({"max_order_quantity": 5}, lambda s: s.buy(6), "max_order_quantity"),
        ({"max_order_notional": 600}, lambda s: s.buy(6), "max_order_notional"),
        ({"max_position": 5}, lambda s: s.sell(6), "max_position"),
        ({"max_position": 5}, lambda s: (s.buy(3), s.buy(3)), "max_position"),
        ({"max_position": 5}, lambda s: (s.buy(3, limit=1), s.buy(3, limit=1)), "max_position"),
        ({"max_position": 5}, lambda s: (s.buy(5), s.sell(11)), "max_position"),
    ],
)
def test_an_order_beyond_a_limit_is_refused_on_the_tape_and_never_leaves(limits, order, name):
    run = ot.backtest(scripted({0: order}), flat([100, 100, 100]), limits=ot.limits(**limits))
    (refused,) = denials(run)
    assert refused.fact.limit == f"firm {name}"
    assert refused.fact.observed > refused.fact.threshold
    assert run.recording.seq(refused.cause).kind == "decision.made"
    assert sum(f[2] for f in fills(run)) <= 5
    assert any("refused by limits" in line for line in run.warnings)


def test_a_limit_on_notional_refuses_while_no_price_is_known():
    class Blind(ot.Strategy):
        def on_start(self) -> None:
            self.buy(1)

    run = ot.backtest(Blind, flat([100, 100]), limits=ot.limits(max_order_notional=10_000))
    assert [e.fact.code for e in denials(run)] == ["NO_REF_PRICE"]
    assert fills(run) == []


def test_a_way_out_is_never_refused_by_the_limit_on_positions():
    plan = {0: lambda s: s.buy(5), 1: lambda s: s.sell(2), 2: lambda s: s.close()}
    run = ot.backtest(scripted(plan), flat([100] * 5), limits=ot.limits(max_position=5))
    assert [f[1:3] for f in fills(run)] == [("BUY", 5), ("SELL", 2), ("SELL", 3)]


def test_limits_hold_for_plain_engine_strategies_too():
    run = ot.backtest(Plain, BARS, limits=ot.limits(max_position=15))
    assert [e.fact.code for e in denials(run)] == ["MAX_LONG", "LIST_DENIED", "LIST_DENIED"]


def test_a_plain_strategy_sees_only_the_rows_it_asked_for():
    seen: list[str] = []

    class Picky(EngineStrategy):
        def on_start(self) -> None:
            self.subscribe_bars(BarType.from_str(BARS_TYPE))

        def on_bar(self, bar: Any) -> None:
            seen.append(str(bar.bar_type.instrument_id))

        def on_quote(self, quote: Any) -> None:
            seen.append("quote")

    for fill in ALL:
        seen.clear()
        ot.backtest(Picky, [flat([10, 20]), flat([10, 20], "BBB.XNAS")], fill=fill)
        assert seen == ["AAA.XNAS", "AAA.XNAS"], fill


def test_an_instance_of_a_plain_strategy_runs_once_and_says_so():
    one = Plain()
    run = ot.backtest(one, BARS)
    with pytest.raises(ot.errors.RunError, match="runs once"):
        ot.rerun(run)


def test_a_rejected_order_is_on_the_tape_with_the_venues_reason():
    book = quotes([(0, 100, 101), (1, 100, 101), (2, 100, 101)])
    plan = {0: lambda s: s.buy(1, limit=105, post_only=True)}
    run = ot.backtest(scripted(plan), book)
    (event,) = run.recording.of_kind("order.rejected")
    assert "POST_ONLY" in event.fact.reason
    assert any("rejected" in line for line in run.warnings)
