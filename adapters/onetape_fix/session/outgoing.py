"""The ground floor of a session: what it is made of, and everything that leaves it.

Order     A message is kept in the store, then written, then told to the application. What could
          not be kept is not written.
Numbers   are the store's; this floor keeps none.
Raises    NotLoggedOn from `send`; StoreError where a message could not be kept; Unwritable where
          it is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, cast

from onetape.errors import VenueError
from onetape_fix.session.application import Alarm, Application, Clock, Link, NotLoggedOn
from onetape_fix.session.facts import Facts
from onetape_fix.session.settings import SessionConfig
from onetape_fix.session.store import Store, StoreError
from onetape_fix.spec import Rules
from onetape_fix.wire import Body, Encoder, Value, format_utc
from onetape_fix.wire.msgtypes import ADMIN, LOGOUT, REJECT
from onetape_fix.wire.tags import (
    LAST_MSG_SEQ_NUM_PROCESSED,
    SENDER_COMP_ID,
    SENDER_LOCATION_ID,
    SENDER_SUB_ID,
    TARGET_COMP_ID,
    TARGET_LOCATION_ID,
    TARGET_SUB_ID,
    TEXT,
)

if TYPE_CHECKING:
    from onetape_fix.session.machine import Session

State = Literal["down", "logon", "up", "logout"]
Header = Sequence[tuple[int, str | int]]

SECOND = 1_000_000_000  # ns
TAG = itemgetter(0)


class Outgoing:
    """See the module."""

    def __init__(
        self,
        config: SessionConfig,
        rules: Rules | None,
        store: Store,
        app: Application,
        clock: Clock,
    ) -> None:
        self.config = config
        self.rules = rules
        self.store = store
        self.app = app
        self.clock = clock
        self.state: State = "down"
        self.facts = Facts()
        self.heartbeat = float(config.heartbeat)  # seconds; of an acceptor, as the peer asked
        self.logon_at = 0  # ns, SendingTime of the Logon that is being made
        self.wake: Callable[[], None] | None = None  # called when a tick is wanted at once
        self._link: Link | None = None
        self._encoder = Encoder(config.begin_string, _constant(config))
        self._digits = config.timestamp_digits
        self._sorted = config.sorted_body
        self._processed = config.last_processed
        self._ts = 0  # ns, when the message came that is being dealt with
        self._last_out = 0.0
        self._since = 0.0  # when the present state began
        self._told_up = False  # on_logon was called and on_logout was not

    @property
    def name(self) -> str:
        """The session's name, as everywhere."""
        return self.config.name

    @property
    def linked(self) -> bool:
        """Whether a connection is held. An acceptor turns a second one away."""
        return self._link is not None

    @property
    def me(self) -> Session:
        """This session as its application knows it."""
        return cast("Session", self)

    def send(self, msg_type: str, body: Body, header: Header = ()) -> int:
        """Send an application message (or a Reject) and return its number.

        Raises NotLoggedOn where the session is not up, StoreError where the message could not be
        kept, Unwritable where it is none: nothing has left then, and nothing will.
        """
        if self.state != "up" or self._link is None:
            raise NotLoggedOn(
                f"{self.config.name} is {self.state}, not up: {msg_type} was not sent; "
                "wait for the logon and decide anew"
            )
        if msg_type in ADMIN and msg_type != REJECT:
            raise VenueError(f"35={msg_type} is the session's own; use its methods instead")
        return self._transmit(msg_type, body, header)

    def _transmit(self, msg_type: str, body: Body, header: Header = (), now: int = 0) -> int:
        store = self.store
        seq = store.next_out
        now = now or self.clock.now()
        if self._processed:
            header = [*header, (LAST_MSG_SEQ_NUM_PROCESSED, store.next_in - 1)]
        if self._sorted:
            body = sorted(body, key=TAG)
        raw = self._encoder.encode(msg_type, seq, format_utc(now, self._digits), body, header)
        position = store.sent(seq, raw, now)
        self._write(raw, now)
        self.app.on_sent(self.me, msg_type, seq, raw, position)
        return seq

    def _write(self, raw: bytes, now: int) -> None:
        link = self._link
        if link is None:  # cut by what was called in between: the store has it
            return
        link.write(raw)
        self._last_out = self.clock.monotonic()
        facts = self.facts
        facts.messages_out += 1
        facts.bytes_out += len(raw)
        facts.last_out_ns = now

    def _alarm(self, code: str, text: str, /, **detail: object) -> None:
        self.facts.alarms[code] += 1
        self._note(f"alarm {code}: {text}")
        self.app.on_alarm(self.me, Alarm(code, text, detail))

    def _note(self, text: str) -> None:
        """Keep a session event for people."""
        try:
            self.store.note(text, self.clock.now())
        except StoreError:
            # what could not be kept is a note only; the record that matters raises by itself
            self.facts.last_text = text

    def _enter(self, state: State) -> None:
        self.state = state
        self._since = self.clock.monotonic()

    def _drop(self, why: str) -> None:
        """Cut the connection from our side."""
        link = self._link
        if link is not None:
            self._down(why)
            link.close()

    def _down(self, why: str) -> None:
        """The connection is gone, or is given up."""
        self._link = None
        self._enter("down")
        self.facts.last_text = why
        self.facts.up_since_ns = 0
        self.facts.resending = 0
        self._note(f"down: {why}")
        if self.config.reset_on_disconnect:
            try:
                self._reset_store("settings")
            except StoreError as error:
                self._alarm("store", str(error))
        if self._told_up:
            self._told_up = False
            self.app.on_logout(self.me, why)

    def _part(self, text: str) -> None:
        """Say why in a Logout, and cut the connection."""
        self._transmit(LOGOUT, [(TEXT, text)] if text else [])
        self._drop(text)

    def _take_leave(self, text: str) -> None:
        """Say Logout and wait for the peer's."""
        if self.state != "up":
            return
        self._transmit(LOGOUT, [(TEXT, text)] if text else [])
        self._enter("logout")

    def _reset_store(self, by: str) -> None:
        """Begin anew at 1. `by`: peer, settings, schedule, operator."""
        store = self.store
        was_in, was_out = store.next_in, store.next_out
        store.reset(self.clock.now())
        if was_in > 1 or was_out > 1:
            text = f"the numbers begin anew, by {by}; they stood at {was_in} in, {was_out} out"
            self._alarm("reset", text, by=by, next_in=was_in, next_out=was_out)


def _constant(config: SessionConfig) -> list[tuple[int, str]]:
    """The header fields that every message of ours bears."""
    fields = (
        (SENDER_COMP_ID, config.sender),
        (SENDER_SUB_ID, config.sender_sub),
        (SENDER_LOCATION_ID, config.sender_location),
        (TARGET_COMP_ID, config.target),
        (TARGET_SUB_ID, config.target_sub),
        (TARGET_LOCATION_ID, config.target_location),
    )
    return [(tag, value) for tag, value in fields if value]


def whole(text: str | None) -> int | None:
    """The number that a field holds, or None."""
    if text is None or not (text.isascii() and text.isdecimal()) or len(text) > 18:
        return None
    return int(text)


__all__ = ["SECOND", "Header", "Outgoing", "State", "Value", "whole"]
