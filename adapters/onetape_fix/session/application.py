"""What a session is given from outside: the application that it serves, a link and a clock.

The session never sleeps and opens no socket. Whoever holds it hands in what arrived, and calls
`tick` a few times a second; what it has to say goes to an `Application`.

Delivery   at least once: `on_message` comes before the message is recorded and its number counted.
           An application that dies in between, or raises, hears the message again.
Alarms     what a person, or a reconciliation, should know of; the codes are those of `CODES`.
Raises     NotLoggedOn where a message cannot leave now: nothing has left and nothing will.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from onetape.errors import VenueError
from onetape_fix.wire import Body, Message

if TYPE_CHECKING:
    from onetape_fix.session.machine import Session

CODES = {
    "gap_filled_over": "numbers that we never saw were skipped: ask what happened in them",
    "seq_too_low": "a number lower than expected: one side has lost its store",
    "seq_ahead": "the peer asks for, or has seen, numbers that our store does not know",
    "reset": "the numbers began anew at 1",
    "garbled": "bytes arrived that are no message",
    "lenient": "a message broke the rules and was delivered all the same",
    "stale_order": "an order is too old to be resent: the peer is told that nothing was there",
    "session_reject": "the peer could not read a message of ours (35=3)",
    "business_reject": "the peer does not serve a message of ours (35=j)",
    "rejected": "a message of the peer was rejected by us",
    "logon_refused": "a logon was refused, by us or by the peer",
    "logon_timeout": "no answer to a logon",
    "no_heartbeat": "the peer is silent: the connection was cut",
    "no_resend": "the peer does not resend what is missing",
    "resend_loop": "the peer asks for the same messages again and again",
    "skew": "the peer's clock and ours differ by more than MaxLatency",
    "unexpected": "a message that has no place here was ignored",
    "application": "the application failed on a message: it was not counted and comes again",
    "store": "the store could not keep a record: the connection was cut",
}


class NotLoggedOn(VenueError):
    """The session is not up: the message has not left and will not leave later."""


class Unsupported(VenueError):
    """Raised by `on_message`: the application does not serve this type (answered by 35=j)."""

    def __init__(self, text: str = "Unsupported Message Type") -> None:
        super().__init__(text)
        self.text = text


class Rejected(VenueError):
    """Raised by `on_message`: the message is no good (answered by 35=3 with reason 373)."""

    def __init__(self, reason: int, text: str, tag: int | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.tag = tag


class Alarm(msgspec.Struct, frozen=True):
    """Something that should not pass unseen. `detail` holds plain values only."""

    code: str
    text: str
    detail: Mapping[str, object] = {}


class Clock(Protocol):
    """Where a session has its times from."""

    def now(self) -> int:
        """Nanoseconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; their zero means nothing."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    now: Callable[[], int] = staticmethod(time.time_ns)
    monotonic: Callable[[], float] = staticmethod(time.monotonic)


class Link(Protocol):
    """The connection as a session sees it. Neither call waits, neither calls back at once."""

    def write(self, data: bytes) -> None:
        """Hand bytes to the connection."""
        ...

    def close(self) -> None:
        """End the connection once what was written has left."""
        ...


class Application:
    """What a session serves. Everything may be left as it is here, where nothing is done.

    Called in the course of the session's own calls. `on_message` may send, log out or reset. What
    any of these raises by accident cuts the connection; see `on_message` for what that means.
    """

    def logon_body(self, session: Session) -> Body:  # noqa: ARG002
        """Further fields of the Logon that an initiator sends (553, 554, 95, 96, ...).

        The Logon will bear `session.logon_at` (ns) as its 52, and `session.store.next_out`.
        """
        return ()

    def logon_answer(self, session: Session, message: Message) -> Body:  # noqa: ARG002
        """Further fields of the Logon with which an acceptor answers `message`."""
        return ()

    def check_logon(self, session: Session, message: Message) -> str | None:  # noqa: ARG002
        """Why an acceptor turns this Logon away (sent as 58 of a Logout), or None."""
        return None

    def on_logon(self, session: Session) -> None:
        """The session is up."""

    def on_logout(self, session: Session, why: str) -> None:
        """The session was up and is not any more."""

    def on_message(self, session: Session, message: Message) -> None:
        """An application message, or a Reject (35=3); not recorded yet, its number not counted.

        Raise Unsupported or Rejected to turn it away. Any other exception is a fault of the
        application: the connection is cut, the message counts as not received and comes again.
        """

    def on_recorded(self, session: Session, message: Message, position: int) -> None:
        """The same message, recorded at `position` of the store."""

    def on_sent(self, session: Session, msg_type: str, seq: int, raw: bytes, position: int) -> None:
        """A message was recorded and written for the first time."""

    def on_alarm(self, session: Session, alarm: Alarm) -> None:
        """See `CODES`."""

    def may_resend(self, session: Session, seq: int, message: Message) -> bool:  # noqa: ARG002
        """Whether this message of ours may be sent again; if not, a gap fill stands for it."""
        return True

    def may_ask(self, session: Session) -> bool:  # noqa: ARG002
        """Whether the peer knows ResendRequest. If not, gaps are stepped over, with an alarm."""
        return True
