"""Laws that hold for any sequence of fills and splits."""

from __future__ import annotations

from decimal import localcontext

from hypothesis import given, settings
from hypothesis import strategies as st

from onetape.books.cash import cash
from onetape.books.exact import EXACT, TINY
from onetape.books.positions import positions
from onetape.books.trades import trades
from onetape.books.valuation import InstrumentInfo, equity
from onetape.tape.kinds import OrderFilled, SplitApplied

from .tapes import D, Tape, clock, line

quantities = st.decimals("-50", "50", places=3).filter(bool)
prices = st.decimals("0.01", "900", places=2)
fees = st.decimals("-1", "3", places=3)
fills = st.tuples(st.just("fill"), quantities, prices, fees)
splits = st.tuples(st.just("split"), st.sampled_from(["2", "3", "7", "0.5", "1.5", "0.1", "0.75"]))
histories = st.lists(st.one_of(fills, fills, fills, splits), max_size=14)
LAW = settings(max_examples=120, deadline=None)


def told(history: list[tuple]) -> Tape:
    tape = Tape().deposit(1000)
    for day, (what, *values) in enumerate(history, start=1):
        getattr(tape.on(day), what)(*values)
    return tape


def cash_flow(tape: Tape) -> D:
    return sum(
        (
            f.price * f.quantity * (-1 if f.side == "BUY" else 1)
            for f in (event.fact for event in tape.events)
            if isinstance(f, OrderFilled)
        ),
        D(0),
    )


@LAW
@given(histories, prices)
def test_profit_is_cash_flow_plus_market_value_under_both_methods(history, mark):
    tape = told(history)
    with localcontext(EXACT):
        for method in ("average", "fifo"):
            for position in positions(tape.events, method).values():
                profit = position.realized + position.unrealized(mark)
                assert profit == cash_flow(tape) + position.quantity * mark
                assert position.realized - position.cost == cash_flow(tape)


@LAW
@given(histories)
def test_lots_add_up_to_the_position(history):
    with localcontext(EXACT):
        for position in positions(told(history).events, "fifo").values():
            lots = position.holding.lots or ()
            assert sum((lot.quantity for lot in lots), D(0)) == position.quantity
            assert sum((lot.cost for lot in lots), D(0)) == position.cost


@LAW
@given(histories, st.integers(0, 15), st.sampled_from(["average", "fifo"]))
def test_folding_a_prefix_and_then_the_rest_is_folding_the_whole(history, cut, method):
    events = told(history).events
    start = positions(events[:cut], method)
    assert positions(events[cut:], method, start=start) == positions(events, method)


@LAW
@given(histories)
def test_a_void_right_after_its_fill_changes_nothing(history):
    tape, voided = told(history), told(history)
    voided.fill(7, 77, 1).void(voided.events[-1].seq)
    assert positions(tape.events) == positions(voided.events)
    assert cash(tape.events) == cash(voided.events)
    assert trades(tape.events) == trades(voided.events)


@LAW
@given(histories)
def test_trades_add_up_to_what_the_positions_realized_and_paid(history):
    events = told(history).events
    with localcontext(EXACT):
        for method, costing in (("flat", "average"), ("fifo", "fifo")):
            made = trades(events, method)
            found = positions(events, costing).values()
            assert sum(t.gross for t in made) == sum(p.realized for p in found)
            paid = sum(p.commission.get("USD", D(0)) for p in found)
            assert sum(t.commission for t in made) == paid


@LAW
@given(histories, prices, st.booleans())
def test_equity_is_deposits_plus_profit_less_commission_at_every_moment(history, mark, margined):
    tape = told(history)
    infos = {"GOOG": InstrumentInfo(margined=margined)}
    frame = equity(tape.events, {"GOOG": line((0, mark))}, clock(*range(16)), "USD", infos)
    for row in frame.iter_rows(named=True):
        with localcontext(EXACT):
            profit = row["realized"] + row["unrealized"] - row["commission"] + row["dividends"]
            assert abs(row["equity"] - row["deposits"] - profit) <= 2 * TINY
            assert row["equity"] == row["cash"] + row["market_value"]


@LAW
@given(histories, prices)
def test_margined_and_fully_paid_instruments_are_worth_the_same(history, mark):
    tape, marks, points = told(history), {"GOOG": line((0, mark))}, clock(*range(16))
    paid = equity(tape.events, marks, points, "USD")
    margined = equity(tape.events, marks, points, "USD", {"GOOG": InstrumentInfo(margined=True)})
    for one, other in zip(paid["equity"], margined["equity"], strict=True):
        assert abs(one - other) <= 2 * TINY


@LAW
@given(histories, st.lists(prices, min_size=16, max_size=16))
def test_one_pass_equals_refolding_the_tape_at_each_moment(history, line_of_prices):
    tape = told(history)
    marks = {"GOOG": line(*((day + 0.5, price) for day, price in enumerate(line_of_prices)))}
    frame = equity(tape.events, marks, clock(*(day + 0.75 for day in range(16))), "USD")
    for day, worth in enumerate(frame["equity"]):
        known = tape.events[: day + 1]
        with localcontext(EXACT):
            held = sum(p.quantity for p in positions(known).values())
            expected = cash(known)["A", "USD"] + held * line_of_prices[day]
            assert abs(worth - expected) <= TINY


@LAW
@given(prices, st.sampled_from(["2", "3", "7", "0.1"]))
def test_a_split_never_moves_equity(price, ratio):
    tape = Tape().deposit(1000).on(1).fill(10, price).on(2).split(ratio)
    assert isinstance(tape.events[-1].fact, SplitApplied)
    frame = equity(tape.events, {"GOOG": line((1, price))}, clock(1, 2, 3), "USD")
    assert frame["equity"].n_unique() == 1
