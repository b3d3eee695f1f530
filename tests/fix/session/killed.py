"""A program: writers of one journal, each killed with signal 9 while it writes; says what was lost.

    python killed.py FOLDER ROUNDS SEED   prints JSON {"rounds", "acknowledged", "lost", "cut"}

A writer acknowledges each position through a pipe once the journal has returned it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path

from onetape_fix.session.journal import Journal
from onetape_fix.session.store import Record

SESSION = "FIX.4.4:US->THEM"
LIMIT = 64 << 10


def raw(position: int) -> bytes:
    return b"8=FIX.4.4\x019=1\x0135=8\x0158=%d%s\x0110=000\x01" % (
        position,
        b"x" * (position % 900),
    )


def write(folder: Path, pipe: int) -> None:
    journal = Journal(folder, SESSION, limit=LIMIT)
    while True:
        ahead = journal.position + 1
        if ahead % 97 == 0:
            journal.reset(ahead)
            told = journal.position
        elif ahead % 2:
            told = journal.received(journal.next_in, raw(ahead), ahead, advance=True)
        else:
            told = journal.sent(journal.next_out, raw(ahead), ahead)
        os.write(pipe, told.to_bytes(8, "little"))


def as_written(record: Record) -> bool:
    kind = "reset" if record.position % 97 == 0 else "in" if record.position % 2 else "out"
    body = b"" if kind == "reset" else raw(record.position)
    return (record.kind, record.ts, record.raw) == (kind, record.position, body)


def one(folder: Path, count: int) -> int:
    """Let a writer write `count` records or more, kill it, return what it acknowledged last."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        write(folder, writing)
    os.close(writing)
    told = b""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        for _ in range(count):
            told = pipe.read(8) or told
        os.kill(child, signal.SIGKILL)
        while more := pipe.read(8):
            told = more
    os.waitpid(child, 0)
    return int.from_bytes(told, "little")


def main(folder: Path, rounds: int, seed: int) -> None:
    draw = random.Random(seed)
    acknowledged = lost = cut = 0
    for _ in range(rounds):
        last = one(folder, draw.randrange(1, 400))
        journal = Journal(folder, SESSION, sync="never", limit=LIMIT)
        records = list(journal.records(acknowledged))
        whole = [r.position for r in records] == list(range(acknowledged + 1, journal.position + 1))
        if journal.position < last or not whole or not all(map(as_written, records)):
            lost += 1
        numbers = [r for r in journal.records() if r.kind == "reset"]
        begun = numbers[-1].position if numbers else 0
        sent = [r.position for r in journal.records(begun) if r.kind == "out"]
        again = [int(body.split(b"58=")[1].split(b"x")[0].split(b"\x01")[0])
                 for _, body, _ in journal.outbound(1, journal.next_out)]  # fmt: skip
        lost += sent != again or journal.next_out != len(sent) + 1
        cut += journal.cut
        acknowledged = journal.position
        journal.close()
    print(json.dumps({"rounds": rounds, "acknowledged": acknowledged, "lost": lost, "cut": cut}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
