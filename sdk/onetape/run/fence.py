"""The fence: one session trades an account at a venue, never two.

A session holds a lock in the database for as long as its connection lives, and says on the tape
that it took the lease, with an epoch that rises by one. A process that dies loses the lock with
its connection. One that is cut off from the database notices, sends nothing more, and may only go
on when it gets the lock again before anybody else took the lease. Where somebody did, it ends;
who took it waits for that.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from typing import Any

from onetape.errors import Fenced, TapeConflict
from onetape.run.folder import STREAM
from onetape.tape.event import Event
from onetape.tape.kinds import CashDeposited, RunClosed
from onetape.tape.kinds_live import AccountCarried, LeaseTaken, Reconciled
from onetape.tape.port import Tape
from onetape.tape.server import connect, translated

BOOK = "control"
BEGUN = (AccountCarried, CashDeposited, Reconciled)  # what a session that has the account said
WAIT_S = 10.0  # for a lock whose holder has just died: the server needs a moment to notice
PAUSE_S = 0.1
NOTICE_S = 5.0  # for a living holder whose lock went with the server: it looks every second
PROCESS = " process "


class Lease:
    """The right to trade one account at one venue."""

    def __init__(self, tape: Tape, url: str, venue: str, account: str, session: str) -> None:
        self._tape, self._url = tape, url
        self.venue, self.account, self.session = venue, account, session
        self.stream = f"lease/{venue}/{account}"
        self.epoch = 0
        self.lost = ""  # who took the lease from us
        self._connection: Any = None

    def take(self, wait: float = WAIT_S) -> str:
        """Take the lease; return the stream of the session that had it before, "" for none.

        One that ended before it took the account over is passed by: it knew nothing of it.

        Raises Fenced when another session has it, naming it.
        """
        until = time.monotonic() + wait
        while not self._locked(until):
            if time.monotonic() > until:
                holder = self._last()
                named = f"session {holder.session} ({holder.holder})" if holder else "another one"
                raise Fenced(
                    f"account {self.account} at {self.venue} is traded by {named}; stop that one "
                    "first: `onetape live stop`, or kill it"
                )
            time.sleep(PAUSE_S)
        last = self._last()
        self._say(last)
        if last is not None:
            self._wait_for(last)
        return self._before()

    def held(self) -> bool:
        """Say whether the lock is ours still; tries to get it again where the connection broke."""
        try:
            self._connection.execute("SELECT 1")
            return True
        except Exception:  # whatever broke it: without it the lock is gone
            self._drop()
        try:
            locked, last = self._lock(), self._last()
            self.lost = last.holder if last is not None and last.epoch != self.epoch else ""
            if locked and not self.lost:
                return True
        except Exception:  # the server is still away, or went again: without it there is no lock
            self._drop()
            return False
        self._drop()
        return False

    def release(self) -> None:
        """Let go."""
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _lock(self) -> bool:
        if self._connection is None:
            self._connection = connect(self._url)
        asked = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (self._key(),))
        return bool(asked.fetchone()[0])

    def _wait_for(self, last: LeaseTaken) -> None:
        """Give a holder that still lives, whose lock went with the server, time to end."""
        until, stream = time.monotonic() + NOTICE_S, stream_of(last.session)
        while _lives(last.holder) and time.monotonic() < until and self._tape.version(stream):
            if isinstance(self._tape.recording(stream)[-1].fact, RunClosed):
                return
            time.sleep(PAUSE_S)

    def _locked(self, until: float) -> bool:
        """Try to lock; a server that goes away meanwhile is tried again until then."""
        try:
            return self._lock()
        except Exception as err:
            self._drop()
            if time.monotonic() > until:
                raise translated(err, "taking the lease") from err
            return False

    def _key(self) -> int:
        digest = hashlib.sha256(f"onetape {self.stream}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    def _last(self) -> LeaseTaken | None:
        if not self._tape.version(self.stream):
            return None
        fact = self._tape.recording(self.stream)[-1].fact
        return fact if isinstance(fact, LeaseTaken) else None

    def _before(self) -> str:
        if not self._tape.version(self.stream):
            return ""
        for event in reversed(list(self._tape.recording(self.stream))):
            stream = stream_of(event.fact.session) if isinstance(event.fact, LeaseTaken) else ""
            if stream and self._tape.version(stream):
                entries = self._tape.read(streams=[stream])
                if any(isinstance(entry.event.fact, BEGUN) for entry in entries):
                    return stream
        return ""

    def _say(self, before: LeaseTaken | None) -> None:
        self.epoch = (before.epoch if before is not None else 0) + 1
        now = time.time_ns()
        holder = f"{socket.gethostname()}{PROCESS}{os.getpid()}"
        fact = LeaseTaken(self.venue, self.account, self.session, self.epoch, holder)
        event = Event(self._tape.version(self.stream) + 1, now, now, self.stream, fact)
        try:
            self._tape.append(self.stream, [event], book=BOOK)
        except TapeConflict as err:  # cannot be while the lock holds: say so and stop
            raise Fenced(
                f"the lease of {self.stream} was taken by somebody without a lock"
            ) from err


def _lives(holder: str) -> bool:
    """Tell whether a holder may still be there; of another host nobody here knows."""
    host, _, pid = holder.rpartition(PROCESS)
    if host != socket.gethostname() or not pid.isdigit():
        return True
    import psutil

    return int(pid) != os.getpid() and psutil.pid_exists(int(pid))


def stream_of(session: str) -> str:
    """Return the stream of a session."""
    return session if session.startswith(STREAM) else STREAM + session
