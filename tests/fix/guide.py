"""The README of the FIX adapter as files and commands: what it shows is what the tests use."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import onetape_fix

HOUSE = Path(onetape_fix.__file__).parent
README = (HOUSE / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
NAMED = re.compile(r"`([\w.]+)`[^`\n]*:\s*\Z")  # the file that a block is, said just before it
ALWAYS = "NonStopSession=Y"  # a test may run at any hour


def blocks() -> Iterator[tuple[str, str, str]]:
    """Language, the name of the file that it is ("" for none), and text of each block."""
    for found in BLOCK.finditer(README):
        named = NAMED.search(README, 0, found.start())
        yield found[1], named[1] if named else "", found[2]


def ports(count: int) -> list[int]:
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def put(folder: Path, *names: str) -> None:
    """Write the README's files, on ports that are free here and open at every hour."""
    first, acme = ports(2)
    texts = {name: text for _, name, text in blocks() if name}
    for name in names or texts:
        text = texts[name].replace("9876", str(first)).replace("9878", str(acme))
        day = "TimeZone=America/New_York\nStartTime=17:05:00\nEndTime=17:00:00"
        (folder / name).write_text(text.replace(day, ALWAYS))


def section(title: str) -> str:
    """The text under a heading, up to the next of its kind."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#+ |\Z)", README, re.M | re.S)
    assert found is not None, title
    return found[2]


def table(text: str, head: str) -> list[list[str]]:
    """The rows of the table whose first cell is `head`; of each, the words in backticks of its
    first cell."""
    rows = text[text.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
    return [re.findall(r"`([^`]+)`", row.split("|")[1]) for row in rows]
