# pyright: standard
"""Moved: the cash of an instant that positions do not tell by themselves.

What fills paid and earned, and commission in the currency of the price, follow from the
positions of the instant (`values`). Deposits stand in the projected cash as they are. Dividends
depend on what was held when they stand in the ledger, and are folded anew from the log; so is
commission in other currencies, for the pairs that ever paid some or had a fill taken back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from onetape.books.cash import ledger
from onetape.books.exact import ZERO, exactly
from onetape.books.past import Instant, Pair, of_pairs
from onetape.books.standing import standing
from onetape.tape.kinds import OrderFilled

Movement = tuple[str, str, Decimal]  # account, currency, amount
SCOPE = """(%(account)b::text IS NULL OR account = %(account)b)
  AND (%(instrument)b::text IS NULL OR instrument = %(instrument)b)"""
DEPOSITS = """SELECT account, currency, sum(amount) FROM onetape_books.cash
WHERE book = %(book)b AND reason = 'deposit'
  AND (%(account)b::text IS NULL OR account = %(account)b)
  AND seq <= %(known)b AND ts_event <= %(true)b GROUP BY account, currency"""
PAYING = f"""SELECT DISTINCT account, instrument FROM onetape_books.action
WHERE book = %(book)b AND kind = 'dividend' AND {SCOPE}
  AND seq <= %(known)b AND ts_event <= %(true)b"""
MIXED = f"""SELECT DISTINCT account, instrument FROM (
  SELECT k.account, k.instrument FROM onetape_books.position p
  JOIN onetape_books.position_key k ON k.id = p.key_id
  WHERE k.book = %(book)b AND p.commissions IS NOT NULL
  UNION ALL SELECT account, instrument FROM onetape_books.action
  WHERE book = %(book)b AND kind = 'void') pair WHERE {SCOPE}"""


class Scope(dict[str, Any]):
    """Whose cash is asked for, as values of the statements above."""

    def __init__(
        self, book: str, account: str | None, instrument: str | None, instant: Instant
    ) -> None:
        whose = {"book": book, "account": account, "instrument": instrument}
        super().__init__(whose, true=instant.true_at, known=instant.known_at)


def deposits(connection: Any, scope: Scope) -> list[Movement]:
    """Return what was deposited, by account and currency."""
    return connection.cursor(binary=True).execute(DEPOSITS, scope).fetchall()


@exactly
def dividends(connection: Any, scope: Scope) -> list[Movement]:
    """Return every dividend that was paid or owed."""
    events = _events(connection, PAYING, scope)
    paid = ledger(events)
    return [(one.account, one.currency, one.amount) for one in paid if one.reason == "dividend"]


@exactly
def foreign_fees(connection: Any, scope: Scope) -> list[Movement]:
    """Return the commission paid in another currency than the price's."""
    fees: dict[tuple[str, str], Decimal] = {}
    for event in standing(_events(connection, MIXED, scope)):
        fill = event.fact
        if isinstance(fill, OrderFilled) and fill.commission_currency != fill.currency:
            owner = (fill.account, fill.commission_currency)
            fees[owner] = fees.get(owner, ZERO) + fill.commission
    return [(*owner, amount) for owner, amount in fees.items() if amount]


def _events(connection: Any, statement: str, scope: Scope) -> list[Any]:
    rows = connection.cursor(binary=True).execute(statement, scope).fetchall()
    instant = Instant(scope["true"], scope["known"])
    return of_pairs(connection, scope["book"], [Pair(*row) for row in rows], instant)
