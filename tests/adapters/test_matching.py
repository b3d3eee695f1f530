"""The simulated core: who trades with whom, at which prices, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

import onetape as ot
from onetape.errors import SettingsError
from onetape.run.ports import Bar, CancelOrder, MassCancel, ModifyOrder, NewOrder, Trade
from onetape_sim import ledger
from onetape_sim.core import Core, end_of_day
from onetape_sim.fees import parse

from .benches import AAA, START, D, quote

NS = 1_000_000_000
NAME = AAA.id


class Exchange:
    """A core with one instrument, and what it said, in short."""

    def __init__(self, fees: str = "free", self_match: str = "skip") -> None:
        self.core = Core(parse(fees), {"USD": D(10_000)}, self_match)
        self.core.list(AAA)
        self.said: list[Any] = []

    def street(self, bid: Any, ask: Any, size: Any = 100, second: int = 0) -> list[str]:
        return self._after(lambda: self.core.row(quote(bid, ask, size, START + second * NS)))

    def send(self, name: str, side: Any, quantity: Any, **terms: Any) -> list[str]:
        account = terms.pop("account", "A")
        kind = terms.pop("kind", "LIMIT" if "price" in terms else "MARKET")
        for key in ("price", "trigger_price"):
            if key in terms:
                terms[key] = D(terms[key])
        order = NewOrder(name, account, NAME, side, kind, D(quantity), **terms)
        return self._after(lambda: self.core.submit(order))

    def modify(self, name: str, **terms: Any) -> list[str]:
        exact = {key: D(value) for key, value in terms.items()}
        return self._after(lambda: self.core.modify(ModifyOrder(name, None, NAME, **exact)))

    def cancel(self, name: str) -> list[str]:
        return self._after(lambda: self.core.cancel(CancelOrder(name, None, NAME)))

    def _after(self, act: Any) -> list[str]:
        act()
        new, self.core.ledger.out = self.core.ledger.out, []
        self.said += [report for _, report in new]
        return [short(report) for _, report in new]

    def held(self, account: str = "A") -> Any:
        return self.core.ledger.account(account).held.get(NAME, D(0))


def short(report: Any) -> str:
    name = type(report).__name__
    if name == "Filled":
        return f"{report.client_order_id} {report.side} {report.quantity} @ {report.price}"
    return f"{report.client_order_id} {name}"


def test_orders_of_two_accounts_trade_with_each_other_by_price_and_then_by_time() -> None:
    market = Exchange()
    market.send("late", "SELL", 5, price="101.00", account="B")
    market.send("first", "SELL", 5, price="100.50", account="B")
    market.send("second", "SELL", 5, price="100.50", account="C")
    assert market.send("taker", "BUY", 12, price="101.00") == [
        "taker Accepted",
        "first SELL 5 @ 100.50",
        "taker BUY 5 @ 100.50",
        "second SELL 5 @ 100.50",
        "taker BUY 5 @ 100.50",
        "late SELL 2 @ 101.00",
        "taker BUY 2 @ 101.00",
    ]
    assert (market.held("A"), market.held("B"), market.held("C")) == (12, -7, -5)


def test_at_one_price_whoever_was_there_first_trades_first_the_street_included() -> None:
    market = Exchange()
    market.send("early", "SELL", 5, price="100.50", account="B")
    market.street("100.40", "100.50", 10)
    market.send("late", "SELL", 5, price="100.50", account="C")
    market.send("taker", "BUY", 18)
    said = [short(report) for report in market.said]
    assert [each for each in said if " SELL " in each] == [
        "early SELL 5 @ 100.50",
        "late SELL 3 @ 100.50",
    ]
    taken = [r.basis.split()[0] for r in market.said if short(r).startswith("taker BUY")]
    assert taken == ["order", "quote", "order"]


def test_new_terms_lose_priority_when_the_price_changes_or_the_size_grows() -> None:
    market = Exchange()
    for name in ("one", "two", "three"):
        market.send(name, "SELL", 5, price="100.50", account="B")
    assert market.modify("one", quantity=6) == ["one Updated"]
    assert market.modify("two", quantity=4) == ["two Updated"]
    assert market.send("taker", "BUY", 5)[::2] == ["two SELL 4 @ 100.50", "three SELL 1 @ 100.50"]


def test_new_terms_that_cross_trade_at_once() -> None:
    market = Exchange()
    market.street("99.90", "100.10")
    market.send("one", "BUY", 5, price="99.00")
    assert market.modify("one", price="100.20") == ["one Updated", "one BUY 5 @ 100.10"]


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("skip", ["taker Accepted"]),
        ("allow", ["taker Accepted", "mine SELL 5 @ 100.50", "taker BUY 5 @ 100.50"]),
        ("cancel_resting", ["taker Accepted", "mine Canceled"]),
        ("cancel_aggressor", ["taker Accepted", "taker Canceled"]),
    ],
)
def test_orders_of_one_account_meet_as_configured(mode: str, said: list[str]) -> None:
    market = Exchange(self_match=mode)
    market.send("mine", "SELL", 5, price="100.50")
    assert market.send("taker", "BUY", 5, price="100.50") == said


def test_a_fill_and_a_cancel_race_and_the_later_one_is_told_so() -> None:
    market = Exchange()
    market.send("one", "BUY", 5, price="100.00")
    assert market.street("99.90", "100.00") == ["one BUY 5 @ 100.00"]
    assert market.cancel("one") == ["one CancelRejected"]
    assert "FILLED" in market.said[-1].reason


def test_a_reduce_only_order_never_grows_or_turns_a_position() -> None:
    market = Exchange()
    market.street("99.90", "100.10")
    assert market.send("flat", "SELL", 5, reduce_only=True) == ["flat Rejected"]
    market.send("open", "BUY", 3)
    assert market.send("more", "BUY", 3, reduce_only=True) == ["more Rejected"]
    assert market.send("close", "SELL", 5, reduce_only=True) == [
        "close Updated",
        "close SELL 3 @ 99.90",
    ]
    assert market.held() == 0


def test_a_touched_order_waits_for_the_market_to_come_to_it() -> None:
    market = Exchange()
    market.street("99.90", "100.10")
    buy = {"trigger_price": "99.50", "kind": "MARKET_IF_TOUCHED"}
    assert market.send("buy", "BUY", 5, **buy) == ["buy Accepted"]
    limit = {"trigger_price": "100.50", "price": "100.40", "kind": "LIMIT_IF_TOUCHED"}
    assert market.send("sell", "SELL", 5, **limit) == ["sell Accepted"]
    assert market.street("99.40", "99.50", second=1) == ["buy BUY 5 @ 99.50"]
    assert market.street("100.50", "100.60", second=2)[0] == "sell Triggered"
    assert market.held() == 0


def test_orders_end_when_their_time_is_over() -> None:
    market = Exchange()
    market.street("99.90", "100.10")
    market.send("gtd", "BUY", 5, price="99", time_in_force="GTD", expire_time=START + 2 * NS)
    market.send("day", "BUY", 5, price="99", time_in_force="DAY")
    assert market.street("99.90", "100.10", second=1) == []
    assert market.street("99.90", "100.10", second=2) == ["gtd Expired"]
    assert market.street("99.90", "100.10", second=86_400) == ["day Expired"]


def test_a_day_order_ends_with_the_exchanges_session() -> None:
    share = ot.equity("AAA.XNAS")  # 15:00 UTC is 10:00 in New York, which closes at 21:00 UTC
    assert end_of_day(share, START) == START + 6 * 3600 * NS
    assert end_of_day(AAA, START) == START + 9 * 3600 * NS


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"quantity": 0}, "not a positive multiple"),
        ({"quantity": "1.5"}, "not a positive multiple"),
        ({"quantity": 1, "price": "100.001"}, "not a multiple of the tick"),
        ({"quantity": 1, "price": "NaN"}, "not a multiple of the tick"),
        ({"quantity": 1, "kind": "TRAILING_STOP_MARKET"}, "not supported"),
        ({"quantity": 1, "kind": "STOP_MARKET"}, "needs a trigger price"),
        ({"quantity": 1, "kind": "LIMIT"}, "needs a price"),
        ({"quantity": 1, "time_in_force": "AT_THE_OPEN"}, "not currently supported"),
        ({"quantity": 1, "price": "99", "time_in_force": "GTD"}, "expire_time"),
        ({"quantity": 1, "price": "101", "post_only": True}, "would have been a TAKER"),
    ],
)
def test_what_does_not_fit_is_rejected_with_the_reason(terms: Any, reason: str) -> None:
    market = Exchange()
    market.street("99.90", "100.10")
    assert market.send("one", "BUY", **terms) == ["one Rejected"]
    assert reason in market.said[-1].reason


def test_a_halted_instrument_takes_no_orders_and_matches_none_but_lets_them_be_canceled() -> None:
    market = Exchange()
    market.send("one", "BUY", 5, price="100.00")
    market.send("two", "BUY", 5, price="100.00")
    market.core.halt(NAME, on=True)
    assert market.street("99.00", "99.50") == []
    assert market.send("three", "BUY", 5) == ["three Rejected"]
    assert market.cancel("two") == ["two Canceled"]
    assert market._after(lambda: market.core.halt(NAME, on=False)) == ["one BUY 5 @ 100.00"]


def test_a_bust_gives_everything_back_and_a_correction_changes_it() -> None:
    market = Exchange(fees="bps:10")
    market.street("99.90", "100.00")
    market.send("one", "BUY", 5)
    (fill,) = ledger.fills(market.core.ledger, "A", 0)
    market.core.correct(fill.trade_id, D(4), D("99.00"))
    account = market.core.ledger.account("A")
    assert (account.held[NAME], account.cash["USD"]) == (4, D(10_000) - 4 * 99 - D("0.50"))
    market.core.bust(fill.trade_id, "a mistake")
    assert (account.held, account.cash) == ({}, {"USD": D(10_000)})
    assert ledger.fills(market.core.ledger, "A", 0) == []


def test_a_mass_cancel_takes_one_accounts_orders_and_no_others() -> None:
    market = Exchange()
    for name, account in (("one", "A"), ("two", "A"), ("three", "B")):
        market.send(name, "BUY", 5, price="99", account=account)
    assert market.core.mass_cancel(MassCancel("A")) == 2
    assert list(market.core.ledger.working) == ["three"]


def test_on_trades_the_last_price_is_the_market() -> None:
    market = Exchange()
    market.core.row(Trade(NAME, START, D("100.00"), D(10), "BUY", "x", 1))
    assert market.send("one", "BUY", 5) == ["one BUY 5 @ 100.00"]


def test_on_bars_orders_wait_for_the_next_open_and_stops_trade_at_their_trigger() -> None:
    market = Exchange()
    bar = Bar(NAME, START, "1-MINUTE", D(100), D(102), D(98), D(101), D(1000), 1)
    market.core.row(bar)
    assert market.send("one", "BUY", 5) == []
    stop = {"trigger_price": "97.00", "kind": "STOP_MARKET"}
    market.send("stop", "SELL", 5, **stop)
    opened = market._after(lambda: market.core.opened(NAME, D("101.50"), START + 1))
    assert opened == ["one BUY 5 @ 101.50", "stop Accepted"]
    falls = Bar(NAME, START + 60 * NS, "1-MINUTE", D("101.5"), D(102), D(95), D(96), D(1000), 2)
    assert market._after(lambda: market.core.row(falls)) == ["stop SELL 5 @ 97.00"]


def test_fees_are_said_as_text_and_a_wrong_text_is_refused() -> None:
    assert parse("bps:20").commission(D(10), D(1000), D(0), False, "USD") == D("2.00")
    assert parse("maker_taker:-1:5").commission(D(10), D(1000), D(0), True, "USD") == D("-0.10")
    assert parse("per_share:0.01:1").commission(D(10), D(1000), D(0), True, "USD") == D("1.00")
    assert parse("bps:5").commission(D(1), D(1_000_001), D(0), True, "JPY") == D(500)
    for wrong in ("bps", "bps:x", "tiers:1", "bps:NaN"):
        with pytest.raises(SettingsError, match="expected"):
            parse(wrong)
