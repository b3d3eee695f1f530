"""Each check is load-bearing: what it denies passes when it alone is taken out of the table."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from onetape.risk.checks import CHECKS, Check, decide, decide_list
from onetape.risk.intent import Decision, Intent, Reference
from onetape.risk.limitbook import LIMITS
from onetape.tape import kinds_live

from .room import (
    FULL,
    NOON,
    SECOND,
    A,
    B,
    Room,
    accepted,
    ended,
    fill,
    full,
    intent,
    terms,
)  # fmt: skip

Story = tuple[Room, Intent]


def _missing() -> Story:
    return Room(full(max_order_quantity=None)), intent()


def _halted() -> Story:
    room = Room()
    room.take(kinds_live.RiskMoved("strategy:S", "HALTED", "why", "ann"))
    return room, intent()


def _cancel_only() -> Story:
    room = Room()
    room.take(kinds_live.RiskMoved("venue:XNAS", "CANCEL_ONLY", "why", "ann"))
    return room, intent()


def _killed() -> Story:
    room = Room()
    room.take(kinds_live.KillMoved("K", "account:ACC", "CANCELLING", "ann", "why"))
    return room, intent()


def _down() -> Story:
    room = Room()
    room.take(kinds_live.VenueMoved("XNAS", "disconnected"))
    return room, intent()


def _silent_venue() -> Story:
    room = Room()
    for at in range(6):
        one = intent(quantity=at + 1, client_order_id=f"U-{at}", ts=NOON - 6 * SECOND)
        room.state.intend(one)
    return room, intent(quantity=50)


def _with(**changes: Any) -> Callable[[], Story]:
    return lambda: (Room(full(**changes)), intent())


def _sends(**more: Any) -> Callable[[], Story]:
    return lambda: (Room(), intent(**more))


def _no_price() -> Story:
    room = Room(full(max_order_notional=None, max_gross=None, max_net=None, absent="allow",
                     max_daily_notional=None, max_cash_use=None, max_margin_use=None,
                     max_concentration=None, deploy_order_notional=None,
                     deploy_position_notional=None))  # fmt: skip
    room.market.references.clear()
    return room, intent()


def _stale() -> Story:
    room = Room()
    room.market.quote(A, "99.99", "100.01", NOON - 2 * SECOND - 1)
    return room, intent()


def _drifted() -> Story:
    room = Room(full(self_match=False))
    for at, price in enumerate(("100.00", "104.00", "108.00")):
        room.market.quote(A, exact_less(price), price)
        sent = room.send(intent("BUY", 1, price, client_order_id=f"D-{at}"))
        assert sent.allowed, sent
    room.market.quote(A, "110.00", "110.01")
    return room, intent("BUY", 1, "110.01")


def exact_less(price: str) -> Decimal:
    return Decimal(price) - Decimal("0.01")


def _noisy() -> Story:
    room = Room(full(message_rate=1, message_burst=10, max_unacked=100))
    for at in range(8):
        room.state.intend(intent(quantity=at + 1, client_order_id=f"N-{at}"))
    return room, intent(quantity=50)


def _repeating() -> Story:
    room = Room(full(repeat_count=3))
    for at in range(3):
        one = intent(quantity=at + 1, client_order_id=f"R-{at}", ts=NOON - SECOND + at)
        assert room.send(one).allowed
        room.take(fill(one.client_order_id, at + 1), ts=one.ts)
    return room, intent(quantity=50)


def _twice() -> Story:
    room = Room()
    assert room.send(intent(ts=NOON - SECOND // 2 + 1)).allowed
    return room, intent(client_order_id="O-2")


def _meets_itself() -> Story:
    room = Room()
    assert room.send(intent("SELL", 5, "100.01", client_order_id="R", strategy="T")).allowed
    return room, intent("BUY", 5, "100.01")


def _many_open() -> Story:
    room = Room(full(max_open_orders=2))
    for at in range(2):
        assert room.send(intent("BUY", 1, f"9{at}", client_order_id=f"M-{at}")).allowed
    return room, intent()


def _short_of_cash() -> Story:
    return Room(kind="cash", cash=1_111), intent("BUY", 10, "100.00")


def _short_of_margin() -> Story:
    # half of 1,000 is margin at a leverage of two; equity 555, of which nine tenths may be used
    return Room(full(max_concentration=10), cash=555), intent("BUY", 10, "100.00")


def _reduce_only_grows() -> Story:
    room = Room()
    room.hold(9)
    return room, intent("SELL", 10, reduce_only=True)


def _flips() -> Story:
    room = Room()
    room.hold(-10)
    room.take(kinds_live.RiskMoved("firm", "REDUCING", "why", "ann"))
    return room, intent("BUY", 1_000, price="100.00")


def _lost(down: str) -> Story:
    room = Room(full(drawdown_soft=None, drawdown_hard=None))
    room.hold(1_000, 100)
    room.market.quote(A, Decimal(down), Decimal(down))
    room.state.mark(A, Decimal(down), NOON)
    return room, intent("BUY", 1)


def _listed() -> Story:
    return Room(), intent(quantity=1)


STORIES: list[tuple[str, str, Callable[[], Story]]] = [
    ("R01", "NO_LIMIT", _missing),
    ("R02", "STATE_HALTED", _halted),
    ("R02", "STATE_CANCEL_ONLY", _cancel_only),
    ("R02", "STATE_HALTED", _killed),
    ("R26", "SESSION_DOWN", _down),
    ("R25", "UNACKED", _silent_venue),
    ("R03", "NOT_PERMITTED", _with(allow_instruments=[B])),
    ("R03", "NOT_PERMITTED", _with(allow_venues=["XNYS"])),
    ("R03", "NOT_PERMITTED", _with(allow_types=["LIMIT"])),
    ("R03", "ALGO_NOT_APPROVED",
     lambda: (Room(full(approved_algos=["good"])), intent(algo="other"))),
    ("R04", "RESTRICTED", _with(restricted=["*.XNAS"])),
    ("R04", "NO_LOCATE", lambda: (Room(full(shortable=[B])), intent("SELL"))),
    ("R27", "UNTAGGED", _sends(trader="")),
    ("R27", "UNTAGGED", _with(client_tagged=True)),
    ("R22", "INCREMENT", _sends(price="100.005")),
    ("R22", "INCREMENT", _sends(quantity="1.5")),
    ("R22", "PHASE", _sends(expire_time=NOON)),
    ("R05", "NO_REF_PRICE", _no_price),
    ("R05", "STALE_REF_PRICE", _stale),
    ("R06", "PRICE_COLLAR", _sends(price="105.02")),
    ("R07", "PRICE_DRIFT", _drifted),
    ("R08", "MAX_VALUE", _with(max_order_notional="1000.09")),
    ("R09", "MAX_VOLUME", _with(max_order_quantity=9)),
    ("R10", "MSG_RATE", _noisy),
    ("R11", "REPEAT_EXEC", _repeating),
    ("R12", "DUPLICATE", _twice),
    ("R13", "SELF_MATCH", _meets_itself),
    ("R14", "OPEN_ORDERS", _many_open),
    ("R15", "MAX_LONG", _with(max_long=9)),
    ("R15", "MAX_SHORT", lambda: (Room(full(max_short=9)), intent("SELL"))),
    ("R16", "GROSS_EXPOSURE", _with(max_gross="1000.09")),
    ("R16", "NET_EXPOSURE", _with(max_net="1000.09")),
    ("R17", "CREDIT_LIMIT", _with(max_daily_notional="1000.09")),
    ("R18", "CASH", _short_of_cash),
    ("R18", "MARGIN", _short_of_margin),
    ("R19", "WOULD_INCREASE", _reduce_only_grows),
    ("R19", "WOULD_INCREASE", _flips),
    ("R20", "LOSS_SOFT", lambda: _lost("90")),
    ("R20", "LOSS_HARD", lambda: _lost("80")),
    ("R21", "CONCENTRATION", _with(max_concentration="0.001")),
    ("R28", "DEPLOY_CAP", _with(deploy_instruments=[B])),
    ("R28", "DEPLOY_CAP", _with(deploy_order_notional="1000.09")),
    ("R28", "DEPLOY_CAP", _with(deploy_position_notional="1000.09")),
    ("R24", "LIST_DENIED", _listed),
]  # fmt: skip


def asked(room: Room, one: Intent, code: str, checks: tuple[Check, ...]) -> Decision:
    if code != "LIST_DENIED":
        return decide(one, room.market, room.state, room.limits, checks=checks)
    bad = intent("BUY", 5_000, client_order_id="O-2")
    return decide_list([one, bad], room.market, room.state, room.limits, checks=checks)[0]


@pytest.mark.parametrize(("id", "code", "story"), STORIES, ids=lambda one: str(one)[:20])
def test_an_intent_denied_by_one_check_passes_once_that_check_is_taken_away(
    id: str, code: str, story: Callable[[], Story]
) -> None:
    room, one = story()
    answer = asked(room, one, code, CHECKS)
    assert (answer.verdict, answer.code, answer.check) == ("deny", code, id), answer
    without = tuple(c for c in CHECKS if not (c.id == id and _same(c, code, answer)))
    assert len(without) < len(CHECKS)
    if code == "LOSS_HARD":
        assert "LOSS_SOFT" not in answer.others  # one check, its first word
    assert asked(room, one, code, without).allowed, asked(room, one, code, without)


def _same(check: Check, code: str, answer: Decision) -> bool:
    if code != "WOULD_INCREASE":
        return code in check.codes
    return (check.limits == ()) == answer.limit.endswith("REDUCING")


def test_every_check_and_every_code_has_a_story() -> None:
    told = {(id, code) for id, code, _ in STORIES}
    untold = {(c.id, code) for c in CHECKS for code in c.codes} - told
    assert untold == {("R01", "RISK_STATE_UNKNOWN"), ("R01", "GATE_ERROR"), ("R08", "NO_REF_PRICE")}


def test_every_limit_belongs_to_a_check_of_the_table_and_back() -> None:
    of_checks = {name for check in CHECKS for name in check.limits}
    assert of_checks == LIMITS.keys() - {"late_fill_seconds"}
    more = {"max_long", "max_short", "client_tagged", "max_adv_fraction"}
    assert set(FULL) | more == LIMITS.keys()
    for check in CHECKS:
        assert all(LIMITS[name].check == check.id for name in check.limits)


# -- boundaries: equal passes, the next step does not


@pytest.mark.parametrize(
    ("limits", "good", "bad", "code"),
    [
        ({"max_order_quantity": 10}, intent(quantity=10), intent(quantity=11), "MAX_VOLUME"),
        ({"max_order_notional": "1000.10"}, intent(), intent(quantity=11), "MAX_VALUE"),
        ({"max_position": 10}, intent("SELL"), intent("SELL", 11), "MAX_SHORT"),
        ({"max_position": 10}, intent(), intent(quantity=11), "MAX_LONG"),
        ({"max_gross": "1000.10"}, intent(), intent(quantity=11), "GROSS_EXPOSURE"),
        ({"max_net": "1000"}, intent("SELL"), intent("SELL", 11), "NET_EXPOSURE"),
        ({"max_daily_notional": "1000.10"}, intent(), intent(quantity=11), "CREDIT_LIMIT"),
        ({"price_collar": "0.05"}, intent(price="105.01"), intent(price="105.02"), "PRICE_COLLAR"),
        ({}, intent("SELL", price="95.00"), intent("SELL", price="94.98"), "PRICE_COLLAR"),
        ({}, intent(price="50.01"), intent(price="50.00"), "PRICE_COLLAR"),
        ({}, intent("SELL", type="STOP_MARKET", trigger_price="80"),
         intent("SELL", type="STOP_MARKET", trigger_price="79.99"), "PRICE_COLLAR"),
        ({}, intent("BUY", type="STOP_MARKET", trigger_price="120"),
         intent("BUY", type="STOP_MARKET", trigger_price="120.01"), "PRICE_COLLAR"),
        ({}, intent(price="105.00", type="STOP_LIMIT", trigger_price="100.00"),
         intent(price="105.01", type="STOP_LIMIT", trigger_price="100.00"), "PRICE_COLLAR"),
        ({"max_concentration": "0.0010001"}, intent(), intent(quantity=11), "CONCENTRATION"),
    ],
)  # fmt: skip
def test_equal_to_a_limit_passes_and_beyond_it_does_not(
    limits: dict[str, Any], good: Intent, bad: Intent, code: str
) -> None:
    room = Room(full(**limits))
    assert room.ask(good).allowed, room.ask(good)
    assert code in (room.ask(bad).code, *room.ask(bad).others)


def test_a_market_order_is_judged_by_the_far_touch_against_the_reference() -> None:
    room = Room(full(self_match=False))
    room.market.references[A] = Reference(Decimal(100), "last", NOON, Decimal(99), Decimal(106))
    assert room.ask(intent("BUY")).code == "PRICE_COLLAR"
    assert room.ask(intent("SELL")).allowed


def test_collars_are_of_the_kind_of_instrument_unless_a_tighter_one_applies() -> None:
    from onetape.risk.limitbook import book

    rules = [("kind:equity", "price_collar", "0.05"), ("kind:fx", "price_collar", "0.01"),
             ("instrument:" + B, "price_collar", "0.001")]  # fmt: skip
    room = Room(book(rules, "allow"))
    assert room.ask(intent(price="105.00")).allowed
    assert room.ask(intent(price="50.10", instrument=B)).code == "PRICE_COLLAR"


def test_a_price_as_old_as_allowed_is_fresh_and_a_stale_feed_is_not() -> None:
    room = Room()
    room.market.quote(A, "99.99", "100.01", NOON - 2 * SECOND)
    assert room.ask(intent()).allowed
    for instrument in (A, None):
        room.take(kinds_live.FeedMoved("feed", instrument, "gap"))
        assert room.ask(intent()).code == "STALE_REF_PRICE"
        room.take(kinds_live.FeedMoved("feed", instrument, "live"))
        assert room.ask(intent()).allowed
    room.market.quote(A, "99.99", "100.01", stale=True)
    assert room.ask(intent()).code == "STALE_REF_PRICE"


def test_all_checks_are_evaluated_and_the_first_of_the_table_is_the_decisions_code() -> None:
    room = Room(full(max_order_notional=10, max_order_quantity=1, max_gross=10))
    answer = room.ask(intent(price="110.005", trader=""))
    assert (answer.check, answer.code) == ("R27", "UNTAGGED")
    assert answer.others == (
        "INCREMENT", "PRICE_COLLAR", "MAX_VALUE", "MAX_VOLUME", "GROSS_EXPOSURE",
    )  # fmt: skip


def test_a_denial_names_the_rule_what_was_seen_the_threshold_and_the_versions() -> None:
    room = Room(full(max_order_quantity=9))
    answer = room.ask(intent())
    assert (answer.limit, answer.observed, answer.threshold) == ("firm max_order_quantity", 10, 9)
    assert answer.limits_version == room.limits.version
    assert answer.state_version == room.state.version
    assert answer.reference is not None
    assert answer.reference.price == 100


def test_an_allowed_decision_names_the_limit_that_it_came_nearest_to() -> None:
    room = Room(full(max_order_quantity=11))
    answer = room.ask(intent())
    assert (answer.check, answer.observed, answer.threshold) == ("R09", 10, 11)


def test_a_session_is_tried_in_the_instruments_own_time() -> None:
    room = Room()
    room.state.know(terms(session=("09:30", "16:00"), tz="America/New_York"))

    def at(hours: float, day: int = 0, **more: Any) -> Decision:
        ts = NOON + day * 86_400 * SECOND + int(hours * 3_600) * SECOND
        room.market.quote(A, "99.99", "100.01", ts)
        return room.ask(intent(ts=ts, **more))

    assert at(2.5).allowed  # 09:30 in New York
    assert at(9).allowed  # 16:00, its end
    assert at(9.01).code == at(2.49).code == "PHASE"
    assert at(2.49, time_in_force="AT_THE_OPEN").allowed
    assert at(4, day=3).code == "PHASE"  # Saturday
    room.state.know(terms(expiry=NOON))
    assert at(0).code == "PHASE"


def test_bounds_of_the_instrument_are_kept() -> None:
    room = Room()
    room.state.know(
        terms(
            step=Decimal(5), min_quantity=Decimal(10), max_quantity=Decimal(20), adv=Decimal(1_500)
        )
    )
    codes = [room.ask(intent(quantity=q)).code for q in (5, 7, 10, 20, 25)]
    assert codes == ["INCREMENT", "INCREMENT", "", "", "INCREMENT"]
    room.under(full(max_adv_fraction="0.01"))
    assert room.ask(intent(quantity=15)).allowed
    assert room.ask(intent(quantity=20)).code == "MAX_VOLUME"


def test_an_order_in_another_currency_is_valued_at_its_rate_and_not_without_one() -> None:
    room = Room(full(max_order_notional="1100.11"))
    room.state.know(_euro())
    assert room.ask(intent(price="100.01")).code == "RISK_STATE_UNKNOWN"
    room.market.rates["EUR"] = Decimal("1.1")
    assert room.ask(intent(price="100.01")).allowed
    assert room.ask(intent(price="100.02")).code == "MAX_VALUE"


def _euro() -> Any:
    from onetape.risk.state import InstrumentTerms

    return InstrumentTerms(A, Decimal("0.01"), "EUR")


def test_a_working_order_rests_only_where_it_can_be_met() -> None:
    room = Room()
    stop = intent("SELL", 5, type="STOP_MARKET", trigger_price="95", client_order_id="STOP")
    assert room.send(stop).allowed
    assert room.send(intent("SELL", 5, "101.00", client_order_id="FAR")).allowed
    assert room.ask(intent("BUY", 5, "100.99")).allowed
    assert room.ask(intent("BUY", 5, "101.00")).code == "SELF_MATCH"
    assert room.ask(intent("BUY", 5, "101.00", post_only=True)).allowed
    far = intent("SELL", 5, "101.00", client_order_id="FAR")
    room.take(ended(far))
    assert room.ask(intent("BUY", 5, "101.00")).allowed
    assert accepted(far).account == "ACC"
