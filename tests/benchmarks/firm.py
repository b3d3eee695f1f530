# pyright: standard
"""A SYNTHETIC firm day: orders' lives at 12 venues, 100 accounts, 5,000 instruments; and its fold.

Nothing here is market data. Prices, sizes and times come from a seeded generator: the same seed
and number of events give the same events, however they are cut into chunks.

Streams  one per venue and session, numbered from 1, opened by run.opened (mode "live"); all
         belong to the book "live". The first one also opens and funds the accounts.
Life     decision.made (with lineage), order.initialized, submitted, accepted, one to three
         fills; one in ten ends canceled. Each event is caused by the one before it.
Late     2 % of the fills arrive later and keep the `ts_event` of their execution. 0.2 % are
         voided later, and half of those are corrected under the same trade id; the void of a
         corrected fill carries the fill's `ts_event`, a plain bust the time it was told at.
Skew     instruments are drawn by Zipf's law (exponent 0.8), accounts evenly.
Cost     about 3 us an event: decimals are looked up, not parsed.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from decimal import Decimal
from heapq import heappop, heappush
from typing import NamedTuple

from onetape.tape.event import Event, Lineage
from onetape.tape.kinds import (
    AccountOpened,
    AnyFact,
    CashDeposited,
    DatasetRef,
    DecisionMade,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderInitialized,
    OrderSubmitted,
    OrderVoided,
    RunOpened,
)

VENUES, ACCOUNTS, INSTRUMENTS = 12, 100, 5_000
BOOK = "live"
OPEN = 1_767_258_000_000_000_000  # 2026-01-01 09:00 UTC; a day of the generator's own
SESSION = 8 * 3_600 * 10**9
LATE, VOID, CORRECTED, CANCELED = 0.02, 0.002, 0.5, 0.1
PER_LIFE = 5.9  # events of a life, measured
DRAWN = 512  # draws made at once

LOTS = [Decimal(10 * lot) for lot in range(201)]
FEES = [Decimal(3 * lot).scaleb(-2) for lot in range(201)]
CODE = "5f" * 32
NAMES = [f"account-{number:03d}" for number in range(ACCOUNTS)]

Pair = tuple[str, str]  # account, instrument
Numbered = tuple[int, Event]  # an event with its place in the ledger


class Owed(NamedTuple):
    """Something that will be told later in the stream; `at` is the version it waits for."""

    at: int
    tie: int
    fact: OrderFilled | OrderVoided
    ts: int | None  # None: when it is told
    cause: int
    correction: OrderFilled | None = None


class Session:
    """One venue's session: a stream that goes on for as long as events are asked for."""

    def __init__(self, venue: int, seed: int, events: int, label: str) -> None:
        self.stream = f"session/{label}/venue-{venue:02d}"
        self.venue, self.events = venue, events
        self.currency = "USD" if venue < 8 else "EUR"
        self.random = random.Random(f"{seed}/{label}/{venue}")
        self.step = max(1, int(SESSION / max(1.0, events / PER_LIFE)))
        self.prefix = f"{label}-{venue:02d}-"
        names = [f"SYN{n:04d}.V{venue:02d}" for n in range(venue, INSTRUMENTS, VENUES)]
        self.sources = {name: f"feed-{name}-{'e3' * 16}" for name in names}
        self.bases = {name: self.random.randrange(500, 40_000) for name in names}
        self.names = names
        self.weights = list(itertools.accumulate(1 / (at + 1) ** 0.8 for at in range(len(names))))
        self.prices: dict[int, Decimal] = {}
        self.drawn: list[str] = []
        self.owed: list[Owed] = []
        self.out: list[Event] = []
        self.seq, self.lives, self.ties, self.now = 0, 0, 0, OPEN

    def __iter__(self) -> Iterator[Event]:
        self._begin()
        while True:
            yield from self.out
            self.out = []
            self._life()
            while self.owed and self.owed[0].at <= self.seq:
                self._tell(heappop(self.owed))

    def _put(
        self, fact: AnyFact, ts: int, by: str, cause: int | None, lineage: Lineage | None = None
    ) -> int:
        self.seq += 1
        told = ts if ts > self.now else self.now
        self.out.append(Event(self.seq, ts, told, by, fact, cause, lineage))
        return self.seq

    def _begin(self) -> None:
        feed = DatasetRef(
            f"venue-{self.venue:02d}", self.names[0], "quotes", None, "e3" * 32,
            (OPEN, OPEN + SESSION), self.events, "UTC", "close", {}, synthetic=True,
            findings=("synthetic: nothing here was traded",),
        )  # fmt: skip
        opened = RunOpened(
            "synthetic", CODE, None, {"venue": self.venue}, (feed,), (), self.currency,
            {"start": str(OPEN)}, {"onetape": "bench"}, mode="live",
        )  # fmt: skip
        self._put(opened, OPEN, "session", None)
        if self.venue:
            return
        for name in NAMES:
            cause = self._put(AccountOpened(name, "margin", "USD"), OPEN, "session", 1)
            for currency in ("USD", "EUR"):
                deposit = CashDeposited(name, currency, Decimal(10_000_000))
                self._put(deposit, OPEN, "session", cause)

    def _instrument(self) -> str:
        if not self.drawn:
            self.drawn = self.random.choices(self.names, cum_weights=self.weights, k=DRAWN)
        return self.drawn.pop()

    def _price(self, cents: int) -> Decimal:
        found = self.prices.get(cents)
        if found is None:
            found = self.prices[cents] = Decimal(cents).scaleb(-2)
        return found

    def _life(self) -> None:
        chance = self.random.random
        self.lives += 1
        ts = self.now = OPEN + self.lives * self.step
        instrument, number = self._instrument(), int(chance() * ACCOUNTS)
        account, strategy = NAMES[number], f"desk-{number % 8}"
        if chance() < 0.1:
            strategy = "hedge"
        by, order = "strategy/" + strategy, f"{self.prefix}{self.lives}"
        lots, side = 1 + int(chance() * 60), "BUY" if chance() < 0.52 else "SELL"
        cents = self.bases[instrument] + int(chance() * 400)
        size, price = LOTS[lots], self._price(cents)
        lineage = Lineage(
            self.sources[instrument], "quote " + instrument, ts - 900, CODE, "c0" * 16, "1"
        )
        decided = DecisionMade(strategy, "order", instrument, size, None, price, "synthetic")
        cause = self._put(decided, ts, by, None, lineage)
        begun = OrderInitialized(
            order, instrument, strategy, side, "LIMIT", size, "GTC", price=price
        )
        cause = self._put(begun, ts + 100, by, cause)
        sent = OrderSubmitted(order, instrument, strategy, account)
        cause = self._put(sent, ts + 200, by, cause)
        venue_order = "X" + order
        taken = OrderAccepted(order, instrument, strategy, account, venue_order)
        cause = self._put(taken, ts + 90_000, by, cause)
        canceled = chance() < CANCELED
        parts = 1 + int(chance() * 3)
        left = lots
        for part in range(1, parts + 1):
            got = left if part == parts else 1 + int(chance() * left * 0.6)
            if canceled and part == parts:
                break
            fill = OrderFilled(
                order, instrument, strategy, account, venue_order, f"T{part}", side, LOTS[got],
                self._price(cents + int(chance() * 3)), self.currency, FEES[got],
                self.currency, "TAKER",
            )  # fmt: skip
            cause = self._filled(fill, ts + 90_000 + 50_000 * part, by, cause)
            left -= got
            if not left:
                break
        if canceled:
            self._put(OrderCanceled(order, instrument, strategy), ts + 300_000, by, cause)

    def _filled(self, fill: OrderFilled, ts: int, by: str, cause: int) -> int:
        drawn = self.random.random()
        if drawn < LATE:
            self._owe(fill, ts, cause)
            return cause
        seq = self._put(fill, ts, by, cause)
        if drawn > 1 - VOID:
            void = OrderVoided(
                fill.client_order_id, fill.instrument, fill.strategy, fill.trade_id, "bust"
            )
            if drawn > 1 - VOID * CORRECTED:
                self._owe(void, ts, seq, self._corrected(fill))
            else:
                self._owe(void, None, seq)
        return seq

    def _corrected(self, fill: OrderFilled) -> OrderFilled:
        cents = self.bases[fill.instrument] + 401
        return OrderFilled(
            fill.client_order_id, fill.instrument, fill.strategy, fill.account,
            fill.venue_order_id, fill.trade_id, fill.side, fill.quantity, self._price(cents),
            fill.currency, fill.commission, fill.commission_currency, fill.liquidity,
        )  # fmt: skip

    def _owe(
        self,
        fact: OrderFilled | OrderVoided,
        ts: int | None,
        cause: int,
        correction: OrderFilled | None = None,
    ) -> None:
        self.ties += 1
        delay = 20 + int(self.random.random() * max(20, self.events / 10))
        heappush(self.owed, Owed(self.seq + delay, self.ties, fact, ts, cause, correction))

    def _tell(self, owed: Owed) -> None:
        by = "strategy/" + owed.fact.strategy
        ts = self.now if owed.ts is None else owed.ts
        seq = self._put(owed.fact, ts, by, owed.cause)
        if owed.correction is not None:
            self._put(owed.correction, ts, by, seq)


def day(
    events: int, seed: int = 1, chunk: int = 500, label: str = "day"
) -> Iterator[tuple[str, list[Event]]]:
    """Yield (stream, its next events) until `events` were given, the venues in turn.

    `chunk` is the most that one turn gives; which events a stream holds does not depend on it.
    """
    share = -(-events // VENUES)
    left = {venue: min(share, max(0, events - venue * share)) for venue in range(VENUES)}
    sessions = {venue: Session(venue, seed, share, label) for venue in left}
    lines = {venue: iter(session) for venue, session in sessions.items()}
    while any(left.values()):
        for venue, line in lines.items():
            taken = list(itertools.islice(line, min(chunk, left[venue])))
            if taken:
                left[venue] -= len(taken)
                yield sessions[venue].stream, taken


def streams(label: str = "day") -> list[str]:
    """Return the names of the day's streams."""
    return [f"session/{label}/venue-{venue:02d}" for venue in range(VENUES)]


class Standing(NamedTuple):
    """What is held of one instrument in one account, and the cash that it moved so far."""

    quantity: Decimal
    cash: Decimal  # commission left out


def plain_fold(events: Iterable[Numbered], true_at: int, known_at: int) -> dict[Pair, Standing]:
    """Return what was held when only ts_event <= true_at and seq <= known_at count.

    The simplest fold there is, apart from the product's own: keep the fills by order and trade,
    drop what is voided, add up what is left.
    """
    fills: dict[tuple[str, str], OrderFilled] = {}
    for seq, event in events:
        fact = event.fact
        if seq > known_at or event.ts_event > true_at:
            continue
        if isinstance(fact, OrderFilled):
            fills[fact.client_order_id, fact.trade_id] = fact
        elif isinstance(fact, OrderVoided):
            fills.pop((fact.client_order_id, fact.trade_id))
    held: dict[Pair, Standing] = {}
    nothing = Standing(Decimal(0), Decimal(0))
    for fill in fills.values():
        pair = fill.account, fill.instrument
        quantity = fill.quantity if fill.side == "BUY" else -fill.quantity
        before = held.get(pair, nothing)
        held[pair] = Standing(before.quantity + quantity, before.cash - quantity * fill.price)
    return held
