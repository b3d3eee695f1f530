"""Messages in their order: the expected one, those that come early, those that come again.

Expected   is acted on, then recorded together with its number. An application message is handed
           over first: what dies in between hears it again.
Early      A hole: what is missing is asked for (once; again after `PATIENCE` without progress) and
           the early ones wait. After `TRIES` the peer is taken not to resend: the hole is stepped
           over, with alarm no_resend and gap_filled_over, so that what waits is not lost as well.
Late       With 43=Y it was seen already; without, somebody lost a store: Logout, alarm seq_too_low.
Gap fill   Numbers that the peer does not resend. What of them came early is delivered all the same;
           for the others there is alarm gap_filled_over: whoever holds orders must ask for them.
"""

from __future__ import annotations

from onetape_fix.session.application import Rejected, Unsupported
from onetape_fix.session.gap import PATIENCE, TRIES, Gap
from onetape_fix.session.judging import Judging
from onetape_fix.session.outgoing import whole
from onetape_fix.session.store import StoreError
from onetape_fix.spec.rules import MISSING, TEXTS, WRONG_VALUE
from onetape_fix.wire import Message
from onetape_fix.wire.msgtypes import (
    ADMIN,
    BUSINESS_REJECT,
    HEARTBEAT,
    REJECT,
    RESEND_REQUEST,
    SEQUENCE_RESET,
    TEST_REQUEST,
)
from onetape_fix.wire.tags import (
    BEGIN_SEQ_NO,
    BUSINESS_REJECT_REASON,
    END_SEQ_NO,
    GAP_FILL_FLAG,
    LAST_MSG_SEQ_NUM_PROCESSED,
    NEW_SEQ_NO,
    REF_MSG_TYPE,
    REF_SEQ_NUM,
    REF_TAG_ID,
    SESSION_REJECT_REASON,
    TEST_REQ_ID,
    TEXT,
)

TO_THE_END_BEFORE_42 = 999_999


class CatchingUp(Judging):
    """See the module."""

    _gap = Gap()  # of this connection and epoch; another one from `_ready` on
    _wanted = (0, -1)  # numbers that an operator wants to hear again
    _test = ("", 0.0)  # the TestReqID that is out, and since when

    def _ready(self) -> None:
        """Begin a connection with nothing outstanding."""
        self._gap = Gap()
        self.facts.gap = 0
        self._wanted = (0, -1)
        self._test = ("", 0.0)

    def _reset_store(self, by: str) -> None:
        super()._reset_store(by)
        self._gap = Gap()
        self.facts.gap = 0

    # -- the expected message

    def _process(self, message: Message, seq: int) -> None:
        """Act on the expected message."""
        if not self._acceptable(message, seq):
            return
        kind = message.type
        if kind not in ADMIN or kind == REJECT:
            self._deliver(message, seq)
        elif kind == SEQUENCE_RESET:
            self._fill_gap(message, seq)
        else:
            self._take_number(message, seq)
            if kind == TEST_REQUEST:
                asked = message.get(TEST_REQ_ID)
                self._transmit(HEARTBEAT, [(TEST_REQ_ID, asked)] if asked else [])
            elif kind == HEARTBEAT:
                self._heard_heartbeat(message)

    def _take_number(self, message: Message, seq: int) -> None:
        """Record a message that is dealt with; it counts where its number is the expected one."""
        store = self.store
        expected = store.next_in
        store.received(seq, message.raw, self._ts, advance=seq == expected)
        if seq > expected:
            self._gap.hold(seq, None)

    def _deliver(self, message: Message, seq: int) -> None:
        """Hand an application message (or a Reject) over, then record it."""
        app, gap = self.app, self._gap
        try:
            app.on_message(self.me, message)
        except Unsupported as turned_away:
            self.store.received(seq, message.raw, self._ts, advance=seq == self.store.next_in)
            self._reject_business(message, seq, turned_away.text)
            return
        except Rejected as turned_away:
            reason, text, tag = turned_away.reason, turned_away.text, turned_away.tag
            self._reject(message, seq, reason, text, tag)
            return
        except StoreError:
            raise
        except Exception as error:  # whatever it was, the message must come again
            self._failed(message, seq, error)
            return
        # it may have reset the session: then this number is one of another epoch
        counts = seq == self.store.next_in and self._gap is gap
        position = self.store.received(seq, message.raw, self._ts, advance=counts)
        if message.type in (REJECT, BUSINESS_REJECT):
            self._was_rejected(message)
        app.on_recorded(self.me, message, position)

    def _failed(self, message: Message, seq: int, error: Exception) -> None:
        text = f"35={message.type} {seq} was not taken: {type(error).__name__}: {error}"
        self._alarm("application", text, type=message.type, seq=seq)
        self._drop(text)

    def _was_rejected(self, message: Message) -> None:
        """Count and tell that the peer turned a message of ours away."""
        get = message.get
        session = message.type == REJECT
        reason = get(SESSION_REJECT_REASON if session else BUSINESS_REJECT_REASON, "")
        kind = get(REF_MSG_TYPE, "")
        text = get(TEXT, "")
        self.facts.rejects[f"got {message.type}", kind, reason] += 1
        self.facts.last_text = text
        self._alarm(
            "session_reject" if session else "business_reject",
            f"the peer rejects 35={kind or '?'} {get(REF_SEQ_NUM, '?')}: {text}",
            ref_seq=whole(get(REF_SEQ_NUM)),
            ref_type=kind,
            reason=reason,
            tag=get(REF_TAG_ID, ""),
            text=text,
        )

    def _heard_heartbeat(self, message: Message) -> None:
        asked, since = self._test
        if asked and message.get(TEST_REQ_ID) == asked:
            self.facts.heartbeat_rtt_ns = round((self.clock.monotonic() - since) * 1e9)
            self._test = ("", 0.0)
        known = whole(message.get(LAST_MSG_SEQ_NUM_PROCESSED))
        if known is not None:
            self.facts.peer_expected = known + 1

    # -- late

    def _late(self, message: Message, seq: int) -> None:
        """A number that has been."""
        if not message.possdup:
            self._too_low(seq)
            return
        if not self._well_dated(message, seq):
            return
        first, last = self._wanted
        if first <= seq <= last and (message.type not in ADMIN or message.type == REJECT):
            self._deliver(message, seq)
        else:
            self.store.received(seq, message.raw, self._ts, advance=False)

    def _too_low(self, seq: int) -> None:
        """A number that has been, without 43=Y: somebody has lost his store."""
        expected = self.store.next_in
        text = f"MsgSeqNum too low, expecting {expected} but received {seq}"
        self._alarm("seq_too_low", text, expected=expected, received=seq)
        self._part(text)

    # -- early

    def _early(self, message: Message, seq: int) -> None:
        """A number that is not yet expected."""
        known = self._gap.open
        self._gap.hold(seq, message)
        self._missing(seq - 1, ask=not known or self.config.redundant_resends)

    def _missing(self, until: int, *, ask: bool = True) -> None:
        """The numbers from the expected one to `until` are missing."""
        gap = self._gap
        self.facts.gap = max(gap.highest, until) + 1 - self.store.next_in
        if not self.app.may_ask(self.me):
            self._step_over("the peer does not know ResendRequest")
        elif ask:
            gap.tries = 0
            self._ask(until)
        elif not gap.open:  # the peer was told by 789 and sends without being asked
            gap.asked(self.store.next_in, until, 0, self.clock.monotonic())

    def _ask(self, until: int) -> None:
        begin = self.store.next_in
        chunk = self.config.resend_chunk
        end = self._gap.asked(begin, until, chunk, self.clock.monotonic())
        if not chunk:
            end = 0 if self.config.begin_string >= "FIX.4.2" else TO_THE_END_BEFORE_42
        self._transmit(RESEND_REQUEST, [(BEGIN_SEQ_NO, begin), (END_SEQ_NO, end)])

    def _drain(self) -> None:
        """Act on what came early and is expected now; ask for what is missing still."""
        gap, store = self._gap, self.store
        self._catching_up = True
        try:
            while store.next_in in gap.early and self._link is not None:
                seq = store.next_in
                message = gap.take(seq)
                if message is None:
                    store.set_in(seq + 1, self._ts)
                else:
                    self._process(message, seq)
        finally:
            self._catching_up = False
        if self._link is not None and self._gap is gap:
            self._look_on()

    def _look_on(self) -> None:
        """Whether the gap is closed, goes on, or another follows."""
        gap, expected = self._gap, self.store.next_in
        gap.forget(expected)
        self.facts.gap = max(gap.highest + 1 - expected, 0) if gap.early or gap.open else 0
        if gap.open and expected <= gap.until:
            if expected > gap.reached:
                gap.reached, gap.tries = expected, 0
                gap.asked_at = self.clock.monotonic()
            if expected > gap.chunk_end:
                self._ask(gap.until)
            return
        gap.until = 0
        missing = gap.missing(expected)
        if missing:
            self._missing(missing)

    def _impatient(self, now: float) -> None:
        """Ask again for what does not come."""
        gap = self._gap
        if now - gap.asked_at < PATIENCE:
            return
        gap.tries += 1
        if gap.tries < TRIES:
            self._ask(gap.until)
        else:
            text = f"{gap.tries} requests for {self.store.next_in} and more were not answered"
            self._alarm("no_resend", text, first=self.store.next_in, last=gap.until)
            self._step_over(text)

    def _step_over(self, why: str) -> None:
        """Go on behind a hole that will not be filled."""
        gap, store = self._gap, self.store
        first = store.next_in
        new = min(gap.early) if gap.early else max(gap.highest, gap.until) + 1
        gap.until = 0
        if new > first:
            store.set_in(new, self.clock.now())
            self._skipped(first, new, new - first, why)
        if not self._catching_up:
            self._drain()

    # -- numbers moved by the peer

    def _set_numbers(self, message: Message, seq: int) -> None:
        """A SequenceReset in reset mode: its own number does not matter."""
        if self._acceptable(message, seq):
            self._fill_gap(message, seq)

    def _fill_gap(self, message: Message, seq: int) -> None:
        store = self.store
        new = whole(message.get(NEW_SEQ_NO))
        first = store.next_in
        if new is None:
            self._reject(message, seq, MISSING, TEXTS[MISSING], NEW_SEQ_NO)
            return
        if new < first:
            self._reject(message, seq, WRONG_VALUE, TEXTS[WRONG_VALUE])
            return
        store.received(seq, message.raw, self._ts, advance=False)
        if new == first:
            return
        why = "gap fill" if message.get(GAP_FILL_FLAG) == "Y" else "sequence reset"
        unseen = self._move_to(new)
        if unseen:
            self._skipped(first, new, unseen, why)

    def _move_to(self, new: int) -> int:
        """Expect `new`; deliver what of the numbers before came early. Return how many did not."""
        gap, store = self._gap, self.store
        unseen = 0
        for seq in sorted(seq for seq in gap.early if seq < new):
            unseen += seq - store.next_in
            if seq > store.next_in:
                store.set_in(seq, self._ts)
            message = gap.take(seq)
            if message is not None:
                self._process(message, seq)
            if self._link is None or self._gap is not gap:
                return unseen
            if store.next_in <= seq:
                store.set_in(seq + 1, self._ts)
        if store.next_in < new:
            unseen += new - store.next_in
            store.set_in(new, self._ts)
        return unseen

    def _skipped(self, first: int, new: int, unseen: int, why: str) -> None:
        text = f"{unseen} of the numbers {first} to {new - 1} were never seen: {why}"
        self._alarm("gap_filled_over", text, first=first, last=new - 1, unseen=unseen, why=why)
