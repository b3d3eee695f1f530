"""The world behind the door: a world of `onetape_sim` whose reports also go to FIX sessions.

Everything else is the world's: books, accounts, rows, faults, journal. Faults of the door have
names of their own, so that one `fault(name, ...)`, and one local socket, serves both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from onetape.errors import SettingsError
from onetape.run.ports import (
    Accepted,
    AnyReport,
    Busted,
    Canceled,
    Corrected,
    Expired,
    Filled,
    Rejected,
    Triggered,
    Updated,
)
from onetape_fix.door.desk import Desk
from onetape_fix.door.log import Kept, Log
from onetape_fix.door.told import Entry, Told
from onetape_sim.config import Config
from onetape_sim.faults import NAMES as WORLD_FAULTS
from onetape_sim.faults import Disconnect, Fault, Halt, Silence
from onetape_sim.ledger import Ledger
from onetape_sim.orders import Order
from onetape_sim.world import Command, World


class DoorWorld(World):
    """See the module. `faults` begins a fault of the door and says whether it is one."""

    def __init__(self, config: Config, sessions: tuple[str, ...] = ()) -> None:
        super().__init__(config)
        self.log = Log(f"{config.journal}.fix") if config.journal else None
        self.kept = self.log.restore(sessions) if self.log is not None else Kept()
        self.desk = Desk(self.log, self.kept)
        self.faults: Callable[[str, dict[str, object]], bool] = _no_fault
        self.hang_up: Callable[[], None] = _nothing
        self.released: Callable[[], None] = _nothing
        self.halted: Callable[[], None] = _nothing
        self.reports = 0

    @property
    def refusing(self) -> bool:
        """Whether connections are refused for now."""
        return asyncio.get_running_loop().time() < self._refused_until

    def take(self, message: Command) -> None:
        """Take in a command; without latency it is done before this returns.

        So an order is in the journal before the session counts the message that brought it.
        """
        self.after(self.latency, lambda: self._apply(message))
        if not self.latency:
            self.settle()
        self.hurry()

    def giver(self, account: str, report: AnyReport) -> Callable[[AnyReport], None]:
        """See World: the door hears of everything first, faults change what is told."""
        return partial(self._give, account, self.heard(report))

    def heard(self, report: AnyReport) -> Told | None:
        """Return what a report tells; an order that came by another way is taken in."""
        entry = self.desk.entries.get(report.client_order_id)
        if entry is None:
            order = self.core.ledger.orders.get(report.client_order_id)
            if order is None:
                return None
            self.desk.foreign(order.new)
        return self.desk.heard(report)

    def _give(self, account: str, told: Told | None, report: AnyReport) -> None:
        self._deliver(account, report)
        if told is not None:
            self.reports += 1
            if told.ts != report.ts_event:
                told = replace(told, ts=report.ts_event)
            self.desk.spread(told)

    # -- faults

    def fault(self, name: str, **args: object) -> None:
        """Begin a fault of the door or of the world; SettingsError where it is neither's."""
        if self.faults(name, args):
            return
        if name not in WORLD_FAULTS:
            raise SettingsError(
                f"no fault {name!r}; the world has {', '.join(WORLD_FAULTS)}; "
                "the door's are in onetape_fix/door/README.md"
            )
        super().fault(name, **args)

    def _begin(self, fault: Fault) -> None:
        super()._begin(fault)
        if isinstance(fault, Disconnect):
            self.hang_up()
        elif isinstance(fault, Halt):
            self.halted()

    def _hush(self, fault: Silence) -> None:
        before = self.silent
        super()._hush(fault)
        if before and not self.silent:
            self.released()

    # -- after a restart

    def recover(self) -> None:
        """Tell what the world had done and nobody was told; hand in what had not got to it."""
        desk = self.desk
        for report in untold(desk, self.core.ledger):
            told = self.heard(report)
            if told is not None:
                desk.spread(told)
        for entry in list(desk.entries.values()):
            for command in unfinished(entry, self.core.ledger):
                self.take(command)


def untold(desk: Desk, ledger: Ledger) -> list[AnyReport]:
    """Return reports for all that stands in a ledger and not in a desk's entries."""
    fills: dict[str, list[Filled]] = {}
    for fill in ledger.fills.values():
        fills.setdefault(fill.client_order_id, []).append(fill)
    out: list[AnyReport] = []
    for order in sorted(ledger.orders.values(), key=lambda o: o.place):
        entry = desk.entries.get(order.id) or desk.foreign(order.new)
        out += _untold(entry, order, fills.get(order.id, []))
    return out


def _untold(entry: Entry, order: Order, fills: list[Filled]) -> list[AnyReport]:
    about = (order.id, order.venue_order_id, order.new.instrument, order.ts)
    out: list[AnyReport] = []
    if entry.status == "NEW" and order.status not in ("NEW", "REJECTED"):
        out.append(Accepted(*about))
    terms = (order.quantity, order.price, order.trigger_price)
    if terms != (entry.quantity, entry.price, entry.trigger_price) and order.status != "NEW":
        out.append(Updated(*about, *terms))
    if order.triggered and entry.status in ("NEW", "ACCEPTED") and not entry.executions:
        out.append(Triggered(*about))
    standing = {fill.trade_id: fill for fill in fills}
    out += [fill for fill in fills if fill.trade_id not in entry.executions]
    for trade_id, terms_told in entry.executions.items():
        fill = standing.get(trade_id)
        if fill is None:
            out.append(Busted(*about, trade_id))
        elif (fill.quantity, fill.price) != terms_told:
            out.append(Corrected(*about, trade_id, fill.quantity, fill.price))
    ends: dict[str, AnyReport] = {
        "CANCELED": Canceled(*about, order.reason),
        "EXPIRED": Expired(*about),
        "REJECTED": Rejected(*about, order.reason),
    }
    if order.status in ends and not entry.closed:
        out.append(ends[order.status])
    return out


def unfinished(entry: Entry, ledger: Ledger) -> list[Command]:
    """Return the commands of an order's requests that have no answer yet."""
    out: list[Command] = []
    for request in entry.requests:
        if request.done or not entry.session:
            continue
        if request.kind == "D":
            if entry.id not in ledger.orders:
                out.append(entry.new_order())
        elif request.kind == "G":
            out.append(entry.modification(request))
        else:
            out.append(entry.cancelation())
    return out


def _no_fault(_name: str, _args: dict[str, object]) -> bool:
    return False


def _nothing() -> None:
    """Do nothing."""
