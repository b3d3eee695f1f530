"""The simulated venue and its feed in this process: the ports on a world."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onetape.errors import VenueError, VenueUnavailable
from onetape.market import Instrument
from onetape.run.ports import (
    AnyReport,
    AnyRow,
    CancelOrder,
    CashStatus,
    FeedSignal,
    Filled,
    MassCancel,
    ModifyOrder,
    NewOrder,
    OrderStatus,
    PositionStatus,
    Subscription,
    VenueState,
)
from onetape_sim import ledger
from onetape_sim.audience import FeedDoor
from onetape_sim.world import Command, Door, World

Heard = Callable[[AnyReport | VenueState], None]


class Answers:
    """What a simulated venue answers; the half of the port that changes nothing."""

    def __init__(self, world: World, accounts: tuple[str, ...]) -> None:
        self.name = world.config.name
        self.world = world
        self.door = Door(_nobody, accounts)

    async def instruments(self) -> Sequence[Instrument]:
        """See the port."""
        return list(self.world.ask(self.door).instruments.values())

    async def status(self, client_order_id: str) -> OrderStatus | None:
        """See the port."""
        core = self.world.ask(self.door)
        return ledger.status(core.ledger, client_order_id, self._offset)

    async def orders(self, account: str) -> Sequence[OrderStatus]:
        """See the port."""
        return ledger.orders(self.world.ask(self.door).ledger, account, self._offset)

    async def fills(self, account: str, since: int) -> Sequence[Filled]:
        """See the port."""
        return ledger.fills(self.world.ask(self.door).ledger, account, since, self._offset)

    async def positions(self, account: str) -> Sequence[PositionStatus]:
        """See the port."""
        held = ledger.positions(self.world.ask(self.door).ledger, account, self._offset)
        return self.world.filter.positions(account, held)

    async def cash(self, account: str) -> Sequence[CashStatus]:
        """See the port."""
        return ledger.cash(self.world.ask(self.door).ledger, account, self._offset)

    @property
    def _offset(self) -> int:
        return self.world.filter.offset


class Venue(Answers):
    """A simulated venue in this process; keeps `onetape.run.ports.Venue`."""

    def __init__(self, world: World, accounts: tuple[str, ...] = ()) -> None:
        super().__init__(world, accounts)
        self._accounts = accounts

    @property
    def connected(self) -> bool:
        """Whether its connection stands."""
        return self.door.open

    async def connect(self, emit: Heard) -> None:
        """See the port."""
        self.world.close(self.door)
        self.door = Door(emit, self._accounts)
        self.world.open(self.door)

    async def disconnect(self) -> None:
        """See the port."""
        self.world.close(self.door)

    def send(self, order: NewOrder) -> None:
        """See the port."""
        self._command(order)

    def modify(self, change: ModifyOrder) -> None:
        """See the port."""
        self._command(change)

    def cancel(self, order: CancelOrder) -> None:
        """See the port."""
        self._command(order)

    def _command(self, message: Command) -> None:
        if not self.door.open:
            raise VenueError("not connected to the simulated venue: nothing has left")
        self.world.command(self.door, message)

    async def mass_cancel(self, scope: MassCancel) -> int | None:
        """See the port."""
        core = self.world.ask(self.door)
        core.at(self.world.player.now)
        count = core.mass_cancel(scope)
        self.world.flush()
        return count

    async def fault(self, name: str, **args: object) -> None:
        """Begin a fault; see the README for their names."""
        self.world.fault(name, **args)


class Feed:
    """A simulated feed in this process; keeps `onetape.run.ports.Feed`."""

    def __init__(self, world: World) -> None:
        self.name = world.config.name
        self.replayed = world.config.clock == "rows"
        self.paced = world.player.stepped
        self.synthetic = world.synthetic
        self.world = world
        self._door = FeedDoor(_nobody)

    async def connect(self, emit: Callable[[AnyRow | FeedSignal], None]) -> None:
        """See the port."""
        self.world.player.leave(self._door)
        self._door = FeedDoor(emit)
        self.world.player.audience.open(self._door)
        emit(FeedSignal("live", None, self.world.player.now))

    async def disconnect(self) -> None:
        """See the port."""
        self.world.player.leave(self._door)

    async def instruments(self) -> Sequence[Instrument]:
        """See the port."""
        self._must_be_open()
        return list(self.world.core.instruments.values())

    async def subscribe(self, wanted: Subscription) -> None:
        """See the port."""
        self._must_be_open()
        self.world.player.audience.subscribe(self._door, wanted)

    async def begin(self) -> None:
        """See the port."""
        self._must_be_open()
        self.world.player.begin(self._door)

    def handled(self) -> None:
        """See the port."""
        self.world.player.handled(self._door)

    def _must_be_open(self) -> None:
        if not self.world.player.audience.is_open(self._door):
            raise VenueUnavailable("not connected to the simulated feed; connect() first")


def _nobody(_said: object) -> None:
    """Hear nothing."""
