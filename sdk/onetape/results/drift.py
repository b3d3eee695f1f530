"""Drift: why a live or paper session did not earn what a backtest of the same day did.

Orders of both runs are set side by side (`drift_orders`), both are marked at the same last prices,
and each difference is one item with its cause and what it earned or cost, so that

    P&L of the run + the sum of all items = P&L of the other

exactly, in decimals. What an order earned is its filled quantity x (mark - price), less fees.

Causes   code, params    the strategies are not the same, and so are not their decisions
         data            rows differ up to here: other rows, or another price in the same row
         timing          decided by another row, or filled by another quote
         price           filled by the same quote at another price
         quantity        more or less was wanted, or filled
         fees            another commission
         missed, extra   a decision of one run only, on the same rows by the same code
         refused         denied or rejected in one run only
         residual        what is left: zero, and shown so that one can see that it is
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from onetape.books.exact import EXACT, TINY, ZERO, exactly, trimmed
from onetape.results.drift_data import Data, rates_of
from onetape.results.drift_orders import Done, Pair, Story, Told, pairs, sequence, story

if TYPE_CHECKING:
    from onetape.results.run import Run

KINDS = (
    "code", "params", "data", "missed", "extra", "refused", "timing", "price", "quantity", "fees",
    "residual",
)  # fmt: skip
SCHEMA = pl.Schema(
    {
        "kind": pl.String(),
        "amount": pl.Decimal(38, 18),
        "strategy": pl.String(),
        "instrument": pl.String(),
        "ts_event": pl.Datetime("ns", "UTC"),
        "detail": pl.String(),
        "seq": pl.Int64(),
        "other_seq": pl.Int64(),
    }
)


class Item(NamedTuple):
    """One difference; `amount` in the run's currency, `decided` ns UTC (0 where it is not of one
    order), seqs of the orders."""

    kind: str
    amount: Decimal
    strategy: str
    instrument: str
    decided: int
    detail: str
    seq: int | None = None
    other_seq: int | None = None


@dataclass(frozen=True)
class Drift:
    """From one run's P&L to another's, difference by difference.

    items      every difference, with its cause and amount
    pnl, other_pnl   of the run and of the other, in `currency`, marked at `marks`
    """

    run: Run
    other: Run
    currency: str
    pnl: Decimal
    other_pnl: Decimal
    items: tuple[Item, ...]
    marks: Mapping[str, Decimal]
    sequences: tuple[Sequence[Told], Sequence[Told]] = field(repr=False)

    @property
    @exactly
    def gap(self) -> Decimal:
        """What the other run earned more (less, below zero)."""
        return self.other_pnl - self.pnl

    @property
    @exactly
    def total(self) -> Decimal:
        """The sum of all items: the gap."""
        return sum((one.amount for one in self.items), ZERO)

    @property
    def residual(self) -> Decimal:
        """What no item explains."""
        return next(one.amount for one in self.items if one.kind == "residual")

    @property
    def sequence_equal(self) -> bool:
        """Whether the events of orders are the same kinds, sides, quantities and prices."""
        return self.sequences[0] == self.sequences[1]

    @property
    def parted(self) -> int | None:
        """Where the sequences of order events part first, from 0; None when nowhere."""
        if self.sequence_equal:
            return None
        left, right = self.sequences
        both = zip(left, right, strict=False)
        return next((at for at, (a, b) in enumerate(both) if a != b), min(len(left), len(right)))

    @property
    def identical(self) -> bool:
        """Whether nothing differs: no item, no event of an order."""
        return self.sequence_equal and all(one.kind == "residual" for one in self.items)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """One row a difference: kind, amount, whose, when decided, in words."""
        from onetape.results.text import trimmed as shorter

        rows = [
            (one.kind, EXACT.quantize(one.amount, TINY), *one[2:4], one.decided or None, *one[5:])
            for one in self.items
        ]
        return shorter(pl.DataFrame(rows, schema=SCHEMA, orient="row"))

    @exactly
    def by_kind(self) -> dict[str, Decimal]:
        """Return the sum of each cause that occurs, in the order of the waterfall."""
        found: dict[str, Decimal] = {}
        for kind in KINDS:
            some = [one.amount for one in self.items if one.kind == kind]
            if some:
                found[kind] = sum(some, ZERO)
        return found

    def __repr__(self) -> str:
        from onetape.results.drift_page import text

        return text(self)

    def _repr_html_(self) -> str:
        from onetape.results.drift_page import html

        return html(self)


@exactly
def drift(
    run: Run,
    other: Run,
    *,
    marks: Mapping[str, Decimal] | None = None,
    tolerance_ns: int = 0,
) -> Drift:
    """Return why `other` (a session) did not earn what `run` (a backtest) did.

    marks          last prices by instrument; by default the last of the runs' data, else of
                   their fills
    tolerance_ns   times that are no further apart count as the same

    Raises MarketDataError where money in another currency has no rate among the data.
    """
    left, right = _story(run), _story(other)
    data = Data(run, other)
    prices = {**_last(left, right), **data.last, **(marks or {})}
    worth = Worth(run, other, prices, rates_of(run.currency, data, left, right))
    judged = _Judge(run, other, data, worth, tolerance_ns)
    for pair in pairs(left.orders, right.orders, tolerance_ns):
        judged.compare(*pair)
    ours, theirs = worth.of(left), worth.of(right)
    received = worth.money(right.dividends) - worth.money(left.dividends)
    if received:
        judged.items.append(Item("data", received, "", "", 0, "dividends differ"))
    rest = theirs - ours - sum((one.amount for one in judged.items), ZERO)
    judged.items.append(Item("residual", rest, "", "", 0, "what no item explains"))
    told = (sequence(run.recording), sequence(other.recording))
    return Drift(run, other, run.currency, ours, theirs, tuple(judged.items), prices, told)


def _story(run: Run) -> Story:
    margined = [name for name, info in run.instruments.items() if info.margined]
    return story(run.recording, margined, run.multipliers)


def _last(left: Story, right: Story) -> dict[str, Decimal]:
    found: dict[str, tuple[int, Decimal]] = {}
    for last in (left.last, right.last):
        for name, one in last.items():
            found[name] = max(found.get(name, one), one)
    return {name: price for name, (_, price) in found.items()}


class Worth:
    """What orders earned, in one currency, at the same last prices for both runs."""

    def __init__(
        self, run: Run, other: Run, marks: Mapping[str, Decimal], rates: Mapping[str, Decimal]
    ) -> None:
        infos = {**other.instruments, **run.instruments}
        self._sizes = {name: info.multiplier for name, info in infos.items()}
        self._money = {name: info.currency or run.currency for name, info in infos.items()}
        self._currency, self._marks, self._rates = run.currency, marks, rates

    def unit(self, instrument: str) -> Decimal:
        """Return what one unit of price is worth for one unit of an instrument."""
        rate = self._rates.get(self._money.get(instrument, self._currency), Decimal(1))
        return self._sizes.get(instrument, Decimal(1)) * rate

    def money(self, amounts: Mapping[str, Decimal]) -> Decimal:
        """Return amounts by currency as one."""
        some = (amount * self._rates.get(code, Decimal(1)) for code, amount in amounts.items())
        return sum(some, ZERO)

    def earned(self, one: Done | None) -> Decimal:
        """Return what an order earned, fees taken off."""
        if one is None:
            return ZERO
        mark = self._marks.get(one.instrument, ZERO)
        return (one.quantity * mark - one.value) * self.unit(one.instrument) - self.money(one.fees)

    def of(self, told: Story) -> Decimal:
        """Return what a run earned: its orders and its dividends."""
        earned = sum((self.earned(one) for one in told.orders), ZERO)
        return earned + self.money(told.dividends)


class _Judge:
    """Says of each pair of orders what differs, why, and what it earned."""

    def __init__(self, run: Run, other: Run, data: Data, worth: Worth, tolerance: int) -> None:
        self.items: list[Item] = []
        self._data, self._worth, self._tolerance = data, worth, tolerance
        one, two = run.opened, other.opened
        self._because = ""
        if one.code_hash != two.code_hash:
            self._because = "code"
            hashes = f"{one.code_hash[:12]} and {two.code_hash[:12]}"
            self._note("code", f"the strategies' code differs: {hashes}")
        if one.params != two.params:
            self._because = self._because or "params"
            self._note("params", f"parameters differ: {_changed(one.params, two.params)}")
        for detail in data.notes:
            self._note("data", detail)

    def compare(self, mine: Done | None, theirs: Done | None) -> None:
        if mine is None or theirs is None:
            self._alone(mine, theirs)
        elif bool(mine.refused) != bool(theirs.refused) and not (mine.quantity and theirs.quantity):
            who, one = ("the run", mine) if mine.refused else ("the other", theirs)
            amount = self._worth.earned(theirs) - self._worth.earned(mine)
            self._add("refused", amount, (mine, theirs), f"{who} was refused: {one.refused}")
        else:
            self._both(mine, theirs)

    def _alone(self, mine: Done | None, theirs: Done | None) -> None:
        one = mine or theirs
        assert one is not None
        amount = self._worth.earned(theirs) - self._worth.earned(mine)
        kind, where = ("missed", "not in the other") if mine else ("extra", "not in the run")
        kind = self._because or ("data" if self._data.differs(one) else kind)
        refused = f", refused: {one.refused}" if one.refused else ""
        self._add(kind, amount, (mine, theirs), f"{one.label} {where}{refused}")

    def _both(self, mine: Done, theirs: Done) -> None:
        pair, unit = (mine, theirs), self._worth.unit(mine.instrument)
        whole = self._worth.earned(theirs) - self._worth.earned(mine)
        fees = self._worth.money(mine.fees) - self._worth.money(theirs.fees)
        price = self._price(mine, theirs) * unit
        quantity = whole - fees - price
        moved = theirs.decided - mine.decided
        decided = abs(moved) > self._tolerance
        if price or decided or self._filled_apart(mine, theirs):
            self._add(*self._of_price(mine, theirs, price, decided))
        if quantity or mine.wanted != theirs.wanted or mine.quantity != theirs.quantity:
            kind = "quantity"
            if mine.wanted != theirs.wanted:
                kind = self._because or ("data" if self._data.differs(mine) else kind)
            wanted = f"{mine.wanted} and {theirs.wanted} wanted"
            filled = f"{abs(mine.quantity)} and {abs(theirs.quantity)} filled"
            self._add(kind, quantity, pair, f"{wanted}, {filled}")
        if fees:
            detail = f"{_fees(mine)} and {_fees(theirs)} paid"
            self._add("fees", fees, pair, detail)

    def _of_price(
        self, mine: Done, theirs: Done, price: Decimal, decided: bool
    ) -> tuple[str, Decimal, Pair, str]:
        pair = (mine, theirs)
        if decided:
            other = "data" if self._data.differs(mine) else "timing"
            apart = _seconds(theirs.decided - mine.decided)
            return self._because or other, price, pair, f"decided {apart}, {_paid(mine, theirs)}"
        if apart := self._filled_apart(mine, theirs):
            return "timing", price, pair, f"filled {_seconds(apart)}, {_paid(mine, theirs)}"
        kind = "data" if self._data.differs(mine, at=mine.filled) else "price"
        return kind, price, pair, f"same quote, {_paid(mine, theirs)}"

    def _filled_apart(self, mine: Done, theirs: Done) -> int:
        """Return by how much the first fill that came at another time was later; 0 for none."""
        apart = (b - a for a, b in zip(mine.filled, theirs.filled, strict=False))
        return next((one for one in apart if abs(one) > self._tolerance), 0)

    @staticmethod
    def _price(mine: Done, theirs: Done) -> Decimal:
        """Return what another price earned on what the other filled, in units of price."""
        if mine.quantity == theirs.quantity:
            return mine.value - theirs.value
        if not mine.quantity or not theirs.quantity:
            return ZERO
        scaled = mine.value * theirs.quantity / mine.quantity
        return EXACT.quantize(scaled, TINY) - theirs.value

    def _note(self, kind: str, detail: str) -> None:
        self.items.append(Item(kind, ZERO, "", "", 0, detail))

    def _add(self, kind: str, amount: Decimal, pair: Pair, detail: str) -> None:
        mine, theirs = pair
        one = mine or theirs
        assert one is not None
        seqs = (mine.seq if mine else None, theirs.seq if theirs else None)
        what = (one.strategy, one.instrument, one.decided, detail)
        self.items.append(Item(kind, amount, *what, *seqs))


def _changed(one: Mapping[str, object], two: Mapping[str, object]) -> str:
    names = sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))
    return ", ".join(f"{name} {one.get(name)} and {two.get(name)}" for name in names)


def _seconds(apart: int) -> str:
    return f"{abs(apart) / 1e9:.3f} s {'later' if apart > 0 else 'earlier'}"


def _paid(mine: Done, theirs: Done) -> str:
    prices = [
        str(trimmed(EXACT.quantize(one.value / one.quantity, Decimal("1e-9"))))
        if one.quantity
        else "none"
        for one in (mine, theirs)
    ]
    return f"at {prices[0]} and {prices[1]}"


def _fees(one: Done) -> str:
    some = [f"{trimmed(amount)} {code}" for code, amount in sorted(one.fees.items())]
    return " + ".join(some) or "nothing"
