"""What a dictionary says, laid out so that a faultless message is seen to be one quickly.

A plan holds one check for each tag that may stand in a message, and one for each tag of a row of
its groups. `faultless` is the strictest reading: where it says no, the rules look closer and say
what is wrong, if anything. Plans are made when a message type is first met and are shared by all
sessions with the same dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from onetape_fix.spec.model import Dictionary, GroupSpec, MessageSpec
from onetape_fix.spec.values import Check, whole_check
from onetape_fix.wire import Field, Message
from onetape_fix.wire.msgtypes import ADMIN
from onetape_fix.wire.tags import CHECK_SUM, MSG_TYPE

MOST_UNKNOWN = 1_000  # message types that no dictionary knows, remembered as such


class RowPlan(msgspec.Struct, frozen=True):
    """What a row of a group needs."""

    checks: Mapping[int, tuple[int, Check]]  # tag: place in the row, check
    nested: Mapping[int, RowPlan]
    required: frozenset[int]


class Plan(msgspec.Struct, frozen=True):
    """What a message type needs."""

    dictionary: Dictionary
    spec: MessageSpec
    head: Mapping[int, Check]  # of the header; counts of groups are left out here and below
    body: Mapping[int, Check]  # of the body and of the checksum, without what a header may hold
    checks: Mapping[int, Check]  # of all three
    counts: Mapping[int, Check]
    groups: Mapping[int, RowPlan]
    required: frozenset[int]


class Plans:
    """The plans of one transport dictionary and one application dictionary."""

    def __init__(self, transport: Dictionary, application: Dictionary) -> None:
        self.transport = transport
        self.application = application
        hops = transport.header.groups.values()
        self.header = transport.header.tags.union(*(group.tags for group in hops))
        self.trailer = transport.trailer.tags
        self._plans: dict[str, Plan | None] = {}
        self._unknown = 0

    def of(self, msg_type: str) -> Plan | None:
        """The plan of `msg_type`; None where the dictionaries do not have it."""
        try:
            return self._plans[msg_type]
        except KeyError:
            return self._made(msg_type)

    def _made(self, msg_type: str) -> Plan | None:
        dictionary = self.transport if msg_type in ADMIN else self.application
        spec = dictionary.messages.get(msg_type)
        plan = _plan(self.transport, dictionary, spec) if spec is not None else None
        self._unknown += plan is None
        if plan is not None or self._unknown < MOST_UNKNOWN:
            self._plans[msg_type] = plan
        return plan

    def faultless(self, message: Message, plan: Plan) -> bool:
        """Whether nothing at all is wrong with `message`. No says only: look closer."""
        fields, values = message.fields, message.values
        if not plan.required <= values.keys():
            return False
        if len(values) == len(fields) and fields[-1][0] == CHECK_SUM:
            try:
                return _plain(fields, plan)
            except KeyError:  # a group, or something odd
                pass
        tags = _tags(fields, plan)
        return tags is not None and len(set(tags)) == len(tags) and self._ordered(tags)

    def _ordered(self, tags: Sequence[int]) -> bool:
        """Whether header, body and trailer follow each other. `tags` are all different."""
        header, trailer = self.header, self.trailer
        ahead = len(header.intersection(tags))
        behind = len(trailer.intersection(tags))
        return header.issuperset(tags[:ahead]) and trailer.issuperset(tags[-behind:])


_SHARED: dict[tuple[int, int], Plans] = {}


def plans_of(transport: Dictionary, application: Dictionary) -> Plans:
    """The plans of these two dictionaries. They are kept, so that their ids stay theirs."""
    key = id(transport), id(application)
    if key not in _SHARED:
        _SHARED[key] = Plans(transport, application)
    return _SHARED[key]


def _plan(transport: Dictionary, dictionary: Dictionary, spec: MessageSpec) -> Plan:
    checks: dict[int, Check] = {}
    counts: dict[int, Check] = {}
    groups: dict[int, RowPlan] = {}
    parts = ((dictionary, spec), (transport, transport.trailer), (transport, transport.header))
    for source, members in parts:
        for tag in members.tags & source.fields.keys():
            check = whole_check(source.fields[tag])
            group = members.groups.get(tag)
            if group is None:
                checks[tag] = check
            else:
                counts[tag] = check
                groups[tag] = _row_plan(source, group)
    checks[MSG_TYPE] = len
    rest = (spec.tags - transport.header.tags) | {CHECK_SUM}
    required = spec.required | transport.header.required | transport.trailer.required
    return Plan(
        dictionary=dictionary,
        spec=spec,
        head={tag: check for tag, check in checks.items() if tag in transport.header.tags},
        body={tag: check for tag, check in checks.items() if tag in rest},
        checks=checks,
        counts=counts,
        groups=groups,
        required=required,
    )


def _row_plan(source: Dictionary, group: GroupSpec) -> RowPlan:
    return RowPlan(
        checks={
            tag: (place, whole_check(source.fields[tag]))
            for place, tag in enumerate(group.order)
            if tag in source.fields
        },
        nested={tag: _row_plan(source, inner) for tag, inner in group.groups.items()},
        required=group.required,
    )


def _plain(fields: Sequence[Field], plan: Plan) -> bool:
    """Whether fields that are all different are faultless; KeyError where one is out of place."""
    head, body = plan.head, plan.body
    following = iter(fields)
    for tag, value in following:
        if tag not in head:
            if not body[tag](value):
                return False
            break
        if not head[tag](value):
            return False
    for tag, value in following:  # noqa: SIM110 - a generator would cost a third more
        if not body[tag](value):
            return False
    return True


def _tags(fields: Sequence[Field], plan: Plan) -> list[int] | None:
    """The tags outside of groups, in order; None where a value, row or tag is not as it should."""
    checks, groups = plan.checks, plan.groups
    found: list[int] = []
    at, end = 0, len(fields)
    while at < end:
        tag, value = fields[at]
        found.append(tag)
        at += 1
        check = checks.get(tag)
        if check is None:
            rows = groups.get(tag)
            if rows is None or not plan.counts[tag](value):
                return None
            at = _rows(fields, at, value, rows)
            if at < 0:
                return None
        elif not check(value):
            return None
    return found


def _rows(fields: Sequence[Field], at: int, count: str, plan: RowPlan) -> int:
    """The position behind the rows from `at` on; -1 where anything is not as it should be."""
    checks, nested, required = plan.checks, plan.nested, plan.required
    rows, reached, met, end = 0, 0, 0, len(fields)
    while at < end:
        tag, value = fields[at]
        known = checks.get(tag)
        if known is None:
            break
        place, check = known
        if place == 0:
            rows += 1
        elif place <= reached or not rows:
            return -1
        if not check(value):
            return -1
        reached = place
        met += tag in required
        at += 1
        if tag in nested:
            at = _rows(fields, at, value, nested[tag])
            if at < 0:
                return -1
    right = rows == int(count) and met == rows * len(required)
    return at if right else -1
