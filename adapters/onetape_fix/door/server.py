"""The door itself: a world, its sessions on their ports, and the local socket for faults.

    async with opened("door.cfg", {"data": "EURUSD-ticks", "samples": True}) as door:
        print(door.addresses)

With the world's `journal` and the sessions' stores (PersistMessages=Y, the default) a door that was
killed comes back with its books, its orders and its numbers, and tells what was not told yet.

Raises   SettingsError for settings that cannot be used, a port or a socket that is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec

from onetape.errors import OnetapeError, SettingsError
from onetape_fix.door import faults
from onetape_fix.door.counter import Counter
from onetape_fix.door.line import DoorSession
from onetape_fix.door.venue import DoorWorld
from onetape_fix.gateway.building import FIXT, profile_of, rules_of
from onetape_fix.profiles import Profile, overlay_of
from onetape_fix.session import (
    Clock,
    Journal,
    MemoryStore,
    SessionConfig,
    Settings,
    Store,
    SystemClock,
    read,
)
from onetape_fix.session.acceptor import Acceptor, Limits, by_comp_ids, shared
from onetape_fix.session.connection import Connected
from onetape_fix.session.settings import Address, GatewayConfig
from onetape_fix.session.transport import pulse
from onetape_fix.spec import Rules, overlaid
from onetape_fix.wire import Message
from onetape_sim.audience import FeedDoor
from onetape_sim.config import checked
from onetape_sim.serve import serving

TICK = 0.05  # seconds
LEAVING = 2.0  # seconds for the answers to our Logouts
_log = logging.getLogger("onetape_fix.door")


class Door:
    """A world behind FIX; see the module. `addresses` says where it listens."""

    def __init__(self, settings: Settings, world: DoorWorld, clock: Clock | None = None) -> None:
        self.settings = settings
        self.world = world
        self.clock = clock or cast("Clock", SystemClock())
        self.sessions = [self._session(config) for config in acceptors(settings)]
        self.addresses: dict[str, Address] = {}
        self._acceptors: list[Acceptor] = []
        self._pulse: asyncio.Task[None] | None = None
        desk = world.desk
        counters = [session.counter for session in self.sessions]
        desk.hearers.extend(counters)
        desk.keeps_ids = self._keeps_ids
        for told in world.kept.told:
            for counter in counters:
                if counter.wants(told) and desk.missed(counter.name, told):
                    counter.waiting.append(told)
        world.faults = self.fault
        world.hang_up = lambda: self._each(lambda s: s.cut("the simulated venue hung up"))
        world.released = lambda: self._each(lambda s: s.counter.drain())
        world.halted = lambda: self._each(lambda s: s.counter.listing.halted())

    def _session(self, config: SessionConfig) -> DoorSession:
        ways = profile_of(config)
        rules = with_own_fields(rules_of(config, ways), config, ways)
        counter = Counter(config, ways, rules, self.world)
        own = counter.seat.dialect.own
        if rules is not None and (own or counter.peculiar.any_target):  # U2 is in no dictionary
            loose = msgspec.structs.replace(
                rules.checks, unknown_fields=own or rules.checks.unknown_fields,
                unknown_messages=True,
            )  # fmt: skip
            rules = Rules(rules.transport, rules.application, lenient=frozenset(), checks=loose)
        store = stored(config, self.settings.gateway, self.clock.now())
        return DoorSession(config, rules, store, counter, self.clock)

    def _keeps_ids(self, name: str) -> bool:
        session = self.session(name)
        wrong = session.wrong.lasting(faults.KeepClordid) is not None
        return wrong or session.counter.peculiar.ways.keeps_clordid

    def _each(self, act: Callable[[DoorSession], None]) -> None:
        for session in self.sessions:
            act(session)

    def session(self, name: str) -> DoorSession:
        """Return a session by its name; SettingsError where there is none."""
        for session in self.sessions:
            if name in (session.config.name, session.config.id):
                return session
        there = ", ".join(session.name for session in self.sessions)
        raise SettingsError(f"no session {name!r} at this door; there are {there}")

    # -- its life

    async def start(self) -> None:
        """Tell what a killed door had not told, then listen."""
        self.world.recover()
        self._run_on_the_wall()
        gateway = self.settings.gateway
        limits = Limits(logon_size=gateway.logon_size, write_limit=gateway.write_limit)
        for address, those in shared(self.sessions).items():
            sessions = cast("Sequence[DoorSession]", those)
            acceptor = Acceptor(
                address, lookup(sessions), tls=those[0].config.tls, limits=limits,
                trouble=self._trouble,
            )  # fmt: skip
            await acceptor.start()
            self._acceptors.append(acceptor)
            self.addresses.update((session.name, acceptor.address) for session in sessions)
        self._pulse = asyncio.get_running_loop().create_task(
            pulse(lambda: self.sessions, TICK, self._trouble)
        )

    def _run_on_the_wall(self) -> None:
        """Let a market of the present day run, whether somebody wants its rows or not."""
        player = self.world.player
        if self.world.config.clock == "wall" and not player.stepped:
            nobody = FeedDoor(lambda _row: None)
            player.audience.open(nobody)
            player.begin(nobody)
        self.world.start()

    async def stop(self) -> None:
        """Log everybody out, wait a little for the answers, and let go of everything."""
        for session in self.sessions:
            if session.state == "up":
                session.logout("the simulated venue closes")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVING):
                while any(session.linked for session in self.sessions):
                    await asyncio.sleep(TICK / 5)
        if self._pulse is not None:
            self._pulse.cancel()
        for acceptor in self._acceptors:
            await acceptor.stop()
        self._acceptors.clear()
        for session in self.sessions:
            session.store.close()
        self.world.player.stop()
        if self.world.log is not None:
            self.world.log.close()

    def _trouble(self, session: Connected, error: BaseException) -> None:
        _log.error("session %s: %s: %s", session.name, type(error).__name__, error)

    # -- faults

    def fault(self, name: str, args: dict[str, object]) -> bool:
        """Begin a fault of the door; False where it is not one. SettingsError for its arguments."""
        fault = faults.named(name, args)
        if fault is None:
            return False
        if isinstance(fault, faults.Tell):
            self._tell(fault)
            return True
        found = self.sessions if fault.session is None else [self.session(fault.session)]
        for session in found:
            try:
                session.begin(fault)
            except OnetapeError as err:
                if fault.session is not None:  # asked of one: he wants to know
                    raise SettingsError(f"fault {name!r} of {session.name}: {err}") from None
        return True

    def _tell(self, fault: faults.Tell) -> None:
        desk = self.world.desk
        found = [e for e in desk.entries.values() if fault.order in (e.id, e.client_id)]
        if not found or fault.kind not in ("restated", "done", "suspended"):
            raise SettingsError(
                f"tell {fault.kind!r} of {fault.order!r} found; restated, done or suspended "
                f"expected, of one of {len(desk.entries)} orders"
            )
        told = desk.tell(found[0], fault.kind, self.world.player.now)
        desk.spread(msgspec.structs.replace(told, text=fault.text))


def lookup(sessions: Sequence[DoorSession]) -> Callable[[Message], Connected | None]:
    """Return what finds the session of a Logon; one that has a connection takes no second one."""
    exact = by_comp_ids(sessions)

    def found(message: Message) -> Connected | None:
        session = exact(message)
        if session is None:
            said = (message.get(8), message.get(49))
            session = next(
                (
                    s
                    for s in sessions
                    if s.counter.peculiar.any_target
                    and said == (s.config.begin_string, s.config.target)
                ),
                None,
            )
        taken = isinstance(session, DoorSession) and session.linked
        return None if taken else session

    return found


def with_own_fields(rules: Rules | None, config: SessionConfig, ways: Profile) -> Rules | None:
    """Return rules whose transport dictionary, too, knows the fields of a profile's overlay: a
    Logon of FIXT.1.1 is checked by that one."""
    path = overlay_of(ways)
    if rules is None or config.begin_string != FIXT or path is None:
        return rules
    transport = overlaid(path, rules.transport)
    return Rules(transport, rules.application, lenient=rules.lenient, checks=rules.checks)


def acceptors(settings: Settings) -> list[SessionConfig]:
    """Return the sessions that are ours to accept; SettingsError where there is none."""
    found = [config for config in settings.sessions if config.role == "acceptor"]
    if not found:
        raise SettingsError(
            "no acceptor found in the settings; ConnectionType=acceptor and SocketAcceptPort "
            "expected: a simulated venue is dialed"
        )
    return found


def stored(config: SessionConfig, gateway: GatewayConfig, now: int) -> Store:
    """Return where a session keeps its numbers and messages."""
    if not config.persist:
        return MemoryStore(now)
    return Journal(
        config.store, config.name, sync=gateway.sync, ts=now, limit=gateway.segment,
        keep=gateway.keep,
    )  # fmt: skip


def world_for(given: Mapping[str, object], sessions: Iterable[SessionConfig]) -> DoorWorld:
    """Return the world of a config, with the log of what those sessions were told."""
    names = tuple(
        config.name
        for config in sessions
        if config.role == "acceptor" and config.duties & {"order", "dropcopy", "clearing"}
    )
    return DoorWorld(checked(given), names)


@contextlib.asynccontextmanager
async def opened(
    settings: Settings | str | Path,
    world: Mapping[str, object] | DoorWorld,
    socket: str | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[Door]:
    """Run a door while the block runs; `socket` is the path of a local socket for faults and for
    clients of `onetape_sim`."""
    said = settings if isinstance(settings, Settings) else read(settings)
    made = world if isinstance(world, DoorWorld) else world_for(world, said.sessions)
    door = Door(said, made, clock)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(door.stop)
        await door.start()
        if socket is not None:
            await stack.enter_async_context(serving(made, f"unix:{socket}"))
        yield door
