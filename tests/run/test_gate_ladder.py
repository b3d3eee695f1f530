"""A ladder tried on history: what it does is on the tape, and the same every time."""

from __future__ import annotations

from typing import Any

import pytest

import onetape as ot
from onetape.risk.rungs import Consent, Ladder, Rung, rung

from .hand import NS, D, daily, quotes, scripted, trades

ACCOUNT = "account:BACKTEST-001"
FALL = [100, 100, 95, 90, 85, 80, 75, 70, 65, 60]


def falling(prices: list[int] = FALL, **more: Any) -> Any:
    return quotes([(n, p, p + 1) for n, p in enumerate(prices)], **more)


def told(run: Any) -> list[tuple[str, str]]:
    """Return (what, state or severity) of what the ladder did."""
    return [
        (e.kind, getattr(e.fact, "state", "") or getattr(e.fact, "severity", ""))
        for e in run.recording
        if e.kind in ("risk.moved", "risk.alert")
    ]


def test_a_loss_warns_then_lets_only_exits_through_then_nothing():
    def more(s: Any) -> Any:
        return s.buy(1)

    plan = {0: lambda s: s.buy(10), 3: more, 4: lambda s: s.sell(1), 6: more, 9: more}
    ladder = Ladder(
        (rung("loss 55: warn"), rung("loss 100: reduce_only"), rung("loss 200: halt")), hold=1
    )
    run = ot.backtest(scripted(plan), falling(), ladder=ladder)
    assert told(run) == [
        ("risk.alert", "warning"),
        ("risk.alert", "critical"),
        ("risk.moved", "REDUCING"),
        ("risk.alert", "critical"),
        ("risk.moved", "HALTED"),
    ]
    assert [(r["side"], r["code"]) for r in run.denied.iter_rows(named=True)] == [
        ("BUY", "WOULD_INCREASE"),
        ("BUY", "STATE_HALTED"),
        ("BUY", "STATE_HALTED"),
    ]
    moved = run.recording.of_kind("risk.moved")
    assert {e.stream for e in moved} == {"risk"}


def test_a_spike_of_one_row_does_nothing():
    prices = [100, 100, 100, 40, 100, 100, 100, 100]
    plan = {0: lambda s: s.buy(10), 6: lambda s: s.buy(1)}
    run = ot.backtest(scripted(plan), falling(prices), ladder=["loss 200: halt"])
    assert told(run) == []
    assert run.fills.height == 2


def test_cancel_takes_what_works_and_leaves_what_protects():
    plan = {
        0: lambda s: (
            s.buy(10),
            s.buy(5, limit=20),
            s.sell(10, stop=30, reduce_only=True),
        )
    }
    ladder = Ladder((Rung("loss", D(100), "cancel"),), hold=2)
    run = ot.backtest(scripted(plan), falling(), ladder=ladder)
    assert run.orders["status"].to_list() == ["FILLED", "CANCELED", "ACCEPTED"]
    (gone,) = [e for e in run.recording.of_kind("decision.made") if e.fact.intent == "cancel"]
    assert gone.fact.why == "firm loss 100: cancel"


def two_sources() -> list[Any]:
    return [falling(), trades([(n, p, 5) for n, p in enumerate(FALL)])]


def test_one_source_of_prices_sells_nothing():
    ladder = Ladder(
        (Rung("loss", D(100), "flatten", ACCOUNT),), (Consent("BACKTEST-001", "r", "s"),), hold=1
    )
    run = ot.backtest(scripted({0: lambda s: s.buy(10)}), falling(), ladder=ladder)
    assert [r["side"] for r in run.fills.iter_rows(named=True)] == ["BUY"]
    assert told(run) == [("risk.alert", "critical"), ("risk.moved", "REDUCING")]


def test_without_consent_flatten_is_a_proposal():
    ladder = Ladder((Rung("loss", D(100), "flatten", ACCOUNT),), hold=1, agree=D("0.1"))
    run = ot.backtest(scripted({0: lambda s: s.buy(10)}), two_sources(), ladder=ladder)
    assert run.fills.height == 1
    assert any("to be flat: SELL 10" in e.fact.detail for e in run.recording.of_kind("risk.alert"))


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_with_consent_the_account_is_sold_in_slices_until_it_is_flat(side):
    ladder = Ladder(
        (Rung("loss", D(50), "flatten", ACCOUNT),),
        (Consent("BACKTEST-001", "r", "s"),),
        hold=2,
        agree=D("0.1"),
        slices=2,
        pause_ns=NS,
    )
    prices = FALL if side == "buy" else [200 - p for p in FALL]
    data = [
        quotes([(n, p, p + 1) for n, p in enumerate(prices)]),
        trades([(n, p, 5) for n, p in enumerate(prices)]),
    ]
    plan = {
        0: lambda s: (getattr(s, side)(10), s.buy(3, limit=20)),
    }
    run = ot.backtest(scripted(plan), data, ladder=ladder)
    assert list(run.fills["quantity"]) == [10, 5, 5]
    assert run.positions["quantity"].to_list()[-1] == 0
    assert "CANCELED" in run.orders["status"].to_list()
    exits = [e.fact for e in run.recording.of_kind("decision.made") if e.fact.intent == "close"]
    assert [fact.why.rpartition("/")[2] for fact in exits] == ["1", "2"]
    assert told(run)[-2:] == [("risk.moved", "HALTED"), ("risk.alert", "info")]


def test_each_strategy_sells_its_own_part():
    class Holder(ot.Strategy):
        size = ot.param(1)

        def on_start(self) -> None:
            self.done = False

        def on_quote(self, quote: Any) -> None:
            if not self.done:
                self.done = True
                self.buy(self.size)

    ladder = Ladder(
        (Rung("loss", D(50), "flatten", ACCOUNT),),
        (Consent("BACKTEST-001", "r", "s"),),
        hold=1,
        agree=D("0.1"),
        slices=1,
        pause_ns=NS,
    )
    run = ot.backtest([Holder(size=4), Holder(size=6)], two_sources(), ladder=ladder)
    sold = [(r["strategy"], r["quantity"]) for r in run.fills.filter(side="SELL").to_dicts()]
    assert sold == [("Holder-000", 4), ("Holder-001", 6)]


def test_a_strategy_of_its_own_scope_is_halted_alone():
    class Buyer(ot.Strategy):
        every = ot.param(1)

        def on_start(self) -> None:
            self.n = 0

        def on_quote(self, quote: Any) -> None:
            self.n += 1
            if self.n % self.every == 1 or self.every == 1:
                self.buy(1)

    ladder = Ladder((rung("strategy:Buyer-000 gross 300: halt"),), hold=1)
    run = ot.backtest([Buyer(every=1), Buyer(every=1)], falling([100] * 8), ladder=ladder)
    bought = run.fills.group_by("strategy").len().sort("strategy")["len"].to_list()
    assert bought == [3, 8]


def test_it_is_the_same_twice_in_any_chunks_and_in_a_rerun():
    given: dict[str, Any] = {
        "limits": ot.limits(max_position=12, max_order_quantity=10),
        "ladder": ["loss 55: warn", "loss 100: reduce_only", "loss 300: cancel"],
    }
    plan = {n: (lambda s, n=n: s.buy(n % 4 + 1)) for n in range(9)}
    whole = ot.backtest(scripted(plan), two_sources(), **given)
    assert told(whole)
    for chunk in (1, 3, 250_000):
        assert ot.backtest(scripted(plan), two_sources(), chunk=chunk, **given) == whole
    assert ot.rerun(whole).identical


def test_a_ladder_for_a_scope_that_a_backtest_does_not_have_is_refused():
    with pytest.raises(ot.errors.SettingsError, match="account:BACKTEST-001"):
        ot.backtest(scripted({}), daily([(1, 2, 1, 2)]), ladder=["desk:D loss 5: halt"])
