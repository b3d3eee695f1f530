"""Cash and holdings, added up by hand from the fills, are the equity; the engine agrees."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import Currency, Venue

import onetape as ot

D = Decimal


class Drawn(ot.Strategy):
    """Trades a list of targets, one a row; keeps the engine's own balance at the end."""

    targets = ""
    seen: list[Any]

    def on_start(self) -> None:
        self.row = 0

    def on_bar(self, bar: Any) -> None:
        steps = self.targets.split()
        if self.row < len(steps):
            self.target(int(steps[self.row]))
        self.row += 1

    def on_stop(self) -> None:
        account = self.cache.account_for_venue(Venue(self.instrument.rpartition(".")[2]))
        balance = account.balance_total(Currency.from_str("USD")).as_decimal()
        Drawn.seen = [balance, self.portfolio.realized_pnls(Venue("XNAS"))]


def by_hand(run: Any, last: Decimal, deposit: int) -> Decimal:
    """Return deposit + what the fills paid + what is held at the last price."""
    cash, held = D(deposit), defaultdict(D)
    for row in run.fills.iter_rows(named=True):
        signed = row["quantity"] if row["side"] == "BUY" else -row["quantity"]
        cash -= signed * row["price"] + row["commission"]
        held[row["instrument"]] += signed
    return cash + sum(held.values()) * last


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    targets=st.lists(st.integers(-50, 50), min_size=1, max_size=30),
    fill=st.sampled_from(["next_open", "this_close", "next_close", "intrabar"]),
    fees=st.sampled_from([None, ot.bps(20), ot.per_share("0.013", min="0.7")]),
)
def test_final_equity_is_cash_and_holdings_added_up_from_the_fills(targets, fill, fees):
    kind = type("Some", (Drawn,), {"targets": " ".join(map(str, targets))})
    data = ot.sample("FB")  # neither splits nor dividends
    run = ot.backtest(kind, data, fill=fill, fees=fees)
    last = data.frame()["close"][-1]
    assert run.final_equity == by_hand(run, last, 100_000)
    assert run.equity["equity"][-1] == run.final_equity


@pytest.mark.parametrize("fees", [None, ot.bps(20), ot.per_share("0.013", min="0.7")])
def test_the_engines_own_account_agrees_once_all_is_sold(fees):
    kind = type("Some", (Drawn,), {"targets": "10 -7 30 30 -30 12 0"})
    run = ot.backtest(kind, ot.sample("FB"), fees=fees)
    assert run.positions["quantity"][-1] == 0
    assert Drawn.seen[0] == run.final_equity
    assert run.at("2013-03-02").cash == {"USD": Drawn.seen[0]}


def test_the_strategys_own_view_of_equity_ends_where_the_run_does():
    last: list[Decimal] = []

    class Look(ot.Strategy):
        def on_bar(self, bar: Any) -> None:
            if not self.position():
                self.target(weight=0.9)
            last.append(self.equity())

    run = ot.backtest(Look, ot.sample("MSFT"), fees=ot.bps(5), start="2010-01-01")
    assert last[-1] == run.final_equity
    assert [float(x) for x in last[-50:]] == [float(x) for x in run.equity["equity"][-50:]]
