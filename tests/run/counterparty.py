"""A small venue that keeps the port, for what can go wrong while orders are taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from onetape.errors import VenueError, VenueUnavailable
from onetape.market.instruments import Instrument
from onetape.run.ports import (
    AnyReport,
    Canceled,
    CancelOrder,
    CancelRejected,
    CashStatus,
    Filled,
    MassCancel,
    ModifyOrder,
    NewOrder,
    OrderStatus,
    PositionStatus,
    VenueState,
)
from onetape.tape import kinds
from onetape.tape.event import Event
from onetape.tape.port import Tape

ID = "GOOG.XNAS"
D = Decimal


class Counterparty:
    """Working orders by client id; its faults are plain attributes, set by the test.

    mass      whether it knows mass cancels
    keeps     orders whose cancel it rejects
    races     orders that it fills when their cancel comes
    deaf      orders whose cancel it loses, by how often
    unlisted  orders that its list of working ones leaves out
    silent    it takes everything and answers nothing
    away      how many log-ons fail before one succeeds
    drops     after so many cancels the connection is lost, once
    coming    orders that arrive once it was asked so often what works
    """

    def __init__(self, orders: Iterable[str] = (), *, mass: bool = True, name: str = "SIM") -> None:
        self.name, self.mass = name, mass
        self.working: dict[str, OrderStatus] = {}
        self.over: dict[str, OrderStatus] = {}
        for one in orders:
            self.accept(one)
        self.keeps: set[str] = set()
        self.races: set[str] = set()
        self.deaf: dict[str, int] = {}
        self.unlisted: set[str] = set()
        self.silent = False
        self.away = 0
        self.drops: int | None = None
        self.coming: dict[int, list[str]] = {}
        self.asked: list[str] = []  # single cancels, in order
        self.massed: list[MassCancel] = []
        self.queries = self.log_ons = 0
        self._emit: Callable[[AnyReport | VenueState], None] | None = None

    def accept(self, order: str, account: str = "A", instrument: str = ID) -> None:
        """Have an order work."""
        self.working[order] = OrderStatus(
            order, f"V-{order}", account, instrument, "BUY", "LIMIT", "ACCEPTED", D(10), D(0),
            price=D(99),
        )  # fmt: skip

    async def connect(self, emit: Callable[[AnyReport | VenueState], None]) -> None:
        self.log_ons += 1
        await self._silence()
        if self.away:
            self.away -= 1
            raise VenueUnavailable(f"{self.name} refuses the connection")
        self._emit = emit

    async def disconnect(self) -> None:
        self._emit = None

    async def instruments(self) -> Sequence[Instrument]:
        return []

    def send(self, order: NewOrder) -> None:
        self._up()
        self.accept(order.client_order_id, order.account, order.instrument)

    def modify(self, change: ModifyOrder) -> None:
        self._up()

    def cancel(self, order: CancelOrder) -> None:
        if self.drops is not None and len(self.asked) == self.drops:
            self.drops, self._emit = None, None
        if self._emit is None:
            raise VenueError(f"{self.name}: not connected, nothing has left")
        name = order.client_order_id
        self.asked.append(name)
        if self.deaf.get(name, 0) > 0:
            self.deaf[name] -= 1
        elif not self.silent:
            asyncio.get_running_loop().call_soon(self._canceled, name)

    def _canceled(self, name: str) -> None:
        said = self.working.get(name)
        if said is None or name in self.keeps:
            why = "unknown order" if said is None else "locked by the auction"
            self._say(CancelRejected(name, f"V-{name}", ID, 1, why))
            return
        del self.working[name]
        if name in self.races:
            self.over[name] = _now(said, "FILLED")
            self._say(Filled(name, said.venue_order_id, ID, 1, f"T-{name}", "BUY", D(10), D(99),
                             D(0), "USD"))  # fmt: skip
            self._say(CancelRejected(name, said.venue_order_id, ID, 1, "too late"))
        else:
            self.over[name] = _now(said, "CANCELED")
            self._say(Canceled(name, said.venue_order_id, ID, 1))

    async def mass_cancel(self, scope: MassCancel) -> int | None:
        self._up()
        await self._silence()
        if not self.mass:
            return None
        self.massed.append(scope)
        ours = [one for one in self.working.values() if one.account == scope.account
                and scope.instrument in (None, one.instrument)]  # fmt: skip
        for one in ours:
            asyncio.get_running_loop().call_soon(self._canceled, one.client_order_id)
        return len(ours)

    async def status(self, client_order_id: str) -> OrderStatus | None:
        self._up()
        await self._silence()
        return self.working.get(client_order_id) or self.over.get(client_order_id)

    async def orders(self, account: str) -> Sequence[OrderStatus]:
        self._up()
        await self._silence()
        self.queries += 1
        for name in self.coming.pop(self.queries, ()):
            self.accept(name)
        ours = [one for one in self.working.values() if one.account == account]
        return [one for one in ours if one.client_order_id not in self.unlisted]

    async def fills(self, account: str, since: int) -> Sequence[Filled]:
        return []

    async def positions(self, account: str) -> Sequence[PositionStatus]:
        return []

    async def cash(self, account: str) -> Sequence[CashStatus]:
        return []

    async def _silence(self) -> None:
        if self.silent:
            await asyncio.get_running_loop().create_future()

    def _up(self) -> None:
        if self._emit is None:
            raise VenueUnavailable(f"{self.name}: not connected")

    def _say(self, report: AnyReport) -> None:
        if self._emit is not None and not self.silent:
            self._emit(report)


def _now(said: OrderStatus, status: str) -> OrderStatus:
    return OrderStatus(
        said.client_order_id, said.venue_order_id, said.account, said.instrument, said.side,
        said.type, status, said.quantity, said.filled,
    )  # fmt: skip


def session(
    tape: Tape,
    orders: Iterable[str],
    *,
    key: str = "Cross-20240108T093000-1a2b3c",
    strategy: str = "Cross",
    account: str = "A",
    acknowledged: bool = True,
    **settings: str,
) -> None:
    """Put a session on a tape that sent these orders; nobody says what became of them."""
    stream = f"session/{key}"
    facts: list[kinds.AnyFact] = [
        kinds.RunOpened(strategy, "c", None, {}, (), (), "USD", settings, {}, "paper")
    ]
    for one in orders:
        facts.append(kinds.OrderInitialized(one, ID, strategy, "BUY", "LIMIT", D(10), "GTC", D(99)))
        facts.append(kinds.OrderSubmitted(one, ID, strategy, account))
        if acknowledged:
            facts.append(kinds.OrderAccepted(one, ID, strategy, account, f"V-{one}"))
    events = [Event(seq, seq, seq, stream, fact) for seq, fact in enumerate(facts, 1)]
    tape.append(stream, events, book="paper")
