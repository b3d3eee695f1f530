"""Resending: what a session does when the peer asks for messages again.

Application messages go again as they were: 43=Y, 122 and a new 52 in the header, the body byte for
byte. Runs of everything else become one gap fill each: administrative messages, what the
application does not want to repeat, and orders older than `order_ttl`, which would meet another
market than they were meant for (alarm stale_order).

Pace     `BURST` numbers at a time; then the session is free for what arrives and for heartbeats,
         and wakes up for the rest. Where the venue limits messages, `throttle` limits these too.
Repeats  A request for what is still to come changes nothing; one for what has gone begins there.
"""

from __future__ import annotations

from onetape_fix.session.outgoing import SECOND, Outgoing
from onetape_fix.wire import Message, format_utc, parse, resent
from onetape_fix.wire.msgtypes import (
    CANCEL_REPLACE_REQUEST,
    CANCEL_REQUEST,
    MASS_CANCEL_REQUEST,
    NEW_ORDER_LIST,
    NEW_ORDER_SINGLE,
    SEQUENCE_RESET,
)
from onetape_fix.wire.tags import (
    CL_ORD_ID,
    GAP_FILL_FLAG,
    LAST_MSG_SEQ_NUM_PROCESSED,
    NEW_SEQ_NO,
    ORIG_SENDING_TIME,
    POSS_DUP_FLAG,
)

BURST = 200  # messages resent before others get a turn
LOOP = 5  # requests for the same on end that are told
# orders and their replacements: single, list, multileg, cross
ORDERS = frozenset((NEW_ORDER_SINGLE, CANCEL_REPLACE_REQUEST, NEW_ORDER_LIST, "AB", "AC", "s", "t"))
REQUESTS = ORDERS | {CANCEL_REQUEST, MASS_CANCEL_REQUEST}


class Resending(Outgoing):
    """See the module."""

    _again = 0  # the next number to send again, 0: none
    _again_until = 0
    _again_at = 0.0  # when the last burst left
    _repeated = 0  # the number that was asked for last, and how often on end
    _repeats = 0
    _credit = 0.0  # messages that `throttle` lets pass

    def _down(self, why: str) -> None:
        self._again = 0
        super()._down(why)

    def _reset_store(self, by: str) -> None:
        self._again = self.facts.resending = 0
        super()._reset_store(by)

    def _answer(self, begin: int, end: int) -> None:
        """Send the numbers from `begin` to `end` again; end 0 means all."""
        last = self.store.next_out - 1
        if begin > last:
            text = f"the peer asks for {begin} and more again; {last} is the last that we sent"
            self._alarm("seq_ahead", text, asked=begin, last=last)
            return
        end = last if end == 0 or end > last else end
        begin = max(begin, 1)
        self._count_repeats(begin)
        if self._again and self._again <= begin:
            begin = self._again
            end = max(end, self._again_until)
        elif self._again:
            end = max(end, self._again_until)
        self._again, self._again_until = begin, end
        self._pump()

    def _count_repeats(self, begin: int) -> None:
        """Two engines that do not understand each other's resends may go on for ever."""
        self._repeats = self._repeats + 1 if begin == self._repeated else 1
        self._repeated = begin
        if self._repeats % LOOP == 0:
            text = f"the peer has asked for {begin} and more {self._repeats} times on end"
            self._alarm("resend_loop", text, asked=begin, times=self._repeats)

    def _pump(self) -> None:
        """Send the next burst of what is to be sent again."""
        at, until = self._again, self._again_until
        room = self._room()
        if room == 0:
            return
        for seq, raw, ts in self.store.outbound(at, until):
            if not self._goes_again(seq, raw, ts):
                continue
            if seq > at:
                self._fill(at, seq)
            at = seq
            if room == 0 or not self._again:
                break
            self._repeat(seq, raw)
            at = seq + 1
            room -= 1
        else:
            if at <= until and self._again:
                self._fill(at, until + 1)
            at = 0
        if not self._again:  # the application has reset or cut the session meanwhile
            return
        self._again = at
        self.facts.resending = until + 1 - at if at else 0
        if at and self.wake is not None:
            self.wake()

    def _room(self) -> int:
        """How many messages the next burst may hold."""
        throttle = self.config.throttle
        if throttle <= 0:
            return BURST
        now = self.clock.monotonic()
        gained = (now - self._again_at) * throttle
        self._credit = min(self._credit + gained, max(throttle / 2, 1.0))
        self._again_at = now
        room = min(int(self._credit), BURST)
        self._credit -= room
        return room

    def _repeat(self, seq: int, raw: bytes) -> None:
        now = self.clock.now()
        header = [(LAST_MSG_SEQ_NUM_PROCESSED, self.store.next_in - 1)] if self._processed else ()
        again = resent(raw, format_utc(now, self._digits), header)
        self.store.sent(seq, again, now, copy=True)
        self._write(again, now)
        self.facts.resent += 1

    def _fill(self, begin: int, new: int) -> None:
        """Say that there is nothing to resend from `begin` up to `new`."""
        now = self.clock.now()
        stamp = format_utc(now, self._digits)
        header: list[tuple[int, str | int]] = [(POSS_DUP_FLAG, "Y"), (ORIG_SENDING_TIME, stamp)]
        if self._processed:
            header.append((LAST_MSG_SEQ_NUM_PROCESSED, self.store.next_in - 1))
        body = [(NEW_SEQ_NO, new), (GAP_FILL_FLAG, "Y")]
        raw = self._encoder.encode(SEQUENCE_RESET, begin, stamp, body, header)
        self.store.sent(begin, raw, now, copy=True)
        self._write(raw, now)

    def _goes_again(self, seq: int, raw: bytes, ts: int) -> bool:
        message = parse(raw)
        if message.type in ORDERS and self._stale(seq, message, ts):
            return False
        if self.app.may_resend(self.me, seq, message):
            return True
        if message.type in REQUESTS:  # whoever meant it believes that it left
            order = message.get(CL_ORD_ID, "")
            text = f"35={message.type} {seq} ({order}) may not be sent again: ask for it"
            detail = {"seq": seq, "type": message.type, "client_order_id": order}
            self._alarm("stale_order", text, **detail)
        return False

    def _stale(self, seq: int, message: Message, ts: int) -> bool:
        limit = self.config.order_ttl
        age = (self.clock.now() - ts) / SECOND
        if limit is None or age <= limit:
            return False
        order = message.get(CL_ORD_ID, "")
        text = f"35={message.type} {seq} ({order}) is {age:.1f} s old: not resent, ask for it"
        self._alarm("stale_order", text, seq=seq, type=message.type, client_order_id=order, age=age)
        return True
