"""A simulated venue as its own process: `python -m onetape_sim serve config.json --socket PATH`.

Several clients may be there at once; what happens to one leaves the others alone. A client's
death leaves its orders working, unless `cancel_on_disconnect` is configured. The world ends with
this process, unless a journal is configured.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from onetape.errors import OnetapeError, SettingsError, VenueUnavailable
from onetape.run.ports import AnyReport, FeedSignal, MassCancel, Subscription, VenueState
from onetape_sim.inside import Feed, Venue
from onetape_sim.wire import Answer, Ask, Beat, Framed, Handled, ToVenue, place
from onetape_sim.world import World


class Client:
    """One connection: a venue and a feed on the world, spoken to over the wire."""

    def __init__(self, world: World, wire: Framed) -> None:
        self.wire = wire
        self.world = world
        self.venue = Venue(world)
        self.feed = Feed(world)
        self._tasks: set[asyncio.Task[None]] = set()

    def heard(self, message: Any) -> None:
        """Take in what the client says."""
        if isinstance(message, Ask):
            task = asyncio.get_running_loop().create_task(self._answer(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif isinstance(message, Handled):
            self.feed.handled()
        elif self.venue.connected:
            self.world.command(self.venue.door, message)

    async def gone(self) -> None:
        """The client is not there any more."""
        await self.venue.disconnect()
        await self.feed.disconnect()

    async def _answer(self, ask: Ask) -> None:
        try:
            result = await self._asked(ask)
        except VenueUnavailable as err:
            if not self.world.silent:
                self.wire.post(Answer(ask.id, trouble="unavailable", detail=str(err)))
            return  # a silent venue does not even say that it is silent
        except SettingsError as err:
            self.wire.post(Answer(ask.id, trouble="settings", detail=str(err)))
            return
        except OnetapeError as err:
            self.wire.post(Answer(ask.id, trouble="venue", detail=str(err)))
            return
        raw = msgspec.Raw(msgspec.json.encode(result))
        self.wire.post(Answer(ask.id, raw))

    async def _asked(self, ask: Ask) -> object:
        venue, feed = self.venue, self.feed
        answers: dict[str, Callable[[], Awaitable[object]]] = {
            "connect": lambda: self._connect(ask.args.get("accounts", ())),
            "disconnect": venue.disconnect,
            "instruments": venue.instruments,
            "status": lambda: venue.status(ask.text),
            "orders": lambda: venue.orders(ask.text),
            "fills": lambda: venue.fills(ask.text, ask.number),
            "positions": lambda: venue.positions(ask.text),
            "cash": lambda: venue.cash(ask.text),
            "fault": lambda: venue.fault(ask.text, **ask.args),
            "feed_connect": self._connect_feed,
            "feed_disconnect": feed.disconnect,
            "feed_instruments": feed.instruments,
            "begin": feed.begin,
        }
        if isinstance(ask.about, MassCancel):
            return await venue.mass_cancel(ask.about)
        if isinstance(ask.about, Subscription):
            await feed.subscribe(ask.about)
            return None
        if ask.what not in answers:
            raise SettingsError(f"{ask.what!r} asked; there are {', '.join(answers)}")
        return await answers[ask.what]()

    async def _connect(self, accounts: Any) -> dict[str, object]:
        self.venue = Venue(self.world, tuple(accounts))
        await self.venue.connect(self._tell)
        return {"name": self.venue.name, "heartbeat": self.world.config.heartbeat}

    async def _connect_feed(self) -> dict[str, object]:
        await self.feed.connect(self._give)
        feed, beat = self.feed, self.world.config.heartbeat
        told = {"name": feed.name, "replayed": feed.replayed, "paced": feed.paced}
        more = {"synthetic": feed.synthetic, "now": self.world.player.now}
        return {**told, **more, "heartbeat": beat}

    def _tell(self, said: AnyReport | VenueState) -> None:
        if not isinstance(said, VenueState):
            self.wire.post(said)
        elif said.state == "disconnected":
            self.wire.close()

    def _give(self, said: Any) -> None:
        if isinstance(said, FeedSignal) and said.signal == "closed":
            self.wire.close()
        elif not (isinstance(said, FeedSignal) and said.signal == "live"):
            self.wire.post(said)


class Server:
    """Clients of one world, and the beat that tells them that it is there."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._clients: dict[Framed, Client] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def protocol(self) -> Framed:
        """Return the protocol of a new connection."""
        return Framed(ToVenue, self._heard, self._lost)

    def _heard(self, wire: Framed, message: Any) -> None:
        client = self._clients.get(wire)
        if client is None:
            client = self._clients[wire] = Client(self._world, wire)
        client.heard(message)

    def _lost(self, wire: Framed) -> None:
        client = self._clients.pop(wire, None)
        if client is not None:
            task = asyncio.get_running_loop().create_task(client.gone())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def beat(self) -> None:
        """Say at every heartbeat that the venue and the feed are there."""
        while True:
            for wire in list(self._clients):
                if not self._world.silent:
                    wire.post(Beat("venue"))
                if not self._world.player.audience.muted:
                    wire.post(Beat("feed"))
            await asyncio.sleep(self._world.config.heartbeat)

    def hang_up(self) -> None:
        """Let all clients go."""
        for wire in list(self._clients):
            wire.close()


@contextlib.asynccontextmanager
async def serving(world: World, address: str):
    """Serve a world at an address ("unix:/path.sock", "127.0.0.1:port") while the block runs.

    Raises SettingsError where the address is not local, or another process listens there.
    """
    server = Server(world)
    found = place(address)
    loop = asyncio.get_running_loop()
    if found.path is not None:
        listening = await loop.create_unix_server(server.protocol, sock=_unix(Path(found.path)))
    else:
        listening = await loop.create_server(server.protocol, found.host, found.port)
    beating = loop.create_task(server.beat())
    try:
        yield server
    finally:
        beating.cancel()
        listening.close()
        server.hang_up()
        await listening.wait_closed()


def _unix(path: Path) -> socket.socket:
    """Return a listening socket of mode 0600; one that a dead process left behind is replaced."""
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise SettingsError(f"{path} is not a socket; name a path that is free")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise SettingsError(f"another process listens at {path}; name another path")
        path.unlink()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        made.bind(str(path))
    finally:
        os.umask(before)
    return made
