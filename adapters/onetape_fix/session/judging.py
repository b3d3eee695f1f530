"""Judging what arrives: whether it is a message, ours, in time; and rejecting what is not.

A session is strict or lenient (`config.lenient`). Strict, a fault is answered by a Reject (35=3).
Lenient, faults of the session's own messages, and those that the rules do not call fatal, are let
through, counted and told (alarm lenient: at the first, the tenth, the hundredth time ...).

Never rejected, whatever is wrong: a Reject (3) and a BusinessMessageReject (j). Two engines that
reject each other's rejects do nothing else any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from onetape_fix.session.outgoing import SECOND
from onetape_fix.session.resending import Resending
from onetape_fix.spec import Finding
from onetape_fix.spec.rules import COMP_ID, MISSING, SENDING_TIME, TEXTS, WRONG_FORMAT
from onetape_fix.wire import Message, Value, parse_utc
from onetape_fix.wire.msgtypes import ADMIN, BUSINESS_REJECT, LOGON, REJECT, SEQUENCE_RESET
from onetape_fix.wire.tags import (
    BUSINESS_REJECT_REASON,
    DEFAULT_APPL_VER_ID,
    DELIVER_TO_COMP_ID,
    DELIVER_TO_LOCATION_ID,
    DELIVER_TO_SUB_ID,
    ON_BEHALF_OF_COMP_ID,
    ON_BEHALF_OF_LOCATION_ID,
    ON_BEHALF_OF_SUB_ID,
    ORIG_SENDING_TIME,
    REF_MSG_TYPE,
    REF_SEQ_NUM,
    REF_TAG_ID,
    SENDER_COMP_ID,
    SESSION_REJECT_REASON,
    TARGET_COMP_ID,
    TEXT,
)
from onetape_fix.wire.tags import SENDING_TIME as SENT_AT

NEVER_REJECTED = frozenset((REJECT, BUSINESS_REJECT))
UNSUPPORTED_TYPE = 3  # a BusinessRejectReason
LAST_REASON_OF_42 = 11
WAY_BACK = (
    (ON_BEHALF_OF_COMP_ID, DELIVER_TO_COMP_ID),
    (DELIVER_TO_COMP_ID, ON_BEHALF_OF_COMP_ID),
    (ON_BEHALF_OF_SUB_ID, DELIVER_TO_SUB_ID),
    (DELIVER_TO_SUB_ID, ON_BEHALF_OF_SUB_ID),
    (ON_BEHALF_OF_LOCATION_ID, DELIVER_TO_LOCATION_ID),
    (DELIVER_TO_LOCATION_ID, ON_BEHALF_OF_LOCATION_ID),
)


class Judging(Resending):
    """See the module."""

    _in_time = ""  # a SendingTime that was found to be in time, to the second
    _in_time_until = 0  # ns: and until when that holds
    _catching_up = False  # messages that came early are dealt with: their time is no news

    def _acceptable(self, message: Message, seq: int) -> bool:
        """Whether to act on a message; if not, it is answered already."""
        rules, config = self.rules, self.config
        if rules is not None:
            findings = rules.check(message)
            if findings and not self._judged(message, seq, findings):
                return False
        get = message.get
        if (
            get(SENDER_COMP_ID) != config.target or get(TARGET_COMP_ID) != config.sender
        ) and config.check_comp_id:
            self._reject(message, seq, COMP_ID, TEXTS[COMP_ID])
            self._take_leave("")
            return False
        sent_at = get(SENT_AT, "")
        if sent_at[:17] == self._in_time and self._ts < self._in_time_until:
            return True
        return self._timely(message, seq)

    def _judged(self, message: Message, seq: int, findings: Sequence[Finding]) -> bool:
        kind = message.type
        spared = kind in NEVER_REJECTED or (self.config.lenient and kind in ADMIN)
        for finding in findings:
            if finding.fatal and not spared:
                self._reject(message, seq, finding.reason, finding.text, finding.tag)
                return False
            self._let_through(kind, finding)
        return True

    def _let_through(self, kind: str, finding: Finding) -> None:
        tag = finding.tag or 0
        key = (kind, tag, finding.reason)
        count = self.facts.lenient[key] = self.facts.lenient[key] + 1
        if str(count).strip("0") == "1":
            text = f"35={kind} with {finding.text} ({tag}) was delivered; {count} so far"
            self._alarm("lenient", text, type=kind, tag=tag, reason=finding.reason, count=count)

    def _timely(self, message: Message, seq: int) -> bool:
        """Whether SendingTime is a time and near ours. What came early is not measured."""
        config = self.config
        sent_at = message.get(SENT_AT, "")
        skew = self._skew(sent_at)
        if skew is None:
            if config.lenient or not config.check_latency:
                self._let_through(message.type, Finding(WRONG_FORMAT, SENT_AT, "bad SendingTime"))
                return True
            self._reject(message, seq, WRONG_FORMAT, TEXTS[WRONG_FORMAT], SENT_AT)
            return False
        if self._catching_up:
            return True
        if config.check_latency and abs(skew) > config.max_latency * SECOND:
            if not config.lenient:
                self._reject(message, seq, SENDING_TIME, TEXTS[SENDING_TIME])
                self._take_leave("")
                return False
            self._let_through(message.type, Finding(SENDING_TIME, SENT_AT, TEXTS[SENDING_TIME]))
            self._tell_skew(skew)
        self._in_time = sent_at[:17]
        self._in_time_until = self._ts + SECOND
        return True

    def _skew(self, sent_at: str) -> int | None:
        """Our clock less a SendingTime (ns); None where it is none."""
        try:
            skew = self._ts - parse_utc(sent_at)
        except ValueError:
            return None
        self.facts.skew_ns = skew
        return skew

    def _tell_skew(self, skew: int) -> None:
        count = self.facts.alarms["skew"]
        if count == 0 or self._told_skew != (skew > 0):
            text = f"the peer's clock is {-skew / SECOND:+.1f} s off ours"
            self._alarm("skew", text, skew_ns=skew)
        self._told_skew = skew > 0

    _told_skew = False

    def _well_dated(self, message: Message, seq: int) -> bool:
        """Whether a repeated message says when it was first sent, and that this was before."""
        first = message.get(ORIG_SENDING_TIME)
        if self.config.lenient:
            return True
        if first is None:
            if message.type != SEQUENCE_RESET:
                self._reject(message, seq, MISSING, TEXTS[MISSING], ORIG_SENDING_TIME)
                return False
            return True
        try:
            late = parse_utc(first) > parse_utc(message.get(SENT_AT, ""))
        except ValueError:
            self._reject(message, seq, WRONG_FORMAT, TEXTS[WRONG_FORMAT], ORIG_SENDING_TIME)
            return False
        if late:
            self._reject(message, seq, SENDING_TIME, TEXTS[SENDING_TIME])
            self._take_leave("")
        return not late

    def _reject(
        self, message: Message, seq: int, reason: int, text: str, tag: int | None = None
    ) -> None:
        """Say that a message is no good; its number counts."""
        kind = message.type
        self.facts.rejects["sent 3", kind, str(reason)] += 1
        self.store.received(
            seq,
            message.raw,
            self._ts,
            kind not in (LOGON, SEQUENCE_RESET) and seq == self.store.next_in,
        )
        if kind in NEVER_REJECTED:
            return
        body: list[tuple[int, Value]] = [(REF_SEQ_NUM, seq), (TEXT, text)]
        version = self.config.begin_string
        if version >= "FIX.4.2":
            if tag is not None:
                body.append((REF_TAG_ID, tag))
            body.append((REF_MSG_TYPE, kind))
            if version != "FIX.4.2" or reason <= LAST_REASON_OF_42:
                body.append((SESSION_REJECT_REASON, reason))
        header = [(back, value) for tag, back in WAY_BACK if (value := message.get(tag))]
        self._transmit(REJECT, body, header)
        self._alarm(
            "rejected",
            f"35={kind} {seq}: {text} ({tag})",
            type=kind,
            seq=seq,
            reason=reason,
            tag=tag,
        )

    def _reject_business(self, message: Message, seq: int, text: str) -> None:
        """Say that this type of message is not served here."""
        kind = message.type
        self.facts.rejects["sent j", kind, str(UNSUPPORTED_TYPE)] += 1
        if kind in NEVER_REJECTED:
            return
        version = self.config.begin_string
        if version < "FIX.4.2":
            self._transmit(REJECT, [(REF_SEQ_NUM, seq), (TEXT, text)])
            return
        body: list[tuple[int, Value]] = [
            (REF_SEQ_NUM, seq),
            (TEXT, text),
            (REF_MSG_TYPE, kind),
            (BUSINESS_REJECT_REASON, UNSUPPORTED_TYPE),
        ]
        if self._sorted and self.config.default_appl_ver:
            # the engine whose acceptance cases ask for sorted bodies puts it here, too
            body.append((DEFAULT_APPL_VER_ID, self.config.default_appl_ver))
        self._transmit(BUSINESS_REJECT, body)
