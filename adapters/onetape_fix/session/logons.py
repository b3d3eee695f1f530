"""Logging on, in both roles, and beginning anew at 1.

Initiator   says Logon as soon as the connection stands, and waits for the peer's.
Acceptor    hears a Logon first or cuts the connection without a word: who is not known is told
            nothing. What the application turns away (`check_logon`) is told why in a Logout, and
            its number does not count, so that a stranger cannot move the numbers.
Numbers     Too low is told and cut (alarm seq_too_low); too high is a gap like any other. With
            `next_expected` (789) each side sends what the other has missed without being asked.
Reset       141=Y from either side begins anew at 1, at the logon or later. Where an acceptor
            answers 141=Y without being asked we keep the number that our Logon had: one that is
            too high can be caught up with, one that is too low cannot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from onetape_fix.session.catching import CatchingUp
from onetape_fix.session.outgoing import SECOND, whole
from onetape_fix.wire import Message, Value
from onetape_fix.wire.msgtypes import LOGON, LOGOUT
from onetape_fix.wire.tags import (
    DEFAULT_APPL_VER_ID,
    ENCRYPT_METHOD,
    HEART_BT_INT,
    NEXT_EXPECTED_MSG_SEQ_NUM,
    RESET_SEQ_NUM_FLAG,
    SENDER_COMP_ID,
    SENDING_TIME,
    TARGET_COMP_ID,
    TEXT,
)

EXPECTING = re.compile(r"expect\w*\D{0,20}(\d+)", re.IGNORECASE)


class Logons(CatchingUp):
    """See the module."""

    _asked_reset = False  # our Logon said 141=Y, and the answer is still out
    _renewing = False  # ... in the middle of a session
    _reset_due = False  # the next Logon of an initiator says 141=Y

    # -- initiator

    def _log_on(self) -> None:
        """Say Logon: the first thing on a new connection."""
        reset = self._reset_due or self.config.reset_on_logon
        if reset:
            self._reset_store("settings" if self.config.reset_on_logon else "operator")
        self.heartbeat = float(self.config.heartbeat)
        self._say_logon(reset=reset, expected=self.store.next_in, extra=None)
        self._asked_reset = reset

    def _say_logon(
        self, *, reset: bool, expected: int, extra: Sequence[tuple[int, Value]] | None
    ) -> None:
        """`extra`: further fields of an answer; None for a Logon of our own."""
        config = self.config
        body: list[tuple[int, Value]] = [(ENCRYPT_METHOD, "0"), (HEART_BT_INT, int(self.heartbeat))]
        if reset:
            body.append((RESET_SEQ_NUM_FLAG, "Y"))
        if config.next_expected:
            body.append((NEXT_EXPECTED_MSG_SEQ_NUM, expected))
        if config.default_appl_ver:
            body.append((DEFAULT_APPL_VER_ID, config.default_appl_ver))
        self.logon_at = self.clock.now()
        body.extend(self.app.logon_body(self.me) if extra is None else extra)
        self._transmit(LOGON, body, now=self.logon_at)

    def _welcomed(self, message: Message, seq: int) -> None:
        """The acceptor's answer to our Logon."""
        why = self._objection(message)
        if why:
            self._refused(why)
            return
        if message.get(RESET_SEQ_NUM_FLAG) == "Y" and not self._asked_reset:
            mine = self.store.next_out
            self._reset_store("peer")
            self.store.set_out(mine, self.clock.now())
        asked = whole(message.get(HEART_BT_INT))
        if asked:  # the peer cuts us off by its own interval
            self.heartbeat = float(min(asked, self.config.heartbeat or asked))
        self._asked_reset = self._reset_due = False
        self._arrive(message, seq)

    # -- acceptor

    def _greeted(self, message: Message, seq: int) -> None:
        """The first message to an acceptor, which is a Logon."""
        asked = whole(message.get(HEART_BT_INT))
        why = self._objection(message)
        if asked is None:
            why = why or f"HeartBtInt {message.get(HEART_BT_INT)!r}; a number of seconds expected"
        if why:
            self._refused(why)
            return
        text = self.app.check_logon(self.me, message)
        if text:
            self._refused(text, told=True)
            return
        if message.get(RESET_SEQ_NUM_FLAG) == "Y":
            self._reset_store("peer")
        elif self.config.reset_on_logon:
            self._reset_store("settings")
        self.heartbeat = float(asked or 0)
        self._arrive(message, seq)

    def _reply(self, message: Message, seq: int) -> None:
        """Answer a Logon that is in order."""
        expected = self.store.next_in
        self._say_logon(
            reset=message.get(RESET_SEQ_NUM_FLAG) == "Y",
            expected=expected + 1 if seq == expected else expected,
            extra=self.app.logon_answer(self.me, message),
        )

    # -- both

    def _arrive(self, message: Message, seq: int) -> None:
        """Take the peer's Logon, be up, and catch up on both sides."""
        store = self.store
        expected = store.next_in
        if seq < expected and not message.possdup:
            self._too_low(seq)
            return
        last = store.next_out - 1
        known = whole(message.get(NEXT_EXPECTED_MSG_SEQ_NUM))
        self.facts.peer_expected = known
        if known is not None and known > last + 1:
            text = f"NextExpectedMsgSeqNum too high, {last + 1} is next but received {known}"
            self._alarm("seq_ahead", text, asked=known, last=last)
            self._part(text)
            return
        if self.config.role == "acceptor":
            self._reply(message, seq)
        self._take_number(message, seq)
        self._come_up()
        if known is not None and known <= last and self.config.next_expected and self._link:
            self._answer(known, last)
        if seq > expected and self._link:
            self._missing(seq - 1, ask=known is None or not self.config.next_expected)

    def _come_up(self) -> None:
        self._enter("up")
        self.facts.logons += 1
        self.facts.up_since_ns = self.clock.now()
        self.facts.last_text = ""
        self._note("up")
        self._renewing = False
        self._told_up = True
        self.app.on_logon(self.me)

    def _renew(self, message: Message, seq: int) -> None:
        """A Logon in the middle of a session."""
        if message.get(RESET_SEQ_NUM_FLAG) == "Y":
            self._reset_store("peer")
            self._reply(message, seq)
            self._take_number(message, seq)
        elif seq < self.store.next_in:
            self._late(message, seq)
        else:
            self._alarm("unexpected", f"a second Logon ({seq}) on a live session", seq=seq)
            self._take_number(message, seq)

    def _renewed(self, message: Message, seq: int) -> None:
        """The answer to our 141=Y in the middle of a session."""
        self._asked_reset = self._reset_due = False
        self._take_number(message, seq)
        self._come_up()
        if seq > self.store.next_in and self._link:
            self._missing(seq - 1)

    def _turned_away(self, message: Message) -> None:
        """A Logout (or a Reject) in place of the Logon that we wait for."""
        text = message.get(TEXT, "")
        found = EXPECTING.search(text)
        if found:
            self.facts.peer_expected = int(found[1])
            mine = self.store.next_out - 1
            self._alarm(
                "seq_too_low",
                f"the peer expects {found[1]}, our Logon was {mine}: {text}",
                expected=int(found[1]),
                sent=mine,
            )
        self._refused(text or f"35={message.type} without a text")

    def _refused(self, why: str, *, told: bool = False) -> None:
        self._alarm("logon_refused", why)
        if told:
            self._transmit(LOGOUT, [(TEXT, why)])
        self._drop(why)

    def _objection(self, message: Message) -> str:
        """What is wrong with a Logon, or ""."""
        config = self.config
        rules = self.rules
        findings = rules.check(message) if rules is not None else []
        for finding in findings:
            if finding.fatal and not config.lenient:
                return f"{finding.text} ({finding.tag})"
            self._let_through(message.type, finding)
        if config.check_comp_id:
            ids = (message.get(SENDER_COMP_ID), message.get(TARGET_COMP_ID))
            if ids != (config.target, config.sender):
                return f"CompIDs {ids[0]} -> {ids[1]}; {config.target} -> {config.sender} expected"
        skew = self._skew(message.get(SENDING_TIME, ""))
        if skew is None and not config.lenient:
            return f"SendingTime {message.get(SENDING_TIME)!r} is no time"
        if skew is not None and abs(skew) > config.max_latency * SECOND and config.check_latency:
            if not config.lenient:
                return f"SendingTime differs from our clock by {skew / SECOND:.1f} s"
            self._tell_skew(skew)
        return ""
