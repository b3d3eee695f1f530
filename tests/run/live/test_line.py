"""The line and the outbox: nothing leaves before it is durable, in order, or it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.errors import TapeConflict, TapeError, TapeUnavailable
from onetape.run import line as module
from onetape.run.line import Line
from onetape.run.outbox import Outbox, Parcel
from onetape.tape.embedded import serve
from onetape.tape.event import Event
from onetape.tape.kinds_live import SessionMoved
from onetape.tape.ledger import Receipt
from onetape.tape.memory import MemoryTape
from onetape.tape.postgres import PostgresTape

STREAM = "session/a"


def events(first: int, last: int) -> list[Event]:
    return [Event(n, n, n, "session", SessionMoved(str(n))) for n in range(first, last + 1)]


class Disk:
    """A tape whose disk is somebody's hand: what is submitted is written when it says so."""

    def __init__(self) -> None:
        self.tape = MemoryTape()
        self.asked: list[tuple[list[Event], Future[Receipt]]] = []
        self.submitted: list[list[int]] = []
        self.down = False

    def submit(self, stream: str, events: Sequence[Event], *, book: str = "") -> Future[Receipt]:
        self.submitted.append([event.seq for event in events])
        done: Future[Receipt] = Future()
        if self.down:
            done.set_exception(TapeUnavailable("the disk is away"))
        else:
            self.asked.append((list(events), done))
        return done

    def write(self) -> None:
        """Write everything that was asked for, in order."""
        asked, self.asked = self.asked, []
        for some, done in asked:
            try:
                done.set_result(self.tape.append(STREAM, some))
            except TapeError as err:
                done.set_exception(err)

    def lose(self) -> None:
        """Fail the first that was asked for; what came behind it finds a gap."""
        (_, first), *rest = self.asked
        self.asked = []
        first.set_exception(TapeUnavailable("the disk is away"))
        for some, done in rest:
            done.set_exception(TapeConflict(STREAM, some[0].seq, self.tape.version(STREAM)))

    @property
    def written(self) -> list[int]:
        return [e.seq for e in self.tape.recording(STREAM)] if self.tape.version(STREAM) else []


def on(disk: Any, moved: list[tuple[bool, str]] | None = None) -> Line:
    told = moved if moved is not None else []
    return Line(disk, STREAM, "paper", lambda down, why: told.append((down, why)))


def run(body: Coroutine[Any, Any, None]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(20):
            await body

    asyncio.run(whole())


async def turns(done: Callable[[], bool]) -> None:
    """Let the loop turn until something is done."""
    while not done():
        await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.005)


def test_who_waits_for_an_event_goes_on_once_it_is_written_and_not_before() -> None:
    async def body() -> None:
        disk = Disk()
        line = on(disk)
        line.take(events(1, 5))
        waiting = asyncio.ensure_future(line.durable(3))
        await asyncio.sleep(0)
        assert (waiting.done(), line.behind, disk.submitted) == (False, 5, [[1, 2, 3, 4, 5]])
        disk.write()
        await waiting
        assert (line.durable_to, line.behind, line.down) == (5, 0, False)

    run(body())


def test_a_tape_that_was_down_gets_the_same_events_once_and_in_order() -> None:
    async def body() -> None:
        disk, moved = Disk(), []
        line = on(disk, moved)
        disk.down = True
        for n in range(1, 5):
            line.take(events(n, n))
            line.send()
        await turns(lambda: line.down)
        line.take(events(5, 6))
        line.send()
        waiting = asyncio.ensure_future(line.durable(6))
        await turns(lambda: len(disk.submitted) > 8)
        assert not waiting.done()
        disk.down = False
        while not waiting.done():
            disk.write()
            await asyncio.sleep(0.001)
        assert disk.written == [1, 2, 3, 4, 5, 6]
        assert [down for down, _ in moved] == [True, False]

    run(body())


def test_what_was_under_way_behind_a_lost_write_is_written_after_it() -> None:
    """The batches behind the lost one fail with a gap: that is its trouble and not theirs."""

    async def body() -> None:
        disk, moved = Disk(), []
        line = on(disk, moved)
        for n in (1, 3, 5):
            line.take(events(n, n + 1))
            line.send()
        disk.lose()
        waiting = asyncio.ensure_future(line.durable(6))
        while not waiting.done():
            disk.write()
            await asyncio.sleep(0.001)
        await waiting
        assert disk.written == [1, 2, 3, 4, 5, 6]
        assert line.broken is None
        assert [down for down, _ in moved] == [True, False]

    run(body())


def test_trouble_that_is_told_late_is_still_that_of_the_lost_write() -> None:
    async def body() -> None:
        disk = Disk()
        line = on(disk)
        for n in (1, 2, 3):
            line.take(events(n, n))
            line.send()
        (_, first), second, third = disk.asked
        disk.asked = []
        first.set_exception(TapeUnavailable("the disk is away"))
        second[1].set_exception(TapeConflict(STREAM, 2, 0))
        await turns(lambda: bool(disk.asked))
        disk.write()
        await turns(lambda: line.durable_to == 1)
        third[1].set_exception(TapeConflict(STREAM, 3, 0))
        waiting = asyncio.ensure_future(line.durable(3))
        while not waiting.done():
            disk.write()
            await asyncio.sleep(0.001)
        assert (disk.written, line.broken) == ([1, 2, 3], None)

    run(body())


def test_a_write_whose_answer_was_lost_is_not_doubled() -> None:
    async def body() -> None:
        disk = Disk()
        line = on(disk)
        line.take(events(1, 3))
        line.send()
        disk.tape.append(STREAM, events(1, 3))  # it was written, and nobody heard
        disk.lose()
        waiting = asyncio.ensure_future(line.durable(3))
        while not waiting.done():
            disk.write()
            await asyncio.sleep(0.001)
        assert disk.written == [1, 2, 3]

    run(body())


def test_a_conflict_stops_for_good_and_tells_everybody_who_waits() -> None:
    async def body() -> None:
        disk, moved = Disk(), []
        line = on(disk, moved)
        disk.tape.append(STREAM, [Event(1, 9, 9, "session", SessionMoved("another's"))])
        line.take(events(1, 2))
        waiting = [asyncio.ensure_future(line.durable(n)) for n in (1, 2)]
        await asyncio.sleep(0)
        disk.write()
        for each in waiting:
            with pytest.raises(TapeError):
                await each
        with pytest.raises(TapeError):
            await line.durable(3)
        assert line.down
        assert [down for down, _ in moved] == [True]

    run(body())


STEPS = st.lists(st.sampled_from(["take", "send", "write", "lose", "down", "up"]), max_size=30)


@given(STEPS)
def test_whatever_a_disk_does_each_event_is_written_once_and_in_order(steps: list[str]) -> None:
    async def body() -> None:
        disk = Disk()
        line = on(disk)
        seq = 0
        for step in steps:
            if step == "take":
                line.take(events(seq + 1, seq + 2))
                seq += 2
            elif step == "send":
                line.send()
            elif step == "write":
                disk.write()
            elif step == "lose" and disk.asked:
                disk.lose()
            else:
                disk.down = step == "down"
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        disk.down = False
        closing = asyncio.ensure_future(line.close())
        while not closing.done():
            disk.write()
            await asyncio.sleep(0.001)
        await closing
        assert disk.written == list(range(1, seq + 1))
        assert (line.durable_to, line.behind) == (seq, 0)

    run(body())


# -- the outbox


class Post:
    """What left, and what was told that it did not."""

    def __init__(self, line: Line, patience: float = 5.0) -> None:
        self.box = Outbox(line, patience)
        self.left: list[int] = []
        self.refused: list[tuple[int, str]] = []
        self.why = ""

    def put(self, seq: int, patient: bool = False, fails: bool = False) -> None:
        def send() -> None:
            if fails:
                raise OSError("no wire")
            self.left.append(seq)

        say = lambda why: self.refused.append((seq, why))  # noqa: E731
        self.box.put(Parcel(seq, send, say, lambda: "" if patient else self.why, patient))


def test_an_order_leaves_only_once_its_intent_is_durable() -> None:
    async def body() -> None:
        disk = Disk()
        line = on(disk)
        post = Post(line)
        line.take(events(1, 2))
        post.put(2)
        line.take(events(3, 3))
        post.put(3)
        for _ in range(20):
            await asyncio.sleep(0)
        assert (post.left, post.box.waiting) == ([], 2)
        disk.write()
        await turns(lambda: bool(post.left) or bool(disk.asked))
        while post.box.waiting:
            disk.write()
            await asyncio.sleep(0.001)
        assert (post.left, post.refused) == ([2, 3], [])

    run(body())


def test_what_waits_longer_than_its_patience_is_refused_and_cancels_wait_in_their_place() -> None:
    async def body() -> None:
        disk = Disk()
        line = on(disk)
        post = Post(line, patience=0.02)
        disk.down = True
        for seq, patient in ((1, False), (2, True), (3, False)):
            line.take(events(seq, seq))
            post.put(seq, patient)
        await turns(lambda: bool(post.refused))
        assert post.refused[0][0] == 1
        await asyncio.sleep(0.03)  # the patience of the third, which stands behind the cancel
        disk.down = False
        while post.box.waiting:
            disk.write()
            await asyncio.sleep(0.001)
        assert post.left == [2]
        assert [seq for seq, _ in post.refused] == [1, 3]
        assert "it never left" in post.refused[1][1]

    run(body())


def test_on_a_tape_that_is_broken_orders_are_refused_and_cancels_leave() -> None:
    async def body() -> None:
        disk = Disk()
        line = on(disk)
        post = Post(line)
        line.take(events(2, 3))  # a gap: never to be written
        post.put(2)
        post.put(3, patient=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        disk.write()
        await turns(lambda: not post.box.waiting)
        assert ([seq for seq, _ in post.refused], post.left) == ([2], [3])

    run(body())


def test_what_may_no_longer_leave_and_what_cannot_be_sent_is_told_and_the_rest_leaves() -> None:
    async def body() -> None:
        line = on(MemoryTape())
        post = Post(line)
        line.take(events(1, 4))
        post.put(1, fails=True)
        post.put(2)
        await turns(lambda: not post.box.waiting)
        post.why = "halted"
        post.put(3)
        post.put(4, patient=True)
        await post.box.close()
        assert post.left == [2, 4]
        assert post.refused == [(1, "it could not be sent: OSError: no wire"), (3, "halted")]
        assert post.box.sent == 2

    run(body())


def test_on_a_real_server_that_stops_and_starts_again_nothing_is_lost_or_doubled(
    place: Any,
) -> None:
    async def body() -> None:
        with serve(place) as server:
            tape = PostgresTape(server.url, patience=0.1)
            moved: list[tuple[bool, str]] = []
            line = on(tape, moved)
            post = Post(line, patience=60)
            line.take(events(1, 3))
            post.put(3)
            await turns(lambda: post.left == [3])
        line.take(events(4, 6))
        post.put(6)
        await turns(lambda: line.down)
        line.take(events(7, 9))
        post.put(9)
        assert post.left == [3]
        with serve(place):
            await turns(lambda: post.left == [3, 6, 9])
            assert [e.seq for e in tape.recording(STREAM)] == list(range(1, 10))
            assert [down for down, _ in moved] == [True, False]
            await asyncio.to_thread(tape.close)

    run(body())
