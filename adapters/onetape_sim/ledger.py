"""What the simulated venue knows: orders, executions, positions and cash of all accounts.

Only executions move a position or cash, so both can be built again from the executions alone.
`out` gathers what is to be said, in order; `moved` and `made` what a journal has to keep.

Units    cash flows are quantity x price x multiplier in the instrument's currency, commissions
         apart; a position's average price is kept at average cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

import msgspec

from onetape.market import Instrument
from onetape.run.ports import (
    AnyReport,
    Busted,
    CashStatus,
    Corrected,
    Filled,
    OrderStatus,
    PositionStatus,
)
from onetape_sim.orders import Order

ZERO = Decimal(0)


class Account:
    """What one account holds."""

    def __init__(self, cash: Mapping[str, Decimal]) -> None:
        self.cash = dict(cash)
        self.held: dict[str, Decimal] = {}
        self.average: dict[str, Decimal] = {}

    def book(self, instrument: Instrument, signed: Decimal, price: Decimal, paid: Decimal) -> None:
        """Take in an execution (or, with all signs turned, take it back)."""
        name, currency = instrument.id, instrument.currency
        flow = signed * price * instrument.multiplier + paid
        self.cash[currency] = self.cash.get(currency, ZERO) - flow
        before = self.held.get(name, ZERO)
        after = before + signed
        if before * signed >= 0 and after:
            cost = abs(before) * self.average.get(name, ZERO) + abs(signed) * price
            self.average[name] = cost / abs(after)
        elif before * after < 0:
            self.average[name] = price  # what is left over opened at this price
        self.held[name] = after
        if not after:
            self.held.pop(name)
            self.average.pop(name, None)


class Ledger:
    """Orders and executions by id, accounts by name."""

    def __init__(self, instruments: Mapping[str, Instrument], cash: Mapping[str, Decimal]) -> None:
        self.instruments = instruments
        self.now = 0
        self.out: list[tuple[str, AnyReport]] = []
        self.moved: dict[str, Order] = {}
        self.made: list[Filled | Busted | Corrected] = []
        self.orders: dict[str, Order] = {}
        self.fills: dict[str, Filled] = {}
        self.working: dict[str, Order] = {}
        self._opening = dict(cash)
        self._accounts: dict[str, Account] = {}
        self._count = [0, 0]  # orders, executions

    def account(self, name: str) -> Account:
        """Return an account; it is opened with the configured cash when first named."""
        if name not in self._accounts:
            self._accounts[name] = Account(self._opening)
        return self._accounts[name]

    def count_from(self, place: int, trade: int) -> None:
        """Go on counting behind these."""
        self._count = [place, trade]

    def next_place(self) -> int:
        """Return the next rank in time."""
        self._count[0] += 1
        return self._count[0]

    def next_trade(self) -> str:
        """Return the next execution's id."""
        self._count[1] += 1
        return f"T-{self._count[1]}"

    def tell(self, account: str, report: AnyReport) -> None:
        """Say something to whoever is logged on for the account."""
        self.out.append((account, report))

    def keep(self, order: Order) -> None:
        """Take in that an order is new or has changed."""
        self.orders[order.id] = order
        self.moved[order.id] = order
        if order.working:
            self.working[order.id] = order
        else:
            self.working.pop(order.id, None)

    def add(self, fill: Filled) -> None:
        """Take in an execution: positions and cash follow."""
        self.fills[fill.trade_id] = fill
        self.made.append(fill)
        self._book(fill, 1)

    def take_back(self, trade_id: str, after: Busted | Corrected) -> None:
        """Bust or correct an execution; its order's filled quantity follows."""
        old = self.fills.pop(trade_id)
        self._book(old, -1)
        self.made.append(after)
        order = self.orders[old.client_order_id]
        order.filled -= old.quantity
        order.cost -= old.quantity * old.price
        if isinstance(after, Corrected):
            new = msgspec.structs.replace(old, quantity=after.quantity, price=after.price)
            self.fills[trade_id] = new
            self._book(new, 1)
            order.filled += new.quantity
            order.cost += new.quantity * new.price
        self.keep(order)

    def _book(self, fill: Filled, way: int) -> None:
        signed = (fill.quantity if fill.side == "BUY" else -fill.quantity) * way
        instrument = self.instruments[fill.instrument]
        paid = fill.commission * way
        self.account(fill.account).book(instrument, signed, fill.price, paid)


def restored(ledger: Ledger, orders: list[Order], fills: list[Filled | Busted | Corrected]) -> None:
    """Build a ledger again from what a journal kept."""
    for order in orders:
        ledger.keep(order)
    for each in fills:
        if isinstance(each, Filled):
            ledger.add(each)
        else:
            _again(ledger, each)
    places = [order.place for order in orders]
    trades = [int(each.trade_id[2:]) for each in fills]
    ledger.count_from(max(places, default=0), max(trades, default=0))
    ledger.moved.clear()
    ledger.made.clear()


def _again(ledger: Ledger, change: Busted | Corrected) -> None:
    """Bust or correct an execution whose order has been kept with the outcome already."""
    order = ledger.orders[ledger.fills[change.trade_id].client_order_id]
    filled, cost = order.filled, order.cost
    ledger.take_back(change.trade_id, change)
    order.filled, order.cost = filled, cost


# -- what the venue answers; `offset` is added to its times


def status(ledger: Ledger, client_order_id: str, offset: int = 0) -> OrderStatus | None:
    """Return an order, working or not; None where there was never one."""
    order = ledger.orders.get(client_order_id)
    return None if order is None else order.told(offset)


def orders(ledger: Ledger, account: str, offset: int = 0) -> list[OrderStatus]:
    """Return the working orders of an account, oldest first."""
    mine = [o for o in ledger.working.values() if o.new.account == account]
    return [o.told(offset) for o in sorted(mine, key=lambda o: o.place)]


def fills(ledger: Ledger, account: str, since: int, offset: int = 0) -> list[Filled]:
    """Return executions that stand, oldest first."""
    made = (f for f in _in_order(ledger) if f.account == account and f.ts_event + offset >= since)
    return [msgspec.structs.replace(f, ts_event=f.ts_event + offset) for f in made]


def positions(ledger: Ledger, account: str, offset: int = 0) -> list[PositionStatus]:
    """Return what is held."""
    held = ledger.account(account)
    now = ledger.now + offset
    return [
        PositionStatus(account, name, quantity, held.average.get(name), now)
        for name, quantity in sorted(held.held.items())
    ]


def cash(ledger: Ledger, account: str, offset: int = 0) -> list[CashStatus]:
    """Return cash by currency."""
    held = ledger.account(account).cash
    return [CashStatus(account, c, total, ledger.now + offset) for c, total in sorted(held.items())]


def _in_order(ledger: Ledger) -> Iterator[Filled]:
    return iter(sorted(ledger.fills.values(), key=lambda f: int(f.trade_id[2:])))
