"""Whether a message is what the dictionary says: what the session answers is decided here.

Order    One finding decides, so the order matters and is the one of QuickFIX's acceptance scripts:
         structure, message type, required fields, header, body; of one field its number, value,
         shape, list of values, place; of a group its count before anything in its rows.
Strict   The first finding, fatal: a session reject with its reason.
Lenient  For what a venue tells (a fill with an unknown tag is still a fill): all findings, none
         fatal. They are for counting and for telling people.
Speed    A message without faults costs one pass over its fields (`plans`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from onetape_fix.spec.model import Dictionary, FieldSpec, GroupSpec, Members, MessageSpec
from onetape_fix.spec.plans import Plan, plans_of
from onetape_fix.spec.values import Check, format_check, value_check
from onetape_fix.wire import Field, Message

LENIENT = (
    frozenset(("3", "j", "8", "9", "N", "r", "AE", "AQ", "AR"))  # of orders and trades
    | frozenset(("AO", "AP", "BA", "P", "AS", "AT", "AK"))  # of positions and allocations
    | frozenset(("W", "X", "Y", "d", "f", "h", "y", "S", "b", "AI", "B", "BF"))  # of the market
)
USER_DEFINED = 5_000  # tags from here on are free for users
MOST_FINDINGS = 32  # of one lenient message

INVALID_TAG, MISSING, UNDEFINED, EMPTY, WRONG_VALUE, WRONG_FORMAT = 0, 1, 2, 4, 5, 6
COMP_ID, SENDING_TIME, INVALID_TYPE, REPEATED, OUT_OF_ORDER = 9, 10, 11, 13, 14
GROUP_ORDER, GROUP_COUNT = 15, 16
TEXTS: Mapping[int, str] = {
    INVALID_TAG: "Invalid tag number",
    MISSING: "Required tag missing",
    UNDEFINED: "Tag not defined for this message type",
    3: "Undefined Tag",
    EMPTY: "Tag specified without a value",
    WRONG_VALUE: "Value is incorrect (out of range) for this tag",
    WRONG_FORMAT: "Incorrect data format for value",
    7: "Decryption problem",
    8: "Signature problem",
    COMP_ID: "CompID problem",
    SENDING_TIME: "SendingTime accuracy problem",
    INVALID_TYPE: "Invalid MsgType",
    12: "XML validation error",
    REPEATED: "Tag appears more than once",
    OUT_OF_ORDER: "Tag specified out of required order",
    GROUP_ORDER: "Repeating group fields out of order",
    GROUP_COUNT: "Incorrect NumInGroup count for repeating group",
}


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with a message. `reason` is a SessionRejectReason (373)."""

    reason: int
    tag: int | None
    text: str
    fatal: bool = True


class Checks(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at; the names of the settings are those of the .cfg."""

    order: bool = True  # ValidateFieldsOutOfOrder
    values: bool = True  # ValidateFieldsHaveValues
    user_fields: bool = True  # ValidateUserDefinedFields
    unknown_fields: bool = False  # AllowUnknownMsgFields
    unknown_messages: bool = False  # message types the dictionary lacks are passed on
    group_order: bool = True  # ValidateUnorderedGroupFields
    required: bool = True  # RequiredTagsCheck


class Rules:
    """The rules of a session: its transport dictionary and, for FIXT, the application's."""

    def __init__(
        self,
        transport: Dictionary,
        application: Dictionary | None = None,
        *,
        lenient: frozenset[str] = LENIENT,
        checks: Checks | None = None,
    ) -> None:
        self.transport = transport
        self.application = application or transport
        self.lenient = lenient
        self.checks = checks or Checks()
        self.data_tags = transport.data_tags | self.application.data_tags
        self._plans = plans_of(transport, self.application)
        self._shapes: dict[tuple[int, int], tuple[Check, Check]] = {}

    def check(self, message: Message) -> list[Finding]:
        """What is wrong with `message`: nothing, the first fault, or (lenient) all of them."""
        plan = self._plans.of(message.type)
        if plan is not None and self._plans.faultless(message, plan):
            return []
        faults = self._faults(message, plan)
        if message.type not in self.lenient:
            return list(islice(faults, 1))
        return [
            Finding(fault.reason, fault.tag, fault.text, fatal=False)
            for fault in islice(faults, MOST_FINDINGS)
        ]

    def spec_of(self, msg_type: str) -> MessageSpec | None:
        """What the dictionaries say of `msg_type`."""
        plan = self._plans.of(msg_type)
        return plan.spec if plan else None

    def _misplaced(self, fields: Sequence[Field]) -> int | None:
        """The first header field behind the body, or body field behind the trailer."""
        header, trailer = self._plans.header, self._plans.trailer
        stage = 0  # 0 header, 1 body, 2 trailer
        for tag, _ in fields:
            if tag in header:
                if stage:
                    return tag
            elif tag in trailer:
                stage = 2
            elif stage == 2:
                return tag
            else:
                stage = 1
        return None

    def _faults(self, message: Message, plan: Plan | None) -> Iterator[Finding]:
        """All faults, in the order in which they decide."""
        fields = message.fields
        if self.checks.order and (tag := self._misplaced(fields)) is not None:
            yield _finding(OUT_OF_ORDER, tag)
        if plan is None:
            if not self.checks.unknown_messages:
                yield _finding(INVALID_TYPE, None)
            return
        start, stop = self._borders(fields)
        head, tail = fields[:start], fields[stop:]
        if self.checks.required:
            present = {tag for tag, _ in fields}
            for part in (self.transport.header, self.transport.trailer, plan.spec):
                for tag in sorted(part.required - present):
                    yield _finding(MISSING, tag)
        yield from _Walk(self, self.transport, self.transport.header).faults(head)
        yield from _Walk(self, self.transport, self.transport.trailer).faults(tail)
        yield from _Walk(self, plan.dictionary, plan.spec).faults(fields[start:stop])

    def _borders(self, fields: Sequence[Field]) -> tuple[int, int]:
        """Where the body begins and ends."""
        header, trailer = self._plans.header, self._plans.trailer
        start, stop = 0, len(fields)
        while start < stop and fields[start][0] in header:
            start += 1
        while stop > start and fields[stop - 1][0] in trailer:
            stop -= 1
        return start, stop

    def shapes(self, dictionary: Dictionary, tag: int) -> tuple[Check, Check] | None:
        """The checks of a field's shape and of its list of values; None where it is unknown."""
        key = (id(dictionary), tag)
        if key in self._shapes:
            return self._shapes[key]
        spec: FieldSpec | None = dictionary.fields.get(tag)
        if spec is None:
            return None
        found = format_check(spec.type), value_check(spec)
        self._shapes[key] = found
        return found


def _finding(reason: int, tag: int | None) -> Finding:
    return Finding(reason, tag, TEXTS[reason])


class _Walk:
    """A walk over header, body or trailer of one message."""

    def __init__(self, rules: Rules, dictionary: Dictionary, members: Members) -> None:
        self.rules = rules
        self.checks = rules.checks
        self.dictionary = dictionary
        self.members = members

    def faults(self, fields: Sequence[Field]) -> Iterator[Finding]:
        """The faults of fields that should be `members`."""
        seen: set[int] = set()
        tags, groups = self.members.tags, self.members.groups
        at = 0
        while at < len(fields):
            tag, value = fields[at]
            if tag in seen:
                yield _finding(REPEATED, tag)
            seen.add(tag)
            yield from self._value(tag, value)
            if tag not in tags and self._judged(tag) and tag in self.dictionary.fields:
                yield _finding(UNDEFINED, tag)
            at += 1
            group = groups.get(tag)
            if group is not None:
                at = yield from self._group(fields, at, value, group)

    def _judged(self, tag: int) -> bool:
        """Whether it counts that the dictionary or the message does not know `tag`."""
        if tag >= USER_DEFINED:
            return self.checks.user_fields
        return not self.checks.unknown_fields

    def _value(self, tag: int, value: str) -> Iterator[Finding]:
        shapes = self.rules.shapes(self.dictionary, tag)
        if shapes is None:
            if self._judged(tag):
                yield _finding(INVALID_TAG, tag)
        elif not value:
            if self.checks.values:
                yield _finding(EMPTY, tag)
        elif not shapes[0](value):
            yield _finding(WRONG_FORMAT, tag)
        elif tag != 35 and not shapes[1](value):
            yield _finding(WRONG_VALUE, tag)

    def _group(
        self, fields: Sequence[Field], at: int, count: str, group: GroupSpec
    ) -> Generator[Finding, None, int]:
        """The faults of the rows from `at` on; returns the position behind them."""
        rows, end = _rows(fields, at, group)
        if count.isdecimal() and count.lstrip("0") != str(len(rows) or ""):
            out_of_order = end == at and at < len(fields) and fields[at][0] in group.tags
            if out_of_order and self.checks.group_order:
                yield _finding(GROUP_ORDER, fields[at][0])
            yield _finding(GROUP_COUNT, group.count)
        for row in rows:
            yield from self._row(row, group)
        return end

    def _row(self, row: Sequence[Field], group: GroupSpec) -> Iterator[Finding]:
        seen: set[int] = set()
        at, reached = 0, -1
        places = {tag: place for place, tag in enumerate(group.order)}
        while at < len(row):
            tag, value = row[at]
            if tag in seen:
                yield _finding(REPEATED, tag)
            seen.add(tag)
            if self.checks.group_order:
                if places[tag] < reached:
                    yield _finding(GROUP_ORDER, tag)
                reached = max(reached, places[tag])
            yield from self._value(tag, value)
            at += 1
            nested = group.groups.get(tag)
            if nested is not None:
                at = yield from self._group(row, at, value, nested)
        if self.checks.required:
            for tag in sorted(group.required - seen):
                yield _finding(MISSING, tag)


def _rows(fields: Sequence[Field], at: int, group: GroupSpec) -> tuple[list[Sequence[Field]], int]:
    """The rows of `group` from `at` on, nested groups within them, and the position behind."""
    starts: list[int] = []
    first, tags, groups = group.first, group.tags, group.groups
    while at < len(fields):
        tag = fields[at][0]
        if tag == first:
            starts.append(at)
        elif tag not in tags or not starts:
            break
        at += 1
        nested = groups.get(tag)
        if nested is not None:
            at = _rows(fields, at, nested)[1]
    ends = [*starts[1:], at]
    return [fields[start:end] for start, end in zip(starts, ends, strict=False)], at
