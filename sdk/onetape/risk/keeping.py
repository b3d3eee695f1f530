"""What `State` keeps, and how orders move it: begin, change, fill, end.

Aggregates are moved by differences, never computed by scanning orders, so that a decision costs
the same with two orders and with two hundred.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from decimal import Decimal
from heapq import heappop, heappush
from typing import Any

from onetape.risk.buckets import Buckets
from onetape.risk.cells import Working
from onetape.risk.exact import SECOND, ZERO
from onetape.risk.intent import Intent
from onetape.risk.limitbook import LimitBook
from onetape.risk.resolved import Resolved
from onetape.risk.sums import FIRM, Sums
from onetape.tape.kinds_live import OverrideGranted

RESTING = frozenset({"LIMIT", "MARKET_TO_LIMIT"})
REMEMBERED = 100_000  # orders that ended, and trades: one that comes again, or is taken back
RECENT = 60 * SECOND  # how long an order is remembered for telling repeats

KNOWN = (
    "id", "account", "strategy", "instrument", "venue", "sign", "type", "quantity", "sent",
    "filled", "price", "trigger_price", "reduces", "parent", "asked", "resting", "acked",
    "heard", "traded",
)  # fmt: skip

Like = tuple[str, str, int, str, Decimal, Decimal | None, Decimal | None]
Trade = tuple[str, str, str, Decimal, Decimal, str, Decimal, str]


class Keeping:
    """Orders, sums and flags. Readers may look, and only look."""

    def __init__(self, base: str, tz: str, account: str) -> None:
        self.sums = Sums(base, tz)
        self.own_account = account
        self.book: LimitBook | None = None
        self.orders: dict[str, Working] = {}
        self.ended: dict[str, None] = {}  # the last orders that ended, oldest first
        self.lingering: list[tuple[int, str]] = []  # heap of canceled orders that still count
        self.unacked: dict[str, dict[str, int]] = {}  # by venue: orders sent, not answered
        self.trades: dict[tuple[str, str], Trade] = {}  # the last ones, oldest first
        self.traders: set[tuple[str, str]] = set()  # account and strategy, of all trades
        self.buckets = Buckets()
        self.executed: dict[tuple[str, str, int], list[int]] = {}
        self.disabled: set[tuple[str, str, int]] = set()  # strategy, instrument, side
        self.recent: dict[Like, tuple[int, str]] = {}
        self.remembered: deque[tuple[int, Like]] = deque()
        self.scopes: dict[str, str] = {}  # trading states that are not ACTIVE
        self.kills: dict[str, str] = {}  # kill: its scope
        self.down: dict[str, str] = {}  # venues that are not reached, and how
        self.stale: dict[tuple[str, str], str] = {}  # (feed, instrument or ""): state
        self.overrides: dict[str, OverrideGranted] = {}
        self.spent: set[str] = set()  # orders that had their override

    def copy(self) -> Keeping:
        new = copy(self)
        new.sums, new.buckets = self.sums.copy(), self.buckets.copy()
        new.orders = {name: copy(order) for name, order in self.orders.items()}
        new.lingering, new.remembered = list(self.lingering), deque(self.remembered)
        new.unacked = {venue: dict(waiting) for venue, waiting in self.unacked.items()}
        new.executed = {key: list(times) for key, times in self.executed.items()}
        for name in ("trades", "traders", "disabled", "recent", "scopes", "kills", "down", "stale",
                     "overrides", "spent", "ended"):  # fmt: skip
            setattr(new, name, copy(getattr(self, name)))
        return new

    # -- intents

    def rules(self, intent: Intent | Working) -> Resolved | None:
        """Return the limits in force for an intent or an order."""
        if self.book is None:
            return None
        terms = self.sums.terms.get(intent.instrument)
        more = (intent.desk, intent.trader) if isinstance(intent, Intent) else ("", "")
        return self.book.resolve(
            (more[0], intent.account, intent.strategy, more[1], intent.venue,
             intent.instrument, terms.kind if terms is not None else "")
        )  # fmt: skip

    def intend(self, intent: Intent) -> None:
        """Count an intent that was allowed."""
        known = self.orders.get(intent.client_order_id)
        rules = self.rules(intent)
        for rate in rules.rates if rules is not None else ():
            self.buckets.count(rate, intent.ts)
        if intent.kind != "cancel":
            if intent.desk:
                self.sums.desks.setdefault(intent.desk, set()).add(intent.account)
            if self.overrides.pop(intent.client_order_id, None) is not None:
                self.spent.add(intent.client_order_id)
            known = self._changed(intent, known)
        if known is not None:
            known.heard += 1

    def _changed(self, intent: Intent, known: Working | None) -> Working | None:
        if intent.kind == "modify" and known is not None:
            self.ask(known, (intent.quantity, intent.price, intent.trigger_price))
            self._note_price(known, intent.ts)
            return known
        if known is not None and not known.gone:  # judged again before it was sent
            return self.replace(
                known, quantity=intent.quantity, price=intent.price, sent=intent.ts,
                trigger_price=intent.trigger_price, parent=intent.parent,
            )  # fmt: skip
        order = Working(
            intent.client_order_id, intent.account, intent.strategy, intent.instrument,
            intent.venue, 1 if intent.side == "BUY" else -1, intent.type, intent.quantity,
            intent.ts, price=intent.price, trigger_price=intent.trigger_price,
            reduces=intent.reduce_only, parent=intent.parent, resting=intent.type in RESTING,
        )  # fmt: skip
        self.begin(order)
        return order

    # -- an order's life

    def begin(self, order: Working, again: bool = False) -> None:
        """Take in a new order, or one again of which more is known."""
        self.orders[order.id] = order
        for scope in (f"account:{order.account}", FIRM, f"strategy:{order.strategy}"):
            total = self.sums.total(scope)
            self.sums.roll(total, order.sent)
            total.orders += 1
            total.sent += not again
        self.recount(order)
        self._remember(order)
        if again:
            return
        if not order.parent:  # a child waits for its parent: nobody owes it an answer
            self.unacked.setdefault(order.venue, {})[order.id] = order.sent
        self._note_price(order, order.sent)

    def unremember(self, order: Working) -> None:
        """Let an equal order be no repeat of this one."""
        like = _like(order)
        if self.recent.get(like, (0, ""))[1] == order.id:
            del self.recent[like]

    def _remember(self, order: Working) -> None:
        like = _like(order)
        self.recent[like] = (order.sent, order.id)
        self.remembered.append((order.sent, like))
        while self.remembered and self.remembered[0][0] < order.sent - RECENT:
            ts, old = self.remembered.popleft()
            if self.recent.get(old, (0, ""))[0] == ts:
                del self.recent[old]

    def _note_price(self, order: Working, ts: int) -> None:
        """Remember at what price an order may trade at once; one behind the market moves none."""
        price, trigger = order.price, order.trigger_price
        if order.asked:
            _, price, trigger = order.asked[-1]
        mark = self.sums.prices.get(order.instrument)
        price = price or trigger or mark
        if price is not None and (mark is None or (price - mark) * order.sign >= 0):
            self.sums.cell(f"account:{order.account}", order.instrument).noted(ts, price)

    def recount(self, order: Working) -> None:
        """Bring cells and totals in line with what an order may still do."""
        left = order.left
        unit = self._unit(order)
        cost = left * unit if unit is not None else ZERO
        more, dearer = left - order.counted, cost - order.cost
        account, strategy = f"account:{order.account}", f"strategy:{order.strategy}"
        if more:
            terms = self.sums.terms.get(order.instrument)
            exits = order.reduces and terms is not None and terms.reduce_only_kept
            for scope in (account, strategy):
                self._move(scope, order, more, exits)
        if dearer:
            for scope in (account, FIRM, strategy):
                total = self.sums.total(scope)
                total.working += dearer
                if order.sign > 0:
                    total.buying += dearer
        order.counted, order.cost, order.unit = left, cost, unit
        self._show(order)

    def _move(self, scope: str, order: Working, more: Decimal, exits: bool) -> None:
        cell = self.sums.cell(scope, order.instrument)
        if exits:
            if order.sign > 0:
                cell.exits_short += more
            else:
                cell.exits_long += more
            return
        if order.sign > 0:
            cell.buys += more
        else:
            cell.sells += more
        self.sums.refresh(cell)

    def _unit(self, order: Working) -> Decimal | None:
        """Return the most that one unit may cost, over all terms that may be in force."""
        mark = self.sums.prices.get(order.instrument)
        worst: Decimal | None = None
        for price, trigger in ((order.price, order.trigger_price), *(a[1:] for a in order.asked)):
            told = price if order.sign > 0 and price is not None else _most(price, trigger, mark)
            worst = _most(worst, told)
        return order.unit if worst is None else self.sums.worth(order.instrument, worst)

    def _show(self, order: Working) -> None:
        prices: tuple[Decimal, ...] = ()
        if order.resting and not order.gone and order.counted:
            told = (order.price, *(asked[1] for asked in order.asked))
            prices = tuple(price for price in told if price is not None)
        if prices != order.shown:
            cell = self.sums.cell(f"account:{order.account}", order.instrument)
            for price in order.shown:
                cell.unrest(order.sign, price)
            for price in prices:
                cell.rest(order.sign, price)
            order.shown = prices

    def ask(self, order: Working, terms: tuple[Decimal, Decimal | None, Decimal | None]) -> None:
        """Count a modify in flight; what it does not name stays."""
        quantity, price, trigger = terms
        price = order.price if price is None else price
        trigger = order.trigger_price if trigger is None else trigger
        order.asked = (*order.asked, (quantity, price, trigger))
        self.recount(order)

    def heard_of(self, order: Working) -> None:
        """Take in that the venue has answered: it has the order."""
        if not order.acked:
            order.acked = True
            self.unacked.get(order.venue, {}).pop(order.id, None)

    def end(self, order: Working, ts: int, late: bool) -> None:
        """End an order; where fills may still be under way it counts a while longer."""
        if order.gone:
            return
        self.heard_of(order)
        for scope in (f"account:{order.account}", FIRM, f"strategy:{order.strategy}"):
            self.sums.total(scope).orders -= 1
        order.gone = True
        rules = self.rules(order) if late else None
        if rules is not None and rules.late_fill_ns and order.counted:
            heappush(self.lingering, (ts + rules.late_fill_ns, order.id))
            self._show(order)
        else:
            self.drop(order)

    def drop(self, order: Working) -> None:
        """Count an ended order no longer."""
        order.quantity, order.asked = order.filled, ()
        self.recount(order)
        self.orders.pop(order.id, None)
        self.ended[order.id] = None
        if len(self.ended) > REMEMBERED:
            del self.ended[next(iter(self.ended))]

    def replace(self, order: Working, **told: Any) -> Working:
        """Count an order anew, with what is now known of it."""
        terms = {name: getattr(order, name) for name in KNOWN}
        waiting = not order.acked
        self.end(order, order.sent, late=False)
        del self.ended[order.id]
        new = Working(**{**terms, **told})
        self.begin(new, again=True)
        if waiting and not new.parent:
            self.unacked.setdefault(new.venue, {})[new.id] = new.sent
        return new

    def advance(self, ts: int) -> None:
        """Drop ended orders whose late fills cannot come any more at `ts`."""
        while self.lingering and self.lingering[0][0] <= ts:
            order = self.orders.get(heappop(self.lingering)[1])
            if order is not None and order.gone:
                self.drop(order)


def _like(order: Working) -> Like:
    return (order.account, order.instrument, order.sign, order.type, order.quantity,
            order.price, order.trigger_price)  # fmt: skip


def _most(*prices: Decimal | None) -> Decimal | None:
    return max((price for price in prices if price is not None), default=None)
