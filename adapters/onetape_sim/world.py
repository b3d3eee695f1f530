"""A world: one simulated market, shared by all venues and feeds of a process that name it.

It owns the core, the queue of what is under way, and the doors through which it is heard. Time is
the rows' own; two runs of one stepped world with the same commands say the same.

Latency  a command counts from the row at which it was sent; it meets the book as it is at the
         first row that is not earlier than then plus the latency.
State    stays in the world when clients go. It ends with the process, unless `journal` names a
         file: then orders, executions, positions and the place in the data come back.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Mapping
from functools import partial

from onetape.errors import SettingsError, VenueError, VenueUnavailable
from onetape.run.ports import (
    AnyReport,
    CancelOrder,
    MassCancel,
    ModifyOrder,
    NewOrder,
    Rejected,
    VenueState,
)
from onetape_sim import fees, rows
from onetape_sim.config import OF_CONNECTION, Config, checked
from onetape_sim.core import Core
from onetape_sim.faults import (
    Bust,
    CancelUnasked,
    Correct,
    Disconnect,
    Fault,
    Filter,
    Gap,
    Halt,
    Latency,
    Mute,
    Silence,
    named,
)
from onetape_sim.journal import Journal
from onetape_sim.player import Player

NS = 1_000_000_000
Command = NewOrder | ModifyOrder | CancelOrder
Heard = Callable[[AnyReport | VenueState], None]


class Door:
    """One connection to the venue: who hears what, and what is held back while it is silent."""

    def __init__(self, emit: Heard, accounts: tuple[str, ...]) -> None:
        self.emit = emit
        self.accounts = frozenset(accounts)
        self.open = False
        self.held: list[AnyReport] = []
        self.sent: set[str] = set()  # accounts that traded through it


class World:
    """See the module."""

    def __init__(self, config: Config, given: rows.Source | None = None) -> None:
        self.config = config
        self.core = Core(
            fees.parse(config.fees), dict(config.cash), config.self_match, config.accounts
        )
        found = rows.source(config) if given is None else given
        if given is None and not found.instruments:
            raise SettingsError(
                f"no simulated world {config.world!r} is there, and this config makes none: "
                "data, generator or instruments expected, or the name of one that is there"
            )
        self.synthetic = found.synthetic
        for instrument in found.instruments:
            self.core.list(instrument)
        self.filter = Filter()
        self.silent = False
        self.latency = round(config.latency * NS)
        self.player = Player(self, found, fed=given is not None)
        self.journal = Journal(config.journal) if config.journal else None
        self._doors: list[Door] = []
        self._refused_until: float = 0.0
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._soon: asyncio.AbstractEventLoop | None = None
        if self.journal is not None:
            self.player.skip(self.journal.restore(self.core))
        self._planned = [named(name, dict(args)) for name, args in config.faults.items()]

    # -- doors

    def open(self, door: Door) -> None:
        """Let somebody hear; VenueUnavailable while connections are refused."""
        if asyncio.get_running_loop().time() < self._refused_until:
            raise VenueUnavailable("the simulated venue refuses connections for now; try again")
        door.open = True
        self._doors.append(door)
        door.emit(VenueState("connected"))
        self.start()

    def close(self, door: Door) -> None:
        """Let somebody go; with `cancel_on_disconnect` the orders of its accounts are canceled."""
        if not door.open:
            return
        door.open = False
        self._doors.remove(door)
        if self.config.cancel_on_disconnect:
            self.settle()
            for account in sorted(door.accounts | door.sent):
                self.core.mass_cancel(MassCancel(account), "disconnect")
            self.flush()

    def start(self) -> None:
        """Begin the faults of the config, once somebody is there; wake up for what is due."""
        planned, self._planned = self._planned, []
        for fault in planned:
            self._begin(fault)
        self.player.attend()

    # -- commands

    def command(self, door: Door, message: Command) -> None:
        """Take in a command; what becomes of it comes as a report."""
        if isinstance(message, NewOrder):
            door.sent.add(message.account)
        self.after(self.latency, lambda: self._apply(message))
        self.hurry()

    def ask(self, door: Door) -> Core:
        """Return the core for an answer, all that arrived before being done.

        Raises VenueUnavailable where the venue does not say.
        """
        if not door.open:
            raise VenueUnavailable("not connected to the simulated venue; connect() first")
        if self.silent:
            raise VenueUnavailable("the simulated venue does not answer")
        self.settle()
        return self.core

    def after(self, ns: int, act: Callable[[], None]) -> None:
        """Do something in `ns` of the rows' time."""
        self._count += 1
        heapq.heappush(self._due, (self.player.now + ns, self._count, act))

    def hurry(self) -> None:
        """Do what is due as soon as the loop gets to it."""
        loop = asyncio.get_running_loop()
        if self._soon is not loop:
            self._soon = loop
            loop.call_soon(self._hurried)

    def _hurried(self) -> None:
        self._soon = None
        self.settle()
        self.player.attend()

    @property
    def next_due(self) -> int | None:
        """When the next thing is due (ns UTC); None when nothing is under way."""
        return self._due[0][0] if self._due else None

    def settle(self) -> int:
        """Do all that is due; return how many reports came of it."""
        said, now = 0, self.player.now
        while self._due and self._due[0][0] <= now:
            self.core.at(now)
            heapq.heappop(self._due)[2]()
            said += self.flush()
        return said

    def _apply(self, message: Command) -> None:
        if isinstance(message, ModifyOrder):
            self.core.modify(message)
        elif isinstance(message, CancelOrder):
            self.core.cancel(message)
        else:
            reason = self.filter.refusal()
            if reason is None:
                self.core.submit(message)
                return
            about = (message.client_order_id, "", message.instrument, self.player.now)
            self.core.ledger.tell(message.account, Rejected(*about, reason))

    # -- reports

    def flush(self) -> int:
        """Say what the core has to say, once it is kept; return how many reports."""
        ledger = self.core.ledger
        if self.journal is not None:
            self.journal.keep(ledger)
        ledger.moved.clear()
        ledger.made.clear()
        if not ledger.out:
            return 0
        out, ledger.out = ledger.out, []
        for account, report in out:
            give = self.giver(account, report)
            delay, heard = self.filter.passed(report)
            for each in heard:
                if delay:
                    self.later(delay / NS, partial(give, each))
                else:
                    give(each)
        return len(out)

    def giver(self, account: str, report: AnyReport) -> Callable[[AnyReport], None]:
        """Return what hands a report of the core on, in the form in which it is heard."""
        del report
        return partial(self._deliver, account)

    def _deliver(self, account: str, report: AnyReport) -> None:
        for door in list(self._doors):
            if account and door.accounts and account not in door.accounts:
                continue
            if self.silent:
                door.held.append(report)
            else:
                door.emit(report)

    # -- faults

    def fault(self, name: str, **args: object) -> None:
        """Begin a fault; SettingsError for a name or an argument that is not one."""
        self._begin(named(name, args))
        self.flush()
        self.player.attend()

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something in so many seconds: of the rows' time when stepped, else of the wall's."""
        if self.player.stepped:
            self.after(round(seconds * NS), act)
        else:
            asyncio.get_running_loop().call_later(seconds, act)

    def _begin(self, fault: Fault) -> None:
        if self.filter.set(fault):
            return
        if isinstance(fault, Latency):
            self.latency = round(fault.seconds * NS)
        elif isinstance(fault, Silence):
            self._hush(fault)
        elif isinstance(fault, Disconnect):
            self._drop(fault)
        elif isinstance(fault, Mute | Gap):
            self.player.audience.fault(fault)
        elif isinstance(fault, Halt | CancelUnasked | Bust | Correct):
            self._on_core(fault)

    def _on_core(self, fault: Halt | CancelUnasked | Bust | Correct) -> None:
        core = self.core
        core.at(self.player.now)
        if isinstance(fault, Halt):
            if fault.instrument not in (None, *core.books):
                raise VenueError(f"{fault.instrument} found; there are {', '.join(core.books)}")
            core.halt(fault.instrument, fault.on)
        elif isinstance(fault, CancelUnasked):
            core.mass_cancel(MassCancel(fault.account, fault.instrument), "unasked")
        elif isinstance(fault, Bust):
            core.bust(self._trade(fault.trade_id), fault.reason)
        else:
            core.correct(self._trade(fault.trade_id), fault.quantity, fault.price)

    def _trade(self, trade_id: str | None) -> str:
        fills = self.core.ledger.fills
        found = trade_id or next(reversed(fills), "")
        if found not in fills:
            raise VenueError(f"no execution {trade_id or ''} found; there are {len(fills)}")
        return found

    def _hush(self, fault: Silence) -> None:
        if fault.on and not self.silent:
            self.silent = True
            self._state("silent")
            if fault.seconds is not None:
                self.later(fault.seconds, lambda: self._hush(Silence(on=False)))
        elif not fault.on and self.silent:
            self.silent = False
            self._state("connected")
            for door in list(self._doors):
                held, door.held = door.held, []
                for report in held:
                    door.emit(report)

    def _drop(self, fault: Disconnect) -> None:
        if fault.seconds:
            self._refused_until = asyncio.get_running_loop().time() + fault.seconds
        dropped, self._doors = self._doors, []
        for door in dropped:
            door.open = False
            door.emit(VenueState("disconnected", "the simulated venue hung up"))
        if fault.feed:
            self.player.audience.drop(self.player.now)

    def _state(self, state: str) -> None:
        for door in list(self._doors):
            door.emit(VenueState(state, "on purpose"))


_worlds: dict[str, World] = {}


def world_of(given: Mapping[str, object]) -> World:
    """Return the world that a config names; it is made when it is named first."""
    config = checked(given)
    world = _worlds.get(config.world)
    if world is None:
        world = _worlds[config.world] = World(config)
        return world
    for key in given:
        if key in OF_CONNECTION or key == "world":
            continue
        found, wanted = getattr(world.config, key), getattr(config, key)
        if found != wanted:
            raise SettingsError(
                f"the simulated world {config.world!r} is there already with {key}={found!r}, "
                f"{wanted!r} found; name it alone, or give it another name"
            )
    return world


def forget(name: str | None = None) -> None:
    """Let a world of this process (or all) end, with all that it holds; for tests and demos."""
    for each in [name] if name is not None else list(_worlds):
        world = _worlds.pop(each, None)
        if world is not None:
            world.player.stop()
