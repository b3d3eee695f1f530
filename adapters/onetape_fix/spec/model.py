"""What a dictionary says: fields, messages, repeating groups, and which of them are required.

A `Dictionary` is data and never changes; an overlay makes a new one. Tags are numbers everywhere;
names are for people. Numbers from 5000 on are free for users, so a dictionary may give them any
meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cached_property

import msgspec

from onetape_fix.wire.tags import DATA_TAGS

DATA_TYPES = frozenset(("DATA", "XMLDATA"))


class FieldSpec(msgspec.Struct, frozen=True):
    """One field: its number, name, type and, where only some values are possible, those."""

    tag: int
    name: str
    type: str
    enums: Mapping[str, str] = {}  # value -> its name

    @property
    def multiple(self) -> bool:
        """Whether the value is a list of enumerated values with blanks between."""
        return self.type.startswith("MULTIPLE")


class GroupSpec(msgspec.Struct, frozen=True):
    """A repeating group. `tags` are those of a row, the counts of nested groups among them."""

    count: int
    order: tuple[int, ...]  # the tags of a row as they must follow each other
    tags: frozenset[int]
    groups: Mapping[int, GroupSpec] = {}
    required: frozenset[int] = frozenset()

    @property
    def first(self) -> int:
        """The tag that opens a row."""
        return self.order[0]


class Members(msgspec.Struct, frozen=True):
    """What may stand in a header, a trailer or the body of a message."""

    order: tuple[int, ...] = ()
    tags: frozenset[int] = frozenset()
    groups: Mapping[int, GroupSpec] = {}
    required: frozenset[int] = frozenset()


class MessageSpec(Members, frozen=True):
    """A message type: its name, its members, and whether the session itself lives on it."""

    name: str = ""
    msg_type: str = ""
    admin: bool = False


class Dictionary(msgspec.Struct, frozen=True, dict=True):
    """One version of FIX, or a broker's."""

    begin_string: str  # FIX.4.4, FIXT.1.1, or for an application part FIX.5.0SP2
    fields: Mapping[int, FieldSpec]
    messages: Mapping[str, MessageSpec]
    header: Members = Members()
    trailer: Members = Members()

    @cached_property
    def tags_by_name(self) -> Mapping[str, int]:
        """Tags by the name of the field."""
        return {spec.name: tag for tag, spec in self.fields.items()}

    @cached_property
    def data_tags(self) -> frozenset[int]:
        """The fields that may hold any byte, the standard's and this dictionary's."""
        own = (tag for tag, spec in self.fields.items() if spec.type in DATA_TYPES)
        return DATA_TAGS.union(own)

    def name_of(self, tag: int) -> str:
        """The name of `tag`, or its number as text where it is unknown."""
        spec = self.fields.get(tag)
        return spec.name if spec else str(tag)

    def tag_of(self, name: str) -> int:
        """The number of the field `name`. Raises KeyError where there is none."""
        return self.tags_by_name[name]

    def value_name(self, tag: int, value: str) -> str:
        """What `value` of `tag` is called, or the value itself where it has no name."""
        spec = self.fields.get(tag)
        return spec.enums.get(value, value) if spec else value

    def merged(self, overlay: Dictionary) -> Dictionary:
        """This dictionary with all that `overlay` adds or says otherwise.

        Fields: type and name are the overlay's, values are added. Messages and groups: tags are
        added; whether a tag that the overlay lists is required is for the overlay to say.
        """
        fields = dict(self.fields)
        for tag, spec in overlay.fields.items():
            base = fields.get(tag)
            fields[tag] = _field(base, spec) if base else spec
        messages = dict(self.messages)
        for msg_type, message in overlay.messages.items():
            base_message = messages.get(msg_type)
            messages[msg_type] = _message(base_message, message) if base_message else message
        return Dictionary(
            begin_string=self.begin_string,
            fields=fields,
            messages=messages,
            header=_members(self.header, overlay.header),
            trailer=_members(self.trailer, overlay.trailer),
        )


def _field(base: FieldSpec, over: FieldSpec) -> FieldSpec:
    enums = {**base.enums, **over.enums} if base.enums and over.enums else over.enums
    return FieldSpec(tag=base.tag, name=over.name, type=over.type, enums=enums)


def _order(base: tuple[int, ...], over: tuple[int, ...]) -> tuple[int, ...]:
    known = frozenset(base)
    return base + tuple(tag for tag in over if tag not in known)


def _groups(
    base: Mapping[int, GroupSpec], over: Mapping[int, GroupSpec]
) -> Mapping[int, GroupSpec]:
    found = dict(base)
    for count, group in over.items():
        old = found.get(count)
        found[count] = _group(old, group) if old else group
    return found


def _required(base: Set[int], listed: Set[int], required: Set[int]) -> frozenset[int]:
    return frozenset(base - listed | required)


def _group(base: GroupSpec, over: GroupSpec) -> GroupSpec:
    return GroupSpec(
        count=base.count,
        order=_order(base.order, over.order) if over.first == base.first else over.order,
        tags=base.tags | over.tags,
        groups=_groups(base.groups, over.groups),
        required=_required(base.required, over.tags, over.required),
    )


def _members(base: Members, over: Members) -> Members:
    return Members(
        order=_order(base.order, over.order),
        tags=base.tags | over.tags,
        groups=_groups(base.groups, over.groups),
        required=_required(base.required, over.tags, over.required),
    )


def _message(base: MessageSpec, over: MessageSpec) -> MessageSpec:
    merged = _members(base, over)
    return MessageSpec(
        order=merged.order,
        tags=merged.tags,
        groups=merged.groups,
        required=merged.required,
        name=over.name or base.name,
        msg_type=base.msg_type,
        admin=base.admin,
    )
