"""Positions: what each strategy holds in each instrument, folded from its fills.

Only a fill or a split moves a position, and folding is deterministic; the book at any past
moment is therefore the fold of the tape up to that moment.

Units    quantity in units of the instrument, long > 0 > short; cost and realized in quote
         currency, multiplier included, commission excluded. Cost carries the quantity's sign.
Kept     the total cost, never the average price: no division enters until it is shown.
Methods  "average": reducing releases cost in proportion (rounded to 1e-18, the residue stays
         open). "fifo": the oldest lots go first. Both keep realized - cost = cash flow exactly.
Splits   quantity x ratio, cost unchanged; fractions stay, cash in lieu is a fill of its own.
Raises   BrokenTape when an event is not later than what is already booked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from onetape.books.exact import ONE, ZERO, exactly, share
from onetape.books.standing import standing
from onetape.errors import BrokenTape, SettingsError
from onetape.tape.event import Event
from onetape.tape.kinds import OrderFilled, SplitApplied

Method = Literal["average", "fifo"]


class Key(NamedTuple):
    """Whose position: one account, one instrument, one strategy."""

    account: str
    instrument: str
    strategy: str


class Lot(NamedTuple):
    """What is left of one opening fill."""

    seq: int
    quantity: Decimal
    cost: Decimal


class Holding(msgspec.Struct, frozen=True, gc=False):
    """The arithmetic of a position. `lots` is None under average cost."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO
    opened_seq: int | None = None
    lots: tuple[Lot, ...] | None = None

    def after(self, seq: int, quantity: Decimal, value: Decimal) -> Holding:
        """Return the holding after a fill of signed `quantity`; `value` is price x multiplier."""
        held = self.quantity
        if held == 0 or (held > 0) == (quantity > 0):
            return self._opened(seq, quantity, value)
        if abs(quantity) > abs(held):  # crossing zero: close all, open the rest at the fill price
            return self._closed(-held, value)._opened(seq, quantity + held, value)
        return self._closed(quantity, value)

    def split(self, ratio: Decimal) -> Holding:
        """Return the holding once each unit became `ratio` units; its cost does not change."""
        lots = self.lots and tuple(Lot(o.seq, o.quantity * ratio, o.cost) for o in self.lots)
        return Holding(self.quantity * ratio, self.cost, self.realized, self.opened_seq, lots)

    def _opened(self, seq: int, quantity: Decimal, value: Decimal) -> Holding:
        cost = quantity * value
        lots = None if self.lots is None else (*self.lots, Lot(seq, quantity, cost))
        opened = seq if self.quantity == 0 else self.opened_seq
        return Holding(self.quantity + quantity, self.cost + cost, self.realized, opened, lots)

    def _closed(self, quantity: Decimal, value: Decimal) -> Holding:
        left = self.quantity + quantity
        if self.lots is None:
            lots, released = None, share(self.cost, -quantity, self.quantity)
        else:
            lots, released = _released(self.lots, -quantity)
        realized = self.realized - quantity * value - released
        opened = self.opened_seq if left else None
        return Holding(left, self.cost - released if left else ZERO, realized, opened, lots)


EMPTY: dict[Method, Holding] = {"average": Holding(), "fifo": Holding(lots=())}


class Position(msgspec.Struct, frozen=True):
    """A holding, whose it is, what it cost to trade, and the fills that made it."""

    key: Key
    holding: Holding
    multiplier: Decimal
    currency: str
    commission: dict[str, Decimal]  # by currency
    fill_seqs: tuple[int, ...]
    seq: int  # of the last event booked

    @property
    def quantity(self) -> Decimal:
        return self.holding.quantity

    @property
    def cost(self) -> Decimal:
        return self.holding.cost

    @property
    def realized(self) -> Decimal:
        return self.holding.realized

    @property
    def opened_seq(self) -> int | None:
        """The fill that opened what is held now; None when flat."""
        return self.holding.opened_seq

    @property
    def average_price(self) -> Decimal:
        """Cost per unit, in price units; zero when flat."""
        return average_price(self.holding, self.multiplier)

    @exactly
    def unrealized(self, mark: Decimal) -> Decimal:
        """Return the open profit at a price of `mark`."""
        return self.quantity * mark * self.multiplier - self.cost

    @exactly
    def after(self, seq: int, fill: OrderFilled) -> Position:
        """Return the position with the fill at `seq` booked."""
        self._follows(seq)
        holding = self.holding.after(seq, signed(fill), fill.price * self.multiplier)
        paid = dict(self.commission)
        currency = fill.commission_currency
        paid[currency] = paid.get(currency, ZERO) + fill.commission
        seqs = (*self.fill_seqs, seq)
        return Position(self.key, holding, self.multiplier, self.currency, paid, seqs, seq)

    @exactly
    def split(self, seq: int, ratio: Decimal) -> Position:
        """Return the position once each unit became `ratio` units."""
        self._follows(seq)
        return msgspec.structs.replace(self, holding=self.holding.split(ratio), seq=seq)

    def _follows(self, seq: int) -> None:
        if seq <= self.seq:  # a projector restarted and re-read its last batch
            raise BrokenTape(seq, f"position {self.key} is already booked up to seq {self.seq}")


class Holdings:
    """All holdings while a fold runs: the one place where fills and splits are booked."""

    def __init__(
        self, method: Method = "average", multipliers: Mapping[str, Decimal] | None = None
    ) -> None:
        if method not in EMPTY:
            raise SettingsError(f"costing method {method!r}; expected one of {', '.join(EMPTY)}")
        self.by_key: dict[Key, Holding] = {}
        self._empty = EMPTY[method]
        self._multipliers: Mapping[str, Decimal] = {} if multipliers is None else multipliers
        self._keys: dict[tuple[str, str], list[Key]] = {}

    def fill(self, seq: int, fill: OrderFilled) -> tuple[Key, Holding, Holding]:
        """Book a fill; return whose, the holding before and the holding after."""
        key = Key(fill.account, fill.instrument, fill.strategy)
        before = self.by_key.get(key)
        if before is None:
            before = self._empty
            self._keys.setdefault((fill.account, fill.instrument), []).append(key)
        after = before.after(seq, signed(fill), fill.price * self.multiplier(fill.instrument))
        self.by_key[key] = after
        return key, before, after

    def split(self, seq: int, split: SplitApplied) -> list[tuple[Key, Holding, Holding]]:
        """Book a split; return the holdings it rescaled, before and after."""
        if split.ratio <= 0:
            raise BrokenTape(seq, f"split ratio {split.ratio}; expected more than zero")
        changed: list[tuple[Key, Holding, Holding]] = []
        for key in self._keys.get((split.account, split.instrument), ()):
            before = self.by_key[key]
            after = self.by_key[key] = before.split(split.ratio)
            changed.append((key, before, after))
        return changed

    def place(self, key: Key, holding: Holding) -> None:
        """Take over a holding folded earlier, instead of one that stands here."""
        if key not in self.by_key:
            self._keys.setdefault((key.account, key.instrument), []).append(key)
        self.by_key[key] = holding

    def forget(self, account: str, instrument: str) -> None:
        """Let go of all that an account holds in an instrument: it can be placed again."""
        for key in self._keys.pop((account, instrument), ()):
            del self.by_key[key]

    def held(self, account: str, instrument: str) -> Decimal:
        """Return what all strategies of the account hold together."""
        keys = self._keys.get((account, instrument), ())
        return sum((self.by_key[key].quantity for key in keys), ZERO)

    def multiplier(self, instrument: str) -> Decimal:
        return self._multipliers.get(instrument, ONE)


class Notes(msgspec.Struct, gc=False):
    """What a fold remembers beside a holding; `fill_seqs` is None where the rows tell them."""

    currency: str
    commission: dict[str, Decimal]
    fill_seqs: list[int] | None
    seq: int = 0
    fills: int = 0

    def fill(self, seq: int, key: Key, fill: OrderFilled) -> None:
        """Note a fill."""
        self.later(seq, key)
        self.fills += 1
        if self.fill_seqs is not None:
            self.fill_seqs.append(seq)
        currency, paid = fill.commission_currency, self.commission
        paid[currency] = paid.get(currency, ZERO) + fill.commission

    def later(self, seq: int, key: Key) -> None:
        """Note that an event was booked; BrokenTape when it is not later than those before."""
        if seq <= self.seq:
            raise BrokenTape(seq, f"position {key} is already booked up to seq {self.seq}")
        self.seq = seq


@exactly
def positions(
    events: Iterable[Event],
    method: Method = "average",
    multipliers: Mapping[str, Decimal] | None = None,
    start: Mapping[Key, Position] | None = None,
) -> dict[Key, Position]:
    """Return every position that the events leave, also the flat ones.

    `start` is an earlier answer, when `events` are only what followed it. A void of a fill
    from before `start` raises BrokenTape: fold from the beginning then.
    """
    book = Holdings(method, multipliers)
    notes: dict[Key, Notes] = {}
    for key, old in (start or {}).items():
        if (old.holding.lots is None) != (method == "average"):
            raise SettingsError(f"start was not folded with method {method!r}; refold it")
        book.place(key, old.holding)
        notes[key] = Notes(old.currency, dict(old.commission), list(old.fill_seqs), old.seq)
    for event in standing(events):
        fact = event.fact
        if isinstance(fact, OrderFilled):
            key = book.fill(event.seq, fact)[0]
            note = notes.get(key)
            if note is None:
                note = notes[key] = Notes(fact.currency, {}, [])
            note.fill(event.seq, key, fact)
        elif isinstance(fact, SplitApplied):
            for key, _, _ in book.split(event.seq, fact):
                notes[key].later(event.seq, key)
    return {
        key: Position(
            key,
            book.by_key[key],
            book.multiplier(key.instrument),
            note.currency,
            note.commission,
            tuple(note.fill_seqs or ()),
            note.seq,
        )
        for key, note in notes.items()
    }


def signed(fill: OrderFilled) -> Decimal:
    """Return the quantity of a fill, negative for a sale."""
    return fill.quantity if fill.side == "BUY" else -fill.quantity


@exactly
def average_price(holding: Holding, multiplier: Decimal) -> Decimal:
    """Return the cost per unit, in price units; zero when flat."""
    return holding.cost / (holding.quantity * multiplier) if holding.quantity else ZERO


def _released(lots: tuple[Lot, ...], quantity: Decimal) -> tuple[tuple[Lot, ...], Decimal]:
    """Return the lots left and the cost released once the oldest `quantity` is gone."""
    released = ZERO
    for index, lot in enumerate(lots):
        if abs(lot.quantity) > abs(quantity):
            part = share(lot.cost, quantity, lot.quantity)
            rest = Lot(lot.seq, lot.quantity - quantity, lot.cost - part)
            return (rest, *lots[index + 1 :]), released + part
        released += lot.cost
        quantity -= lot.quantity
        if quantity == 0:
            return lots[index + 1 :], released
    return (), released
