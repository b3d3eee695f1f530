"""Why a session did not earn what the backtest of the same day did."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import msgspec
import polars as pl
import pytest
from books.stories import opened
from hypothesis import given, settings
from hypothesis import strategies as st

import onetape as ot
from onetape.books.exact import EXACT
from onetape.books.positions import positions
from onetape.errors import MarketDataError
from onetape.market.dataset import Dataset
from onetape.market.instruments import Instrument
from onetape.results.drift import Drift, drift
from onetape.tape import kinds, kinds_live
from onetape.tape.event import Event, Lineage
from onetape.tape.recording import Recording

D = Decimal
S = 1_000_000_000
START = 1_704_672_000 * S
SIZES = {"GOOG": D(1), "ES": D(50)}
INSTRUMENTS = tuple(
    msgspec.json.encode(
        Instrument(kind=kind, id=name, tick=D("0.01"), currency="USD", multiplier=SIZES[name])
    ).decode()
    for name, kind in (("GOOG", "equity"), ("ES", "future"))
)


class Day:
    """A run in words: decisions by the second of the row that led to them."""

    def __init__(self, **terms: Any) -> None:
        told = opened(instruments=INSTRUMENTS, **terms)
        self.facts: list[tuple[Any, int, int | None, Lineage | None]] = [(told, 0, None, None)]
        self.orders = 0

    def add(self, fact: Any, at: float, cause: int | None = None, row: float | None = None) -> int:
        seen = None if row is None else Lineage("feed", "quote", ns(row), "c0de", "p", "1")
        self.facts.append((fact, ns(at), cause, seen))
        return len(self.facts)

    def decide(self, at: float, name: str, quantity: object, strategy: str = "S") -> int:
        made = kinds.DecisionMade(strategy, "order", name, D(str(quantity)))
        return self.add(made, at, row=at)

    def order(
        self,
        at: float,
        quantity: object,
        price: object = None,
        *,
        filled: object = None,
        late: float = 0,
        fee: object = 0,
        name: str = "GOOG",
        refused: str = "",
        code: str = "USD",
        strategy: str = "S",
    ) -> Day:
        """Want `quantity` (negative: sell) at a row's time; filled wholly where a price is told."""
        size = D(str(quantity))
        side = "BUY" if size > 0 else "SELL"
        cause = self.decide(at, name, size, strategy)
        self.orders += 1
        ids = (f"O{self.orders}", name, strategy)
        terms = (side, "MARKET", abs(size), "GTC")
        cause = self.add(kinds.OrderInitialized(*ids, *terms), at, cause)
        if refused:
            self.add(kinds.OrderDenied(*ids, refused), at, cause)
        if price is not None:
            done = abs(size) if filled is None else D(str(filled))
            trade = (f"V{self.orders}", f"T{len(self.facts)}", side, done, D(str(price)), "USD")
            fill = kinds.OrderFilled(*ids, "A", *trade, D(str(fee)), code, "TAKER")
            self.add(fill, at + late, cause)
        return self

    @property
    def run(self) -> ot.Run:
        events = [
            Event(seq, ts, ts, "run", fact, cause, lineage)
            for seq, (fact, ts, cause, lineage) in enumerate(self.facts, 1)
        ]
        return ot.Run(Recording.of(events))


def ns(seconds: float) -> int:
    return START + int(seconds * S)


def between(left: Day, right: Day, **marks: object) -> Drift:
    given = {name: D(str(price)) for name, price in ({"GOOG": 100, "ES": 100} | marks).items()}
    found = drift(left.run, right.run, marks=given)
    assert found.total == found.gap
    assert found.residual == 0
    return found


def causes(found: Drift) -> list[tuple[str, Decimal]]:
    return [(one.kind, one.amount) for one in found.items if one.kind != "residual"]


def test_the_same_day_has_no_drift():
    found = between(Day().order(1, 10, 99), Day().order(1, 10, 99))
    assert found.identical
    assert found.sequence_equal
    assert (found.pnl, found.gap, found.parted) == (10, 0, None)
    assert repr(found) == "no drift: the same orders, fills and P&L of 10.00 USD"


def test_another_price_from_the_same_quote_is_price():
    found = between(Day().order(1, 10, 99), Day().order(1, 10, "99.5"))
    assert causes(found) == [("price", D(-5))]
    assert not found.sequence_equal
    assert found.parted == 1


def test_a_fill_at_another_time_is_timing():
    found = between(Day().order(1, 10, 99), Day().order(1, 10, "99.2", late=0.25))
    assert causes(found) == [("timing", D(-2))]
    assert "filled 0.250 s later, at 99 and 99.2" in found.items[0].detail
    same = drift(Day().order(1, 10, 99).run, Day().order(1, 10, 99, late=0.25).run, tolerance_ns=S)
    assert same.identical


def test_a_decision_at_another_row_is_timing():
    found = between(Day().order(1, 10, 99), Day().order(3, 10, 98))
    assert causes(found) == [("timing", D(10))]
    assert "decided 2.000 s later" in found.items[0].detail


def test_fees_are_told_apart_from_prices():
    found = between(Day().order(1, 10, 99, fee=1), Day().order(1, 10, 98, fee="1.5"))
    assert causes(found) == [("price", D(10)), ("fees", D("-0.5"))]
    assert found.by_kind() == {"price": 10, "fees": D("-0.5"), "residual": 0}


def test_a_part_that_was_not_filled_is_quantity():
    found = between(Day().order(1, 10, 99), Day().order(1, 10, 98, filled=4))
    assert causes(found) == [("price", D(4)), ("quantity", D(-6))]
    assert "10 and 4 filled" in found.items[1].detail


def test_a_decision_of_one_run_only_is_missed_or_extra():
    left, right = Day().order(1, 10, 99).order(2, -10, 101), Day().order(1, 10, 99)
    assert causes(between(left, right)) == [("missed", D(-10))]
    assert causes(between(right, left)) == [("extra", D(10))]


def test_a_missed_decision_does_not_shift_those_that_follow():
    left = Day().order(1, 10, 99).order(2, -10, 101).order(3, 10, 98).order(4, -10, 99)
    right = Day().order(1, 10, 99).order(3, 10, 98).order(4, -10, 99)
    assert [kind for kind, _ in causes(between(left, right))] == ["missed"]


def test_an_order_that_was_refused_in_one_run_says_why():
    found = between(Day().order(1, 10, 99), Day().order(1, 10, refused="too large"))
    assert causes(found) == [("refused", D(-10))]
    assert found.items[0].detail == "the other was refused: too large"


def test_a_limit_that_stopped_an_order_before_it_was_made_is_a_refusal():
    right = Day()
    cause = right.decide(1, "GOOG", 10)
    terms = ("submit", "A", "S", "GOOG", "O9", "BUY", D(10))
    right.add(kinds_live.RiskDecided("deny", *terms, code="MAX_QTY", limit="firm"), 1, cause)
    assert causes(between(Day().order(1, 10, 99), right)) == [("refused", D(-10))]
    early = Day()
    cause = early.decide(1, "GOOG", 10)
    early.add(kinds.RiskDenied("S", "GOOG", "max_order", D(10), D(5), "BUY", D(10)), 1, cause)
    assert causes(between(Day().order(1, 10, 99), early)) == [("refused", D(-10))]


def test_other_code_is_the_cause_of_other_decisions():
    found = between(Day().order(1, 10, 99), Day(code_hash="other").order(2, 5, 99))
    assert [kind for kind, _ in causes(found)] == ["code", "code", "code"]
    assert found.items[0].detail == "the strategies' code differs: c0de and other"


def test_other_parameters_are_named():
    found = between(Day().order(1, 10, 99), Day(params={"fast": 5}))
    assert causes(found) == [("params", D(0)), ("params", D(-10))]
    assert found.items[0].detail == "parameters differ: fast 3 and 5"


def test_a_multiplier_counts():
    found = between(Day().order(1, 2, 99, name="ES"), Day().order(1, 2, 98, name="ES"))
    assert (found.pnl, found.gap) == (100, 100)


def test_one_strategy_each_is_the_same_under_whatever_name():
    left, right = Day().order(1, 10, 99), Day().order(1, 10, 99, strategy="EmaCross-000")
    assert causes(between(left, right)) == []


def test_a_split_and_a_dividend_keep_the_sum_exact():
    left, right = Day().order(1, 10, 99), Day().order(1, 10, 98)
    for day, amount in ((left, "1"), (right, "1.1")):
        day.add(kinds.SplitApplied("A", "GOOG", D(3)), 5)
        day.add(kinds.DividendPaid("A", "GOOG", D(amount), "USD"), 6)
    found = between(left, right, GOOG=40)
    assert found.pnl == 30 * 40 - 990 + 30
    assert causes(found) == [("price", D(10)), ("data", D(3))]


def test_fees_in_money_without_a_rate_are_refused():
    day = Day().order(1, 10, 99, fee=1, code="EUR")
    with pytest.raises(MarketDataError, match="no rate from EUR to USD"):
        drift(day.run, day.run)


def test_by_default_the_last_fill_marks_both():
    found = drift(Day().order(1, 10, 99).run, Day().order(1, 10, 98).order(9, 1, 105).run)
    assert found.marks == {"GOOG": 105}
    assert (found.pnl, found.other_pnl) == (60, 70)


def test_the_frame_and_the_looks_tell_of_every_difference():
    left = Day().order(1, 10, 99).order(2, -10, 101)
    found = between(left, Day(params={}).order(1, 10, "99.5"))
    assert found.frame["kind"].to_list() == [one.kind for one in found.items]
    assert found.frame["amount"].sum() == found.gap
    said = repr(found)
    assert "drift of -15.00 USD" in said
    assert "parameters differ" in said
    page = found._repr_html_()
    assert page.count("<rect") == 2 + sum(1 for amount in found.by_kind().values() if amount)
    assert "<script" not in page
    assert "parameters differ" in page


# -- real runs


class Cross(ot.Strategy):
    fast = ot.param(10, lo=2)

    def on_start(self) -> None:
        self.f, self.s = self.sma(self.fast), self.sma(30)

    def on_bar(self, bar: Any) -> None:
        if self.f.crossed_above(self.s):
            self.target(+10)
        elif self.f.crossed_below(self.s):
            self.target(-10)


def days(change: Any = None, name: str = "days") -> Dataset:
    goog = ot.sample("GOOG")
    frame = goog.frame().head(400).drop("ts_init")
    if change is not None:
        frame = change(frame)
    return Dataset.from_frame(frame, instrument=goog.instrument, kind="bars", step="1-DAY",
                              name=name)  # fmt: skip


@pytest.fixture(scope="module")
def run() -> Any:
    return ot.backtest(Cross, days(), cash=100_000)


def test_a_run_and_itself_have_no_drift(run):
    found = drift(run, ot.backtest(Cross, days(), cash=100_000))
    assert found.identical
    assert found.pnl == run.final_equity - 100_000


def test_fees_alone_explain_a_run_with_fees(run):
    other = ot.backtest(Cross, days(), cash=100_000, fees=ot.bps(20))
    found = drift(run, other)
    assert {one.kind for one in found.items} == {"fees", "residual"}
    assert found.gap == found.total == other.final_equity - run.final_equity
    assert found.residual == 0


def test_rows_that_differ_are_the_cause_of_what_follows_them(run):
    spoiled = days(lambda f: f.filter(pl.int_range(pl.len()) != 100), "holes")
    found = drift(run, ot.backtest(Cross, spoiled, cash=100_000))
    assert "1 times differ" in found.items[0].detail
    gone = run.data()[0].frame()["ts_event"].dt.timestamp("ns")[100]
    told = [one for one in found.items if one.instrument]
    assert told
    assert {one.kind for one in told if one.decided >= gone} == {"data"}
    assert all(one.decided >= gone for one in told)
    assert found.total == found.gap


def test_another_price_in_the_row_that_it_was_filled_by_is_data(run):
    at = run.fills["ts_event"][0]  # at the open of a bar
    row = run.data()[0].frame()["ts_event"].search_sorted(at)
    higher = (pl.col("open") + D("0.01")).cast(pl.Decimal(38, 16))
    here = pl.int_range(pl.len()) == row
    spoiled = days(lambda f: f.with_columns(open=pl.when(here).then(higher).otherwise("open")))
    found = drift(run, ot.backtest(Cross, spoiled, cash=100_000))
    told = [(one.kind, one.amount) for one in found.items if one.instrument]
    assert told == [("data", D("-0.1") if run.fills["side"][0] == "BUY" else D("0.1"))]


def test_rows_that_are_not_at_hand_are_told_and_blamed_for_nothing():
    right = Day().order(1, 10, 98)
    right.add(kinds_live.DataKept("x", "GOOG", "quotes", "f" * 64, 5, START, START + S), 9)
    found = between(Day().order(1, 10, 99), right)
    assert [kind for kind, _ in causes(found)] == ["data", "price"]
    assert "rows are not at hand" in found.items[0].detail
    assert not found.identical


# -- the law

orders = st.tuples(
    st.integers(1, 9),  # the second of the row
    st.integers(-9, 9).filter(bool),
    st.decimals("0.001", "300", places=3),
    st.sampled_from([None, "0.5", "1", "3"]),
    st.sampled_from([0, 0, 0.5]),
    st.decimals("-1", "2", places=4),
    st.sampled_from(["GOOG", "ES"]),
    st.sampled_from(["", "", "", "closed"]),
    st.sampled_from(["S", "T"]),
)
lists = st.lists(orders, max_size=9)


def lived(drawn: list[Any], **terms: Any) -> Day:
    day = Day(**terms)
    for at, size, price, filled, late, fee, name, refused, strategy in sorted(drawn, key=repr):
        day.order(
            at, size, None if refused else price, filled=filled, late=late, fee=fee, name=name,
            refused=refused, strategy=strategy,
        )  # fmt: skip
    return day


def folded(run: ot.Run, marks: dict[str, Decimal]) -> Decimal:
    """What a run earned by the positions that the books hold."""
    with localcontext(EXACT):
        return sum(
            (
                one.realized + one.unrealized(marks[key.instrument])
                - sum(one.commission.values(), D(0))
                for key, one in positions(run.recording, multipliers=SIZES).items()
            ),
            D(0),
        )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(lists, lists, st.decimals("1", "300", places=3), st.booleans())
def test_the_items_add_up_to_the_gap_and_nothing_is_left(mine, theirs, mark, same_code):
    left = lived(mine)
    right = lived([*mine[: len(mine) // 2], *theirs], code_hash="c0de" if same_code else "d1ff")
    marks = {"GOOG": mark, "ES": mark * 2}
    found = drift(left.run, right.run, marks=marks)
    assert found.total == found.gap == found.other_pnl - found.pnl
    assert found.residual == 0
    assert found.pnl == folded(left.run, marks)
    assert found.other_pnl == folded(right.run, marks)
    back = drift(right.run, left.run, marks=marks)
    assert back.gap == -found.gap
    assert repr(found)
    assert "<svg" in found._repr_html_()


@settings(max_examples=100, deadline=None)
@given(lists)
def test_a_day_and_itself_never_drift(mine):
    found = drift(lived(mine).run, lived(mine).run)
    assert found.identical
    assert found.frame.height == 1


def test_a_bust_in_one_run_is_a_quantity():
    right = Day().order(1, 10, 99)
    gone = msgspec.convert(right.facts[-1][0], kinds.OrderFilled)
    ids = (gone.client_order_id, gone.instrument, gone.strategy, gone.trade_id)
    right.add(kinds.OrderVoided(*ids, "bust"), 9)
    assert causes(between(Day().order(1, 10, 99), right)) == [("quantity", D(-10))]
