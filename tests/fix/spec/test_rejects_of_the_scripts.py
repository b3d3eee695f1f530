"""Every message of the public acceptance scripts is judged as the scripts say.

The sockets and the session are left out: what a script sends is parsed and checked, and the finding
compared with the reject that the script expects. Rejects that only a session can know of (CompID,
SendingTime, PossDup, sequence numbers) are no matter of the dictionary.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from onetape_fix.spec import Rules
from onetape_fix.wire import Framer, Garbled, Message, checksum, parse

from .shared import SHARED, both, needs_shared

VERSIONS = {
    "fix42": ("FIX.4.2", None),
    "fix44": ("FIX.4.4", None),
    "fix50sp2": ("FIXT.1.1", "FIX.5.0SP2"),
}
LINE = re.compile(rb"([IE])(?:\d,)?(8=.*)", re.DOTALL)
OF_THE_SESSION = {"11c_NewSeqNoLess", "2g_PossDupNoOrigSendingTime"}
SESSION_TEXTS = {"CompID problem", "SendingTime accuracy problem"}
OPEN_LISTS = {"167"}  # types of securities have no list of values in our own dictionaries


def whole(body: bytes) -> bytes:
    """A script's message with its time, length and checksum."""
    body = re.sub(rb"<TIME([+-]\d+)?>", b"20260821-12:00:00", body)
    head, _, rest = body.partition(b"\x01")
    found = re.search(rb"\x0110=[^\x01]*\x01?$", rest)
    foot = rest[found.start() + 1 :] if found else b""
    rest = rest[: found.start() + 1] if found else rest
    if not rest.startswith(b"9="):
        rest = b"9=%d\x01" % len(rest) + rest
    message = head + b"\x01" + rest
    return message + (foot or b"10=%03d\x01" % checksum(message))


def read(path: Path) -> tuple[list[Message], dict[str | None, tuple[str | None, str | None]]]:
    """What a script sends, and the rejects that it expects by the number they refer to."""
    sent: list[Message] = []
    rejects: dict[str | None, tuple[str | None, str | None]] = {}
    for line in path.read_bytes().splitlines():
        found = LINE.match(line)
        if found is None:
            continue
        framed = Framer().feed(whole(found[2])) if found[1] == b"I" else [whole(found[2])]
        try:
            message = parse(framed[0]) if framed and isinstance(framed[0], bytes) else None
        except Garbled:
            continue
        if message is None:
            continue
        if found[1] == b"I":
            sent.append(message)
        elif message.type == "3" and message.get(58) not in SESSION_TEXTS:
            rejects[message.get(45)] = message.get(58), message.get(371)
    return sent, rejects


@needs_shared
@pytest.mark.parametrize("ours", [False, True], ids=["public", "ours"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_scripts_rejects_are_ours(version, ours):
    transport, application = VERSIONS[version]
    rules = Rules(
        both(transport, ours),
        both(application, ours) if application else None,
        lenient=frozenset(),
    )
    judged = 0
    for path in sorted((SHARED / "definitions" / version).glob("*.def")):
        if path.stem in OF_THE_SESSION:
            continue
        sent, rejects = read(path)
        for message in sent:
            found = rules.check(message)
            expected = rejects.get(message.get(34))
            if expected is None and message.type == "A":
                continue  # a bad logon is answered by a closed line, not by a reject
            if ours and expected is not None and expected[1] in OPEN_LISTS:
                continue
            tag = str(found[0].tag) if found and found[0].tag is not None else None
            assert ((found[0].text, tag) if found else None) == expected, (path.name, message.raw)
            judged += 1
    assert judged > 150
