"""Writing messages: what is given, in the order it is given.

Header   8, 9, 35, 34, then the constant fields of the session and those of this message, by tag.
Values   text, int, Decimal (never with an exponent), bool (Y or N), or a list of rows: a repeating
         group, whose count is written for it.
Guard    A value that is empty or holds the separator would put fields of its own on the wire: it is
         refused, but for a data field whose length was given right before it.
Errors   `Unwritable` (also a ValueError): what would be sent is no FIX message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import cast

from onetape.errors import VenueError
from onetape_fix.wire.frames import FEET, checksum
from onetape_fix.wire.message import Garbled
from onetape_fix.wire.tags import (
    DATA_TAGS,
    HEADER_TAGS,
    LENGTH_OF,
    ORIG_SENDING_TIME,
    POSS_DUP_FLAG,
    SENDING_TIME,
)

type Value = str | int | Decimal | list[Body]
type Body = Sequence[tuple[int, Value]]
Header = Sequence[tuple[int, str | int]]

PREFIX = {tag: f"{tag}=" for tag in range(1, 2_048)}  # cheaper than writing the number each time
PREFIXES = 16_384


class Unwritable(VenueError, ValueError):
    """What was to be sent cannot be written as a FIX message."""


class Encoder:
    """Writes the messages of one session. `header`: its constant fields (49, 56, 50, 57, ...)."""

    __slots__ = ("_after", "_before", "_begin", "_constant", "data_tags")

    def __init__(
        self, begin_string: str, header: Header, data_tags: frozenset[int] = DATA_TAGS
    ) -> None:
        self.data_tags = data_tags
        self._begin = f"8={begin_string}\x019="
        self._constant = sorted(header, key=itemgetter(0))
        self._before = _text([f for f in self._constant if f[0] < SENDING_TIME], data_tags)
        self._after = _text([f for f in self._constant if f[0] > SENDING_TIME], data_tags)

    def encode(
        self, msg_type: str, seq: int, sending_time: str, body: Body, header: Header = ()
    ) -> bytes:
        """The whole message. `header`: its own header fields (43, 97, 115, ...)."""
        if header:
            own = {tag for tag, _ in header}
            head = [field for field in self._constant if field[0] not in own]
            head += [*header, (34, seq), (SENDING_TIME, sending_time)]
            opening = f"35={msg_type}\x01{_text(sorted(head, key=itemgetter(0)), self.data_tags)}"
        else:
            opening = (
                f"35={msg_type}\x0134={seq}\x01{self._before}52={sending_time}\x01{self._after}"
            )
        text = opening + _text(body, self.data_tags)
        try:
            message = f"{self._begin}{len(text)}\x01{text}".encode("latin-1")
        except UnicodeEncodeError as error:
            raise Unwritable(
                f"35={msg_type}: {error.object[error.start : error.end]!r} is not latin-1; "
                "send it in an encoded field (354/355 with 347)"
            ) from None
        return message + FEET[checksum(message)]


def sealed(begin: bytes, body: bytes) -> bytes:
    """A whole message of `begin` (8=...|9=) and `body`, from 35 on: length and checksum added."""
    message = b"%b%d\x01%b" % (begin, len(body), body)
    return message + FEET[checksum(message)]


def _text(body: Body, data_tags: frozenset[int]) -> str:
    """The fields as text, groups opened up."""
    if not body:
        return ""
    prefix = PREFIX
    try:
        fields = [
            prefix[tag] + v
            if type(v) is str
            else prefix[tag] + str(v)
            if type(v) is int
            else prefix[tag] + _decimal(tag, v)
            if type(v) is Decimal
            else _field(tag, v, data_tags)
            for tag, v in body
        ]
    except KeyError:  # a tag that was not written before
        fields = [_field(tag, v, data_tags) for tag, v in body]
        if len(PREFIX) < PREFIXES:
            PREFIX.update((tag, f"{tag}=") for tag, _ in body)
    text = "\x01".join(fields) + "\x01"
    if text.count("\x01") != len(body) or "=\x01" in text:
        _guard(body, data_tags)
    return text


def _decimal(tag: int, value: Decimal) -> str:
    """A number as FIX writes it; its own text is that, but for an exponent or no number at all."""
    text = str(value)
    if not value.is_finite():
        raise Unwritable(f"field {tag} is {value}: a finite number is needed")
    return text if "E" not in text else f"{value:f}"


def _field(tag: int, value: object, data_tags: frozenset[int]) -> str:
    """One field of any kind, without its separator."""
    if isinstance(value, Decimal):
        return f"{tag}={_decimal(tag, value)}"
    if isinstance(value, bool):
        return f"{tag}={'Y' if value else 'N'}"
    if isinstance(value, int | str):
        return f"{tag}={value}"
    if isinstance(value, list | tuple):
        written = [_text(row, data_tags) for row in cast("Iterable[Body]", value)]
        return f"{tag}={len(written)}\x01{''.join(written)}"[:-1]
    raise Unwritable(
        f"field {tag} is {type(value).__name__}: text, int, Decimal or a list of rows is needed"
    )


def _guard(body: Body, data_tags: frozenset[int]) -> None:
    """Refuses a value that is empty or holds the separator, where it is not a data field's."""
    before: tuple[int, Value] = (0, "")
    for tag, value in body:
        if isinstance(value, str):
            whole = tag in data_tags and _announced(before, tag, len(value))
            if not value or ("\x01" in value and not whole):
                what = "is empty" if not value else "holds the separator (0x01)"
                raise Unwritable(f"field {tag} {what}: leave it out, or send it as data")
        before = (tag, value)


def _announced(before: tuple[int, Value], tag: int, size: int) -> bool:
    """Whether the field before says how long data field `tag` is."""
    length_tag, length = before
    return LENGTH_OF.get(tag, length_tag) == length_tag and str(length) == str(size)


def resent(raw: bytes, sending_time: str, header: Header = ()) -> bytes:
    """The same message again: 43=Y, 122 = its first 52, a new 52; the body stays byte for byte.

    `header`: header fields to replace or add (369, say). The number stays as it was. Raises
    Garbled where `raw` is no message.
    """
    try:
        begin = raw.index(b"\x01") + 3
        fields, body_at = _head(raw, raw.index(b"\x01", begin) + 1)
        msg_type = fields.pop(35)
    except (ValueError, KeyError):
        raise Garbled("what should be sent again is no message", len(raw)) from None
    first_sent = fields.get(ORIG_SENDING_TIME) or fields.get(SENDING_TIME) or sending_time
    fields[POSS_DUP_FLAG] = "Y"
    fields[ORIG_SENDING_TIME] = first_sent
    fields[SENDING_TIME] = sending_time
    for tag, value in header:
        fields[tag] = str(value)
    opening = f"35={msg_type}\x01" + "".join(f"{t}={v}\x01" for t, v in sorted(fields.items()))
    return sealed(raw[:begin], opening.encode("latin-1") + raw[body_at:-7])


def _head(raw: bytes, at: int) -> tuple[dict[int, str], int]:
    """The header fields from 35 on, and where the body begins: at the latest where one repeats."""
    fields: dict[int, str] = {}
    length = ""
    while True:
        equals = raw.index(b"=", at)
        tag = int(raw[at:equals])
        if tag not in HEADER_TAGS or tag in fields or tag < 10:
            return fields, at
        start = equals + 1
        counted = tag in DATA_TAGS and length.isdecimal() and len(length) < 10
        stop = start + int(length) if counted else start
        if stop == start or raw[stop : stop + 1] != b"\x01":
            stop = raw.index(b"\x01", start)
        length = fields[tag] = raw[start:stop].decode("latin-1")
        at = stop + 1
