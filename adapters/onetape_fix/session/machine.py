"""A FIX session: the state machine of both roles, without sockets and without a clock of its own.

Whoever holds a `Session` tells it what happens: `connected`, `received`, `disconnected`, and `tick`
a few times a second. It answers through the link that it was given, and tells an `Application`.

States   down (no connection), logon (waiting for the peer's), up, logout (ours is out, waiting for
         the peer's; what still arrives is taken).
Trust    An initiator is lenient with what it hears, an acceptor strict, unless the settings say
         otherwise: see `judging`.
Loss     Nothing is counted as received before the application has heard it, nothing is written
         before the store has it. What cannot be known any more raises an alarm, never silence.
Time     Heartbeats by the monotonic clock: one after `heartbeat` seconds of our silence, a
         TestRequest after 1.2 times that of the peer's, the end after 2.4 times.
Raises   from `send` only, see there. A store that fails, or an application that raises, cuts the
         connection with an alarm.

The floors below: outgoing, resending, judging, catching (up), logons.
"""

from __future__ import annotations

from onetape.errors import VenueError
from onetape_fix.session.application import Application, Clock, Link, NotLoggedOn
from onetape_fix.session.logons import Logons
from onetape_fix.session.outgoing import whole
from onetape_fix.session.settings import SessionConfig
from onetape_fix.session.store import Store, StoreError
from onetape_fix.spec import Rules
from onetape_fix.spec.rules import MISSING, TEXTS, WRONG_VALUE
from onetape_fix.wire import Framer, Garbled, Message, parse
from onetape_fix.wire.msgtypes import (
    ADMIN,
    HEARTBEAT,
    LOGON,
    LOGOUT,
    REJECT,
    RESEND_REQUEST,
    SEQUENCE_RESET,
    TEST_REQUEST,
)
from onetape_fix.wire.tags import (
    BEGIN_SEQ_NO,
    DATA_TAGS,
    END_SEQ_NO,
    GAP_FILL_FLAG,
    TEST_REQ_ID,
    TEXT,
)

TEST_AFTER, CUT_AFTER = 1.2, 2.4  # heartbeats of silence
OUT_OF_TURN = frozenset((LOGON, LOGOUT, RESEND_REQUEST, SEQUENCE_RESET))
ALL_BEFORE_42 = 999_999
NEVER = 1 << 62  # ns


class Session(Logons):
    """See the module."""

    def __init__(
        self,
        config: SessionConfig,
        rules: Rules | None,
        store: Store,
        app: Application,
        clock: Clock,
    ) -> None:
        super().__init__(config, rules, store, app, clock)
        self._framer = Framer()
        self._data_tags = DATA_TAGS if rules is None else rules.data_tags
        self._opening = f"8={config.begin_string}\x01".encode()
        self._last_in = 0.0
        self._testing = False  # a TestRequest is out because the peer is silent
        self._change_at = NEVER  # ns, when the schedule says something else

    # -- what happens

    def connected(self, link: Link) -> None:
        """A connection stands. An initiator says Logon. A second connection is closed at once."""
        if self._link is not None:
            self._alarm("unexpected", "a second connection while one stands: closed")
            link.close()
            return
        now = self.clock.now()
        schedule = self.config.schedule
        if not schedule.inside(now):
            link.close()
            self.facts.last_text = "connected outside of the session's hours: closed"
            return
        self._ts = now
        self._link = link
        self._framer = Framer()
        self._ready()
        self._testing = self._asked_reset = self._renewing = False
        self._last_in = self._last_out = self.clock.monotonic()
        self._change_at = schedule.next_change(now) or NEVER
        self._enter("logon")
        try:
            if schedule.key(self.store.epoch) != schedule.key(now):
                self._reset_store("schedule")
            if self.config.role == "initiator":
                self._log_on()
        except StoreError as error:
            self._store_failed(error)

    def received(self, data: bytes) -> None:
        """Bytes arrived."""
        if self._link is None:
            return
        self.facts.bytes_in += len(data)
        clock = self.clock
        try:
            for piece in self._framer.feed(data):
                self._ts = clock.now()
                self._take(piece)
                if not self.linked:
                    return
        except StoreError as error:
            self._store_failed(error)

    def disconnected(self, why: str, link: Link | None = None) -> None:
        """The connection is gone. With `link`: only if it is the one that the session has."""
        if self._link is None or (link is not None and link is not self._link):
            return
        self._down(why or "the connection is gone")

    def tick(self) -> None:
        """Time has passed: heartbeats, resends, limits. A few times a second; cheap."""
        if self._link is None:
            return
        try:
            self._pass(self.clock.monotonic())
        except StoreError as error:
            self._store_failed(error)

    # -- what an operator, or the application, wants

    def logout(self, text: str = "") -> None:
        """Log out: say so and wait for the answer. Before the logon: cut the connection."""
        if self.state == "up":
            self._take_leave(text)
        elif self.state == "logon":
            self._drop(text or "logged out before the logon was answered")

    def reset(self) -> None:
        """Begin anew at 1 on both sides: at once where the session is up, else at the next logon.

        While it is up the session leaves the state `up` until the peer has answered. What the peer
        sent before is still delivered.
        """
        if self.state == "down":
            self._reset_store("operator")
            self._reset_due = self.config.role == "initiator"
            return
        if self.state != "up":
            raise NotLoggedOn(f"{self.name} is in {self.state}: reset it when it is up or down")
        if self.config.begin_string < "FIX.4.1":
            raise VenueError(f"{self.config.begin_string} knows no reset: log out and reset then")
        self._reset_store("operator")
        self._say_logon(reset=True, expected=1, extra=None if self._initiates else ())
        self._asked_reset = self._renewing = True
        self._enter("logon")
        if self._told_up:
            self._told_up = False
            self.app.on_logout(self.me, "the numbers begin anew")

    def set_in(self, n: int) -> None:
        """Expect `n` next."""
        self._number(n)
        was = self.store.next_in
        self.store.set_in(n, self.clock.now())
        self._note(f"set: expect {n}, was {was}")
        self._ready()

    def set_out(self, n: int) -> None:
        """Send `n` next."""
        self._number(n)
        was = self.store.next_out
        self.store.set_out(n, self.clock.now())
        self._note(f"set: send {n}, was {was}")
        self._again = 0

    def request_resend(self, first: int, last: int = 0) -> None:
        """Have the peer send `first` to `last` (0: all) again, and hear them again."""
        self._number(first)
        if self.state != "up":
            raise NotLoggedOn(f"{self.name} is {self.state}, not up: nothing was asked for")
        self._wanted = (first, last or self.store.next_in - 1)
        end = last or (0 if self.config.begin_string >= "FIX.4.2" else ALL_BEFORE_42)
        self._transmit(RESEND_REQUEST, [(BEGIN_SEQ_NO, first), (END_SEQ_NO, end)])

    def test_request(self) -> None:
        """Ask for a sign of life; `facts.heartbeat_rtt_ns` is measured by its answer."""
        if self.state == "up":
            name = self.config.test_request_id or str(self.clock.now())
            self._test = (name, self.clock.monotonic())
            self._transmit(TEST_REQUEST, [(TEST_REQ_ID, name)])

    # -- one message

    def _take(self, piece: bytes | Garbled) -> None:
        if isinstance(piece, Garbled):
            self._garbled(piece)
            return
        try:
            message = parse(piece, self._data_tags)
            seq = message.seq
        except Garbled as garbled:
            self._garbled(garbled)
            return
        except ValueError as error:
            self._numberless(error)
            return
        facts = self.facts
        facts.messages_in += 1
        facts.last_in_ns = self._ts
        self._last_in = self.clock.monotonic()
        self._testing = False
        if self.state == "logon":
            self._before_logon(message, seq)
        elif not piece.startswith(self._opening):
            self._wrong_version(message, seq)
        else:
            self._in_turn(message, seq)

    def _in_turn(self, message: Message, seq: int) -> None:
        """A message of a live session."""
        if message.possdup:
            self.facts.possdup += 1
        expected = self.store.next_in
        if message.type in OUT_OF_TURN and self._out_of_turn(message, seq):
            pass
        elif seq == expected:
            self._process(message, seq)
        elif seq > expected:
            self._early(message, seq)
        else:
            self._late(message, seq)
        gap = self._gap
        if (gap.early or gap.until) and self._link is not None and self.state != "logon":
            self._drain()

    def _out_of_turn(self, message: Message, seq: int) -> bool:
        """Messages that are acted on whatever their number is; False for a gap fill in its turn."""
        kind = message.type
        if kind == SEQUENCE_RESET:
            if message.get(GAP_FILL_FLAG) == "Y":
                return False
            self._set_numbers(message, seq)
        elif kind == LOGON:
            if self._acceptable(message, seq):
                self._renew(message, seq)
        elif self._acceptable(message, seq):
            if kind == RESEND_REQUEST:
                self._was_asked(message, seq)
            else:
                self._hear_logout(message, seq)
        return True

    def _was_asked(self, message: Message, seq: int) -> None:
        """A ResendRequest: answered even where messages before it are missing, so that two sides
        that both miss something do not wait for each other."""
        begin, end = whole(message.get(BEGIN_SEQ_NO)), whole(message.get(END_SEQ_NO))
        if begin is None or end is None:
            tag = BEGIN_SEQ_NO if begin is None else END_SEQ_NO
            self._reject(message, seq, MISSING, TEXTS[MISSING], tag)
            return
        if end == ALL_BEFORE_42 and self.config.begin_string < "FIX.4.2":
            end = 0
        if end and end < begin:
            self._reject(message, seq, WRONG_VALUE, TEXTS[WRONG_VALUE], END_SEQ_NO)
            return
        self._take_number(message, seq)
        self._answer(begin, end)

    def _hear_logout(self, message: Message, seq: int) -> None:
        text = message.get(TEXT, "")
        self._take_number(message, seq)
        if self.state == "up":
            self._transmit(LOGOUT, [])
            why = f"the peer logged out: {text}" if text else "the peer logged out"
        else:
            why = text or "logged out"
        self._drop(why)
        if self.config.reset_on_logout:
            self._reset_store("settings")

    def _before_logon(self, message: Message, seq: int) -> None:
        """A message while a Logon is awaited."""
        kind = message.type
        same = message.raw.startswith(self._opening)
        if self._renewing:
            self._while_renewing(message, seq)
        elif kind == LOGON and same:
            if self._initiates:
                self._welcomed(message, seq)
            else:
                self._greeted(message, seq)
            if self._link is not None and self._gap.early:
                self._drain()
        elif kind in (LOGOUT, REJECT) and self._initiates:
            self.store.received(seq, message.raw, self._ts, advance=seq == self.store.next_in)
            self._turned_away(message)
        else:
            self._refused(f"35={kind} in {message[8]} arrived where a Logon was expected")

    def _while_renewing(self, message: Message, seq: int) -> None:
        """What the peer sent before it heard of the new numbers still counts for something."""
        kind = message.type
        if kind == LOGON:
            self._renewed(message, seq)
        elif kind == LOGOUT:
            self._drop(message.get(TEXT) or "the peer logged out")
        elif kind not in ADMIN or kind == REJECT:
            self._deliver(message, seq if seq > 1 else 0)  # never a number of the new epoch

    def _garbled(self, garbled: Garbled) -> None:
        self.facts.garbled += 1
        self._alarm("garbled", str(garbled), size=garbled.size)
        if self.state == "logon" and not self._initiates:
            self._drop(str(garbled))

    def _numberless(self, error: ValueError) -> None:
        self._alarm("garbled", str(error), size=0)
        if self.state in ("up", "logout"):
            self._part("MsgSeqNum missing")
        else:
            self._drop("MsgSeqNum missing")

    def _wrong_version(self, message: Message, seq: int) -> None:
        self._take_number(message, seq)
        text = "Incorrect BeginString"
        self._alarm("unexpected", f"{text}: {message[8]}", begin_string=message[8])
        if self.state == "up":
            self._take_leave(text)

    # -- time

    def _pass(self, now: float) -> None:
        spent = now - self._since
        if self.state == "logon":
            if spent > self.config.logon_timeout:
                text = f"no Logon within {self.config.logon_timeout:g} s"
                self._alarm("logon_timeout", text)
                self._drop(text)
            return
        if self.state == "logout":
            if spent > self.config.logout_timeout:
                self._drop(f"no answer to our Logout within {self.config.logout_timeout:g} s")
            return
        if self._again:
            self._pump()
        if self._gap.until:
            self._impatient(now)
        if self._link is not None and self.heartbeat > 0:
            self._beat(now)
        if self.state == "up" and self.clock.now() >= self._change_at:
            self._take_leave("the session's hours are over")

    def _beat(self, now: float) -> None:
        beat = self.heartbeat
        silence = now - self._last_in
        if silence >= CUT_AFTER * beat:
            text = f"nothing heard for {silence:.1f} s, {CUT_AFTER * beat:g} s is the limit"
            self._alarm("no_heartbeat", text)
            self._drop(text)
        elif silence >= TEST_AFTER * beat and not self._testing:
            self._testing = True
            self.test_request()
        elif now - self._last_out >= beat and not self._testing:
            self._transmit(HEARTBEAT, [])

    # -- small things

    @property
    def _initiates(self) -> bool:
        return self.config.role == "initiator"

    def _number(self, n: int) -> None:
        if n < 1:
            raise VenueError(f"{self.name}: sequence number {n} found; 1 or more expected")

    def _store_failed(self, error: StoreError) -> None:
        """What cannot be kept is not said; the peer keeps what we could not take."""
        self._alarm("store", str(error))
        self._drop(f"store: {error}")
