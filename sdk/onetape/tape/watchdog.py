"""The watchdog: a small process of its own that stops a server whose holders are all gone.

Each process that uses an embedded server holds a shared lock on the file `holders` in the
server's folder. The kernel lets go of it when the process ends, however it ends, so the
watchdog need not poll, cannot mistake a reused pid for a holder, and sees `kill -9` at once:
it waits for the exclusive lock on that file, and getting it means that nobody is left.

They are POSIX record locks, which belong to a process and are not inherited by fork: a child
never keeps its parent's server alive. Their one trap is that closing *any* descriptor of the
file lets go of the lock, so a process opens it once (see embedded.py).

Run as `python -m onetape.tape.watchdog FOLDER`, and by nothing else.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Wait until nobody holds the server over `folder`, stop it, and end."""
    from onetape.tape import postmaster

    watch = _open(folder / "watch")
    try:
        fcntl.lockf(watch, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # another watchdog is there
    turn, holders = _open(folder / "lock"), _open(folder / "holders")
    while True:
        fcntl.lockf(holders, fcntl.LOCK_EX)
        # Let go before asking for the turn: who has the turn may wait to hold.
        fcntl.lockf(holders, fcntl.LOCK_UN)
        fcntl.lockf(turn, fcntl.LOCK_EX)
        try:
            fcntl.lockf(holders, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # somebody came in between
            fcntl.lockf(turn, fcntl.LOCK_UN)
            continue
        postmaster.stop(folder / "data")
        os.close(watch)  # before the turn goes: who has it next starts the next watchdog
        return


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
