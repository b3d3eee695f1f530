"""Whether what a feed says can be relied on."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onetape.errors import SettingsError
from onetape.run.health import RANK, Health, Terms
from onetape.run.ports import Bar, FeedSignal, Quote, Subscription, Trade

D = Decimal
S = 1_000_000_000
MS = S // 1000
START = 1_700_000_000 * S
NAME = "AAA.SIM"


def quote(at: float, number: int | None = None, bid: str = "100", ask: str = "101", **other: Any):
    ts = START + int(at * S)
    return Quote(other.get("name", NAME), ts, D(bid), D(ask), D(1), D(1), number)


class Watched:
    """A feed that is watched by a clock of the test's own; `told` is what it was said to be."""

    def __init__(self, **terms: Any) -> None:
        replayed = terms.pop("replayed", False)
        self.health = Health("feed", replayed=replayed, terms=Terms(**terms))
        self.told: list[tuple[str, str]] = []
        self.details: list[str] = []
        self.health.watch(Subscription(NAME, "quotes"), START)

    def rows(self, *rows: Any, late: float = 0.0) -> Watched:
        for row in rows:
            self.health.take(row, row.ts_event + int(late * S))
            self.at((row.ts_event - START) / S + late)
        return self

    def at(self, seconds: float) -> Watched:
        for fact in self.health.tick(START + int(seconds * S)):
            self.told.append((str(fact.instrument), fact.state))
            self.details.append(fact.detail)
        return self

    def says(self, signal: str, at: float, name: str | None = None) -> Watched:
        self.health.signal(FeedSignal(signal, name, START), START + int(at * S))
        return self.at(at)

    @property
    def states(self) -> list[str]:
        return [state for _, state in self.told]


def steady(start: float, end: float, first: int | None = None) -> list[Quote]:
    """A quote each quarter of a second."""
    count = int((end - start) * 4)
    return [quote(start + n / 4, None if first is None else first + n) for n in range(count)]


def test_a_feed_is_live_with_its_first_row_and_says_so_once():
    feed = Watched().rows(*steady(0, 5))
    assert feed.told == [(NAME, "live")]


def test_a_row_that_changes_something_asks_to_be_judged_at_once():
    health = Health("feed")
    assert health.take(quote(0, 1), START)
    health.tick(START)
    assert not health.take(quote(0.1, 2), START + S // 10)
    assert health.take(quote(0.2, 9), START + S // 5)


def test_silence_beyond_the_threshold_is_stale_and_tells_for_how_long():
    feed = Watched().rows(quote(0)).at(2.0).at(2.001).at(9)
    assert feed.states == ["live", "stale"]
    assert feed.details[-1] == "no row for 2 s"


def test_a_subscription_that_never_had_a_row_goes_stale():
    assert Watched().at(1).at(2.1).states == ["stale"]


def test_a_stale_feed_is_live_again_only_after_some_calm():
    feed = Watched().rows(quote(0)).at(3).rows(quote(3.1), quote(3.6))
    assert feed.states == ["live", "stale"]
    assert feed.rows(quote(4.1)).states == ["live", "stale", "live"]


def test_a_feed_that_comes_and_goes_does_not_flicker():
    feed = Watched(stale_ns=S // 2).rows(quote(0))
    for n in range(1, 20):
        feed.at(n - 0.1).rows(quote(n))
    assert feed.states == ["live", "stale"]


def test_a_heartbeat_speaks_for_a_quiet_instrument():
    feed = Watched().rows(quote(0))
    for at in range(1, 10):
        feed.says("heartbeat", at)
    assert feed.states == ["live"]
    assert feed.at(12).states == ["live", "stale"]


def test_a_heartbeat_does_not_speak_where_rows_are_asked_for():
    feed = Watched(heartbeat=False).rows(quote(0)).says("heartbeat", 2.5)
    assert feed.states == ["live", "stale"]


def test_a_bar_may_take_as_long_as_its_step():
    health = Health("feed")
    health.watch(Subscription(NAME, "bars", "1-MINUTE"), START)
    health.take(Bar(NAME, START, "1-MINUTE", *[D(1)] * 5), START)
    assert [f.state for f in health.tick(START + 61 * S)] == ["live"]
    assert [f.state for f in health.tick(START + 63 * S)] == ["stale"]


def test_missing_numbers_are_a_gap_and_are_named():
    feed = Watched().rows(quote(0, 1), quote(0.1, 2), quote(0.2, 6))
    assert feed.states == ["live", "gap"]
    assert feed.details[-1] == "sequence 3 to 5 is missing"
    assert feed.rows(*steady(0.3, 2, first=7)).states == ["live", "gap", "live"]


def test_a_number_told_again_is_no_gap():
    feed = Watched().rows(quote(0, 5), quote(0.1, 5), quote(0.2, 4), quote(0.3, 6))
    assert feed.states == ["live"]


@pytest.mark.parametrize("numbers", [(1,), (40, 41, 42)])
def test_a_count_that_begins_anew_is_a_gap(numbers):
    rows = [quote(0.1 * n, number) for n, number in enumerate(numbers, 1)]
    feed = Watched().rows(quote(0, 99), *rows)
    assert feed.states == ["live", "gap"]
    assert "began anew" in feed.details[-1]


def test_quotes_and_trades_of_an_instrument_are_counted_together():
    trade = Trade(NAME, START + S // 10, D(100), D(1), "BUY", "T", 2)
    assert Watched().rows(quote(0, 1), trade, quote(0.2, 3)).states == ["live"]


@pytest.mark.parametrize("word", ["gap", "stale"])
def test_the_feeds_own_word_counts(word):
    feed = Watched().rows(quote(0)).says(word, 0.1, NAME)
    assert feed.states == ["live", word]
    assert feed.rows(*steady(0.2, 2)).states == ["live", word, "live"]


@pytest.mark.parametrize("word", ["closed", "ended"])
def test_a_closed_feed_closes_all_that_it_feeds(word):
    feed = Watched().rows(quote(0), quote(0.1, name="BBB.SIM")).says(word, 0.2)
    assert sorted(feed.told[2:]) == [(NAME, "closed"), ("BBB.SIM", "closed")]
    assert feed.at(10).told[4:] == []


def test_a_feed_that_says_it_is_live_again_is_so_after_some_calm():
    feed = Watched().rows(quote(0)).says("closed", 0.1).says("live", 0.2).at(0.9).at(1.3)
    assert feed.states == ["live", "closed", "live"]


def test_a_clock_that_is_apart_is_told_by_the_median():
    feed = Watched().rows(*steady(0, 3), late=1.5)
    assert feed.states == ["live", "offset"]
    assert feed.details[-1] == "the venue's time is 1.500 s behind ours"


def test_one_old_row_does_not_move_the_clock():
    feed = Watched().rows(*steady(0, 4))
    feed.health.take(quote(-3600), START + 4 * S)
    assert feed.at(4).states == ["live"]


def test_a_venue_ahead_of_us_is_apart_too():
    feed = Watched().rows(*steady(3, 6), late=-2.5)
    assert feed.details[-1] == "the venue's time is 2.500 s ahead of ours"


def test_a_past_days_silence_and_clock_are_its_own():
    feed = Watched(replayed=True).rows(quote(0), *steady(30, 40), late=0)
    feed.rows(*steady(50, 60), late=9)
    assert feed.states == ["live"]
    assert feed.says("gap", 70).states == ["live", "gap"]


@pytest.mark.parametrize(
    ("bid", "ask", "flag"),
    [("102", "101", "crossed"), ("0", "101", "zero"), ("150", "151", "spike")],
)
def test_a_quote_that_cannot_be_right_is_counted_and_shown_and_kept(bid, ask, flag):
    feed = Watched().rows(quote(0), quote(0.1, bid=bid, ask=ask))
    (one,) = feed.health.states()
    assert (one.flags, one.rows, feed.states) == ({flag: 1}, 2, ["live"])
    assert one.flagged.startswith(flag)


def test_an_instrument_is_as_its_worst_subscription():
    feed = Watched().rows(quote(0))
    feed.health.watch(Subscription(NAME, "trades"), START)
    feed.rows(quote(1), quote(1.9), quote(2.2))
    assert feed.told[-1] == (NAME, "stale")
    assert feed.details[-1] == "trades: no row yet for 2 s"


def test_the_status_tells_rows_age_and_lag():
    feed = Watched().rows(*steady(0, 3), late=0.25).at(4)
    (one,) = feed.health.states()
    assert (one.instrument, one.data, one.state, one.rows) == (NAME, "quotes", "live", 12)
    assert (one.age_ns, one.lag_ns) == (S, S // 4)
    assert feed.health.state(NAME) == "live"


def test_data_that_nobody_knows_is_refused():
    with pytest.raises(SettingsError, match="depth"):
        Health("feed").watch(Subscription(NAME, "depth"), START)


# -- laws

happenings = st.lists(
    st.tuples(
        st.sampled_from(["row", "row", "row", "skip", "again", "gap", "stale", "closed", "live",
                         "heartbeat", "tick"]),
        st.integers(1, 3000),  # ms until it happens
        st.sampled_from([NAME, "BBB.SIM"]),
    ),
    max_size=60,
)  # fmt: skip
LAW = settings(max_examples=300, deadline=None)


def lived(happened: list[tuple[str, int, str]], replayed: bool) -> list[tuple[int, Any]]:
    """Live through what happens, judged after each; return what was told, and when."""
    health, told, now, numbers = Health("feed", replayed=replayed), [], START, {}
    for what, wait, name in happened:
        now += wait * MS
        if what in ("row", "skip", "again"):
            step = {"row": 1, "skip": 5, "again": 0}[what]
            numbers[name] = numbers.get(name, 0) + step
            health.take(Quote(name, now, D(1), D(2), D(1), D(1), numbers[name]), now)
        elif what != "tick":
            health.signal(FeedSignal(what, name, now), now)
        told += [(now, fact) for fact in health.tick(now)]
    return told


@LAW
@given(happenings, st.booleans())
def test_only_changes_are_told_and_the_last_one_is_the_state(happened, replayed):
    told = lived(happened, replayed)
    for name in (NAME, "BBB.SIM"):
        states = [fact.state for _, fact in told if fact.instrument == name]
        assert all(a != b for a, b in pairwise(states))
        assert set(states) <= set(RANK) - {"waiting"}
        if states and not replayed:
            assert states[0] in ("live", "gap", "stale", "closed")


@LAW
@given(happenings)
def test_nothing_is_live_again_before_it_was_calm(happened):
    told = lived(happened, False)
    for name in (NAME, "BBB.SIM"):
        mine = [(now, fact.state) for now, fact in told if fact.instrument == name]
        for (bad, was), (good, state) in pairwise(mine):
            if state == "live":
                assert was == "waiting" or good - bad >= Terms().calm_ns


@LAW
@given(happenings, st.booleans())
def test_the_same_inputs_are_judged_alike(happened, replayed):
    assert lived(happened, replayed) == lived(happened, replayed)


@LAW
@given(happenings)
def test_what_is_live_was_heard_of_within_the_threshold(happened):
    told = lived(happened, False)
    heard, now, live = {}, START, {}
    by_time: dict[int, list[Any]] = {}
    for at, fact in told:
        by_time.setdefault(at, []).append(fact)
    for what, wait, name in happened:
        now += wait * MS
        if what in ("row", "skip", "again", "heartbeat"):
            heard[name] = now
        for fact in by_time.get(now, ()):
            live[fact.instrument] = fact.state
        for one, state in live.items():
            if state == "live":
                assert now - heard[one] <= Terms().stale_ns
