"""What every part of a session's side of the desk works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from onetape.run.ports import OrderStatus
from onetape_fix.door.desk import Desk
from onetape_fix.door.dialect import Dialect
from onetape_fix.door.told import Entry
from onetape_fix.door.venue import DoorWorld
from onetape_fix.wire import Body, Message
from onetape_sim.core import Core
from onetape_sim.orders import Order


class Seat:
    """One session at the desk: its name, its accounts, its dialect, and how it is spoken to.

    `accounts` are those that it may trade for and hear of; none means any. `default` is the account
    of an order that names none.
    """

    def __init__(
        self,
        name: str,
        world: DoorWorld,
        dialect: Dialect,
        say: Callable[[str, Body], None],
        accounts: tuple[str, ...],
        default: str,
    ) -> None:
        self.name = name
        self.world = world
        self.dialect = dialect
        self.say = say
        self.accounts = frozenset(accounts)
        self.default = accounts[0] if accounts else default

    @property
    def desk(self) -> Desk:
        """What all sessions share."""
        return self.world.desk

    @property
    def core(self) -> Core:
        """The world's core, all that has arrived being done."""
        self.world.settle()
        return self.world.core

    @property
    def now(self) -> int:
        """The venue's time as it tells it."""
        return self.world.player.now + self.world.filter.offset

    def instrument(self, fields: Mapping[int, str]) -> str:
        """Return the id of the instrument that fields name."""
        return self.dialect.meant(fields, self.world.core.instruments)

    def may(self, account: str) -> bool:
        """Return whether the session may trade for, and hear of, an account."""
        return not self.accounts or account in self.accounts

    def entry(self, client_id: str | None, order_id: str | None) -> Entry | None:
        """Return the order that a message names, where this session may know of it."""
        found = self.desk.find(self.name, client_id, order_id)
        if found is None and client_id:
            order = self.core.ledger.orders.get(client_id)
            found = self.desk.entries.get(client_id)
            if found is None and order is not None:
                found = self.desk.foreign(order.new)
            if found is not None and found.session not in ("", self.name):
                found = None  # another session's order that happens to have this id
        if found is None or (found.session != self.name and not self.may(found.account)):
            return None
        return found

    def entry_of(self, order: Order) -> Entry:
        """Return what the desk knows of an order of the world."""
        return self.desk.entries.get(order.id) or self.desk.foreign(order.new)

    def standing(self, entry: Entry) -> OrderStatus | None:
        """Return an order as the world has it."""
        order = self.core.ledger.orders.get(entry.id)
        return None if order is None else order.told(self.world.filter.offset)


def account_of(message: Message) -> str | None:
    """Return the account that a message names: 1, or a party (448) in the role of customer account
    (452=24)."""
    named = message.get(1)
    if named is not None:
        return named
    party: str | None = None
    for tag, value in message.fields:
        if tag == 448:
            party = value
        elif tag == 452 and value == "24":
            return party
    return None
