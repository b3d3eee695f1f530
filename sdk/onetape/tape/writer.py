# pyright: standard
"""The writer: one thread per process that commits whatever waits, together.

No linger   while one group commits the next one gathers; a lone event leaves at once, and under
            load groups grow by themselves.
Bounded     at most `LIMIT` events wait; whoever hands in more waits too, and `health` shows it.
Failing     when the database is gone or full, everybody who waits is told at once. A connection
            lost during COMMIT leaves events in doubt: appending the same events again is safe,
            as the ledger recognizes them. With `patience` the writer itself does so for that
            many seconds before it tells.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple

from onetape.errors import TapeError, TapeUnavailable
from onetape.tape.append import Answer, Later, NoRoom, Request, Transaction
from onetape.tape.ledger import Receipt
from onetape.tape.names import Names

GROUP = 10_000  # events in one transaction
LIMIT = 200_000  # events that may wait
STEP = 5_000_000  # events in one partition
ROOM = "SELECT onetape.ensure_partitions(last_seq + %b, %b) FROM onetape.ledger_head"
# who is stopped or cut off with the ledger's head in hand is not to block everybody
IDLE = "SET idle_in_transaction_session_timeout = '20s'"
RETRY_S = (0.05, 0.1, 0.2, 0.5)
CLOSE_S = 60.0


class Health(NamedTuple):
    """How the writer is: `state` is ready, unavailable or closed."""

    state: str
    waiting: int  # events handed in and not yet durable
    blocked_s: float  # time that callers spent waiting for room
    groups: int
    events: int
    trouble: str = ""


class _Waiting(NamedTuple):
    request: Request
    done: Future[Receipt]


class Writer:
    """Commits requests in groups; see the module for what it promises."""

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        clock: Callable[[], int] = time.time_ns,
        patience: float = 0.0,
        step: int = STEP,
    ) -> None:
        self._connect, self._clock, self._patience, self._step = connect, clock, patience, step
        self._names = Names(f"{os.uname().nodename}/{os.getpid()}/{time.time_ns():x}")
        self._connection: Any = None
        self._ends: list[int] = []
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._waiting = self._groups = self._events = 0
        self._blocked = 0.0
        self._last_seq = 0
        self._trouble = ""
        self._closed = False
        self._thread: threading.Thread | None = None
        self._owner = os.getpid()
        atexit.register(_finish, weakref.ref(self))

    def submit(self, request: Request) -> Future[Receipt]:
        """Queue a request; blocks while too much waits."""
        done: Future[Receipt] = Future()
        done.set_running_or_notify_cancel()  # what is handed in is not taken back
        if os.getpid() != self._owner:
            raise TapeUnavailable("this tape was opened by another process; open it in this one")
        with self._changed:
            self._make_room(len(request.drafts))
            if self._closed:
                raise TapeUnavailable("this tape is closed; open it again")
            self._queue.append(_Waiting(request, done))
            self._waiting += len(request.drafts)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="onetape-writer", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()
        return done

    def health(self) -> Health:
        """Return how the writer is."""
        state = "closed" if self._closed else "unavailable" if self._trouble else "ready"
        counts = (self._waiting, self._blocked, self._groups, self._events)
        return Health(state, *counts, self._trouble)

    def close(self) -> None:
        """Write what waits, then stop; in a forked child, only stop."""
        if os.getpid() != self._owner:  # its lock may have been held when the child began
            self._closed = True
            return
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_S)
        self._drop()

    def _make_room(self, more: int) -> None:
        since = time.monotonic()
        while self._waiting and self._waiting + more > LIMIT and not self._closed:
            self._changed.wait(1.0)
        self._blocked += time.monotonic() - since

    def _count(self, last_seq: int, events: int) -> None:
        self._last_seq = last_seq
        self._events += events
        self._groups += 1 if events else 0
        self._trouble = ""

    # -- the thread

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if not self._queue:
                    return
                group = self._taken()
            try:
                self._commit(group)
            except BaseException as err:  # whoever waits must never wait for ever
                for one in group:
                    if not one.done.done():
                        one.done.set_exception(err)
            with self._changed:
                self._waiting -= sum(len(one.request.drafts) for one in group)
                self._changed.notify_all()

    def _taken(self) -> list[_Waiting]:
        group, size = [self._queue.popleft()], 0
        size = len(group[0].request.drafts)
        while self._queue and size + len(self._queue[0].request.drafts) <= GROUP:
            group.append(self._queue.popleft())
            size += len(group[-1].request.drafts)
        return group

    def _commit(self, group: Sequence[_Waiting]) -> None:
        while group:
            try:
                answers = self._written([one.request for one in group])
            except TapeUnavailable as err:
                return self._fail(group, err)
            except Exception as err:
                if len(group) == 1:
                    return self._fail(group, self._told(err))
                for one in group:  # find the one at fault; the others are not to suffer
                    self._commit([one])
                return None
            left: list[_Waiting] = []
            for one, answer in zip(group, answers, strict=True):
                if isinstance(answer, Receipt):
                    one.done.set_result(answer)
                elif isinstance(answer, Later):
                    left.append(one)
                else:
                    one.done.set_exception(answer)
            group = left
        return None

    def _fail(self, group: Sequence[_Waiting], err: TapeError) -> None:
        failed = list(group)
        if isinstance(err, TapeUnavailable):
            self._trouble = str(err)
            with self._changed:  # those behind are told too, and are not in doubt
                behind, self._queue = list(self._queue), deque()
                self._waiting -= sum(len(one.request.drafts) for one in behind)
            for one in behind:
                one.done.set_exception(TapeUnavailable(str(err)))
        for one in failed:
            one.done.set_exception(err)

    def _written(self, requests: Sequence[Request]) -> list[Answer]:
        """Write a group, again for as long as patience lasts; what is there is recognized."""
        until = time.monotonic() + self._patience
        tries, doubt = 0, False
        while True:
            transaction: Transaction | None = None
            try:
                connection = self._ready(sum(len(one.drafts) for one in requests))
                transaction = Transaction(connection, self._names, self._ends)
                answers = transaction.write(requests, self._clock)
                self._count(transaction.last_seq, transaction.events)
                return answers
            except NoRoom:  # others wrote much meanwhile: make partitions, begin again
                self._ends = []
            except Exception as err:
                lost, told = self._lost(), self._told(err)
                if lost and not isinstance(told, TapeUnavailable):
                    told = TapeUnavailable(f"writing to the tape: the connection was lost ({err})")
                sent = transaction is not None and transaction.in_doubt
                doubt = doubt or (sent and (lost or _unsaid(err)))
                self._drop()
                if not isinstance(told, TapeUnavailable):
                    raise told from err
                self._trouble = str(told)
                if time.monotonic() >= until or self._closed:
                    raise TapeUnavailable(str(told), in_doubt=doubt) from err
                time.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1

    def _ready(self, count: int) -> Any:
        if self._connection is None:
            self._connection = self._connect()
            self._connection.execute(IDLE)
            self._ends = []
        if not self._ends or self._last_seq + self._step // 2 >= self._ends[-1]:
            cursor = self._connection.cursor(binary=True)
            cursor.execute(ROOM, (count + self._step, self._step))
            self._ends = cursor.fetchone()[0]
        return self._connection

    def _told(self, err: Exception) -> TapeError:
        from onetape.tape.server import translated

        if isinstance(err, TapeError):
            return err
        return translated(err, "writing to the tape")

    def _lost(self) -> bool:
        return self._connection is not None and (self._connection.closed or self._connection.broken)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        # another server may answer next time, one that lost the last commits: learn names anew
        self._names = Names(self._names.writer)
        if connection is not None and os.getpid() == self._owner:
            with suppress(Exception):
                connection.close()


def _unsaid(err: Exception) -> bool:
    """Tell whether the server did not say what became of a COMMIT; 57: it was shut down."""
    return (getattr(err, "sqlstate", None) or "57").startswith(("08", "57"))


def _finish(writer: weakref.ref[Writer]) -> None:
    """Write what waits when the interpreter ends without `close`."""
    alive = writer()
    if alive is not None:
        alive.close()
