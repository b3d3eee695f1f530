"""A program: a journal on a disk that is full after a while; says what happened, in JSON.

python filled.py FOLDER LIMIT   no file may grow beyond LIMIT bytes; 0: the disk has its own
                                limit, and FOLDER/ballast is removed to make room again
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from onetape_fix.session.journal import Journal
from onetape_fix.session.store import StoreError

SESSION = "FIX.4.4:US->THEM"
RAW = b"8=FIX.4.4\x019=1\x0135=D\x0158=" + b"x" * 900 + b"\x0110=000\x01"


def main(folder: Path, limit: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    journal = Journal(folder, SESSION)
    kept, trouble = 0, ""
    try:
        for _ in range(10_000):
            journal.sent(journal.next_out, RAW, 1)
            kept += 1
    except StoreError as err:
        trouble = str(err)
    again = []
    for attempt in (lambda: journal.sent(journal.next_out, RAW, 2), lambda: journal.reset(3)):
        try:
            attempt()
            again.append("kept")
        except StoreError:
            again.append("refused")
    stood = (journal.next_out, journal.position)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    else:
        (folder / "ballast").unlink()
    journal.sent(journal.next_out, RAW, 4)
    after = (journal.next_out, journal.position)
    journal.close()
    journal = Journal(folder, SESSION)
    found = (journal.next_out, journal.position)
    resent = [seq for seq, _, _ in journal.outbound(1, after[0])]
    journal.close()
    print(
        json.dumps(
            {"kept": kept, "trouble": trouble, "again": again, "stood": stood, "after": after,
             "found": found, "whole": resent == list(range(1, after[0])), "cut": journal.cut}
        )
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
