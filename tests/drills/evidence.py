"""What is left after a drill, from three sides: the venue's word, the projected tables, the tape.

lost        executions, orders or money that the venue knows of and the tape does not
doubled     what stands on the tape twice, or reached the venue twice
mismatched  all else that does not agree; each with words that name it
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from onetape.errors import VenueUnavailable
from onetape.results.tape import Tape
from onetape.run import ports, venues
from onetape.tape import kinds
from onetape.tape.kinds_live import RiskDecided
from onetape.tape.ledger import Entry

from .victims import ACCOUNT, CASH

ZERO = Decimal(0)
ENDS: dict[type, str] = {
    kinds.OrderCanceled: "CANCELED",
    kinds.OrderExpired: "EXPIRED",
    kinds.OrderRejected: "REJECTED",
    kinds.OrderDenied: "DENIED",
}


@dataclass
class Findings:
    """What was counted, and what was wrong."""

    orders: int = 0
    fills: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.lost or self.doubled or self.mismatched)

    def __str__(self) -> str:
        said = [f"{self.orders} orders, {self.fills} fills"]
        for name in ("lost", "doubled", "mismatched"):
            said += [f"{name}: {one}" for one in getattr(self, name)[:8]]
        return "\n".join(said)


@dataclass
class Word:
    """The venue's word, asked on a fresh connection."""

    working: dict[str, ports.OrderStatus]
    fills: list[ports.Filled]
    positions: dict[str, Decimal]
    cash: dict[str, Decimal]
    statuses: dict[str, ports.OrderStatus | None]


async def _asked(config: dict[str, Any], names: list[str]) -> Word:
    venue = venues.venue({"venue": "sim", **config})
    for left in range(100, -1, -1):
        try:
            await venue.connect(lambda _: None)
            break
        except VenueUnavailable:
            if not left:
                raise
            await asyncio.sleep(0.1)
    try:
        return Word(
            {one.client_order_id: one for one in await venue.orders(ACCOUNT)},
            list(await venue.fills(ACCOUNT, 0)),
            {one.instrument: one.quantity for one in await venue.positions(ACCOUNT)},
            {one.currency: one.total for one in await venue.cash(ACCOUNT)},
            {name: await venue.status(name) for name in names},
        )
    finally:
        await venue.disconnect()


def journaled(path: Path) -> dict[str, tuple[int, dict[str, Any]]]:
    """Return each order that the venue ever had: when it came (ns UTC), and its last state."""
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for line in path.read_bytes().splitlines():
        told = json.loads(line)
        for order in told.get("orders", ()):
            name = order["new"]["client_order_id"]
            since = found[name][0] if name in found else order["ts"]
            found[name] = (since, order)
    return found


class Told:
    """A plain fold of the tape: what it says of each order."""

    def __init__(self, entries: list[Entry]) -> None:
        self.begun: dict[str, Entry] = {}
        self.ends: dict[str, list[str]] = defaultdict(list)
        self.fills: list[kinds.OrderFilled] = []
        self.filled: dict[str, Decimal] = defaultdict(Decimal)
        self.sizes: dict[str, Decimal] = {}
        self.again: list[str] = []
        self.denied: set[str] = set()
        self.refused: dict[str, str] = {}
        for entry in entries:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        fact = entry.event.fact
        if isinstance(fact, RiskDecided) and fact.verdict == "deny":
            self.denied.add(fact.client_order_id)
        if not isinstance(fact, kinds.OrderFact):
            return
        name = fact.client_order_id
        if isinstance(fact, kinds.OrderInitialized):
            if name in self.begun:
                self.again.append(name)
            self.begun.setdefault(name, entry)
            self.sizes[name] = fact.quantity
        elif isinstance(fact, kinds.OrderUpdated):
            self.sizes[name] = fact.quantity
        elif isinstance(fact, kinds.OrderFilled):
            self.fills.append(fact)
            self.filled[name] += fact.quantity
            if self.filled[name] == self.sizes.get(name):
                self.ends[name].append("FILLED")
        elif type(fact) in ENDS:
            self.ends[name].append(ENDS[type(fact)])
            self.refused[name] = getattr(fact, "reason", "")


def examine(
    tape: Tape, session: str, config: dict[str, Any], journal: Path, *, clocks: bool = True
) -> Findings:
    """Hold the three sides against each other once a session, or ("") all, have ended.

    clocks   whether all clocks were right, so that times may be compared
    """
    entries = list(tape.read())
    told = Told([one for one in entries if one.stream.startswith(f"session/{session}")])
    there = journaled(journal)
    word = asyncio.run(_asked(config, sorted({*told.begun, *there})))
    found = Findings(orders=len(told.begun), fills=len(word.fills))
    _executions(told, word, found)
    _orders(told, word, there, found)
    if clocks:
        _durable_before(told, there, found)
    _folded(told, word, found)
    _projected(tape, word, told, found)
    if not (verdict := tape.verify(progress=False)).ok:
        found.mismatched.append(f"the tape does not verify: {verdict}")
    if word.working:
        found.mismatched.append(f"left working at the venue: {', '.join(word.working)}")
    return found


def _executions(told: Told, word: Word, found: Findings) -> None:
    """Every fill of the venue is on the tape once, with its terms, and no other is."""
    ours = Counter(fill.trade_id for fill in told.fills)
    theirs = {fill.trade_id: fill for fill in word.fills}
    found.lost += [f"fill {one} of {theirs[one].client_order_id}" for one in theirs.keys() - ours]
    found.doubled += [f"fill {one}, {n} times" for one, n in ours.items() if n > 1]
    found.mismatched += [f"fill {one} is none of the venue's" for one in ours.keys() - theirs]
    for fill in told.fills:
        other = theirs.get(fill.trade_id)
        mine = (fill.client_order_id, fill.side, fill.quantity, fill.price, fill.commission)
        if other is not None and mine != (
            other.client_order_id, other.side, other.quantity, other.price, other.commission,
        ):  # fmt: skip
            found.mismatched.append(f"fill {fill.trade_id}: {mine} here")


def _orders(told: Told, word: Word, there: dict[str, Any], found: Findings) -> None:
    """Every order has one end, the venue's; none reached it twice, none is unknown here."""
    found.lost += [f"order {one} is unknown to the tape" for one in there.keys() - told.begun]
    found.doubled += [f"order {one} begins twice" for one in told.again]
    for name, entry in told.begun.items():
        ends, status = told.ends[name], word.statuses[name]
        said = status.status if status is not None else "unknown"
        if "duplicate" in told.refused.get(name, ""):
            found.doubled.append(f"order {name} reached the venue twice")
        if entry.event.fact.strategy == "EXTERNAL":
            found.mismatched.append(f"order {name} became an external one")
        if not ends:
            found.lost.append(f"order {name} has no end here; there it is {said}")
        elif len(ends) > 1:
            found.doubled.append(f"order {name} ended as {', '.join(ends)}")
        elif status is None and ends[0] not in ("REJECTED", "DENIED"):
            found.mismatched.append(f"order {name} is {ends[0]}; the venue never heard of it")
        elif status is not None and (ends[0] != said or told.filled[name] != status.filled):
            mine = f"{ends[0]}, {told.filled[name]} filled"
            found.mismatched.append(f"order {name}: {mine} here; {said}, {status.filled} there")


def _durable_before(told: Told, there: dict[str, tuple[int, Any]], found: Findings) -> None:
    """Law 3: an order was recorded before the venue had it (one machine, one clock)."""
    for name, (received, _) in there.items():
        if name in told.begun and told.begun[name].recorded > received:
            late = (told.begun[name].recorded - received) / 1e6
            found.mismatched.append(f"order {name} was recorded {late:.3f} ms after it arrived")


def _folded(told: Told, word: Word, found: Findings) -> None:
    """Positions and cash by adding up the tape's own fills."""
    held: dict[str, Decimal] = defaultdict(Decimal)
    cash = Decimal(CASH)
    for fill in told.fills:
        signed = fill.quantity if fill.side == "BUY" else -fill.quantity
        held[fill.instrument] += signed
        cash -= signed * fill.price + fill.commission
    _same("folded positions", {k: v for k, v in held.items() if v}, word.positions, found)
    _same("folded cash", {"USD": cash}, word.cash, found)


def _projected(tape: Tape, word: Word, told: Told, found: Findings) -> None:
    """The same by the tables, and as of now."""
    fills = tape.frame("fills", book="paper", account=ACCOUNT)
    if fills.height != len(told.fills):
        found.mismatched.append(f"{fills.height} rows of fills for {len(told.fills)} on the tape")
    now = tape.at(book="paper", account=ACCOUNT)
    held: dict[str, Decimal] = defaultdict(Decimal)
    for row in now.positions.iter_rows(named=True):
        held[row["instrument"]] += row["quantity"]
    _same("projected positions", {k: v for k, v in held.items() if v}, word.positions, found)
    cash: dict[str, Decimal] = defaultdict(Decimal)
    for row in now.cash.iter_rows(named=True):
        cash[row["currency"]] += row["balance"]
    _same("projected cash", dict(cash), word.cash, found)
    if now.orders.height:
        names = now.orders["client_order_id"].to_list()
        found.mismatched.append(f"the tables have working orders: {names[:5]}")


def _same(what: str, ours: dict[str, Decimal], theirs: dict[str, Decimal], found: Findings) -> None:
    if ours != theirs:
        found.mismatched.append(f"{what} {_shown(ours)} here, {_shown(theirs)} there")


def _shown(amounts: dict[str, Decimal]) -> str:
    return ", ".join(f"{v} {k}" for k, v in sorted(amounts.items())) or "none"
