"""P1: whatever a venue does with the orders it was sent, position and exposure stay in limits.

The venue of this test fills in parts, late, after a cancel, before it accepts; it takes its time
with modifies and may refuse them. The mark stays where it is, so that only trading moves.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from onetape.risk.exact import ZERO
from onetape.risk.intent import Intent
from onetape.risk.sums import Sums
from onetape.tape import kinds

from .room import NOON, SECOND, A, B, Room, accepted, ended, fill, full, intent

MOST = {A: 50, B: 50}
GROSS = 6_000
MARKS = {A: Decimal(100), B: Decimal(50)}
WAIT = SECOND // 10  # how time passes
LATE = 2 * SECOND


class Theirs(msgspec.Struct):
    """An order as the venue has it."""

    intent: Intent
    quantity: Decimal
    filled: Decimal = ZERO
    canceled: int | None = None  # when
    asked: list[Decimal] = []


class Venue(RuleBasedStateMachine):
    """The gate on one side, a venue that may do anything on the other."""

    def __init__(self) -> None:
        super().__init__()
        limits = full(
            max_position=50, max_gross=GROSS, max_net=GROSS, late_fill_seconds=2, max_unacked=999,
            message_rate=10_000, self_match=False, repeat_count=999, price_drift=1,
            duplicate_seconds="0.000000001",
        )  # fmt: skip
        self.room = Room(limits)
        self.now, self.count = NOON, 0
        self.theirs: dict[str, Theirs] = {}
        self.true = {A: ZERO, B: ZERO}
        self.seen: list[tuple[kinds.Fact, int]] = []

    def tell(self, fact: kinds.Fact) -> None:
        self.seen.append((fact, self.now))
        self.room.take(fact, ts=self.now)

    def pick(self, at: int, **need: Any) -> Theirs | None:
        good = [
            o for o in self.theirs.values()
            if need.get("canceled", False) == (o.canceled is not None) and o.filled < o.quantity
        ]  # fmt: skip
        return good[at % len(good)] if good else None

    @rule(wait=st.integers(1, 8))
    def time_passes(self, wait: int) -> None:
        self.now += wait * WAIT
        for instrument, mark in MARKS.items():
            half = Decimal("0.01")
            self.room.market.quote(instrument, mark - half, mark + half, self.now)

    @rule(side=st.sampled_from(["BUY", "SELL"]), quantity=st.integers(1, 40),
          instrument=st.sampled_from([A, B]), limit=st.booleans())  # fmt: skip
    def the_strategy_sends(self, side: str, quantity: int, instrument: str, limit: bool) -> None:
        self.count += 1
        price = MARKS[instrument] if limit else None
        one = intent(side, quantity, price, client_order_id=f"O-{self.count}", ts=self.now,
                     instrument=instrument)  # fmt: skip
        answer = self.room.ask(one)
        if answer.allowed:
            self.room.state.intend(one, answer)
            self.theirs[one.client_order_id] = Theirs(one, one.quantity)

    @precondition(lambda self: self.theirs)
    @rule(at=st.integers(0, 20), quantity=st.integers(1, 60))
    def the_strategy_modifies(self, at: int, quantity: int) -> None:
        order = self.pick(at)
        if order is None:
            return
        one = msgspec.structs.replace(
            order.intent, kind="modify", quantity=Decimal(quantity), ts=self.now
        )
        answer = self.room.ask(one)
        if answer.allowed:
            self.room.state.intend(one, answer)
            order.asked.append(one.quantity)

    @precondition(lambda self: self.theirs)
    @rule(at=st.integers(0, 20), accept=st.booleans())
    def the_venue_answers_a_modify(self, at: int, accept: bool) -> None:
        order = self.pick(at)
        if order is None or not order.asked:
            return
        quantity, one = order.asked.pop(0), order.intent
        told = one.client_order_id, one.instrument, one.strategy
        if accept and quantity > order.filled:
            order.quantity = quantity
            self.tell(kinds.OrderUpdated(*told, quantity, one.price))
        else:
            self.tell(kinds.OrderModifyRejected(*told, "no"))

    @precondition(lambda self: self.theirs)
    @rule(at=st.integers(0, 20), part=st.integers(1, 40), twice=st.booleans(),
          late=st.booleans())  # fmt: skip
    def the_venue_fills(self, at: int, part: int, twice: bool, late: bool) -> None:
        order = self.pick(at, canceled=late)
        if order is None or (late and self.now >= (order.canceled or 0) + LATE):
            return
        quantity = min(Decimal(part), order.quantity - order.filled)
        order.filled += quantity
        self.count += 1
        one = order.intent
        signed = quantity if one.side == "BUY" else -quantity
        self.true[one.instrument] += signed
        fact = fill(one.client_order_id, signed, MARKS[one.instrument], f"T-{self.count}",
                    instrument=one.instrument)  # fmt: skip
        for _ in range(1 + twice):
            self.tell(fact)

    @precondition(lambda self: self.theirs)
    @rule(at=st.integers(0, 20), kind=st.sampled_from([kinds.OrderCanceled, kinds.OrderExpired]))
    def the_venue_cancels(self, at: int, kind: type) -> None:
        order = self.pick(at)
        if order is not None:
            order.canceled = self.now
            self.tell(ended(order.intent, kind))

    @precondition(lambda self: self.theirs)
    @rule(at=st.integers(0, 20))
    def the_venue_accepts_or_says_it_again(self, at: int) -> None:
        order = self.pick(at)
        if order is not None:
            self.tell(accepted(order.intent))

    @precondition(lambda self: self.seen)
    @rule(at=st.integers(0, 200))
    def an_old_execution_is_reported_again(self, at: int) -> None:
        fact = self.seen[at % len(self.seen)][0]
        if isinstance(fact, kinds.OrderFilled):
            self.room.take(fact, ts=self.now)

    @invariant()
    def the_position_is_the_venues_and_within_its_limit(self) -> None:
        for instrument, true in self.true.items():
            assert self.room.state.held("ACC", instrument) == true
            assert abs(true) <= MOST[instrument]
        gross = sum(abs(true) * MARKS[i] for i, true in self.true.items())
        assert gross <= GROSS

    @invariant()
    def the_running_sums_are_what_a_scan_gives(self) -> None:
        keeping = self.room.state.keeping
        for instrument in MARKS:
            mine = [o for o in keeping.orders.values() if o.instrument == instrument]
            cell = keeping.sums.cells.get(("account:ACC", instrument))
            if cell is None:
                assert not mine
                continue
            assert cell.buys == sum((o.left for o in mine if o.sign > 0), ZERO)
            assert cell.sells == sum((o.left for o in mine if o.sign < 0), ZERO)
        _totals_add_up(keeping.sums)
        working = sum(not o.gone for o in keeping.orders.values())
        assert working == keeping.sums.totals["account:ACC"].orders


def _totals_add_up(sums: Sums) -> None:
    for scope, total in sums.totals.items():
        cells = [cell for cell in sums.cells.values() if scope in cell.scopes]
        assert total.gross == sum((c.gross for c in cells), ZERO)
        assert total.longs == sum((c.long_value for c in cells), ZERO)
        assert total.shorts == sum((c.short_value for c in cells), ZERO)
        assert total.value == sum((c.held * (c.unit or ZERO) for c in cells), ZERO)
        assert total.unvalued == sum(c.unvalued for c in cells)


Venue.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestVenue = Venue.TestCase
