"""Places: the mutable cells of incremental books, and the notes of what became of them.

A cell stands for one row that tables keep: a position (Slot), what an account holds in an
instrument (Line), the totals of an account in a currency (Purse), a run. `dirty` says that it
changed since the last drain, `moved` that it changed since the last settlement.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from onetape.books.cash import CashEntry, Reason
from onetape.books.exact import ONE, ZERO
from onetape.books.orders import Order
from onetape.books.positions import Holding, Key, Notes
from onetape.books.trades import Trade
from onetape.books.valuation import InstrumentInfo
from onetape.tape.event import GENESIS

MARGINED = ("future", "crypto_perpetual")


class _Instrument(msgspec.Struct):
    """What the books read of an instrument's canonical JSON."""

    id: str
    currency: str
    kind: str
    multiplier: Decimal = ONE  # canonical JSON leaves out what is usual


def known(instruments: Iterable[str]) -> dict[str, InstrumentInfo]:
    """Return what the books must know of instruments, from their canonical JSON."""
    read = [msgspec.json.decode(one, type=_Instrument) for one in instruments]
    return {
        one.id: InstrumentInfo(one.multiplier, one.currency, one.kind in MARGINED) for one in read
    }


class Slot(msgspec.Struct, gc=False):
    """One position's place: what is known of a key beside its holding."""

    id: int
    book: str
    key: Key
    multiplier: Decimal
    margined: bool
    notes: Notes
    last_price: Decimal = ZERO
    ts: int = -(2**63)  # the latest of its events
    written: bool = False  # its rows stand in tables
    dirty: bool = False


class Line(msgspec.Struct, gc=False):
    """All that an account holds in one instrument, and what it is worth at the last fill."""

    book: str
    account: str
    instrument: str
    info: InstrumentInfo
    slots: list[Slot]
    seqs: list[int] | None  # what stands of its fills, splits, dividends; None: ask the tables
    price: Decimal = ZERO
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    notional: Decimal = ZERO
    seq: int = 0
    ts: int = 0
    written: bool = False
    dirty: bool = False
    moved: bool = False  # since the last settlement

    @property
    def unrealized(self) -> Decimal:
        return self.notional - self.cost


class Purse(msgspec.Struct, gc=False):
    """The running totals of one account in one currency."""

    book: str
    account: str
    currency: str
    balance: Decimal = ZERO
    realized: Decimal = ZERO
    commission: Decimal = ZERO
    dividends: Decimal = ZERO
    deposits: Decimal = ZERO
    market_value: Decimal = ZERO
    unrealized: Decimal = ZERO
    seq: int = 0
    ts: int = 0
    dirty: bool = False
    moved: bool = False

    def tally(self, reason: Reason, amount: Decimal) -> None:
        """Count a movement of cash."""
        self.balance += amount
        if reason == "commission":
            self.commission -= amount
        elif reason == "dividend":
            self.dividends += amount
        elif reason == "deposit":
            self.deposits += amount


class Run(msgspec.Struct, gc=False):
    """One run so far; `head` is the chain over its payloads."""

    stream: str
    book: str
    strategy: str
    mode: str
    code_hash: str
    params: str  # JSON
    opened_seq: int
    opened_ns: int
    status: str = "running"
    last_seq: int = 0
    closed_seq: int | None = None
    events: int = 0
    fills: int = 0
    head: bytes = GENESIS
    dirty: bool = False


class Moved(msgspec.Struct, gc=False):
    """A position after an event."""

    slot: Slot
    seq: int
    ts: int
    late: bool
    event: str
    change: Decimal | None
    price: Decimal | None
    holding: Holding
    commission: Decimal
    last_price: Decimal


class Paid(msgspec.Struct, gc=False):
    """A movement of cash, its place in its event and the balance after it."""

    book: str
    line: int
    entry: CashEntry
    balance: Decimal
    void_seq: int | None = None


class Worth(msgspec.Struct, gc=False):
    """A purse once a ledger batch was settled."""

    recorded: int
    purse: Purse


class Void(msgspec.Struct, gc=False):
    """What a void does to rows that were written before: trades of the key and cash."""

    seq: int
    slot: Slot
    execution: tuple[str, str, str]
    retired: list[tuple[int, CashEntry]]  # written rows, by their line, that no longer stand
    entered: list[Paid]  # those that stand instead, at the seqs of the past
    stale: dict[tuple[str, str, str], int]  # whose balances are wrong, and from which seq on


class Changes(msgspec.Struct):
    """What became of events since the last drain, in the order of the ledger."""

    slots: list[Slot] = []
    lines: list[Line] = []
    purses: list[Purse] = []
    runs: list[Run] = []
    orders: dict[tuple[str, str], Order] = {}
    again: set[tuple[str, str]] = set()  # orders that began once more
    history: list[Moved] = []
    cash: list[Paid] = []
    ended: list[tuple[Slot, Trade]] = []
    voids: list[Void] = []
    equity: list[Worth] = []
    keys: list[Slot] = []
    instruments: list[tuple[str, str, InstrumentInfo, int]] = []
    actions: list[tuple[str, str, str, int, int, str, int | None]] = []
    executions: list[tuple[str, str, str, int]] = []
    findings: list[tuple[str, str, str, int]] = []
