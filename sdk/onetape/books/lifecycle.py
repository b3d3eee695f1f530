"""Life cycle: the states of an order, and what each event makes of each state, as one table.

Ranks    where reports contradict one another, the table follows FIX's precedence of order states:
         FILLED before CANCELED and EXPIRED, these before PARTIALLY_FILLED, TRIGGERED, ACCEPTED,
         SUBMITTED; a refusal (DENIED, REJECTED) stands last, since any sign of life outranks it.
Legal    what a venue that keeps order may say, and what races make of it: a fill before the
         accept, a fill while a cancel or an update is pending, a cancel refused because the order
         was filled, a fill that was under way when the order was canceled or expired, a report
         said twice.
Odd      everything else. It is never refused and never lost: the event is booked, the state is
         what the table says, and the order lists it among its oddities.
Late     a fill of a CANCELED or EXPIRED order counts; the order stays ended unless it is wholly
         filled. (Nautilus moves it to PARTIALLY_FILLED, which counts as open there, although
         nothing is working at the venue any more.) A fill, a trigger or an accept of a REJECTED
         or DENIED order brings it back to life: the safe side for whoever counts what works.
Filled   an order is FILLED when something is filled and nothing is left, whatever came before;
         one whose quantity was raised after that is PARTIALLY_FILLED again.
Busts    a fill that was taken back is as if it had never been, so that an order that was FILLED
         by it is working again; one that was canceled beside it stays canceled. A correction is
         a void and a new fill, under a trade id of its own or the old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from onetape.tape import kinds
from onetape.tape.kinds import OrderFact

TERMINAL = frozenset({"FILLED", "CANCELED", "EXPIRED", "DENIED", "REJECTED"})
PENDING = frozenset({"PENDING_UPDATE", "PENDING_CANCEL"})

CODES = {
    "INI": "INITIALIZED",
    "EMU": "EMULATED",
    "REL": "RELEASED",
    "SUB": "SUBMITTED",
    "ACC": "ACCEPTED",
    "TRI": "TRIGGERED",
    "PUP": "PENDING_UPDATE",
    "PCA": "PENDING_CANCEL",
    "PFI": "PARTIALLY_FILLED",
    "FIL": "FILLED",
    "CAN": "CANCELED",
    "EXP": "EXPIRED",
    "DEN": "DENIED",
    "REJ": "REJECTED",
}
STATES = frozenset(CODES.values())
EVENTS: dict[str, type[OrderFact]] = {
    "initialized": kinds.OrderInitialized,
    "submitted": kinds.OrderSubmitted,
    "accepted": kinds.OrderAccepted,
    "denied": kinds.OrderDenied,
    "rejected": kinds.OrderRejected,
    "emulated": kinds.OrderEmulated,
    "released": kinds.OrderReleased,
    "triggered": kinds.OrderTriggered,
    "pending_update": kinds.OrderPendingUpdate,
    "pending_cancel": kinds.OrderPendingCancel,
    "modify_rejected": kinds.OrderModifyRejected,
    "cancel_rejected": kinds.OrderCancelRejected,
    "updated": kinds.OrderUpdated,
    "canceled": kinds.OrderCanceled,
    "expired": kinds.OrderExpired,
    "filled": kinds.OrderFilled,
    "voided": kinds.OrderVoided,
}
# A cell is the state that the event leaves, of a partial fill where it fills: "." stays as it is,
# "<" goes back to the state before the pending request, "!" says that it is odd.
TABLE = """
                 INI  EMU  REL  SUB  ACC  TRI  PUP  PCA  PFI  FIL  CAN  EXP  DEN  REJ
initialized      .!   .!   .!   .!   .!   .!   .!   .!   .!   .!   .!   .!   .!   .!
submitted        SUB  SUB! SUB  .    .!   .!   .!   .!   .!   .!   .!   .!   SUB! .!
accepted         ACC  ACC! ACC  ACC  .    .!   .    .    .    .    .!   .!   ACC! ACC!
denied           DEN  DEN  DEN  DEN! .!   .!   .!   .!   .!   .!   .!   .!   .    .!
rejected         REJ  REJ! REJ  REJ  REJ  REJ  REJ  REJ  .!   .!   .!   .!   REJ! .
emulated         EMU  .    .!   .!   .!   .!   .!   .!   .!   .!   .!   .!   .!   .!
released         REL  REL  .    .!   .!   .!   .!   .!   .!   .!   .!   .!   .!   .!
triggered        TRI  TRI! TRI  TRI  TRI  .    .    .    .!   .!   .!   .!   TRI! TRI!
pending_update   PUP! PUP  PUP  PUP  PUP  PUP  .    .!   PUP  .!   .!   .!   .!   .!
pending_cancel   PCA! PCA  PCA  PCA  PCA  PCA  PCA  .    PCA  .!   .!   .!   .!   .!
modify_rejected  .!   .    .    .    .    .    <    .    .    .    .    .    .!   .
cancel_rejected  .!   .    .    .    .    .    .!   <    .    .    .    .    .!   .
updated          .    .    .    .    .    .    <    .    .    .!   .!   .!   .!   .!
canceled         CAN  CAN  CAN  CAN  CAN  CAN  CAN  CAN  CAN  .!   .    .!   CAN! CAN!
expired          EXP  EXP  EXP  EXP  EXP  EXP  EXP  EXP  EXP  .!   .!   .    EXP! EXP!
filled           PFI  PFI! PFI  PFI  PFI  PFI  .    .    .    .!   .    .    PFI! PFI!
voided           .    .    .    .    .    .    .    .    .    .    .    .    .    .
"""
RESTED: dict[type[OrderFact], str] = {  # what rests behind a pending request once this was said
    kinds.OrderAccepted: "ACCEPTED",
    kinds.OrderTriggered: "TRIGGERED",
    kinds.OrderFilled: "PARTIALLY_FILLED",
}
BACK = "<"


class Move(NamedTuple):
    """What an event makes of a state: the next one, "<" for the one before a pending request."""

    to: str
    legal: bool


def _read(table: str) -> dict[str, dict[type[OrderFact], Move]]:
    head, *lines = table.strip().splitlines()
    states = [CODES[code] for code in head.split()]
    moves: dict[str, dict[type[OrderFact], Move]] = {state: {} for state in states}
    for line in lines:
        name, *cells = line.split()
        for state, cell in zip(states, cells, strict=True):
            code = cell.rstrip("!")
            to = state if code == "." else code if code == BACK else CODES[code]
            moves[state][EVENTS[name]] = Move(to, not cell.endswith("!"))
    return moves


MOVES: Mapping[str, Mapping[type[OrderFact], Move]] = MappingProxyType(_read(TABLE))
LEGAL: frozenset[tuple[str, str]] = frozenset(
    (state, kinds.tag_of(kind))
    for state, moves in MOVES.items()
    for kind, move in moves.items()
    if move.legal
)


def transition(
    status: str,
    fact: OrderFact,
    resting: str = "ACCEPTED",
    filled: Decimal = Decimal(0),
    quantity: Decimal | None = None,
) -> str:
    """Return the status that an event leaves, legal or not; never raises for a known status.

    resting   the status behind a pending request, to which a refused one falls back
    filled    what is filled once the event is booked; `quantity` likewise what is wanted,
              None when it is not known. They decide between PARTIALLY_FILLED and FILLED.
    """
    to = MOVES[status][type(fact)].to
    return settled(resting if to == BACK else to, filled, quantity)


def settled(status: str, filled: Decimal, quantity: Decimal | None) -> str:
    """Return a status once it agrees with what is filled and what is left."""
    if quantity is not None and filled > 0 and filled >= quantity:
        return "FILLED"
    return "PARTIALLY_FILLED" if status == "FILLED" and quantity is not None else status


def is_legal(status: str, fact: OrderFact) -> bool:
    """Whether an event is what may be said of an order in a status; see the module."""
    return MOVES[status][type(fact)].legal


def rested(resting: str, status: str, fact: OrderFact) -> str:
    """Return the status behind a pending request after an event that leaves `status`."""
    if status not in PENDING:
        return status
    told = RESTED.get(type(fact))
    if told is None:
        return resting
    to = MOVES[resting][type(fact)].to
    return resting if to == BACK else to
