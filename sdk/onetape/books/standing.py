"""Standing: the events that count, once the fills that a venue took back are left out.

A voided fill is left out wholly, as if it had never been; a correction that follows under the
same trade id counts. What was believed before the void is the fold of the tape up to there.

Raises   BrokenTape when `seq` does not rise, when one execution stands twice, or when a void
         names a fill that is not among the events.
"""

from __future__ import annotations

from collections.abc import Iterable

from onetape.errors import BrokenTape
from onetape.tape.event import Event
from onetape.tape.kinds import OrderFilled, OrderVoided


class Executions:
    """The executions that stand, by order and trade id: the one place where they are judged."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, int]] = {}  # order -> trade id -> seq of its fill

    def fill(self, seq: int, fill: OrderFilled) -> None:
        """Note a fill; BrokenTape when its execution stands already."""
        known = self.of.get(fill.client_order_id)
        if known is None:
            self.of[fill.client_order_id] = {fill.trade_id: seq}
            return
        if fill.trade_id in known:  # venues may repeat an execution after a resend
            why = f"trade {fill.trade_id} of order {fill.client_order_id} stands since seq"
            why = f"{why} {known[fill.trade_id]}; expected each execution once, or a void"
            raise BrokenTape(seq, why)
        known[fill.trade_id] = seq

    def void(self, seq: int, void: OrderVoided) -> int:
        """Take a fill back and return its seq; BrokenTape when it does not stand."""
        known = self.of.get(void.client_order_id, {})
        if void.trade_id not in known:
            why = f"it voids trade {void.trade_id} of order {void.client_order_id}, which is not"
            raise BrokenTape(seq, f"{why} among the events; fold from the start of the tape")
        return known.pop(void.trade_id)


def voided(events: Iterable[Event]) -> set[int]:
    """Return the `seq` of every fill that was taken back later."""
    executions = Executions()
    gone: set[int] = set()
    last = 0
    for event in events:
        seq, fact = event.seq, event.fact
        if seq <= last:
            raise BrokenTape(seq, f"it follows seq {last}; expected rising numbers, each once")
        last = seq
        kind = type(fact)
        if kind is OrderFilled:
            executions.fill(seq, fact)  # pyright: ignore[reportArgumentType]
        elif kind is OrderVoided:
            gone.add(executions.void(seq, fact))  # pyright: ignore[reportArgumentType]
    return gone


def standing(events: Iterable[Event]) -> list[Event]:
    """Return the events without voided fills, in the order of the tape."""
    kept = list(events)
    gone = voided(kept)
    return [event for event in kept if event.seq not in gone] if gone else kept
