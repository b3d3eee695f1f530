"""A session that this process holds: who listens to it, what may be sent, what it counts.

A message of the peer is told to the listeners once it is
recorded, so that each has a position in the journal; one that fails at it does not harm the
session or the others: it is left with an alarm and may open again where it stood.

Raises   VenueUnavailable where the session is not logged on, VenueError where trading is disabled
         or the venue's rate is reached: nothing has left in either case.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, override

from msgspec.structs import replace

from onetape.errors import VenueError, VenueUnavailable
from onetape_fix.gateway.bucket import Bucket
from onetape_fix.gateway.follow import OWN, Ear, Item, Listener
from onetape_fix.gateway.limits import CANCELS, NEW
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
from onetape_fix.gateway.metrics import Meter
from onetape_fix.gateway.standing import Standings
from onetape_fix.profiles import Profile, authenticate, stated, verify
from onetape_fix.session.application import Alarm, Application, Clock
from onetape_fix.session.machine import Session
from onetape_fix.session.settings import GatewayConfig, SessionConfig
from onetape_fix.session.store import Store, StoreError
from onetape_fix.session.transport import Dialer
from onetape_fix.spec import Rules
from onetape_fix.wire import DATA_TAGS, Body, Message, parse

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND = 1_000_000_000  # ns
DAY_NS = 86_400 * SECOND
_log = logging.getLogger("onetape_fix")


class House(Protocol):
    """What a session needs of the gateway that holds it."""

    clock: Clock
    config: GatewayConfig
    standings: Standings


class Here:
    """A listener of this process: its callback hears structs."""

    __slots__ = ("_data_tags", "_failed", "hear")

    roomy = True

    def __init__(
        self, hear: Hear, failed: Callable[[Here, Exception], None], data_tags: frozenset[int]
    ) -> None:
        self.hear, self._failed, self._data_tags = hear, failed, data_tags

    def tell(self, item: Item) -> None:
        message = item.message or parse(item.raw, self._data_tags)
        if item.way == "in":
            self._say(Inbound(message, item.position, item.ts, item.replayed))
        else:
            kind, at, ts = message.type, item.position, item.ts
            self._say(Sent(kind, item.seq, item.ref, message, at, ts, item.replayed))

    def state(self, up: bool, detail: str, disabled: str) -> None:
        self._say(LineState(up, detail or disabled))

    def alarm(self, code: str, text: str, detail: dict[str, object]) -> None:
        self._say(LineAlarm(code, text, detail))

    def kept(self, ref: str, msg_type: str, why: str) -> None:
        self._say(Refused(ref, msg_type, why))

    def caught(self) -> None:
        self._say(Live())

    def _say(self, said: Any) -> None:
        try:
            self.hear(said)
        except Exception as err:
            _log.exception("a listener failed at %s", type(said).__name__)
            self._failed(self, err)
            with suppress(Exception):  # it may at least take it that it is left
                self.hear(LineState(False, f"this listener failed and is left: {err!r}"))


class Hooks(Application):
    """What the session calls back."""

    def __init__(self, held: Held) -> None:
        self._held = held

    @override
    def logon_body(self, session: Session) -> Body:
        config, profile = self._held.config, self._held.profile
        return authenticate(config, profile, session.logon_at, session.store.next_out)

    @override
    def check_logon(self, session: Session, message: Message) -> str | None:
        held = self._held
        return held.out or verify(held.config, held.profile, message) or None

    @override
    def on_logon(self, session: Session) -> None:
        self._held.logons += 1
        self._held.last_error = ""
        self._held.moved(True, "logged on")

    @override
    def on_logout(self, session: Session, why: str) -> None:
        self._held.last_error = why
        self._held.moved(False, why)

    @override
    def on_recorded(self, session: Session, message: Message, position: int) -> None:
        held = self._held
        now = held.clock.now()
        held.meter.heard(message, now)
        if message.type not in OWN:
            held.tell(Item("in", message.raw, message.seq, position, now, message=message))

    @override
    def on_sent(self, session: Session, msg_type: str, seq: int, raw: bytes, position: int) -> None:
        if msg_type in OWN:
            return
        held = self._held
        now = held.clock.now()
        held.meter.sent(msg_type, raw, now)
        ref, by = held.sending
        held.tell(Item("out", raw, seq, position, now, False, ref), by)

    @override
    def on_alarm(self, session: Session, alarm: Alarm) -> None:
        self._held.tell_alarm(alarm.code, alarm.text, dict(alarm.detail))

    @override
    def may_resend(self, session: Session, seq: int, message: Message) -> bool:
        if message.type in NEW and self._held.disabled:
            return False  # what was stopped does not leave by the back door
        return self._held.profile.resend == "full"

    @override
    def may_ask(self, session: Session) -> bool:
        return self._held.profile.resend != "none"


class Held:
    """One session, held."""

    def __init__(
        self,
        config: SessionConfig,
        profile: Profile,
        rules: Rules | None,
        store: Store,
        house: House,
    ) -> None:
        clock = house.clock
        self.config, self.profile, self.store, self.clock = config, profile, store, clock
        self.name = config.name
        self.session = Session(config, rules, store, Hooks(self), clock)
        self.dialer: Dialer | None = None
        self.meter = Meter(clock.now())
        self.bucket = Bucket(config.throttle or profile.throttle or 0, clock.monotonic())
        self.always: dict[str, Body] = {
            kind: stated(config, [(tag, said) for of, tag, said in profile.always if of == kind])
            for kind, _, _ in profile.always
        }
        self.listeners: list[Listener] = []
        self.alarms = 0
        self.logons = 0
        self.slowed = 0  # how often a listener had no room
        self.last_error = ""
        self.data_tags = DATA_TAGS if rules is None else rules.data_tags
        self.history_ns = int(house.config.history * DAY_NS)
        self._house = house
        self.sending: tuple[str, Listener | None] = ("", None)  # whose message is under way
        self._told: deque[tuple[Item, Listener | None]] = deque()
        self._telling = False

    # -- what callers see

    @property
    def up(self) -> bool:
        return self.session.state == "up"

    @property
    def disabled(self) -> str:
        """Return why no orders are let out, "" where they are."""
        found = self._house.standings.of(self.name).disabled
        return "" if found is None else f"trading is disabled on {self.name}: {found}"

    @property
    def out(self) -> str:
        """Return why the session is to stay logged out, "" where it is not."""
        found = self._house.standings.of(self.name).out
        return "" if found is None else f"logged out: {found}"

    @property
    def ready(self) -> bool:
        """True where orders may leave: logged on, nothing to catch up, not disabled."""
        facts = self.session.facts
        return self.up and not facts.gap and not facts.resending and not self.disabled

    def listen(self, hear: Hear | Ear, since: int) -> Listener:
        """Let somebody hear from behind a position of the journal on."""
        ear: Ear = Here(hear, self._failed, self.data_tags) if callable(hear) else hear
        oldest = self.clock.now() - self.history_ns
        asked, ends = since, self.store.position
        since = ALL if asked > ends else asked
        listener = Listener(self.store, ear, since, oldest)
        self.listeners.append(listener)
        ear.state(self.up, "" if self.up else self.last_error, self.disabled)
        if asked > ends:  # this listener has to hear it, too: its position means nothing here
            text = f"position {asked} is asked for and the journal ends at {ends}"
            self.alarm("journal_lost", f"{text}: it is not the one that was; all of it is told")
        listener.start()
        return listener

    def leave(self, listener: Listener) -> None:
        """Let a listener go."""
        listener.gone, listener.live = True, False
        if listener in self.listeners:
            self.listeners.remove(listener)

    def in_time(self, msg_type: str, posted: int) -> None:
        """Raise where an order waited in front of us longer than it may (`order_ttl`): we did not
        turn, and the market did."""
        limit = self.config.order_ttl
        waited = (self.clock.now() - posted) / SECOND
        if msg_type in NEW and posted and limit is not None and waited > limit:
            raise VenueError(
                f"it waited {waited:.1f} s for the gateway, {limit:g} s is the limit; nothing has "
                "left, send it again when it is still meant"
            )

    def send(
        self, msg_type: str, body: Body, ref: str = "", listener: Listener | None = None
    ) -> int:
        """Send at once, or raise and nothing has left; return the message's number."""
        if not self.up:
            raise VenueUnavailable(
                f"{self.name} is not logged on ({self.session.state}"
                f"{', ' + self.last_error if self.last_error else ''}); nothing has left"
            )
        if msg_type in NEW and (why := self.disabled):
            raise VenueError(f"{why}; cancels still leave, onetape fix enable lets orders out")
        if not self.bucket.take(self.clock.monotonic(), cancel=msg_type in CANCELS):
            raise VenueError(
                f"throttled: {self.name} takes {self.bucket.rate:g} messages a second and this "
                "one would be over; nothing has left, send it again when it is still meant"
            )
        self.sending = (ref, listener)
        try:
            return self.session.send(msg_type, [*body, *self.always.get(msg_type, ())])
        except StoreError as err:
            self.tell_alarm("store", str(err), {})
            raise VenueUnavailable(
                f"{self.name} could not keep it, so it has not left: {err}"
            ) from err
        finally:
            self.sending = ("", None)

    # -- to the listeners

    def alarm(self, code: str, text: str, detail: dict[str, Any] | None = None) -> None:
        """Write an alarm of the gateway's own down, and tell it."""
        self.note(f"alarm {code}: {text}")
        self.tell_alarm(code, text, detail or {})

    def note(self, text: str) -> None:
        """Write words into the journal; a journal that cannot be written stops nobody here."""
        try:
            self.store.note(text, self.clock.now())
        except StoreError as err:
            self.tell_alarm("store", f"not written down: {text}: {err}", {})

    def tell_alarm(self, code: str, text: str, detail: dict[str, Any]) -> None:
        """Tell an alarm that is written down already."""
        self.alarms += 1
        if code != "operator":
            self.last_error = text
        _log.warning("%s: %s: %s", self.name, code, text)
        for listener in list(self.listeners):
            listener.ear.alarm(code, text, detail)

    def moved(self, up: bool, detail: str) -> None:
        """Tell all listeners that the session, or what holds for it, is another now."""
        for listener in list(self.listeners):
            listener.ear.state(up, detail, self.disabled)

    def tell(self, item: Item, by: Listener | None = None) -> None:
        """Hand an item to all. What a listener sends while it hears one is told after it: all
        hear everything in the journal's order."""
        self._told.append((item, by))
        if self._telling:
            return
        self._telling = True
        try:
            while self._told:
                item, by = self._told.popleft()
                for listener in list(self.listeners):
                    theirs = item if listener is by or not item.ref else replace(item, ref="")
                    if not listener.offer(theirs):
                        self.slowed += 1
        finally:
            self._telling = False

    def _failed(self, ear: Here, err: Exception) -> None:
        for listener in list(self.listeners):
            if listener.ear is ear:
                self.leave(listener)
        self.alarm("listener", f"a listener failed and hears no more: {err!r}")
