"""FIX on the wire: bytes in, messages out, and back. No sockets, no clock, no dictionary.

framer = Framer()
for raw in framer.feed(data):
    message = parse(raw) if isinstance(raw, bytes) else None   # else: Garbled

encoder = Encoder("FIX.4.4", [(49, "ME"), (56, "BROKER")])
data = encoder.encode("0", 7, format_utc(ns), [])
"""

from onetape_fix.wire import msgtypes, tags, times
from onetape_fix.wire.encode import Body, Encoder, Unwritable, Value, resent, sealed
from onetape_fix.wire.frames import LIMIT, Framer, checksum
from onetape_fix.wire.message import Field, Garbled, Grouping, Message, parse, rows, rows_of
from onetape_fix.wire.tags import DATA_TAGS, HEADER_TAGS, names
from onetape_fix.wire.times import format_utc, parse_utc

__all__ = [
    "DATA_TAGS",
    "HEADER_TAGS",
    "LIMIT",
    "Body",
    "Encoder",
    "Field",
    "Framer",
    "Garbled",
    "Grouping",
    "Message",
    "Unwritable",
    "Value",
    "checksum",
    "format_utc",
    "msgtypes",
    "names",
    "parse",
    "parse_utc",
    "resent",
    "rows",
    "rows_of",
    "sealed",
    "tags",
    "times",
]
