"""What one session takes over from those before it, where several died one after another."""

from __future__ import annotations

from decimal import Decimal

from onetape.run.carry import Carried
from onetape.run.fence import Lease
from onetape.run.handover import Handover
from onetape.tape import kinds
from onetape.tape.event import Event
from onetape.tape.kinds_live import AccountCarried, SessionMoved
from onetape.tape.memory import MemoryTape
from onetape.tape.postgres import PostgresTape

from .victims import ACCOUNT

GEN, WHO = "GEN000.SIM", "Churn-000"
SECOND = 1_000_000_000
D = Decimal


def write(tape: MemoryTape | PostgresTape, session: str, at: int, *facts: kinds.Fact) -> str:
    stream = f"session/{session}"
    first = tape.version(stream) + 1
    events = [Event(n, at, at, stream, fact) for n, fact in enumerate(facts, first)]
    tape.append(stream, events, book="paper")
    return stream


def begun(name: str, quantity: int = 4) -> kinds.OrderInitialized:
    terms = {"side": "BUY", "type": "LIMIT", "quantity": D(quantity), "time_in_force": "GTC"}
    return kinds.OrderInitialized(name, GEN, WHO, **terms)  # type: ignore[arg-type]


def filled(name: str, trade: str, quantity: int) -> kinds.OrderFilled:
    return kinds.OrderFilled(
        name, GEN, WHO, ACCOUNT, f"V-{name}", trade, "BUY", D(quantity), D(100), "USD", D(0),
        "USD", "MAKER",
    )  # fmt: skip


def test_a_session_that_died_before_it_took_the_account_over_is_passed_by(database: str) -> None:
    with PostgresTape(database) as tape:
        for session, facts in (
            ("S-1", [kinds.CashDeposited(ACCOUNT, "USD", D(1000))]),
            ("S-1-r2", [SessionMoved("starting")]),
            ("S-1-r3", []),
        ):
            lease = Lease(tape, database, "sim", ACCOUNT, session)
            before = lease.take()
            if facts:
                write(tape, session, SECOND, *facts)
            lease.release()
            assert before == ("" if session == "S-1" else "session/S-1")


def test_executions_of_all_sessions_that_the_venue_may_tell_of_again_are_known() -> None:
    tape = MemoryTape()
    cash = kinds.CashDeposited(ACCOUNT, "USD", D(1000))
    first = write(tape, "S", SECOND, cash, begun("A"), filled("A", "T-1", 1), begun("B"))
    told = AccountCarried(ACCOUNT, "SIM", first, (("USD", D(900)),), (), ("A", "B"))
    second = write(
        tape, "S-r2", 2 * SECOND, told, filled("A", "T-2", 1), kinds.OrderCanceled("B", GEN, WHO)
    )
    ours = Handover(None, tape, None, {}).before(second)  # type: ignore[arg-type]
    assert set(ours.trades) == {"T-1", "T-2"}
    assert {name: known.filled for name, known in ours.working.items()} == {"A": D(2)}
    assert ours.cash == {"USD": D(800)}


def test_what_two_folds_know_of_an_order_is_counted_apart() -> None:
    before, now = Carried({}), Carried({})
    before.take(begun("A"))
    now.follow(before)
    for fold in (before, now):
        fold.take(filled("A", "T-1", 2))
    assert now.working["A"].filled == before.working["A"].filled == D(2)
