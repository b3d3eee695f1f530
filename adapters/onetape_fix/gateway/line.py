"""A line: one FIX session as application code sees it, wherever the session is held.

`LocalLine` is a session held in this process, `remote.RemoteLine` one in a gateway's process.
Both say the same: what came in and what went out, each with its position in the session's
journal. Whoever remembers the last position that he has booked and opens with it misses nothing
and hears nothing twice; who does not, hears the kept history again, marked `replayed`.

What is heard is application messages and session rejects (35=3, which tell of an order that the
peer could not read); logons, heartbeats and resends are the session's own business.

Units    `ts` in ns UTC by the gateway's clock; positions rise strictly and are never reused.
Raises   VenueUnavailable where the session is not there or not logged on, VenueError where a
         message was refused (throttled, trading disabled): in either case nothing has left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from onetape_fix.wire import Body, Message

if TYPE_CHECKING:
    from onetape_fix.gateway.hub import Gateway
    from onetape_fix.profiles import Profile

ALL = -1  # as `since`: all that is kept of the last days


class Inbound(msgspec.Struct, frozen=True):
    """A message from the peer. It is recorded already: it does not come again by itself."""

    message: Message
    position: int
    ts: int
    replayed: bool = False


class Sent(msgspec.Struct, frozen=True):
    """A message of ours that was recorded and written; `ref` is what was said to `send`, and ""
    where another line sent it or it is told from the journal."""

    msg_type: str
    seq: int
    ref: str
    message: Message
    position: int
    ts: int
    replayed: bool = False


class Refused(msgspec.Struct, frozen=True):
    """A message of ours that did not leave and will not."""

    ref: str
    msg_type: str
    why: str


class LineState(msgspec.Struct, frozen=True):
    """The session was logged on or is not any more. It is said once on opening, too."""

    up: bool
    detail: str = ""


class LineAlarm(msgspec.Struct, frozen=True):
    """Something about the session that a person or a reconciliation should know of; `code` is
    the session's ("gap_filled_over", "seq_too_low", "reset", ...) or the gateway's own
    ("disabled", "enabled", "slow_client", "store")."""

    code: str
    text: str
    detail: dict[str, Any] = {}


class Live(msgspec.Struct, frozen=True):
    """The history is told; from here on things are told as they happen."""


Heard = Inbound | Sent | Refused | LineState | LineAlarm | Live
Hear = Callable[[Heard], None]


class Line(Protocol):
    """One FIX session as application code sees it. All calls and all that is heard are on one
    asyncio loop. `duties` and `profile` are known once the line is open."""

    name: str

    @property
    def duties(self) -> frozenset[str]: ...

    @property
    def profile(self) -> Profile: ...

    @property
    def up(self) -> bool:
        """True while the session is logged on and `send` may be tried."""
        ...

    async def open(self, heard: Hear, since: int = ALL) -> None:
        """Begin to hear: the journal after position `since`, then `Live`, then what happens.

        Returns once the line is attached; the history may come after. A line that is lost
        (gateway restarted) says LineState(False), comes back by itself where it stood, says
        LineState and `Live` again. Raises VenueUnavailable, and VenueError for no such session.
        """
        ...

    def send(self, msg_type: str, body: Body, ref: str = "") -> None:
        """Hand a message to the session and return at once; `Sent` or `Refused` is heard then.

        Raises VenueError where it is known here that it cannot leave; nothing is heard then.
        """
        ...

    async def ask(self, what: str, **args: Any) -> dict[str, Any]:
        """Ask the gateway about this session, or have it do something: see `control`."""
        ...

    async def close(self) -> None:
        """Hear no more; the session stays as it is."""
        ...


class LocalLine:
    """A line to a session that is held in this process."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self._gateway = gateway
        self._held = gateway.held(name)
        self.name = self._held.name
        self._listener: Any = None

    @property
    def duties(self) -> frozenset[str]:
        """See `Line`."""
        return self._held.config.duties

    @property
    def profile(self) -> Profile:
        """See `Line`."""
        return self._held.profile

    @property
    def up(self) -> bool:
        """See `Line`."""
        return self._held.up and (self._listener is None or not self._listener.gone)

    async def open(self, heard: Hear, since: int = ALL) -> None:
        """See `Line`."""
        await self.close()
        self._listener = self._held.listen(heard, since)

    def send(self, msg_type: str, body: Body, ref: str = "") -> None:
        """See `Line`."""
        self._held.send(msg_type, body, ref, self._listener)

    async def ask(self, what: str, **args: Any) -> dict[str, Any]:
        """See `Line`."""
        return await self._gateway.ask(what, session=self.name, **args)

    async def close(self) -> None:
        """See `Line`."""
        listener, self._listener = self._listener, None
        if listener is not None:
            self._held.leave(listener)
