"""The gate's state: facts late, twice, out of order and taken back; restarts; states; overrides."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from onetape.risk.limitbook import book, to_json
from onetape.risk.state import InstrumentTerms, State
from onetape.tape import kinds, kinds_live

from .room import (
    NOON,
    SECOND,
    A,
    B,
    Prices,
    Room,
    accepted,
    ended,
    fill,
    full,
    intent,
    only,
    terms,
)

MINUTE = 60 * SECOND


def order(**more: Any) -> tuple[str, str, str]:
    return more.get("id", "O-1"), A, "S"


def initialized(one: Any) -> kinds.OrderInitialized:
    return kinds.OrderInitialized(
        one.client_order_id, one.instrument, one.strategy, one.side, one.type, one.quantity,
        "GTC", one.price, one.trigger_price, reduce_only=one.reduce_only,
    )  # fmt: skip


def cells(state: State) -> Any:
    found = state.keeping.sums.cells.items()
    return {key: (c.held, c.buys, c.sells, c.gross) for key, c in found}


def totals(state: State) -> Any:
    found = state.keeping.sums.totals.items()
    return {key: (t.gross, t.working, t.buying, t.orders, t.sent) for key, t in found}


def test_a_fill_after_the_cancel_still_moves_the_position_and_had_its_place_kept() -> None:
    room = Room(full(max_position=10))
    one = intent()
    assert room.send(one).allowed
    room.take(ended(one))
    again = intent(quantity=9, client_order_id="O-2", ts=NOON + SECOND)
    room.market.quote(A, "99.99", "100.01", again.ts)
    assert room.ask(again).code == "MAX_LONG"  # the ten may still come
    room.take(fill("O-1", 10), ts=NOON + SECOND)
    assert room.state.held("ACC", A) == 10
    assert room.ask(again).code == "MAX_LONG"


def test_a_canceled_order_counts_no_longer_once_late_fills_cannot_come() -> None:
    room = Room(full(max_position=10))
    one = intent()
    assert room.send(one).allowed
    room.take(ended(one))
    later = intent(client_order_id="O-2", ts=NOON + 2 * SECOND)
    room.market.quote(A, "99.99", "100.01", later.ts)
    version = room.state.version
    assert room.ask(later).allowed
    assert room.state.version == version


def test_a_rejected_order_counts_no_longer_at_once_and_may_be_tried_again() -> None:
    room = Room(full(max_position=10))
    one = intent()
    assert room.send(one, accept=False).allowed
    room.take(ended(one, kinds.OrderRejected))
    assert room.ask(intent(client_order_id="O-2")).allowed


def test_a_fill_before_the_accept_counts_once_and_answers_the_order() -> None:
    room = Room()
    one = intent()
    room.send(one, accept=False)
    assert room.state.keeping.unacked["XNAS"]
    room.take(fill("O-1", 4), accepted(one), fill("O-1", 4))
    assert not room.state.keeping.unacked["XNAS"]
    found = room.state.order("O-1")
    assert found is not None
    assert (found.left, room.state.held("ACC", A)) == (6, 4)


def test_a_voided_fill_is_as_if_it_had_not_been_and_a_correction_is_a_new_one() -> None:
    room = Room()
    room.send(intent())
    profit = room.state.keeping.sums.total("firm").cash.get("USD", Decimal(0))
    room.take(fill("O-1", 10, 99, "T"))
    void = kinds.OrderVoided(*order(), "T")
    room.take(void, void)
    assert room.state.held("ACC", A) == 0
    assert room.state.keeping.sums.total("firm").cash["USD"] == profit
    room.take(fill("O-1", 8, "99.5", "T"))
    assert room.state.held("ACC", A) == 8


def test_a_modify_in_flight_counts_at_the_worse_of_both_terms_until_it_is_answered() -> None:
    room = Room(full(max_position=30))
    one = intent("BUY", 10, "100.00")
    room.send(one)
    room.send(intent("BUY", 25, "99.00", kind="modify"))

    def room_left() -> Decimal:
        fits = [
            q for q in range(30) if room.ask(intent(quantity=q + 1, client_order_id="P")).allowed
        ]
        return Decimal(max(fits, default=-1) + 1)

    assert room_left() == 5
    room.take(kinds.OrderModifyRejected(*order(), "no"))
    assert room_left() == 20
    room.send(intent("BUY", 4, "99.00", kind="modify"))
    assert room_left() == 20
    room.take(kinds.OrderUpdated(*order(), Decimal(4), Decimal("99.00")))
    assert room_left() == 26


def test_own_prices_in_the_book_are_both_of_a_modify_in_flight() -> None:
    room = Room()
    room.send(intent("SELL", 5, "102.00"))
    room.send(intent("SELL", 5, "103.00", kind="modify"))
    crossing = intent("BUY", 1, "102.50", client_order_id="P")
    assert room.ask(crossing).code == "SELF_MATCH"
    room.take(kinds.OrderUpdated(*order(), Decimal(5), Decimal("103.00")))
    assert room.ask(crossing).allowed


def test_a_stop_limit_rests_once_it_is_triggered() -> None:
    room = Room()
    room.send(intent("SELL", 5, "99.00", type="STOP_LIMIT", trigger_price="99.50"))
    crossing = intent("BUY", 1, "99.00", client_order_id="P")
    assert room.ask(crossing).allowed
    room.take(kinds.OrderTriggered(*order()))
    assert room.ask(crossing).code == "SELF_MATCH"


def test_a_state_from_facts_alone_answers_as_the_one_that_was_told_of_intents() -> None:
    live = Room(full(max_position=40))
    again = State("USD", live.limits, account="ACC")
    for one in (terms(A), terms(B)):
        again.know(one)
    facts: list[kinds.Fact] = [
        kinds.AccountOpened("ACC", "margin", "USD", Decimal(2)),
        kinds.CashDeposited("ACC", "USD", Decimal(1_000_000)),
    ]
    for at, (side, quantity) in enumerate([("BUY", 10), ("SELL", 5), ("BUY", 20)]):
        one = intent(side, quantity, f"9{9 + at % 2}.00" if side == "BUY" else "101.00",
                     client_order_id=f"W-{at}", ts=NOON - (5 - at) * SECOND)  # fmt: skip
        live.market.quote(A, "99.99", "100.01", NOON)
        answer = live.ask(one)
        assert answer.allowed, answer
        live.state.intend(one, answer)
        told = kinds_live.RiskDecided(
            "allow", "submit", one.account, "S", A, one.client_order_id, one.side, one.quantity,
            one.price, reference=Decimal(100), reference_ts=NOON,
        )  # fmt: skip
        mine = [told, initialized(one), kinds.OrderSubmitted(one.client_order_id, A, "S", "ACC")]
        for fact in mine:
            live.take(fact, ts=one.ts)
        facts += mine
    more = [fill("W-0", 10, 99), fill("W-2", 5, 99)]
    live.take(*more)
    for fact in [*facts, *more]:
        again.take(fact, NOON - 5 * SECOND)
    mine, theirs = live.state.keeping, again.keeping
    assert cells(live.state) == cells(again)
    assert totals(live.state) == totals(again)
    assert mine.orders.keys() == theirs.orders.keys()
    assert all(order.heard == 0 for order in mine.orders.values())


@pytest.mark.parametrize("decided", [True, False])
def test_orders_are_counted_from_what_the_tape_says_with_or_without_a_decision(
    decided: bool,
) -> None:
    room = Room(full(max_position=10))
    one = intent("BUY", 10, "99.00", client_order_id="X")
    if decided:
        told = kinds_live.RiskDecided(
            "allow", "submit", "ACC", "S", A, "X", "BUY", Decimal(10), Decimal(99)
        )
        room.take(told)
        assert room.ask(intent(quantity=1)).code == "MAX_LONG"
    room.take(initialized(one), kinds.OrderSubmitted("X", A, "S", "ACC"), initialized(one))
    assert room.ask(intent(quantity=1)).code == "MAX_LONG"
    room.take(ended(one, kinds.OrderRejected), initialized(one))
    assert room.ask(intent(quantity=1)).allowed


def test_a_split_rescales_what_is_held_and_awaited_and_leaves_its_value() -> None:
    room = Room(full(max_position=60))
    room.hold(10)
    room.send(intent("BUY", 20, "95.00"))
    before = room.state.keeping.sums.totals["firm"].gross
    room.take(kinds.SplitApplied("ACC", A, Decimal(2)))
    assert room.state.held("ACC", A) == 20
    assert room.state.keeping.sums.totals["firm"].gross == before
    found = room.state.order("O-1")
    assert found is not None
    assert (found.quantity, found.price) == (40, Decimal("47.5"))
    room.market.quote(A, "49.99", "50.01")
    assert room.ask(intent(quantity=1, client_order_id="P")).code == "MAX_LONG"


def test_a_dividend_is_profit_of_who_holds() -> None:
    room = Room()
    room.hold(10)
    room.take(kinds.DividendPaid("ACC", A, Decimal(2), "USD"))
    assert room.state.keeping.sums.loss("account:ACC", NOON, True) == -20


# -- losses


def test_a_loss_counts_from_where_the_day_began() -> None:
    room = Room(full(drawdown_soft=None, drawdown_hard=None))
    room.hold(1_000)
    room.state.mark(A, Decimal(89), NOON)
    tomorrow = NOON + 86_400 * SECOND
    room.market.quote(A, "88.99", "89.01")
    assert room.ask(intent()).code == "LOSS_SOFT"
    assert room.state.keeping.sums.loss("firm", NOON, True) == 11_000
    room.market.quote(A, "88.99", "89.01", tomorrow)
    assert room.ask(intent(ts=tomorrow)).allowed
    room.state.mark(A, Decimal(78), tomorrow)
    room.market.quote(A, "77.99", "78.01", tomorrow)
    assert room.ask(intent(ts=tomorrow)).code == "LOSS_SOFT"


def test_after_a_soft_loss_only_exits_pass_and_after_a_hard_one_only_marked_ones() -> None:
    room = Room(full(drawdown_soft=None, drawdown_hard=None, max_position=9_999))
    room.hold(1_000)
    for price, plain in (("89", ""), ("79", "LOSS_HARD")):
        room.state.mark(A, Decimal(price), NOON)
        room.market.quote(A, price, price)
        assert room.ask(intent("SELL", 1_000)).code == plain
        assert room.ask(intent("SELL", 1_000, reduce_only=True)).allowed
        assert room.ask(intent("BUY", 1)).code in ("LOSS_SOFT", "LOSS_HARD")


def test_a_drawdown_counts_from_the_peak_over_days() -> None:
    room = Room(full(daily_loss_soft=None, daily_loss_hard=500_000, drawdown_soft=5_000))
    room.hold(1_000)
    room.state.mark(A, Decimal(104), NOON)
    tomorrow = NOON + 86_400 * SECOND
    room.state.mark(A, Decimal(100), tomorrow)
    assert room.state.keeping.sums.loss("firm", tomorrow, False) == 4_000
    room.state.mark(A, Decimal(99), tomorrow)
    room.market.quote(A, "98.99", "99.01", tomorrow)
    answer = room.ask(intent(ts=tomorrow))
    assert (answer.code, answer.limit) == ("LOSS_SOFT", "firm drawdown_soft")


def test_a_strategys_own_loss_stops_that_strategy_only() -> None:
    rules = [("strategy:*", "daily_loss_hard", 1_000)]
    room = Room(book(rules, "allow"))
    room.hold(1_000, strategy="S")
    room.state.mark(A, Decimal(99), NOON)
    room.market.quote(A, "98.99", "99.01")
    assert room.ask(intent()).code == "LOSS_HARD"
    assert room.ask(intent(strategy="T")).allowed


# -- sums over scopes


def test_each_scope_is_measured_on_its_own_sum() -> None:
    rules = [("firm", "max_gross", 3_000), ("account:*", "max_gross", 2_000),
             ("desk:D", "max_gross", 2_500), ("strategy:S", "max_gross", 1_500)]  # fmt: skip
    room = Room(book(rules, "allow"))
    room.state.know_account("ACC", desk="D")
    room.state.know_account("ACC2", desk="D", type="margin")
    room.hold(10, account="ACC", strategy="S")
    room.hold(10, account="ACC2", strategy="T")

    def told(quantity: int, account: str, strategy: str, desk: str) -> str:
        return room.ask(
            intent("BUY", quantity, "100.00", account=account, strategy=strategy, desk=desk)
        ).limit

    assert told(6, "ACC", "S", "D") == "desk:D max_gross"
    assert told(6, "ACC", "S", "") == "strategy:S max_gross"
    assert told(11, "ACC", "T", "") == "account:* max_gross"
    assert told(11, "ACC3", "U", "") == "firm max_gross"
    assert room.ask(intent("BUY", 5, "100.00", desk="D")).allowed


def test_what_is_held_without_a_rate_denies_instead_of_counting_nothing() -> None:
    room = Room()
    room.state.know(InstrumentTerms(B, Decimal("0.01"), "JPY"))
    room.hold(10, 50, B)
    answer = room.ask(intent())
    assert answer.code == "RISK_STATE_UNKNOWN"
    market = Prices(JPY="0.01").quote(A, "99.99", "100.01").quote(B, "49.99", "50.01")
    room.market = market
    room.state.revalue(market, NOON)
    assert room.ask(intent()).allowed


def test_gross_counts_both_sides_where_two_instruments_are_held() -> None:
    room = Room(only(max_gross=2_000, max_net=700))
    room.hold(10)
    room.state.mark(B, Decimal(50), NOON)
    assert room.ask(intent("SELL", 20, "50.00", instrument=B)).allowed
    assert room.ask(intent("SELL", 21, "50.00", instrument=B)).code == "GROSS_EXPOSURE"
    assert room.ask(intent("BUY", 1)).code == "NET_EXPOSURE"


# -- repeats, duplicates, silence


def test_a_strategy_that_repeats_stays_off_until_two_named_persons_turn_it_on() -> None:
    room = Room(full(repeat_count=2, repeat_seconds=60))
    for at in range(2):
        one = intent(quantity=at + 1, client_order_id=f"R-{at}")
        room.send(one)
        room.take(fill(one.client_order_id, at + 1))
    later = NOON + 3_600 * SECOND
    room.market.quote(A, "99.99", "100.01", later)
    assert room.ask(intent(ts=later)).code == "REPEAT_EXEC"
    assert room.ask(intent("SELL", ts=later)).allowed
    assert room.ask(intent(ts=later, strategy="T")).allowed
    room.take(kinds_live.RiskMoved("strategy:S", "ACTIVE", "why", "ann", "Ann "))
    assert room.ask(intent(ts=later)).code == "REPEAT_EXEC"
    room.take(kinds_live.RiskMoved("strategy:S", "ACTIVE", "looked at", "ann", "bob"))
    assert room.ask(intent(ts=later)).allowed


def test_executions_further_apart_are_no_repeats_and_one_order_in_parts_is_one() -> None:
    room = Room(full(repeat_count=2, repeat_seconds=60))
    for at in range(5):
        ts = NOON + at * MINUTE
        one = intent(quantity=at + 2, client_order_id=f"R-{at}", ts=ts)
        room.market.quote(A, "99.99", "100.01", ts)
        assert room.send(one).allowed
        for part in range(at + 2):
            room.take(fill(one.client_order_id, 1, trade=f"T-{at}-{part}"), ts=ts)


def test_an_equal_order_is_a_repeat_until_the_time_is_over() -> None:
    room = Room()
    assert room.send(intent()).allowed
    half = SECOND // 2
    for ts, code in ((NOON + half - 1, "DUPLICATE"), (NOON + half, "")):
        room.market.quote(A, "99.99", "100.01", ts)
        assert room.ask(intent(client_order_id="O-2", ts=ts)).code == code
    for other in ({"quantity": 11}, {"side": "SELL"}, {"price": "99.00"}):
        assert room.ask(intent(client_order_id="O-2", **other)).allowed
    assert room.ask(intent()).code == "DUPLICATE"  # its own id, answered already


def test_as_many_unanswered_orders_as_allowed_may_wait() -> None:
    room = Room()
    for at in range(6):
        room.state.intend(intent(quantity=at + 1, client_order_id=f"U-{at}", ts=NOON - 6 * SECOND))
    assert room.ask(intent(quantity=50)).code == "UNACKED"
    room.take(accepted(intent(client_order_id="U-3")))
    assert room.ask(intent(quantity=50)).allowed
    assert room.ask(intent(quantity=50, venue="XNYS")).allowed


# -- overrides


def grant(**more: Any) -> kinds_live.OverrideGranted:
    told = {"client_order_id": "O-1", "checks": ("R08", "R16"), "who": "ann", "second": "bob",
            "reason": "agreed", "expires": NOON + 15 * MINUTE} | more  # fmt: skip
    return kinds_live.OverrideGranted(**told)  # type: ignore[arg-type]


def test_an_override_lets_one_named_order_pass_once() -> None:
    room = Room(full(max_order_notional=10, max_gross=10))
    room.take(grant())
    assert room.ask(intent(client_order_id="O-2")).code == "MAX_VALUE"
    answer = room.send(intent())
    assert answer.allowed
    assert answer.others == ("MAX_VALUE", "GROSS_EXPOSURE")
    assert "ann and bob" in answer.detail
    room.take(ended(intent(), kinds.OrderRejected))
    assert room.ask(intent()).code != ""
    room.take(grant(expires=NOON + 60 * SECOND))
    assert room.ask(intent(client_order_id="O-1", kind="submit")).code != ""  # reuse is refused


@pytest.mark.parametrize(
    "wrong",
    [
        {"second": "ann"},
        {"second": " ANN"},
        {"second": ""},
        {"who": ""},
        {"expires": NOON + 15 * MINUTE + 1},
        {"expires": NOON},
        {"checks": ("R09",)},
    ],
)
def test_an_override_that_breaks_its_rules_grants_nothing(wrong: dict[str, Any]) -> None:
    room = Room(full(max_order_notional=10))
    room.take(grant(**wrong))
    assert room.ask(intent()).code == "MAX_VALUE"


def test_an_override_ends_and_never_passes_a_state_or_what_is_not_known() -> None:
    room = Room(full(max_order_notional=10))
    room.take(grant(checks=("R01", "R02", "R08"), expires=NOON + MINUTE))
    assert room.ask(intent()).allowed
    room.market.quote(A, "99.99", "100.01", NOON + MINUTE)
    assert room.ask(intent(ts=NOON + MINUTE)).code == "MAX_VALUE"
    room.market.quote(A, "99.99", "100.01", NOON)
    room.take(kinds_live.RiskMoved("firm", "HALTED", "why", "ann"))
    assert room.ask(intent()).code == "STATE_HALTED"


# -- states, kills, limits


def test_a_kill_halts_its_scope_until_it_is_armed_again() -> None:
    room = Room()
    for state in ("CANCELLING", "VERIFYING", "KILLED"):
        room.take(kinds_live.KillMoved("K", "strategy:S", state, "ann", "why"))
        assert room.ask(intent()).code == "STATE_HALTED"
    assert room.ask(intent(strategy="T")).allowed
    room.take(kinds_live.KillMoved("K", "strategy:S", "ARMED", "ann", "why", second="bob"))
    assert room.ask(intent()).allowed


def test_in_a_reducing_scope_exits_together_never_pass_zero() -> None:
    room = Room()
    room.hold(10)
    room.take(kinds_live.RiskMoved("firm", "REDUCING", "why", "ann"))
    assert room.ask(intent("BUY", 1)).code == "WOULD_INCREASE"
    assert room.ask(intent("SELL", 11)).code == "WOULD_INCREASE"
    assert room.send(intent("SELL", 6)).allowed
    assert room.ask(intent("SELL", 5, client_order_id="O-2")).code == "WOULD_INCREASE"
    assert room.ask(intent("SELL", 4, client_order_id="O-2")).allowed
    assert room.ask(intent("SELL", 10, kind="modify")).allowed


def test_limits_that_are_set_on_the_tape_are_those_that_rates_are_folded_under() -> None:
    room = Room()
    new = full(message_rate=10)
    told = kinds_live.LimitsSet(new.version, to_json(new), "", "ann", "bob", "why")
    room.take(told)
    room.limits = new
    assert room.ask(intent()).allowed
