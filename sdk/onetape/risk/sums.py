"""Running sums of what is at stake: cells by scope and instrument, totals by scope.

Scopes   "account:X", "strategy:X" and "firm" have totals; a desk is the sum of its accounts.
Profit   cash that trading brought and what is held at the last mark, in base currency; deposits
         are not profit. A day begins with the first fold of the day in the firm's zone.
Unknown  what has no price or rate has no value: a total with such a cell raises Unknown when it
         is asked, it is never taken for zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from onetape.risk.cells import Cell, Totals
from onetape.risk.exact import ONE, ZERO
from onetape.risk.terms import InstrumentTerms, day_of

FIRM = "firm"


class Unknown(Exception):
    """Something that a check needs is not known: the check denies."""


class Sums:
    """Cells and totals, kept up to date by `State`; readers may look, and only look."""

    def __init__(self, base: str, tz: str) -> None:
        self.base, self.tz = base, tz
        self.terms: dict[str, InstrumentTerms] = {}
        self.prices: dict[str, Decimal] = {}
        self.rates: dict[str, Decimal] = {base: ONE}
        self.types: dict[str, str] = {}  # of known accounts: cash or margin
        self.leverage: dict[str, Decimal] = {}
        self.desks: dict[str, set[str]] = {}
        self.cells: dict[tuple[str, str], Cell] = {}
        self.where: dict[str, list[Cell]] = {}  # by instrument
        self.totals: dict[str, Totals] = {}

    def total(self, scope: str) -> Totals:
        """Return a scope's totals, to be changed."""
        found = self.totals.get(scope)
        if found is None:
            found = self.totals[scope] = Totals(scope)
        return found

    def cell(self, scope: str, instrument: str) -> Cell:
        """Return a cell, to be changed."""
        found = self.cells.get((scope, instrument))
        if found is None:
            of_account = scope.startswith("account:")
            scopes = (scope, FIRM) if of_account else (scope,)
            found = Cell(instrument, scopes, unit=self.unit(instrument))
            if of_account:
                found.margin_rate = self.margin_rate(scope[8:], instrument)
            self.cells[scope, instrument] = found
            self.where.setdefault(instrument, []).append(found)
            for one in scopes:
                self.total(one)
        return found

    def unit(self, instrument: str) -> Decimal | None:
        """Return what one unit is worth in base currency; None while that is not known."""
        price = self.prices.get(instrument)
        return None if price is None else self.worth(instrument, price)

    def worth(self, instrument: str, price: Decimal) -> Decimal | None:
        """Return what one unit at `price` is worth in base currency."""
        terms = self.terms.get(instrument)
        if terms is None:
            return None
        rate = self.rates.get(terms.currency)
        return None if rate is None else price * terms.multiplier * rate

    def margin_rate(self, account: str, instrument: str) -> Decimal:
        """Return the part of a value that is held as initial margin."""
        terms = self.terms.get(instrument)
        if terms is not None and terms.margin_init is not None:
            return terms.margin_init
        return ONE / self.leverage.get(account, ONE)

    def know(self, terms: InstrumentTerms) -> None:
        """Take in an instrument; what is held in it is valued anew."""
        self.terms[terms.id] = terms
        self._margins(self.where.get(terms.id, ()))
        self._revalue(terms.id)

    def account(self, account: str, type: str, leverage: Decimal) -> None:
        """Take in an account's type and leverage."""
        self.types[account], self.leverage[account] = type, leverage
        self.total(f"account:{account}")
        self._margins(cell for cell in self.cells.values() if cell.scopes[0][8:] == account)

    def _margins(self, cells: Iterable[Cell]) -> None:
        for cell in list(cells):
            if cell.scopes[0].startswith("account:"):
                old = cell.margin_rate
                cell.margin_rate = self.margin_rate(cell.scopes[0][8:], cell.instrument)
                for scope in cell.scopes:
                    self.totals[scope].margin += cell.gross * (cell.margin_rate - old)

    def refresh(self, cell: Cell) -> None:
        """Bring a cell's values, and with them its totals, up to date."""
        held, unit = cell.held, cell.unit
        long, short = held + cell.buys, held - cell.sells
        worst = long if long > -short else -short
        unvalued = unit is None and worst != 0
        unpriced = unit is None and held != 0
        if unit is None:
            unit = ZERO
        long, short, worst, value = long * unit, short * unit, worst * unit, held * unit
        longer, shorter = long - cell.long_value, short - cell.short_value
        grown, gained = worst - cell.gross, value - cell.value
        for scope in cell.scopes:
            total = self.totals[scope]
            total.longs += longer
            total.shorts += shorter
            total.gross += grown
            total.value += gained
            total.margin += grown * cell.margin_rate
            total.unvalued += unvalued - cell.unvalued
            total.unpriced += unpriced - cell.unpriced
        cell.long_value, cell.short_value = long, short
        cell.gross, cell.value = worst, value
        cell.unvalued, cell.unpriced = unvalued, unpriced

    def mark(self, instrument: str, price: Decimal, ts: int) -> None:
        """Take in a price: what is held is valued at it."""
        if self.prices.get(instrument) != price:
            self.prices[instrument] = price
            self._revalue(instrument, ts)

    def rate(self, currency: str, rate: Decimal, ts: int) -> None:
        """Take in what one unit of a currency is in the base currency."""
        if self.rates.get(currency) == rate or currency == self.base:
            return
        for total in self.totals.values():
            self.roll(total, ts)
        self.rates[currency] = rate
        for instrument, terms in self.terms.items():
            if terms.currency == currency:
                self._revalue(instrument, ts)
        for total in self.totals.values():
            self.crest(total)

    def _revalue(self, instrument: str, ts: int | None = None) -> None:
        cells = self.where.get(instrument)
        if not cells:
            return
        unit = self.unit(instrument)
        scopes = {scope for cell in cells if cell.held or cell.gross for scope in cell.scopes}
        if ts is not None:
            for scope in scopes:
                self.roll(self.totals[scope], ts)
        for cell in cells:
            cell.unit = unit
            self.refresh(cell)
        for scope in scopes:
            self.crest(self.totals[scope])

    def pay(self, scopes: Iterable[str], currency: str, amount: Decimal) -> None:
        """Add to the cash that trading brought."""
        for scope in scopes:
            cash = self.total(scope).cash
            cash[currency] = cash.get(currency, ZERO) + amount

    def roll(self, total: Totals, ts: int) -> None:
        """Begin a new day where `ts` is in one; to be done before anything changes."""
        day = day_of(self.tz, ts)
        if day > total.day:
            total.base = self.profit_or(total, total.base)
            total.day, total.traded, total.sent = day, ZERO, 0

    def crest(self, total: Totals) -> None:
        """Keep the highest profit; to be done once all has changed."""
        profit = self.profit_or(total, total.peak)
        if profit > total.peak:
            total.peak = profit

    def profit_or(self, total: Totals, otherwise: Decimal) -> Decimal:
        """Return the profit, or something else while it is not known."""
        try:
            return self.profit(total)
        except Unknown:
            return otherwise

    def profit(self, total: Totals) -> Decimal:
        """Return the profit so far, in base currency."""
        if total.unpriced:
            raise Unknown(f"{total.scope} holds what has no known price or rate")
        return self._in_base(total.cash) + total.value

    def equity(self, account: str) -> Decimal:
        """Return an account's cash and holdings in base currency."""
        total = self.totals.get(f"account:{account}")
        if total is None:
            raise Unknown(f"account {account} is not known")
        return self.profit(total) + self._in_base(total.deposits)

    def money(self, account: str) -> Decimal:
        """Return an account's cash in base currency."""
        total = self.totals.get(f"account:{account}")
        if total is None:
            raise Unknown(f"account {account} is not known")
        return self._in_base(total.cash) + self._in_base(total.deposits)

    def _in_base(self, amounts: dict[str, Decimal]) -> Decimal:
        whole = ZERO
        for currency, amount in amounts.items():
            rate = self.rates.get(currency)
            if rate is None:
                if amount:
                    raise Unknown(f"no rate from {currency} to {self.base} is known")
            else:
                whole += amount if rate is ONE else amount * rate
        return whole

    def parts(self, scope: str) -> list[Totals]:
        """Return the totals that make up a scope: its own, or those of a desk's accounts."""
        if scope.startswith("desk:"):
            names = sorted(self.desks.get(scope[5:], ()))
            return [t for n in names if (t := self.totals.get(f"account:{n}")) is not None]
        total = self.totals.get(scope)
        return [] if total is None else [total]

    def loss(self, scope: str, ts: int, of_day: bool) -> Decimal:
        """Return what a scope has lost: on the day of `ts`, or from its peak; gains negative."""
        lost, day = ZERO, day_of(self.tz, ts)
        for total in self.parts(scope):
            if not of_day:
                lost += total.peak - self.profit(total)
            elif total.day == day:
                lost += total.base - self.profit(total)
        return lost

    def copy(self) -> Sums:
        new = Sums(self.base, self.tz)
        new.terms, new.prices, new.rates = dict(self.terms), dict(self.prices), dict(self.rates)
        new.types, new.leverage = dict(self.types), dict(self.leverage)
        new.desks = {desk: set(names) for desk, names in self.desks.items()}
        new.cells = {key: cell.copied() for key, cell in self.cells.items()}
        for cell in new.cells.values():
            new.where.setdefault(cell.instrument, []).append(cell)
        new.totals = {scope: total.copied() for scope, total in self.totals.items()}
        return new
