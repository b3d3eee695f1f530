"""Laws: two sessions over a line that loses and cuts, either of them killed at any point.

What was kept survives a kill; what was on its way, and what only the process knew, does not. The
application of a side "commits" with `on_recorded`: what it heard without that it hears again.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from onetape_fix.session import MemoryStore
from onetape_fix.wire import Message, parse

from .room import ROLES, Pair, Role

role = st.sampled_from(ROLES)
step = st.one_of(
    st.tuples(st.just("send"), role),
    st.tuples(st.just("send"), role),
    st.tuples(st.just("carry"), role),
    st.tuples(st.just("carry"), role),
    st.tuples(st.just("lose"), role),
    st.tuples(st.just("kill"), role),
    st.tuples(st.just("dies hearing"), role),
    st.tuples(st.just("cut"), role),
    st.tuples(st.just("connect"), role),
    st.tuples(st.just("wait"), role),
    st.tuples(st.just("settle"), role),
)
steps = st.lists(step, max_size=60)


class Killed(Exception):
    """The process ends here."""


class Walk:
    """Does what is drawn, and remembers what was sent."""

    def __init__(self, **more: Any) -> None:
        self.pair = Pair(order_ttl=None, **more)
        self.sent: dict[Role, list[str]] = {role: [] for role in ROLES}
        self.numbers: dict[Role, list[tuple[int, int]]] = {role: [] for role in ROLES}
        self.pair.connect()

    def do(self, what: str, side: Role) -> None:
        pair = self.pair
        doings = {
            "send": self.send,
            "carry": pair.carry,
            "lose": lambda side: pair.carry(side, lose=True),
            "kill": pair.kill,
            "dies hearing": self.die_hearing,
            "cut": lambda _: pair.cut(),
            "connect": lambda _: None if pair.wires else pair.connect(),
            "wait": lambda _: pair.settle(seconds=3),
            "settle": lambda _: pair.settle(),
        }
        doings[what](side)
        for one in ROLES:
            store = pair.stores[one]
            self.numbers[one].append((store.next_in, store.next_out))

    def send(self, side: Role) -> None:
        session = self.pair.sessions[side]
        if session.state == "up":
            name = f"{side[0]}{len(self.sent[side])}"
            self.sent[side].append(name)
            session.send("D", [(11, name), (58, "x\x80y"), (453, [[(448, name)]])])

    def die_hearing(self, side: Role) -> None:
        """The next message to `side` kills it after it was heard and before it is recorded."""
        app = self.pair.apps[side]
        app.raises = Killed()
        other: Role = "acceptor" if side == "initiator" else "initiator"
        self.pair.carry(other)
        app.raises = None
        self.pair.kill(side)

    def end(self) -> None:
        """A line that holds at last."""
        pair = self.pair
        for _ in range(20):
            if not pair.up:
                pair.connect()
            pair.settle(seconds=40)
            if pair.up and not any(
                s.facts.gap or s.facts.resending for s in pair.sessions.values()
            ):
                return
        raise AssertionError("the two sides do not come to rest")


def walked(todo: list[tuple[str, Role]], **more: Any) -> Walk:
    walk = Walk(**more)
    for what, side in todo:
        walk.do(what, side)
    walk.end()
    return walk


def firsts(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


@settings(max_examples=200)
@given(steps, st.booleans(), st.sampled_from((0, 2)))
def test_everything_sent_is_heard_at_least_once_and_in_its_order(
    todo: list[tuple[str, Role]], next_expected: bool, chunk: int
) -> None:
    walk = walked(todo, next_expected=next_expected, resend_chunk=chunk)
    pair = walk.pair
    for side, other in (ROLES, ROLES[::-1]):
        heard = [m[11] for m in pair.apps[other].heard]
        assert firsts(heard) == walk.sent[side]


@settings(max_examples=30)
@given(steps)
def test_the_same_holds_where_the_stores_are_files_that_are_opened_anew_after_a_kill(
    todo: list[tuple[str, Role]],
) -> None:
    with TemporaryDirectory() as folder:
        walk = walked(todo, folder=Path(folder))
        for side, other in (ROLES, ROLES[::-1]):
            heard = [m[11] for m in walk.pair.apps[other].heard]
            assert firsts(heard) == walk.sent[side]
            walk.pair.stores[side].close()


@settings(max_examples=100)
@given(steps)
def test_what_is_heard_twice_was_not_recorded_the_first_time_or_says_so(
    todo: list[tuple[str, Role]],
) -> None:
    pair = walked(todo).pair
    for side in ROLES:
        app = pair.apps[side]
        recorded = [message[11] for message, _ in app.recorded]
        assert recorded == firsts(recorded)
        seen: set[str] = set()
        for message in app.heard:
            if message[11] in seen:
                assert message.possdup
            seen.add(message[11])


@settings(max_examples=100)
@given(steps)
def test_numbers_never_go_back(todo: list[tuple[str, Role]]) -> None:
    walk = walked(todo)
    for side in ROLES:
        numbers = walk.numbers[side]
        assert numbers == sorted(numbers, key=lambda pair: pair[0])
        assert numbers == sorted(numbers, key=lambda pair: pair[1])
        assert "reset" not in walk.pair.apps[side].codes
        assert "seq_too_low" not in walk.pair.apps[side].codes


@settings(max_examples=100)
@given(steps)
def test_what_is_sent_again_is_the_same_but_for_its_header(todo: list[tuple[str, Role]]) -> None:
    pair = walked(todo).pair
    for side in ROLES:
        store = pair.stores[side]
        assert isinstance(store, MemoryStore)
        first: dict[int, bytes] = {}
        for record in store.records():
            message = parse(record.raw) if record.raw[:2] == b"8=" else None
            if message is None or message.type != "D":
                continue
            if record.kind == "out":
                first[record.seq] = body_of(message)
            elif record.kind == "out_copy":
                assert body_of(message) == first[record.seq]


def body_of(message: Message) -> bytes:
    raw = message.raw
    return raw[raw.index(b"\x0111=") : raw.rindex(b"\x0110=")]


@settings(max_examples=50)
@given(steps)
def test_a_reset_in_between_is_always_told(todo: list[tuple[str, Role]]) -> None:
    walk = Walk()
    for at, (what, side) in enumerate(todo):
        walk.do(what, side)
        session = walk.pair.sessions["initiator"]
        if at % 7 == 6 and session.state in ("up", "down"):
            before = walk.pair.stores["initiator"].next_out
            session.reset()
            told = walk.pair.apps["initiator"].codes
            assert before == 1 or told[-1] == "reset"
    walk.end()
    for side in ROLES:
        kinds = [record.kind for record in walk.pair.stores[side].records()]
        numbers = walk.numbers[side]
        backwards = sum(b[0] < a[0] for a, b in pairwise(numbers))
        assert backwards <= kinds.count("reset")
