"""The gate's state: everything that a decision rests on, folded from facts and intents.

`take` folds any fact of the tape, `intend` counts an allowed order before it is sent, `mark` and
`rate` value what is held. The same facts in the same order give the same state; a repeated fact
changes nothing. What is on its way counts at its worst: all of it is filled, a modify in flight
at the larger of its terms, and a canceled order for `late_fill_seconds` more, because its last
fill may still be under way.

Units    quantities in units of the instrument, values in base currency, times ns UTC.
Order    facts may come late or in another order than they happened: a fill before its order was
         accepted, or after it was canceled, books the position all the same.
"""

from __future__ import annotations

from copy import copy
from decimal import Decimal

from onetape.risk.cells import Working
from onetape.risk.exact import ONE, exactly
from onetape.risk.folding import FOLDS, account_of
from onetape.risk.intent import Decision, Intent, Market
from onetape.risk.keeping import Keeping
from onetape.risk.limitbook import LimitBook
from onetape.risk.terms import InstrumentTerms
from onetape.tape.fact import Fact


class State:
    """What a gate knows. `version` rises with every fact and intent that is folded.

    `account` is whose orders are that no fact names an account of (a session has one account);
    `tz` is the zone whose midnight begins a day.
    """

    def __init__(
        self,
        base_currency: str,
        limits: LimitBook | None = None,
        *,
        account: str = "",
        tz: str = "UTC",
    ) -> None:
        self.keeping = Keeping(base_currency, tz, account)
        self.version = 0
        self.keeping.book = limits

    def under(self, limits: LimitBook) -> None:
        """Fold from here on under these limits: rates, repeats and late fills are theirs.

        A decision under limits that need one of these, and that the state was not told of, is
        denied RISK_STATE_UNKNOWN.
        """
        self.keeping.book = limits

    @exactly
    def know(self, terms: InstrumentTerms) -> None:
        """Take in an instrument; an order for one that is not known is denied."""
        self.keeping.sums.know(terms)

    @exactly
    def know_account(
        self, account: str, *, desk: str = "", type: str = "", leverage: Decimal = ONE
    ) -> None:
        """Take in an account, its desk, and its type (cash or margin) where that is known."""
        account_of(self.keeping, account, type, leverage)
        if desk:
            self.keeping.sums.desks.setdefault(desk, set()).add(account)

    @exactly
    def mark(self, instrument: str, price: Decimal, ts: int, rate: Decimal | None = None) -> None:
        """Value what is held in an instrument at `price`; `rate` of its currency, where known."""
        sums = self.keeping.sums
        terms = sums.terms.get(instrument)
        if rate is not None and terms is not None:
            sums.rate(terms.currency, rate, ts)
        sums.mark(instrument, price, ts)

    def revalue(self, market: Market, ts: int) -> None:
        """Bring the state to a time: mark what is held or awaited from a market, in its rates.

        To be called before decisions, as often as prices are to be taken in.
        """
        self.advance(ts)
        sums = self.keeping.sums
        for instrument, cells in sums.where.items():
            if not any(cell.held or cell.buys or cell.sells for cell in cells):
                continue
            reference, terms = market.reference(instrument), sums.terms.get(instrument)
            if reference is not None and not reference.stale:
                rate = market.rate(terms.currency) if terms is not None else None
                self.mark(instrument, reference.price, ts, rate)

    @exactly
    def intend(self, intent: Intent, decision: Decision | None = None) -> None:
        """Count an allowed intent, before it is sent; to be called once for each.

        With its decision, the price it was judged on values what it will hold.
        """
        self.version += 1
        self.keeping.advance(intent.ts)
        if decision is not None and decision.reference is not None:
            self.keeping.sums.mark(intent.instrument, decision.reference.price, intent.ts)
        self.keeping.intend(intent)

    @exactly
    def take(self, fact: Fact, ts: int) -> None:
        """Fold a fact of the tape, with the time at which it was recorded (its `ts_init`)."""
        fold = FOLDS.get(type(fact))
        if fold is None:
            return
        self.version += 1
        self.keeping.advance(ts)
        fold(self.keeping, fact, ts)

    @exactly
    def advance(self, ts: int) -> None:
        """Let time pass: canceled orders whose late fills cannot come any more count no longer."""
        self.keeping.advance(ts)

    def order(self, client_order_id: str) -> Working | None:
        """Return a working order; to be looked at only."""
        found = self.keeping.orders.get(client_order_id)
        return None if found is None or found.gone else found

    def held(self, account: str, instrument: str) -> Decimal:
        """Return what an account holds, signed."""
        cell = self.keeping.sums.cells.get((f"account:{account}", instrument))
        return Decimal(0) if cell is None else cell.held

    def due(self, ts: int) -> bool:
        """Say whether by `ts` something counts no longer that no fact has told of."""
        return bool(self.keeping.lingering) and self.keeping.lingering[0][0] <= ts

    def copy_at(self, ts: int) -> State:
        """Return a copy in which time has passed until `ts`."""
        new = self.copy()
        new.advance(ts)
        return new

    def copy(self) -> State:
        """Return a state of its own that begins where this one is."""
        new = copy(self)
        new.keeping = self.keeping.copy()
        return new


__all__ = ["InstrumentTerms", "State"]
