"""A case: one intent beside everything that its checks look at, worked out once.

Own      a modify is judged as if its order were not there and the order it would become were
         sent: what the order counts for now is taken out of the sums first.
Price    what one unit may cost or bring at worst: a buy's limit price; else the largest of
         trigger, limit price and the far touch (or the reference where there is none).
Reduces  the order brings the account's holding nearer to zero and never past it, even when all
         other exits are filled too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from onetape.risk.cells import Cell, Totals, Working
from onetape.risk.exact import ONE, ZERO
from onetape.risk.intent import Intent, Market, Reference
from onetape.risk.keeping import Keeping
from onetape.risk.limitbook import LimitBook
from onetape.risk.resolved import Bound, Own
from onetape.risk.sums import Unknown
from onetape.risk.terms import day_of

Seen = tuple[str, str, Decimal | None, Decimal | None, str]
# what a check found: code ("" passes), rule, observed, threshold, words
NOTHING = Cell("", ())


class Case:
    """One intent, the limits that apply to it, and the state without it."""

    __slots__ = (
        "_dearer", "_equity", "_parts", "_profits", "_stake", "_theirs", "adds",
        "buys", "cell", "day", "intent", "keeping", "left", "limits", "long", "mark_unit",
        "own", "own_cost", "pending", "price", "reduces", "reference", "rules", "sells", "short",
        "sign", "terms", "ts", "unit", "value",
    )  # fmt: skip

    def __init__(self, intent: Intent, market: Market, keeping: Keeping, limits: LimitBook) -> None:
        self.intent, self.keeping, self.limits, self.ts = intent, keeping, limits, intent.ts
        self._equity: Decimal | None = None
        self._stake: Decimal | None = None
        self._dearer: Decimal | None = None
        self._theirs: Cell | None = None
        self._profits: dict[str, Decimal] = {}
        self._parts: dict[str, tuple[Totals, ...]] = {}
        self.day = day_of(keeping.sums.tz, intent.ts)
        self.sign = 1 if intent.side == "BUY" else -1
        sums = keeping.sums
        terms = self.terms = sums.terms.get(intent.instrument)
        self.rules = limits.resolve(
            (intent.desk, intent.account, intent.strategy, intent.trader, intent.venue,
             intent.instrument, terms.kind if terms is not None else "")
        )  # fmt: skip
        self.cell = sums.cells.get((self.rules.account, intent.instrument), NOTHING)
        own = self.own = keeping.orders.get(intent.client_order_id)
        left = intent.quantity if own is None else intent.quantity - own.filled
        self.left = left if left > 0 else ZERO
        self.adds = not (intent.reduce_only and terms is not None and terms.reduce_only_kept)
        self._count(own)
        self._value(market)

    def _count(self, own: Working | None) -> None:
        """Work out the holding at worst with this order, and whether it only reduces."""
        cell, left, sign = self.cell, self.left, self.sign
        buys, sells = cell.buys, cell.sells
        exits = cell.exits_short if sign > 0 else cell.exits_long
        self.own_cost = ZERO
        if own is not None:
            self.own_cost = own.cost
            if own.reduces and not self.adds:
                exits -= own.counted
            elif sign > 0:
                buys -= own.counted
            else:
                sells -= own.counted
        held = cell.held
        awaited = (buys if sign > 0 else sells) + exits
        self.reduces = held * sign < 0 and awaited + left <= abs(held)
        self.pending = bool(buys if sign > 0 else sells)
        if held * sign < 0:  # exits may go first: what they close is no room for other orders
            gone = exits if self.adds else exits + left
            held = sign * min(ZERO, held * sign + gone)
        if self.adds:
            if sign > 0:
                buys += left
            else:
                sells += left
        self.buys, self.sells = buys, sells
        self.long, self.short = held + buys, held - sells

    def _value(self, market: Market) -> None:
        """Work out what the order is worth at its worst price."""
        intent, terms = self.intent, self.terms
        reference = self.reference = market.reference(intent.instrument)
        self.price = self._worst(reference)
        self.unit: Decimal | None = None
        self.mark_unit = self.cell.unit
        self.value: Decimal | None = None
        if terms is None:
            return
        base = self.keeping.sums.base
        rate = ONE if terms.currency == base else market.rate(terms.currency)
        if rate is None:
            return
        per = terms.multiplier * rate
        if reference is not None:
            self.mark_unit = reference.price * per
        if self.price is not None:
            self.unit = self.price * per
            self.value = self.left * self.unit

    def _worst(self, reference: Reference | None) -> Decimal | None:
        intent = self.intent
        if self.sign > 0 and intent.price is not None:
            return intent.price
        found = [p for p in (intent.price, intent.trigger_price) if p is not None]
        if reference is not None:
            touch = reference.ask if self.sign > 0 else reference.bid
            found.append(reference.price if touch is None else touch)
        return max(found) if found else None

    # -- what several checks ask

    def parts(self, scope: str) -> tuple[Totals, ...]:
        """Return the totals that a scope's sum is made of."""
        found = self._parts.get(scope)
        if found is None:
            found = self._parts[scope] = self._made_of(scope)
        return found

    def _made_of(self, scope: str) -> tuple[Totals, ...]:
        totals = self.keeping.sums.totals
        if not scope.startswith("desk:"):
            total = totals.get(scope)
            return () if total is None else (total,)
        desk = {*self.keeping.sums.desks.get(scope[5:], ()), self.intent.account}
        names = ["account:" + name for name in sorted(desk)]
        return tuple(total for name in names if (total := totals.get(name)) is not None)

    def equity(self) -> Decimal:
        """Return the account's equity; raises Unknown."""
        if self._equity is None:
            self._equity = self.keeping.sums.equity(self.intent.account)
        return self._equity

    def loss(self, scope: str, of_day: bool) -> Decimal:
        """Return what a scope has lost today, or from its peak; gains are negative."""
        lost = ZERO
        for total in self.parts(scope):
            profit = self._profits.get(total.scope)
            if profit is None:
                profit = self._profits[total.scope] = self.keeping.sums.profit(total)
            if not of_day:
                lost += total.peak - profit
            elif total.day == self.day:
                lost += total.base - profit
        return lost

    def cell_of(self, scope: str) -> Cell:
        """Return the cell by which a scope's sums change: the strategy's or the account's."""
        return self.theirs() if scope.startswith("strategy:") else self.cell

    def theirs(self) -> Cell:
        """Return the cell of the intent's strategy."""
        if self._theirs is None:
            key = (self.rules.strategy, self.intent.instrument)
            self._theirs = self.keeping.sums.cells.get(key, NOTHING)
        return self._theirs

    def worst_of(self, cell: Cell) -> tuple[Decimal, Decimal]:
        """Return a cell's holding, all buys or all sells filled, with this order."""
        if cell is self.cell:
            return self.long, self.short
        return cell.held + cell.buys + self.buys - self.cell.buys, (
            cell.held - cell.sells - self.sells + self.cell.sells
        )

    def dearer(self) -> Decimal:
        """Return by how much this order costs more than its instrument is marked at."""
        if self._dearer is None:
            if self.unit is None or self.mark_unit is None:
                raise Unknown(f"{self.intent.instrument} has no price or no rate yet")
            more = self.unit - self.mark_unit
            self._dearer = self.left * more if more > 0 and self.adds else ZERO
        return self._dearer

    def stake(self) -> Decimal:
        """Return what the account has in the instrument at worst, with this order."""
        if self._stake is None:
            self._stake = self.at_stake(self.long, self.short)
        return self._stake

    def at_stake(self, long: Decimal, short: Decimal) -> Decimal:
        """Return the value of a holding at worst, with this order in it."""
        dearer, worst = self.dearer(), long if long > -short else -short
        unit = self.mark_unit or ZERO  # known: dearer() would have raised
        return worst * unit + dearer

    def exits(self, scope: str) -> bool:
        """Say whether the order only reduces: what a strategy holds, or what the account does."""
        if not scope.startswith("strategy:"):
            return self.reduces
        cell, own, sign = self.theirs(), self.own, self.sign
        awaited = cell.buys + cell.exits_short if sign > 0 else cell.sells + cell.exits_long
        if own is not None:
            awaited -= own.counted
        return cell.held * sign < 0 and awaited + self.left <= abs(cell.held)


def over(code: str, bound: Bound | Own, observed: Decimal) -> Seen:
    """Return what is seen of a number that may not be above its bound; equal passes."""
    return (code if observed > bound.value else "", bound.rule, observed, bound.value, "")


def each[B](
    judge: Callable[[Case, B], Seen | None], case: Case, bounds: tuple[B, ...]
) -> Seen | None:
    """Judge each bound; return the first that fails, else the one nearest to its threshold."""
    if len(bounds) == 1:
        return judge(case, bounds[0])
    return nearest(judge(case, bound) for bound in bounds)


def nearest(found: Iterable[Seen | None]) -> Seen | None:
    """Return the first that fails, else the one nearest to its threshold."""
    best: Seen | None = None
    a: Decimal | None = None  # what was observed of the best, and its threshold
    most_a: Decimal | None = None
    for one in found:
        if one is None:
            continue
        code, _, b, most_b, _ = one
        if code:
            return one
        if best is None or (
            b is not None and most_b and (a is None or not most_a or b * most_a > a * most_b)
        ):
            best, a, most_a = one, b, most_b
    return best
