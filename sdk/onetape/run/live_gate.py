# pyright: standard
"""The gate of a live session: its state from every fact that is recorded, and the last line.

It is the gate of a backtest with other ends: facts carry the session's stamps, an order that the
bridge is handed is asked about once more, and states and limits follow the tape while it trades.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onetape.market.instruments import Instrument
from onetape.risk.limitbook import from_json
from onetape.risk.state import State
from onetape.run.approval import Who
from onetape.run.gate import Gate
from onetape.run.gate_orders import intent_of, order_terms
from onetape.run.gated import RowMarket, terms_for_gate
from onetape.run.kernel import Kernel
from onetape.tape import kinds

RANKED = ("ACTIVE", "REDUCING", "CANCEL_ONLY", "HALTED")


def gate_of(
    limits: str, who: Who, currency: str, instruments: Mapping[str, Instrument]
) -> tuple[Gate, RowMarket]:
    """Return a session's gate; `limits` is the canonical JSON of a limit book."""
    book = from_json(limits)
    state = State(currency, book, account=who.account)
    for instrument in instruments.values():
        state.know(terms_for_gate(instrument))
    market = RowMarket()
    gate = Gate(book, state, market, _unheard, who)
    return gate, market


def _unheard(_fact: kinds.Fact, _cause: int | None) -> int:
    raise AssertionError("a session's decisions are recorded by its host")


class LastLine:
    """What the bridge asks before an order leaves, however the order was made."""

    def __init__(self, gate: Gate, kernel: Kernel) -> None:
        self._gate, self._kernel = gate, kernel

    def may(self, order: Any) -> str:
        """Return why an order may not leave, "" when it may; one never judged is judged here."""
        gate, name = self._gate, str(order.client_order_id)
        released = order.status.name == "RELEASED"  # emulated until now: judged by what holds now
        if not released and gate.approved(name, order_terms(order)):
            return ""
        kernel = self._kernel
        cause = kernel.recorder.seq_of(name)
        intent = intent_of(order, gate, kernel.now, kernel.host._code)
        (decision,) = gate.judge([intent], cause, self._note)
        return "" if decision.allowed else f"{decision.code} {decision.detail}".strip()

    def changed(self, order: Any, command: Any) -> str:
        """Return why an order's new terms may not leave; the same for them."""
        gate, name = self._gate, str(order.client_order_id)
        if _shrinks(order, command):  # it can only take risk away, also under a halt
            return ""
        terms = {n: getattr(command, n) for n in ("quantity", "price", "trigger_price")}
        if gate.approved(name, order_terms(order, **terms)):
            return ""
        kernel = self._kernel
        intent = intent_of(order, gate, kernel.now, kernel.host._code, **terms)
        (decision,) = gate.judge([intent], kernel.recorder.seq_of(name), self._note)
        return "" if decision.allowed else f"{decision.code} {decision.detail}".strip()

    def halted(self, order: Any) -> str:
        """Return why an order that was allowed may not leave any more."""
        return self._gate.held_back(str(order.client_order_id))

    def standing(self) -> str:
        """Return the strictest trading state of what this session is part of."""
        who, scopes = self._gate.who, self._gate.state.keeping.scopes
        ours = ("firm", f"account:{who.account}", f"desk:{who.desk}", f"trader:{who.trader}")
        found = [scopes.get(s, RANKED[0]) for s in (*ours, f"strategy:{self._kernel.name}")]
        return max(found, key=RANKED.index)

    def _note(self, fact: kinds.Fact, cause: int | None) -> int:
        return self._kernel.note(fact, "risk", cause)


def _shrinks(order: Any, command: Any) -> bool:
    """Say whether new terms are the old ones for a smaller quantity."""
    smaller = command.quantity is not None and command.quantity < order.quantity
    same = all(
        getattr(command, name) in (None, getattr(order, name, None))
        for name in ("price", "trigger_price")
    )
    return smaller and same
