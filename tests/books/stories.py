"""Random stories of several books, synthetic, and what the folds make of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
from hypothesis import strategies as st

from onetape.books.cash import ledger
from onetape.books.exact import EXACT, TINY
from onetape.books.orders import orders
from onetape.books.positions import positions
from onetape.books.schema import COLUMNS, TABLES
from onetape.books.tables import ORDERS, TRADES
from onetape.books.tables import orders as order_table
from onetape.books.tables import trades as trade_table
from onetape.books.trades import trades
from onetape.tape import kinds
from onetape.tape.event import Event
from onetape.tape.memory import MemoryTape

D = Decimal
HOUR = 3_600_000_000_000
ACCOUNTS, STRATEGIES = ("A", "B"), ("S", "T")
SIZES = {"GOOG": "1", "ES": "50", "EUR/USD": "1000"}
MARGINED = {"ES"}
WHAT = [
    "fill",
    "fill",
    "fill",
    "part",
    "orphan",
    "stray",
    "void",
    "correct",
    "split",
    "dividend",
    "deposit",
    "twice",
    "change",
]

amounts = st.integers(1, 9000).map(lambda cents: D(cents) / 100)
wholes = st.integers(0, 30)
stories = st.lists(
    st.tuples(st.sampled_from(WHAT), wholes, amounts, amounts, wholes), min_size=1, max_size=30
)


def instrument(name: str) -> str:
    kind = "future" if name in MARGINED else "equity"
    told = {"id": name, "multiplier": SIZES[name], "currency": "USD", "kind": kind, "more": 1}
    return msgspec.json.encode(told).decode()


def opened(**other: Any) -> kinds.RunOpened:
    given: dict[str, Any] = {
        "strategy": "S", "code_hash": "c0de", "code": None, "params": {"fast": 3}, "datasets": (),
        "instruments": tuple(map(instrument, SIZES)), "currency": "USD", "settings": {},
        "versions": {},
    }  # fmt: skip
    return kinds.RunOpened(**{**given, **other})


class Story:
    """Writes to a tape in two books: "live", by two streams, and a run's own."""

    def __init__(self, tape: Any = None) -> None:
        self.tape = MemoryTape() if tape is None else tape
        self.versions: dict[str, int] = {}
        self.fills: list[tuple[str, int, kinds.OrderFilled]] = []
        self.voided: set[int] = set()
        self.orders: list[tuple[str, kinds.OrderInitialized, str]] = []
        self.poison: set[int] = set()
        self.hour = 0
        for stream in ("day-1", "day-2", "run"):
            self.add(stream, [opened()])

    def add(self, stream: str, facts: Sequence[Any], ts: int | None = None) -> int:
        """Append facts, all at the story's hour or at `ts`; return the ledger's seq."""
        self.hour += 1
        at, last = self.hour * HOUR if ts is None else ts, self.versions.get(stream, 0)
        events = [Event(last + n, at, at, stream, fact) for n, fact in enumerate(facts, 1)]
        self.versions[stream] = last + len(facts)
        return self.tape.append(stream, events, book="" if stream == "run" else "live").last_seq

    def tell(self, story: Iterable[tuple[str, int, D, D, int]]) -> Story:
        """Append what a drawn story says."""
        for what, number, first, second, other in story:
            stream = ("day-1", "day-2", "run")[number % 3]
            getattr(self, what)(stream, number, first, second, other)
        return self

    def fill(self, stream: str, number: int, quantity: D, price: D, other: int) -> None:
        order = self._order(stream, number, quantity * (1 + other % 2), other)
        ids, account = (
            (order.client_order_id, order.instrument, order.strategy),
            ACCOUNTS[other % 2],
        )
        self.add(stream, [order, kinds.OrderSubmitted(*ids, account)])
        self.orders.append((stream, order, account))
        late = (self.hour - other) * HOUR if other % 5 == 0 else None
        self._book(stream, self._fill(order, account, quantity, price, other), late)

    def part(self, stream: str, number: int, quantity: D, price: D, other: int) -> None:
        """Fill a known order once more."""
        if self.orders:
            stream, order, account = self.orders[number % len(self.orders)]
            self._book(stream, self._fill(order, account, quantity, price, other))

    def orphan(self, stream: str, number: int, quantity: D, price: D, other: int) -> None:
        order = self._order(stream, number, quantity, other)
        self._book(stream, self._fill(order, ACCOUNTS[other % 2], quantity, price, other))

    def stray(self, stream: str, number: int, quantity: D, price: D, other: int) -> None:
        """Tell of an order that began elsewhere, or a second time of the beginning of one."""
        begins = self._order(stream, number, quantity, other)
        account = ACCOUNTS[other % 2]
        if self.orders and number % 3 == 0:
            stream, begins, account = self.orders[number % len(self.orders)]
        ids = (begins.client_order_id, begins.instrument, begins.strategy)
        told = (
            begins, kinds.OrderAccepted(*ids, account, "V7"), kinds.OrderCanceled(*ids),
            kinds.OrderUpdated(*ids, quantity, price), kinds.OrderRejected(*ids, "closed"),
            kinds.OrderTriggered(*ids), kinds.OrderPendingUpdate(*ids), kinds.OrderExpired(*ids),
            kinds.OrderModifyRejected(*ids, "too late"), kinds.OrderSubmitted(*ids, account),
        )  # fmt: skip
        self.add(stream, [told[other % len(told)]])
        if (stream, begins, account) not in self.orders:
            self.orders.append((stream, begins, account))

    def void(self, stream: str, number: int, *_: object) -> int | None:
        at = self._standing(number)
        if at is not None:
            self.voided.add(at)
            stream, ts, fill = self.fills[at]
            ids = (fill.client_order_id, fill.instrument, fill.strategy, fill.trade_id)
            self.add(stream, [kinds.OrderVoided(*ids, "bust")], ts if number % 2 else None)
        return at

    def correct(self, stream: str, number: int, price: D, *_: object) -> None:
        at = self.void(stream, number)
        if at is not None:
            stream, ts, fill = self.fills[at]
            self._book(stream, msgspec.structs.replace(fill, price=price), ts)

    def split(self, stream: str, number: int, _: D, __: D, other: int) -> None:
        ratio = (D(2), D("0.5"), D(3))[number % 3]
        self.add(stream, [kinds.SplitApplied(ACCOUNTS[other % 2], self._name(number), ratio)])

    def dividend(self, stream: str, number: int, amount: D, _: D, other: int) -> None:
        name = self._name(number)
        self.add(stream, [kinds.DividendPaid(ACCOUNTS[other % 2], name, amount, "USD")])

    def deposit(self, stream: str, number: int, amount: D, _: D, other: int) -> None:
        currency = "EUR" if other % 3 == 0 else "USD"
        self.add(stream, [kinds.CashDeposited(ACCOUNTS[other % 2], currency, amount)])

    def twice(self, stream: str, number: int, *_: object) -> None:
        """A venue repeats an execution: poison, to be put aside."""
        at = self._standing(number)
        if at is not None:
            stream, ts, fill = self.fills[at]
            self.poison.add(self.add(stream, [fill], ts))

    def change(self, stream: str, number: int, quantity: D, price: D, other: int) -> None:
        if self.orders:
            stream, order, account = self.orders[number % len(self.orders)]
            ids = (order.client_order_id, order.instrument, order.strategy)
            told = (
                kinds.OrderAccepted(*ids, account, "V9"), kinds.OrderPendingCancel(*ids),
                kinds.OrderCancelRejected(*ids, "too late"), kinds.OrderCanceled(*ids),
                kinds.OrderUpdated(*ids, quantity, price),
            )  # fmt: skip
            self.add(stream, [told[other % len(told)]])

    def events(self, book: str) -> list[Event]:
        """Return a book's events, numbered by the ledger, without the poison."""
        entries = [one for one in self.tape.read() if one.book == book]
        return [one.placed for one in entries if one.seq not in self.poison]

    def _standing(self, number: int) -> int | None:
        alive = [at for at in range(len(self.fills)) if at not in self.voided]
        return alive[number % len(alive)] if alive else None

    @staticmethod
    def _name(number: int) -> str:
        return list(SIZES)[number // 3 % 3]

    def _order(self, stream: str, number: int, quantity: D, other: int) -> kinds.OrderInitialized:
        ids = (f"{stream}-{self.versions[stream]}", self._name(number), STRATEGIES[other // 2 % 2])
        terms = ("BUY" if other % 3 else "SELL", "LIMIT", quantity, "GTC")
        return kinds.OrderInitialized(*ids, *terms, price=D(50) if other % 2 else None)

    def _fill(
        self, order: kinds.OrderInitialized, account: str, quantity: D, price: D, other: int
    ) -> kinds.OrderFilled:
        ids = (order.client_order_id, order.instrument, order.strategy, account, "V1")
        fee = D(other - 5) / 100
        terms = (order.side, quantity, price, "USD", fee, "EUR" if other % 4 == 0 else "USD")
        return kinds.OrderFilled(*ids, f"T{len(self.fills)}", *terms, "TAKER")

    def _book(self, stream: str, fill: kinds.OrderFilled, ts: int | None = None) -> None:
        self.add(stream, [fill], ts)
        self.fills.append((stream, self.hour * HOUR if ts is None else ts, fill))


def folded(story: Story, book: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return what the folds in memory say of a book, in the form that `projected` has."""
    events = story.events(book)
    sizes = {name: D(size) for name, size in SIZES.items()}
    balances: dict[Any, D] = {}
    entries: list[tuple[Any, ...]] = []
    for one in ledger(events, MARGINED, sizes):
        owner = (one.account, one.currency)
        balances[owner] = EXACT.add(balances.get(owner, D(0)), one.amount)
        entries.append((*msgspec.structs.astuple(one), balances[owner]))
    return {
        "positions": sorted(
            (*key, one.quantity, one.cost, one.realized, one.seq, repr(one.opened_seq),
             sorted((c, a) for c, a in one.commission.items() if a), len(one.fill_seqs))
            for key, one in positions(events, multipliers=sizes).items()
        ),
        "cash": entries,
        "balances": sorted((*owner, amount) for owner, amount in balances.items()),
        "orders": _told(_physical(order_table(events))),
        "resting": sorted((o.client_order_id, o.resting) for o in orders(events).values()),
        "trades": _told(_physical(trade_table(trades(events, multipliers=sizes)))),
    }  # fmt: skip


def projected(connection: Any, generation: int, book: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return what the tables say of a book."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query, (book,)).fetchall()

    at = f"books_{generation}."
    held = rows(
        "SELECT account, instrument, strategy, quantity, cost, realized, seq, opened_seq, currency,"
        f" commission, commissions, fills FROM {at}position JOIN {at}position_key ON id = key_id"
        " WHERE book = %s AND fills > 0"
    )
    moved = f"SELECT account, currency FROM {at}cash WHERE void_seq IS NULL AND book = b.book"
    order_names = ", ".join(f'"{name}"' for name in ORDERS)
    trade_names = ", ".join(f'"{name}"' for name in TRADES)
    return {
        "positions": sorted((*r[:7], repr(r[7]), _paid(*r[8:11]), r[11]) for r in held),
        "cash": rows(
            "SELECT seq, ts_event, account, currency, amount, reason, instrument, client_order_id,"
            f" balance FROM {at}cash WHERE book = %s AND void_seq IS NULL ORDER BY seq, line"
        ),
        "balances": sorted(
            rows(
                f"SELECT account, currency, balance FROM {at}cash_balance b WHERE book = %s"
                f" AND (account, currency) IN ({moved})"
            )
        ),
        "orders": _told(rows(f"SELECT {order_names} FROM {at}orders WHERE book = %s")),
        "resting": sorted(rows(f"SELECT client_order_id, resting FROM {at}orders WHERE book = %s")),
        "trades": _told(rows(f"SELECT {trade_names} FROM {at}trade WHERE book = %s")),
    }


def whole(connection: Any, generation: int) -> dict[str, list[Any]]:
    """Return every row of a generation, sorted; what names the generation is left out."""
    told: dict[str, list[Any]] = {}
    for name in TABLES:
        columns = ", ".join(f'"{one}"' for one in COLUMNS[name] if one != "generation")
        found = connection.execute(f"SELECT {columns} FROM books_{generation}.{name}").fetchall()
        told[name] = sorted(found, key=repr)
    return told


def _paid(currency: str, paid: D, others: dict[str, str] | None) -> list[tuple[str, D]]:
    told = {c: D(a) for c, a in others.items()} if others else {currency: paid}
    return sorted((c, a) for c, a in told.items() if a)


def _physical(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return frame.with_columns(pl.selectors.temporal().to_physical()).rows()


def _told(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted((tuple(map(_short, row)) for row in rows), key=lambda row: (row[0], repr(row)))


def _short(value: Any) -> Any:
    return EXACT.quantize(value, TINY) if isinstance(value, D) else value
