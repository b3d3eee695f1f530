"""A tape written in words: the shortest way to say what happened."""

from __future__ import annotations

from decimal import Decimal

from onetape.tape import kinds
from onetape.tape.event import Event

DAY = 86_400_000_000_000
D = Decimal


class Tape:
    """Collects events; `at` is the day on which the next ones happen."""

    def __init__(self, account: str = "A", instrument: str = "GOOG", strategy: str = "S") -> None:
        self.events: list[Event] = []
        self.account, self.instrument, self.strategy = account, instrument, strategy
        self.day: float = 0

    def add(self, fact: kinds.AnyFact, seq: int | None = None) -> Tape:
        ts = int(self.day * DAY)
        number = seq or (self.events[-1].seq + 1 if self.events else 1)
        self.events.append(Event(number, ts, ts, "run", fact))
        return self

    def on(self, day: float) -> Tape:
        self.day = day
        return self

    def deposit(self, amount: object, currency: str = "USD") -> Tape:
        return self.add(kinds.CashDeposited(self.account, currency, D(str(amount))))

    def fill(self, quantity: object, price: object, fee: object = 0, **other: object) -> Tape:
        """Fill `quantity`, negative for a sale."""
        signed = D(str(quantity))
        seq = self.events[-1].seq + 1 if self.events else 1
        fields: dict[str, object] = {
            "client_order_id": f"O{seq}",
            "instrument": self.instrument,
            "strategy": self.strategy,
            "account": self.account,
            "venue_order_id": f"V{seq}",
            "trade_id": f"T{seq}",
            "side": "BUY" if signed > 0 else "SELL",
            "quantity": abs(signed),
            "price": D(str(price)),
            "currency": "USD",
            "commission": D(str(fee)),
            "commission_currency": "USD",
            "liquidity": "TAKER",
        }
        return self.add(kinds.OrderFilled(**{**fields, **other}))  # type: ignore[arg-type]

    def void(self, seq: int) -> Tape:
        """Take the fill at `seq` back."""
        fill = next(e.fact for e in self.events if e.seq == seq)
        assert isinstance(fill, kinds.OrderFilled)
        ids = (fill.client_order_id, fill.instrument, fill.strategy, fill.trade_id)
        return self.add(kinds.OrderVoided(*ids, reason="busted"))

    def split(self, ratio: object) -> Tape:
        return self.add(kinds.SplitApplied(self.account, self.instrument, D(str(ratio))))

    def dividend(self, amount: object, currency: str = "USD") -> Tape:
        paid = kinds.DividendPaid(self.account, self.instrument, D(str(amount)), currency)
        return self.add(paid)

    def order(self, name: str = "O1", quantity: object = 10, price: object = None) -> Tape:
        limit = None if price is None else D(str(price))
        kind = "MARKET" if limit is None else "LIMIT"
        ids = (name, self.instrument, self.strategy)
        return self.add(
            kinds.OrderInitialized(*ids, "BUY", kind, D(str(quantity)), "GTC", price=limit)
        )


def line(*points: tuple[float, object]) -> tuple[list[int], list[Decimal]]:
    """Return marks from (day, price) pairs."""
    return [int(day * DAY) for day, _ in points], [D(str(price)) for _, price in points]


def clock(*days: float) -> list[int]:
    return [int(day * DAY) for day in days]
