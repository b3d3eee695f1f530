"""A kill carried out: what the venue has at the end, what is said of it, what is on the tape."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onetape.errors import SettingsError, TapeUnavailable
from onetape.risk.approve import states
from onetape.risk.kill import KILL_INCOMPLETE, KILLED, standing
from onetape.run.killing import How, KillResult, kill
from onetape.run.notes import KILL, RISK, absorb, facts
from onetape.run.ours import Whose
from onetape.run.sweep import Pace
from onetape.tape.kinds_live import KillMoved, RiskAlert
from onetape.tape.memory import MemoryTape
from onetape.tape.postgres import PostgresTape

from .counterparty import ID, Counterparty, session

FAST = Pace(write_s=10, answer_s=0.1, mass_s=0.05, again_s=0.01, again_most_s=0.02, settle_s=5)
THOUSAND = [f"O-{n}" for n in range(1_000)]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "unrecorded"


@pytest.fixture(params=["memory", "postgres"])
def tape(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryTape()
        return
    with PostgresTape(request.getfixturevalue("database")) as opened:
        yield opened


def killed(
    tape: Any,
    *venues: Counterparty,
    scope: str = "firm",
    spool: Path | None = None,
    patience_s: float = 5.0,
    drill: bool = False,
    whose: dict[str, Whose] | None = None,
    quiet_s: float = 0.05,
    pace: Pace = FAST,
) -> KillResult:
    how = How(pace, spool, whose, quiet_s)
    asked = {venue.name: venue for venue in venues}
    return asyncio.run(
        kill(tape, asked, scope, "runaway", "ann", accounts=["A"], patience_s=patience_s,
             drill=drill, how=how)
    )  # fmt: skip


def moves(tape: Any) -> list[str]:
    return [fact.state for fact in facts(tape, KILL) if isinstance(fact, KillMoved)]


def test_a_thousand_orders_are_gone_by_the_venues_word_and_the_tape_tells_the_story(
    tape: Any, spool: Path
) -> None:
    venue = Counterparty(THOUSAND)
    made = killed(tape, venue, spool=spool)
    assert (made.state, made.done, made.working) == (KILLED, True, ())
    assert not venue.working
    assert moves(tape) == ["CANCELLING", "VERIFYING", "KILLED"]
    assert states(facts(tape, RISK))["firm"].state == "HALTED"
    assert made.recorded
    assert not list(spool.glob("*"))


def test_a_venue_with_mass_cancel_is_asked_once(spool: Path) -> None:
    venue = Counterparty(THOUSAND)
    made = killed(MemoryTape(), venue, spool=spool, pace=Pace())
    assert (len(venue.massed), venue.asked, made.requests) == (1, [], 1)


def test_a_venue_without_mass_cancel_gets_a_cancel_for_each_order(spool: Path) -> None:
    venue = Counterparty(THOUSAND, mass=False)
    made = killed(MemoryTape(), venue, spool=spool)
    assert made.state == KILLED
    assert set(venue.asked) == set(THOUSAND)


def test_our_own_orders_and_those_only_the_venue_knows_are_both_asked_for(spool: Path) -> None:
    tape = MemoryTape()
    session(tape, ["O-1", "O-2"])
    venue = Counterparty(["O-2", "O-3"], mass=False)
    assert killed(tape, venue, spool=spool).state == KILLED
    assert {"O-2", "O-3"} <= set(venue.asked)
    assert not venue.working


def test_one_of_a_thousand_that_the_venue_keeps_leaves_the_kill_incomplete_and_is_named(
    tape: Any, spool: Path
) -> None:
    venue = Counterparty(THOUSAND)
    venue.keeps = {"O-500"}
    made = killed(tape, venue, spool=spool)
    assert (made.state, made.working) == (KILL_INCOMPLETE, ("O-500",))
    assert "SIM rejected the cancel (locked by the auction): O-500" in made.detail
    last = standing(facts(tape, KILL))["firm"]
    assert (last.state, last.working) == (KILL_INCOMPLETE, ("O-500",))
    alerts = [fact for fact in facts(tape, RISK) if isinstance(fact, RiskAlert)]
    assert [alert.severity for alert in alerts] == ["critical"]
    assert "O-500" in alerts[0].detail


def test_a_fill_that_races_with_the_cancel_ends_the_order_too(spool: Path) -> None:
    venue = Counterparty(["O-1", "O-2"])
    venue.races = {"O-1"}
    made = killed(MemoryTape(), venue, spool=spool)
    assert (made.state, made.fills) == (KILLED, 1)
    assert venue.over["O-1"].status == "FILLED"


def test_a_cancel_that_is_lost_is_asked_for_again(spool: Path) -> None:
    venue = Counterparty(["O-1", "O-2"], mass=False)
    venue.deaf = {"O-2": 3}
    assert killed(MemoryTape(), venue, spool=spool).state == KILLED
    assert venue.asked.count("O-2") == 4


def test_an_order_that_arrives_while_it_is_verified_is_canceled_too(spool: Path) -> None:
    tape = MemoryTape()
    session(tape, ["O-9"], acknowledged=False)
    venue = Counterparty(["O-1"])
    venue.coming = {2: ["O-9"]}
    assert killed(tape, venue, spool=spool).state == KILLED
    assert not venue.working
    assert venue.over["O-9"].status == "CANCELED"


def test_an_order_that_a_venue_does_not_list_and_still_knows_is_not_taken_for_gone(
    spool: Path,
) -> None:
    tape = MemoryTape()
    session(tape, ["O-9"], acknowledged=False)
    venue = Counterparty(["O-9"], mass=False)
    venue.unlisted, venue.keeps = {"O-9"}, {"O-9"}
    made = killed(tape, venue, spool=spool)
    assert (made.state, made.working) == (KILL_INCOMPLETE, ("O-9",))


def test_a_cancel_that_was_lost_with_the_connection_is_asked_for_at_once_over_the_next(
    spool: Path,
) -> None:
    venue = Counterparty(["O-1", "O-2"], mass=False)
    venue.deaf, venue.drops = {"O-1": 1}, 1
    patient = Pace(write_s=10, again_s=1_000, again_most_s=1_000, settle_s=5)
    assert killed(MemoryTape(), venue, spool=spool, pace=patient).state == KILLED


def test_a_venue_that_is_back_after_a_while_is_connected_to_again(spool: Path) -> None:
    venue = Counterparty(["O-1"])
    venue.away = 3
    assert killed(MemoryTape(), venue, spool=spool).state == KILLED
    assert venue.log_ons == 4


def test_a_connection_that_is_lost_among_the_cancels_loses_none_of_them(spool: Path) -> None:
    venue = Counterparty(THOUSAND, mass=False)
    venue.drops = 500
    assert killed(MemoryTape(), venue, spool=spool).state == KILLED
    assert not venue.working


@pytest.mark.parametrize("fault", ["silent", "away"])
def test_a_venue_that_says_nothing_leaves_the_kill_incomplete_in_bounded_time(
    fault: str, spool: Path
) -> None:
    venue, other = Counterparty(["O-1"]), Counterparty(["O-2"], name="ALT")
    venue.silent, venue.away = fault == "silent", 10_000 if fault == "away" else 0
    made = killed(MemoryTape(), venue, other, spool=spool, patience_s=0.5)
    assert (made.state, made.working) == (KILL_INCOMPLETE, ("venue:SIM",))
    assert {"silent": "SIM is silent", "away": "refuses the connection"}[fault] in made.detail
    assert not other.working  # one venue's silence is not the other's


def test_an_adapter_that_fails_does_not_keep_the_others_from_being_asked(spool: Path) -> None:
    class Broken(Counterparty):
        async def orders(self, account: str) -> Any:
            raise KeyError(account)

    broken, other = Broken(["O-1"], name="BAD"), Counterparty(["O-2"])
    made = killed(MemoryTape(), broken, other, spool=spool, patience_s=0.3)
    assert made.working == ("venue:BAD",)
    assert "KeyError" in made.detail
    assert not other.working


def test_killing_twice_repeats_it_harmlessly_under_the_same_id_and_says_so(
    tape: Any, spool: Path
) -> None:
    venue = Counterparty(["O-1"])
    first = killed(tape, venue, spool=spool)
    second = killed(tape, venue, spool=spool)
    assert (first.kill, first.repeated) == (second.kill, "")
    assert (second.state, second.repeated) == (KILLED, KILLED)
    assert "KILLED already" in repr(second)


def test_two_kills_at_once_both_end_with_the_venues_word(spool: Path) -> None:
    tape, venue = MemoryTape(), Counterparty(THOUSAND, mass=False)
    other = Counterparty()
    other.working = venue.working  # a second connection to the same venue

    async def both() -> list[KillResult]:
        how = How(FAST, spool, None, 0.05)
        return await asyncio.gather(
            *(kill(tape, {"SIM": one}, "firm", "x", who, accounts=["A"], how=how)
              for one, who in ((venue, "ann"), (other, "bob")))
        )  # fmt: skip

    assert [made.state for made in asyncio.run(both())] == [KILLED, KILLED]
    assert not venue.working


def test_a_kill_that_left_orders_is_done_by_a_later_one(spool: Path) -> None:
    tape, venue = MemoryTape(), Counterparty(["O-1"])
    venue.keeps = {"O-1"}
    assert killed(tape, venue, spool=spool).state == KILL_INCOMPLETE
    venue.keeps = set()
    made = killed(tape, venue, spool=spool)
    assert (made.state, made.repeated) == (KILLED, KILL_INCOMPLETE)


def test_a_drill_does_everything_and_is_marked_as_one(spool: Path) -> None:
    tape, venue = MemoryTape(), Counterparty(["O-1"])
    made = killed(tape, venue, spool=spool, drill=True)
    assert (made.state, made.drill, venue.working) == (KILLED, True, {})
    assert all(fact.drill for fact in facts(tape, KILL) if isinstance(fact, KillMoved))
    assert "drill" in repr(made)


# -- whose orders


def test_a_strategys_kill_leaves_the_orders_of_others_alone(tape: Any, spool: Path) -> None:
    session(tape, ["O-1", "O-2"])
    session(tape, ["P-1"], key="Other-20240108T093000-ffffff", strategy="Other")
    venue = Counterparty(["O-1", "O-2", "P-1", "EXT-1"])
    made = killed(tape, venue, scope="strategy:Cross", spool=spool)
    assert made.state == KILLED
    assert set(venue.working) == {"P-1", "EXT-1"}
    assert made.strangers == ("EXT-1",)
    assert not venue.massed


def test_an_order_that_a_strategy_sends_after_its_orders_were_read_is_known_for_its_own(
    tape: Any, spool: Path
) -> None:
    class Racing(Counterparty):
        async def orders(self, account: str) -> Any:
            if self.queries == 1:  # on the tape first, as every order
                session(tape, ["L-1"], key="Cross-20240109T093000-bbbbbb", acknowledged=False)
                self.accept("L-1")
            return await super().orders(account)

    session(tape, ["O-1"])
    venue = Racing(["O-1", "EXT-1"])
    made = killed(tape, venue, scope="strategy:Cross", spool=spool)
    assert (made.state, made.strangers) == (KILLED, ("EXT-1",))
    assert set(venue.working) == {"EXT-1"}


@pytest.mark.parametrize(("scope", "left"), [
    ("trader:ann", {"P-1"}), ("desk:rates", {"O-1"}), ("desk:none", {"O-1", "P-1"}),
    ("account:A", set()), ("account:B", {"O-1", "P-1"}), ("venue:SIM", set()),
    ("venue:ALT", {"O-1", "P-1"}), (f"instrument:{ID}", set()),
    ("instrument:MSFT.XNAS", {"O-1", "P-1"}), ("firm", set()),
])  # fmt: skip
def test_a_scope_is_what_is_canceled_and_nothing_else(
    scope: str, left: set[str], spool: Path
) -> None:
    tape = MemoryTape()
    session(tape, ["O-1"], trader="ann")
    key = "Other-20240108T093000-ffffff"
    session(tape, ["P-1"], key=key, strategy="Other")
    venue = Counterparty(["O-1", "P-1"])
    whose = {f"session/{key}": Whose("A", "bob", "rates")}
    made = killed(tape, venue, scope=scope, spool=spool, whose=whose)
    assert set(venue.working) == left
    asked = scope not in ("account:B", "venue:ALT")
    assert made.state == (KILLED if asked else KILL_INCOMPLETE)
    assert asked or "no venue was known to ask" in made.detail


def test_an_order_whose_end_is_on_our_tape_but_not_at_the_venue_is_still_canceled(
    spool: Path,
) -> None:
    from onetape.tape.event import Event
    from onetape.tape.kinds import OrderCanceled

    tape = MemoryTape()
    session(tape, ["O-1"])
    stream = "session/Cross-20240108T093000-1a2b3c"
    seq = tape.version(stream) + 1
    tape.append(stream, [Event(seq, seq, seq, stream, OrderCanceled("O-1", ID, "Cross"))])
    venue = Counterparty(["O-1"])
    assert killed(tape, venue, scope="strategy:Cross", spool=spool).state == KILLED
    assert not venue.working


# -- the tape is away


class Hanging(MemoryTape):
    """A database that answers nothing at all, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    def version(self, stream: str) -> int:
        self.free.wait(30)
        return super().version(stream)

    def head(self) -> Any:
        self.free.wait(30)
        return super().head()


class Down(MemoryTape):
    """A database that refuses."""

    def version(self, stream: str) -> int:
        raise TapeUnavailable("the database is down")

    def head(self) -> Any:
        raise TapeUnavailable("the database is down")


@pytest.mark.parametrize("tape", [Hanging(), Down(), None], ids=["hangs", "refuses", "none"])
def test_without_a_tape_the_cancels_go_out_and_the_facts_are_kept_for_later(
    tape: Any, spool: Path
) -> None:
    venue = Counterparty(THOUSAND)
    pace = Pace(answer_s=0.5, again_s=0.05, settle_s=0.05)
    made = killed(tape, venue, spool=spool, pace=pace)
    assert (made.state, made.recorded, venue.working) == (KILLED, False, {})
    assert Path(made.kept).exists()
    later = MemoryTape()
    assert absorb(later, spool) == 4
    assert moves(later) == ["CANCELLING", "VERIFYING", "KILLED"]
    assert states(facts(later, RISK))["firm"].state == "HALTED"
    assert absorb(later, spool) == 0
    assert not list(spool.glob("*.jsonl"))
    if isinstance(tape, Hanging):
        tape.free.set()


def test_a_strategys_kill_without_a_tape_takes_whole_accounts_and_says_so(spool: Path) -> None:
    venue = Counterparty(["O-1", "P-1"])
    made = killed(Down(), venue, scope="strategy:Cross", spool=spool, pace=Pace(settle_s=0.05))
    assert (made.state, made.widened, venue.working) == (KILLED, True, {})
    assert "whole accounts" in repr(made)


def test_facts_that_were_kept_and_reached_the_tape_after_all_are_there_once(spool: Path) -> None:
    tape, venue = Hanging(), Counterparty(["O-1"])
    made = killed(tape, venue, spool=spool, pace=Pace(settle_s=0.05))
    kept = Path(made.kept).read_bytes()
    tape.free.set()
    absorb(tape, spool)
    Path(made.kept).write_bytes(kept)  # the process ended before it could remove the file
    absorb(tape, spool)
    assert moves(tape) == ["CANCELLING", "VERIFYING", "KILLED"]


def test_a_kill_that_makes_no_sense_is_refused_before_anything_is_done(spool: Path) -> None:
    venue = Counterparty(["O-1"])
    with pytest.raises(SettingsError, match="firm"):
        killed(MemoryTape(), venue, scope="everything", spool=spool)
    with pytest.raises(SettingsError, match="no reason"):
        asyncio.run(kill(MemoryTape(), {"SIM": venue}, "firm", " ", "ann", accounts=["A"]))
    assert venue.log_ons == 0
