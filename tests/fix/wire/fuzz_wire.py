"""Coverage-guided fuzzing of framer, parser, groups, validation and resending, with `atheris`.

    python tests/fix/wire/fuzz_wire.py -max_total_time=600 -max_len=4096 CORPUS

`atheris` is no dependency of the project: install it where this is run. Not collected by pytest.
An input is a stream of bytes; it is fed whole and chopped up, and raw between a good envelope.
Checked: nothing but `Garbled` comes out, chopping changes nothing, memory stays bounded, what is
read can be written again and reads the same, and the rules answer for every message.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["onetape_fix"]):
    from onetape_fix.spec import Rules, shipped
    from onetape_fix.wire import HEADER_TAGS, Framer, Garbled, Message, checksum, parse, resent
    from onetape_fix.wire.encode import sealed

LIMIT = 1 << 16
STRICT = Rules(shipped("FIX.4.4"), lenient=frozenset())
LENIENT = Rules(shipped("FIXT.1.1"), shipped("FIX.5.0SP2"))
GROUPS = [group for spec in shipped("FIX.4.4").messages.values() for group in spec.groups.values()][
    ::7
]
LATER = "20260821-12:00:05"


def framed(pieces: list[bytes]) -> list[bytes | str]:
    """What a framer makes of `pieces`, and that it keeps no more than it may."""
    framer = Framer(limit=LIMIT)
    found: list[bytes | str] = []
    for piece in pieces:
        found += [x.reason if isinstance(x, Garbled) else x for x in framer.feed(piece)]
        if framer.pending > LIMIT + 64 + len(piece):
            raise AssertionError(f"{framer.pending} bytes are kept")
    return found


def judged(message: Message) -> None:
    """Everything that is done with a message once it is read."""
    for rules in (STRICT, LENIENT):
        for finding in rules.check(message):
            if not finding.text:
                raise AssertionError(finding)
    for group in GROUPS:
        for row in message.groups(group):
            if not row:
                raise AssertionError("an empty row")
    try:
        if message.seq < 0:
            raise AssertionError("a negative number")
    except ValueError:
        pass


def one(data: bytes) -> None:
    """One input."""
    step = data[0] % 37 + 1 if data else 1
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    whole = framed([data])
    if framed(pieces) != whole:
        raise AssertionError("chopping changed what was read")
    envelope = sealed(
        b"8=FIX.4.4\x019=", b"35=8\x0134=7\x0152=20260821-12:00:00\x01" + data + b"\x01"
    )
    for raw in [*whole, data, envelope]:
        if isinstance(raw, str):
            continue
        try:
            message = parse(raw)
        except Garbled:
            continue
        text = "".join(f"{tag}={value}\x01" for tag, value in message.fields).encode("latin-1")
        if parse(text).fields != message.fields:
            raise AssertionError("written again it reads differently")
        judged(message)
    if checksum(data) != sum(data) & 255:
        raise AssertionError("checksum")
    resend(envelope)


def resend(raw: bytes) -> None:
    """What can be read can be sent again; what cannot is garbled and nothing worse."""
    try:
        first = parse(raw)
    except Garbled:
        return
    again = parse(resent(raw, LATER))
    if again[52] != LATER or again[43] != "Y" or again.type != first.type:
        raise AssertionError("a resend without its marks")
    if body(again) != body(first):
        raise AssertionError("a resend with another body")


def body(message: Message) -> list[tuple[int, str]]:
    """What is not header or trailer."""
    return [field for field in message.fields[:-1] if field[0] not in HEADER_TAGS]


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
