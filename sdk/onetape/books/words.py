"""Words: what a recorded fact says to a person, in one line; `at` is its time as it is shown."""

from __future__ import annotations

from onetape.tape import kinds
from onetape.tape.kinds import AnyFact


def told(fact: AnyFact, at: str) -> str:
    """Return a fact in words; of most kinds only the time, as the title says the rest."""
    if isinstance(fact, kinds.OrderFilled):
        paid = f"commission {fact.commission} {fact.commission_currency}"
        return f"{fact.side} {fact.quantity} {fact.instrument} at {fact.price}, {paid}, {at}"
    if isinstance(fact, kinds.OrderInitialized):
        priced = f" at {fact.price}" if fact.price is not None else ""
        return f"{fact.side} {fact.quantity} {fact.type}{priced}, {fact.client_order_id}, {at}"
    if isinstance(fact, kinds.DecisionMade):
        amount = fact.quantity if fact.weight is None else f"weight {fact.weight}"
        why = f' because "{fact.why}"' if fact.why else ""
        return f"{fact.strategy} wanted {fact.intent} {amount} {fact.instrument}{why}, {at}"
    if isinstance(fact, kinds.SignalNoted):
        return f"{fact.name} = {fact.value:.6g} on {fact.instrument}, {at}"
    return at
