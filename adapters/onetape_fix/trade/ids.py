"""Ids on the wire: which ClOrdID stands for which order of ours, and new ones as brokers want them.

An order's own id goes out as it is where the broker's rule lets it; else one is made up. Requests
for a change or a cancel always get an id of their own. Every pair is written to a file before its
message leaves, so that a process that was killed knows its orders again, also those that the
session's kept history has dropped; the disk is asked to keep it shortly after, off the loop.
Several processes may have a venue on one session (a trader, and a kill that somebody asked for):
each makes its ids with the file in hand, and knows those of the others.

Made up   microseconds since 1970, rising; where the rule has no room for that, a count.
Raises    SettingsError for a file that cannot be used; VenueError for an id that cannot be kept.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from onetape.errors import SettingsError, VenueError
from onetape_fix.profiles import IdRule

DAY_NS = 86_400 * 1_000_000_000
KEPT_DAYS = 90
SYNC_S = 0.01
PATIENCE_S, LOOK_S = 0.05, 0.001  # for another process that has the file in hand; then without
COMPACT = 20_000  # pairs in the file from which on old ones are dropped when it is opened
FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
Pair = tuple[
    int, str, str, bool
]  # day since 1970, id on the wire, our id, whether an order's first


class Ids:
    """One session's ids; `path` None keeps them for as long as the process lives."""

    def __init__(
        self, rule: IdRule, path: Path | None = None, now: Callable[[], int] = time.time_ns
    ) -> None:
        self._rule, self._now = rule, now
        self._client: dict[str, str] = {}
        self._day: dict[str, int] = {}
        self._root: dict[str, str] = {}
        self._counts: dict[int, int] = {}
        self._last = 0
        self._file = _Kept(path) if path is not None else None
        for pair in self._file.pairs(self._today()) if self._file else ():
            self._take(pair)

    def root(self, client_order_id: str) -> str:
        """Return the id under which an order goes out for the first time."""
        self._alone()
        try:
            taken = self._client.get(client_order_id, client_order_id)
            if taken == client_order_id and self._rule.allows(client_order_id):
                return self._keep(client_order_id, client_order_id, True)
            return self._new(client_order_id, True)
        finally:
            self._done()

    def next(self, client_order_id: str) -> str:
        """Return a new id for a request about an order, "" for one that is no order's."""
        self._alone()
        try:
            return self._new(client_order_id, False)
        finally:
            self._done()

    def client(self, wire: str) -> str | None:
        """Return our id of what is called so on the wire; None where it is not of ours."""
        return self._client.get(wire)

    def wire(self, client_order_id: str) -> str | None:
        """Return the id under which an order went out first."""
        return self._root.get(client_order_id)

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()

    # -- within

    def _alone(self) -> None:
        """From here on nobody else makes an id; all that were made are known."""
        if self._file is not None:
            for pair in self._file.take():
                self._take(pair)

    def _done(self) -> None:
        if self._file is not None:
            self._file.let_go()

    def _today(self) -> int:
        return self._now() // DAY_NS

    def _new(self, client: str, first: bool) -> str:
        wire = self._made()
        while wire in self._client and not self._free_again(wire):
            wire = self._made()
        return self._keep(wire, client, first)

    def _keep(self, wire: str, client: str, first: bool) -> str:
        day = self._today()
        if self._client.get(wire) != client or self._day.get(wire) != day:
            pair = (day, wire, client, first)
            if self._file is not None:
                self._file.add(pair)
            self._take(pair)
        return wire

    def _take(self, pair: Pair) -> None:
        day, wire, client, first = pair
        self._client[wire], self._day[wire] = client, day
        if first:
            self._root[client] = wire
        key = day if self._rule.unique_per_day else 0
        self._counts[key] = self._counts.get(key, 0) + 1

    def _free_again(self, wire: str) -> bool:
        return self._rule.unique_per_day and self._day[wire] < self._today()

    def _made(self) -> str:
        digits = self._rule.alphabet if not _plain(self._rule.alphabet) else PLAIN
        digits = "0123456789" if self._rule.numeric else digits
        self._last = max(self._now() // 1_000, self._last + 1)
        made = written(self._last, digits)
        if len(made) <= self._rule.max_length:
            return made
        key = self._today() if self._rule.unique_per_day else 0
        self._counts[key] = self._counts.get(key, 0) + 1
        counted = written(self._counts[key], digits)
        if len(counted) > self._rule.max_length:
            raise SettingsError(
                f"no ids of at most {self._rule.max_length} characters are left at this broker"
            )
        return counted


PLAIN = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _plain(alphabet: str) -> bool:
    return set(PLAIN) <= set(alphabet)


def written(number: int, digits: str) -> str:
    """Return a count written with these digits."""
    base, text = len(digits), ""
    while number:
        number, rest = divmod(number, base)
        text = digits[rest] + text
    return text or digits[0]


class _Kept:
    """The pairs on disk, one JSON line each; a torn last line is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = False
        self._size = 0  # of what was read, or written here
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, FLAGS, 0o600)
        except OSError as err:
            raise SettingsError(
                f"the file of order ids {path} cannot be used: {err.strerror}; give the sessions "
                "a FileStorePath that can be written"
            ) from None
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def take(self) -> list[Pair]:
        """Take the file in hand, and return what others have written since; what is written until
        it is let go stands behind that. One who stands still with it in hand is not waited for."""
        until, pause = 0.0, 0.0
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                until = until or time.monotonic() + PATIENCE_S
                if time.monotonic() > until:
                    return self._news()
                time.sleep(pause)
                pause = min(pause + LOOK_S / 100, LOOK_S)
                continue
            if os.fstat(self._handle).st_nlink:
                self._held = True
                return self._news()
            self._reopen()  # another process has tidied: this is not the file any more
            self._size = 0

    def let_go(self) -> None:
        """Let the others have it."""
        if self._held:
            self._held = False
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def _reopen(self) -> None:
        with self._lock:
            old, self._handle = self._handle, os.open(self._path, FLAGS, 0o600)
            os.close(old)

    def _news(self) -> list[Pair]:
        size = os.fstat(self._handle).st_size
        if size <= self._size:
            return []
        raw = os.pread(self._handle, size - self._size, self._size)
        whole = raw[: raw.rfind(b"\n") + 1]
        self._size += len(whole)
        if self._held and len(whole) < len(raw):
            os.ftruncate(self._handle, self._size)
        try:
            return [msgspec.json.decode(line, type=Pair) for line in whole.splitlines()]
        except msgspec.MsgspecError:
            raise SettingsError(
                f"{self._path} is no file of order ids; move it away and start again: orders "
                "sent before will be taken for somebody else's"
            ) from None

    def pairs(self, today: int) -> list[Pair]:
        """Return what was kept, dropping what is old; what follows goes behind it."""
        found = self.take()
        try:
            fresh = [pair for pair in found if pair[0] > today - KEPT_DAYS]
            if len(found) > COMPACT and len(fresh) < len(found) and self._held:
                self._tidy(b"".join(map(_line, fresh)))
        finally:
            self.let_go()
        return fresh

    def _tidy(self, text: bytes) -> None:
        beside = self._path.with_suffix(".new")
        beside.write_bytes(text)
        beside.chmod(0o600)
        beside.replace(self._path)
        self._reopen()
        self._size = len(text)

    def add(self, pair: Pair) -> None:
        """Write a pair: from here on it survives the process."""
        size = self._size + self._written(_line(pair))
        if os.fstat(self._handle).st_size == size:  # else others wrote: all is read, as news
            self._size = size
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(SYNC_S, self._sync)
                self._timer.daemon = True
                self._timer.start()

    def _written(self, line: bytes) -> int:
        before = os.fstat(self._handle).st_size
        try:
            size = os.write(self._handle, line)
            if size < len(line):
                raise OSError(errno.ENOSPC, "the disk is full")
        except OSError as err:
            with suppress(OSError):  # half a line would make the file unreadable
                os.ftruncate(self._handle, before)
            raise VenueError(
                f"an order's id cannot be written to {self._path} ({err.strerror}); nothing has "
                "left"
            ) from err
        return size

    def _sync(self) -> None:
        with self._lock:
            self._timer = None
            if self._handle >= 0:
                os.fdatasync(self._handle)

    def close(self) -> None:
        """Force what is written to disk and close."""
        with self._lock:
            timer, self._timer = self._timer, None
            handle, self._handle = self._handle, -1
        if timer is not None:
            timer.cancel()
        if handle >= 0:
            os.fdatasync(handle)
            os.close(handle)


def _line(pair: Pair) -> bytes:
    return msgspec.json.encode(pair) + b"\n"
