# pyright: standard
"""As-of, asked at random and compared with the plain fold; and the projector, driven.

A question is (account, instrument, V, K): what was held when ts_event <= V and seq <= K count.
Half of the pairs are drawn from fills, so that busy ones come often, half from all pairs alike.
Right means: the quantity, and realized - cost, which is the cash that the fills moved, equal the
plain fold's exactly.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import firm
from gauges import millis

from onetape.tape.kinds import OrderFilled, OrderVoided

SNAPSHOTS = "SELECT count(*) FROM onetape.snapshot WHERE kind = 'positions'"
SNAPSHOT_SEQS = """SELECT s.seq FROM onetape.snapshot s JOIN onetape.projection p
ON p.generation = s.generation AND p.state = 'live' WHERE s.kind = 'positions'"""
BOOKED = """SELECT k.account, k.instrument, sum(p.quantity), sum(p.realized - p.cost)
FROM onetape_books.position p JOIN onetape_books.position_key k ON k.id = p.key_id
GROUP BY k.account, k.instrument"""
BOOKMARK = "SELECT seq FROM onetape.projection WHERE name = 'books' AND state = 'live'"
ZERO = firm.Standing(Decimal(0), Decimal(0))
Answer = dict[firm.Pair, firm.Standing]


class Question(NamedTuple):
    """One position at one instant of both times."""

    pair: firm.Pair
    true_at: int
    known_at: int


class Questions(NamedTuple):
    """Positions to ask for, and (account, V, K) at which to ask for an account and the firm."""

    narrow: list[Question]
    wide: list[tuple[str, int, int]]

    @classmethod
    def drawn(
        cls, pairs: Mapping[firm.Pair, int], events: int, narrow: int, wide: int, seed: int
    ) -> Questions:
        """Draw questions about a day of so many events; `pairs` tells how many fills each has."""
        chance = random.Random(f"questions/{seed}")
        known = sorted(pairs)
        busy = chance.choices(known, [pairs[pair] for pair in known], k=narrow - narrow // 2)
        chosen = busy + chance.choices(known, k=narrow // 2)
        chance.shuffle(chosen)

        def instant() -> tuple[int, int]:
            return firm.OPEN + chance.randrange(firm.SESSION), chance.randrange(1, events + 1)

        asked = [(chance.choice(firm.NAMES), *instant()) for _ in range(wide - 1)]
        last = (chance.choice(firm.NAMES), firm.OPEN + firm.SESSION, events)
        return cls([Question(pair, *instant()) for pair in chosen], [*asked, last])


def project(url: str, until: Callable[[], bool]) -> None:
    """Keep the projections up to date until `until()` is true."""
    from onetape.books.projector import Projector
    from onetape.tape.postgres import PostgresTape

    with PostgresTape(url) as tape, Projector(tape) as projector:
        projector.follow(until)


def catch_up(url: str) -> None:
    """Project everything that is on the tape."""
    from onetape.books.projector import Projector
    from onetape.tape.postgres import PostgresTape

    with PostgresTape(url) as tape, Projector(tape) as projector:
        projector.catch_up()


def rebuild(url: str) -> None:
    """Build everything anew beside what is there, and switch."""
    from onetape.books.projector import Projector
    from onetape.tape.postgres import PostgresTape

    with PostgresTape(url) as tape, Projector(tape) as projector:
        projector.rebuild()


def snapshots(url: str) -> int:
    """See that there are snapshots along the day, as a projector that was there all day leaves.

    One that catches up afterwards may keep only the last; the others are then taken here.
    Returns how many were.
    """
    from onetape.books import snapshot
    from onetape.tape.server import connect

    with connect(url) as connection:
        head = bookmark(connection)
        kept = {seq for (seq,) in connection.execute(SNAPSHOT_SEQS).fetchall()}
        wanted = [seq for seq in range(snapshot.EVERY, head, snapshot.EVERY)
                  if not any(seq - snapshot.EVERY < one <= seq for one in kept)]  # fmt: skip
        for seq in wanted:
            snapshot.take(connection, firm.BOOK, seq)
    return len(wanted)


def bookmark(connection: Any) -> int:
    """Return the seq up to which the projections stand."""
    row = connection.execute(BOOKMARK, prepare=True).fetchone()
    return row[0] if row else 0


def is_free(url: str) -> bool:
    """Return whether a projector can begin: none that was killed still holds the books."""
    from onetape.errors import TapeUnavailable

    try:
        catch_up(url)
    except TapeUnavailable:
        return False
    return True


def booked(connection: Any) -> Answer:
    """Return the projected positions that ever moved, over all books and strategies."""
    rows = connection.execute(BOOKED).fetchall()
    held = {(account, instrument): firm.Standing(*moved) for account, instrument, *moved in rows}
    return _moved(held)


def parked(url: str) -> list[str]:
    """Return the events that were put aside, with the reason."""
    from onetape.tape.server import connect

    with connect(url) as connection:
        asked = "SELECT seq, why FROM onetape_books.parked ORDER BY seq"
        return [f"seq {seq}: {why[:120]}" for seq, why in connection.execute(asked).fetchall()]


def answered(
    url: str, asked: Questions, numbered: Callable[[], Iterator[firm.Numbered]]
) -> dict[str, Any]:
    """Ask everything over one connection, then compare with the plain fold of `numbered`."""
    from onetape.tape.server import connect

    with connect(url) as connection:
        for question in asked.narrow[:20]:  # plans and imports, as in a session that goes on
            _position(connection, question)
        _asked_widely(connection, asked._replace(wide=asked.wide[:1]))
        waits: list[float] = []
        told: list[firm.Standing] = []
        for question in asked.narrow:
            begun = perf_counter()
            told.append(_position(connection, question))
            waits.append(perf_counter() - begun)
        accounts, firms, wide = _asked_widely(connection, asked)
        snapshots = connection.execute(SNAPSHOTS).fetchone()
    right = _plainly(asked, numbered)
    wrong = [q for q, a, b in zip(asked.narrow, told, right, strict=True) if a != b]
    wide_wrong = 0
    for (account, true_at, known_at), (of_account, of_firm) in zip(asked.wide, wide, strict=True):
        plain = _moved(firm.plain_fold(numbered(), true_at, known_at))
        mine = {pair: one for pair, one in plain.items() if pair[0] == account}
        wide_wrong += (_moved(of_account) != mine) + (_moved(of_firm) != plain)
    return {
        "asof_position_p50_ms": millis(waits, 0.5),
        "asof_position_p99_ms": millis(waits, 0.99),
        "asof_account_s": round(median(accounts), 4),
        "asof_firm_s": round(median(firms), 4),
        "asof_firm_max_s": round(max(firms), 4),
        "asof_snapshots": snapshots[0] if snapshots else 0,
        "asof_checked": len(asked.narrow) + 2 * len(asked.wide),
        "asof_wrong": len(wrong) + wide_wrong,
        "asof_wrong_examples": [str(one) for one in wrong[:3]],
    }


def _position(connection: Any, question: Question) -> firm.Standing:
    """Return what stood in one account and instrument."""
    from onetape.books.asof import at

    (account, instrument), true_at, known_at = question
    found = at(
        connection, true_at=true_at, known_at=known_at, book=firm.BOOK, account=account,
        instrument=instrument,
    ).positions  # fmt: skip
    quantity = cash = ZERO.cash
    columns = (found[name] for name in ("quantity", "realized", "cost"))
    for held, realized, cost in zip(*columns, strict=True):
        quantity, cash = quantity + held, cash + realized - cost
    return firm.Standing(quantity, cash)


def _positions(connection: Any, true_at: int, known_at: int, account: str | None) -> Any:
    """Return the positions of an account, or of all, as the product's frame."""
    from onetape.books.asof import at

    return at(
        connection, true_at=true_at, known_at=known_at, book=firm.BOOK, account=account
    ).positions


def _asked_widely(
    connection: Any, asked: Questions
) -> tuple[list[float], list[float], list[tuple[Answer, Answer]]]:
    accounts: list[float] = []
    firms: list[float] = []
    told: list[tuple[Answer, Answer]] = []
    for account, true_at, known_at in asked.wide:
        begun = perf_counter()
        one = _positions(connection, true_at, known_at, account)
        middle = perf_counter()
        every = _positions(connection, true_at, known_at, None)
        firms.append(perf_counter() - middle)
        accounts.append(middle - begun)
        told.append((_summed(one), _summed(every)))
    return accounts, firms, told


def _plainly(
    asked: Questions, numbered: Callable[[], Iterator[firm.Numbered]]
) -> list[firm.Standing]:
    """Return the plain fold's answers: one pass gathers each pair's events, then all are folded."""
    kept: dict[firm.Pair, list[firm.Numbered]] = {question.pair: [] for question in asked.narrow}
    of_order: dict[str, firm.Pair] = {}
    for seq, event in numbered():
        fact = event.fact
        if isinstance(fact, OrderFilled):
            pair = fact.account, fact.instrument
            if pair in kept:
                of_order[fact.client_order_id] = pair
                kept[pair].append((seq, event))
        elif isinstance(fact, OrderVoided) and fact.client_order_id in of_order:
            kept[of_order[fact.client_order_id]].append((seq, event))
    folded = (firm.plain_fold(kept[q.pair], q.true_at, q.known_at).get(q.pair, ZERO)
              for q in asked.narrow)  # fmt: skip
    return list(folded)


def _moved(answer: Mapping[firm.Pair, firm.Standing]) -> Answer:
    """Leave out what never moved."""
    return {pair: one for pair, one in answer.items() if one != ZERO}


def _summed(frame: Any) -> Answer:
    """Return quantity and cash by pair, over strategies."""
    held: Answer = {}
    names = ("account", "instrument", "quantity", "realized", "cost")
    for account, instrument, quantity, realized, cost in frame.select(names).iter_rows():
        before = held.get((account, instrument), ZERO)
        held[account, instrument] = firm.Standing(
            before.quantity + quantity, before.cash + realized - cost
        )
    return held
