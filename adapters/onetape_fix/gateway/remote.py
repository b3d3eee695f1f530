"""A line to a session that a gateway's process holds, over its unix socket.

A line that is lost (the gateway stopped, was killed, or does not turn any more) says so, and comes
back by itself with a growing wait (0.05 s to 2 s), from the last position that it was told. What
was handed over under a ref and not answered when it was lost is settled then: it is in the
journal and is told as `Sent`, or it never left and is told as `Refused`. A listener that raises is
left: the line is not up any more and hears nothing until it is opened again.

Raises   VenueUnavailable where no gateway answers, VenueError and SettingsError as it says.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onetape.errors import OnetapeError, VenueError, VenueUnavailable
from onetape_fix.gateway.frames import (
    Alarmed,
    Caught,
    Kept,
    Open,
    Opened,
    Post,
    State,
    ToClient,
    Told,
    plain,
)
from onetape_fix.gateway.joint import ANSWER_S, TROUBLE, Connection, joint
from onetape_fix.gateway.limits import NEW
from onetape_fix.gateway.line import (
    ALL,
    Hear,
    Inbound,
    LineAlarm,
    LineState,
    Live,
    Refused,
    Sent,
)
from onetape_fix.wire import DATA_TAGS, Body, parse

if TYPE_CHECKING:
    from onetape_fix.profiles import Profile

TRIES_S = (0.05, 2.0)  # the shortest and the longest wait before the next attempt
SILENT_S = 10.0  # without a beat: the gateway's process hangs
LOOK_S = 0.5  # between two looks whether it does
IDS = (11, 262, 320, 571, 117, 584, 710, 909, 568, 923)  # what a request is called by
_log = logging.getLogger("onetape_fix")


class RemoteLine:
    """See `line.Line`; `path` is the gateway's socket."""

    def __init__(self, path: Path | str, name: str) -> None:
        self.name = name
        self._path = str(path)
        self._hear: Hear | None = None
        self._connection: Connection | None = None
        self._opened: asyncio.Future[Opened] | None = None
        self._is: Opened | None = None
        self._state: State | None = None
        self._silent = False
        self._position = ALL
        self._posted: dict[str, tuple[str, str]] = {}  # ref -> type and id, not answered yet
        self._named: dict[tuple[str, str], str] = {}  # the same the other way: to ref
        self._before: tuple[str, ...] = ()  # the refs that were open then
        self._data_tags = DATA_TAGS
        self._number = 0  # ours on the connection
        self._gone = asyncio.Event()  # the connection was lost
        self._task: asyncio.Task[None] | None = None

    @property
    def duties(self) -> frozenset[str]:
        """See `Line`."""
        return frozenset(self._known().duties)

    @property
    def profile(self) -> Profile:
        """See `Line`."""
        from onetape_fix.profiles import profile

        return profile(self._known().profile)

    @property
    def up(self) -> bool:
        """See `Line`."""
        return self._state is not None and self._state.up and not self._silent

    async def open(self, heard: Hear, since: int = ALL) -> None:
        """See `Line`."""
        await self.close()
        self._hear, self._position = heard, since
        try:
            await self._attach()
        except OnetapeError:
            self._hear = None
            raise
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def send(self, msg_type: str, body: Body, ref: str = "") -> None:
        """See `Line`."""
        wire = None if self._connection is None else self._connection.wire
        if wire is None or not wire.open or self._state is None or not self.up:
            detail = self._state.detail if self._state is not None else "no gateway"
            raise VenueUnavailable(f"{self.name} is not logged on ({detail}); nothing has left")
        if msg_type in NEW and self._state.disabled:
            raise VenueError(f"{self._state.disabled}; cancels still leave")
        if not wire.roomy:
            raise VenueUnavailable(f"the gateway of {self.name} takes nothing; nothing has left")
        made = plain(body)
        if ref:
            self._posted[ref] = named = (msg_type, _id(made))
            self._named[named] = ref
        wire.post(Post(self._number, msg_type, made, ref, time.time_ns()))

    async def ask(self, what: str, **args: Any) -> dict[str, Any]:
        """See `Line`."""
        if self._connection is None:
            raise VenueUnavailable(f"the line to {self.name} is not open")
        return await self._connection.ask(what, {"session": self.name, **args})

    async def close(self) -> None:
        """See `Line`."""
        self._hear = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._leave()
        self._posted.clear()
        self._named.clear()

    def _known(self) -> Opened:
        if self._is is None:
            raise VenueUnavailable(f"the line to {self.name} was never open; open() it first")
        return self._is

    # -- the connection

    async def _attach(self) -> None:
        self._leave()
        connection = joint(self._path)
        self._number = await connection.join(self)
        self._connection = connection
        if connection.wire is None or not connection.wire.open:
            self._leave()
            raise VenueUnavailable(f"the gateway at {self._path} hung up")
        self._opened, self._silent = asyncio.get_running_loop().create_future(), False
        self._gone.clear()
        self._before = tuple(self._posted)
        connection.wire.post(Open(self._number, self.name, self._position))
        try:
            self._is = await asyncio.wait_for(self._opened, ANSWER_S)
        except TimeoutError:
            self._leave()
            raise VenueUnavailable(f"the gateway at {self._path} does not answer") from None
        if self._is.trouble:
            self._leave()
            raise TROUBLE.get(self._is.trouble, VenueError)(self._is.detail)
        self.name = self._is.name
        self._data_tags = DATA_TAGS | frozenset(self._is.data_tags)

    def lost(self, connection: Connection) -> None:
        """See `joint.Hearer`. A gateway that dies may also take a connection it never serves."""
        if connection is not self._connection:
            return
        self._gone.set()
        opened, had, self._state = self._opened, self._state, None
        if opened is not None and not opened.done():
            opened.set_exception(VenueUnavailable(f"the gateway at {self._path} hung up"))
        if had is not None:
            self._say(LineState(False, "the gateway is gone"))

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        self._state = None
        if connection is not None:
            connection.leave(self._number)

    async def _watch(self) -> None:
        """Notice that the gateway is gone or silent, and attach again."""
        wait = TRIES_S[0]
        while self._hear is not None:
            connection = self._connection
            if connection is not None and connection.wire is not None and connection.wire.open:
                wait = TRIES_S[0]
                self._listen_for_beat(asyncio.get_running_loop().time() - connection.beat)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._gone.wait()
                continue
            await asyncio.sleep(wait)
            try:
                await self._attach()
            except OnetapeError:
                wait = min(wait * 2, TRIES_S[1])

    def _listen_for_beat(self, since: float) -> None:
        silent = since > SILENT_S
        if silent != self._silent and self._state is not None:
            self._silent = silent
            detail = f"the gateway has said nothing for {SILENT_S:g} s" if silent else "heard again"
            self._say(LineState(self.up, detail))

    # -- what is heard

    def heard(self, frame: ToClient) -> None:
        """See `joint.Hearer`."""
        match frame:
            case Told():
                self._told(frame)
            case Kept():
                self._answered(frame.ref)
                self._say(Refused(frame.ref, frame.msg_type, frame.why))
            case State():
                self._state = frame
                self._say(LineState(frame.up, frame.detail))
            case Alarmed():
                self._say(LineAlarm(frame.code, frame.text, frame.detail))
            case Caught():
                self._settle()
                self._say(Live())
            case Opened():
                if self._opened is not None and not self._opened.done():
                    self._opened.set_result(frame)
            case _:
                pass

    def _told(self, told: Told) -> None:
        self._position = told.position
        message = parse(told.raw, self._data_tags)
        if told.way == "in":
            self._say(Inbound(message, told.position, told.ts, told.replayed))
            return
        ref = told.ref
        if not ref and self._named:  # told from the journal, which knows no refs
            named = (message.type, next((v for tag in IDS if (v := message.get(tag))), ""))
            ref = self._named.get(named, "")
        self._answered(ref)
        kind, at, ts = message.type, told.position, told.ts
        self._say(Sent(kind, told.seq, ref, message, at, ts, told.replayed))

    def _answered(self, ref: str) -> tuple[str, str]:
        named = self._posted.pop(ref, ("", ""))
        self._named.pop(named, None)
        return named

    def _settle(self) -> None:
        """Say of what was posted to a gateway that is gone, and is not in its journal, so."""
        before, self._before = self._before, ()
        for ref in before:
            msg_type, _ = self._answered(ref)
            if not msg_type:
                continue
            why = "the gateway was lost before it took this; it is not in its journal"
            self._say(Refused(ref, msg_type, why))

    def _say(self, said: Any) -> None:
        if self._hear is None:
            return
        hear = self._hear
        try:
            hear(said)
        except Exception as err:  # what it has not booked it cannot go on from
            _log.exception("%s: a listener failed at %s", self.name, type(said).__name__)
            self._hear = None
            self._leave()
            with suppress(Exception):  # it may at least take it that it is left
                hear(LineState(False, f"this listener failed and is left: {err!r}"))


def _id(body: list[Any]) -> str:
    """Return what a request is called by, "" where it has no name."""
    named = {tag: value for tag, value in body if tag in IDS}
    return next((str(named[tag]) for tag in IDS if named.get(tag)), "")


async def ask_once(path: Path | str, what: str, timeout: float = ANSWER_S, **args: Any) -> Any:
    """Connect, ask one thing, hang up; return the answer."""
    connection = Connection(path)
    await connection.start()
    try:
        return await connection.ask(what, args, timeout)
    finally:
        connection.close()
