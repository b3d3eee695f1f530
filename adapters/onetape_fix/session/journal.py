"""The journal: a session's store in append-only files.

    folder/<session>/lock                  held by the one process that writes
    folder/<session>/00000001-...1.journal segments; see `segments` for what stands in them

A record is one write, so it survives the death of the process (kill -9) when the call returns; of
the machine when `synced` has reached its position: at once ("always"), a few milliseconds later by
one thread for all journals ("group"), or when the system likes ("never"). A tail that was being
written is cut off on open; `cut` says how many bytes. Damage before whole records is refused: a
person restores the file, or opens once with `repair=True`, which keeps the rest beside it.

A new segment begins at a reset and by size (`limit`). Sealed ones older than `keep` days go then,
also those of an epoch that lasts longer: such messages can no longer be resent.

Threads  one thread writes. `records` may be read by another, `sync` belongs to the syncing one.
Memory   a mark every 64 KiB of the epoch; messages are read from the files when asked for.
Units    ts ns UTC, sizes in bytes, keep in days (0: for ever).
Raises   SettingsError: another process holds the journal, or it is another session's.
         StoreError: a record could not be written (nothing of it counts, and the next may be
         tried) or the disk failed a sync (nothing more is written until it is opened again).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from onetape.errors import SettingsError
from onetape_fix.session import syncer
from onetape_fix.session.marks import Marks, Stretch
from onetape_fix.session.secrets import mask, mask_text
from onetape_fix.session.segments import (
    IN,
    IN_COPY,
    NOTE,
    OUT,
    OUT_COPY,
    RESENDABLE,
    RESET,
    SET_IN,
    SET_OUT,
    Damaged,
    Head,
    head_of,
    items,
    packed,
    packed_head,
    torn,
)
from onetape_fix.session.settings import Sync
from onetape_fix.session.shelf import Shelf, damaged
from onetape_fix.session.store import Kind, Record, StoreError, is_admin

DAY = 86_400_000_000_000  # ns
HIGHEST = (1 << 63) - 1  # of a number; a peer may write a higher one
AGAIN = 1 << 20  # bytes after which a segment that could not be begun is tried again
KINDS: dict[int, Kind] = {
    IN: "in",
    OUT: "out",
    IN_COPY: "in_copy",
    OUT_COPY: "out_copy",
    SET_IN: "set_in",
    SET_OUT: "set_out",
    RESET: "reset",
    NOTE: "note",
}


class Journal:
    """A store of files; see the module. `ts` is the epoch of a journal that is new."""

    def __init__(
        self,
        folder: Path,
        session: str,
        *,
        sync: Sync = "group",
        ts: int = 0,
        limit: int = 16 << 20,
        keep: float = 0.0,
        repair: bool = False,
    ) -> None:
        self.session = session
        self.folder = folder / quote(session, safe="")
        self.next_in = self.next_out = 1
        self.epoch = ts
        self.position = 0
        self.synced = 0
        self.cut = 0
        self._mode: Sync = sync
        self._limit = self._rotate_at = limit
        self._keep = keep
        self._marks = Marks()
        self._due = False
        self._shelf = Shelf(self.folder, session)
        try:
            self._open(repair)
        except BaseException:
            self._shelf.close()
            raise

    # -- what a store does

    def sent(self, seq: int, raw: bytes, ts: int, copy: bool = False) -> int:
        """Keep a message before it is written to the peer; return its position."""
        kept = mask(raw)
        if copy:
            return self._write(OUT_COPY, 0, seq, ts, kept)
        flags = RESENDABLE if kept is raw and not is_admin(raw) else 0
        return self._write(OUT, flags, seq, ts, kept)

    def received(self, seq: int, raw: bytes, ts: int, advance: bool) -> int:
        """Keep a message of the peer, and that it moved the number on, in one record."""
        return self._write(IN if advance else IN_COPY, 0, seq, ts, mask(raw))

    def set_in(self, n: int, ts: int) -> None:
        """Expect `n` next."""
        self._write(SET_IN, 0, n, ts, b"")

    def set_out(self, n: int, ts: int) -> None:
        """Send `n` next."""
        self._write(SET_OUT, 0, n, ts, b"")

    def reset(self, ts: int) -> None:
        """Begin a new epoch, in a new segment."""
        self._seal()
        first = self.position + 1
        start = packed_head(self._head(), ts)  # as it is: the record behind it is what resets
        self._begin(start + packed(RESET, 0, first, 0, ts, b""))
        self._apply(RESET, first, 0, ts, len(start))
        self._wake()
        self._retire(ts)

    def note(self, text: str, ts: int) -> None:
        """Keep a session event in words."""
        self._write(NOTE, 0, 0, ts, mask_text(text).encode(errors="replace"))

    def outbound(self, lo: int, hi: int) -> Iterator[tuple[int, bytes, int]]:
        """What can be resent of this epoch, lo to hi inclusive, rising."""
        stretches = self._marks.stretches(lo, min(hi, self.next_out - 1))
        return self._resendable(stretches, self.position)

    def _resendable(self, stretches: list[Stretch], upto: int) -> Iterator[tuple[int, bytes, int]]:
        for stretch in stretches:
            begin = stretch.begin
            segments = [s for s in self._shelf.segments if s.number >= begin.segment]
            offset = begin.offset if segments and segments[0].number == begin.segment else 0
            stop = upto if stretch.until is None else stretch.until.position - 1
            for item in self._shelf.walk(segments, offset, stop):
                if item.kind != OUT or item.seq < stretch.lo:
                    continue
                if item.seq > stretch.hi:
                    break
                if item.flags & RESENDABLE:
                    yield item.seq, item.body, item.ts

    def records(self, since: int = 0) -> Iterator[Record]:
        """The kept records after position `since`, as far as they go now."""
        upto = self.position
        segments = list(self._shelf.segments)
        while len(segments) > 1 and segments[1].first <= since + 1:
            segments.pop(0)
        near = self._marks.near(since + 1)
        offset = near.offset if near is not None and segments[0].number == near.segment else 0
        return (
            Record(item.position, KINDS[item.kind], item.seq, item.ts, item.body)
            for item in self._shelf.walk(segments, offset, upto)
            if item.position > since
        )

    def flush(self) -> None:
        """Return once everything kept so far would survive the loss of the machine."""
        self.sync()
        self._shelf.check()

    def close(self) -> None:
        """Flush and let go of the files; StoreError where that failed, they are closed then too."""
        if self._shelf.closed:
            return
        try:
            self.flush()
        finally:
            self._shelf.close()

    def push(self) -> None:
        """Have what was written begin its way to the disk."""
        self._shelf.push()

    def sync(self) -> None:
        """Bring what was written so far to the disk; what fails is raised by the next call."""
        self._due = False
        upto = self.position
        if upto != self.synced and self._shelf.sync():
            self.synced = upto

    @property
    def oldest(self) -> int:
        """The position from which on records are kept."""
        return self._shelf.segments[0].first

    # -- writing

    def _write(self, kind: int, flags: int, seq: int, ts: int, body: bytes) -> int:
        position, offset = self.position + 1, self._shelf.size
        seq = min(seq, HIGHEST)
        self._shelf.append(packed(kind, flags, position, seq, ts, body))
        if self._mode == "always":
            self._to_disk(offset)
        self._apply(kind, position, seq, ts, offset)
        if self._shelf.size >= self._rotate_at:
            self._rotate(ts)
        if self._mode == "always":
            self.synced = position
        else:
            self._wake()
        return position

    def _to_disk(self, offset: int) -> None:
        """Sync what was appended at `offset`; where that fails it is taken back: who is told that
        it was not kept must not find it there later, to be resent."""
        if not self._shelf.sync():
            self._shelf.take_back(offset)
            self._shelf.check()

    def _apply(self, kind: int, position: int, seq: int, ts: int, offset: int) -> None:
        """Bring the numbers and the marks to where a record leaves them."""
        if kind in (OUT, SET_OUT) and seq < self.next_out:
            self._marks.back(position, seq, offset)
        else:
            self._marks.pass_by(position, self.next_out, offset)
        self.position = position
        if kind == OUT:
            self.next_out = seq + 1
        elif kind == IN:
            self.next_in = seq + 1
        elif kind == SET_IN:
            self.next_in = seq
        elif kind == SET_OUT:
            self.next_out = seq
        elif kind == RESET:
            self.next_in = self.next_out = 1
            self.epoch = ts
            self._marks.clear()

    def _wake(self) -> None:
        if self._mode == "group":
            if not self._due:
                self._due = True
                syncer.shared.add(self)
        elif self._mode == "always":
            self.flush()

    def _rotate(self, ts: int) -> None:
        """Go on in a new segment; where that cannot be, later."""
        try:
            self._seal()
            self._begin(packed_head(self._head(), ts))
        except StoreError:
            self._rotate_at = self._shelf.size + AGAIN
            return
        self._retire(ts)

    def _head(self) -> Head:
        numbers = (self.position, self.next_in, self.next_out, self.epoch)
        return Head(self.session, *numbers, *self._marks.saved())

    def _seal(self) -> None:
        """What stands in a segment must be on the disk before the next one tells of it."""
        if self._mode != "never":
            self.flush()

    def _begin(self, data: bytes) -> None:
        self._marks.begin(self._shelf.begin(data, self.position + 1))
        self._rotate_at = max(self._limit, 2 * len(data))

    def _retire(self, now: int) -> None:
        if self._keep:
            self._shelf.retire(now - round(self._keep * DAY))

    # -- opening

    def _open(self, repair: bool) -> None:
        while self._shelf.segments and not self._resume(repair):
            self._shelf.drop()
        if not self._shelf.segments:
            self._begin(packed_head(self._head(), self.epoch))
            self._shelf.sync()
        self.synced = self.position

    def _resume(self, repair: bool) -> bool:
        """Go on in the last segment; False where it was begun and nothing of it had counted."""
        number, _, path = self._shelf.segments[-1]
        try:
            head, begun = head_of(path)
        except Damaged:
            if not torn(path, 0):
                raise damaged(path, 0) from None
            self.cut += path.stat().st_size
            return False
        if head.session != self.session:
            raise SettingsError(
                f"{path} is the journal of session {head.session}, expected {self.session};"
                " move the folder away or set another FileStorePath"
            )
        self.position, self.epoch = head.position, head.epoch
        self.next_in, self.next_out = head.next_in, head.next_out
        self._marks.load(number, head.marks, head.stretches)
        self._shelf.resume(self._replay(path, begun.end, repair))
        self._rotate_at = max(self._limit, 2 * begun.end)
        return True

    def _replay(self, path: Path, offset: int, repair: bool) -> int:
        """Apply the records of a segment; return where the whole ones end."""
        end = offset
        try:
            for item in items(path, offset):
                if item.position != self.position + 1:
                    raise Damaged(item.offset)
                self._apply(item.kind, item.position, item.seq, item.ts, item.offset)
                end = item.end
        except Damaged:
            if not torn(path, end):
                if not repair:
                    raise damaged(path, end) from None
                path.with_suffix(".cut").write_bytes(path.read_bytes()[end:])
            self.cut += path.stat().st_size - end
        return end
