"""O09: books from snapshots and changes, with and without entry ids; gaps; symbols by 48/22."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from onetape.run.ports import FeedSignal, Quote, Trade
from onetape_fix.profiles import SymbolMap, profile
from onetape_fix.trade.marketdata import Reader
from onetape_fix.wire import Encoder, Message, format_utc, parse

from .desk import NOW, D

BID, ASK, TRADE = "0", "1", "2"
Entry = dict[int, Any]


def message(kind: str, entries: list[Entry], **tags: Any) -> Message:
    body: dict[int, Any] = {262: "R1", 55: "AAA", 207: "X"} if kind == "W" else {262: "R1"}
    body |= {int(tag[1:]): value for tag, value in tags.items() if value is not None}
    if kind == "W":
        body = {tag: v for tag, v in body.items() if tags.get(f"t{tag}", 0) is not None}
    fields = [*body.items(), (268, [list(entry.items()) for entry in entries])]
    encoder = Encoder("FIX.4.4", [(49, "V"), (56, "ME")])
    return parse(encoder.encode(kind, 1, format_utc(NOW), fields))


def reader(depth: int = 0, like: str = "generic44", named: Any = None) -> Reader:
    made = Reader(SymbolMap(profile(like), "X", named), depth)
    made.wanted["R1"] = ("AAA.X", "quotes", None)
    return made


def at(side: str, px: Any, size: Any, **more: Any) -> Entry:
    return {269: side, 270: px, 271: size} | {int(t[1:]): v for t, v in more.items()}


def change(action: str, side: str, px: Any, size: Any = None, **more: Any) -> Entry:
    entry: Entry = {279: action, 269: side}
    if "t278" in more:
        entry[278] = more.pop("t278")
    entry |= {55: more.pop("t55", "AAA"), 207: "X"}
    if px is not None:
        entry[270] = px
    if size is not None:
        entry[271] = size
    return entry | {int(t[1:]): v for t, v in more.items()}


def best(rows: list[Any]) -> list[tuple[Any, ...]]:
    return [(r.bid, r.bid_size, r.ask, r.ask_size) for r in rows if isinstance(r, Quote)]


def test_a_snapshot_is_the_best_of_both_sides() -> None:
    entries = [at(BID, 10, 5), at(BID, 9, 7), at(ASK, 12, 1), at(ASK, 11, 2), at(ASK, 11, 3)]
    told = reader().take(message("W", entries[:4]), NOW)
    assert best(told) == [(10, 5, 11, 2)]
    assert told[0].instrument == "AAA.X"


def test_changes_without_ids_are_by_price() -> None:
    book = reader()
    book.take(message("W", [at(BID, 10, 5), at(ASK, 11, 2)]), NOW)
    assert best(book.take(message("X", [change("0", BID, "10.5", 3)]), NOW)) == [
        (D("10.5"), 3, 11, 2)
    ]
    assert best(book.take(message("X", [change("1", BID, "10.5", 1)]), NOW)) == [
        (D("10.5"), 1, 11, 2)
    ]
    assert best(book.take(message("X", [change("2", BID, "10.5")]), NOW)) == [(10, 5, 11, 2)]


def test_a_change_below_the_best_is_no_quote() -> None:
    book = reader()
    book.take(message("W", [at(BID, 10, 5), at(ASK, 11, 2)]), NOW)
    assert book.take(message("X", [change("0", BID, 9, 3)]), NOW) == []


def test_changes_with_ids_move_an_entry_also_without_its_side() -> None:
    book = reader()
    book.take(message("W", [at(BID, 10, 5, t278="b1"), at(ASK, 11, 2, t278="a1")]), NOW)
    assert best(book.take(message("X", [change("1", BID, 9, 4, t278="b1")]), NOW)) == [
        (9, 4, 11, 2)
    ]
    entry = {279: "2", 278: "a1", 55: "AAA", 207: "X"}
    assert best(book.take(message("X", [entry]), NOW)) == [(9, 4, 9, 0)]


def test_the_top_of_a_book_has_one_entry_a_side() -> None:
    book = reader(depth=1)
    book.take(message("W", [at(BID, 10, 5), at(ASK, 11, 2)]), NOW)
    told = book.take(message("X", [change("1", BID, 9, 4), change("1", ASK, 10, 1)]), NOW)
    assert best(told) == [(9, 4, 10, 1)]


def test_one_message_may_change_several_instruments() -> None:
    book = reader(depth=1)
    entries = [change("0", BID, 10, 5), change("0", BID, 20, 5, t55="BBB")]
    told = book.take(message("X", entries), NOW)
    assert [row.instrument for row in told] == ["AAA.X", "BBB.X"]


def test_a_crossed_book_is_stale_until_it_is_not() -> None:
    book = reader()
    book.take(message("W", [at(BID, 10, 5), at(ASK, 11, 2)]), NOW)
    (stale,) = book.take(message("X", [change("0", BID, 12, 1)]), NOW)
    assert (type(stale), stale.signal) == (FeedSignal, "stale")
    assert book.take(message("X", [change("0", BID, 13, 1)]), NOW) == []
    told = book.take(message("X", [change("2", BID, 12), change("2", BID, 13)]), NOW)
    assert [getattr(x, "signal", "") for x in told] == ["live", ""]


def test_a_number_that_is_missing_is_a_gap_and_the_book_is_asked_for_again() -> None:
    book = reader()
    book.take(message("W", [at(BID, 10, 5), at(ASK, 11, 2)], t83=7), NOW)
    assert best(book.take(message("X", [change("0", BID, "10.1", 1, t83=8)]), NOW))
    (gap,) = book.take(message("X", [change("0", BID, "10.2", 1, t83=10)]), NOW)
    assert (gap.signal, gap.instrument) == ("gap", "AAA.X")
    assert book.again == {"AAA.X"}
    assert book.take(message("X", [change("0", BID, "10.3", 1, t83=11)]), NOW) == []
    (quote,) = book.take(message("W", [at(BID, 10, 5), at(ASK, 11, 2)], t83=11), NOW)
    assert quote.sequence == 11
    assert not book.again


def test_trades_have_their_own_time_and_id() -> None:
    entry = change("0", TRADE, 10, 3, t278="T1", t272="20240108", t273="14:30:00.000000001")
    (trade,) = reader().take(message("X", [entry | {2446: "2"}]), NOW)
    assert trade == Trade("AAA.X", 1_704_724_200_000_000_001, D(10), D(3), "SELL", "T1")


def test_instruments_are_known_by_48_and_22_alone() -> None:
    book = reader(like="lmax", named={"AAA.X": "4001"})
    told = book.take(
        message("W", [at(BID, 10, 5), at(ASK, 11, 2)], t55=None, t207=None, t48="4001", t22="8"),
        NOW,
    )
    assert [row.instrument for row in told] == ["AAA.X"]


def test_what_names_nothing_is_what_was_asked_for() -> None:
    told = reader().take(message("W", [at(BID, 10, 5)], t55=None, t207=None), NOW)
    assert [row.instrument for row in told] == ["AAA.X"]


def test_an_empty_book_tells_nothing() -> None:
    book = reader()
    assert book.take(message("W", [{269: "J"}]), NOW) == []
    assert best(book.take(message("W", [at(BID, 10, 5)]), NOW)) == [(10, 5, 10, 0)]


LEVELS = st.dictionaries(st.integers(1, 50), st.integers(1, 9), max_size=8)


@given(LEVELS, LEVELS, st.lists(st.tuples(st.booleans(), st.integers(1, 50), st.integers(0, 9))))
def test_changes_lead_to_the_book_that_a_snapshot_would_tell(bids, asks, steps) -> None:
    asks = {price + 60: size for price, size in asks.items()}
    book = reader()
    entries = [at(BID, p, s) for p, s in bids.items()] + [at(ASK, p, s) for p, s in asks.items()]
    book.take(message("W", entries or [{269: "J"}]), NOW)
    for buy, price, size in steps:
        side, levels, px = (BID, bids, price) if buy else (ASK, asks, price + 60)
        action = "2" if not size else "1" if px in levels else "0"
        book.take(message("X", [change(action, side, px, size)]), NOW)
        levels.pop(px, None) if not size else levels.update({px: size})
    held = book._books["AAA.X"]
    for side, levels, choose in ((BID, bids, max), (ASK, asks, min)):
        wanted = (choose(levels), levels[choose(levels)]) if levels else None
        assert held.best(side) == wanted
