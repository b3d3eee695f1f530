"""The files of one journal: held by one process, appended to, followed by the next, let go of.

The one place where a journal meets the disk; what stands in the records is the journal's matter.

Threads  one thread appends; `sync` belongs to a second, `walk` may be used by a third.
Units    ts ns UTC, sizes and offsets in bytes.
Raises   SettingsError where another process holds the folder. StoreError where the disk does not
         do what it is asked: a record that failed is taken back, and the next may be tried; after
         a failed sync, or where nothing can be taken back, nothing more is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from onetape.errors import SettingsError
from onetape_fix.session.segments import HEAD, Damaged, Item, Segment, head_of, items, listed
from onetape_fix.session.store import StoreError

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
_NEW = _APPEND | os.O_CREAT | os.O_EXCL


class Shelf:
    """See the module; `size` is that of the segment that is appended to, the last one."""

    def __init__(self, folder: Path, session: str) -> None:
        self.folder, self.session = folder, session
        self.size = 0
        self._pushed = 0
        self._guard = threading.Lock()  # between a sync and a change of files
        self._new = False  # a file is new in the folder
        self._trouble = ""
        self._fd = -1
        self._lock = _locked(folder, session)
        self.segments: list[Segment] = listed(folder)

    def check(self) -> None:
        """StoreError where nothing can be written any more."""
        if self._trouble:
            raise StoreError(self._trouble)

    def append(self, data: bytes) -> None:
        """Write a record behind the others."""
        if self._trouble:
            raise StoreError(self._trouble)
        try:
            done = os.write(self._fd, data)
            while done < len(data):  # the disk may be full: the next try says so
                done += os.write(self._fd, data[done:])
        except OSError as err:
            trouble = self._failed("be written", err)
            try:
                os.ftruncate(self._fd, self.size)
            except OSError:
                self._trouble = str(trouble)  # half a record stands there: nothing may follow it
            raise trouble from None
        self.size += len(data)

    def take_back(self, size: int) -> None:
        """Cut off what stands behind `size`: it does not count."""
        with contextlib.suppress(OSError):  # nothing more is written here in any case
            os.ftruncate(self._fd, size)
        self.size = size

    def begin(self, data: bytes, first: int) -> int:
        """Go on in a new segment that begins with `data`; return its number."""
        self.check()
        number = self.segments[-1].number + 1 if self.segments else 1
        segment = Segment.of(self.folder, number, first)
        fd = -1
        try:
            fd = os.open(segment.path, _NEW, 0o600)
            done = 0
            while done < len(data):
                done += os.write(fd, data[done:])
        except OSError as err:
            if fd >= 0:
                os.close(fd)
                with contextlib.suppress(OSError):
                    segment.path.unlink()
            raise self._failed("begin a segment", err) from None
        with self._guard:
            fd, self._fd = self._fd, fd
            if fd >= 0:
                os.close(fd)
            self.segments.append(segment)
            self._new = True
            self.size, self._pushed = len(data), 0
        return number

    def resume(self, size: int) -> None:
        """Go on in the last segment, what stands behind `size` is cut off."""
        try:
            self._fd = os.open(self.segments[-1].path, _APPEND)
            if os.fstat(self._fd).st_size != size:
                os.ftruncate(self._fd, size)
            _to_disk(self._fd)
        except OSError as err:
            raise self._failed("be opened", err) from None
        self.size = self._pushed = size

    def drop(self) -> None:
        """Remove the last segment."""
        try:
            self.segments.pop().path.unlink()
        except OSError as err:
            raise self._failed("be opened", err) from None

    def push(self) -> None:
        """Have the kernel begin with what was written since the last sync, and not wait for it."""
        with self._guard, contextlib.suppress(OSError, AttributeError):
            if self._fd >= 0:
                # Linux begins to write what is dirty, and keeps it until it is written
                os.posix_fadvise(self._fd, self._pushed, 0, os.POSIX_FADV_DONTNEED)
                self._pushed = self.size

    def sync(self) -> bool:
        """Bring what was written so far to the disk; False where that failed or it is closed."""
        with self._guard:
            if self._fd < 0 or self._trouble:
                return False
            try:
                _to_disk(self._fd)
                if self._new:
                    _sync_folder(self.folder)
                    self._new = False
            except OSError as err:
                self._trouble = str(self._failed("be brought to the disk", err))
                return False
            return True

    def retire(self, oldest: int) -> None:
        """Let go of segments whose last record is older; the one appended to stays."""
        while len(self.segments) > 1:
            try:
                _, begun = head_of(self.segments[1].path)
                if begun.ts >= oldest:
                    return
                self.segments[0].path.unlink(missing_ok=True)
            except (OSError, Damaged):
                return  # it is tried again with the next segment
            self.segments.pop(0)

    def walk(self, segments: list[Segment], offset: int, upto: int) -> Iterator[Item]:
        """The records of segments, the first from an offset on, up to a position."""
        for segment in segments:
            try:
                for item in items(segment.path, offset):
                    if item.kind == HEAD:
                        continue
                    if item.position <= upto:
                        yield item
                    if item.position >= upto:
                        return
            except FileNotFoundError:
                pass  # older than is kept: it went meanwhile
            except OSError as err:
                raise self._failed("be read", err) from None
            except Damaged as err:
                raise damaged(segment.path, err.offset) from None
            offset = 0

    def close(self) -> None:
        """Let go of the files and of the folder; nothing can be written any more."""
        with self._guard:
            for fd in (self._fd, self._lock):
                if fd >= 0:
                    os.close(fd)
            self._fd = self._lock = -1
        self._trouble = f"the journal of session {self.session} is closed; open it again"

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._lock < 0

    def _failed(self, what: str, err: OSError) -> StoreError:
        return StoreError(
            f"the journal of session {self.session} in {self.folder} cannot {what}:"
            f" {err.strerror}; free or mend the disk, or set another FileStorePath"
        )


def damaged(path: Path, offset: int) -> StoreError:
    """What to say of a file that is damaged within."""
    return StoreError(
        f"{path} is damaged at byte {offset} and whole records follow; restore the file, or open"
        " the journal once with repair=True: it goes on from the damage, and the rest is kept"
        " beside it"
    )


def _locked(folder: Path, session: str) -> int:
    """Take the folder for this process; the lock goes with the process, however it ends."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise StoreError(
            f"the journal of session {session} cannot be kept in {folder}: {err.strerror}; set"
            " FileStorePath to a folder that can be written"
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise SettingsError(
            f"the journal of session {session} in {folder} is held by process {holder}; end that"
            " one first, or give this one another FileStorePath"
        ) from None
    with contextlib.suppress(OSError):  # the number is for people; a full disk holds none
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
    return fd


def _to_disk(fd: int) -> None:
    getattr(os, "fdatasync", os.fsync)(fd)  # not every system has the quicker one


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
