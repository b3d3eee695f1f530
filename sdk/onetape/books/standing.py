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


def voided(events: Iterable[Event]) -> set[int]:
    """Return the `seq` of every fill that was taken back later."""
    booked: dict[tuple[str, str], int] = {}
    gone: set[int] = set()
    last = 0
    for event in events:
        seq, fact = event.seq, event.fact
        if seq <= last:
            raise BrokenTape(seq, f"it follows seq {last}; expected rising numbers, each once")
        last = seq
        kind = type(fact)
        if kind is OrderFilled:
            _book(booked, seq, fact)  # pyright: ignore[reportArgumentType]
        elif kind is OrderVoided:
            gone.add(_take_back(booked, seq, fact))  # pyright: ignore[reportArgumentType]
    return gone


def standing(events: Iterable[Event]) -> list[Event]:
    """Return the events without voided fills, in the order of the tape."""
    kept = list(events)
    gone = voided(kept)
    return [event for event in kept if event.seq not in gone] if gone else kept


def _book(booked: dict[tuple[str, str], int], seq: int, fill: OrderFilled) -> None:
    key = (fill.client_order_id, fill.trade_id)
    if key in booked:  # venues may repeat an execution after a resend
        why = f"trade {fill.trade_id} of order {fill.client_order_id} stands since seq"
        raise BrokenTape(seq, f"{why} {booked[key]}; expected each execution once, or a void")
    booked[key] = seq


def _take_back(booked: dict[tuple[str, str], int], seq: int, void: OrderVoided) -> int:
    key = (void.client_order_id, void.trade_id)
    if key not in booked:
        why = f"it voids trade {void.trade_id} of order {void.client_order_id}, which is not"
        raise BrokenTape(seq, f"{why} among the events; fold from the start of the tape")
    return booked.pop(key)
