"""A FIX message as read: the bytes as they came, and all fields in their order.

Text     Values are latin-1 text: every byte is kept, nothing is guessed about its encoding.
Data     A field of `data_tags` is as long as the length field before it says, and may hold the
         separator. Where that length does not land on a separator the field ends at the first one.
Speed    In the usual message equal signs and separators take turns and no field holds data: one
         split, one table look-up per field. The table leaves the data fields out on purpose, so
         that meeting one leads to the careful way. A venue's messages are alike: the tags of the
         first of each type and number of fields are kept, and one that has the same tags is read
         by one comparison instead of the look-ups.
Errors   `Garbled`: what is there is no FIX message. It is raised by `parse` and returned as a value
         by the framer, which never raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from typing import NamedTuple, Protocol, overload

import msgspec

from onetape.errors import VenueError
from onetape_fix.wire.tags import DATA_TAGS, LENGTH_OF, MSG_SEQ_NUM, POSS_DUP_FLAG

Field = tuple[int, str]
KNOWN_TAGS = 2_048  # tags below it stand in the table from the start
TABLE_LIMIT = 8_192  # a peer that makes tags up cannot fill the memory with them
LONGEST_TAG = 9  # digits
SHAPES_LIMIT = 512  # for the same reason; and of messages of so many bytes at most
LONGEST_SHAPE = 4_096
SHORTEST = 6  # signs of 8, 9 and 35


class Garbled(VenueError):
    """Bytes that are no message. `size`: how many were dropped as one message, 0 if none told."""

    def __init__(self, reason: str, size: int = 0) -> None:
        super().__init__(f"garbled message: {reason}")
        self.reason = reason
        self.size = size


class Grouping(Protocol):
    """What must be known of a repeating group to cut it into rows."""

    @property
    def count(self) -> int:
        """The tag that says how many rows there are."""
        ...

    @property
    def first(self) -> int:
        """The tag that opens a row."""
        ...

    @property
    def tags(self) -> AbstractSet[int]:
        """The tags of a row, without those of nested groups but with their counts."""
        ...

    @property
    def groups(self) -> Mapping[int, Grouping]:
        """Nested groups by their count tag."""
        ...


class Message(msgspec.Struct, eq=False):
    """One message: `raw` bytes, `fields` in order (8, 9 and 10 too), `type` (the value of 35)."""

    raw: bytes
    fields: list[Field]
    type: str
    _first: dict[int, str] | None = None

    @property
    def values(self) -> Mapping[int, str]:
        """The first value of each tag."""
        first = self._first
        if first is None:
            first = self._first = dict(reversed(self.fields))
        return first

    @overload
    def get(self, tag: int) -> str | None: ...

    @overload
    def get[T](self, tag: int, default: T) -> str | T: ...

    def get(self, tag: int, default: object = None) -> object:
        """The first value of `tag`, or `default`."""
        return (self._first or self.values).get(tag, default)

    def __getitem__(self, tag: int) -> str:
        return (self._first or self.values)[tag]

    def __contains__(self, tag: int) -> bool:
        return tag in (self._first or self.values)

    def __repr__(self) -> str:
        """No values: a message may carry a password."""
        return f"Message(type={self.type!r}, {len(self.fields)} fields, {len(self.raw)} bytes)"

    @property
    def seq(self) -> int:
        """MsgSeqNum (34). Raises ValueError where it is absent or no plain number."""
        text = self.values.get(MSG_SEQ_NUM, "")
        if not (text.isdecimal() and text.isascii()) or len(text) > LONGEST_TAG * 2:
            raise ValueError(f"34={text!r} is no sequence number")
        return int(text)

    @property
    def possdup(self) -> bool:
        """Whether the sender says it may have sent this before (43=Y)."""
        return self.values.get(POSS_DUP_FLAG) == "Y"

    def groups(self, group: Grouping) -> list[list[Field]]:
        """The rows of `group`; nested rows stay in them, flat: cut those with `rows`."""
        return rows(self.fields, group)


def rows(fields: Sequence[Field], group: Grouping) -> list[list[Field]]:
    """The rows of `group` in `fields`, each flat and in order; none where its count is absent.

    A row opens with the tag that really follows the count: some venues open with another than
    their dictionary says.
    """
    for at, (tag, _) in enumerate(fields):
        if tag == group.count:
            return _cut(fields, at + 1, group)[0]
    return []


def _cut(fields: Sequence[Field], at: int, group: Grouping) -> tuple[list[list[Field]], int]:
    """The rows of `group` from position `at`, and the position behind them."""
    found: list[list[Field]] = []
    tags, nested = group.tags, group.groups
    opens = group.first
    if at < len(fields) and fields[at][0] in tags and fields[at][0] not in nested:
        opens = fields[at][0]
    while at < len(fields):
        tag = fields[at][0]
        if tag == opens:
            found.append([])
        elif tag not in tags or not found:
            break
        found[-1].append(fields[at])
        at += 1
        inner = nested.get(tag)
        if inner is not None:
            end = _cut(fields, at, inner)[1]
            found[-1].extend(fields[at:end])
            at = end
    return found, at


def rows_of(
    fields: Sequence[Field], count_tag: int, first_tag: int, member_tags: Iterable[int]
) -> list[list[Field]]:
    """The rows of a plain group without a dictionary: its count, what opens a row, what follows."""
    members = frozenset(member_tags)
    found: list[list[Field]] = []
    inside = False
    for field in fields:
        tag = field[0]
        if inside:
            if tag == first_tag:
                found.append([field])
            elif tag in members and found:
                found[-1].append(field)
            else:
                break
        elif tag == count_tag:
            inside = True
    return found


class Shape(NamedTuple):
    """The tags of a message, in order, as text (with what stands behind the last: nothing)."""

    words: list[str]
    tags: tuple[int, ...]


class Tables(NamedTuple):
    """What is known of tags: their numbers by text, without the data fields, and the shapes."""

    tags: dict[str, int]
    shapes: dict[tuple[str, int], Shape]


@cache
def _tables(data_tags: frozenset[int]) -> Tables:
    return Tables({str(tag): tag for tag in range(KNOWN_TAGS) if tag not in data_tags}, {})


USUAL = _tables(DATA_TAGS)
NEITHER = bytes(byte for byte in range(256) if byte not in b"=\x01")
AS_EQUALS = bytes.maketrans(b"\x01", b"=")


def tag_from(text: str) -> int:
    """The tag that `text` names. A minus sign is read: the session rejects such tags by number."""
    digits = text.removeprefix("-")
    plain = digits.isascii() and digits.isdecimal() and len(digits) <= LONGEST_TAG
    if not plain or (digits[0] == "0" and text != "0"):
        raise Garbled(f"{text[:20]!r} is no tag")
    return int(text)


def parse(raw: bytes, data_tags: frozenset[int] = DATA_TAGS) -> Message:
    """The message in `raw`, one whole message. Its length and checksum are the framer's business.

    Raises Garbled where a field has no tag, or 8, 9, 35 are not the first and 10 not the last.
    """
    tables = USUAL if data_tags is DATA_TAGS else _tables(data_tags)
    signs = raw.translate(None, NEITHER)
    if signs != b"=\x01" * (len(signs) >> 1) or len(signs) < SHORTEST:
        return _parsed(raw, _careful(raw, tables, data_tags))
    words = raw.translate(AS_EQUALS).decode("latin-1").split("=")
    kind = words[5], len(words)
    shape = tables.shapes.get(kind)
    if shape is not None and shape.words == words[::2]:
        # as many by what was compared; asking for it once more would cost a third of this line
        return Message(raw, list(zip(shape.tags, words[1::2])), words[5])  # noqa: B905
    try:
        tags = tuple(map(tables.tags.__getitem__, words[:-1:2]))
    except KeyError:
        return _parsed(raw, _careful(raw, tables, data_tags))
    message = _parsed(raw, list(zip(tags, words[1::2], strict=True)))
    if shape is None and len(tables.shapes) < SHAPES_LIMIT and len(raw) <= LONGEST_SHAPE:
        tables.shapes[kind] = Shape(words[::2], tags)
    return message


def _parsed(raw: bytes, fields: list[Field]) -> Message:
    """The message of these fields, if it is one."""
    try:
        shape = fields[0][0] == 8 and fields[1][0] == 9 and fields[2][0] == 35
    except IndexError:
        shape = False
    if not (shape and fields[-1][0] == 10 and raw[-1] == 1):
        raise Garbled("8, 9 and 35 must come first and 10 last", len(raw))
    return Message(raw, fields, fields[2][1])


def _careful(raw: bytes, tables: Tables, data_tags: frozenset[int]) -> list[Field]:
    """The fields, read one by one; what was new of their tags is kept."""
    fields = _fields(raw.decode("latin-1"), data_tags)
    _learn(tables.tags, fields, data_tags)
    return fields


def _learn(table: dict[str, int], fields: list[Field], data_tags: frozenset[int]) -> None:
    """Keeps tags that were new to the table, as long as there is room."""
    if len(table) < TABLE_LIMIT:
        table.update((str(tag), tag) for tag, _ in fields if tag not in data_tags)


def _fields(text: str, data_tags: frozenset[int]) -> list[Field]:
    """The fields of `text`, the careful way: data fields, and values that hold an equal sign."""
    found: list[Field] = []
    at, end = 0, len(text)
    while at < end:
        equals = text.find("=", at)
        if equals < 0:
            raise Garbled(f"a field without an equal sign: {text[at : at + 20]!r}", end)
        tag = tag_from(text[at:equals])
        start = equals + 1
        stop = _data_end(text, start, tag, found) if tag in data_tags else -1
        if stop < 0:
            stop = text.find("\x01", start)
        if stop < 0:
            raise Garbled(f"field {tag} does not end", end)
        found.append((tag, text[start:stop]))
        at = stop + 1
    return found


def _data_end(text: str, start: int, tag: int, found: list[Field]) -> int:
    """Where data field `tag` ends by the length before it, or -1 where that says nothing."""
    if not found:
        return -1
    length_tag, length = found[-1]
    if LENGTH_OF.get(tag, length_tag) != length_tag:
        return -1
    if not (length.isascii() and length.isdecimal()) or len(length) > LONGEST_TAG:
        return -1
    stop = start + int(length)
    return stop if text[stop : stop + 1] == "\x01" else -1
