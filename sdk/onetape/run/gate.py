"""The gate of a run or a session: judges what strategies and persons want, and says so on the tape.

`risk` decides, purely; this holds what it decides on (limits, state, market), records every
answer as `risk.decided`, and counts what was allowed before it can leave. It knows no engine:
`gate_orders` makes intents of the engine's orders.

Doors    Whatever wants to send asks `judge`. Whatever sends asks `approved` (was it allowed, in
         just these terms, and may it still go): the last line, in a live session the bridge.
Times    ns UTC; `now` is the latest that was heard of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from onetape.risk.cells import Working
from onetape.risk.checks import CHECKS, GATE_VERSION, decide, decide_list
from onetape.risk.intent import Decision, Intent, Market
from onetape.risk.limitbook import LimitBook, from_json
from onetape.risk.state import State
from onetape.run.approval import Terms, Who, terms_of
from onetape.tape import kinds, kinds_live
from onetape.tape.kinds_live import RiskDecided

Note = Callable[[kinds.Fact, int | None], int]  # records a fact with its cause; returns its seq
SECOND = 1_000_000_000
STATES = tuple(
    check
    for check in CHECKS
    if not check.limits and set(check.codes) & {"STATE_HALTED", "SESSION_DOWN", "WOULD_INCREASE"}
)
ENDED = (kinds.OrderDenied, kinds.OrderRejected, kinds.OrderCanceled, kinds.OrderExpired)


class Gate:
    """One gate for all strategies of a run, or for a session."""

    def __init__(
        self, limits: LimitBook, state: State, market: Market, note: Note, who: Who
    ) -> None:
        self.limits, self.state, self.market, self.who = limits, state, market, who
        self.now = 0
        self._valued = 0
        self._note = note
        self._approved: dict[str, tuple[Intent, tuple[Terms, ...]]] = {}

    def judge(
        self, intents: Sequence[Intent], cause: int | None = None, note: Note | None = None
    ) -> list[Decision]:
        """Judge what belongs together, all or none; record each answer, count what is allowed.

        `cause` is the seq of the decision behind it; `note` records instead of the gate's own.
        """
        self.value(intents[0].ts)
        if len(intents) == 1:
            decisions = [decide(intents[0], self.market, self.state, self.limits)]
        else:
            decisions = decide_list(intents, self.market, self.state, self.limits)
        for intent, decision in zip(intents, decisions, strict=True):
            self.now = max(self.now, intent.ts)
            if decision.allowed:
                self.state.intend(intent, decision)
                self._approve(intent)
            (note or self._note)(_fact(intent, decision), cause)
        return decisions

    def _approve(self, intent: Intent) -> None:
        if intent.kind == "cancel":
            return
        _, before = self._approved.get(intent.client_order_id, (None, ()))
        terms = terms_of(intent)
        kept = (*(each for each in before if each != terms), terms)[-4:]
        self._approved[intent.client_order_id] = (intent, kept)

    def approved(self, client_order_id: str, terms: Terms) -> bool:
        """Say whether an order was allowed in just these terms and may still leave."""
        found = self._approved.get(client_order_id)
        return found is not None and terms in found[1] and not self.held_back(client_order_id)

    def held_back(self, client_order_id: str) -> str:
        """Return why an order that was allowed may not leave any more; "" when it may.

        Only what may have changed meanwhile is asked: trading states, kills, and the venue.
        """
        found = self._approved.get(client_order_id)
        if found is None:
            return "NOT_APPROVED"
        keeping = self.state.keeping
        if not (keeping.scopes or keeping.kills or keeping.down):
            return ""
        intent = msgspec.structs.replace(found[0], ts=max(found[0].ts, self.now))
        return decide(intent, self.market, self.state, self.limits, checks=STATES).code

    def knows(self, client_order_id: str) -> bool:
        """Say whether an order was allowed here, and has not ended."""
        return client_order_id in self._approved

    def working(self, strategy: str, instrument: str | None = None) -> list[Working]:
        """Return a strategy's orders that may still trade, sent or not, oldest first."""
        return [
            order
            for order in self.state.keeping.orders.values()
            if order.strategy == strategy
            and not order.gone
            and instrument in (None, order.instrument)
        ]

    def dropped(self, client_order_id: str) -> None:
        """Count an order no longer that was allowed and never left."""
        found = self._approved.pop(client_order_id, None)
        if found is not None:
            intent = found[0]
            gone = kinds.OrderDenied(client_order_id, intent.instrument, intent.strategy, "unsent")
            self.state.take(gone, self.now)

    def unchanged(self, client_order_id: str) -> None:
        """Count the latest new terms of an order no longer, which were allowed and never left."""
        found = self._approved.get(client_order_id)
        if found is not None:
            intent = found[0]
            kept = kinds.OrderModifyRejected(
                client_order_id, intent.instrument, intent.strategy, "unsent"
            )
            self.state.take(kept, self.now)

    def value(self, ts: int) -> None:
        """Value what is held at the market's prices, at most once a second of `ts` (ns UTC)."""
        if ts - self._valued >= SECOND:
            self._valued = ts
            self.state.revalue(self.market, ts)

    def take(self, fact: kinds.Fact, ts: int) -> None:
        """Fold a fact of the tape: an order's, a trading state's, limits', a kill's, an override's.

        Every fact that is recorded is to come here, in the tape's order.
        """
        self.now = max(self.now, ts)
        if isinstance(fact, kinds_live.LimitsSet):
            self.limits = from_json(fact.rules, fact.version)
            self.state.under(self.limits)
        elif isinstance(fact, ENDED):
            self._approved.pop(fact.client_order_id, None)
        self.state.take(fact, ts)
        if isinstance(fact, kinds.OrderFilled) and self.state.order(fact.client_order_id) is None:
            self._approved.pop(fact.client_order_id, None)


def _fact(intent: Intent, decision: Decision) -> RiskDecided:
    reference = decision.reference
    return RiskDecided(
        verdict=decision.verdict,
        intent=intent.kind,
        account=intent.account,
        strategy=intent.strategy,
        instrument=intent.instrument,
        client_order_id=intent.client_order_id,
        side=intent.side,
        quantity=intent.quantity,
        price=intent.price,
        trigger_price=intent.trigger_price,
        code=decision.code,
        check=decision.check,
        limit=decision.limit,
        observed=decision.observed,
        threshold=decision.threshold,
        others=decision.others,
        reference=None if reference is None else reference.price,
        reference_source="" if reference is None else reference.source,
        reference_ts=0 if reference is None else reference.ts,
        limits_version=decision.limits_version,
        state_version=decision.state_version,
        gate_version=GATE_VERSION,
        detail=decision.detail,
    )
