"""What a venue says beside reports, and what it never says: recorded, and never taken for empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from onetape.errors import NotReconciled, VenueUnavailable
from onetape.run import ports
from run.hand import scripted

from .desk import AAA, LEVEL, RISING, D, Desk, again
from .test_reconcile import REST, crashed

BUYS = scripted({1: lambda s: s.buy(2)})
NOTHING = scripted({})


class Terse:
    """A venue that answers only some queries."""

    def __init__(self, inner: Any, *tells: str) -> None:
        self._inner, self.tells = inner, frozenset(tells)

    def __getattr__(self, name: str) -> Any:
        if name in ports.ANSWERS - self.tells:

            async def never(*_: Any) -> Any:
                raise VenueUnavailable(f"this venue never tells its {name}")

            return never
        return getattr(self._inner, name)


def telling(*tells: str) -> Callable[[Any], Any]:
    return lambda venue: Terse(venue, *tells)


def saying(word: ports.Notice | ports.Difference) -> dict[int, Any]:
    return {3: lambda live: live._report(word)}


def test_a_venue_tells_everything_unless_it_says_otherwise() -> None:
    assert ports.told_by(Desk().venue) == ports.ANSWERS
    assert ports.told_by(Terse(Desk().venue, "orders", "dreams")) == {"orders"}


def test_a_venues_notice_is_an_alert_on_the_tape_with_the_venues_words() -> None:
    desk = Desk()
    live = desk.session(NOTHING, saying(ports.Notice("warning", "gap_filled_over", "26 to 32")))
    alert = next(a for a in live.facts("risk.alert") if a.rule == "gap_filled_over")
    assert (alert.severity, alert.scope, alert.detail) == ("warning", "venue:SIM", "26 to 32")
    assert again(live, NOTHING) is None


def test_two_books_of_a_venue_that_differ_are_a_break_and_an_alert() -> None:
    desk = Desk()
    word = ports.Difference("missing_here", "T-7", "none", "2 AAA at 101")
    live = desk.session(BUYS, saying(word))
    found = live.facts("recon.break")[0]
    assert (found.break_id, found.venue, found.account) == ("missing_here:T-7", "SIM", "A")
    assert (found.ours, found.theirs) == ("none", "2 AAA at 101")
    assert any(
        (a.rule, a.severity) == ("reconciliation", "critical") for a in live.facts("risk.alert")
    )
    assert live.held == 2
    assert again(live, BUYS) is None


@pytest.mark.parametrize("untold", sorted(ports.ANSWERS))
def test_a_session_starts_at_a_venue_that_never_tells_something_and_says_so(untold: str) -> None:
    desk = Desk(wraps=telling(*(ports.ANSWERS - {untold})))
    live = desk.session(BUYS, cash={"USD": "1000000"})
    assert live.held == desk.holds == 2
    assert live.facts("cash.deposited")[0].amount == 1_000_000
    alert = live.facts("risk.alert")[0]
    assert (alert.rule, alert.severity) == ("reconciliation", "warning")
    assert f"never tells its {untold}" in alert.detail
    assert again(live, BUYS) is None


def test_what_a_venue_never_tells_is_not_taken_for_nothing_held() -> None:
    desk = Desk()
    desk.session(BUYS)
    desk.wraps = telling("orders", "fills")
    live = desk.session(NOTHING)
    assert live.facts("recon.break") == []
    assert live.carried.held(AAA) == desk.holds == D(2)


def test_holdings_that_a_venue_does_tell_are_compared_all_the_same() -> None:
    desk = Desk(wraps=telling("orders", "fills", "positions"))
    desk.session(BUYS, cash={"USD": "1000000"})
    desk.core.ledger.account("A").held[AAA] = D(7)
    with pytest.raises(NotReconciled, match="2 here, 7 there"):
        desk.session(NOTHING, cash={"USD": "1000000"})


def test_an_order_whose_end_no_venue_tells_stops_the_start_and_is_named() -> None:
    desk = Desk(LEVEL)
    crashed(desk, REST, 5)
    (name, *_) = desk.working
    core = desk.core
    core.cancel(ports.CancelOrder(name, None, AAA))  # while nobody listens
    core.ledger.out.clear()
    desk.wraps = telling("orders", "fills", "positions", "cash")
    with pytest.raises(NotReconciled, match=f"state:{name}: working here, never told there"):
        desk.session(NOTHING)


def test_after_a_silence_an_order_that_nobody_tells_of_halts_instead_of_being_asked_for_ever() -> (
    None
):
    desk = Desk(RISING, wraps=telling("orders", "fills", "positions", "cash"))

    def lost(live: Any) -> None:
        (name,) = desk.working
        live._report(ports.VenueState("silent", "on purpose"))
        desk.core.cancel(ports.CancelOrder(name, None, AAA))
        desk.core.ledger.out.clear()
        live._report(ports.VenueState("connected"))
        live.wait_for(lambda: live.last_line.standing() == "HALTED")

    strategy = scripted({1: lambda s: s.buy(1, limit=50), 8: lambda s: s.buy(1)})
    live = desk.session(strategy, {4: lost})
    (found,) = live.facts("recon.break")
    assert (found.what, found.ours, found.theirs) == ("state", "working", "never told")
    assert desk.holds == 0, "nothing new leaves until a person has looked"
