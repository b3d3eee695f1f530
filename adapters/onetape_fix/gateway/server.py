"""A gateway's door on this machine: a unix socket, readable by its owner only.

What happens to one client leaves the sessions and the other clients alone. One that dies is
forgotten. One that does not read is told nothing more until it does (its line reads on in the
journal then); of alarms it finds the last hundred; one that asks and asks and never reads the
answers is hung up on.

Raises   SettingsError where the socket's path is taken or too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from onetape.errors import OnetapeError, SettingsError, VenueError, VenueUnavailable
from onetape_fix.gateway.follow import Item, Listener
from onetape_fix.gateway.frames import (
    HIGH,
    Alarmed,
    Answer,
    Ask,
    Beat,
    Caught,
    Framed,
    Kept,
    Open,
    Opened,
    Post,
    Shut,
    State,
    ToGateway,
    Told,
)

if TYPE_CHECKING:
    from onetape_fix.gateway.held import Held
    from onetape_fix.gateway.hub import Gateway

BEAT_S = 1.0
ALARMS = 100  # kept for a client that does not read
PATIENCE = 8 * HIGH  # bytes of answers that nobody reads
LONGEST = 100  # characters of a unix socket's path; systems stop at 104 to 108


class There:
    """A listener in another process; see `follow.Ear`."""

    __slots__ = ("_alarms", "_away", "_line", "_state", "_wire")

    def __init__(self, wire: Framed, line: int) -> None:
        self._wire, self._line = wire, line
        self._alarms: deque[Alarmed] = deque(maxlen=ALARMS)
        self._state: State | None = None
        self._away: State | None = None  # it was down meanwhile, which has to be heard

    @property
    def roomy(self) -> bool:
        return self._wire.roomy

    def tell(self, item: Item) -> None:
        line, at, ts = self._line, item.position, item.ts
        self._wire.post(Told(line, item.way, item.raw, item.seq, at, ts, item.replayed, item.ref))

    def state(self, up: bool, detail: str, disabled: str) -> None:
        said = State(self._line, up, detail, disabled)
        if self.roomy:
            self._wire.post(said)
        else:
            self._state, self._away = said, self._away if up else said

    def alarm(self, code: str, text: str, detail: dict[str, Any]) -> None:
        said = Alarmed(self._line, code, text, detail)
        if self.roomy:
            self._wire.post(said)
        else:
            self._alarms.append(said)

    def kept(self, ref: str, msg_type: str, why: str) -> None:
        self._wire.post(Kept(self._line, ref, msg_type, why))

    def caught(self) -> None:
        self._wire.post(Caught(self._line))

    def again(self) -> None:
        """There is room again."""
        while self._alarms:
            self._wire.post(self._alarms.popleft())
        said, self._away, self._state = (self._away, self._state), None, None
        for state in dict.fromkeys(each for each in said if each is not None):
            self._wire.post(state)


class Client:
    """One connection."""

    def __init__(self, gateway: Gateway, wire: Framed) -> None:
        self._gateway, self._wire = gateway, wire
        self._lines: dict[int, tuple[Held, Listener, There]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def heard(self, frame: ToGateway) -> None:
        """Take in what the client says."""
        if self._wire.waiting > PATIENCE:
            self._wire.close()
            return
        match frame:
            case Post():
                self._post(frame)
            case Ask():
                task = asyncio.get_running_loop().create_task(self._answer(frame))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Open():
                self._open(frame)
            case Shut():
                self._shut(frame.line)
            case _:
                assert_never(frame)

    def again(self) -> None:
        """There is room again."""
        for _, listener, ear in list(self._lines.values()):
            ear.again()
            listener.pump()

    def gone(self) -> None:
        """The client is not there any more."""
        for line in list(self._lines):
            self._shut(line)
        for task in self._tasks:
            task.cancel()

    def _open(self, frame: Open) -> None:
        self._shut(frame.line)
        try:
            held = self._gateway.held(frame.session)
        except OnetapeError as err:
            self._wire.post(Opened(frame.line, trouble=_trouble(err), detail=str(err)))
            return
        duties, tags = sorted(held.config.duties), sorted(held.data_tags)
        self._wire.post(Opened(frame.line, held.name, duties, held.profile.name, tags))
        ear = There(self._wire, frame.line)
        self._lines[frame.line] = (held, held.listen(ear, frame.since), ear)

    def _shut(self, line: int) -> None:
        held, listener, _ = self._lines.pop(line, (None, None, None))
        if held is not None and listener is not None:
            held.leave(listener)

    def _post(self, frame: Post) -> None:
        held, listener, ear = self._lines.get(frame.line, (None, None, None))
        if held is None or ear is None:
            why = "this line is not open; open it first"
            self._wire.post(Kept(frame.line, frame.ref, frame.msg_type, why))
            return
        try:
            held.in_time(frame.msg_type, frame.at)
            held.send(frame.msg_type, frame.body, frame.ref, listener)
        except OnetapeError as err:
            ear.kept(frame.ref, frame.msg_type, str(err))
        except (TypeError, ValueError) as err:  # a body that is none
            ear.kept(frame.ref, frame.msg_type, f"no FIX message can be made of it: {err}")

    async def _answer(self, ask: Ask) -> None:
        try:
            result = await self._gateway.ask(ask.what, **ask.args)
        except OnetapeError as err:
            self._wire.post(Answer(ask.id, trouble=_trouble(err), detail=str(err)))
        except TypeError as err:
            self._wire.post(Answer(ask.id, trouble="settings", detail=f"{ask.what}: {err}"))
        else:
            self._wire.post(Answer(ask.id, result))


def _trouble(err: OnetapeError) -> str:
    if isinstance(err, VenueUnavailable):
        return "unavailable"
    return "settings" if isinstance(err, SettingsError) else "venue"


class Server:
    """The clients of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._clients: dict[Framed, Client] = {}

    @property
    def count(self) -> int:
        return len(self._clients)

    def protocol(self) -> Framed:
        """Return the protocol of a new connection."""
        return Framed(ToGateway, self._heard, self._lost, self._again)

    def _heard(self, wire: Framed, frame: Any) -> None:
        client = self._clients.get(wire)
        if client is None:
            client = self._clients[wire] = Client(self._gateway, wire)
        client.heard(frame)

    def _again(self, wire: Framed) -> None:
        if (client := self._clients.get(wire)) is not None:
            client.again()

    def _lost(self, wire: Framed) -> None:
        if (client := self._clients.pop(wire, None)) is not None:
            client.gone()

    async def beat(self) -> None:
        """Say every second that the loop is turning."""
        while True:
            for wire in list(self._clients):
                if wire.roomy:
                    wire.post(Beat())
            await asyncio.sleep(BEAT_S)

    def hang_up(self) -> None:
        """Let all clients go."""
        for wire in list(self._clients):
            wire.close()


@contextlib.asynccontextmanager
async def serving(gateway: Gateway, path: Path):
    """Serve a gateway at a unix socket while the block runs."""
    server = Server(gateway)
    made = listening(path)
    loop = asyncio.get_running_loop()
    door = await loop.create_unix_server(server.protocol, sock=made)
    beating = loop.create_task(server.beat())
    try:
        yield server
    finally:
        beating.cancel()
        door.close()
        server.hang_up()
        path.unlink(missing_ok=True)


def listening(path: Path) -> socket.socket:
    """Return a bound socket of mode 0600; one that a dead process left behind is replaced."""
    if len(str(path).encode()) > LONGEST:
        raise SettingsError(
            f"the socket's path {path} is longer than {LONGEST} bytes, which systems refuse; name "
            "a shorter one with GatewaySocket"
        )
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise SettingsError(f"{path} is not a socket; name a path that is free")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise SettingsError(f"another gateway listens at {path}; stop it first")
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        made.bind(str(path))
    except OSError as err:
        made.close()
        raise VenueError(f"no socket can be made at {path}: {err}") from err
    finally:
        os.umask(before)
    return made
